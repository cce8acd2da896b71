//! The journal of a recording: everything that happened to it, entry by entry, so that another process can go on.
//!
//! A frame is the length of the entry and its CRC-32, four bytes each, little endian, then the entry in postcard's form.
//! What does not check at the end of a journal was being written when the machine went down, and is cut off.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use bytes::BufMut;
use chrono::{DateTime, Utc};
use crc_fast::CrcAlgorithm;
use onair_media::{Alignment, CodecConfig, MediaKind, RecordingId, RoomName};
use serde::{Deserialize, Serialize};

use crate::cut::Part;
use crate::manifest::{GapReason, Publisher};
use crate::store::{PartId, UploadId};

/// The version of the entries; another one is not read.
pub const VERSION: u32 = 1;

/// The longest entry: a part of ten thousand samples has an eighth of it.
const ENTRY_MAX_BYTES: u32 = 1 << 20;

const FRAME_HEADER_BYTES: usize = 8;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// The recording began; always the first entry.
    Begun(Begun),
    /// An initialisation segment is in the spool.
    Init {
        /// Its rendition.
        kind: MediaKind,
        /// Counts from 1.
        index: u32,
        /// What it describes.
        config: Arc<CodecConfig>,
    },
    /// A part is in the spool, behind the others of its segment.
    Part {
        /// All but its media.
        part: Arc<Part>,
        /// CRC-32 of the media.
        crc: u32,
    },
    /// The segment that the last parts of a rendition belong to has ended.
    Segment {
        /// Its rendition.
        kind: MediaKind,
        /// Its number.
        msn: u64,
        /// The digest of all its parts.
        sha256: [u8; 32],
    },
    /// What comes next leaves a gap behind, and this is why.
    Gap(GapReason),
    /// The store has an object and confirmed its size.
    Stored {
        /// Its name.
        object: String,
    },
    /// An object will never be in the store: it cannot be read any more.
    Lost {
        /// Its name.
        object: String,
    },
    /// The MP4 goes up in parts, under this name of the store's.
    UploadBegun(UploadId),
    /// The store has a part of the MP4.
    UploadPart {
        /// Counts from 0.
        index: u64,
        /// What the store calls it.
        id: PartId,
        /// Its size.
        bytes: u64,
        /// Its digest.
        sha256: [u8; 32],
    },
    /// The store does not know the upload any more: it begins again.
    UploadLost,
    /// The MP4 is given up, and why.
    Mp4GivenUp(String),
    /// Nothing more will be recorded.
    Stopped,
    /// Another process goes on with what was left; nothing more will be recorded.
    Resumed {
        /// When.
        at: DateTime<Utc>,
    },
    /// The store has the MP4 and confirmed its size.
    Mp4Stored {
        /// Its size.
        bytes: u64,
        /// Its digest in lower-case hexadecimal; none when it went up in parts.
        sha256: Option<String>,
    },
    /// Where the media comes from that follows.
    Provenance {
        /// Who publishes.
        publisher: Publisher,
        /// What ties sound and pictures together.
        alignment: Option<Alignment>,
    },
    /// The store has an initialisation segment and confirmed its size.
    InitStored {
        /// Its rendition.
        kind: MediaKind,
        /// Counts from 1.
        index: u32,
        /// Its size.
        bytes: u64,
        /// Its digest in lower-case hexadecimal.
        sha256: String,
    },
}

impl Entry {
    /// Tells whether it is about the MP4.
    pub const fn is_mp4(&self) -> bool {
        matches!(
            self,
            Self::UploadBegun(_)
                | Self::UploadPart { .. }
                | Self::UploadLost
                | Self::Mp4GivenUp(_)
                | Self::Mp4Stored { .. }
        )
    }
}

/// Says what a recording is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// [`VERSION`].
    pub version: u32,
    /// The room.
    pub room: RoomName,
    /// The recording.
    pub recording: RecordingId,
    /// The wall clock of pts 0.
    pub epoch: DateTime<Utc>,
    /// Name and version of the program that records.
    pub server: String,
    /// `EXT-X-TARGETDURATION` of its playlists.
    pub target_duration_s: u32,
    /// Whether an MP4 is made.
    pub mp4: bool,
}

/// Appends an entry to some bytes.
pub fn put_entry(entry: &Entry, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.put_bytes(0, FRAME_HEADER_BYTES);
    let body = postcard::to_allocvec(entry).expect("entries hold nothing that postcard cannot");
    bytes.extend_from_slice(&body);
    let length = u32::try_from(body.len()).expect("a part is a few seconds long at most");
    let mut header = &mut bytes[start..start + FRAME_HEADER_BYTES];
    header.put_u32_le(length);
    header.put_u32_le(crc(&body));
}

/// Returns the checksum that stands before an entry and beside each part.
pub fn crc(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}

/// Reads the entries of a journal, up to the first that is not whole.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    body: Vec<u8>,
    whole_bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Begins at the beginning.
    pub const fn new(from: R) -> Self {
        Self { from, body: Vec::new(), whole_bytes: 0 }
    }

    /// Returns how many bytes the entries that were read take: what stands behind them is to be cut off, once
    /// [`Reader::next_entry`] returned `None`.
    pub const fn whole_bytes(&self) -> u64 {
        self.whole_bytes
    }

    /// Returns the next entry, or `None` at the end or where the rest is torn.
    ///
    /// # Errors
    /// Those of reading, and [`ErrorKind::InvalidData`] for an entry that is whole and means nothing to this program:
    /// another version wrote it, and what stands behind it is not torn.
    pub fn next_entry(&mut self) -> std::io::Result<Option<Entry>> {
        let mut header = [0; FRAME_HEADER_BYTES];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let [a, b, c, d, crc @ ..] = header;
        let length = u32::from_le_bytes([a, b, c, d]);
        if length > ENTRY_MAX_BYTES {
            return Ok(None);
        }
        let mut body = std::mem::take(&mut self.body);
        body.resize(length as usize, 0);
        // Zeros have the checksum of an empty entry; there is none.
        let is_whole = length > 0 && self.fill(&mut body)? && self::crc(&body) == u32::from_le_bytes(crc);
        let entry = is_whole.then(|| postcard::from_bytes(&body)).transpose();
        self.body = body;
        let entry = entry.map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
        if entry.is_some() {
            self.whole_bytes += FRAME_HEADER_BYTES as u64 + u64::from(length);
        }
        Ok(entry)
    }

    /// Fills a buffer, or says that there is not enough.
    fn fill(&mut self, buffer: &mut [u8]) -> std::io::Result<bool> {
        match self.from.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{broadcast, h264, pull};
    use crate::{Fragmenter, FragmenterSettings};

    fn entries() -> Vec<Entry> {
        let settings =
            FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };
        let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
        broadcast(&mut fragmenter, 0, 4, 1);
        fragmenter.finish();
        let mut entries = vec![
            Entry::Begun(Begun {
                version: VERSION,
                room: RoomName::parse("studio-1").unwrap(),
                recording: RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(),
                epoch: DateTime::UNIX_EPOCH,
                server: "onair test".into(),
                target_duration_s: 6,
                mp4: true,
            }),
            Entry::Init { kind: MediaKind::Video, index: 1, config: h264() },
        ];
        let part = |part: &Arc<Part>| Entry::Part { part: Arc::new(part.without_media()), crc: crc(&part.bytes) };
        entries.extend(pull(&mut fragmenter).parts.iter().map(part));
        entries.push(Entry::Segment { kind: MediaKind::Video, msn: 1, sha256: [7; 32] });
        entries.push(Entry::Gap(GapReason::Overload));
        let id: PartId = postcard::from_bytes(&postcard::to_allocvec("0 8388608 etag").unwrap()).unwrap();
        entries.push(Entry::UploadPart { index: 0, id, bytes: 8 << 20, sha256: [1; 32] });
        entries.push(Entry::Stopped);
        entries
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| put_entry(entry, &mut bytes));
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<Entry>, u64) {
        let mut reader = Reader::new(bytes);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            entries.push(entry);
        }
        (entries, reader.whole_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        let entries = entries();
        let bytes = written(&entries);
        assert_eq!(read(&bytes), (entries, bytes.len() as u64));
    }

    proptest! {
        #[test]
        fn a_torn_tail_costs_only_itself(cut in 0.0..1.0_f64, zeros in 0..64_usize) {
            let entries = entries();
            let bytes = written(&entries);
            let mut torn = bytes[..(bytes.len() as f64 * cut) as usize].to_vec();
            torn.resize(torn.len() + zeros, 0);
            let (read, whole) = read(&torn);
            prop_assert!(entries.starts_with(&read));
            prop_assert_eq!(&bytes[..whole as usize], &written(&read));
            let kept = torn.len() - zeros;
            let whole_entries = (0..=entries.len()).rfind(|count| written(&entries[..*count]).len() <= kept).unwrap();
            prop_assert!(read.len() >= whole_entries);
        }

        #[test]
        fn a_changed_byte_ends_the_journal_there(at in 0.0..1.0_f64, bit in 0..8_u8) {
            let entries = entries();
            let mut bytes = written(&entries);
            let at = (bytes.len() as f64 * at) as usize;
            bytes[at] ^= 1 << bit;
            let (read, whole) = read(&bytes);
            prop_assert!(entries.starts_with(&read) && whole as usize <= at);
        }

        #[test]
        fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            read(&bytes);
        }
    }
}
