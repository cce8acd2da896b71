//! What a media playlist says, by two parsers that are not ours: hls_m3u8 and the m3u8 package of PyPI.

use std::time::Duration;

use hls_m3u8::MediaPlaylist;
use serde_json::{Value, json};

use super::python;

/// Holds a media playlist as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Playlist {
    pub(crate) target_duration_s: u64,
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    pub(crate) is_ended: bool,
    /// Whole ones, in their order; their numbers begin with the media sequence number.
    pub(crate) segments: Vec<Segment>,
}

/// Holds one segment of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) uri: String,
    pub(crate) duration_us: u64,
    pub(crate) is_discontinuity: bool,
    pub(crate) init: Option<String>,
}

impl Playlist {
    /// Reads a playlist with hls_m3u8, which knows RFC 8216 and keeps the tags of low latency as unknown ones.
    pub(crate) fn parse(text: &str) -> Self {
        // It wants a segment behind each tag, and knows no version above 7.
        let whole = text.rfind(".m4s\n").map_or(text, |last| &text[..last + ".m4s\n".len()]);
        let end = if text.contains("#EXT-X-ENDLIST") { "#EXT-X-ENDLIST\n" } else { "" };
        let known = format!("{whole}{end}").replace("#EXT-X-VERSION:9", "#EXT-X-VERSION:7");
        let parsed = MediaPlaylist::try_from(known.as_str()).unwrap_or_else(|error| panic!("{error}: {text}"));
        for tag in ["#EXT-X-SERVER-CONTROL:", "#EXT-X-PART-INF:"] {
            assert_eq!(parsed.unknown.iter().filter(|line| line.starts_with(tag)).count(), 1, "{tag} {text}");
        }
        // It gives a map to the segment that follows it, and not to those behind.
        let mut init = None;
        let segments = parsed.segments.values().map(|segment| Segment {
            uri: segment.uri().to_string(),
            duration_us: micros(segment.duration.duration().as_secs_f64()),
            is_discontinuity: segment.has_discontinuity,
            init: {
                init = segment.map.as_ref().map(|map| map.uri().to_string()).or_else(|| init.clone());
                init.clone()
            },
        });
        Self {
            target_duration_s: parsed.target_duration.as_secs(),
            media_sequence: parsed.media_sequence as u64,
            discontinuity_sequence: parsed.discontinuity_sequence as u64,
            is_ended: parsed.has_end_list,
            segments: segments.collect(),
        }
    }

    /// Returns how long all of it lasts.
    pub(crate) fn seconds(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration_us).sum::<u64>() as f64 / 1e6
    }
}

/// Playlists have five decimal places: two parsers may differ behind them.
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

/// Reads playlists with both parsers and checks that they read the same.
#[track_caller]
pub(crate) fn parse_all(texts: &[String]) -> Vec<Playlist> {
    let mut reader = python("hls_parse.py", &[]);
    reader.say(&json!(texts).to_string());
    let found = reader.wait_for("they are parsed", Duration::from_secs(60), |event| event["event"] == "parsed");
    let others = found["playlists"].as_array().expect("a list");
    assert_eq!(others.len(), texts.len());
    let parsed = texts.iter().map(|text| Playlist::parse(text));
    let check = |(ours, (theirs, text)): (Playlist, (&Value, &String))| {
        assert_eq!(ours, from_json(theirs), "{text}");
        ours
    };
    parsed.zip(others.iter().zip(texts)).map(check).collect()
}

fn from_json(playlist: &Value) -> Playlist {
    let number = |name: &str| playlist[name].as_u64().unwrap_or_else(|| panic!("{name}: {playlist}"));
    let segment = |segment: &Value| Segment {
        uri: segment[0].as_str().expect("a name").into(),
        duration_us: micros(segment[1].as_f64().expect("seconds")),
        is_discontinuity: segment[2].as_bool().expect("yes or no"),
        init: segment[3].as_str().map(Into::into),
    };
    Playlist {
        target_duration_s: number("target_duration"),
        media_sequence: number("media_sequence"),
        discontinuity_sequence: number("discontinuity_sequence"),
        is_ended: playlist["has_end_list"].as_bool().expect("yes or no"),
        segments: playlist["segments"].as_array().expect("a list").iter().map(segment).collect(),
    }
}
