//! Uploads in parts into memory, which nothing survives: not even the meaning of an upload's id.
//!
//! The library's own numbers them from 0, so that a former process's upload would be somebody else's in this one, and
//! completes with whatever was put, wanted or not.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attributes, Error, MultipartId, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Takes uploads in parts for an [`InMemory`].
#[derive(Debug)]
pub(super) struct InMemoryUploads {
    objects: InMemory,
    uploads: Mutex<HashMap<MultipartId, Upload>>,
}

#[derive(Debug)]
struct Upload {
    path: Path,
    attributes: Attributes,
    /// By index.
    parts: BTreeMap<usize, (PartId, PutPayload)>,
}

impl InMemoryUploads {
    pub(super) fn new(objects: InMemory) -> Self {
        Self { objects, uploads: Mutex::default() }
    }

    fn uploads(&self) -> MutexGuard<'_, HashMap<MultipartId, Upload>> {
        // Every change is one call to the map: it is whole whatever panicked.
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the wanted parts together.
    fn join(&self, path: &Path, id: &str, wanted: &[PartId]) -> Result<(PutPayload, Attributes)> {
        let uploads = self.uploads();
        let upload = uploads.get(id).filter(|upload| upload.path == *path).ok_or_else(|| gone(path))?;
        let part = |(index, wanted): (usize, &PartId)| match upload.parts.get(&index) {
            Some((part, bytes)) if part.content_id == wanted.content_id => Ok(bytes),
            _ => Err(gone(path)),
        };
        let parts = wanted.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
        Ok((parts.into_iter().flatten().cloned().collect(), upload.attributes.clone()))
    }
}

#[async_trait]
impl MultipartStore for InMemoryUploads {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        let upload = Upload { path: path.clone(), attributes: options.attributes, parts: BTreeMap::new() };
        let id = random();
        self.uploads().insert(id.clone(), upload);
        Ok(id)
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, index: usize, bytes: PutPayload) -> Result<PartId> {
        let mut uploads = self.uploads();
        let upload = uploads.get_mut(id).filter(|upload| upload.path == *path).ok_or_else(|| gone(path))?;
        let part = PartId { content_id: random() };
        upload.parts.insert(index, (part.clone(), bytes));
        Ok(part)
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let (bytes, attributes) = self.join(path, id, &parts)?;
        let put = self.objects.put_opts(path, bytes, PutOptions { attributes, ..PutOptions::default() }).await?;
        self.uploads().remove(id);
        Ok(put)
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.uploads().remove(id).map(drop).ok_or_else(|| gone(path))
    }
}

/// Returns a name that no other upload or part has, in this process or another.
fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(()))
}

fn gone(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "no such upload or part".into() }
}
