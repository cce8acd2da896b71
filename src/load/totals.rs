//! What became of viewers, added up.

use std::time::{Duration, Instant};

use onair_media::MediaKind;

use super::histogram::Histogram;
use super::media::Seen;
use super::sequence::Counts;
use super::stamp::micros;
use super::viewer::{Turn, Viewer};

/// What became of all viewers.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// From the POST to the end of the DTLS handshake, in microseconds.
    pub(crate) join_us: Histogram,
    /// From the POST to the first packet of the first keyframe.
    pub(crate) first_frame_us: Histogram,
    /// Of connectivity checks.
    pub(crate) rtt_us: Histogram,
    /// From the publisher's stamp to this machine's kernel.
    pub(crate) delay_us: Histogram,
    /// From this machine's kernel to this program.
    pub(crate) lag_us: Histogram,
    /// Viewers that connected.
    pub(crate) joined: u64,
    /// Viewers that did not.
    pub(crate) failed: u64,
    /// Viewers that connected and were then disconnected.
    pub(crate) ended: u64,
    /// Why the first failed or was disconnected.
    pub(crate) first_failure: Option<String>,
    /// Viewers that left as they were told.
    pub(crate) left: u64,
    /// What viewers had counted who are not there any more.
    pub(crate) departed: Tally,
}

/// Adds up what viewers count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Pictures.
    pub(crate) video: Counts,
    /// Sound.
    pub(crate) audio: Counts,
    /// Packets that are still waited for, of both.
    pub(crate) pending: u64,
    /// How often pictures stood still, how long in all, and at how many viewers.
    pub(crate) freezes: (u64, Duration, u64),
}

impl Tally {
    /// Adds what a viewer has counted up to now.
    pub(crate) fn add(&mut self, viewer: &Viewer, now: Instant) {
        let (video, audio) = (viewer.media.counts(MediaKind::Video), viewer.media.counts(MediaKind::Audio));
        self.video += video.0;
        self.audio += audio.0;
        self.pending += video.1 + audio.1;
        let (freezes, frozen) = viewer.media.freezes(now);
        self.freezes.0 += freezes;
        self.freezes.1 += frozen;
        self.freezes.2 += u64::from(freezes > 0);
    }
}

/// What viewers count, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Moment {
    /// Of all viewers, those included who have left.
    pub(crate) tally: Tally,
    /// Packets a second of each viewer that is there.
    pub(crate) rates: Vec<f64>,
    /// Viewers that are there and connected.
    pub(crate) present: u64,
    /// Those of them that have seen no keyframe.
    pub(crate) without_keyframe: u64,
}

impl Totals {
    /// Notes what a packet was.
    pub(crate) fn saw(&mut self, seen: Seen, since_post: Duration) {
        if seen.first_keyframe {
            self.first_frame_us.add(micros(since_post));
        }
        if let Some(delay_us) = seen.delay_us {
            self.delay_us.add(delay_us);
        }
    }

    /// Notes what happened to a viewer.
    pub(crate) fn turned(&mut self, turn: Turn) {
        match turn {
            Turn::Connected(after) => {
                self.joined += 1;
                self.join_us.add(micros(after));
            }
            Turn::RoundTrip(after) => self.rtt_us.add(micros(after)),
        }
    }

    /// Counts a viewer that failed, and remembers why when it is the first.
    pub(crate) fn lost(&mut self, why: &str, was_connected: bool) {
        if was_connected {
            self.ended += 1;
        } else {
            self.failed += 1;
        }
        self.first_failure.get_or_insert_with(|| why.into());
    }
}
