//! Reads back what this crate writes: initialisation segments and segments, out of a store that may have damaged them.
//!
//! Any bytes may come in: nothing here panics, recurses into what it reads, or takes memory by a count that the bytes
//! do not bear out. So only boxes without children are decoded by `mp4-atom`, whose containers decode whatever they
//! find, to any depth; the tree around them is walked here.

mod init;
mod keyframe;
#[cfg(test)]
mod properties;
mod scan;
mod segment;
mod tree;

pub use init::read_init;
pub use keyframe::read_keyframe;
pub use scan::SegmentScan;
pub use segment::{read_head, read_segment};
pub(crate) use tree::box_header;

use mp4_atom::FourCC;

/// Says why bytes are not what this crate writes.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The size of a box is less than its header, or more than what is there.
    #[error("a box of {size} bytes where {available} are left")]
    Size {
        /// What the box says.
        size: u64,
        /// What there is, from its first byte on.
        available: u64,
    },
    /// A box that must be there is not.
    #[error("no {0} box")]
    Missing(FourCC),
    /// A box does not hold what its type says.
    #[error("malformed {kind} box")]
    Malformed {
        /// Its type.
        kind: FourCC,
        /// Why.
        source: mp4_atom::Error,
    },
    /// Boxes that are well-formed each contradict each other, or say what this crate never does.
    #[error("{0}")]
    Unexpected(&'static str),
}
