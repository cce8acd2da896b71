//! The text of a media playlist, live or recorded (RFC 8216 §4.3.3).
//!
//! Written here and not by hls_m3u8, which knows no `EXT-X-GAP`; in the tests it reads what is written.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// Says what stands before and behind the segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// `EXT-X-TARGETDURATION`.
    pub(crate) target_duration_s: u32,
    /// How many discontinuities there were before the first line, its own not counted (RFC 8216 §4.3.3.3).
    pub(crate) discontinuities_before: u64,
    /// `EXT-X-PLAYLIST-TYPE`: none while lines are taken off the list.
    pub(crate) playlist_type: Option<&'static str>,
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
    let mut text = String::with_capacity(256 + lines.len() * 128);
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        writeln!(text, "{arguments}").expect("writing to a string does not fail");
    };
    line(format_args!("#EXTM3U"));
    line(format_args!("#EXT-X-VERSION:7"));
    line(format_args!("#EXT-X-TARGETDURATION:{}", head.target_duration_s));
    line(format_args!("#EXT-X-MEDIA-SEQUENCE:{}", first.msn));
    line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", head.discontinuities_before));
    if let Some(playlist_type) = head.playlist_type {
        line(format_args!("#EXT-X-PLAYLIST-TYPE:{playlist_type}"));
    }
    let mut init = None;
    for listed in lines {
        write_line(&mut line, listed, &mut init);
    }
    if head.ended {
        line(format_args!("#EXT-X-ENDLIST"));
    }
    Some(text)
}

/// Writes the tags of one number; `init` is the initialisation segment that is in force.
fn write_line(line: &mut impl FnMut(std::fmt::Arguments<'_>), listed: &Line, init: &mut Option<u32>) {
    if listed.discontinuity {
        line(format_args!("#EXT-X-DISCONTINUITY"));
    }
    if let Some(needed) = listed.init
        && init.replace(needed) != Some(needed)
    {
        line(format_args!("#EXT-X-MAP:URI=\"init-{needed}.mp4\""));
    }
    line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", listed.start.to_rfc3339_opts(SecondsFormat::Millis, true)));
    if listed.init.is_none() {
        line(format_args!("#EXT-X-GAP"));
    }
    line(format_args!("#EXTINF:{:.5},", listed.duration.as_secs_f64()));
    line(format_args!("{:06}.m4s", listed.msn));
}
