//! What a stored playlist lists, and how it differs from what it should.
//!
//! Read here and not by hls_m3u8, which would not tell where an `EXT-X-GAP` stands: the tags that [`crate::listing`]
//! writes, and nothing of the rest.

use chrono::{DateTime, Utc};

/// How far durations may be apart, in seconds: they are written with five decimals.
const DURATION_SLACK_S: f64 = 0.001;

/// How far dates may be apart: they are rounded to the millisecond, from an origin that was.
const DATE_SLACK_MS: i64 = 2;

/// Says whether lines may be missing at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// No: the recording has ended.
    Whole,
    /// Yes, on either side: it was written at another moment of a live recording.
    Beginning,
}

/// Holds what a media playlist says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MediaPlaylist {
    pub(crate) target_duration_s: u32,
    pub(crate) media_sequence: u64,
    pub(crate) ended: bool,
    pub(crate) lines: Vec<ListedLine>,
}

/// Holds what is said of one segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedLine {
    pub(crate) uri: String,
    pub(crate) duration_s: f64,
    pub(crate) date: Option<DateTime<Utc>>,
    pub(crate) gap: bool,
    pub(crate) discontinuity: bool,
    /// The initialisation segment that is in force.
    pub(crate) map: Option<String>,
}

impl MediaPlaylist {
    /// Reads a playlist (RFC 8216 §4.3), or returns what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some("#EXTM3U") {
            return Err("does not begin with #EXTM3U".into());
        }
        let mut playlist = Self::default();
        let (mut next, mut map) = (ListedLine::default(), None);
        for line in lines.filter(|line| !line.is_empty()) {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let wrong = || format!("has the line {line:?}");
            match tag {
                "#EXT-X-TARGETDURATION" => playlist.target_duration_s = value.parse().map_err(|_| wrong())?,
                "#EXT-X-MEDIA-SEQUENCE" => playlist.media_sequence = value.parse().map_err(|_| wrong())?,
                "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
                "#EXT-X-GAP" => next.gap = true,
                "#EXT-X-ENDLIST" => playlist.ended = true,
                "#EXT-X-MAP" => {
                    let uri = value.strip_prefix("URI=\"").and_then(|rest| rest.split_once('"'));
                    map = Some(uri.ok_or_else(wrong)?.0.to_owned());
                }
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    let date = DateTime::parse_from_rfc3339(value).map_err(|_| wrong())?;
                    next.date = Some(date.with_timezone(&Utc));
                }
                "#EXTINF" => next.duration_s = value.split(',').next().unwrap_or(value).parse().map_err(|_| wrong())?,
                _ if tag.starts_with('#') => {}
                _ => {
                    let line = ListedLine { uri: line.into(), map: map.clone(), ..std::mem::take(&mut next) };
                    playlist.lines.push(line);
                }
            }
        }
        Ok(playlist)
    }

    /// Says in what way this is not what it should be: the first difference.
    pub(crate) fn difference(&self, wanted: &Self, extent: Extent) -> Option<String> {
        if self.media_sequence != wanted.media_sequence {
            return Some(format!("begins with number {} instead of {}", self.media_sequence, wanted.media_sequence));
        }
        let mut pairs = self.lines.iter().zip(&wanted.lines);
        if let Some(difference) = pairs.find_map(|(line, wanted)| line.difference(wanted)) {
            return Some(difference);
        }
        let longest_s = self.lines.iter().map(|line| line.duration_s.round()).fold(0.0, f64::max);
        if longest_s > self.target_duration_s.into() {
            return Some(format!(
                "has a target duration of {} s, and segments of {longest_s} s",
                self.target_duration_s
            ));
        }
        if extent == Extent::Beginning {
            return None;
        }
        match (self.lines.len(), wanted.lines.len()) {
            (listed, there) if listed != there => Some(format!("lists {listed} segments instead of {there}")),
            _ if self.ended != wanted.ended => Some("does not say that nothing follows".into()),
            _ => None,
        }
    }
}

impl ListedLine {
    fn difference(&self, wanted: &Self) -> Option<String> {
        let uri = &wanted.uri;
        let dates = self.date.zip(wanted.date).map(|(date, wanted)| (date - wanted).num_milliseconds().abs());
        if self.uri != *uri {
            Some(format!("lists {} where {uri} belongs", self.uri))
        } else if self.gap != wanted.gap {
            Some(format!("says of {uri} that it is {}", if self.gap { "a gap" } else { "there" }))
        } else if self.discontinuity != wanted.discontinuity {
            let goes_on = if wanted.discontinuity { "continues" } else { "does not continue" };
            Some(format!("says of {uri} that it {goes_on} what was before"))
        } else if self.gap {
            // How long there was nothing depends on what else is known.
            None
        } else if (self.duration_s - wanted.duration_s).abs() > DURATION_SLACK_S {
            Some(format!("says of {uri} that it lasts {} s instead of {} s", self.duration_s, wanted.duration_s))
        } else if self.map != wanted.map {
            Some(format!("says of {uri} that it needs {:?} instead of {:?}", self.map, wanted.map))
        } else if dates.is_none_or(|apart| apart > DATE_SLACK_MS) {
            Some(format!("gives {uri} another date than the manifest"))
        } else {
            None
        }
    }
}

/// Says in what way a multivariant playlist is not what it should be: a line too many or too few.
///
/// What is measured is left out: it may be measured better some day.
pub(crate) fn multivariant_difference(text: &str, wanted: &str) -> Option<String> {
    let lines = |text: &str| text.lines().filter(|line| !line.is_empty()).map(without_measures).collect::<Vec<_>>();
    let (said, wanted) = (lines(text), lines(wanted));
    let differs = said.iter().find(|line| !wanted.contains(line)).map(|line| format!("has the line {line:?}"));
    differs.or_else(|| wanted.iter().find(|line| !said.contains(line)).map(|line| format!("lacks the line {line:?}")))
}

/// Leaves out the attributes of `EXT-X-STREAM-INF` that are measured.
fn without_measures(line: &str) -> String {
    const MEASURES: [&str; 3] = ["BANDWIDTH=", "AVERAGE-BANDWIDTH=", "FRAME-RATE="];
    let Some(attributes) = line.strip_prefix("#EXT-X-STREAM-INF:") else { return line.to_owned() };
    let mut quoted = false;
    let split = attributes.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let kept: Vec<_> = split.filter(|attribute| !MEASURES.iter().any(|name| attribute.starts_with(name))).collect();
    kept.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:1\n\
        #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"init-1.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:4.00000,\n000001.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n#EXT-X-GAP\n#EXTINF:4.00000,\n000002.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-2.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:08.000Z\n#EXTINF:2.00000,\n000003.m4s\n#EXT-X-ENDLIST\n";

    fn difference(from: &str, to: &str, extent: Extent) -> Option<String> {
        let changed = TEXT.replacen(from, to, 1);
        assert_ne!(changed, TEXT);
        let wanted = MediaPlaylist::parse(TEXT).unwrap();
        MediaPlaylist::parse(&changed).map_or_else(Some, |playlist| playlist.difference(&wanted, extent))
    }

    #[test]
    fn every_difference_that_matters_is_seen() {
        for (from, to) in [
            ("#EXTM3U", "#EXTM4U"),
            ("SEQUENCE:1", "SEQUENCE:2"),
            ("DURATION:6", "DURATION:3"),
            ("DURATION:6", "DURATION:"),
            ("4.00000,", "4.00200,"),
            ("00:00:08.000Z", "00:00:08.003Z"),
            ("#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:08.000Z\n", ""),
            ("#EXT-X-GAP\n", ""),
            ("#EXT-X-DISCONTINUITY\n", ""),
            ("init-2", "init-1"),
            ("000003.m4s", "000004.m4s"),
            ("000003.m4s\n", "000003.m4s\n000003.m4s\n"),
            ("#EXT-X-ENDLIST\n", ""),
        ] {
            assert!(difference(from, to, Extent::Whole).is_some(), "{from} {to}");
        }
    }

    #[test]
    fn what_does_not_matter_is_let_be() {
        for (from, to) in [
            ("4.00000,", "4.00080,title"),
            ("00:00:08.000Z", "00:00:08.002Z"),
            ("VERSION:7", "VERSION:8"),
            ("#EXTINF:4.00000,\n000002", "#EXTINF:3.00000,\n000002"),
            ("#EXT-X-ENDLIST", "#EXT-X-LATER:1\n#EXT-X-ENDLIST"),
        ] {
            assert_eq!(difference(from, to, Extent::Whole), None, "{from} {to}");
        }
        // A live recording's playlist was written a moment ago.
        let end = &TEXT[TEXT.find("#EXT-X-DISCONTINUITY").unwrap()..];
        assert!(difference(end, "", Extent::Whole).is_some());
        assert_eq!(difference(end, "", Extent::Beginning), None);
    }

    #[test]
    fn a_multivariant_playlist_is_compared_without_what_is_measured() {
        let wanted =
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,CODECS=\"avc1.42E01F,opus\",FRAME-RATE=30.000\nvideo/index.m3u8\n";
        assert_eq!(multivariant_difference(&wanted.replace("=9", "=8"), wanted), None);
        for (from, to) in [("opus", "mp4a"), ("video/", "audio/"), ("#EXTM3U\n", ""), ("8\n", "8\naudio/index.m3u8\n")]
        {
            assert!(multivariant_difference(&wanted.replace(from, to), wanted).is_some(), "{from} {to}");
        }
    }
}
