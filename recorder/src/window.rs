//! The live window: the newest segments and parts of a broadcast, listed and ready to serve.
//!
//! Holds what was cut, no copy of it, and forgets it in time: a segment is served for as long after it left the list as
//! a player may still know of it. The playlists are those of low-latency HLS (RFC 8216bis); the renditions share media
//! sequence numbers and discontinuities.

mod directives;
mod low_latency;
mod names;
mod progress;
#[cfg(test)]
mod properties;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use onair_media::MediaKind;

pub use self::directives::{DirectiveError, Directives, Until};
pub use self::low_latency::LivePlaylist;
pub use self::names::MediaName;
pub use self::progress::{Decision, Progress};
pub use self::tail::{Next, Tail};

use self::low_latency::{Fixed, Listed, View};
use crate::cut::{Cut, Init, Part, Segment};
use crate::listing::Line;
use crate::playlist::{Multivariant, PlaylistError, Rendition, wallclock};
use crate::ticks::to_duration;

/// The fewest segments that are listed, once there are so many.
const LISTED_MIN: usize = 3;

/// Says how much is listed, and what the playlists promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSettings {
    /// How much is listed; never less than three target durations (RFC 8216bis §6.2.2).
    pub window: Duration,
    /// `EXT-X-TARGETDURATION`, see [`crate::FragmenterSettings::target_duration_s`].
    pub target_duration_s: u32,
    /// `PART-TARGET`, see [`crate::FragmenterSettings::part_target`].
    pub part_target: Duration,
}

impl WindowSettings {
    fn listed(&self) -> Duration {
        self.window.max(self.target_duration() * 3)
    }

    /// Returns `EXT-X-TARGETDURATION`.
    pub const fn target_duration(&self) -> Duration {
        Duration::from_secs(self.target_duration_s as u64)
    }

    fn fixed(&self) -> Fixed {
        let Self { target_duration_s, part_target, .. } = *self;
        Fixed { target_duration_s, part_target, listed: self.listed() }
    }
}

/// One media sequence number that is whole, in all renditions.
#[derive(Debug)]
struct Span {
    msn: u64,
    start: DateTime<Utc>,
    duration: Duration,
    discontinuity: bool,
    /// Once it is off the list: when it is forgotten.
    forget_at: DateTime<Utc>,
}

/// A segment, and when it began.
#[derive(Debug)]
struct Held {
    segment: Arc<Segment>,
    start: DateTime<Utc>,
}

/// The segment of a rendition that still grows.
#[derive(Debug)]
struct Open {
    msn: u64,
    start: DateTime<Utc>,
    parts: Vec<Arc<Part>>,
}

/// What is kept of one rendition.
#[derive(Debug, Default)]
struct Kept {
    inits: BTreeMap<u32, Init>,
    segments: BTreeMap<u64, Held>,
    first_msn: Option<u64>,
    open: Option<Open>,
}

/// Keeps and lists the newest segments and parts of one broadcast.
#[derive(Debug)]
pub struct Window {
    settings: WindowSettings,
    spans: VecDeque<Span>,
    /// How many of the spans, from the front, are served but no longer listed.
    unlisted: usize,
    /// When the newest media ends.
    newest_end: DateTime<Utc>,
    /// The longest that the list ever was.
    longest: Duration,
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
            newest_end: DateTime::<Utc>::MIN_UTC,
            longest: Duration::ZERO,
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
            Cut::Part(part) => self.push_part(part, epoch),
            Cut::Segment(segment) => self.push_segment(segment, epoch),
            Cut::KeyframeWanted => {}
        }
    }

    /// Says that the broadcast is over: the playlists end with `EXT-X-ENDLIST`.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// Renders the media playlist of a rendition, or `None` while it has no whole segment to list.
    ///
    /// A number that the rendition had no media for is a gap (`EXT-X-GAP`).
    pub fn media_playlist(&self, kind: MediaKind) -> Option<LivePlaylist> {
        let other = match kind {
            MediaKind::Video => MediaKind::Audio,
            MediaKind::Audio => MediaKind::Video,
        };
        let report = self.view(other).map(|view| (other, view.progress));
        Some(self.view(kind)?.render(&self.settings.fixed(), report))
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

    /// Returns an object of a rendition.
    pub fn object(&self, kind: MediaKind, name: MediaName) -> Option<Bytes> {
        let kept = self.kept(kind);
        match name {
            MediaName::Init(index) => kept.inits.get(&index).map(|init| init.bytes.clone()),
            MediaName::Segment(msn) => kept.segments.get(&msn).map(|held| held.segment.bytes.clone()),
            MediaName::Part(msn, index) => kept.part(msn, index).map(|part| part.bytes.clone()),
        }
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

    /// Gathers what the playlist of a rendition lists, or `None` while it has no whole segment.
    fn view(&self, kind: MediaKind) -> Option<View<'_>> {
        let kept = self.kept(kind);
        let first_msn = kept.first_msn?;
        // A missing segment may still come while its number is the newest.
        let whole = |span: &&Span| kept.segments.contains_key(&span.msn) || span.msn < self.newest_msn || self.ended;
        let spans = self.listed().filter(|span| span.msn >= first_msn).take_while(whole);
        let whole: Vec<_> = spans.map(|span| kept.listed(span)).collect();
        let (first, last) = (whole.first()?, whole.last()?);
        let before = self.spans.iter().take_while(|span| span.msn < first.line.msn);
        let discontinuities_before =
            self.discontinuities_gone + before.filter(|span| span.discontinuity).count() as u64;
        let open = kept.open.as_ref().filter(|open| open.msn == last.line.msn + 1).and_then(Open::listed);
        let progress = Progress {
            last_msn: last.line.msn,
            last_parts: last.parts.len() as u32,
            open_parts: open.as_ref().map_or(0, |open| open.parts.len() as u32),
            advance_parts: progress::advance_parts(self.settings.part_target),
            ended: self.ended,
        };
        Some(View { discontinuities_before, whole, open, progress })
    }

    /// Describes a rendition by its listed segments, or `None` when none is listed.
    fn rendition(&self, kind: MediaKind) -> Option<Rendition> {
        let mut rendition = Rendition::new(kind);
        let kept = self.kept(kind);
        for Held { segment, .. } in self.listed().filter_map(|span| kept.segments.get(&span.msn)) {
            if let Some(init) = kept.inits.get(&segment.init) {
                rendition.add(segment, &init.config);
            }
        }
        (!rendition.is_empty()).then_some(rendition)
    }

    fn push_part(&mut self, part: &Arc<Part>, epoch: DateTime<Utc>) {
        self.newest_msn = self.newest_msn.max(part.msn);
        let start = wallclock(epoch, part.kind, part.start_ticks);
        self.newest_end = self.newest_end.max(later(start, to_duration(part.kind, part.duration_ticks)));
        let kept = self.kept_mut(part.kind);
        match &mut kept.open {
            Some(open) if open.msn == part.msn => open.parts.push(Arc::clone(part)),
            open => {
                *open = Some(Open { msn: part.msn, start, parts: vec![Arc::clone(part)] });
            }
        }
    }

    fn push_segment(&mut self, segment: &Arc<Segment>, epoch: DateTime<Utc>) {
        self.newest_msn = self.newest_msn.max(segment.msn);
        let duration = to_duration(segment.kind, segment.duration_ticks);
        let start = wallclock(epoch, segment.kind, segment.start_ticks);
        match self.spans.back_mut() {
            Some(span) if span.msn == segment.msn => span.duration = span.duration.max(duration),
            _ => self.spans.push_back(Span {
                msn: segment.msn,
                start,
                duration,
                discontinuity: segment.discontinuity,
                forget_at: start,
            }),
        }
        let kept = self.kept_mut(segment.kind);
        kept.first_msn.get_or_insert(segment.msn);
        kept.open.take_if(|open| open.msn == segment.msn);
        kept.segments.insert(segment.msn, Held { segment: Arc::clone(segment), start });
        self.forget();
    }

    /// Takes off the list what is older than the window, and forgets what no player can know of any more.
    fn forget(&mut self) {
        let listed = self.settings.listed();
        let mut rest: Duration = self.listed().map(|span| span.duration).sum();
        // The open segment is on the list too.
        self.longest = self.longest.max(rest + self.settings.target_duration());
        while self.spans.len() - self.unlisted > LISTED_MIN
            && let Some(oldest) = self.spans.get_mut(self.unlisted)
            && rest.saturating_sub(oldest.duration) >= listed
        {
            rest -= oldest.duration;
            // Its own duration and that of the longest playlist that it was in (RFC 8216bis §6.2.2).
            oldest.forget_at = later(self.newest_end, self.longest + oldest.duration);
            self.unlisted += 1;
        }
        while self.unlisted > 0
            && let Some(oldest) = self.spans.pop_front_if(|oldest| oldest.forget_at <= self.newest_end)
        {
            self.unlisted -= 1;
            self.discontinuities_gone += u64::from(oldest.discontinuity);
            self.video.forget(oldest.msn);
            self.audio.forget(oldest.msn);
        }
    }
}

/// Returns a later moment, or the last one that there is.
fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Kept {
    /// Returns what is listed of a number: the segment, or a gap.
    fn listed(&self, span: &Span) -> Listed<'_> {
        let Span { msn, start, duration, discontinuity, .. } = *span;
        match self.segments.get(&msn) {
            None => Listed { line: Line { msn, start, duration, discontinuity, init: None }, parts: &[] },
            Some(Held { segment, start }) => {
                let duration = to_duration(segment.kind, segment.duration_ticks);
                let line = Line { msn, start: *start, duration, discontinuity, init: Some(segment.init) };
                Listed { line, parts: &segment.parts }
            }
        }
    }

    fn part(&self, msn: u64, index: u32) -> Option<&Arc<Part>> {
        self.parts(msn)?.get(index as usize)
    }

    /// Returns the parts of a number so far.
    fn parts(&self, msn: u64) -> Option<&[Arc<Part>]> {
        match (self.segments.get(&msn), &self.open) {
            (Some(held), _) => Some(&held.segment.parts),
            (None, Some(open)) if open.msn == msn => Some(&open.parts),
            _ => None,
        }
    }

    /// Forgets a segment, and the initialisation segments that only older ones needed.
    fn forget(&mut self, msn: u64) {
        self.segments.remove(&msn);
        if let Some((_, oldest)) = self.segments.first_key_value() {
            self.inits = self.inits.split_off(&oldest.segment.init);
        }
    }
}

impl Open {
    fn listed(&self) -> Option<Listed<'_>> {
        let first = self.parts.first()?;
        let ticks = self.parts.iter().map(|part| part.duration_ticks).sum();
        let line = Line {
            msn: self.msn,
            start: self.start,
            duration: to_duration(first.kind, ticks),
            discontinuity: first.discontinuity,
            init: Some(first.init),
        };
        Some(Listed { line, parts: &self.parts })
    }
}
