//! Uploads in parts that another process may go on with: what is stored so far is named by texts for a journal.
//!
//! All stores take the same calls and answer alike: parts of one size but for the last, in any order, and an upload
//! that the store no longer knows is [`StoreError::UploadGone`]. A call that failed may be made again.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use object_store::multipart::{self, MultipartStore};
use object_store::{Error, MultipartId, PutMultipartOptions};
use serde::{Deserialize, Serialize};

use super::{PART_BYTES, PARTS_MAX, Store, StoreError, Taken};
use crate::object::ObjectPath;

/// The largest object that such an upload can make, in bytes: 78 GiB.
pub const UPLOAD_MAX_BYTES: u64 = PART_BYTES * PARTS_MAX;

/// Names an upload that has begun. It is written to a journal and means the same after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadId(String);

/// Names a stored part: `{index} {bytes} {what the store calls it}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartId(String);

/// What a [`PartId`] says.
struct Part<'a> {
    index: usize,
    bytes: u64,
    content_id: &'a str,
}

/// A store that takes uploads in parts.
pub(super) trait PartStore: MultipartStore + fmt::Debug {}

impl<T: MultipartStore + fmt::Debug> PartStore for T {}

impl Store {
    /// Begins an upload; nothing is visible before it completes.
    ///
    /// What is neither completed nor aborted takes space until the store's own rules remove it; in a directory that is
    /// a file named like the object with `#` and digits behind it. On Azure the object gets its content type by its
    /// suffix, no cache rules and the account's own access tier.
    ///
    /// # Errors
    /// [`StoreError::Backend`], also for a store that cannot do this, or [`StoreError::NotFound`] without a bucket.
    pub async fn begin_upload(&self, object: &ObjectPath) -> Result<UploadId, StoreError> {
        let mut options = PutMultipartOptions::default();
        if self.attributes == Taken::Always {
            options.attributes = self.attributes(&object.name);
        }
        let begun = self.parts()?.create_multipart_opts(&self.path(object), options).await;
        let id = begun.map_err(StoreError::backend("begin the upload of", object))?;
        // Azure's blocks belong to the object and not to an upload, so it has no id.
        Ok(UploadId(if id.is_empty() { "-".into() } else { id }))
    }

    /// Stores a part; `index` counts from 0. Parts come in any order; one that is put again replaces the former one, as
    /// long as no two calls for the same index run at once.
    ///
    /// What is stored when this returns survives a power failure on the store's side. Every part but the last has
    /// exactly [`PART_BYTES`], the last one at least a byte.
    ///
    /// # Errors
    /// [`StoreError::PartSize`], [`StoreError::PartCount`], [`StoreError::UploadGone`] or [`StoreError::Backend`].
    pub async fn put_part(
        &self,
        object: &ObjectPath,
        upload: &UploadId,
        index: usize,
        bytes: Vec<Bytes>,
    ) -> Result<PartId, StoreError> {
        if index as u64 >= PARTS_MAX {
            return Err(StoreError::PartCount { path: object.to_string(), parts: index as u64 + 1 });
        }
        let size: u64 = bytes.iter().map(|chunk| chunk.len() as u64).sum();
        if size == 0 || size > PART_BYTES {
            return Err(StoreError::PartSize { path: object.to_string(), index, bytes: size });
        }
        let payload = bytes.into_iter().collect();
        let put = self.parts()?.put_part(&self.path(object), upload.id(object)?, index, payload).await;
        let part = put.map_err(|source| failed("put a part of", object, source))?;
        Ok(PartId(format!("{index} {size} {}", part.content_id)))
    }

    /// Makes the object of its parts; `parts[i]` is what [`Store::put_part`] returned last for index `i`.
    ///
    /// When the answer was lost, the upload may be gone because it completed: let [`Store::confirm`] decide before
    /// anything is begun again.
    ///
    /// # Errors
    /// [`StoreError::PartSize`], [`StoreError::PartCount`], [`StoreError::UploadGone`], also when parts of it are gone
    /// or are not what `parts` says, or [`StoreError::Backend`]; a former object of the name is untouched.
    pub async fn complete_upload(
        &self,
        object: &ObjectPath,
        upload: &UploadId,
        parts: Vec<PartId>,
    ) -> Result<(), StoreError> {
        let parts = check_parts(object, &parts)?;
        let done = self.parts()?.complete_multipart(&self.path(object), upload.id(object)?, parts).await;
        done.map(drop).map_err(|source| failed("complete the upload of", object, source))
    }

    /// Forgets an upload and its parts. One that is gone already is fine; Azure drops parts by itself after a week.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub async fn abort_upload(&self, object: &ObjectPath, upload: &UploadId) -> Result<(), StoreError> {
        let Ok(id) = upload.id(object) else { return Ok(()) };
        let aborted = self.parts()?.abort_multipart(&self.path(object), id).await;
        match aborted.map_err(|source| failed("abort the upload of", object, source)) {
            Err(StoreError::UploadGone { .. }) => Ok(()),
            result => result,
        }
    }

    /// Asks the store whether an object is there with `size` bytes.
    ///
    /// # Errors
    /// [`StoreError::Unconfirmed`] when it is not, [`StoreError::Backend`] when the store does not say.
    pub async fn confirm(&self, object: &ObjectPath, size: u64) -> Result<(), StoreError> {
        let found = match self.head(object).await {
            Ok(info) if info.size == size => return Ok(()),
            Ok(info) => Some(info.size),
            Err(StoreError::NotFound { .. }) => None,
            Err(err) => return Err(err),
        };
        Err(StoreError::Unconfirmed { path: object.to_string(), expected: size, found })
    }

    /// Asks the store whether an upload that it does not know any more became an object of `size` bytes. Where the entity tag
    /// tells of how many parts an object was made, as on S3 and what is like it, that has to be right as well.
    ///
    /// # Errors
    /// [`StoreError::Unconfirmed`] when it did not, [`StoreError::Backend`] when the store does not say.
    pub async fn confirm_upload(&self, object: &ObjectPath, size: u64, parts: usize) -> Result<(), StoreError> {
        self.confirm(object, size).await?;
        let e_tag = self.head(object).await?.e_tag;
        match e_tag.as_deref().and_then(parts_of_tag) {
            Some(found) if found != parts => {
                Err(StoreError::Unconfirmed { path: object.to_string(), expected: size, found: None })
            }
            _ => Ok(()),
        }
    }

    fn parts(&self) -> Result<&dyn PartStore, StoreError> {
        self.parts.as_deref().ok_or_else(|| {
            let source = Error::NotSupported { source: "this store takes no uploads in parts".into() };
            StoreError::Backend { operation: "upload in parts to", path: self.prefix.to_string(), source }
        })
    }
}

impl UploadId {
    /// Returns the store's id. An empty one, which only a damaged journal has, would make the object itself of what is
    /// asked of its upload: `DELETE object?uploadId=` may remove it.
    fn id(&self, object: &ObjectPath) -> Result<&MultipartId, StoreError> {
        if self.0.is_empty() { Err(StoreError::UploadGone { path: object.to_string() }) } else { Ok(&self.0) }
    }
}

impl PartId {
    fn read(&self) -> Option<Part<'_>> {
        let mut fields = self.0.splitn(3, ' ');
        let index = usize::from_str(fields.next()?).ok()?;
        let bytes = u64::from_str(fields.next()?).ok()?;
        Some(Part { index, bytes, content_id: fields.next()? })
    }
}

/// Reads the number of parts from an entity tag of S3's form: an MD5 digest in hexadecimal, a dash, the number.
fn parts_of_tag(tag: &str) -> Option<usize> {
    let (digest, parts) = tag.trim_matches('"').split_once('-')?;
    let is_digest = digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| parts.parse().ok()).flatten()
}

/// Checks what is the same for every store, so that what one of them takes is refused by none: R2 wants parts of one
/// size, S3 wants 5 MiB of all but the last, a directory finds a part by its index.
fn check_parts(object: &ObjectPath, parts: &[PartId]) -> Result<Vec<multipart::PartId>, StoreError> {
    let path = || object.to_string();
    if parts.is_empty() || parts.len() as u64 > PARTS_MAX {
        return Err(StoreError::PartCount { path: path(), parts: parts.len() as u64 });
    }
    let check = |(index, part): (usize, &PartId)| {
        // Nothing that we returned: a damaged journal. What it was about is lost.
        let part =
            part.read().filter(|part| part.index == index).ok_or_else(|| StoreError::UploadGone { path: path() })?;
        if part.bytes != PART_BYTES && index + 1 != parts.len() {
            return Err(StoreError::PartSize { path: path(), index, bytes: part.bytes });
        }
        Ok(multipart::PartId { content_id: part.content_id.to_owned() })
    };
    parts.iter().enumerate().map(check).collect()
}

/// Tells an upload that the store does not know, or parts of it, from everything else that may fail.
///
/// S3 and GCS answer 404 `NoSuchUpload` or 400 `InvalidPart`, Azure 400 `InvalidBlockList`. A missing bucket is a 404
/// as well, and to begin again would not help.
fn failed(operation: &'static str, object: &ObjectPath, source: Error) -> StoreError {
    let path = object.to_string();
    let gone = match &source {
        Error::NotFound { .. } => !says(&source, &["NoSuchBucket", "ContainerNotFound"]),
        _ => says(&source, &["<Code>NoSuchUpload<", "<Code>InvalidPart<", "<Code>InvalidBlockList<"]),
    };
    if gone { StoreError::UploadGone { path } } else { StoreError::Backend { operation, path, source } }
}

/// Looks for a store's error code in an error and what caused it: the library has no type for it.
fn says(err: &Error, codes: &[&str]) -> bool {
    let causes = std::iter::successors(Some(err as &dyn std::error::Error), |err| err.source());
    causes.map(ToString::to_string).any(|text| codes.iter().any(|code| text.contains(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_of_uploads_tell_of_parts() {
        for (tag, parts) in [
            ("\"9b2cf535f27731c974343645a3985328-38\"", Some(38)),
            ("9b2cf535f27731c974343645a3985328-1", Some(1)),
            ("\"9b2cf535f27731c974343645a3985328\"", None),
            ("\"1a2b-18c3-64f0\"", None),
            ("0x8DC4BAF0-2", None),
        ] {
            assert_eq!(parts_of_tag(tag), parts, "{tag}");
        }
    }
}
