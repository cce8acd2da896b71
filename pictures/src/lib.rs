//! Single pictures of a broadcast: a keyframe is decoded, made smaller, and becomes a JPEG file.
//!
//! Pure computation that takes milliseconds: whoever calls it keeps it away from the threads of media.
//! A keyframe comes from a publisher, who may send anything: what is not a sound picture is an error.

mod decode;
#[cfg(feature = "openh264")]
mod h264;
mod jpeg;
mod picture;
pub mod storyboard;

pub use decode::{Keyframe, MAX_SIDE, PictureError, has_decoder};
pub use picture::Picture;
