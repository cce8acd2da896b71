//! Going on with what another process left: the journal is read, what it says is checked, and what is torn is cut off.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use onair_media::{CodecConfig, MediaKind, RecordingId, RoomName};
use sha2::{Digest, Sha256};

use super::{JOURNAL, Spool, SpoolError, SpoolWriter, file_in, size_of, sync_directory};
use crate::boxes::init_segment;
use crate::cut::Part;
use crate::journal::{Begun, Entry, Reader, VERSION, crc, put_entry};
use crate::ledger::Ledger;
use crate::object::ObjectName;

/// Holds a recording that was taken over.
#[derive(Debug)]
pub struct Resumed {
    /// What is known of it; nothing more can be recorded.
    pub ledger: Ledger,
    /// Goes on with its journal.
    pub writer: SpoolWriter,
}

impl Spool {
    /// Returns the recordings that another process left, oldest first. What it left without a journal was being created or
    /// removed: nothing is known of it, and it is removed. What the store has of the others goes first when room is needed.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be listed or something stays that is to be removed.
    pub fn left(&self) -> Result<Vec<(RoomName, RecordingId)>, SpoolError> {
        let mut left = Vec::new();
        for room in names_in(&self.directory)? {
            let Ok(room_name) = RoomName::parse(&room) else { continue };
            for recording in names_in(&self.directory.join(&room))? {
                let Ok(id) = RecordingId::parse(&recording) else { continue };
                if self.holds(&room_name, &id) {
                    left.push((room_name.clone(), id));
                } else {
                    self.remove_recording(&room_name, &id)?;
                }
            }
            // Stays when the room has recordings.
            let _ = fs::remove_dir(self.directory.join(&room));
        }
        left.sort_by(|a, b| a.1.cmp(&b.1));
        for (room, id) in &left {
            let folder = self.folder(room, id);
            // One that cannot be read says so to whoever takes it over.
            self.offer(&folder, stored_objects(&folder.join(JOURNAL)).unwrap_or_default().iter());
        }
        Ok(left)
    }

    /// Lets go of the segments in a folder that the store has, when room is needed.
    fn offer<'a>(&self, folder: &Path, stored: impl Iterator<Item = &'a String>) {
        let names = stored.filter_map(|name| ObjectName::parse(name).ok());
        for name in names.filter(|name| name.segment_number().is_some()) {
            let path = file_in(folder, &name);
            if path.exists() {
                self.space.may_evict(path);
            }
        }
    }

    /// Takes over a recording. `None` when its journal holds nothing: it is removed then.
    ///
    /// # Errors
    /// [`SpoolError`] when its files cannot be read or written; they are left as they are.
    pub fn resume(
        self: &Arc<Self>,
        room: &RoomName,
        recording: &RecordingId,
        at: DateTime<Utc>,
        part_bytes: u64,
    ) -> Result<Option<Resumed>, SpoolError> {
        let folder = self.folder(room, recording);
        self.space.keep(&folder);
        let measure = |folder: &Path| size_of(folder).map_err(SpoolError::at("measure", folder));
        let before = measure(&folder)?;
        let Some(mut salvage) = Salvage::read(&folder, part_bytes)? else {
            self.remove_recording(room, recording)?;
            return Ok(None);
        };
        salvage.end_open_segments()?;
        salvage.enter(Entry::Resumed { at });
        let Salvage { ledger, journal, stored, .. } = salvage;
        let file = replace_journal(&folder, &journal)?;
        self.space.add(measure(&folder)?);
        self.space.give(before);
        let mut stored: Vec<_> = stored.into_iter().collect();
        stored.sort_unstable();
        self.offer(&folder, stored.iter());
        let writer = SpoolWriter::new(Arc::clone(self), folder, file, journal.len() as u64);
        Ok(Some(Resumed { ledger, writer }))
    }
}

/// Reads a journal and keeps of it what is true.
struct Salvage {
    folder: PathBuf,
    ledger: Ledger,
    /// The entries that are kept.
    journal: Vec<u8>,
    /// Objects that the store has: their files may be gone.
    stored: HashSet<String>,
    files: HashMap<MediaKind, Checked>,
    /// Whether media that the journal speaks of is gone, so that uploaded parts of the MP4 may hold something else.
    has_lost: bool,
}

/// A segment's file, checked so far.
struct Checked {
    msn: u64,
    file: Option<File>,
    digest: Sha256,
    bytes: u64,
    is_torn: bool,
}

impl Salvage {
    fn read(folder: &Path, part_bytes: u64) -> Result<Option<Self>, SpoolError> {
        let path = folder.join(JOURNAL);
        let stored = stored_objects(&path)?.into_iter().collect();
        let mut reader = open(&path)?;
        let failed = |error| SpoolError::at("read", &path)(error);
        let Some(Entry::Begun(begun)) = reader.next_entry().map_err(failed)? else { return Ok(None) };
        check_version(&begun, &path)?;
        let mut salvage = Self {
            folder: folder.to_owned(),
            ledger: Ledger::new(begun.clone(), part_bytes),
            journal: Vec::new(),
            stored,
            files: HashMap::new(),
            has_lost: false,
        };
        salvage.enter(Entry::Begun(begun));
        while let Some(entry) = reader.next_entry().map_err(failed)? {
            salvage.take(entry)?;
        }
        if salvage.has_lost && salvage.ledger.makes_mp4() && salvage.ledger.upload().is_some() {
            salvage.enter(Entry::UploadLost);
        }
        Ok(Some(salvage))
    }

    fn take(&mut self, entry: Entry) -> Result<(), SpoolError> {
        match entry {
            Entry::Part { part, crc } => {
                // The end of a segment may be missing in a journal that found no room.
                if self.files.get(&part.kind).is_some_and(|checked| checked.msn != part.msn)
                    && let Some(ended) = self.files.remove(&part.kind)
                {
                    self.end_segment(part.kind, ended)?;
                }
                if self.check(&part, crc)? {
                    self.enter(Entry::Part { part, crc });
                }
            }
            Entry::Segment { kind, msn, sha256 } => {
                let torn = self.files.remove(&kind).filter(|checked| checked.msn == msn && checked.is_torn);
                match torn {
                    Some(torn) => self.end_segment(kind, torn)?,
                    None => self.enter(Entry::Segment { kind, msn, sha256 }),
                }
            }
            Entry::Init { kind, index, config } => {
                self.keep_init(kind, index, &config)?;
                self.enter(Entry::Init { kind, index, config });
            }
            entry => self.enter(entry),
        }
        Ok(())
    }

    /// Tells whether a part is to be kept: it is whole here, or the store has it. A damaged file of what the store has is
    /// removed, so that nobody reads it in its place.
    fn check(&mut self, part: &Part, expected: u32) -> Result<bool, SpoolError> {
        let name = ObjectName::numbered(part.kind, part.msn);
        let is_stored = self.stored.contains(name.as_str());
        let path = file_in(&self.folder, &name);
        let checked = self.files.entry(part.kind).or_insert_with(|| {
            let file = File::open(&path).ok();
            Checked { msn: part.msn, file, digest: Sha256::new(), bytes: 0, is_torn: false }
        });
        let is_whole = !checked.is_torn && checked.next_is(part, expected);
        if is_stored {
            if !is_whole && checked.file.take().is_some() {
                fs::remove_file(&path).map_err(SpoolError::at("remove", &path))?;
            }
            return Ok(true);
        }
        if !is_whole {
            checked.is_torn = true;
            self.has_lost = true;
        }
        Ok(is_whole)
    }

    /// Sees to it that an initialisation segment is whole here, unless the store has it: what it describes is in the
    /// journal, and without it no segment is of use.
    fn keep_init(&self, kind: MediaKind, index: u32, config: &CodecConfig) -> Result<(), SpoolError> {
        let name = ObjectName::init_numbered(kind, index);
        if self.stored.contains(name.as_str()) {
            return Ok(());
        }
        let path = file_in(&self.folder, &name);
        let bytes = init_segment(config).map_err(|error| SpoolError::at("make", &path)(io::Error::other(error)))?;
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        let written = fs::write(&path, &bytes).and_then(|()| File::open(&path)?.sync_all());
        written.map_err(SpoolError::at("write", &path))
    }

    /// Ends the segments that were growing, with what they have.
    fn end_open_segments(&mut self) -> Result<(), SpoolError> {
        for kind in [MediaKind::Video, MediaKind::Audio] {
            if let Some(checked) = self.files.remove(&kind) {
                self.end_segment(kind, checked)?;
            }
        }
        Ok(())
    }

    fn end_segment(&mut self, kind: MediaKind, checked: Checked) -> Result<(), SpoolError> {
        if self.ledger.open_parts(kind).first().is_none_or(|part| part.msn != checked.msn) {
            return Ok(());
        }
        let path = file_in(&self.folder, &ObjectName::numbered(kind, checked.msn));
        let cut = OpenOptions::new().write(true).open(&path).and_then(|file| {
            file.set_len(checked.bytes)?;
            file.sync_all()
        });
        cut.map_err(SpoolError::at("cut", &path))?;
        let sha256 = checked.digest.finalize().into();
        self.enter(Entry::Segment { kind, msn: checked.msn, sha256 });
        Ok(())
    }

    fn enter(&mut self, entry: Entry) {
        put_entry(&entry, &mut self.journal);
        self.ledger.apply(&entry);
    }
}

impl Checked {
    /// Reads the next part and compares its checksum.
    fn next_is(&mut self, part: &Part, expected: u32) -> bool {
        let Some(file) = &mut self.file else { return false };
        let Ok(size) = usize::try_from(part.size_bytes()) else { return false };
        let has = file.metadata().is_ok_and(|metadata| metadata.len() >= self.bytes + part.size_bytes());
        if !has {
            return false;
        }
        let mut bytes = vec![0; size];
        if file.read_exact(&mut bytes).is_err() || crc(&bytes) != expected {
            return false;
        }
        self.digest.update(&bytes);
        self.bytes += part.size_bytes();
        true
    }
}

fn open(path: &Path) -> Result<Reader<BufReader<File>>, SpoolError> {
    Ok(Reader::new(BufReader::new(File::open(path).map_err(SpoolError::at("read", path))?)))
}

/// Returns what the store has of a recording, in the order in which it came there.
fn stored_objects(path: &Path) -> Result<Vec<String>, SpoolError> {
    let mut reader = open(path)?;
    let mut stored = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(SpoolError::at("read", path))? {
        match entry {
            Entry::Stored { object } => stored.push(object),
            Entry::InitStored { kind, index, .. } => {
                stored.push(ObjectName::init_numbered(kind, index).as_str().to_owned());
            }
            _ => {}
        }
    }
    Ok(stored)
}

fn check_version(begun: &Begun, path: &Path) -> Result<(), SpoolError> {
    if begun.version == VERSION {
        return Ok(());
    }
    let reason = format!("it is of version {}, this program knows {VERSION}", begun.version);
    Err(SpoolError::at("read", path)(io::Error::new(io::ErrorKind::InvalidData, reason)))
}

/// Replaces the journal by what is true of it, and opens it for more.
fn replace_journal(folder: &Path, journal: &[u8]) -> Result<File, SpoolError> {
    let (path, fresh) = (folder.join(JOURNAL), folder.join("journal.new"));
    let written = fs::write(&fresh, journal).and_then(|()| File::open(&fresh)?.sync_all());
    written.map_err(SpoolError::at("write", &fresh))?;
    fs::rename(&fresh, &path).map_err(SpoolError::at("rename", &path))?;
    sync_directory(folder).map_err(SpoolError::at("sync", folder))?;
    OpenOptions::new().write(true).open(&path).map_err(SpoolError::at("open", &path))
}

fn names_in(directory: &Path) -> Result<Vec<String>, SpoolError> {
    let failed = |error| SpoolError::at("list", directory)(error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}
