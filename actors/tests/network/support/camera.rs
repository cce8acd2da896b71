//! What a publisher films: the clip in a loop, in real time, with a keyframe when one is asked for.

use std::time::{Duration, Instant};

use onair_media::Codec;

use super::client::Client;
use super::clip::{Clip, FRAME_RATE};

/// Counts what is sent; timestamps begin at 0 and know no loop.
pub(crate) struct Camera {
    clip: &'static Clip,
    started: Instant,
    /// The next frame of the clip.
    frame: usize,
    pub(crate) video_sent: u64,
    pub(crate) audio_sent: u64,
    /// Whether keyframe requests are heard; some encoders ignore them.
    pub(crate) listens: bool,
}

impl Camera {
    pub(crate) fn new(started: Instant) -> Self {
        Self { clip: Clip::shared(), started, frame: 0, video_sent: 0, audio_sent: 0, listens: true }
    }

    /// Returns when the next frame is due.
    pub(crate) fn next_at(&self) -> Instant {
        self.video_at().min(self.audio_at())
    }

    /// Sends what is due.
    pub(crate) fn step(&mut self, now: Instant, client: &mut Client) {
        if std::mem::take(&mut client.seen.keyframe_requests) > 0 && self.listens {
            self.frame = self.clip.keyframe_from(self.frame);
        }
        while self.video_at() <= now {
            let ticks = self.video_sent * u64::from(90_000 / FRAME_RATE);
            client.write(Codec::H264, self.video_at(), ticks, &self.clip.video[self.frame]);
            self.frame = (self.frame + 1) % self.clip.video.len();
            self.video_sent += 1;
        }
        while self.audio_at() <= now {
            let packet = &self.clip.audio[self.audio_sent as usize % self.clip.audio.len()];
            client.write(Codec::Opus, self.audio_at(), self.audio_sent * 960, packet);
            self.audio_sent += 1;
        }
    }

    fn video_at(&self) -> Instant {
        self.started + Duration::from_secs(1).mul_f64(self.video_sent as f64 / f64::from(FRAME_RATE))
    }

    fn audio_at(&self) -> Instant {
        self.started + Duration::from_millis(20 * self.audio_sent)
    }
}
