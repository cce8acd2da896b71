//! The text of a live media playlist: parts, hints, reports, and the delta that leaves out what players have
//! (RFC 8216bis §4.4).

use std::sync::Arc;
use std::time::Duration;

use onair_media::MediaKind;

use super::names::MediaName;
use super::progress::Progress;
use crate::cut::Part;
use crate::listing::{Line, Text};
use crate::ticks::to_duration;

/// How many part targets a player stays behind the end, at least (RFC 8216bis §4.4.3.8).
const PART_HOLD_BACK: u32 = 3;
/// How many target durations a player stays behind the end that does not play parts (RFC 8216bis §4.4.3.8).
const HOLD_BACK: u32 = 3;
/// How many target durations from the end a delta begins, at least (RFC 8216bis §4.4.3.8).
const SKIP_UNTIL: u32 = 6;
/// How many target durations from the end parts are listed (RFC 8216bis §6.2.2).
const PARTS_UNTIL: u32 = 3;

/// Says what never changes in a playlist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixed {
    pub(super) target_duration_s: u32,
    pub(super) part_target: Duration,
    /// How much is listed.
    pub(super) listed: Duration,
}

/// Holds one media sequence number of one rendition, with its parts.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    pub(super) line: Line,
    /// All parts; how many of them are written depends on how far they are from the end.
    pub(super) parts: &'a [Arc<Part>],
}

/// Holds all that one playlist lists.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// How many discontinuities there were before the first line, its own not counted.
    pub(super) discontinuities_before: u64,
    /// Whole segments and gaps, at least one; their numbers follow one another.
    pub(super) whole: Vec<Listed<'a>>,
    /// The segment that still grows, if it has a part; its duration is that of its parts.
    pub(super) open: Option<Listed<'a>>,
    pub(super) progress: Progress,
}

/// Holds a live media playlist as text.
#[derive(Debug, Clone)]
pub struct LivePlaylist {
    /// How far it has come.
    pub progress: Progress,
    /// All of it.
    pub text: String,
    skip: Option<Skip>,
}

/// Says what a delta leaves out: so many segments, which stand between these places of the text.
#[derive(Debug, Clone, Copy)]
struct Skip {
    segments: usize,
    from: usize,
    to: usize,
}

impl LivePlaylist {
    /// Returns the playlist without the segments before the skip boundary, or `None` when there are none such, or when
    /// nothing more will come (L14, RFC 8216bis §6.2.5.1).
    pub fn delta(&self) -> Option<String> {
        let Skip { segments, from, to } = self.skip?;
        Some(format!("{}#EXT-X-SKIP:SKIPPED-SEGMENTS={segments}\n{}", &self.text[..from], &self.text[to..]))
    }
}

impl Fixed {
    fn target_durations(&self, count: u32) -> Duration {
        Duration::from_secs(u64::from(self.target_duration_s) * u64::from(count))
    }

    /// Returns how far from the end a delta begins, or `None` when nothing that is listed is that far.
    fn skip_until(&self) -> Option<Duration> {
        let boundary = self.target_durations(SKIP_UNTIL);
        (self.listed > boundary).then_some(boundary)
    }
}

impl View<'_> {
    /// Renders the playlist; `other` is how far the other rendition has come.
    pub(super) fn render(&self, fixed: &Fixed, other: Option<(MediaKind, Progress)>) -> LivePlaylist {
        let mut text = Text::with_capacity(1024 + self.whole.len() * 160);
        self.head(fixed, &mut text);
        let from = text.0.len();
        let mut skip = None;
        let mut init = None;
        let mut to_end = self.duration();
        for (index, listed) in self.whole.iter().enumerate() {
            to_end = to_end.saturating_sub(listed.line.duration);
            text.opening(&listed.line, &mut init);
            if to_end < fixed.target_durations(PARTS_UNTIL) {
                parts(&mut text, listed);
            }
            text.segment(&listed.line);
            if fixed.skip_until().is_some_and(|boundary| to_end >= boundary) {
                skip = Some(Skip { segments: index + 1, from, to: text.0.len() });
            }
        }
        if let Some(open) = &self.open {
            text.opening(&open.line, &mut init);
            parts(&mut text, open);
        }
        self.tail(&mut text, other);
        let skip = skip.filter(|_| !self.progress.ended);
        LivePlaylist { progress: self.progress, text: text.0, skip }
    }

    fn duration(&self) -> Duration {
        self.whole.iter().chain(&self.open).map(|listed| listed.line.duration).sum()
    }

    fn head(&self, fixed: &Fixed, text: &mut Text) {
        text.line(format_args!("#EXTM3U"));
        // Deltas need 9 (RFC 8216bis §8).
        text.line(format_args!("#EXT-X-VERSION:9"));
        text.line(format_args!("#EXT-X-TARGETDURATION:{}", fixed.target_duration_s));
        let part_hold_back = (fixed.part_target * PART_HOLD_BACK).as_secs_f64();
        let hold_back = fixed.target_durations(HOLD_BACK).as_secs();
        let skip_until = fixed.skip_until().map(|boundary| format!(",CAN-SKIP-UNTIL={}", boundary.as_secs()));
        let skip_until = skip_until.unwrap_or_default();
        text.line(format_args!(
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={part_hold_back:.5},HOLD-BACK={hold_back}{skip_until}"
        ));
        text.line(format_args!("#EXT-X-PART-INF:PART-TARGET={:.5}", fixed.part_target.as_secs_f64()));
        let first_msn = self.whole.first().map_or(0, |listed| listed.line.msn);
        text.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{first_msn}"));
        text.line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuities_before));
    }

    /// Writes what comes next, and how far the other rendition is; or that this is the end.
    fn tail(&self, text: &mut Text, other: Option<(MediaKind, Progress)>) {
        let Some((msn, part)) = self.progress.hinted() else {
            return text.line(format_args!("#EXT-X-ENDLIST"));
        };
        text.line(format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"", MediaName::Part(msn, part)));
        if let Some((kind, progress)) = other {
            let (msn, part) = progress.newest();
            let part = part.map(|part| format!(",LAST-PART={part}")).unwrap_or_default();
            let uri = format_args!("../{}/index.m3u8", kind.as_str());
            text.line(format_args!("#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={msn}{part}"));
        }
    }
}

fn parts(text: &mut Text, listed: &Listed<'_>) {
    for part in listed.parts {
        let seconds = to_duration(part.kind, part.duration_ticks).as_secs_f64();
        let name = MediaName::Part(part.msn, part.index);
        let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
        text.line(format_args!("#EXT-X-PART:DURATION={seconds:.5},URI=\"{name}\"{independent}"));
    }
}
