//! What is known of one recording: its journal, entry after entry, made into what has to be done next.
//!
//! The recorder writes an entry to the journal, then applies it here. A process that takes over applies the entries of
//! the journal it finds, and so knows what its predecessor knew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onair_media::{CodecConfig, MediaKind};

use crate::boxes::init_segment;
use crate::cut::{Part, Segment};
use crate::journal::{Begun, Entry};
use crate::manifest::{GapReason, InitEntry, Manifest, ManifestBuilder, PartDigest, Pictures, RecordingState, hex};
use crate::object::ObjectName;
use crate::playlist::{Completeness, PlaylistError, RecordingPlaylists};
use crate::progressive::{Mp4Parts, Piece, Source, Spot};
use crate::store::{PartId, UploadId};

/// About how large an initialisation segment is.
const INIT_BYTES: u64 = 1 << 10;

/// Keeps account of one recording.
#[derive(Debug)]
pub struct Ledger {
    begun: Begun,
    configs: BTreeMap<(MediaKind, u32), Arc<CodecConfig>>,
    /// The segments that grow, without media: video, sound.
    open: [Vec<Arc<Part>>; 2],
    /// Segments that are whole in the spool and were not yet handed out by [`Ledger::next_object`].
    ready: VecDeque<Ready>,
    /// Segments that are whole but not listed, in order; they wait for the store to have all before them.
    unlisted: VecDeque<Unlisted>,
    /// How the initialisation segments stand.
    inits: BTreeMap<(MediaKind, u32), InitState>,
    /// Segments whose bytes are in the spool.
    spooled: VecDeque<Spooled>,
    /// Why media before the next segment of a rendition is missing: video, sound.
    gap_reasons: [Option<GapReason>; 2],
    manifest: ManifestBuilder,
    playlists: RecordingPlaylists,
    mp4: Option<Mp4>,
    stopped: bool,
    /// When another process took over a recording that was not stopped.
    resumed_at: Option<DateTime<Utc>>,
}

/// A segment that is to go to the store, behind the initialisation segment that it needs.
#[derive(Debug)]
struct Ready {
    name: ObjectName,
    bytes: u64,
    init: (MediaKind, u32),
}

/// How an initialisation segment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InitState {
    /// No segment needs it yet: it would be all that there is of an empty recording.
    Waiting,
    /// It was handed out.
    UnderWay,
    /// The store has it.
    Stored,
    /// It will never be there, and nothing that needs it can be played.
    Lost,
}

/// A segment on its way into the lists.
#[derive(Debug)]
struct Unlisted {
    segment: Segment,
    sha256: [u8; 32],
    stored: bool,
    /// Why media before it is missing, if it is known that some is.
    lost: Option<GapReason>,
}

/// A segment whose file is in the spool.
#[derive(Debug)]
struct Spooled {
    kind: MediaKind,
    msn: u64,
    stored: bool,
    /// Until how many streamed bytes of the MP4 are uploaded the file is needed; `u64::MAX` when parts are held.
    needed_until: u64,
}

/// The MP4 while it goes up.
#[derive(Debug)]
struct Mp4 {
    parts: Mp4Parts,
    upload: Option<UploadId>,
    /// By index; those that the store has.
    uploaded: BTreeMap<u64, UploadedPart>,
    /// Whether nothing is left to do: the store has it, or it is given up.
    settled: bool,
}

/// A part that the store has.
#[derive(Debug, Clone)]
pub struct UploadedPart {
    /// What the store calls it.
    pub id: PartId,
    /// Its size and digest.
    pub digest: PartDigest,
}

/// Says what the MP4 needs next while the recording grows.
#[derive(Debug, Clone, PartialEq)]
pub enum Mp4Step {
    /// An upload is to be begun: its first part is full.
    Begin,
    /// A part is to be put.
    Put {
        /// The upload.
        upload: UploadId,
        /// Counts from 0.
        index: u64,
        /// What it is made of.
        from: Vec<Source>,
    },
}

impl Ledger {
    /// Opens the account of a recording that begins; MP4 parts have `part_bytes` each.
    pub fn new(begun: Begun, part_bytes: u64) -> Self {
        let Begun { room, recording, server, epoch, .. } = begun.clone();
        let mp4 = Mp4 { parts: Mp4Parts::new(part_bytes), upload: None, uploaded: BTreeMap::new(), settled: false };
        Self {
            configs: BTreeMap::new(),
            open: [Vec::new(), Vec::new()],
            ready: VecDeque::new(),
            unlisted: VecDeque::new(),
            inits: BTreeMap::new(),
            spooled: VecDeque::new(),
            gap_reasons: [None; 2],
            manifest: ManifestBuilder::new(room, recording, &server, epoch),
            playlists: RecordingPlaylists::new(begun.target_duration_s),
            mp4: begun.mp4.then_some(mp4),
            stopped: false,
            resumed_at: None,
            begun,
        }
    }

    /// Takes an entry into account that is in the journal.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Begun(_) => {}
            Entry::Init { kind, index, config } => {
                self.configs.insert((*kind, *index), Arc::clone(config));
                self.inits.entry((*kind, *index)).or_insert(InitState::Waiting);
            }
            Entry::Part { part, .. } => self.apply_part(part),
            Entry::Segment { kind, msn, sha256 } => self.apply_segment(*kind, *msn, *sha256),
            // Which rendition lost something shows in its next segment.
            Entry::Gap(reason) => self.gap_reasons = [Some(*reason); 2],
            Entry::Stored { object } => self.apply_stored(object),
            Entry::InitStored { kind, index, bytes, sha256 } => {
                let name = ObjectName::init_numbered(*kind, *index).as_str().to_owned();
                self.manifest.add_init(InitEntry { name: name.clone(), bytes: *bytes, sha256: sha256.clone() });
                self.apply_stored(&name);
            }
            Entry::Provenance { publisher, alignment } => self.manifest.set_provenance(*publisher, *alignment),
            Entry::Lost { object } => self.apply_lost(object),
            Entry::Stopped => self.stopped = true,
            Entry::Resumed { at } => {
                self.resumed_at = self.resumed_at.or_else(|| (!self.stopped).then_some(*at));
                self.stopped = true;
            }
            Entry::Mp4Stored { bytes, sha256 } => self.apply_mp4_stored(*bytes, sha256.clone()),
            Entry::UploadBegun(_) | Entry::UploadPart { .. } | Entry::UploadLost | Entry::Mp4GivenUp(_) => {
                if let Some(mp4) = &mut self.mp4 {
                    mp4.apply(entry);
                }
            }
        }
    }

    /// Returns the name and the circumstances of the recording.
    pub const fn begun(&self) -> &Begun {
        &self.begun
    }

    /// Returns the manifest as it stands.
    pub const fn manifest(&self) -> &Manifest {
        self.manifest.manifest()
    }

    /// Returns the segment of a rendition that was not ended, without media.
    pub fn open_parts(&self, kind: MediaKind) -> &[Arc<Part>] {
        &self.open[slot(kind)]
    }

    /// Returns the next object that is to go from the spool to the store and about how large it is, each once: an
    /// initialisation segment before the first segment that needs it.
    pub fn next_object(&mut self) -> Option<(ObjectName, u64)> {
        if let Some(init) = self.init_wanted() {
            self.inits.insert(init, InitState::UnderWay);
            return Some((ObjectName::init_numbered(init.0, init.1), INIT_BYTES));
        }
        self.ready.pop_front().map(|ready| (ready.name, ready.bytes))
    }

    /// Returns the initialisation segment that the next segment needs. Where a process ended that stored both side by side,
    /// the store may have the segments and not what they need.
    fn init_wanted(&self) -> Option<(MediaKind, u32)> {
        let waits = |init: &(MediaKind, u32)| self.inits.get(init) == Some(&InitState::Waiting);
        match self.ready.front() {
            Some(ready) => Some(ready.init).filter(waits),
            None => self.unlisted.iter().map(|unlisted| (unlisted.segment.kind, unlisted.segment.init)).find(waits),
        }
    }

    /// Tells whether there may be something of it in the store.
    pub fn is_in_store(&self) -> bool {
        self.inits.values().any(|state| *state != InitState::Waiting)
    }

    /// Makes an initialisation segment from the configuration that the journal has of it.
    pub fn init_segment(&self, name: &ObjectName) -> Option<Bytes> {
        let config = self.configs.get(&name.init_index()?)?;
        init_segment(config).ok()
    }

    /// Returns what the MP4 needs next, while the recording grows.
    pub fn mp4_step(&self) -> Option<Mp4Step> {
        let mp4 = self.mp4.as_ref().filter(|mp4| !mp4.settled)?;
        let (index, from) = mp4.parts.next_full()?;
        Some(mp4.upload.clone().map_or(Mp4Step::Begin, |upload| Mp4Step::Put { upload, index, from }))
    }

    /// Tells whether nothing more will be recorded.
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Tells whether the store has every segment so far, and every initialisation segment that one of them needs.
    pub fn is_drained(&self) -> bool {
        self.unlisted.is_empty()
    }

    /// Returns how many segments the store does not have yet.
    pub fn waiting_segments(&self) -> usize {
        self.unlisted.len()
    }

    /// Returns the segments whose files nothing needs any more, each once: the store and the MP4 have them.
    pub fn take_done(&mut self) -> Vec<ObjectName> {
        let uploaded = self.mp4_uploaded_bytes();
        self.take_spooled(|spooled| spooled.stored && spooled.needed_until <= uploaded)
    }

    /// Tells whether an MP4 is being made: it is wanted, and neither stored nor given up.
    pub fn makes_mp4(&self) -> bool {
        self.mp4.as_ref().is_some_and(|mp4| !mp4.settled)
    }

    /// Returns the upload and its parts so far.
    pub fn upload(&self) -> Option<(&UploadId, &BTreeMap<u64, UploadedPart>)> {
        let mp4 = self.mp4.as_ref()?;
        Some((mp4.upload.as_ref()?, &mp4.uploaded))
    }

    /// Tells whether the store has every part of a file of so many bytes: the first one is put last.
    pub fn has_every_part(&self, file_bytes: u64) -> bool {
        let Some((_, uploaded)) = self.upload() else { return false };
        let follow = uploaded.keys().zip(0..).all(|(index, expected)| *index == expected);
        follow && uploaded.values().map(|part| part.digest.bytes).sum::<u64>() == file_bytes
    }

    /// Returns how many parts behind the header's first one the store has.
    pub fn uploaded_parts(&self) -> u64 {
        self.mp4.as_ref().map_or(0, |mp4| mp4.parts.uploaded_parts())
    }

    /// Tells whether parts have to be made again from the first chunk on: the store has lost its upload.
    pub fn needs_chunks_again(&self) -> bool {
        self.mp4.as_ref().is_some_and(|mp4| mp4.parts.is_lost())
    }

    /// Takes all pieces again, as they stand in the journal.
    pub fn chunks_again(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        let Some(mp4) = &mut self.mp4 else { return };
        mp4.parts = Mp4Parts::new(mp4.parts.part_bytes());
        for piece in pieces {
            mp4.parts.push(piece);
        }
        while mp4.uploaded.contains_key(&(mp4.parts.uploaded_parts() + 1)) && mp4.parts.next_full().is_some() {
            mp4.parts.uploaded();
        }
    }

    /// Renders the playlists: the media playlists before the multivariant one that names them.
    ///
    /// # Errors
    /// [`PlaylistError`] is a defect: no input should lead there.
    pub fn playlists(&self, completeness: Completeness) -> Result<Vec<(ObjectName, String)>, PlaylistError> {
        let mut rendered = Vec::new();
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let playlist = self.playlists.media(kind, completeness)?;
            rendered.extend(playlist.map(|text| (ObjectName::playlist(kind), text)));
        }
        rendered.extend(self.playlists.multivariant()?.map(|text| (ObjectName::multivariant(), text)));
        Ok(rendered)
    }

    /// Renders `recording.json`.
    pub fn to_json(&self) -> Vec<u8> {
        self.manifest.to_json()
    }

    /// Returns the configurations of the pictures, by the index of their initialisation segment.
    pub fn video_configs(&self) -> BTreeMap<u32, Arc<CodecConfig>> {
        let video = self.configs.range((MediaKind::Video, 0)..=(MediaKind::Video, u32::MAX));
        video.map(|((_, index), config)| (*index, Arc::clone(config))).collect()
    }

    /// Lists an object of pictures that is stored. They are not in the journal: whoever takes over makes them anew.
    pub fn list_picture(&mut self, name: &ObjectName, bytes: u64, sha256: String) {
        self.manifest.add_object(name, bytes, sha256);
    }

    /// Says in the manifest where pictures are.
    pub fn set_pictures(&mut self, pictures: Pictures) {
        self.manifest.set_pictures(pictures);
    }

    /// Ends the recording. One that was interrupted has a gap at its end: from its last sample to when another process
    /// went on with it.
    pub fn seal(&mut self) {
        let Some(at) = self.resumed_at else { return self.manifest.finish(RecordingState::Complete) };
        let Manifest { end, duration_ms, ref gaps, .. } = *self.manifest();
        if !gaps.iter().any(|gap| gap.reason == GapReason::ServerRestart) {
            let away_ms = u64::try_from((at - end).num_milliseconds()).unwrap_or_default();
            self.manifest.add_gap(duration_ms, away_ms, GapReason::ServerRestart);
        }
        self.manifest.finish(RecordingState::Recovered);
    }

    fn apply_part(&mut self, part: &Arc<Part>) {
        let open = &mut self.open[slot(part.kind)];
        if open.first().is_some_and(|first| first.msn != part.msn) {
            // The end of the former segment is not in the journal: without a digest there is nothing to list.
            open.clear();
        }
        let part_offset: u64 = open.iter().map(|part| part.size_bytes()).sum();
        open.push(Arc::clone(part));
        let spooled = self.spooled.iter_mut().rev().find(|it| it.kind == part.kind && it.msn == part.msn);
        // A part without a configuration has no place in the header, so it must have none in the upload.
        let has_config = self.configs.contains_key(&(part.kind, part.init));
        let needed_until = match &mut self.mp4 {
            Some(mp4) if has_config => mp4.push(part, part_offset),
            _ => 0,
        };
        match spooled {
            Some(spooled) => spooled.needed_until = spooled.needed_until.max(needed_until),
            None => {
                let Part { kind, msn, .. } = **part;
                self.spooled.push_back(Spooled { kind, msn, stored: false, needed_until });
            }
        }
    }

    fn apply_segment(&mut self, kind: MediaKind, msn: u64, sha256: [u8; 32]) {
        let parts = std::mem::take(&mut self.open[slot(kind)]);
        if let Some(segment) = Segment::of_parts(parts).filter(|segment| segment.msn == msn) {
            let (name, init) = (ObjectName::segment(&segment), (kind, segment.init));
            // A segment that nothing can decode is not worth its way.
            if !self.inits.get(&init).is_some_and(|state| *state != InitState::Lost) {
                return;
            }
            self.ready.push_back(Ready { name, bytes: segment.size_bytes(), init });
            let lost = self.gap_reasons[slot(kind)].take();
            self.unlisted.push_back(Unlisted { segment, sha256, stored: false, lost });
        }
    }

    fn apply_stored(&mut self, object: &str) {
        let Ok(name) = ObjectName::parse(object) else { return };
        self.ready.retain(|ready| ready.name != name);
        if let Some((kind, msn)) = name.segment_number() {
            for unlisted in &mut self.unlisted {
                unlisted.stored |= unlisted.segment.kind == kind && unlisted.segment.msn == msn;
            }
            for spooled in &mut self.spooled {
                spooled.stored |= spooled.kind == kind && spooled.msn == msn;
            }
        } else if let Some(init) = name.init_index() {
            self.inits.insert(init, InitState::Stored);
        }
        self.list_stored();
    }

    /// Lists the MP4: by its digest, or by those of its parts.
    fn apply_mp4_stored(&mut self, bytes: u64, sha256: Option<String>) {
        let Some(mp4) = &mut self.mp4 else { return };
        mp4.settled = true;
        match sha256 {
            Some(sha256) => self.manifest.add_object(&ObjectName::progressive(), bytes, sha256),
            None => {
                let parts = mp4.uploaded.values().map(|part| part.digest.clone()).collect();
                self.manifest.add_object_of_parts(&ObjectName::progressive(), parts);
            }
        }
    }

    fn apply_lost(&mut self, object: &str) {
        let Ok(name) = ObjectName::parse(object) else { return };
        self.ready.retain(|ready| ready.name != name);
        if let Some((kind, msn)) = name.segment_number() {
            self.unlisted.retain(|unlisted| unlisted.segment.kind != kind || unlisted.segment.msn != msn);
        } else if let Some(init) = name.init_index() {
            self.inits.insert(init, InitState::Lost);
            self.ready.retain(|ready| ready.init != init);
            self.unlisted.retain(|unlisted| (unlisted.segment.kind, unlisted.segment.init) != init);
        }
        self.list_stored();
    }

    /// Lists what the store has, as far as it has all before it, and what that needs.
    fn list_stored(&mut self) {
        while let Some(Unlisted { segment, stored: true, .. }) = self.unlisted.front() {
            if self.inits.get(&(segment.kind, segment.init)) != Some(&InitState::Stored) {
                return;
            }
            let Some(Unlisted { segment, sha256, lost, .. }) = self.unlisted.pop_front() else { return };
            let Some(config) = self.configs.get(&(segment.kind, segment.init)) else { continue };
            let of_rendition = lost.zip(self.manifest.gap_in_rendition(&segment));
            if let Some((reason, (start_ms, duration_ms))) = of_rendition {
                self.manifest.add_gap(start_ms, duration_ms, reason);
            } else if let Some((start_ms, duration_ms)) = self.manifest.gap_before(&segment) {
                // Without a new publisher session, media was lost on the way here.
                let reason = if segment.discontinuity { GapReason::PublisherReconnect } else { GapReason::Overload };
                self.manifest.add_gap(start_ms, duration_ms, reason);
            }
            self.manifest.add_segment(&segment, config, hex(&sha256));
            self.playlists.push(&segment, config, self.begun.epoch);
        }
    }

    fn mp4_uploaded_bytes(&self) -> u64 {
        match &self.mp4 {
            Some(mp4) if !mp4.settled => mp4.parts.uploaded_bytes(),
            _ => u64::MAX,
        }
    }

    fn take_spooled(&mut self, done: impl Fn(&Spooled) -> bool) -> Vec<ObjectName> {
        let mut taken = Vec::new();
        self.spooled.retain(|spooled| {
            let is_done = done(spooled);
            if is_done {
                taken.push(ObjectName::numbered(spooled.kind, spooled.msn));
            }
            !is_done
        });
        taken
    }
}

impl Mp4 {
    /// Adds a part and returns until how many streamed bytes are uploaded its samples are needed in the spool.
    fn push(&mut self, part: &Part, part_offset: u64) -> u64 {
        let piece = piece_of(part, part_offset);
        let bytes = piece.bytes();
        match self.parts.push(piece) {
            Spot::Held => u64::MAX,
            Spot::Streamed(at) => at + bytes,
        }
    }

    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::UploadBegun(id) => self.upload = Some(id.clone()),
            Entry::UploadPart { index, id, bytes, sha256 } => {
                if *index == self.parts.uploaded_parts() + 1 && self.parts.next_full().is_some() {
                    self.parts.uploaded();
                }
                let digest = PartDigest { bytes: *bytes, sha256: hex(sha256) };
                self.uploaded.insert(*index, UploadedPart { id: id.clone(), digest });
            }
            Entry::UploadLost => {
                self.upload = None;
                self.uploaded.clear();
                self.parts.lose();
            }
            Entry::Mp4GivenUp(_) => self.settled = true,
            _ => {}
        }
    }
}

/// Returns where the samples of a part lie that begins so many bytes behind the beginning of its segment.
pub(crate) fn piece_of(part: &Part, part_offset: u64) -> Piece {
    let range = part_offset + part.payload_offset as u64..part_offset + part.size_bytes();
    Piece { kind: part.kind, msn: part.msn, range }
}

const fn slot(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Video => 0,
        MediaKind::Audio => 1,
    }
}

#[cfg(test)]
mod tests;
