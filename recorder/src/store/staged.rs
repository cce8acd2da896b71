//! Uploads in parts into a directory: a file beside the target that takes its name when it is complete.
//!
//! The file is named `{object}#{20 digits}`. [`LocalFileSystem`] lists no file whose name ends with `#` and digits and
//! opens none, since it stages its own puts so.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use object_store::local::LocalFileSystem;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Location;
use object_store::{Error, MultipartId, PutPayload, PutResult, Result};

use super::PART_BYTES;

/// Digits of an upload's id: any `u64`.
const ID_DIGITS: usize = 20;

/// Takes uploads in parts for a directory. What it says is stored survives a power failure.
#[derive(Debug)]
pub(super) struct Staging {
    files: LocalFileSystem,
    /// Everything stands below it.
    root: PathBuf,
}

impl Staging {
    /// `root` is where `files` begins.
    pub(super) fn new(files: LocalFileSystem, root: PathBuf) -> Self {
        Self { files, root }
    }

    fn target(&self, location: &Location) -> Result<PathBuf> {
        self.files.path_to_filesystem(location)
    }

    /// Returns the staged file and what it becomes. An id that is none of ours names no file.
    fn staged(&self, location: &Location, id: &str) -> Result<(PathBuf, PathBuf)> {
        if id.len() != ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_found(location, "not the id of an upload".into()));
        }
        let target = self.target(location)?;
        let mut staged = target.clone().into_os_string();
        staged.push(format!("#{id}"));
        Ok((staged.into(), target))
    }
}

#[async_trait]
impl MultipartStore for Staging {
    async fn create_multipart(&self, location: &Location) -> Result<MultipartId> {
        // Random, so that no upload is mistaken for a former one of the same object.
        let id = format!("{:020}", RandomState::new().hash_one(location.as_ref()));
        let (staged, target) = self.staged(location, &id)?;
        let root = self.root.clone();
        blocking(location, move || create(&staged, parent(&target)?, &root)).await?;
        Ok(id)
    }

    async fn put_part(&self, location: &Location, id: &MultipartId, index: usize, bytes: PutPayload) -> Result<PartId> {
        let (staged, _) = self.staged(location, id)?;
        let content_id = bytes.content_length().to_string();
        blocking(location, move || write(&staged, index, &bytes)).await?;
        Ok(PartId { content_id })
    }

    async fn complete_multipart(&self, location: &Location, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let (staged, target) = self.staged(location, id)?;
        let sizes = parts.iter().map(|part| part.content_id.parse::<u64>());
        let size = sizes.sum::<Result<u64, _>>().map_err(|err| not_found(location, err.into()))?;
        blocking(location, move || publish(&staged, &target, size)).await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn abort_multipart(&self, location: &Location, id: &MultipartId) -> Result<()> {
        let (staged, target) = self.staged(location, id)?;
        let root = self.root.clone();
        blocking(location, move || remove(&staged, parent(&target)?, &root)).await
    }
}

/// Creates the staged file and the directories above it, below `root`, so that they outlive a power failure.
fn create(staged: &Path, directory: &Path, root: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    OpenOptions::new().write(true).create_new(true).open(staged)?;
    for above in directory.ancestors().take_while(|above| above.starts_with(root)) {
        sync_directory(above)?;
    }
    Ok(())
}

fn write(staged: &Path, index: usize, bytes: &PutPayload) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(staged)?;
    file.seek(SeekFrom::Start(index as u64 * PART_BYTES))?;
    for chunk in bytes {
        file.write_all(chunk)?;
    }
    file.sync_data()
}

/// Gives the staged file the target's name. Bytes behind `size` are of a part that was replaced by a shorter one.
fn publish(staged: &Path, target: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(staged)?;
    let length = file.metadata()?.len();
    if length < size {
        let missing = format!("{length} of {size} bytes are there");
        return Err(io::Error::new(ErrorKind::NotFound, missing));
    }
    if length > size {
        file.set_len(size)?;
    }
    file.sync_all()?;
    fs::rename(staged, target)?;
    sync_directory(parent(target)?)
}

/// Removes the staged file, and the directories above it that nothing else is in.
fn remove(staged: &Path, directory: &Path, root: &Path) -> io::Result<()> {
    fs::remove_file(staged)?;
    for above in directory.ancestors().take_while(|above| *above != root) {
        // It fails for the first one that holds something.
        if fs::remove_dir(above).is_err() {
            break;
        }
    }
    Ok(())
}

/// Makes the names in a directory outlive a power failure; only Unix can.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no directory"))
}

/// Runs what waits for the disk where that holds up nobody.
async fn blocking(location: &Location, work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let result = tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)));
    result.map_err(|err| match err.kind() {
        ErrorKind::NotFound => not_found(location, err.into()),
        _ => Error::Generic { store: "directory", source: err.into() },
    })
}

fn not_found(location: &Location, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::NotFound { path: location.to_string(), source }
}
