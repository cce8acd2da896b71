//! A publisher's report: what is wrong with what it sends, and which setting of its program mends it.
//!
//! For broadcasters who see only that it stutters. Each finding holds for the last seconds, and goes when it is mended.

mod track;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use onair_media::{EncodingId, EncodingSet, MediaKind, RtpPacket};
use serde::Serialize;

use track::TrackWatch;

/// Viewers who join, and HLS segments, wait for a keyframe: more time between two is too much.
const KEYFRAMES_APART: Duration = Duration::from_millis(4500);

/// How long a publisher may take to answer a request for a keyframe.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How much may be lost on the way to the server, after repair, before people see it.
const LOSS_MAX_PERCENT: f64 = 1.0;

/// The jitter that players' buffers do not make up for unnoticed.
const JITTER_MAX: Duration = Duration::from_millis(50);

/// Fewer frames a second are no motion.
const FRAME_RATE_MIN: f64 = 10.0;

/// How many changes of the picture's size within a minute are too many: each breaks HLS and recordings.
const SIZE_CHANGES_MAX: usize = 2;

/// How long a publisher may take to send its first sender report: senders wait five seconds at most (RFC 3550 §6.2).
const REPORTS_WITHIN: Duration = Duration::from_secs(15);

/// A track of which nothing came for so long has fallen silent.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Names it, for programs.
    pub code: &'static str,
    /// The track that it is about.
    pub track: MediaKind,
    /// What is wrong, with figures, for people.
    pub detail: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// Follows one publisher session.
#[derive(Debug, Default)]
pub struct PublisherReport {
    tracks: HashMap<(MediaKind, EncodingId), TrackWatch>,
}

impl PublisherReport {
    /// Takes note of a packet, in order of arrival.
    pub fn note(&mut self, packet: &RtpPacket) {
        let track = (packet.codec.kind(), packet.encoding);
        self.tracks.entry(track).or_insert_with(|| TrackWatch::new(packet)).note(packet);
    }

    /// Takes note that the publisher was asked for keyframes.
    pub fn asked_for_keyframes(&mut self, encodings: EncodingSet, now: Instant) {
        for encoding in encodings.iter() {
            if let Some(watch) = self.tracks.get_mut(&(MediaKind::Video, encoding)) {
                watch.asked_for_keyframe(now);
            }
        }
    }

    /// Forgets everything: the publisher is gone.
    pub fn clear(&mut self) {
        self.tracks.clear();
    }

    /// Returns what is wrong at present, of the sound and of one encoding of the video.
    pub fn findings(&self, video: EncodingId, now: Instant) -> Vec<Finding> {
        let tracks = [(MediaKind::Video, video), (MediaKind::Audio, EncodingId::default())];
        let watches = tracks.iter().filter_map(|track| Some((track.0, self.tracks.get(track)?)));
        watches.flat_map(|(kind, watch)| findings_of(kind, watch, now)).collect()
    }
}

fn findings_of(track: MediaKind, watch: &TrackWatch, now: Instant) -> Vec<Finding> {
    let silent_for = watch.silent_for(now);
    if silent_for >= SILENT_AFTER {
        // Nothing else can be said of it.
        return vec![silent(track, silent_for)];
    }
    let of_pictures = [b_frames, keyframes_apart, keyframes_ignored, low_frame_rate, size_changes];
    let of_all = [loss, jitter, no_reports];
    let pictures = of_pictures.iter().filter(|_| track == MediaKind::Video);
    let found = pictures.chain(&of_all).filter_map(|rule| rule(watch, now));
    found.map(|(code, detail, advice)| Finding { code, track, detail, advice }).collect()
}

type Found = Option<(&'static str, String, &'static str)>;

fn silent(track: MediaKind, silent_for: Duration) -> Finding {
    let what = if track == MediaKind::Video { "picture" } else { "sound" };
    Finding {
        code: "silent",
        track,
        detail: format!("No {what} has come for {} s.", silent_for.as_secs()),
        advice: "Look whether the source is still on, and whether the program that sends says it is connected.",
    }
}

fn b_frames(watch: &TrackWatch, _: Instant) -> Found {
    watch.has_b_frames().then(|| {
        (
            "b_frames",
            "Pictures come in another order than they are shown in (B-frames). Browsers show them over WebRTC in the wrong \
             order or not at all; HLS and recordings are right."
                .into(),
            "OBS: B-frames 0 in Output, or Tune zerolatency. ffmpeg: -bf 0. Cameras: profile Baseline, or smart coding off.",
        )
    })
}

fn keyframes_apart(watch: &TrackWatch, now: Instant) -> Found {
    let apart = watch.keyframes_apart(now).filter(|apart| *apart > KEYFRAMES_APART)?;
    Some((
        "keyframe_interval",
        format!(
            "Keyframes are {:.0} s apart. Viewers wait for one, and HLS segments become as long.",
            apart.as_secs_f64()
        ),
        "OBS: Keyframe Interval 2 s in Output. ffmpeg: -g with twice the frame rate. Cameras: an I-frame interval of 2 s.",
    ))
}

fn keyframes_ignored(watch: &TrackWatch, now: Instant) -> Found {
    let waits = watch.waits_for_keyframe(now).filter(|waits| *waits >= ANSWERS_WITHIN)?;
    Some((
        "keyframe_requests_ignored",
        format!("A keyframe was asked for {:.0} s ago and did not come.", waits.as_secs_f64()),
        "OBS and many encoders cannot answer: a keyframe interval of 1 to 2 s makes up for it. Browsers answer at once, \
         unless the device is too busy.",
    ))
}

fn low_frame_rate(watch: &TrackWatch, _: Instant) -> Found {
    let rate = watch.frame_rate().filter(|rate| *rate < FRAME_RATE_MIN)?;
    Some((
        "low_frame_rate",
        format!("Only {rate:.0} pictures a second come."),
        "Choose a smaller resolution, close other programs, and give the camera more light. OBS: see Stats for frames that \
         were skipped, and choose a faster preset. A shared screen that stands still is sent slowly on purpose.",
    ))
}

fn size_changes(watch: &TrackWatch, now: Instant) -> Found {
    let count = watch.size_changes(now);
    (count > SIZE_CHANGES_MAX).then(|| {
        (
            "resolution_changes",
            format!("The size of the picture changed {count} times within a minute. Each change is a break in HLS and recordings."),
            "Choose a resolution and bitrate that device and network hold. Browsers shrink the picture when they are short of \
             either.",
        )
    })
}

fn loss(watch: &TrackWatch, _: Instant) -> Found {
    let percent = watch.loss_percent().filter(|percent| *percent > LOSS_MAX_PERCENT)?;
    Some((
        "loss",
        format!("{percent:.1} % of the packets did not reach the server lately, repairs included."),
        "Send with a lower bitrate. A cable is better than Wi-Fi; other devices may use up the uplink.",
    ))
}

fn jitter(watch: &TrackWatch, _: Instant) -> Found {
    let jitter = watch.jitter().filter(|jitter| *jitter > JITTER_MAX)?;
    Some((
        "jitter",
        format!("Packets come unevenly: {} ms of jitter.", jitter.as_millis()),
        "A cable is better than Wi-Fi. If the device is busy, a smaller picture or a faster preset helps.",
    ))
}

fn no_reports(watch: &TrackWatch, now: Instant) -> Found {
    watch.lacks_reports(now, REPORTS_WITHIN).then(|| {
        (
            "no_sender_reports",
            "No RTCP sender reports come. Sound and pictures are aligned by when they arrive, which is a guess.".into(),
            "Look for an update of the program that sends, and whether a firewall lets RTCP through.",
        )
    })
}

#[cfg(test)]
mod tests;
