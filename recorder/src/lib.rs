//! CMAF chunks, playlists, the progressive MP4, manifests, and the store they end up in.

pub mod boxes;
pub mod cut;
pub mod fragmenter;
#[cfg(test)]
mod testing;
mod ticks;

pub use cut::{Cut, Init, Part, Sample, Segment};
pub use fragmenter::{Fragmenter, FragmenterSettings};
