//! Where recordings end up: a bucket, a directory, or memory.
//!
//! Every object is complete when it is visible: one put, or a multipart upload that completed. This module does I/O;
//! everything it stores was made elsewhere.

mod clip;
mod error;
mod index;
mod list;
mod memory;
mod objects;
mod open;
mod patience;
mod staged;
#[cfg(test)]
mod tests;
mod upload;
mod verify;

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, Stream, StreamExt, TryStreamExt};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, WriteMultipart,
};
use onair_media::{RecordingId, RoomName};
use sha2::{Digest, Sha256};

pub use self::clip::ClipError;
pub use self::error::StoreError;
use self::index::Index;
pub use self::list::{ListPage, RecordingQuery, RecordingSummary};
use self::upload::PartStore;
pub use self::upload::{PartId, UPLOAD_MAX_BYTES, UploadId};
pub use self::verify::{Repair, VerifyError, VerifySettings};
use crate::manifest::hex;
use crate::object::{ObjectName, ObjectPath};

/// The size of an upload's parts but the last, in bytes: above the 5 MiB that S3 demands, and all alike, as some stores
/// want it.
pub const PART_BYTES: u64 = 8 << 20;

/// S3 takes 10,000 parts in one upload.
const PARTS_MAX: u64 = 10_000;

/// How many parts of one upload are on their way at once: 16 MiB of memory. More of them share a slow uplink, and each
/// one has only the request timeout.
const PARTS_AT_ONCE: usize = 2;

/// Puts, gets and lists the objects of recordings. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    /// Everything stands below it.
    prefix: Path,
    attributes: Taken,
    /// What media is stored as, such as `STANDARD_IA`, instead of the bucket's default.
    storage_class: Option<AttributeValue>,
    /// Where uploads in parts go that outlive the process.
    parts: Option<Arc<dyn PartStore>>,
    index: Arc<Index>,
}

/// When a store takes a content type and cache rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Always,
    /// Azure takes them only when an upload completes, and the library's parts give no way to say them there.
    WithPut,
    /// A directory has no place for them.
    Never,
}

/// Describes a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// In bytes.
    pub size: u64,
    /// The entity tag, quoted where the store quotes it.
    pub e_tag: Option<String>,
    /// When it became visible.
    pub last_modified: DateTime<Utc>,
}

/// Holds a download that has begun.
pub struct Download {
    /// Describes the whole object.
    pub info: ObjectInfo,
    /// The bytes of it that the stream brings.
    pub range: Range<u64>,
    /// The bytes.
    pub stream: BoxStream<'static, Result<Bytes, StoreError>>,
}

/// Says what a finished upload was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// In bytes.
    pub size: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

impl Store {
    /// Uses a store that is open already, from its root, also for uploads in parts. It has to take attributes, and to
    /// answer [`object_store::Error::NotFound`] about an upload that it does not know.
    pub fn with_parts<T: ObjectStore + MultipartStore>(store: Arc<T>) -> Self {
        let parts = Arc::<T>::clone(&store);
        Self { parts: Some(parts), ..Self::from_root(store) }
    }

    fn from_root(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            prefix: Path::default(),
            attributes: Taken::Always,
            storage_class: None,
            parts: None,
            index: Arc::default(),
        }
    }

    /// Stores an object, replacing the one of the same name.
    ///
    /// # Errors
    /// [`StoreError::Backend`]; the former object, if there was one, is untouched.
    pub async fn put(&self, object: &ObjectPath, bytes: Bytes) -> Result<(), StoreError> {
        let options = PutOptions { attributes: self.attributes(&object.name), ..PutOptions::default() };
        let put = self.inner.put_opts(&self.path(object), bytes.clone().into(), options).await;
        put.map_err(StoreError::backend("put", object))?;
        if object.name == ObjectName::manifest() {
            self.index.note_written((object.recording.clone(), object.room.clone()), bytes);
        }
        Ok(())
    }

    /// Stores an object of `size` bytes that comes in chunks of any size, in parts, a few at a time.
    ///
    /// It becomes visible when all of it is there. Dropping the future leaves parts behind that only the store's own
    /// rules remove. A stream of another length than `size` is stored as it is.
    ///
    /// # Errors
    /// [`StoreError::Source`] when the stream fails, [`StoreError::Backend`] when the store does; nothing is visible.
    pub async fn put_stream<S, E>(&self, object: &ObjectPath, size: u64, chunks: S) -> Result<Uploaded, StoreError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let source = |err: E| StoreError::Source { path: object.to_string(), source: err.into() };
        let chunks = chunks.map_err(source);
        if size <= PART_BYTES {
            self.put_small(object, chunks).await
        } else {
            self.put_parts(object, size, chunks).await
        }
    }

    /// Gets an object or a range of it; a range that ends behind the object ends with it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Range`] or [`StoreError::Backend`].
    pub async fn get_range(&self, object: &ObjectPath, range: Option<Range<u64>>) -> Result<Download, StoreError> {
        let bounded = range.clone().map(GetRange::Bounded);
        let options = GetOptions { range: bounded, ..GetOptions::default() };
        let result = match self.inner.get_opts(&self.path(object), options).await {
            Ok(result) => result,
            Err(err) => return Err(self.explain(object, range, err).await),
        };
        let path = object.to_string();
        let failed = move |source| StoreError::Backend { operation: "get", path: path.clone(), source };
        Ok(Download {
            info: (&result.meta).into(),
            range: result.range.clone(),
            stream: result.into_stream().map_err(failed).boxed(),
        })
    }

    /// Describes an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Backend`].
    pub async fn head(&self, object: &ObjectPath) -> Result<ObjectInfo, StoreError> {
        let meta = self.inner.head(&self.path(object)).await.map_err(StoreError::backend("head", object))?;
        Ok((&meta).into())
    }

    /// Removes every object of a recording, the manifest first, and returns how many they were.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, [`StoreError::Backend`] when some may be left.
    pub async fn delete_recording(&self, room: &RoomName, recording: &RecordingId) -> Result<usize, StoreError> {
        let name = format!("{room}/{recording}");
        let manifests = self.delete_manifest(room, recording).await?;
        self.index.forget(&(recording.clone(), room.clone()));
        let found = self.inner.list(Some(&self.recording_prefix(room, recording))).map_ok(|meta| meta.location);
        let deleted = self.inner.delete_stream(found.boxed());
        let gone = |result: &Result<Path, object_store::Error>| {
            futures_util::future::ready(!matches!(result, Err(object_store::Error::NotFound { .. })))
        };
        let count = deleted.filter(gone).try_fold(manifests, |count, _| async move { Ok(count + 1) }).await;
        match count.map_err(StoreError::backend("delete", &name))? {
            0 => Err(StoreError::NotFound { path: name }),
            count => Ok(count),
        }
    }

    /// Returns where an object of a recording stands in the store.
    pub fn path(&self, object: &ObjectPath) -> Path {
        let below = self.recording_prefix(&object.room, &object.recording);
        object.name.as_str().split('/').fold(below, |path, segment| path.join(segment))
    }

    fn recording_prefix(&self, room: &RoomName, recording: &RecordingId) -> Path {
        self.prefix.clone().join(room.as_str()).join(recording.as_str())
    }

    fn attributes(&self, name: &ObjectName) -> Attributes {
        let mut attributes = Attributes::new();
        if self.attributes != Taken::Never {
            attributes.insert(Attribute::ContentType, name.content_type().into());
            attributes.insert(Attribute::CacheControl, cache_control(name).into());
        }
        if let Some(class) = self.storage_class.clone().filter(|_| is_media(name)) {
            attributes.insert(Attribute::StorageClass, class);
        }
        attributes
    }

    /// Removes the manifest and returns how many there were, 0 or 1. It is looked for first: S3 says that it deleted
    /// what it never had.
    async fn delete_manifest(&self, room: &RoomName, recording: &RecordingId) -> Result<usize, StoreError> {
        let manifest = ObjectPath::new(room, recording, ObjectName::manifest());
        let deleted = match self.head(&manifest).await {
            Ok(_) => self.inner.delete(&self.path(&manifest)).await.map_err(StoreError::backend("delete", &manifest)),
            Err(err) => Err(err),
        };
        match deleted {
            Ok(()) => Ok(1),
            Err(StoreError::NotFound { .. }) => Ok(0),
            Err(err) => Err(err),
        }
    }

    async fn put_small<S>(&self, object: &ObjectPath, chunks: S) -> Result<Uploaded, StoreError>
    where
        S: Stream<Item = Result<Bytes, StoreError>> + Send,
    {
        let join = |mut all: BytesMut, chunk: Bytes| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        };
        let bytes = chunks.try_fold(BytesMut::new(), join).await?.freeze();
        let uploaded = Uploaded { size: bytes.len() as u64, sha256: hex(&Sha256::digest(&bytes)) };
        self.put(object, bytes).await?;
        Ok(uploaded)
    }

    async fn put_parts<S>(&self, object: &ObjectPath, size: u64, chunks: S) -> Result<Uploaded, StoreError>
    where
        S: Stream<Item = Result<Bytes, StoreError>> + Send,
    {
        let options = PutMultipartOptions { attributes: self.attributes(&object.name), ..Default::default() };
        let upload = self.inner.put_multipart_opts(&self.path(object), options).await;
        let upload = upload.map_err(StoreError::backend("put", object))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part_bytes(size));
        let mut chunks = std::pin::pin!(chunks);
        let (mut size, mut digest) = (0, Sha256::new());
        let written = loop {
            let chunk = match chunks.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break Ok(()),
                Err(err) => break Err(err),
            };
            if let Err(err) = upload.wait_for_capacity(PARTS_AT_ONCE).await {
                break Err(StoreError::backend("put", object)(err));
            }
            size += chunk.len() as u64;
            digest.update(&chunk);
            upload.put(chunk);
        };
        if let Err(err) = written {
            // What went wrong first is what matters.
            let _ = upload.abort().await;
            return Err(err);
        }
        upload.finish().await.map_err(StoreError::backend("put", object))?;
        Ok(Uploaded { size, sha256: hex(&digest.finalize()) })
    }

    /// Finds out whether a failed get asked for a range that the object does not have: stores do not say so alike.
    async fn explain(&self, object: &ObjectPath, range: Option<Range<u64>>, err: object_store::Error) -> StoreError {
        let missing = matches!(err, object_store::Error::NotFound { .. });
        if let Some(range) = range.filter(|_| !missing)
            && let Ok(info) = self.head(object).await
            && (range.start >= info.size || range.is_empty())
        {
            return StoreError::Range { path: object.to_string(), size: info.size };
        }
        StoreError::backend("get", object)(err)
    }
}

impl From<Arc<dyn ObjectStore>> for Store {
    /// Uses a store that is open already, from its root. It has to take attributes, as all but directories do. Of the
    /// uploads in parts that outlive the process it can do none: [`Store::with_parts`].
    fn from(inner: Arc<dyn ObjectStore>) -> Self {
        Self::from_root(inner)
    }
}

impl From<&ObjectMeta> for ObjectInfo {
    fn from(meta: &ObjectMeta) -> Self {
        Self { size: meta.size, e_tag: meta.e_tag.clone(), last_modified: meta.last_modified }
    }
}

/// Returns how long whoever reads the bucket directly may keep an object (RFC 9111 §5.2.2, RFC 8246 §2).
fn cache_control(name: &ObjectName) -> &'static str {
    if is_media(name) { "max-age=31536000, immutable" } else { "no-cache" }
}

/// Tells media, which is written once under its name, from what may be written again while the recording grows, and is
/// read whenever recordings are listed.
fn is_media(name: &ObjectName) -> bool {
    matches!(name.as_str().rsplit_once('.'), Some((_, "m4s" | "mp4")))
}

/// Returns the part size for an upload: whole mebibytes, large enough that the parts are not too many.
fn part_bytes(size: u64) -> usize {
    const MEBIBYTE: u64 = 1 << 20;
    let needed = size.div_ceil(PARTS_MAX).div_ceil(MEBIBYTE) * MEBIBYTE;
    usize::try_from(needed.max(PART_BYTES)).unwrap_or(usize::MAX)
}
