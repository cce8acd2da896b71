//! What a recording costs, without a network: cutting, the way into the spool, the end of the MP4, and recovery.
//!
//! `cargo bench --bench recording`. Hours of media are made and written as fast as the machine can; the store is one
//! that takes everything and keeps nothing. docs/performance.md says how to read the figures.

mod thread_time;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onair_media::{CodecConfig, Frame, MediaKind, RecordingId, RoomName};
use onair_recorder::journal::{self, Begun, Entry};
use onair_recorder::{
    Cut, Fragmenter, FragmenterSettings, Fsync, Ledger, Mp4Step, ObjectPath, PART_BYTES, Spool, SpoolSettings,
    SpoolWriter,
};

use self::thread_time::cpu_time;

/// 30 pictures and 50 packets of sound a second, 2.5 Mbit/s together, a keyframe every two seconds.
const PICTURE_BYTES: usize = 9_500;
const KEYFRAME_BYTES: usize = 60_000;
const SOUND_BYTES: usize = 160;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    // `cargo test --all-targets` starts benchmarks too, without this flag, to see whether they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    packaging()?;
    parts_to_spool()?;
    lengths()
}

fn line(text: std::fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Makes the frames of a broadcast, in the order in which they come.
struct Broadcast {
    video: Arc<CodecConfig>,
    audio: Arc<CodecConfig>,
    media: Bytes,
    pictures: i64,
    sounds: i64,
    dts_ticks: i64,
}

impl Broadcast {
    fn new() -> Self {
        let sps = Bytes::from_static(&[0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40]);
        let pps = Bytes::from_static(&[0x68, 0xce, 0x3c, 0x80]);
        let media: Vec<u8> = (0..KEYFRAME_BYTES as u32 + 256).map(|byte| (byte * 31) as u8).collect();
        Self {
            video: Arc::new(CodecConfig::H264 { sps, pps, width: 1280, height: 720 }),
            audio: Arc::new(CodecConfig::Opus { channels: 2, pre_skip: 0 }),
            media: media.into(),
            pictures: 0,
            sounds: 0,
            dts_ticks: 0,
        }
    }

    /// Pushes the next picture and the sound before it. Times jitter, as a browser's do: no run of equal durations.
    fn push(&mut self, fragmenter: &mut Fragmenter) {
        while self.sounds * 960 * 15 < self.dts_ticks * 8 {
            let size = SOUND_BYTES + (self.sounds * 37 % 64) as usize;
            fragmenter.push(MediaKind::Audio, self.frame(&self.audio, self.sounds * 960, true, size));
            self.sounds += 1;
        }
        let keyframe = self.pictures % 60 == 0;
        let size = if keyframe { KEYFRAME_BYTES } else { PICTURE_BYTES } + (self.pictures * 53 % 256) as usize;
        fragmenter.push(MediaKind::Video, self.frame(&self.video, self.dts_ticks, keyframe, size));
        self.dts_ticks += 3_000 + self.pictures * 7 % 19 - 9;
        self.pictures += 1;
    }

    fn frame(&self, config: &Arc<CodecConfig>, ticks: i64, keyframe: bool, size: usize) -> Frame {
        let data = self.media.slice(..size);
        Frame { pts_ticks: ticks, dts_ticks: ticks, keyframe, config: Arc::clone(config), data }
    }
}

fn fragmenter() -> Fragmenter {
    let settings =
        FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };
    Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio])
}

/// How many bytes of media one core cuts in a second.
fn packaging() -> io::Result<()> {
    let mut rates = Vec::new();
    for _ in 0..9 {
        let (mut broadcast, mut fragmenter, mut bytes) = (Broadcast::new(), fragmenter(), 0_u64);
        let took = cpu_time(|| {
            for _ in 0..600 * 30 {
                broadcast.push(&mut fragmenter);
                while let Some(cut) = fragmenter.pull() {
                    if let Cut::Segment(segment) = cut {
                        bytes += segment.size_bytes();
                    }
                }
            }
        });
        rates.push(bytes as f64 / took.as_secs_f64() / 1e9);
    }
    rates.sort_by(f64::total_cmp);
    let [low, middle, high] = [rates[0], rates[rates.len() / 2], rates[rates.len() - 1]];
    line(format_args!("\npackaging: {middle:.2} GB/s of one core ({low:.2} to {high:.2})"))
}

/// A spool that is removed at the end.
struct Stage {
    directory: PathBuf,
    spool: Arc<Spool>,
    begun: Begun,
}

impl Stage {
    fn new(fsync: Fsync) -> Result<Self, Failure> {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("recording-{}", std::process::id()));
        let settings = SpoolSettings { max_bytes: u64::MAX, min_free_bytes: 0, fsync };
        let spool = Arc::new(Spool::open(directory.clone(), settings)?);
        let begun = Begun {
            version: journal::VERSION,
            room: RoomName::parse("studio")?,
            recording: RecordingId::parse("20261122T063000Z-7f3a9c")?,
            epoch: DateTime::UNIX_EPOCH,
            server: "onair bench".into(),
            target_duration_s: 6,
            mp4: true,
        };
        Ok(Self { directory, spool, begun })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What stays is in the build's own folder.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// From a cut until it is in the spool, by what is written through to the disk.
fn parts_to_spool() -> Result<(), Failure> {
    line(format_args!("\n| spool.fsync | part to spool, p50 ms | p99 ms | CPU of 1 s of media, ms |"))?;
    line(format_args!("| --- | ---: | ---: | ---: |"))?;
    for (name, fsync, seconds) in
        [("never", Fsync::Never, 600), ("segment", Fsync::Segment, 300), ("part", Fsync::Part, 100)]
    {
        let stage = Stage::new(fsync)?;
        let mut writer = SpoolWriter::create(Arc::clone(&stage.spool), &stage.begun)?;
        let (mut broadcast, mut fragmenter) = (Broadcast::new(), fragmenter());
        let (mut took, mut failed) = (Vec::new(), None);
        let cpu = cpu_time(|| {
            for _ in 0..seconds * 30 {
                broadcast.push(&mut fragmenter);
                while let Some(cut) = fragmenter.pull() {
                    let began = Instant::now();
                    let cut_error = writer.cut(&cut).err();
                    let flush_error = writer.flush().err().map(|source| unflushed(&stage, source));
                    failed = failed.take().or(cut_error).or(flush_error);
                    if matches!(cut, Cut::Part(_)) {
                        took.push(began.elapsed().as_secs_f64() * 1e3);
                    }
                }
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        let cpu_ms = cpu.as_secs_f64() * 1e3 / f64::from(seconds);
        line(format_args!("| {name} | {:.3} | {:.3} | {cpu_ms:.2} |", at(0.5), at(0.99)))?;
    }
    Ok(())
}

fn unflushed(stage: &Stage, source: io::Error) -> onair_recorder::SpoolError {
    onair_recorder::SpoolError { operation: "write", path: stage.directory.clone(), source }
}

/// What depends on the length of a recording: its memory, its end, and its recovery.
fn lengths() -> Result<(), Failure> {
    line(format_args!(
        "\n| length | media, GB | journal, MB | header of the MP4, MB | from the end to the last part, ms | parts put at the end | memory of the recording, MiB | recovery, ms |"
    ))?;
    line(format_args!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"))?;
    for (name, minutes) in [("10 min", 10), ("1 h", 60), ("4 h", 240)] {
        length(name, minutes)?;
    }
    Ok(())
}

fn length(name: &str, minutes: u32) -> Result<(), Failure> {
    let stage = Stage::new(Fsync::Never)?;
    // The peak counts from here (proc_pid_clear_refs(5)).
    fs::write("/proc/self/clear_refs", "5")?;
    let before_mib = resident_mib()?;
    let mut recording = Recording::begin(&stage)?;
    let (mut broadcast, mut fragmenter) = (Broadcast::new(), fragmenter());
    for _ in 0..minutes * 60 * 30 {
        broadcast.push(&mut fragmenter);
        while let Some(cut) = fragmenter.pull() {
            recording.take(&cut)?;
        }
    }
    fragmenter.finish();
    while let Some(cut) = fragmenter.pull() {
        recording.take(&cut)?;
    }
    let journal = fs::metadata(stage.directory.join("studio/20261122T063000Z-7f3a9c/journal"))?.len();
    let (room, id) = (&stage.begun.room, &stage.begun.recording);
    let began = Instant::now();
    recording.note(Entry::Stopped)?;
    let finish = stage.spool.finish_mp4(room, id, PART_BYTES, recording.ledger.uploaded_parts())?;
    let finish = finish.ok_or("there is media")?;
    for part in &finish.parts {
        recording.fetch(&part.from)?;
    }
    let finished = began.elapsed();
    let memory_mib = peak_mib()? - before_mib;
    let header = fs::metadata(stage.directory.join("studio/20261122T063000Z-7f3a9c/header"))?.len();
    drop(recording);
    let began = Instant::now();
    let resumed = stage.spool.resume(room, id, Utc::now(), PART_BYTES)?.ok_or("there is a recording")?;
    let recovered = began.elapsed();
    drop(resumed);
    line(format_args!(
        "| {name} | {:.2} | {:.1} | {:.2} | {:.0} | {} | {memory_mib:.1} | {:.0} |",
        finish.file_bytes as f64 / 1e9,
        journal as f64 / 1e6,
        header as f64 / 1e6,
        finished.as_secs_f64() * 1e3,
        finish.parts.len(),
        recovered.as_secs_f64() * 1e3,
    ))?;
    Ok(())
}

/// A recording whose store takes everything and keeps nothing but what the end of the MP4 may ask for.
struct Recording<'a> {
    stage: &'a Stage,
    writer: SpoolWriter,
    ledger: Ledger,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Recording<'a> {
    fn begin(stage: &'a Stage) -> Result<Self, Failure> {
        let writer = SpoolWriter::create(Arc::clone(&stage.spool), &stage.begun)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { stage, writer, ledger: Ledger::new(stage.begun.clone(), PART_BYTES), runtime })
    }

    fn take(&mut self, cut: &Cut) -> Result<(), Failure> {
        self.writer.cut(cut)?;
        self.flush()?;
        while let Some((name, _)) = self.ledger.next_object() {
            self.note(Entry::Stored { object: name.as_str().into() })?;
        }
        while let Some(step) = self.ledger.mp4_step() {
            match step {
                Mp4Step::Begin => self.note(Entry::UploadBegun(serde_json::from_value("upload".into())?))?,
                Mp4Step::Put { index, from, .. } => {
                    let bytes = self.fetch(&from)?;
                    let id = serde_json::from_value(format!("{index} {bytes} part").into())?;
                    self.note(Entry::UploadPart { index, id, bytes, sha256: [0; 32] })?;
                }
            }
        }
        for name in self.ledger.take_done() {
            let (room, id) = (&self.stage.begun.room, &self.stage.begun.recording);
            self.stage.spool.remove(&ObjectPath::new(room, id, name))?;
        }
        Ok(())
    }

    fn note(&mut self, entry: Entry) -> Result<(), Failure> {
        self.writer.note(entry);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush()?.iter().for_each(|entry| self.ledger.apply(entry));
        Ok(())
    }

    /// Reads what a part is made of, as the uploader does. A displaced piece would come from the store.
    fn fetch(&self, from: &[onair_recorder::progressive::Source]) -> Result<u64, Failure> {
        use onair_recorder::ObjectName;
        use onair_recorder::progressive::Source;
        let (spool, room, id) = (&self.stage.spool, &self.stage.begun.room, &self.stage.begun.recording);
        let mut chunks = Vec::new();
        for source in from {
            let bytes = match source {
                Source::Header(range) => self.runtime.block_on(spool.read_header(room, id, range.clone()))?,
                Source::Zeros(count) => vec![0; *count as usize].into(),
                Source::Piece(piece) => {
                    let object = ObjectPath::new(room, id, ObjectName::numbered(piece.kind, piece.msn));
                    let read = self.runtime.block_on(spool.read(&object, Some(piece.range.clone())));
                    read.unwrap_or_else(|_| vec![0; piece.bytes() as usize].into())
                }
            };
            chunks.push(bytes);
        }
        Ok(chunks.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

fn resident_mib() -> Result<f64, Failure> {
    status_mib("VmRSS:")
}

fn peak_mib() -> Result<f64, Failure> {
    status_mib("VmHWM:")
}

fn status_mib(key: &str) -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such line")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
