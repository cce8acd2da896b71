//! What can go wrong with a store.

use super::{PART_BYTES, PARTS_MAX};

/// Says what went wrong with the store, and with which object.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL's scheme names no store.
    #[error("no store for {scheme}://; there are file, s3, gs, az and memory")]
    Scheme {
        /// What stood before the colon.
        scheme: String,
    },
    /// An option is none of the store's.
    #[error("{scheme}:// has no option {key}")]
    Option {
        /// The option.
        key: String,
        /// The store.
        scheme: String,
    },
    /// The directory of a `file://` store cannot be used.
    #[error("use the directory {url}")]
    Directory {
        /// The store.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be used.
    #[error("open the store {url}")]
    Open {
        /// The store, without a password.
        url: String,
        /// Why.
        source: object_store::Error,
    },
    /// There is no such object or recording.
    #[error("{path} is not stored")]
    NotFound {
        /// The object or recording.
        path: String,
    },
    /// The range begins behind the end of the object.
    #[error("{path} has {size} bytes, the range begins behind them")]
    Range {
        /// The object.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A manifest cannot be read.
    #[error("read the manifest of {path}")]
    Manifest {
        /// The recording.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A manifest is larger than any we write.
    #[error("the manifest of {path} has {size} bytes")]
    ManifestSize {
        /// The recording.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A stream that was to be stored broke off; nothing became visible.
    #[error("read what is to be stored as {path}")]
    Source {
        /// The object.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part has a size that no upload can have there, or nothing in it.
    #[error("part {index} of {path} has {bytes} bytes; all but the last one have {PART_BYTES}, and that one not more")]
    PartSize {
        /// The object.
        path: String,
        /// The part, from 0.
        index: usize,
        /// Its size in bytes.
        bytes: u64,
    },
    /// An upload has no parts, or more than a store takes.
    #[error("{path} has {parts} parts; there may be 1 to {PARTS_MAX}")]
    PartCount {
        /// The object.
        path: String,
        /// How many parts.
        parts: u64,
    },
    /// The store no longer knows the upload, or some of its parts: it has to begin again.
    #[error("the upload of {path} is gone")]
    UploadGone {
        /// The object.
        path: String,
    },
    /// The object is not there as it was stored.
    #[error("{path} should have {expected} bytes, {}", found.map_or("and is not there".into(), |found| format!("and has {found}")))]
    Unconfirmed {
        /// The object.
        path: String,
        /// The size in bytes that it should have.
        expected: u64,
        /// The size that it has; absent when it is not there.
        found: Option<u64>,
    },
    /// The store failed.
    #[error("{operation} {path}")]
    Backend {
        /// What was tried.
        operation: &'static str,
        /// The object, recording or prefix.
        path: String,
        /// Why.
        source: object_store::Error,
    },
}

impl StoreError {
    /// Names the operation and the path of a failure; a missing object is [`StoreError::NotFound`].
    pub(super) fn backend(operation: &'static str, path: impl ToString) -> impl FnOnce(object_store::Error) -> Self {
        let path = path.to_string();
        move |source| match source {
            object_store::Error::NotFound { .. } => Self::NotFound { path },
            source => Self::Backend { operation, path, source },
        }
    }
}
