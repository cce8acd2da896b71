//! From a keyframe to a picture, where there is a decoder for it.

use std::sync::Arc;

use bytes::Bytes;
use onair_media::{Codec, CodecConfig};

use crate::Picture;

/// The longest side of a picture that is decoded, in pixels.
pub const MAX_SIDE: u32 = 4096;

/// Holds a frame at which decoding may start, and what a decoder must know before.
#[derive(Debug, Clone)]
pub struct Keyframe {
    /// The configuration.
    pub config: Arc<CodecConfig>,
    /// The frame as an MP4 sample, see [`onair_media::Frame::data`].
    pub data: Bytes,
}

/// Says why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// This build cannot decode the codec; the text is that of RFC 6381.
    #[error("no decoder for {0}")]
    NoDecoder(String),
    /// A side has no pixel, or more than [`MAX_SIDE`].
    #[error("a picture of {0} by {1} pixels")]
    Size(usize, usize),
    /// The frame is not what its codec allows.
    #[error("{0}")]
    Malformed(&'static str),
    /// The decoder gave up.
    #[error("the decoder found an error in the picture")]
    Damaged,
    /// The picture cannot be a JPEG file.
    #[error("not encoded as JPEG: {0}")]
    Jpeg(String),
}

/// Tells whether this build decodes a codec.
pub const fn has_decoder(codec: Codec) -> bool {
    matches!(codec, Codec::H264) && cfg!(feature = "openh264")
}

impl Keyframe {
    /// Decodes the picture.
    ///
    /// # Errors
    /// [`PictureError`], for a codec without decoder and for whatever is not a sound picture of it.
    pub fn decode(&self) -> Result<Picture, PictureError> {
        let (width, height) = self.config.dimensions().unwrap_or_default();
        check_size(width as usize, height as usize)?;
        match self.config.as_ref() {
            #[cfg(feature = "openh264")]
            CodecConfig::H264 { sps, pps, .. } => crate::h264::decode(sps, pps, &self.data),
            other => Err(PictureError::NoDecoder(other.rfc6381())),
        }
    }
}

/// Checks that a picture has a size that is decoded.
pub(crate) fn check_size(width: usize, height: usize) -> Result<(), PictureError> {
    let allowed = 1..=MAX_SIDE as usize;
    let fits = allowed.contains(&width) && allowed.contains(&height);
    if fits { Ok(()) } else { Err(PictureError::Size(width, height)) }
}
