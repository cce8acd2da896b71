//! The multivariant playlist, and the playlists of recordings.
//!
//! All URIs are relative, so that a recording plays straight from the bucket:
//! `index.m3u8` → `video/index.m3u8` → `init-1.mp4`, `000001.m4s`. The live playlist is the window's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hls_m3u8::MasterPlaylist;
use hls_m3u8::tags::{ExtXMedia, VariantStream};
use hls_m3u8::types::{Channels, MediaType, StreamData, UFloat};
use onair_media::{CodecConfig, MediaKind};

use crate::cut::Segment;
use crate::listing::{self, Head, Line};
use crate::measure::Measure;
use crate::ticks::{to_duration, to_millis};

/// The group that the audio rendition of a video variant stands in.
const AUDIO_GROUP: &str = "audio";

/// Says that hls_m3u8 refused what we wanted to write: a defect of ours.
#[derive(Debug, thiserror::Error)]
#[error("write a playlist")]
pub struct PlaylistError(#[from] hls_m3u8::Error);

/// Describes one rendition for the multivariant playlist: all that its segments need, whichever is played.
#[derive(Debug, Clone)]
pub struct Rendition {
    kind: MediaKind,
    measure: Measure,
    /// Every codec string that occurred, in that order.
    codecs: Vec<String>,
    /// Of the largest picture.
    dimensions: Option<(u32, u32)>,
    channels: u8,
}

impl Rendition {
    /// Begins at nothing.
    pub const fn new(kind: MediaKind) -> Self {
        Self { kind, measure: Measure::new(kind), codecs: Vec::new(), dimensions: None, channels: 0 }
    }

    /// Adds a segment of the rendition, with the configuration it was made for.
    pub fn add(&mut self, segment: &Segment, config: &CodecConfig) {
        self.measure.add(segment);
        let codec = config.rfc6381();
        if !self.codecs.contains(&codec) {
            self.codecs.push(codec);
        }
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        if config.dimensions().map(area) > self.dimensions.map(area) {
            self.dimensions = config.dimensions();
        }
        if let CodecConfig::Opus { channels, .. } = *config {
            self.channels = self.channels.max(channels);
        }
    }

    /// Tells whether no segment was added.
    pub const fn is_empty(&self) -> bool {
        self.codecs.is_empty()
    }
}

/// Holds what a multivariant playlist says.
#[derive(Debug, Clone, Default)]
pub struct Multivariant {
    /// The pictures, if there are any.
    pub video: Option<Rendition>,
    /// The sound, if there is any: a rendition of its own beside video, the only variant without.
    pub audio: Option<Rendition>,
    /// Whether every listed segment begins with a frame at which decoding may start.
    pub independent_segments: bool,
}

impl Multivariant {
    /// Renders the playlist (RFC 8216 §4.3.4), or `None` when there is no rendition. `prefix` is put before
    /// each relative URI.
    ///
    /// # Errors
    /// [`PlaylistError`] is a defect: no input should lead there.
    pub fn render(&self, prefix: &str) -> Result<Option<String>, PlaylistError> {
        let Some(main) = self.video.as_ref().or(self.audio.as_ref()) else { return Ok(None) };
        let beside = self.audio.as_ref().filter(|_| self.video.is_some());
        let mut playlist = MasterPlaylist::builder();
        if let Some(audio) = beside {
            playlist.media(vec![audio_media(prefix, audio)?]);
        }
        playlist.has_independent_segments(self.independent_segments);
        playlist.variant_streams(vec![variant(prefix, main, beside)?]);
        Ok(Some(playlist.build()?.to_string()))
    }
}

/// Builds `EXT-X-STREAM-INF`; its bitrates and codecs are those of everything a viewer loads (RFC 8216 §4.3.4.2).
fn variant(
    prefix: &str,
    main: &Rendition,
    beside: Option<&Rendition>,
) -> Result<VariantStream<'static>, PlaylistError> {
    let renditions = || [Some(main), beside].into_iter().flatten();
    let codecs: Vec<String> = renditions().flat_map(|rendition| rendition.codecs.iter().cloned()).collect();
    let mut data = StreamData::builder();
    // A bandwidth of zero would be a lie that players divide by.
    data.bandwidth(renditions().map(|rendition| rendition.measure.peak_bps()).sum::<u64>().max(1));
    data.average_bandwidth(renditions().map(|rendition| rendition.measure.average_bps()).sum::<u64>().max(1));
    data.codecs(codecs);
    let mut frame_rate = None;
    if let Some((width, height)) = main.dimensions {
        data.resolution((width as usize, height as usize));
        frame_rate = main.measure.frame_rate().and_then(|rate| UFloat::try_from(rate as f32).ok());
    }
    Ok(VariantStream::ExtXStreamInf {
        uri: playlist_uri(prefix, main.kind).into(),
        frame_rate,
        audio: beside.map(|_| AUDIO_GROUP.into()),
        subtitles: None,
        closed_captions: None,
        stream_data: data.build()?,
    })
}

fn audio_media(prefix: &str, audio: &Rendition) -> Result<ExtXMedia<'static>, PlaylistError> {
    let mut media = ExtXMedia::builder();
    media.media_type(MediaType::Audio).group_id(AUDIO_GROUP).name("audio").uri(playlist_uri(prefix, MediaKind::Audio));
    media.is_default(true).is_autoselect(true);
    if audio.channels > 0 {
        media.channels(Channels::new(audio.channels.into()));
    }
    Ok(media.build()?)
}

fn playlist_uri(prefix: &str, kind: MediaKind) -> String {
    format!("{prefix}{}/index.m3u8", kind.as_str())
}

/// Says whether more segments will follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The recording goes on: `EVENT`, without `EXT-X-ENDLIST`.
    Live,
    /// Nothing follows: `VOD` and `EXT-X-ENDLIST`.
    Complete,
}

/// One media sequence number, in all renditions.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: DateTime<Utc>,
    duration: Duration,
    discontinuity: bool,
}

/// Collects what the playlists of one rendition of a recording say.
#[derive(Debug)]
struct Recorded {
    rendition: Rendition,
    lines: BTreeMap<u64, Line>,
}

/// Collects the playlists of a recording while it grows: one line for each segment, no media.
#[derive(Debug)]
pub struct RecordingPlaylists {
    target_duration_s: u32,
    spans: BTreeMap<u64, Span>,
    video: Recorded,
    audio: Recorded,
    independent_segments: bool,
}

impl RecordingPlaylists {
    /// Begins an empty recording; the target duration is [`crate::FragmenterSettings::target_duration_s`].
    pub fn new(target_duration_s: u32) -> Self {
        let recorded = |kind| Recorded { rendition: Rendition::new(kind), lines: BTreeMap::new() };
        Self {
            target_duration_s,
            spans: BTreeMap::new(),
            video: recorded(MediaKind::Video),
            audio: recorded(MediaKind::Audio),
            independent_segments: true,
        }
    }

    /// Raises the target duration to that of a segment, where it is longer (RFC 8216 §4.3.3.1).
    ///
    /// For whoever does not know with which settings the recording was cut.
    pub(crate) fn admit(&mut self, segment: &Segment) {
        let seconds = to_duration(segment.kind, segment.duration_ticks).as_secs_f64().round();
        // A float beyond the range becomes the largest number.
        self.target_duration_s = self.target_duration_s.max(seconds as u32);
    }

    /// Lists a segment that is stored, with the configuration it was made for; `epoch` is the wall clock of pts 0.
    ///
    /// Segments come in the order of their numbers: one that has not come before the next number is a gap.
    pub fn push(&mut self, segment: &Segment, config: &Arc<CodecConfig>, epoch: DateTime<Utc>) {
        let Segment { msn, kind, discontinuity, .. } = *segment;
        let start = wallclock(epoch, kind, segment.start_ticks);
        let duration = to_duration(kind, segment.duration_ticks);
        self.bridge(msn, start);
        self.spans.entry(msn).or_insert(Span { start, duration, discontinuity });
        self.independent_segments &= segment.independent;
        let recorded = match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        };
        recorded.rendition.add(segment, config);
        recorded.lines.insert(msn, Line { msn, start, duration, discontinuity, init: Some(segment.init) });
    }

    /// Gives the numbers that no rendition has between the last one and `msn` the time that is missing, in equal parts.
    fn bridge(&mut self, msn: u64, start: DateTime<Utc>) {
        let Some((&last, span)) = self.spans.last_key_value() else { return };
        let missing = msn.saturating_sub(last + 1);
        let mut at = span.start + span.duration;
        let whole = (start - at).to_std().unwrap_or_default();
        let longest = Duration::from_secs(self.target_duration_s.into());
        for gap in last + 1..msn {
            let duration = whole.div_f64(missing as f64).min(longest);
            self.spans.insert(gap, Span { start: at, duration, discontinuity: false });
            at += duration;
        }
    }

    /// Renders the multivariant playlist, or `None` before the first segment.
    ///
    /// # Errors
    /// [`PlaylistError`] is a defect: no input should lead there.
    pub fn multivariant(&self) -> Result<Option<String>, PlaylistError> {
        let rendition = |recorded: &Recorded| Some(recorded.rendition.clone()).filter(|it| !it.is_empty());
        let multivariant = Multivariant {
            video: rendition(&self.video),
            audio: rendition(&self.audio),
            independent_segments: self.independent_segments,
        };
        multivariant.render("")
    }

    /// Renders the media playlist of a rendition (RFC 8216 §4.3.3), or `None` when it has no segment.
    ///
    /// A number that the rendition has no media for is a gap (`EXT-X-GAP`), so that media sequence numbers and
    /// discontinuities are the same in both (RFC 8216 §6.2.4). Lines are only ever appended.
    ///
    /// # Errors
    /// [`PlaylistError`] is a defect: no input should lead there.
    pub fn media(&self, kind: MediaKind, state: Completeness) -> Result<Option<String>, PlaylistError> {
        let recorded = match kind {
            MediaKind::Video => &self.video.lines,
            MediaKind::Audio => &self.audio.lines,
        };
        let (Some((&first, _)), Some((&newest, _))) = (recorded.first_key_value(), self.spans.last_key_value()) else {
            return Ok(None);
        };
        let ended = state == Completeness::Complete;
        // A missing segment may still come while its number is the newest.
        let whole = |(msn, _): &(&u64, &Span)| recorded.contains_key(msn) || **msn < newest || ended;
        let gap =
            |(&msn, &Span { start, duration, discontinuity })| Line { msn, start, duration, discontinuity, init: None };
        let spans = self.spans.range(first..).take_while(whole);
        let lines: Vec<Line> = spans.map(|span| recorded.get(span.0).copied().unwrap_or_else(|| gap(span))).collect();
        let head = Head {
            target_duration_s: self.target_duration_s,
            discontinuities_before: self.spans.range(..first).filter(|(_, span)| span.discontinuity).count() as u64,
            playlist_type: if ended { "VOD" } else { "EVENT" },
            ended,
        };
        Ok(listing::render(head, &lines))
    }
}

/// Returns the wall clock of a media time, to the millisecond; `epoch` is that of pts 0.
pub(crate) fn wallclock(epoch: DateTime<Utc>, kind: MediaKind, ticks: i64) -> DateTime<Utc> {
    let since = TimeDelta::try_milliseconds(to_millis(kind, ticks)).unwrap_or(TimeDelta::MAX);
    epoch.checked_add_signed(since).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use hls_m3u8::types::PlaylistType;
    use hls_m3u8::{MasterPlaylist, MediaPlaylist};

    use super::*;
    use crate::testing::{broadcast, h264, opus, pull};
    use crate::{Fragmenter, FragmenterSettings};

    const SETTINGS: FragmenterSettings =
        FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

    /// Cuts two publisher sessions, 0 to 6 s and 10 to 14 s: numbers 1, 2 and 3.
    fn segments() -> Vec<Segment> {
        let mut fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]);
        broadcast(&mut fragmenter, 0, 6, 1);
        fragmenter.discontinuity();
        broadcast(&mut fragmenter, 10, 4, 1);
        fragmenter.finish();
        pull(&mut fragmenter).segments.iter().map(|segment| segment.without_media()).collect()
    }

    /// Moves a segment by so many numbers and seconds.
    fn shift(segment: &mut Segment, numbers: u64, seconds: i64) {
        segment.msn += numbers;
        segment.start_ticks += seconds * i64::from(crate::ticks::clock_rate_hz(segment.kind));
    }

    fn recording(tracks: &[MediaKind]) -> RecordingPlaylists {
        let mut playlists = RecordingPlaylists::new(SETTINGS.target_duration_s());
        for segment in segments() {
            let config = if segment.kind == MediaKind::Video { h264() } else { opus() };
            if tracks.contains(&segment.kind) {
                playlists.push(&segment, &config, DateTime::UNIX_EPOCH);
            }
        }
        playlists
    }

    #[test]
    fn a_recording_lists_its_segments_with_dates_and_discontinuities() {
        let playlists = recording(&[MediaKind::Video, MediaKind::Audio]);
        let text = playlists.media(MediaKind::Audio, Completeness::Complete).unwrap().unwrap();
        let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:1\n\
            #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"init-1.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:4.00000,\n000001.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n#EXTINF:1.98000,\n000002.m4s\n\
            #EXT-X-DISCONTINUITY\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10.000Z\n#EXTINF:3.98000,\n000003.m4s\n#EXT-X-ENDLIST\n";
        assert_eq!(text, expected);
        assert_eq!(MediaPlaylist::try_from(text.as_str()).unwrap().segments.num_elements(), 3);

        let live = playlists.media(MediaKind::Video, Completeness::Live).unwrap().unwrap();
        let live = MediaPlaylist::try_from(live.as_str()).unwrap();
        assert_eq!((live.playlist_type, live.has_end_list), (Some(PlaylistType::Event), false));
    }

    #[test]
    fn a_number_without_media_is_a_gap_in_that_rendition() {
        let segments = segments();
        let mut playlists = RecordingPlaylists::new(6);
        let mut before = String::new();
        // The sound of numbers 2 and 3 is missing, 3 is where the publisher came back; the broadcast is longer than this.
        let mut later = segments.clone();
        later.iter_mut().for_each(|segment| shift(segment, 3, 14));
        for segment in segments.iter().chain(&later) {
            if segment.kind == MediaKind::Audio && [2, 3].contains(&segment.msn) {
                continue;
            }
            let config = if segment.kind == MediaKind::Video { h264() } else { opus() };
            playlists.push(segment, &config, DateTime::UNIX_EPOCH);
            if let Some(text) = playlists.media(MediaKind::Audio, Completeness::Live).unwrap() {
                assert!(text.starts_with(&before), "{before}\nwas changed to\n{text}");
                before = text;
            }
        }
        assert!(before.contains(
            "000001.m4s\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n#EXT-X-GAP\n#EXTINF:2.00000,\n000002.m4s\n\
            #EXT-X-DISCONTINUITY\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10.000Z\n#EXT-X-GAP\n#EXTINF:4.00000,\n000003.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:14.000Z\n#EXTINF:4.00000,\n000004.m4s\n"
        ), "{before}");
        let parsed = MediaPlaylist::try_from(before.as_str()).unwrap();
        assert_eq!((parsed.segments.num_elements(), parsed.unknown.len()), (6, 2));
    }

    #[test]
    fn numbers_that_no_rendition_has_are_gaps_of_the_time_between() {
        let mut playlists = RecordingPlaylists::new(6);
        for segment in segments().iter_mut().filter(|segment| segment.kind == MediaKind::Video && segment.msn != 2) {
            // 1 of 0 to 4 s, then 4 from 10 s on.
            if segment.msn == 3 {
                shift(segment, 1, 0);
            }
            playlists.push(segment, &h264(), DateTime::UNIX_EPOCH);
        }
        let text = playlists.media(MediaKind::Video, Completeness::Complete).unwrap().unwrap();
        assert_eq!(text.matches("#EXT-X-GAP\n#EXTINF:3.00000,\n").count(), 2, "{text}");
        assert!(text.contains("000001.m4s") && text.contains("000004.m4s"), "{text}");
    }

    #[test]
    fn the_variant_needs_every_codec_and_shows_the_largest_picture() {
        let mut playlists = RecordingPlaylists::new(6);
        let CodecConfig::H264 { pps, .. } = h264().as_ref().clone() else { unreachable!() };
        let sps = bytes::Bytes::from_static(&[0x67, 0x64, 0x00, 0x28, 0x8c, 0x8d, 0x40]);
        let high = Arc::new(CodecConfig::H264 { sps, pps, width: 640, height: 360 });
        for segment in segments() {
            let config = match (segment.kind, segment.msn) {
                (MediaKind::Video, 3) => Arc::clone(&high),
                (MediaKind::Video, _) => h264(),
                (MediaKind::Audio, _) => opus(),
            };
            playlists.push(&segment, &config, DateTime::UNIX_EPOCH);
        }
        let text = playlists.multivariant().unwrap().unwrap();
        assert!(text.contains("CODECS=\"avc1.42E01F,avc1.640028,opus\""), "{text}");
        assert!(text.contains("RESOLUTION=1280x720"), "{text}");
    }

    #[test]
    fn sound_is_a_group_beside_pictures() {
        let text = recording(&[MediaKind::Video, MediaKind::Audio]).multivariant().unwrap().unwrap();
        let parsed = MasterPlaylist::try_from(text.as_str()).unwrap();
        assert!(parsed.has_independent_segments);
        let media = &parsed.media[0];
        assert_eq!((media.group_id().as_ref(), media.uri().unwrap().as_ref()), ("audio", "audio/index.m3u8"));
        let VariantStream::ExtXStreamInf { uri, frame_rate, stream_data, .. } = &parsed.variant_streams[0] else {
            panic!("{text}")
        };
        assert_eq!(uri, "video/index.m3u8");
        assert_eq!(frame_rate.map(UFloat::as_f32), Some(30.0));
        assert_eq!(stream_data.codecs().unwrap().to_string(), "avc1.42E01F,opus");
        assert_eq!(stream_data.resolution().unwrap().to_string(), "1280x720");
        assert!(stream_data.bandwidth() >= stream_data.average_bandwidth().unwrap());
    }

    #[test]
    fn sound_alone_is_the_only_variant() {
        let text = recording(&[MediaKind::Audio]).multivariant().unwrap().unwrap();
        let parsed = MasterPlaylist::try_from(text.as_str()).unwrap();
        assert!(parsed.media.is_empty());
        assert!(text.ends_with("\naudio/index.m3u8\n#EXT-X-INDEPENDENT-SEGMENTS\n"), "{text}");
    }

    #[test]
    fn nothing_recorded_has_no_playlists() {
        let empty = RecordingPlaylists::new(6);
        assert!(empty.multivariant().unwrap().is_none());
        assert!(empty.media(MediaKind::Video, Completeness::Live).unwrap().is_none());
    }
}
