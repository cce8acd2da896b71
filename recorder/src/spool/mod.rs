//! The spool: what is recorded waits on the local disk until the store has it.
//!
//! One folder for each recording, `{room}/{recording}`, with its journal and one file for each initialisation segment
//! and segment. A segment's file grows part by part; the journal says how far it is whole. This module does I/O, and
//! but for reading all of it blocks.

mod finish;
mod recover;
mod space;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{self, File};
use std::io::{ErrorKind, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use onair_media::{RecordingId, RoomName};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

pub use self::finish::{Finish, FinishError, FinishPart};
pub use self::recover::Resumed;
use self::space::Space;
pub use self::space::{Pressure, SpaceState};
pub use self::writer::SpoolWriter;
use crate::object::{ObjectName, ObjectPath};

/// The file of a recording that holds its [`journal`](crate::journal).
const JOURNAL: &str = "journal";

/// The file that says which process uses the spool.
const LOCK: &str = ".lock";

/// Says how the spool is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The most bytes that may wait.
    pub max_bytes: u64,
    /// How many bytes of the disk are left alone.
    pub min_free_bytes: u64,
    /// What is made to survive a power failure. Everything survives the end of the process.
    pub fsync: Fsync,
}

/// Says what is written through to the disk before it counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Nothing: a power failure may cost what the system had not written yet, half a minute or so.
    Never,
    /// Segments when they end: a power failure costs the segments that grow.
    Segment,
    /// Each part: a power failure costs the part that is being cut.
    Part,
}

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

/// Knows the spool's folders and how much room there is.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    fsync: Fsync,
    space: Space,
    /// Held while the process lives: two of them would finish each other's recordings.
    _lock: File,
}

impl Spool {
    /// Opens a spool, creating its directory when it is missing, and counts what is in it.
    ///
    /// # Errors
    /// [`SpoolError`] when the directory cannot be used, or another process uses it.
    pub fn open(directory: PathBuf, settings: SpoolSettings) -> Result<Self, SpoolError> {
        fs::create_dir_all(&directory).map_err(SpoolError::at("create", &directory))?;
        let path = directory.join(LOCK);
        let lock = File::create(&path).map_err(SpoolError::at("create", &path))?;
        lock.try_lock().map_err(|error| SpoolError::at("lock", &path)(error.into()))?;
        let used = size_of(&directory).map_err(SpoolError::at("measure", &directory))?;
        let space = Space::new(directory.clone(), settings, used);
        Ok(Self { directory, fsync: settings.fsync, space, _lock: lock })
    }

    /// Says how much room there is.
    pub fn space(&self) -> SpaceState {
        self.space.state()
    }

    /// Says that the store has a segment whose file is kept for the MP4's sake: it goes first when room is needed.
    pub fn may_evict(&self, object: &ObjectPath) {
        self.space.may_evict(self.path(object));
    }

    /// Removes the file of an object; a missing one is fine.
    ///
    /// # Errors
    /// [`SpoolError`] when the file is there and stays.
    pub fn remove(&self, object: &ObjectPath) -> Result<(), SpoolError> {
        let path = self.path(object);
        self.space.remove(&path).map_err(SpoolError::at("remove", &path))
    }

    /// Removes all of a recording; a missing recording is fine.
    ///
    /// # Errors
    /// [`SpoolError`] when something stays.
    pub fn remove_recording(&self, room: &RoomName, recording: &RecordingId) -> Result<(), SpoolError> {
        let folder = self.folder(room, recording);
        let size = size_of(&folder).unwrap_or_default();
        missing_is_fine(fs::remove_dir_all(&folder)).map_err(SpoolError::at("remove", &folder))?;
        self.space.give(size);
        // Stays when the room has other recordings.
        let _ = fs::remove_dir(self.directory.join(room.as_str()));
        Ok(())
    }

    /// Tells whether a recording is in the spool: being written, or waiting to be finished.
    pub fn holds(&self, room: &RoomName, recording: &RecordingId) -> bool {
        self.folder(room, recording).join(JOURNAL).exists()
    }

    /// Reads an object, or a range of it, without blocking.
    ///
    /// # Errors
    /// [`SpoolError`] when the object is missing or shorter than the range.
    pub async fn read(&self, object: &ObjectPath, range: Option<Range<u64>>) -> Result<Bytes, SpoolError> {
        self.read_file(self.path(object), range).await
    }

    /// Reads a range of the header that a finished MP4 begins with, without blocking.
    ///
    /// # Errors
    /// [`SpoolError`] when it is missing or shorter than the range.
    pub async fn read_header(
        &self,
        room: &RoomName,
        recording: &RecordingId,
        range: Range<u64>,
    ) -> Result<Bytes, SpoolError> {
        self.read_file(self.folder(room, recording).join(finish::HEADER), Some(range)).await
    }

    async fn read_file(&self, path: PathBuf, range: Option<Range<u64>>) -> Result<Bytes, SpoolError> {
        let read = match range {
            None => tokio::fs::read(&path).await,
            Some(range) => read_range(&path, range).await,
        };
        read.map(Bytes::from).map_err(SpoolError::at("read", &path))
    }

    fn folder(&self, room: &RoomName, recording: &RecordingId) -> PathBuf {
        self.directory.join(room.as_str()).join(recording.as_str())
    }

    /// Returns where an object lies.
    fn path(&self, object: &ObjectPath) -> PathBuf {
        self.folder(&object.room, &object.recording).join(object.name.as_str())
    }
}

/// Names an object of the recording in a folder.
fn file_in(folder: &Path, name: &ObjectName) -> PathBuf {
    folder.join(name.as_str())
}

/// Adds up the files below a directory; a missing one has none.
fn size_of(directory: &Path) -> std::io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut size = 0;
    for entry in entries {
        let entry = entry?;
        size += if entry.file_type()?.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(size)
}

/// Makes the names in a directory survive a power failure.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

async fn read_range(path: &Path, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut file = tokio::fs::File::open(path).await?;
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
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Runs blocking work of the spool's away from the actors' threads.
///
/// # Errors
/// [`SpoolError`] of the work, or that the process is about to end.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SpoolError> {
    let failed = |error: tokio::task::JoinError| SpoolError {
        operation: "use",
        path: PathBuf::from("the spool"),
        source: std::io::Error::other(error),
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)
}
