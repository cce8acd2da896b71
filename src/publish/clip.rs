//! Reads an MP4 file sample by sample, in the form that RTP packetizers want.
//!
//! The `mp4` crate finds samples; `mp4-atom` reads the sample entries that it does not know (Opus, AV1), and the edit
//! lists.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use mp4::Mp4Reader;
use mp4_atom::{Atom, Codec as Entry, DecodeAtom, Header, Hev1, Hvc1, Moov, ReadFrom, Trak};
use onair_media::Codec;

/// Begins each NAL unit of a byte stream (ITU-T H.264 and H.265 Annex B).
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The types of the H.265 parameter sets (ITU-T H.265 table 7-1). `hvcC` may hold SEI beside them.
const PARAMETER_SETS: std::ops::RangeInclusive<u8> = 32..=34;

/// An MP4 file that is open for reading.
pub(crate) struct Clip {
    reader: Mp4Reader<BufReader<File>>,
    tracks: Vec<Track>,
    skipped: Vec<String>,
}

/// One audio or video track.
struct Track {
    id: u32,
    format: Format,
    timescale: u32,
    samples: u32,
    next: u32,
    /// Where presentation begins, in ticks of the track: the edit list's media time (ISO/IEC 14496-12 §8.6.6).
    starts_at: i64,
}

/// How a track's samples become what a packetizer takes.
enum Format {
    /// NAL units behind lengths of this many bytes; the parameter sets go before each keyframe. H.264 or H.265.
    NalUnits {
        codec: Codec,
        length_size: usize,
        parameter_sets: Vec<u8>,
    },
    Vp9,
    /// The sequence header goes before each keyframe that lacks one.
    Av1 {
        config_obus: Vec<u8>,
    },
    Opus,
}

/// One frame of the file.
pub(crate) struct Sample {
    /// The codec of its track.
    pub(crate) codec: Codec,
    /// When it is to be sent, in microseconds since the start of the file.
    pub(crate) decode_us: i64,
    /// When it is to be shown, in ticks of [`Codec::clock_rate_hz`]; never negative.
    pub(crate) pts_ticks: u64,
    /// The frame: an H.264 or H.265 byte stream, a VP9 frame, AV1 OBUs, an Opus packet.
    pub(crate) data: Vec<u8>,
}

/// Says why a file cannot be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClipError {
    /// The file cannot be opened or read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no MP4 file, or a broken one.
    #[error("the file is not an MP4 that can be read: {0}")]
    Mp4(#[from] mp4::Error),
    /// Its boxes are broken.
    #[error("the file's boxes cannot be read: {0}")]
    Boxes(#[from] mp4_atom::Error),
    /// A sample is not what its track says.
    #[error("sample {sample} of track {track} is broken")]
    Sample {
        /// The track's id.
        track: u32,
        /// Counts from 1.
        sample: u32,
    },
    /// Nothing in it can be sent over WebRTC.
    #[error("the file has no H.264, H.265, VP9, AV1 or Opus track{}", found(.0))]
    NothingToSend(Vec<String>),
}

fn found(skipped: &[String]) -> String {
    if skipped.is_empty() { String::new() } else { format!(", only {}", skipped.join(", ")) }
}

impl Clip {
    /// Opens a file and looks at its tracks: the first video and the first audio that can be sent.
    ///
    /// # Errors
    /// [`ClipError`] when it cannot be read or has nothing to send.
    pub(crate) fn open(path: &Path) -> Result<Self, ClipError> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let moov = read_moov(&mut BufReader::new(&mut file))?;
        file.seek(SeekFrom::Start(0))?;
        let reader = Mp4Reader::read_header(BufReader::new(file), size)?;
        let (mut tracks, mut skipped): (Vec<Track>, Vec<String>) = (Vec::new(), Vec::new());
        for trak in &moov.trak {
            match format(trak) {
                Ok(format) if tracks.iter().all(|track| track.format.codec().kind() != format.codec().kind()) => {
                    tracks.push(Track::new(trak, format, reader.sample_count(trak.tkhd.track_id)?));
                }
                Ok(format) => skipped.push(format!("a second {} track", format.codec().kind().as_str())),
                Err(name) => skipped.push(name),
            }
        }
        if tracks.is_empty() {
            return Err(ClipError::NothingToSend(skipped));
        }
        Ok(Self { reader, tracks, skipped })
    }

    /// Returns the codecs of the tracks that are sent.
    pub(crate) fn codecs(&self) -> impl Iterator<Item = Codec> + '_ {
        self.tracks.iter().map(|track| track.format.codec())
    }

    /// Names the tracks that are left out.
    pub(crate) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Returns the file's length in microseconds: that of its longest track.
    pub(crate) fn duration_us(&mut self) -> Result<i64, ClipError> {
        let mut end = 0;
        for index in 0..self.tracks.len() {
            let Track { id, samples, timescale, .. } = self.tracks[index];
            if let Some(last) = self.reader.read_sample(id, samples)? {
                end = end.max(micros(last.start_time as i64 + i64::from(last.duration), timescale));
            }
        }
        Ok(end)
    }

    /// Reads the next sample of all tracks, in the order of their decoding times; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Sample>, ClipError> {
        let mut earliest: Option<(usize, mp4::Mp4Sample, i64)> = None;
        for (index, track) in self.tracks.iter().enumerate().filter(|(_, track)| track.next <= track.samples) {
            let Some(sample) = self.reader.read_sample(track.id, track.next)? else { continue };
            let decode_us = micros(sample.start_time as i64 - track.starts_at, track.timescale);
            if earliest.as_ref().is_none_or(|(.., other)| decode_us < *other) {
                earliest = Some((index, sample, decode_us));
            }
        }
        let Some((index, sample, decode_us)) = earliest else { return Ok(None) };
        let track = &mut self.tracks[index];
        track.next += 1;
        track.sample(&sample, decode_us).map(Some)
    }

    /// Goes back to the first sample.
    pub(crate) fn rewind(&mut self) {
        for track in &mut self.tracks {
            track.next = 1;
        }
    }
}

impl Track {
    fn new(trak: &Trak, format: Format, samples: u32) -> Self {
        let edits = trak.edts.as_ref().and_then(|edts| edts.elst.as_ref());
        let starts_at = edits.and_then(|elst| elst.entries.iter().find_map(|entry| entry.media_time)).unwrap_or(0);
        Self {
            id: trak.tkhd.track_id,
            format,
            timescale: trak.mdia.mdhd.timescale.max(1),
            samples,
            next: 1,
            starts_at: i64::try_from(starts_at).unwrap_or(0),
        }
    }

    fn sample(&self, sample: &mp4::Mp4Sample, decode_us: i64) -> Result<Sample, ClipError> {
        let codec = self.format.codec();
        let shown = sample.start_time as i64 + i64::from(sample.rendering_offset) - self.starts_at;
        let pts_ticks = i128::from(shown.max(0)) * i128::from(codec.clock_rate_hz()) / i128::from(self.timescale);
        let data = self.format.frame(&sample.bytes, sample.is_sync);
        let data = data.ok_or(ClipError::Sample { track: self.id, sample: self.next - 1 })?;
        Ok(Sample { codec, decode_us, pts_ticks: pts_ticks as u64, data })
    }
}

impl Format {
    fn codec(&self) -> Codec {
        match self {
            Self::NalUnits { codec, .. } => *codec,
            Self::Vp9 => Codec::Vp9,
            Self::Av1 { .. } => Codec::Av1,
            Self::Opus => Codec::Opus,
        }
    }

    fn frame(&self, sample: &[u8], is_sync: bool) -> Option<Vec<u8>> {
        match self {
            Self::NalUnits { length_size, parameter_sets, .. } => {
                byte_stream(sample, *length_size, parameter_sets, is_sync)
            }
            Self::Av1 { config_obus } if is_sync && !begins_with_sequence_header(sample) => {
                Some([config_obus, sample].concat())
            }
            Self::Av1 { .. } | Self::Vp9 | Self::Opus => Some(sample.into()),
        }
    }
}

/// Reads the `moov` box, wherever it stands. (`read_until` of mp4-atom takes the bodies of other boxes for boxes.)
fn read_moov(file: &mut (impl Read + Seek)) -> Result<Moov, ClipError> {
    loop {
        let header = Header::read_from(file)?;
        // Without a size the box goes on to the end of the file (ISO/IEC 14496-12 §4.2).
        let size_bytes = header.size.map_or(u64::MAX, |size| size as u64);
        if header.kind == Moov::KIND {
            let mut body = Vec::new();
            file.take(size_bytes).read_to_end(&mut body)?;
            return Ok(Moov::decode_atom(&header, &mut body.as_slice())?);
        }
        file.seek(SeekFrom::Current(i64::try_from(size_bytes).unwrap_or(i64::MAX)))?;
    }
}

/// Reads a track's sample entry; what cannot be sent is an error that names it.
fn format(trak: &Trak) -> Result<Format, String> {
    match trak.mdia.minf.stbl.stsd.codecs.first() {
        Some(Entry::Avc1(avc1)) => {
            let sets = avc1.avcc.sequence_parameter_sets.iter().chain(&avc1.avcc.picture_parameter_sets);
            Ok(nal_units(Codec::H264, avc1.avcc.length_size, sets))
        }
        Some(Entry::Hvc1(Hvc1 { hvcc, .. }) | Entry::Hev1(Hev1 { hvcc, .. })) => {
            let sets = hvcc.arrays.iter().filter(|array| PARAMETER_SETS.contains(&array.nal_unit_type));
            Ok(nal_units(Codec::H265, hvcc.length_size_minus_one + 1, sets.flat_map(|array| &array.nalus)))
        }
        Some(Entry::Vp09(_)) => Ok(Format::Vp9),
        Some(Entry::Av01(av01)) => Ok(Format::Av1 { config_obus: av01.av1c.config_obus.clone() }),
        Some(Entry::Opus(_)) => Ok(Format::Opus),
        Some(Entry::Mp4a(_)) => Err("AAC (it would have to be transcoded)".into()),
        Some(other) => Err(format!("{other:?}").split(['(', ' ', '{']).next().unwrap_or("unknown").into()),
        None => Err("a track without a sample entry".into()),
    }
}

fn nal_units<'a>(codec: Codec, length_size: u8, sets: impl Iterator<Item = &'a Vec<u8>>) -> Format {
    let parameter_sets = sets.flat_map(|set| START_CODE.iter().chain(set)).copied().collect();
    Format::NalUnits { codec, length_size: length_size.into(), parameter_sets }
}

/// Turns length-prefixed NAL units into a byte stream; `None` when the lengths do not fit.
fn byte_stream(sample: &[u8], length_size: usize, parameter_sets: &[u8], is_sync: bool) -> Option<Vec<u8>> {
    let mut stream = if is_sync { parameter_sets.to_vec() } else { Vec::new() };
    let mut rest = sample;
    while !rest.is_empty() {
        let (length, behind) = rest.split_at_checked(length_size)?;
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let (unit, behind) = behind.split_at_checked(length)?;
        stream.extend_from_slice(&START_CODE);
        stream.extend_from_slice(unit);
        rest = behind;
    }
    Some(stream)
}

/// Tells whether the first OBU but a temporal delimiter is a sequence header (AV1 §5.3.2: types 1 and 2).
fn begins_with_sequence_header(sample: &[u8]) -> bool {
    let obu_type = |header: &u8| header >> 3 & 0xf;
    match sample {
        [first, ..] if obu_type(first) == 1 => true,
        // A temporal delimiter with a size field is two bytes: its header and a size of zero.
        [first, 0, second, ..] => obu_type(first) == 2 && obu_type(second) == 1,
        _ => false,
    }
}

fn micros(ticks: i64, timescale: u32) -> i64 {
    (i128::from(ticks) * 1_000_000 / i128::from(timescale)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_start_codes_and_keyframes_bring_their_parameter_sets() {
        let sample = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x06];
        let stream = byte_stream(&sample, 4, &[0, 0, 0, 1, 0x67], true).unwrap();
        assert_eq!(stream, [0, 0, 0, 1, 0x67, 0, 0, 0, 1, 0x65, 1, 0, 0, 0, 1, 0x06]);
        assert_eq!(byte_stream(&[0, 0, 0, 9, 1], 4, &[], false), None);
        assert_eq!(byte_stream(&[0, 0], 4, &[], false), None);
    }

    #[test]
    fn a_sequence_header_is_seen_behind_a_temporal_delimiter() {
        assert!(begins_with_sequence_header(&[0x0a, 1, 0]));
        assert!(begins_with_sequence_header(&[0x12, 0, 0x0a, 1, 0]));
        assert!(!begins_with_sequence_header(&[0x12, 0, 0x32, 1, 0]));
        assert!(!begins_with_sequence_header(&[]));
    }

    #[test]
    fn what_is_no_mp4_is_an_error() {
        let path = std::env::temp_dir().join(format!("onair-clip-{}.mp4", std::process::id()));
        for bytes in [&b""[..], b"no mp4 at all, but long enough to look at", &[0, 0, 0, 8, b'm', b'o', b'o', b'v']] {
            std::fs::write(&path, bytes).unwrap();
            assert!(Clip::open(&path).is_err());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
