//! The playlists that hls_m3u8 writes: the multivariant playlist, and the media playlists of recordings.
//!
//! All URIs are relative, so that a recording plays straight from the bucket:
//! `index.m3u8` → `video/index.m3u8` → `init-1.mp4`, `000001.m4s`. The live playlist is the window's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use hls_m3u8::tags::{ExtInf, ExtXMap, ExtXMedia, ExtXProgramDateTime, VariantStream};
use hls_m3u8::types::{Channels, MediaType, PlaylistType, StreamData, UFloat};
use hls_m3u8::{MasterPlaylist, MediaPlaylist, MediaSegment};
use onair_media::{CodecConfig, MediaKind};

use crate::cut::Segment;
use crate::measure::Measure;
use crate::ticks::{to_duration, to_millis};

/// The group that the audio rendition of a video variant stands in.
const AUDIO_GROUP: &str = "audio";

/// Says that hls_m3u8 refused what we wanted to write: a defect of ours.
#[derive(Debug, thiserror::Error)]
#[error("write a playlist")]
pub struct PlaylistError(#[from] hls_m3u8::Error);

/// Describes one rendition for the multivariant playlist.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// What decodes it.
    pub config: Arc<CodecConfig>,
    /// How much it is.
    pub measure: Measure,
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
    let codecs: Vec<String> = renditions().map(|rendition| rendition.config.rfc6381()).collect();
    let mut data = StreamData::builder();
    // A bandwidth of zero would be a lie that players divide by.
    data.bandwidth(renditions().map(|rendition| rendition.measure.peak_bps()).sum::<u64>().max(1));
    data.average_bandwidth(renditions().map(|rendition| rendition.measure.average_bps()).sum::<u64>().max(1));
    data.codecs(codecs);
    let mut frame_rate = None;
    if let Some((width, height)) = main.config.dimensions() {
        data.resolution((width as usize, height as usize));
        frame_rate = main.measure.frame_rate().and_then(|rate| UFloat::try_from(rate as f32).ok());
    }
    Ok(VariantStream::ExtXStreamInf {
        uri: playlist_uri(prefix, main.config.codec().kind()).into(),
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
    if let CodecConfig::Opus { channels, .. } = *audio.config {
        media.channels(Channels::new(channels.into()));
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

/// One line of a recording's media playlist.
#[derive(Debug, Clone)]
struct Listed {
    msn: u64,
    init: u32,
    start: DateTime<Utc>,
    duration: Duration,
}

/// Collects what the playlists of one rendition of a recording say.
#[derive(Debug, Clone)]
struct RecordedRendition {
    rendition: Rendition,
    segments: Vec<Listed>,
}

/// Collects the playlists of a recording while it grows: one line for each segment, no media.
#[derive(Debug)]
pub struct RecordingPlaylists {
    target_duration_s: u32,
    video: Option<RecordedRendition>,
    audio: Option<RecordedRendition>,
    discontinuities: BTreeSet<u64>,
    independent_segments: bool,
}

impl RecordingPlaylists {
    /// Begins an empty recording; the target duration is [`crate::FragmenterSettings::target_duration_s`].
    pub const fn new(target_duration_s: u32) -> Self {
        Self {
            target_duration_s,
            video: None,
            audio: None,
            discontinuities: BTreeSet::new(),
            independent_segments: true,
        }
    }

    /// Lists a segment that is stored, with the configuration it was made for; `epoch` is the wall clock of pts 0.
    pub fn push(&mut self, segment: &Segment, config: &Arc<CodecConfig>, epoch: DateTime<Utc>) {
        if segment.discontinuity {
            self.discontinuities.insert(segment.msn);
        }
        self.independent_segments &= segment.independent;
        let slot = match segment.kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        };
        let recorded = slot.get_or_insert_with(|| RecordedRendition {
            rendition: Rendition { config: Arc::clone(config), measure: Measure::new(segment.kind) },
            segments: Vec::new(),
        });
        recorded.rendition.measure.add(segment);
        recorded.segments.push(Listed {
            msn: segment.msn,
            init: segment.init,
            start: wallclock(epoch, segment.kind, segment.start_ticks),
            duration: to_duration(segment.kind, segment.duration_ticks),
        });
    }

    /// Renders the multivariant playlist, or `None` before the first segment.
    ///
    /// # Errors
    /// [`PlaylistError`] is a defect: no input should lead there.
    pub fn multivariant(&self) -> Result<Option<String>, PlaylistError> {
        let rendition = |recorded: &Option<RecordedRendition>| recorded.as_ref().map(|r| r.rendition.clone());
        let multivariant = Multivariant {
            video: rendition(&self.video),
            audio: rendition(&self.audio),
            independent_segments: self.independent_segments,
        };
        multivariant.render("")
    }

    /// Renders the media playlist of a rendition (RFC 8216 §4.3.3), or `None` when it has no segment.
    ///
    /// A segment that the rendition had no media for is left out; the dates of its neighbours tell the distance.
    ///
    /// # Errors
    /// [`PlaylistError`] is a defect: no input should lead there.
    pub fn media(&self, kind: MediaKind, state: Completeness) -> Result<Option<String>, PlaylistError> {
        let recorded = match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        };
        let Some(RecordedRendition { segments, .. }) = recorded else { return Ok(None) };
        let Some(first) = segments.first() else { return Ok(None) };
        let mut playlist = MediaPlaylist::builder();
        playlist.target_duration(Duration::from_secs(self.target_duration_s.into()));
        playlist.media_sequence(first.msn as usize);
        playlist.discontinuity_sequence(self.discontinuities.range(..=first.msn).count());
        playlist.playlist_type(if state == Completeness::Live { PlaylistType::Event } else { PlaylistType::Vod });
        playlist.has_end_list(state == Completeness::Complete);
        let mut init = None;
        for segment in segments {
            // The first one's discontinuity, if it has one, is in the sequence number.
            let flagged = segment.msn != first.msn && self.discontinuities.contains(&segment.msn);
            let renewed = init.replace(segment.init) != Some(segment.init);
            playlist.push_segment(media_segment(segment, flagged, renewed)?);
        }
        Ok(Some(playlist.build()?.to_string()))
    }
}

fn media_segment(listed: &Listed, discontinuity: bool, map: bool) -> Result<MediaSegment<'static>, PlaylistError> {
    let mut segment = MediaSegment::builder();
    if map {
        segment.map(ExtXMap::new(format!("init-{}.mp4", listed.init)));
    }
    segment.has_discontinuity(discontinuity);
    let date: DateTime<FixedOffset> = listed.start.fixed_offset();
    segment.program_date_time(ExtXProgramDateTime::new(date));
    segment.duration(ExtInf::new(listed.duration));
    segment.uri(format!("{:06}.m4s", listed.msn));
    Ok(segment.build()?)
}

/// Returns the wall clock of a media time, to the millisecond; `epoch` is that of pts 0.
pub(crate) fn wallclock(epoch: DateTime<Utc>, kind: MediaKind, ticks: i64) -> DateTime<Utc> {
    let since = TimeDelta::try_milliseconds(to_millis(kind, ticks)).unwrap_or(TimeDelta::MAX);
    epoch.checked_add_signed(since).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use hls_m3u8::{MasterPlaylist, MediaPlaylist};

    use super::*;
    use crate::testing::{broadcast, h264, opus, pull};
    use crate::{Fragmenter, FragmenterSettings};

    /// Records two publisher sessions: 0 to 6 s and 10 to 14 s.
    fn recording(tracks: &[MediaKind]) -> RecordingPlaylists {
        let settings =
            FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };
        let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
        broadcast(&mut fragmenter, 0, 6, 1);
        fragmenter.discontinuity();
        broadcast(&mut fragmenter, 10, 4, 1);
        fragmenter.finish();
        let mut playlists = RecordingPlaylists::new(settings.target_duration_s());
        for segment in pull(&mut fragmenter).segments {
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
        let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:1\n\
            #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"init-1.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:4,\n000001.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n#EXTINF:1.98,\n000002.m4s\n\
            #EXT-X-DISCONTINUITY\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10.000Z\n#EXTINF:3.98,\n000003.m4s\n#EXT-X-ENDLIST\n";
        assert_eq!(text, expected);
        assert_eq!(MediaPlaylist::try_from(text.as_str()).unwrap().segments.num_elements(), 3);

        let live = playlists.media(MediaKind::Video, Completeness::Live).unwrap().unwrap();
        let live = MediaPlaylist::try_from(live.as_str()).unwrap();
        assert_eq!((live.playlist_type, live.has_end_list), (Some(PlaylistType::Event), false));
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
