//! The media words of onair: names, packets, frames, codecs and time.
//!
//! Pure: nothing here opens a socket, asks the system for the time, spawns or locks.
//! Everything that came from a network is an `Err` when it is wrong, never a panic.

pub mod bits;
pub mod codec;
pub mod depacketize;
pub mod frame;
pub mod h264;
pub mod h265;
pub mod ids;
pub mod opus;
pub mod packet;
pub mod packetize;

mod assemble;
mod av1;
mod dts;
mod nal;
mod reorder;
mod time;
mod track;
mod vp8;
mod vp9;

pub use codec::{Codec, CodecConfig, MediaKind};
pub use depacketize::{Depacketized, Depacketizer, keyframe_size, starts_keyframe};
pub use frame::Frame;
pub use ids::{RecordingId, RoomGlob, RoomName};
pub use packet::{EncodingId, EncodingSet, PacketBatch, RtpPacket, SenderReport, SourceId};
pub use packetize::{AccessUnit, Packetizer};
pub use time::Alignment;
