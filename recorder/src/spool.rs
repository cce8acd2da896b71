//! The spool: segments on the local disk until the store has them.
//!
//! One file for each object, `{room}/{recording}/{object}` below one directory. A file that has its name is whole and
//! on the disk. This module does I/O.

use std::io::{ErrorKind, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use onair_media::{RecordingId, RoomName};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::object::ObjectPath;

/// The suffix of a file that is being written; no object name has it.
const PARTIAL: &str = "partial";

/// Says what went wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {path}")]
pub struct SpoolError {
    /// What was tried.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

impl SpoolError {
    fn at(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { operation, path, source }
    }
}

/// Writes, reads and removes the files of the spool. Cloning is cheap enough.
#[derive(Debug, Clone)]
pub struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// Opens a spool, creating its directory when it is missing.
    ///
    /// # Errors
    /// [`SpoolError`] when the directory cannot be created.
    pub async fn open(directory: PathBuf) -> Result<Self, SpoolError> {
        fs::create_dir_all(&directory).await.map_err(SpoolError::at("create", &directory))?;
        Ok(Self { directory })
    }

    /// Writes an object; when this returns, it survives a power failure. An object of the same name is replaced.
    ///
    /// # Errors
    /// [`SpoolError`]; the former object, if there was one, is untouched.
    pub async fn write(&self, object: &ObjectPath, bytes: &[u8]) -> Result<(), SpoolError> {
        let path = self.path(object);
        let folder = path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(folder).await.map_err(SpoolError::at("create", folder))?;
        let partial = path.with_added_extension(PARTIAL);
        let written = write_synced(&partial, bytes).await;
        written.map_err(SpoolError::at("write", &partial))?;
        fs::rename(&partial, &path).await.map_err(SpoolError::at("rename", &path))?;
        sync_directory(folder).await.map_err(SpoolError::at("sync", folder))
    }

    /// Reads an object or a range of it.
    ///
    /// # Errors
    /// [`SpoolError`] when the object is missing or shorter than the range.
    pub async fn read(&self, object: &ObjectPath, range: Option<Range<u64>>) -> Result<Bytes, SpoolError> {
        let path = self.path(object);
        let read = match range {
            None => fs::read(&path).await,
            Some(range) => read_range(&path, range).await,
        };
        read.map(Bytes::from).map_err(SpoolError::at("read", &path))
    }

    /// Removes an object; a missing one is fine.
    ///
    /// # Errors
    /// [`SpoolError`] when the file is there and stays.
    pub async fn remove(&self, object: &ObjectPath) -> Result<(), SpoolError> {
        let path = self.path(object);
        missing_is_fine(fs::remove_file(&path).await).map_err(SpoolError::at("remove", &path))
    }

    /// Removes all objects of a recording; a missing recording is fine.
    ///
    /// # Errors
    /// [`SpoolError`] when something stays.
    pub async fn remove_recording(&self, room: &RoomName, recording: &RecordingId) -> Result<(), SpoolError> {
        let folder = self.directory.join(room.as_str());
        let path = folder.join(recording.as_str());
        missing_is_fine(fs::remove_dir_all(&path).await).map_err(SpoolError::at("remove", &path))?;
        // Stays when the room has other recordings.
        let _ = fs::remove_dir(&folder).await;
        Ok(())
    }

    /// Returns where an object lies, for those who read it themselves.
    pub fn path(&self, object: &ObjectPath) -> PathBuf {
        let recording = self.directory.join(object.room.as_str()).join(object.recording.as_str());
        recording.join(object.name.as_str())
    }
}

async fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(path).await?;
    file.write_all(bytes).await?;
    file.flush().await?;
    file.sync_all().await
}

/// Makes a rename survive a power failure: the name is in the directory.
async fn sync_directory(path: &Path) -> std::io::Result<()> {
    fs::File::open(path).await?.sync_all().await
}

async fn read_range(path: &Path, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path).await?;
    let size = file.metadata().await?.len();
    // Checked before memory is reserved: the range may come from afar.
    if range.start > range.end || range.end > size {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let length = usize::try_from(range.end - range.start).map_err(|_| ErrorKind::OutOfMemory)?;
    file.seek(SeekFrom::Start(range.start)).await?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn missing_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectName;

    #[test]
    fn objects_are_whole_and_removed_with_their_recording() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = std::env::temp_dir().join(format!("onair-spool-{}", std::process::id()));
        runtime.block_on(async {
            let spool = Spool::open(directory.join("spool")).await.unwrap();
            let room = RoomName::parse("studio-1").unwrap();
            let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
            let object = ObjectPath::new(&room, &recording, ObjectName::parse("video/000001.m4s").unwrap());
            assert_eq!(spool.read(&object, None).await.unwrap_err().source.kind(), ErrorKind::NotFound);

            spool.write(&object, b"0123456789").await.unwrap();
            spool.write(&object, b"9876543210").await.unwrap();
            assert_eq!(spool.read(&object, None).await.unwrap(), "9876543210");
            assert_eq!(spool.read(&object, Some(8..10)).await.unwrap(), "10");
            for bad in [8..11, 11..12, 0..u64::MAX] {
                assert!(spool.read(&object, Some(bad)).await.is_err());
            }
            // Only the object: no half-written file is left.
            let folder = spool.path(&object).parent().unwrap().to_owned();
            assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);

            let playlist = ObjectPath { name: ObjectName::multivariant(), ..object.clone() };
            spool.remove(&playlist).await.unwrap();
            spool.remove_recording(&room, &recording).await.unwrap();
            spool.remove_recording(&room, &recording).await.unwrap();
            assert!(!directory.join("spool/studio-1").exists());
        });
        std::fs::remove_dir_all(directory).unwrap();
    }
}
