//! CMAF chunks, playlists, the progressive MP4, manifests, and the store they end up in.

pub mod boxes;
pub mod clip;
pub mod cut;
pub mod event;
mod extent;
pub mod fragmenter;
pub mod journal;
pub mod ledger;
mod listing;
pub mod manifest;
pub mod measure;
pub mod object;
pub mod playlist;
pub mod progressive;
pub mod read;
pub mod retention;
pub mod spool;
pub mod store;
#[cfg(test)]
mod testing;
mod ticks;
pub mod verify;
pub mod window;

pub use clip::{CLIP_MAX_S, Clip, ClipRange, ClipRefusal};
pub use cut::{Cut, Init, Part, Sample, Segment};
pub use event::{Event, EventBody, EventId, EventKind, Interest, PressureState, RecordingEvent, SpoolPressure};
pub use extent::{Extent, ExtentLimits, MP4_MEDIA_MAX_BYTES};
pub use fragmenter::{Fragmenter, FragmenterSettings};
pub use ledger::{Ledger, Mp4Step, UploadedPart};
pub use manifest::{
    GapReason, Manifest, ManifestBuilder, Pictures, Protocol, Publisher, RecordingState, sha256, sha256_hex,
};
pub use measure::Measure;
pub use object::{ObjectName, ObjectPath};
pub use playlist::{Completeness, PlaylistError, RecordingPlaylists};
pub use progressive::{Mp4Layout, Piece};
pub use read::{ReadError, SegmentScan, read_head, read_init, read_keyframe, read_segment};
pub use retention::{Budget, Expired, Expiry, RetentionPolicy};
pub use spool::{
    Finish, FinishError, FinishPart, Fsync, Pressure, Resumed, Spool, SpoolError, SpoolSettings, SpoolWriter,
};
pub use store::{
    ClipError, Download, ListPage, ObjectInfo, PART_BYTES, PartId, RecordingQuery, RecordingSummary, Repair, Store,
    StoreError, UPLOAD_MAX_BYTES, UploadId, Uploaded, VerifyError, VerifySettings,
};
pub use verify::{Finding, Problem, Remedy, Report};
pub use window::{Window, WindowSettings};
