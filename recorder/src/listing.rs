//! The text of a media playlist of a recording (RFC 8216 §4.3.3), and the lines that the live one has too.
//!
//! Written here and not by hls_m3u8, which knows no `EXT-X-GAP`; in the tests it reads what is written.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::window::MediaName;

/// Says what stands before and behind the segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// `EXT-X-TARGETDURATION`.
    pub(crate) target_duration_s: u32,
    /// How many discontinuities there were before the first line, its own not counted (RFC 8216 §4.3.3.3).
    pub(crate) discontinuities_before: u64,
    /// `EXT-X-PLAYLIST-TYPE`.
    pub(crate) playlist_type: &'static str,
    /// Whether no more lines will follow: `EXT-X-ENDLIST`.
    pub(crate) ended: bool,
}

/// Holds one media sequence number of one rendition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) msn: u64,
    pub(crate) start: DateTime<Utc>,
    pub(crate) duration: Duration,
    pub(crate) discontinuity: bool,
    /// The initialisation segment, or `None` when the rendition has no media here: a gap.
    pub(crate) init: Option<u32>,
}

/// Renders the playlist, or `None` when there is no line. The numbers of the lines must follow one another, for only
/// the first is written.
///
/// The version is 7 with and without gaps, so that a playlist that grows never changes its head; who does not know
/// `EXT-X-GAP` has to ignore it (RFC 8216 §6.3.1) and finds no such object.
pub(crate) fn render(head: Head, lines: &[Line]) -> Option<String> {
    debug_assert!(lines.windows(2).all(|pair| pair[0].msn + 1 == pair[1].msn), "numbers follow one another");
    let first = lines.first()?;
    let mut text = Text::with_capacity(256 + lines.len() * 128);
    text.line(format_args!("#EXTM3U"));
    text.line(format_args!("#EXT-X-VERSION:7"));
    text.line(format_args!("#EXT-X-TARGETDURATION:{}", head.target_duration_s));
    text.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{}", first.msn));
    text.line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", head.discontinuities_before));
    text.line(format_args!("#EXT-X-PLAYLIST-TYPE:{}", head.playlist_type));
    let mut init = None;
    for listed in lines {
        text.opening(listed, &mut init);
        text.segment(listed);
    }
    if head.ended {
        text.line(format_args!("#EXT-X-ENDLIST"));
    }
    Some(text.0)
}

/// A playlist while it is being written.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    pub(crate) fn line(&mut self, arguments: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{arguments}").expect("writing to a string does not fail");
    }

    /// Writes the tags that stand before the media of a number, its parts included; `init` is the initialisation
    /// segment that is in force.
    pub(crate) fn opening(&mut self, listed: &Line, init: &mut Option<u32>) {
        if listed.discontinuity {
            self.line(format_args!("#EXT-X-DISCONTINUITY"));
        }
        if let Some(needed) = listed.init
            && init.replace(needed) != Some(needed)
        {
            self.line(format_args!("#EXT-X-MAP:URI=\"{}\"", MediaName::Init(needed)));
        }
        self.line(format_args!(
            "#EXT-X-PROGRAM-DATE-TIME:{}",
            listed.start.to_rfc3339_opts(SecondsFormat::Millis, true)
        ));
    }

    /// Writes the segment of a number, or that it is missing.
    pub(crate) fn segment(&mut self, listed: &Line) {
        if listed.init.is_none() {
            self.line(format_args!("#EXT-X-GAP"));
        }
        self.line(format_args!("#EXTINF:{:.5},", listed.duration.as_secs_f64()));
        self.line(format_args!("{}", MediaName::Segment(listed.msn)));
    }
}
