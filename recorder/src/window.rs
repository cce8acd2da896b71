//! The live window: the newest segments of a broadcast, listed and ready to serve.
//!
//! Holds what was cut, no copy of it, and forgets it in time: a segment is listed for one window length and served for
//! one more, so that a player that has just read the playlist still gets what stands in it. The playlists are HLS
//! version 7 (RFC 8216); the renditions share media sequence numbers and discontinuities.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onair_media::MediaKind;

use crate::cut::{Cut, Init, Segment};
use crate::listing::{self, Head, Line};
use crate::playlist::{Multivariant, PlaylistError, Rendition, wallclock};
use crate::ticks::to_duration;

/// The fewest segments that are listed, once there are so many.
const LISTED_MIN: usize = 3;

/// Says how much is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSettings {
    /// How much is listed; never less than three target durations (RFC 8216 §6.2.2).
    pub window: Duration,
    /// `EXT-X-TARGETDURATION`, see [`crate::FragmenterSettings::target_duration_s`].
    pub target_duration_s: u32,
}

impl WindowSettings {
    fn listed(&self) -> Duration {
        self.window.max(Duration::from_secs(3 * u64::from(self.target_duration_s)))
    }
}

/// One media sequence number, in all renditions.
#[derive(Debug)]
struct Span {
    msn: u64,
    start: DateTime<Utc>,
    duration: Duration,
    discontinuity: bool,
}

impl Span {
    /// Tells what a rendition lists, which has that segment, or none.
    fn line(&self, segment: Option<&Arc<Segment>>) -> Line {
        let duration = segment.map_or(self.duration, |segment| to_duration(segment.kind, segment.duration_ticks));
        let init = segment.map(|segment| segment.init);
        Line { msn: self.msn, start: self.start, duration, discontinuity: self.discontinuity, init }
    }
}

/// What is kept of one rendition.
#[derive(Debug, Default)]
struct Kept {
    inits: BTreeMap<u32, Init>,
    segments: BTreeMap<u64, Arc<Segment>>,
    first_msn: Option<u64>,
}

/// Keeps and lists the newest segments of one broadcast.
#[derive(Debug)]
pub struct Window {
    settings: WindowSettings,
    spans: VecDeque<Span>,
    /// How many of the spans, from the front, are served but no longer listed.
    unlisted: usize,
    /// How many discontinuities stood before the first span.
    discontinuities_gone: u64,
    /// The highest number that a part or segment was announced with: lower ones are whole.
    newest_msn: u64,
    video: Kept,
    audio: Kept,
    ended: bool,
}

impl Window {
    /// Begins an empty window.
    pub fn new(settings: WindowSettings) -> Self {
        Self {
            settings,
            spans: VecDeque::new(),
            unlisted: 0,
            discontinuities_gone: 0,
            newest_msn: 0,
            video: Kept::default(),
            audio: Kept::default(),
            ended: false,
        }
    }

    /// Takes the next cut; `epoch` is the wall clock of pts 0.
    pub fn push(&mut self, cut: &Cut, epoch: DateTime<Utc>) {
        match cut {
            Cut::Init(init) => {
                self.kept_mut(init.kind).inits.insert(init.index, init.clone());
            }
            Cut::Part(part) => self.newest_msn = self.newest_msn.max(part.msn),
            Cut::Segment(segment) => self.push_segment(segment, epoch),
            Cut::KeyframeWanted => {}
        }
    }

    /// Says that the broadcast is over: the playlists end with `EXT-X-ENDLIST`.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// Renders the media playlist of a rendition, or `None` while it has no segment to list.
    ///
    /// A number that the rendition had no media for is a gap (`EXT-X-GAP`).
    pub fn media_playlist(&self, kind: MediaKind) -> Option<String> {
        let kept = self.kept(kind);
        let first_msn = kept.first_msn?;
        // A missing segment may still come while its number is the newest.
        let whole = |span: &&Span| kept.segments.contains_key(&span.msn) || span.msn < self.newest_msn || self.ended;
        let spans = self.listed().filter(|span| span.msn >= first_msn).take_while(whole);
        let lines: Vec<Line> = spans.map(|span| span.line(kept.segments.get(&span.msn))).collect();
        let first = lines.first()?;
        let before = self.spans.iter().take_while(|span| span.msn < first.msn);
        let head = Head {
            target_duration_s: self.settings.target_duration_s,
            discontinuities_before: self.discontinuities_gone + before.filter(|span| span.discontinuity).count() as u64,
            playlist_type: None,
            ended: self.ended,
        };
        listing::render(head, &lines)
    }

    /// Renders the multivariant playlist, or `None` while nothing is listed. `prefix` is put before each relative URI.
    ///
    /// # Errors
    /// [`PlaylistError`] is a defect: no input should lead there.
    pub fn multivariant(&self, prefix: &str) -> Result<Option<String>, PlaylistError> {
        let multivariant = Multivariant {
            video: self.rendition(MediaKind::Video),
            audio: self.rendition(MediaKind::Audio),
            // The playlist is read once and holds for what is still to come, which may be cut without a keyframe.
            independent_segments: false,
        };
        multivariant.render(prefix)
    }

    /// Returns an object of a rendition by its name: `init-1.mp4`, `000001.m4s`.
    pub fn object(&self, kind: MediaKind, name: &str) -> Option<Bytes> {
        let kept = self.kept(kind);
        if let Some(index) = name.strip_prefix("init-").and_then(|rest| rest.strip_suffix(".mp4")) {
            let init = kept.inits.get(&index.parse().ok()?)?;
            return (init.object_name() == name).then(|| init.bytes.clone());
        }
        let segment = kept.segments.get(&name.strip_suffix(".m4s")?.parse().ok()?)?;
        (segment.object_name() == name).then(|| segment.bytes.clone())
    }

    const fn kept(&self, kind: MediaKind) -> &Kept {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }

    const fn kept_mut(&mut self, kind: MediaKind) -> &mut Kept {
        match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        }
    }

    fn listed(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().skip(self.unlisted)
    }

    fn listed_segments(&self, kind: MediaKind) -> impl Iterator<Item = &Arc<Segment>> {
        self.listed().filter_map(move |span| self.kept(kind).segments.get(&span.msn))
    }

    /// Describes a rendition by its listed segments, or `None` when none is listed.
    fn rendition(&self, kind: MediaKind) -> Option<Rendition> {
        let mut rendition = Rendition::new(kind);
        for segment in self.listed_segments(kind) {
            if let Some(init) = self.kept(kind).inits.get(&segment.init) {
                rendition.add(segment, &init.config);
            }
        }
        (!rendition.is_empty()).then_some(rendition)
    }

    fn push_segment(&mut self, segment: &Arc<Segment>, epoch: DateTime<Utc>) {
        self.newest_msn = self.newest_msn.max(segment.msn);
        let duration = to_duration(segment.kind, segment.duration_ticks);
        match self.spans.back_mut() {
            Some(span) if span.msn == segment.msn => span.duration = span.duration.max(duration),
            _ => self.spans.push_back(Span {
                msn: segment.msn,
                start: wallclock(epoch, segment.kind, segment.start_ticks),
                duration,
                discontinuity: segment.discontinuity,
            }),
        }
        let kept = self.kept_mut(segment.kind);
        kept.first_msn.get_or_insert(segment.msn);
        kept.segments.insert(segment.msn, Arc::clone(segment));
        self.forget();
    }

    /// Takes off the list what is older than the window, and forgets what is older than two.
    fn forget(&mut self) {
        let listed = self.settings.listed();
        let mut rest: Duration = self.listed().map(|span| span.duration).sum();
        while self.spans.len() - self.unlisted > LISTED_MIN
            && let Some(oldest) = self.spans.get(self.unlisted)
            && rest.saturating_sub(oldest.duration) >= listed
        {
            rest -= oldest.duration;
            self.unlisted += 1;
        }
        let mut grace: Duration = self.spans.iter().take(self.unlisted).map(|span| span.duration).sum();
        while grace > listed
            && let Some(oldest) = self.spans.pop_front()
        {
            grace -= oldest.duration;
            self.unlisted -= 1;
            self.discontinuities_gone += u64::from(oldest.discontinuity);
            self.video.forget(oldest.msn);
            self.audio.forget(oldest.msn);
        }
    }
}

impl Kept {
    /// Forgets a segment, and the initialisation segments that only older ones needed.
    fn forget(&mut self, msn: u64) {
        self.segments.remove(&msn);
        if let Some((_, oldest)) = self.segments.first_key_value() {
            self.inits = self.inits.split_off(&oldest.init);
        }
    }
}

#[cfg(test)]
mod tests {
    use hls_m3u8::MediaPlaylist;

    use super::*;
    use crate::testing::{broadcast, frame, h264, pull};
    use crate::{Fragmenter, FragmenterSettings};

    const SETTINGS: FragmenterSettings =
        FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

    fn window(seconds: u64) -> (Fragmenter, Window) {
        let fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]);
        let window = Window::new(WindowSettings {
            window: Duration::from_secs(seconds),
            target_duration_s: SETTINGS.target_duration_s(),
        });
        (fragmenter, window)
    }

    fn feed(fragmenter: &mut Fragmenter, window: &mut Window) {
        pull(fragmenter).all.iter().for_each(|cut| window.push(cut, DateTime::UNIX_EPOCH));
    }

    #[test]
    fn the_live_playlist_is_plain_hls() {
        let (mut fragmenter, mut window) = window(60);
        assert!(window.media_playlist(MediaKind::Video).is_none());
        broadcast(&mut fragmenter, 0, 5, 1);
        fragmenter.discontinuity();
        broadcast(&mut fragmenter, 7, 1, 1);
        fragmenter.finish();
        feed(&mut fragmenter, &mut window);
        window.end();
        let text = window.media_playlist(MediaKind::Video).unwrap();
        let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:1\n\
            #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"init-1.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:4.00000,\n000001.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n#EXTINF:1.00000,\n000002.m4s\n\
            #EXT-X-DISCONTINUITY\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:07.000Z\n#EXTINF:1.00000,\n000003.m4s\n#EXT-X-ENDLIST\n";
        assert_eq!(text, expected);
        assert_eq!(MediaPlaylist::try_from(text.as_str()).unwrap().segments.num_elements(), 3);
    }

    #[test]
    fn what_is_listed_is_served_and_what_is_old_is_forgotten() {
        // A window of 20 s: 5 segments of 4 s are listed, and served for 20 s more.
        let (mut fragmenter, mut window) = window(20);
        for round in 0..20 {
            broadcast(&mut fragmenter, round * 4, 4, 1);
            feed(&mut fragmenter, &mut window);
        }
        // 20 rounds; the last segment still waits for its end. So 19 are cut, 15 to 19 listed, 10 to 14 served.
        let text = window.media_playlist(MediaKind::Audio).unwrap();
        let parsed = MediaPlaylist::try_from(text.as_str()).unwrap();
        assert_eq!((parsed.media_sequence, parsed.segments.num_elements()), (15, 5));
        for segment in parsed.segments.values() {
            assert!(window.object(MediaKind::Audio, segment.uri()).is_some());
        }
        assert!(window.object(MediaKind::Video, "000010.m4s").is_some());
        assert!(window.object(MediaKind::Video, "000009.m4s").is_none());
        assert!(window.object(MediaKind::Video, "init-1.mp4").is_some());
        for odd in ["", "10.m4s", "000010", "init-01.mp4", "init-+1.mp4", "init-2.mp4", "../000010.m4s"] {
            assert!(window.object(MediaKind::Video, odd).is_none(), "{odd}");
        }
        // What comes next may have to be cut without a keyframe.
        assert!(!window.multivariant("").unwrap().unwrap().contains("INDEPENDENT-SEGMENTS"));
    }

    #[test]
    fn discontinuities_that_left_the_list_are_counted() {
        let (mut fragmenter, mut window) = window(1);
        for round in 0..20 {
            broadcast(&mut fragmenter, round * 6, 4, 1);
            fragmenter.discontinuity();
        }
        feed(&mut fragmenter, &mut window);
        // 20 segments, flagged from the second on. 3 x 6 s need 5 segments of 4 s: 16 to 20; 2 to 15 are gone.
        let text = window.media_playlist(MediaKind::Video).unwrap();
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:16\n#EXT-X-DISCONTINUITY-SEQUENCE:14\n#EXT-X-DISCONTINUITY\n"));
    }

    #[test]
    fn a_number_without_media_is_a_gap() {
        let (mut fragmenter, mut window) = window(60);
        broadcast(&mut fragmenter, 0, 5, 1);
        // Sound stops at 5 s and comes back at 20 s.
        for index in 150..600 {
            fragmenter.push(MediaKind::Video, frame(&h264(), index * 3_000, index % 30 == 0));
        }
        broadcast(&mut fragmenter, 20, 6, 1);
        fragmenter.finish();
        feed(&mut fragmenter, &mut window);
        let text = window.media_playlist(MediaKind::Audio).unwrap();
        assert!(text.contains("#EXT-X-GAP\n#EXTINF:4.00000,\n000004.m4s\n"), "{text}");
        let numbers = |kind| window.media_playlist(kind).unwrap().matches(".m4s").count();
        assert_eq!(numbers(MediaKind::Audio), numbers(MediaKind::Video));
        assert_eq!(text.matches("DISCONTINUITY\n").count(), 1);
    }
}
