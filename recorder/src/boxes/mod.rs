//! The ISO BMFF boxes of the live stream: initialisation segments and chunks (CMAF, ISO/IEC 23000-19).
//!
//! The boxes themselves are typed by `mp4-atom`; this module decides which ones we write and what stands in them.
//! Nothing here holds state or media: configuration and samples in, bytes out.

mod chunk;
mod head;
mod init;
#[cfg(test)]
mod tests;

pub use chunk::{Chunk, chunk};
pub use head::SegmentHead;
pub(crate) use init::{data_information, handler, media_header, movie_header, sample_entry, track_header};
pub use init::{header, init_segment};

use onair_media::MediaKind;

/// Counts the changes to the bytes that this module writes; the golden tests are tied to it.
///
/// Parts that are already stored keep their form, so a change here must stay readable together with older parts.
/// Since version 2 a segment begins with a [`SegmentHead`].
pub const FORMAT_VERSION: u32 = 2;

/// Flags of a sample that decoding may start with: it depends on no other (ISO/IEC 14496-12 §8.8.3.1).
pub(crate) const SYNC_FLAGS: u32 = 0x0200_0000;

/// Flags of a sample that depends on others and is no sync sample (ISO/IEC 14496-12 §8.8.3.1).
pub(crate) const NON_SYNC_FLAGS: u32 = 0x0101_0000;

/// Returns the track's id: 1 for video, 2 for audio, in every file we write.
pub(crate) const fn track_id(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Video => 1,
        MediaKind::Audio => 2,
    }
}

/// Says why a configuration has no box.
#[derive(Debug, thiserror::Error)]
pub enum BoxError {
    /// A sample entry stores width and height in 16 bits each (ISO/IEC 14496-12 §12.1.3).
    #[error("a picture of {width}x{height} does not fit a sample entry")]
    Dimensions {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// A parameter set or sequence header has a length that the configuration box cannot hold.
    #[error("{name} of {bytes} bytes does not fit the decoder configuration")]
    ParameterSet {
        /// Which one.
        name: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A field of the configuration has a value outside its range.
    #[error("{field} has the value {value}, which the decoder configuration cannot hold")]
    Field {
        /// Which one.
        field: &'static str,
        /// What it was.
        value: u32,
    },
    /// The sample tables exceed what a box can hold: months of media in one file.
    #[error("sample tables of {bytes} bytes do not fit a box")]
    Tables {
        /// Their size.
        bytes: u64,
    },
    /// The box could not be encoded.
    #[error("encode a box")]
    Encode(#[source] mp4_atom::Error),
}

impl From<mp4_atom::Error> for BoxError {
    fn from(source: mp4_atom::Error) -> Self {
        Self::Encode(source)
    }
}
