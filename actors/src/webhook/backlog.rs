//! What waits for one receiver, on the disk: one file for each event, whole and synced before it is sent.
//!
//! This module does I/O.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use onair_recorder::{Event, EventId, EventKind};

/// The suffix of an event, whose file is named by its id and its type, and of one that is being written.
const SUFFIX: &str = ".json";
const PARTIAL: &str = ".partial";

/// Keeps the events of one receiver in a directory of its own. Cloning is cheap, and all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Backlog {
    directory: Arc<Path>,
}

impl Backlog {
    /// Opens the directory, making it if it is missing, and returns what is there, oldest first.
    pub(super) async fn open(directory: PathBuf) -> io::Result<(Self, Vec<(EventId, EventKind)>)> {
        let backlog = Self { directory: directory.into() };
        let found = backlog.blocking(Self::load).await?;
        Ok((backlog, found))
    }

    /// Writes events; when this returns, they survive a power failure.
    pub(super) async fn write(&self, events: Vec<Arc<Event>>) -> io::Result<()> {
        self.blocking(move |backlog| {
            for event in events {
                let path = backlog.path(event.id(), event.kind());
                let partial = path.with_added_extension(&PARTIAL[1..]);
                let mut file = File::create(&partial)?;
                file.write_all(event.json().as_bytes())?;
                file.sync_all()?;
                fs::rename(&partial, &path)?;
            }
            // Makes the names survive too.
            File::open(&backlog.directory)?.sync_all()
        })
        .await
    }

    /// Reads an event's JSON.
    pub(super) async fn read(&self, id: EventId, kind: EventKind) -> io::Result<Vec<u8>> {
        self.blocking(move |backlog| fs::read(backlog.path(id, kind))).await
    }

    /// Removes an event; a missing one is fine. After a power failure it may be there again, and is sent twice then.
    pub(super) async fn remove(&self, id: EventId, kind: EventKind) -> io::Result<()> {
        self.blocking(move |backlog| missing_is_fine(fs::remove_file(backlog.path(id, kind)))).await
    }

    fn load(&self) -> io::Result<Vec<(EventId, EventKind)>> {
        fs::create_dir_all(&self.directory)?;
        // The directory and the one above it may be new; their names must survive as those of the events do.
        for above in self.directory.ancestors().skip(1).take(2) {
            File::open(above)?.sync_all()?;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(PARTIAL) {
                // Never said to be written: the server ended before.
                missing_is_fine(fs::remove_file(self.directory.join(name)))?;
            }
            found.extend(parse_name(name));
        }
        found.sort_unstable_by_key(|(id, _)| *id);
        Ok(found)
    }

    fn path(&self, id: EventId, kind: EventKind) -> PathBuf {
        self.directory.join(format!("{id}.{}{SUFFIX}", kind.as_str()))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let backlog = self.clone();
        tokio::task::spawn_blocking(move || work(&backlog)).await.map_err(io::Error::other)?
    }
}

fn parse_name(name: &str) -> Option<(EventId, EventKind)> {
    let (id, kind) = name.strip_suffix(SUFFIX)?.split_once('.')?;
    Some((EventId::parse(id)?, EventKind::parse(kind)?))
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the directories of receivers that are configured no more, once nothing in them is newer than `millis`, which
/// is in milliseconds since 1970. Returns how many events still wait there for their receiver to come back.
pub(super) async fn sweep(root: PathBuf, configured: Vec<String>, millis: u64) -> io::Result<usize> {
    tokio::task::spawn_blocking(move || sweep_now(&root, &configured, millis)).await.map_err(io::Error::other)?
}

fn sweep_now(root: &Path, configured: &[String], millis: u64) -> io::Result<usize> {
    let mut waiting = 0;
    fs::create_dir_all(root)?;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let is_configured = configured.iter().any(|name| entry.file_name() == name.as_str());
        if is_configured || !entry.file_type()?.is_dir() {
            continue;
        }
        let backlog = Backlog { directory: entry.path().into() };
        let found = backlog.load()?;
        let (old, young): (Vec<_>, Vec<_>) = found.into_iter().partition(|(id, _)| id.millis() < millis);
        for (id, kind) in old {
            missing_is_fine(fs::remove_file(backlog.path(id, kind)))?;
        }
        waiting += young.len();
        if young.is_empty() {
            // Stays when somebody put something of his own there.
            let _not_empty = fs::remove_dir(entry.path());
        }
    }
    Ok(waiting)
}
