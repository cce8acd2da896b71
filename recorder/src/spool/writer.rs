//! Writes one recording into the spool: media first, then the journal that speaks of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use onair_media::MediaKind;
use sha2::{Digest, Sha256};

use super::{Fsync, JOURNAL, Spool, SpoolError, file_in, sync_directory};
use crate::cut::{Cut, Init, Part, Segment};
use crate::journal::{Begun, Entry, crc, put_entry};
use crate::manifest::GapReason;
use crate::object::ObjectName;

/// How much may wait for a journal that cannot be written: hours of a broadcast. What is cut beyond that is lost.
const UNWRITTEN_MAX_BYTES: usize = 1 << 20;

/// Owns the files of a recording. What [`SpoolWriter::flush`] returned is in the journal.
#[derive(Debug)]
pub struct SpoolWriter {
    spool: Arc<Spool>,
    folder: PathBuf,
    journal: File,
    journal_bytes: u64,
    /// Entries that are not in the file yet, and the bytes that they are there.
    entries: Vec<Entry>,
    unwritten: Vec<u8>,
    video: Rendition,
    audio: Rendition,
    /// Why media was lost that no entry speaks of yet.
    lost: Option<GapReason>,
    must_sync: bool,
}

/// The files of one rendition.
#[derive(Debug, Default)]
struct Rendition {
    /// An initialisation segment that found no room: without it the segments are of no use.
    init: Option<Init>,
    open: Option<OpenSegment>,
}

/// A segment that grows.
#[derive(Debug)]
struct OpenSegment {
    msn: u64,
    file: File,
    bytes: u64,
    parts: usize,
    digest: Sha256,
    /// Why a part is missing: those behind it are of no use before it is written.
    hole: Option<GapReason>,
}

impl SpoolWriter {
    /// Begins a recording.
    ///
    /// # Errors
    /// [`SpoolError`] when its folder or journal cannot be written; nothing is left then.
    pub fn create(spool: Arc<Spool>, begun: &Begun) -> Result<Self, SpoolError> {
        let Begun { room, recording, .. } = begun;
        if spool.holds(room, recording) {
            return Err(SpoolError::at("create", &spool.folder(room, recording))(ErrorKind::AlreadyExists.into()));
        }
        Self::begin(Arc::clone(&spool), begun).inspect_err(|_| {
            // What stays of it the next start removes.
            let _ = spool.remove_recording(room, recording);
        })
    }

    fn begin(spool: Arc<Spool>, begun: &Begun) -> Result<Self, SpoolError> {
        let folder = spool.folder(&begun.room, &begun.recording);
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let rendition = folder.join(kind.as_str());
            fs::create_dir_all(&rendition).map_err(SpoolError::at("create", &rendition))?;
        }
        let path = folder.join(JOURNAL);
        let journal = File::create_new(&path).map_err(SpoolError::at("create", &path))?;
        let mut writer = Self::new(spool, folder, journal, 0);
        writer.note(Entry::Begun(begun.clone()));
        writer.must_sync = true;
        writer.flush().map_err(SpoolError::at("write", &path))?;
        Ok(writer)
    }

    /// Goes on with a journal of so many bytes.
    pub(super) fn new(spool: Arc<Spool>, folder: PathBuf, journal: File, journal_bytes: u64) -> Self {
        Self {
            spool,
            folder,
            journal,
            journal_bytes,
            entries: Vec::new(),
            unwritten: Vec::new(),
            video: Rendition::default(),
            audio: Rendition::default(),
            lost: None,
            must_sync: false,
        }
    }

    /// Writes what was cut, as far as there is room. [`SpoolWriter::flush`] follows.
    ///
    /// # Errors
    /// [`SpoolError`] of a part, segment or initialisation segment that is lost, at least for now; what could be written
    /// is.
    pub fn cut(&mut self, cut: &Cut) -> Result<(), SpoolError> {
        match cut {
            Cut::Init(init) => self.init(init),
            Cut::Part(part) => self.part(part),
            Cut::Segment(segment) => self.segment(segment),
            Cut::KeyframeWanted => Ok(()),
        }
    }

    /// Puts an entry into the journal. [`SpoolWriter::flush`] follows.
    pub fn note(&mut self, entry: Entry) {
        // The file may go next. A disk that has forgotten the entry and not that the file went has lost the segment.
        self.must_sync |= matches!(entry, Entry::Stored { .. } | Entry::InitStored { .. });
        put_entry(&entry, &mut self.unwritten);
        self.entries.push(entry);
    }

    /// Tells whether everything that was noted is in the journal.
    pub const fn is_flushed(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the journal, and through to the disk what the settings ask for. Returns the entries that are in it now,
    /// each once: only now they may have consequences, for a crash would forget those that are not.
    ///
    /// # Errors
    /// Those of the disk: the entries stay and are written by a later call.
    pub fn flush(&mut self) -> io::Result<Vec<Entry>> {
        // At the same place until it works, so that nothing stands twice or torn before what comes later. A disk that
        // failed to write through may have dropped what it was given: all of it is given once more.
        self.journal.write_all_at(&self.unwritten, self.journal_bytes)?;
        if self.must_sync && self.spool.fsync != Fsync::Never {
            self.journal.sync_data()?;
            sync_directory(&self.folder)?;
        }
        self.must_sync = false;
        let bytes = self.unwritten.len() as u64;
        self.journal_bytes += bytes;
        self.spool.space.add(bytes);
        self.unwritten.clear();
        Ok(std::mem::take(&mut self.entries))
    }

    /// Has the journal written elsewhere, and returns where it was written: a disk that fails.
    #[cfg(test)]
    pub(super) fn replace_journal(&mut self, journal: File) -> File {
        std::mem::replace(&mut self.journal, journal)
    }

    fn rendition(&mut self, kind: MediaKind) -> &mut Rendition {
        match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        }
    }

    fn init(&mut self, init: &Init) -> Result<(), SpoolError> {
        self.rendition(init.kind).init = Some(init.clone());
        self.write_init(init.kind)
    }

    /// Writes the initialisation segment that is not in the spool yet.
    fn write_init(&mut self, kind: MediaKind) -> Result<(), SpoolError> {
        if self.rendition(kind).init.is_some() {
            self.check_journal()?;
        }
        let Some(init) = self.rendition(kind).init.take() else { return Ok(()) };
        let path = file_in(&self.folder, &ObjectName::init(&init));
        let bytes = init.bytes.len() as u64;
        let written = self.spool.space.take(bytes).and_then(|()| {
            let written = fs::write(&path, &init.bytes).and_then(|()| self.sync_new_file(&path));
            written.inspect_err(|_| self.spool.space.give(bytes))
        });
        if let Err(error) = written {
            self.rendition(kind).init = Some(init);
            return Err(SpoolError::at("write", &path)(error));
        }
        let Init { kind, index, config, .. } = init;
        self.note(Entry::Init { kind, index, config });
        Ok(())
    }

    fn part(&mut self, part: &Part) -> Result<(), SpoolError> {
        self.write_init(part.kind)?;
        let path = file_in(&self.folder, &ObjectName::numbered(part.kind, part.msn));
        if self.rendition(part.kind).open.as_ref().is_none_or(|open| open.msn != part.msn) {
            // That the former one has ended may not have been said to a disk that was stuck.
            let ended = self.end_segment(part.kind);
            let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path);
            let file = file.map_err(SpoolError::at("create", &path))?;
            let open = OpenSegment { msn: part.msn, file, bytes: 0, parts: 0, digest: Sha256::new(), hole: None };
            self.rendition(part.kind).open = Some(open);
            self.must_sync = true;
            ended?;
        }
        let journal = self.check_journal();
        let (spool, every_part) = (Arc::clone(&self.spool), self.spool.fsync == Fsync::Part);
        let Some(open) = &mut self.rendition(part.kind).open else { return Ok(()) };
        if open.parts != part.index as usize {
            open.hole.get_or_insert(GapReason::Overload);
        }
        if open.hole.is_some() {
            return Ok(());
        }
        if journal.is_err() {
            open.hole = Some(GapReason::SpoolFull);
            return journal;
        }
        open.append(&spool, &part.bytes, every_part).map_err(SpoolError::at("write", &path))?;
        self.must_sync |= every_part;
        let crc = crc(&part.bytes);
        self.note(Entry::Part { part: Arc::new(part.without_media()), crc });
        Ok(())
    }

    /// Ends a segment; parts that found no room when they came get another chance.
    fn segment(&mut self, segment: &Segment) -> Result<(), SpoolError> {
        let written = self.missing_parts(segment);
        if written.is_err() {
            self.lost = Some(GapReason::SpoolFull);
        }
        let ended = self.end_segment(segment.kind);
        written.and(ended)
    }

    /// Ends the segment that grows, with the parts that it has.
    fn end_segment(&mut self, kind: MediaKind) -> Result<(), SpoolError> {
        let Some(open) = self.rendition(kind).open.take() else {
            self.enter_loss();
            return Ok(());
        };
        self.lost = self.lost.or(open.hole);
        let synced = if open.parts > 0 { self.sync_segment(kind, &open) } else { Ok(()) };
        if open.parts > 0 {
            self.note(Entry::Segment { kind, msn: open.msn, sha256: open.digest.finalize().into() });
        }
        self.enter_loss();
        synced
    }

    fn sync_segment(&mut self, kind: MediaKind, open: &OpenSegment) -> Result<(), SpoolError> {
        if self.spool.fsync == Fsync::Never {
            return Ok(());
        }
        self.must_sync = true;
        let path = file_in(&self.folder, &ObjectName::numbered(kind, open.msn));
        open.file.sync_data().map_err(SpoolError::at("sync", &path))?;
        let folder = self.folder.join(kind.as_str());
        sync_directory(&folder).map_err(SpoolError::at("sync", &folder))
    }

    /// Says that media is missing before what comes next, if some is.
    fn enter_loss(&mut self) {
        let Some(reason) = self.lost.take() else { return };
        // Once is enough, however long a disk fails.
        if self.entries.last() != Some(&Entry::Gap(reason)) {
            self.note(Entry::Gap(reason));
        }
    }

    /// Says that no more media is taken while too much waits for the journal.
    fn check_journal(&self) -> Result<(), SpoolError> {
        if self.unwritten.len() < UNWRITTEN_MAX_BYTES {
            return Ok(());
        }
        Err(SpoolError::at("write", &self.folder.join(JOURNAL))(io::Error::other("it has failed for too long")))
    }

    fn missing_parts(&mut self, segment: &Segment) -> Result<(), SpoolError> {
        let open = &mut self.rendition(segment.kind).open;
        let written = match open {
            Some(open) if open.msn == segment.msn => {
                open.hole = None;
                open.parts
            }
            _ => 0,
        };
        segment.parts[written.min(segment.parts.len())..].iter().try_for_each(|part| self.part(part))
    }

    fn sync_new_file(&self, path: &Path) -> io::Result<()> {
        if self.spool.fsync == Fsync::Never {
            return Ok(());
        }
        File::open(path)?.sync_all()?;
        path.parent().map_or(Ok(()), sync_directory)
    }
}

impl OpenSegment {
    /// Appends a part, or leaves the file as it was.
    fn append(&mut self, spool: &Spool, media: &[u8], sync: bool) -> io::Result<()> {
        let bytes = media.len() as u64;
        let written = spool.space.take(bytes).and_then(|()| {
            let written = self.file.write_all(media).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
            written.inspect_err(|_| spool.space.give(bytes))
        });
        if let Err(error) = written {
            self.hole = Some(GapReason::SpoolFull);
            self.file.set_len(self.bytes)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.bytes += bytes;
        self.parts += 1;
        self.digest.update(media);
        Ok(())
    }
}
