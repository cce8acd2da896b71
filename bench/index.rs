//! What 100,000 recordings in a directory cost: looking through them, listing them, deciding which are old; and what a
//! recording of 24 hours costs. `cargo bench --bench index`, with another number as its argument.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use onair_media::{RecordingId, RoomName};
use onair_recorder::{Budget, RecordingQuery, RetentionPolicy, Store, retention};
use serde_json::{Value, json};
use url::Url;

const ROOMS: usize = 100;

/// Of both renditions, 4 s each.
const SEGMENTS_OF_A_DAY: usize = 43_200;

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --all-targets` starts benchmarks too, without this flag, to see whether they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let recordings = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let directory = Directory(std::env::temp_dir().join(format!("onair-index-{}", std::process::id())));
    for n in 0..recordings {
        add(&directory.0, n, 8)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&directory.0, recordings))
}

async fn measure(directory: &Path, recordings: usize) -> Result<(), Box<dyn std::error::Error>> {
    let url = Url::from_directory_path(directory).map_err(|()| "no absolute path")?;
    let store = Store::open(&url, &BTreeMap::new())?;
    let before = resident_kib();
    let began = Instant::now();
    store.refresh_index().await?;
    tell(&format!("{recordings} recordings looked through for the first time"), began.elapsed())?;
    tell_memory(resident_kib().saturating_sub(before))?;
    let began = Instant::now();
    store.refresh_index().await?;
    tell("looked through again, nothing new", began.elapsed())?;

    let first = RecordingQuery { limit: 50, ..Default::default() };
    let page = timed("first page of 50", store.list_recordings(&first)).await?;
    timed("second page of 50", store.list_recordings(&RecordingQuery { cursor: page.next, ..first.clone() })).await?;
    let room = RoomName::parse("room-0")?;
    let of_room = RecordingQuery { rooms: Some(vec![room.clone()]), limit: 500, ..Default::default() };
    timed("a page of 500 of one room", store.list_recordings(&of_room)).await?;
    let oldest = RecordingQuery { cursor: Some("20200103T000000Z-000000/a".into()), limit: 50, ..Default::default() };
    timed("the last page", store.list_recordings(&oldest)).await?;

    let began = Instant::now();
    let summaries = store.summaries();
    let budget = Some(Budget { name: "all rooms".into(), max_bytes: 1 << 40 });
    let policy = RetentionPolicy { max_age: Some(Duration::from_secs(1)), max_count: Some(10), budget };
    let gone = retention::expired(summaries.iter().map(AsRef::as_ref), Utc::now(), |_| policy.clone());
    tell(&format!("deciding that {} of them are old", gone.len()), began.elapsed())?;

    let long = add(directory, 10_000_000, SEGMENTS_OF_A_DAY)?;
    timed("summary of a recording of 24 h", store.summary(&long.1, &long.0)).await?;
    let manifest = timed("its manifest", store.manifest(&long.1, &long.0)).await?;
    let began = Instant::now();
    let bytes = serde_json::to_vec(&manifest)?.len();
    tell(&format!("written as JSON, {bytes} bytes"), began.elapsed())?;
    Ok(())
}

/// Writes the manifest of the n-th recording.
fn add(directory: &Path, n: usize, segments: usize) -> Result<(RecordingId, RoomName), Box<dyn std::error::Error>> {
    let start = DateTime::from_timestamp(1_577_836_800, 0).ok_or("2020")? + TimeDelta::minutes(i64::try_from(n)?);
    let rfc3339 = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let recording = RecordingId::parse(&format!("{}-{n:06x}", start.format("%Y%m%dT%H%M%SZ")))?;
    let room = RoomName::parse(&format!("room-{}", n % ROOMS))?;
    let segment = |n: usize| {
        json!({ "name": format!("video/{n:06}.m4s"), "start_ms": n * 4000, "duration_ms": 4000, "bytes": 1_000_000 + n,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" })
    };
    let manifest = json!({
        "schema": 1, "room": room, "recording": recording, "state": "complete", "server": "onair bench",
        "start": rfc3339(start), "end": rfc3339(start + TimeDelta::minutes(1)), "duration_ms": 60_000,
        "tracks": [{ "name": "video", "codec": "avc1.42E01F", "width": 1280, "height": 720, "frame_rate": 30.0 },
                   { "name": "audio", "codec": "opus", "sample_rate": 48_000, "channels": 2 }],
        "segments": (1..=segments).map(segment).collect::<Vec<Value>>(),
        "gaps": [], "objects": [{ "name": "recording.mp4", "bytes": 8_000_000, "sha256": "" }],
    });
    let below = directory.join(room.as_str()).join(recording.as_str());
    fs::create_dir_all(&below)?;
    fs::write(below.join("recording.json"), serde_json::to_vec_pretty(&manifest)?)?;
    Ok((recording, room))
}

async fn timed<T, E>(what: &str, asked: impl Future<Output = Result<T, E>>) -> Result<T, Box<dyn std::error::Error>>
where
    E: std::error::Error + 'static,
{
    let began = Instant::now();
    let answer = asked.await?;
    tell(what, began.elapsed())?;
    Ok(answer)
}

fn tell(what: &str, took: Duration) -> io::Result<()> {
    writeln!(io::stdout(), "{:>10.1} ms  {what}", took.as_secs_f64() * 1000.0)
}

fn tell_memory(kib: u64) -> io::Result<()> {
    writeln!(io::stdout(), "{:>10.1} MiB the index, and what reading left over", kib as f64 / 1024.0)
}

/// Resident memory, where the kernel says.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
