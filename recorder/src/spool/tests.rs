//! A recording goes into the spool, the process ends at some instant, another one goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use onair_media::{Alignment, CodecConfig, MediaKind};
use proptest::prelude::*;

use super::*;
use crate::cut::{Cut, Segment};
use crate::journal::{self, Begun, Entry};
use crate::manifest::{GapReason, Protocol, Publisher, RecordingState};
use crate::progressive::Source;
use crate::testing::{broadcast, h264, opus, pull};
use crate::{Fragmenter, FragmenterSettings, Ledger, sha256_hex};

const SETTINGS: SpoolSettings = SpoolSettings { max_bytes: 1 << 30, min_free_bytes: 0, fsync: Fsync::Never };

/// So small that a broadcast of some seconds needs many.
const PART_BYTES: u64 = 700;

/// More than the journal of the broadcast has.
const JOURNAL_BYTES: u64 = 12 << 10;

/// A spool that is removed at the end.
struct Stage {
    directory: PathBuf,
    begun: Begun,
}

impl Stage {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("onair-spool-{}-{number}", std::process::id()));
        let begun = Begun {
            version: journal::VERSION,
            room: RoomName::parse("studio-1").unwrap(),
            recording: RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(),
            epoch: chrono::DateTime::UNIX_EPOCH,
            server: "onair test".into(),
            target_duration_s: 6,
            mp4: true,
        };
        Self { directory, begun }
    }

    fn open(&self, settings: SpoolSettings) -> Arc<Spool> {
        Arc::new(Spool::open(self.directory.clone(), settings).unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.directory.join("studio-1/20261122T063000Z-7f3a9c")
    }

    fn object(&self, name: ObjectName) -> ObjectPath {
        ObjectPath::new(&self.begun.room, &self.begun.recording, name)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Nine seconds of both renditions, segments of two seconds.
fn cuts() -> Vec<Cut> {
    let settings =
        FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };
    let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
    broadcast(&mut fragmenter, 0, 9, 1);
    fragmenter.finish();
    pull(&mut fragmenter).all
}

/// Writes cuts and applies the entries.
fn write<'a>(writer: &mut SpoolWriter, ledger: &mut Ledger, cuts: impl IntoIterator<Item = &'a Cut>) {
    for cut in cuts {
        writer.cut(cut).unwrap();
        flush(writer, ledger);
    }
}

fn begin(stage: &Stage, spool: &Arc<Spool>) -> (SpoolWriter, Ledger) {
    let writer = SpoolWriter::create(Arc::clone(spool), &stage.begun).unwrap();
    (writer, Ledger::new(stage.begun.clone(), PART_BYTES))
}

fn note(writer: &mut SpoolWriter, ledger: &mut Ledger, entry: Entry) {
    writer.note(entry);
    flush(writer, ledger);
}

/// Writes the journal and applies what is in it now.
fn flush(writer: &mut SpoolWriter, ledger: &mut Ledger) {
    writer.flush().unwrap().iter().for_each(|entry| ledger.apply(entry));
}

/// Stores everything that is ready into a map, as an uploader does, and the parts of the MP4 into another.
fn upload(
    spool: &Spool,
    stage: &Stage,
    (writer, ledger): (&mut SpoolWriter, &mut Ledger),
    store: &mut BTreeMap<String, Vec<u8>>,
    parts: &mut BTreeMap<u64, Vec<u8>>,
) {
    while let Some((name, _)) = ledger.next_object() {
        let object = fs::read(stage.folder().join(name.as_str())).unwrap();
        let (bytes, sha256) = (object.len() as u64, sha256_hex(&object));
        store.insert(name.as_str().into(), object);
        let entry = match name.init_index() {
            Some((kind, index)) => Entry::InitStored { kind, index, bytes, sha256 },
            None => Entry::Stored { object: name.as_str().into() },
        };
        note(writer, ledger, entry);
    }
    while let Some(step) = ledger.mp4_step() {
        match step {
            crate::Mp4Step::Begin => note(writer, ledger, Entry::UploadBegun(id("upload"))),
            crate::Mp4Step::Put { index, from, .. } => {
                let bytes = fetch(stage, store, &from);
                let digest = crate::sha256(&[&bytes]);
                parts.insert(index, bytes.clone());
                note(
                    writer,
                    ledger,
                    Entry::UploadPart { index, id: id("part"), bytes: bytes.len() as u64, sha256: digest },
                );
            }
        }
    }
    for name in ledger.take_done() {
        spool.remove(&stage.object(name)).unwrap();
    }
}

fn id<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(text.into()).unwrap()
}

fn fetch(stage: &Stage, store: &BTreeMap<String, Vec<u8>>, from: &[Source]) -> Vec<u8> {
    let bounds = |range: &Range<u64>| range.start as usize..range.end as usize;
    let bytes = |source: &Source| match source {
        Source::Header(range) => fs::read(stage.folder().join(finish::HEADER)).unwrap()[bounds(range)].to_vec(),
        Source::Zeros(count) => vec![0; *count as usize],
        Source::Piece(piece) => {
            let name = ObjectName::numbered(piece.kind, piece.msn);
            let segment = fs::read(stage.folder().join(name.as_str()));
            segment.unwrap_or_else(|_| store[name.as_str()].clone())[bounds(&piece.range)].to_vec()
        }
    };
    from.iter().flat_map(bytes).collect()
}

/// Finishes a recording and returns its MP4.
fn finish(
    spool: &Spool,
    stage: &Stage,
    (writer, ledger): (&mut SpoolWriter, &mut Ledger),
    store: &mut BTreeMap<String, Vec<u8>>,
    parts: &mut BTreeMap<u64, Vec<u8>>,
) -> Vec<u8> {
    upload(spool, stage, (&mut *writer, &mut *ledger), store, parts);
    let (room, recording) = (&stage.begun.room, &stage.begun.recording);
    let plan = spool.finish_mp4(room, recording, PART_BYTES, ledger.uploaded_parts()).unwrap().unwrap();
    for part in plan.parts {
        let bytes = fetch(stage, store, &part.from);
        assert_eq!(bytes.len() as u64, part.bytes);
        parts.insert(part.index, bytes);
    }
    assert!(parts.keys().copied().eq(0..parts.len() as u64), "{:?}", parts.keys());
    assert!(ledger.is_drained());
    ledger.seal();
    parts.values().flatten().copied().collect()
}

/// Reads the file with an independent reader and checks that every sample says its own time, see [`crate::testing`].
fn check_mp4(file: &[u8], pictures: u32) {
    let mut reader = mp4::Mp4Reader::read_header(std::io::Cursor::new(file), file.len() as u64).unwrap();
    assert_eq!(reader.sample_count(1).unwrap(), pictures);
    for number in 1..=pictures {
        let sample = reader.read_sample(1, number).unwrap().unwrap();
        assert_eq!(sample.bytes.as_ref(), (sample.start_time as i64).to_be_bytes(), "picture {number}");
    }
}

#[test]
fn what_is_recorded_is_finished_and_leaves_nothing() {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    for cut in &cuts {
        write(&mut writer, &mut ledger, [cut]);
        upload(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    }
    note(&mut writer, &mut ledger, Entry::Stopped);
    let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    check_mp4(&file, 270);
    for segment in &ledger.manifest().segments {
        assert_eq!(sha256_hex(&store[&segment.name]), segment.sha256, "{}", segment.name);
    }
    assert_eq!((ledger.manifest().duration_ms, ledger.manifest().state), (9_000, RecordingState::Complete));
    // The header is made anew when the store has lost the upload, and takes no more room than before.
    let used_bytes = spool.space().used_bytes;
    let uploaded = ledger.uploaded_parts();
    spool.finish_mp4(&stage.begun.room, &stage.begun.recording, PART_BYTES, uploaded).unwrap();
    assert_eq!(spool.space().used_bytes, used_bytes);
    // Stored and uploaded segments have left the spool, held and new ones are still there.
    let left = fs::read_dir(stage.folder().join("video")).unwrap().count();
    assert!((2..6).contains(&left), "{left}");
    spool.remove_recording(&stage.begun.room, &stage.begun.recording).unwrap();
    assert_eq!((spool.space().used_bytes, spool.left().unwrap()), (0, vec![]));
}

/// The last files of a recording go one after another: a process that ends in between leaves a recording behind whose MP4
/// is stored. It was put all over again.
#[test]
fn an_mp4_that_is_stored_is_not_made_again() {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    write(&mut writer, &mut ledger, &cuts);
    note(&mut writer, &mut ledger, Entry::Stopped);
    let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut BTreeMap::new(), &mut BTreeMap::new());
    note(&mut writer, &mut ledger, Entry::Mp4Stored { bytes: file.len() as u64, sha256: Some(sha256_hex(&file)) });
    drop((writer, ledger, spool));

    let spool = stage.open(SETTINGS);
    let at = chrono::DateTime::from_timestamp(60, 0).unwrap();
    let resumed = spool.resume(&stage.begun.room, &stage.begun.recording, at, PART_BYTES).unwrap().unwrap();
    let mut ledger = resumed.ledger;
    assert!(!ledger.makes_mp4());
    let objects = ledger.manifest().objects.clone();
    assert_eq!((objects[0].bytes, objects[0].sha256.clone()), (file.len() as u64, Some(sha256_hex(&file))));
    ledger.seal();
    assert_eq!(ledger.manifest().state, RecordingState::Complete);
}

#[test]
fn two_processes_do_not_share_a_spool() {
    let stage = Stage::new();
    let first = stage.open(SETTINGS);
    let second = Spool::open(stage.directory.clone(), SETTINGS).unwrap_err();
    assert_eq!(second.source.kind(), ErrorKind::WouldBlock);
    drop(first);
    stage.open(SETTINGS);
}

/// A process may end while it creates a recording's folder, or while it removes one.
#[test]
fn what_has_no_journal_does_not_stay() {
    let stage = Stage::new();
    fs::create_dir_all(stage.folder().join("video")).unwrap();
    fs::write(stage.folder().join("video/000001.m4s"), [0; 1000]).unwrap();
    fs::create_dir_all(stage.directory.join("empty-room")).unwrap();
    let spool = stage.open(SETTINGS);
    assert_eq!((spool.left().unwrap(), spool.space().used_bytes), (vec![], 0));
    assert!(!stage.directory.join("studio-1").exists() && !stage.directory.join("empty-room").exists());
}

/// What was created of a recording that could not begin stayed until the next start.
#[test]
fn a_recording_that_cannot_begin_leaves_nothing() {
    let stage = Stage::new();
    let spool = stage.open(SETTINGS);
    fs::create_dir_all(stage.folder()).unwrap();
    // A file where a folder is to be.
    fs::write(stage.folder().join("audio"), []).unwrap();
    SpoolWriter::create(Arc::clone(&spool), &stage.begun).unwrap_err();
    assert!(!stage.directory.join("studio-1").exists());
    // But never another recording.
    drop(SpoolWriter::create(Arc::clone(&spool), &stage.begun).unwrap());
    let refused = SpoolWriter::create(Arc::clone(&spool), &stage.begun).unwrap_err();
    assert_eq!(refused.source.kind(), ErrorKind::AlreadyExists);
    assert!(stage.folder().join(JOURNAL).exists());
}

#[test]
fn a_full_spool_leaves_a_gap_and_goes_on() {
    let (stage, cuts) = (Stage::new(), cuts());
    let whole: u64 = cuts.iter().map(|cut| if let Cut::Part(part) = cut { part.size_bytes() } else { 0 }).sum();
    let spool = stage.open(SpoolSettings { max_bytes: whole / 2, ..SETTINGS });
    let (mut writer, mut ledger) = begin(&stage, &spool);
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    let mut refused = 0;
    for (index, cut) in cuts.iter().enumerate() {
        refused += u32::from(writer.cut(cut).is_err());
        flush(&mut writer, &mut ledger);
        // The store comes back after three quarters.
        if index > cuts.len() * 3 / 4 {
            upload(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
            for name in store.keys().map(|name| ObjectName::parse(name).unwrap()) {
                spool.may_evict(&stage.object(name));
            }
        }
    }
    assert!(refused > 0);
    note(&mut writer, &mut ledger, Entry::Stopped);
    finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    let manifest = ledger.manifest();
    assert!(manifest.gaps.iter().any(|gap| gap.reason == GapReason::SpoolFull), "{:?}", manifest.gaps);
    assert_eq!(manifest.duration_ms, 9_000);
    for segment in &manifest.segments {
        assert_eq!(sha256_hex(&store[&segment.name]), segment.sha256, "{}", segment.name);
    }
}

/// A disk that takes no more of a journal.
fn full() -> File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// What the journal did not take was taken for done: segments went to the store, and after a crash nobody knew of them.
#[test]
fn what_the_journal_does_not_have_has_no_consequences() {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    let (before, after) = cuts.split_at(cuts.len() / 2);
    write(&mut writer, &mut ledger, before);
    upload(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    let journal_bytes = fs::metadata(stage.folder().join(JOURNAL)).unwrap().len();
    let journal = writer.replace_journal(full());
    for cut in after {
        writer.cut(cut).unwrap();
        assert_eq!(writer.flush().unwrap_err().kind(), ErrorKind::StorageFull);
    }
    assert!(!writer.is_flushed() && ledger.next_object().is_none());

    // The disk is well again: everything follows, once.
    writer.replace_journal(journal);
    flush(&mut writer, &mut ledger);
    assert!(writer.is_flushed() && writer.flush().unwrap().is_empty());
    assert!(fs::metadata(stage.folder().join(JOURNAL)).unwrap().len() > journal_bytes);
    note(&mut writer, &mut ledger, Entry::Stopped);
    let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    check_mp4(&file, 270);
    assert_eq!((ledger.manifest().segments.len(), ledger.manifest().gaps.len()), (10, 0));
}

/// Memory does not grow with the time for which a disk fails: media is not taken then, and there is a gap.
#[test]
fn a_journal_that_fails_for_long_leaves_a_gap() {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    let of_number = |from: u64, to: u64| {
        cuts.iter().filter(move |cut| match cut {
            Cut::Part(part) => (from..to).contains(&part.msn),
            Cut::Segment(segment) => (from..to).contains(&segment.msn),
            Cut::Init(_) | Cut::KeyframeWanted => from == 1,
        })
    };
    write(&mut writer, &mut ledger, of_number(1, 3));
    let journal = writer.replace_journal(full());
    let long = Entry::Lost { object: "x".repeat(64 << 10) };
    std::iter::repeat_n(long, 20).for_each(|entry| writer.note(entry));
    for cut in of_number(3, 4) {
        // Some are refused, and none is written.
        let _ = writer.cut(cut);
        writer.flush().unwrap_err();
    }
    writer.replace_journal(journal);
    flush(&mut writer, &mut ledger);
    write(&mut writer, &mut ledger, of_number(4, u64::MAX));
    note(&mut writer, &mut ledger, Entry::Stopped);
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    check_mp4(&file, 270 - 60);
    let gaps: Vec<_> = ledger.manifest().gaps.iter().map(|gap| (gap.start_ms, gap.duration_ms, gap.reason)).collect();
    assert_eq!(gaps, [(4_000, 2_000, GapReason::SpoolFull)]);
}

/// Media whose initialisation segment never came was in the parts that went up, and not in the header that says where
/// everything lies.
#[test]
fn what_has_no_initialisation_segment_is_not_in_the_mp4() {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    let known = cuts.iter().filter(|cut| !matches!(cut, Cut::Init(init) if init.kind == MediaKind::Audio));
    for cut in known {
        write(&mut writer, &mut ledger, [cut]);
        upload(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    }
    note(&mut writer, &mut ledger, Entry::Stopped);
    let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    check_mp4(&file, 270);
}

/// Writes the cuts that are not refused, as a stuck disk's queue refuses them, and returns the finished ledger.
fn recorded_without(refused: impl Fn(&Cut) -> bool) -> Ledger {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    write(&mut writer, &mut ledger, cuts.iter().filter(|cut| !refused(cut)));
    note(&mut writer, &mut ledger, Entry::Stopped);
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    for segment in &ledger.manifest().segments {
        assert_eq!(sha256_hex(&store[&segment.name]), segment.sha256, "{}", segment.name);
    }
    ledger
}

#[test]
fn a_segment_whose_end_was_not_said_ends_with_the_next_one() {
    let ledger = recorded_without(|cut| matches!(cut, Cut::Segment(segment) if segment.msn == 2));
    assert_eq!((ledger.manifest().gaps.as_slice(), ledger.manifest().duration_ms), (&[][..], 9_000));
    assert_eq!(ledger.manifest().segments.iter().filter(|segment| segment.name.ends_with("000002.m4s")).count(), 2);
}

#[test]
fn parts_that_were_refused_come_with_their_segment() {
    let ledger = recorded_without(|cut| matches!(cut, Cut::Part(part) if part.msn == 2 && part.index > 1));
    assert_eq!((ledger.manifest().gaps.as_slice(), ledger.manifest().duration_ms), (&[][..], 9_000));
}

#[test]
fn what_a_stuck_disk_refused_is_a_gap_of_its_own() {
    let ledger = recorded_without(|cut| match cut {
        Cut::Part(part) => part.msn == 2 && part.index == 1,
        Cut::Segment(segment) => segment.msn == 2,
        _ => false,
    });
    let gaps: Vec<_> = ledger.manifest().gaps.iter().map(|gap| (gap.start_ms, gap.duration_ms, gap.reason)).collect();
    assert_eq!(gaps, [(2_500, 1_500, GapReason::Overload)]);
}

#[test]
fn what_the_store_has_goes_first() {
    let (stage, cuts) = (Stage::new(), cuts());
    let whole: u64 = cuts.iter().map(|cut| if let Cut::Part(part) = cut { part.size_bytes() } else { 0 }).sum();
    // Room for the journal, which never leaves, and for half of the media.
    let spool = stage.open(SpoolSettings { max_bytes: JOURNAL_BYTES + whole / 2, ..SETTINGS });
    let (mut writer, mut ledger) = begin(&stage, &spool);
    let mut store = BTreeMap::new();
    for cut in &cuts {
        write(&mut writer, &mut ledger, [cut]);
        // Segments are stored, but no part of the MP4: nothing would ever leave but for want of room.
        while let Some((name, _)) = ledger.next_object() {
            store.insert(name.as_str().to_owned(), fs::read(stage.folder().join(name.as_str())).unwrap());
            note(&mut writer, &mut ledger, Entry::Stored { object: name.as_str().into() });
            if name.segment_number().is_some() {
                spool.may_evict(&stage.object(name));
            }
        }
    }
    assert!(spool.space().evicted > 0);
    note(&mut writer, &mut ledger, Entry::Stopped);
    let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut BTreeMap::new());
    check_mp4(&file, 270);
}

/// After a restart the spool stayed full of what the store had, for recordings that waited to be finished: new ones were
/// refused.
#[test]
fn what_the_store_has_of_recordings_that_were_left_goes_first() {
    for is_taken_over in [false, true] {
        let (stage, cuts) = (Stage::new(), cuts());
        let spool = stage.open(SETTINGS);
        let (mut writer, mut ledger) = begin(&stage, &spool);
        let mut store = BTreeMap::new();
        write(&mut writer, &mut ledger, &cuts);
        note(&mut writer, &mut ledger, Entry::Stopped);
        while let Some((name, _)) = ledger.next_object() {
            store.insert(name.as_str().to_owned(), fs::read(stage.folder().join(name.as_str())).unwrap());
            note(&mut writer, &mut ledger, Entry::Stored { object: name.as_str().into() });
        }
        drop((writer, ledger, spool));

        // Room for the first entry of another one, and nothing more.
        let max_bytes = size_of(&stage.directory).unwrap() + 500;
        let spool = stage.open(SpoolSettings { max_bytes, ..SETTINGS });
        let (room, id) = spool.left().unwrap().remove(0);
        let at = chrono::DateTime::from_timestamp(60, 0).unwrap();
        let resumed = is_taken_over.then(|| spool.resume(&room, &id, at, PART_BYTES).unwrap().unwrap());
        let next = Begun { recording: RecordingId::parse("20261122T073000Z-7f3a9c").unwrap(), ..stage.begun.clone() };
        let mut writer = SpoolWriter::create(Arc::clone(&spool), &next).unwrap();
        for cut in &cuts[..cuts.len() / 3] {
            writer.cut(cut).unwrap();
            writer.flush().unwrap();
        }
        assert!(spool.space().evicted > 0);
        assert_eq!(spool.space().used_bytes, size_of(&stage.directory).unwrap());
        if let Some(Resumed { mut ledger, mut writer }) = resumed {
            let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut BTreeMap::new());
            check_mp4(&file, 270);
        }
    }
}

/// Where the process ends: after so many cuts, and what the disk has lost of the newest files by then.
#[derive(Debug, Clone)]
struct Crash {
    after: f64,
    journal_lost: u64,
    media_lost: u64,
    zeros: bool,
    upload_every: usize,
}

fn crashes() -> impl Strategy<Value = Crash> {
    (0.0..1.0_f64, prop_oneof![Just(0), 0..400_u64], prop_oneof![Just(0), 0..400_u64], any::<bool>(), 1..60_usize)
        .prop_map(|(after, journal_lost, media_lost, zeros, upload_every)| Crash {
            after,
            journal_lost,
            media_lost,
            zeros,
            upload_every,
        })
}

/// Takes the end of a file away, or overwrites it with zeros, as a power failure does.
fn lose(path: &Path, bytes: u64, zeros: bool) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(metadata.len().saturating_sub(bytes)).unwrap();
    if zeros {
        file.set_len(metadata.len()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn another_process_goes_on_wherever_the_first_one_ended(crash in crashes()) {
        check_crash(&crash)?;
    }
}

fn check_crash(crash: &Crash) -> Result<(), TestCaseError> {
    let (stage, cuts) = (Stage::new(), cuts());
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    let written = (cuts.len() as f64 * crash.after) as usize;
    let spool = stage.open(SETTINGS);
    {
        let (mut writer, mut ledger) = begin(&stage, &spool);
        for (index, cut) in cuts[..written].iter().enumerate() {
            write(&mut writer, &mut ledger, [cut]);
            if index % crash.upload_every == 0 {
                upload(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
            }
        }
    }
    drop(spool);
    lose(&stage.folder().join(JOURNAL), crash.journal_lost, crash.zeros);
    for kind in ["video", "audio"] {
        let newest = fs::read_dir(stage.folder().join(kind)).unwrap();
        let newest = newest.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "m4s").max();
        newest.inspect(|path| lose(path, crash.media_lost, crash.zeros));
    }

    let spool = stage.open(SETTINGS);
    let at = chrono::DateTime::from_timestamp(60, 0).unwrap();
    let Some(resumed) = spool.resume(&stage.begun.room, &stage.begun.recording, at, PART_BYTES).unwrap() else {
        // Not even the first entry was left.
        prop_assert!(crash.journal_lost > 0);
        return Ok(());
    };
    let Resumed { mut ledger, mut writer } = resumed;
    if ledger.needs_chunks_again() {
        parts.clear();
        let pieces = spool.pieces(&stage.begun.room, &stage.begun.recording).unwrap();
        ledger.chunks_again(pieces);
    }
    // A part that is put again may replace an older one, but nothing that is not put again may be stale.
    upload(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    let samples: usize = kept(&ledger, &store, MediaKind::Video);
    if samples > 0 {
        let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
        check_mp4(&file, samples as u32);
    }
    ledger.seal();
    for segment in &ledger.manifest().segments {
        prop_assert_eq!(&sha256_hex(&store[&segment.name]), &segment.sha256, "{}", segment.name);
    }
    prop_assert_eq!(ledger.manifest().state, RecordingState::Recovered);
    // Nothing but the end is missing: without loss on the disk, nothing at all of what was cut.
    if crash.journal_lost == 0 && crash.media_lost == 0 {
        let cut: usize = cuts[..written]
            .iter()
            .map(|cut| match cut {
                Cut::Part(part) if part.kind == MediaKind::Video => part.samples.len(),
                _ => 0,
            })
            .sum();
        prop_assert_eq!(samples, cut);
    }
    Ok(())
}

/// Counts the samples of a rendition in the listed segments.
fn kept(ledger: &Ledger, store: &BTreeMap<String, Vec<u8>>, kind: MediaKind) -> usize {
    let of_kind = ledger.manifest().segments.iter().filter(|segment| segment.name.starts_with(kind.as_str()));
    let read = |name: &str| -> Segment {
        let (kind, msn) = ObjectName::parse(name).unwrap().segment_number().unwrap();
        crate::read_segment(kind, msn, store[name].clone().into()).unwrap()
    };
    of_kind.map(|entry| read(&entry.name).parts.iter().map(|part| part.samples.len()).sum::<usize>()).sum()
}

/// A power failure may leave a file without its bytes, and the store's copy of it makes a recording that nobody can
/// play. One that was missing took all its segments with it.
#[test]
fn initialisation_segments_are_made_again() {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    write(&mut writer, &mut ledger, &cuts);
    drop((writer, ledger, spool));
    let inits = ["video/init-1.mp4", "audio/init-1.mp4"].map(|name| stage.folder().join(name));
    let before = inits.each_ref().map(|path| fs::read(path).unwrap());
    fs::write(&inits[0], []).unwrap();
    fs::remove_file(&inits[1]).unwrap();

    let spool = stage.open(SETTINGS);
    let at = chrono::DateTime::from_timestamp(60, 0).unwrap();
    let resumed = spool.resume(&stage.begun.room, &stage.begun.recording, at, PART_BYTES).unwrap().unwrap();
    assert!(inits.each_ref().map(|path| fs::read(path).unwrap()) == before);
    let Resumed { mut ledger, mut writer } = resumed;
    let (mut store, mut parts) = (BTreeMap::new(), BTreeMap::new());
    let file = finish(&spool, &stage, (&mut writer, &mut ledger), &mut store, &mut parts);
    check_mp4(&file, 270);
    assert_eq!(ledger.manifest().segments.len(), 10);
    assert!(store["video/init-1.mp4"] == before[0] && store["audio/init-1.mp4"] == before[1]);
    spool.remove_recording(&stage.begun.room, &stage.begun.recording).unwrap();
    assert_eq!(spool.space().used_bytes, 0);
}

/// Whoever takes a recording over knows where its media came from, and lists what was stored before.
#[test]
fn what_is_known_of_a_recording_survives() {
    let (stage, cuts) = (Stage::new(), cuts());
    let spool = stage.open(SETTINGS);
    let (mut writer, mut ledger) = begin(&stage, &spool);
    let publisher = Publisher { protocol: Protocol::Whip };
    note(&mut writer, &mut ledger, Entry::Provenance { publisher, alignment: Some(Alignment::Arrival) });
    write(&mut writer, &mut ledger, &cuts);
    upload(&spool, &stage, (&mut writer, &mut ledger), &mut BTreeMap::new(), &mut BTreeMap::new());
    let before = ledger.manifest().clone();
    drop((writer, ledger, spool));

    let spool = stage.open(SETTINGS);
    let at = chrono::DateTime::from_timestamp(60, 0).unwrap();
    let resumed = spool.resume(&stage.begun.room, &stage.begun.recording, at, PART_BYTES).unwrap().unwrap();
    let after = resumed.ledger.manifest();
    assert_eq!((after.publisher, after.alignment), (Some(publisher), Some(Alignment::Arrival)));
    assert_eq!((&after.guessed, &after.inits), (&before.guessed, &before.inits));
    assert!(after.inits.len() == 2 && after.guessed == ["alignment"]);
}

#[test]
fn a_journal_of_another_version_is_left_alone() {
    let mut stage = Stage::new();
    stage.begun.version = journal::VERSION + 1;
    let spool = stage.open(SETTINGS);
    drop(SpoolWriter::create(Arc::clone(&spool), &stage.begun).unwrap());
    let at = chrono::DateTime::UNIX_EPOCH;
    let refused = spool.resume(&stage.begun.room, &stage.begun.recording, at, PART_BYTES).unwrap_err();
    assert_eq!(refused.source.kind(), ErrorKind::InvalidData);
    assert!(stage.folder().join(JOURNAL).exists());
}

/// An entry of a later version was taken for the torn end of a journal: it was cut off with everything behind it, and
/// where it was the first one, all media was removed.
#[test]
fn a_journal_with_an_unknown_entry_is_left_alone() {
    for known in [0, 1] {
        let stage = Stage::new();
        let spool = stage.open(SETTINGS);
        drop(begin(&stage, &spool));
        let mut bytes = Vec::new();
        if known == 1 {
            journal::put_entry(&Entry::Begun(stage.begun.clone()), &mut bytes);
        }
        let unknown = [99, 1, 2, 3];
        bytes.extend((unknown.len() as u32).to_le_bytes());
        bytes.extend(journal::crc(&unknown).to_le_bytes());
        bytes.extend(unknown);
        journal::put_entry(&Entry::Stopped, &mut bytes);
        fs::write(stage.folder().join(JOURNAL), &bytes).unwrap();
        let at = chrono::DateTime::UNIX_EPOCH;
        let refused = spool.resume(&stage.begun.room, &stage.begun.recording, at, PART_BYTES).unwrap_err();
        assert_eq!(refused.source.kind(), ErrorKind::InvalidData);
        assert_eq!(fs::read(stage.folder().join(JOURNAL)).unwrap(), bytes);
    }
}

#[test]
fn configurations_survive_the_journal() {
    for config in [h264(), opus()] {
        let bytes = postcard::to_allocvec(config.as_ref()).unwrap();
        assert_eq!(postcard::from_bytes::<CodecConfig>(&bytes).unwrap(), *config);
    }
}
