//! `onair verify`: a recording that was published is damaged in many ways, named, and mended as far as its segments go.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Server, alone, check_playable, decode_errors, eventually, finished_recording, probe, publish, run_onair,
};

/// A finished recording on the disk, of which every damage gets a copy.
struct Kept {
    store: PathBuf,
    name: String,
}

/// What `onair verify` said.
struct Verdict {
    code: Option<i32>,
    report: Value,
}

impl Kept {
    fn copy(&self, store: &Path) -> Self {
        let dir = store.join(&self.name);
        for folder in ["video", "audio"] {
            fs::create_dir_all(dir.join(folder)).expect("the directory is ours");
        }
        for name in self.objects() {
            fs::copy(self.path(&name), dir.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        Self { store: store.into(), name: self.name.clone() }
    }

    fn path(&self, object: &str) -> PathBuf {
        self.store.join(&self.name).join(object)
    }

    fn text(&self, object: &str) -> String {
        self.path(object).to_str().expect("UTF-8").into()
    }

    fn objects(&self) -> Vec<String> {
        let below = |folder: &str| {
            let entries = fs::read_dir(self.path(folder)).expect("it is there").flatten();
            let files = entries.filter(|entry| entry.path().is_file());
            let names = files.map(|entry| format!("{folder}{}", entry.file_name().to_string_lossy()));
            // What is being written has another name until it is whole.
            names.filter(|name| !name.contains('#')).collect::<Vec<_>>()
        };
        [below(""), below("video/"), below("audio/")].concat()
    }

    fn change(&self, object: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(object)).expect("it is there");
        change(&mut bytes);
        fs::write(self.path(object), bytes).expect("it is ours");
    }

    fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("recording.json")).expect("it is there")).expect("it is JSON")
    }

    fn verify(&self, arguments: &[&str]) -> Verdict {
        let storage = format!("storage.url=file://{}", self.store.display());
        let output = run_onair(&[&["verify", &self.name, "--json", "--set", &storage], arguments].concat());
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Verdict { code: output.status.code(), report }
    }

    /// Mends, and checks that nothing is wrong afterwards, to `onair verify` and to ffmpeg.
    fn mend(&self) -> Verdict {
        let mended = self.verify(&["--repair"]);
        let again = self.verify(&[]);
        assert_eq!((again.code, again.findings().len()), (Some(0), 0), "{}\nafter\n{}", again.report, mended.report);
        assert_eq!(decode_errors(&self.text("recording.mp4")), "");
        mended
    }
}

impl Verdict {
    fn findings(&self) -> &[Value] {
        self.report["findings"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn has(&self, object: &str, problem: &str, remedy: &str) -> bool {
        let is = |finding: &Value| {
            finding["object"] == object && finding["problem"] == problem && finding["remedy"] == remedy
        };
        self.findings().iter().any(is)
    }
}

/// Publishes a clip to its end and keeps what is stored of it.
fn recorded(server: &Server) -> Kept {
    let status = publish("h264-opus.mp4", &server.url("/whip/studio-1"), &[]).wait(Duration::from_secs(40));
    assert_eq!(status.code(), Some(0));
    let entry = finished_recording(server, "studio-1");
    let name = format!("studio-1/{}", entry["recording"].as_str().expect("it has an id"));
    Kept { store: server.recordings(), name }
}

#[test]
fn every_damage_is_named_and_mended_as_far_as_the_segments_go() {
    let _alone = alone();
    let server = Server::start();
    let original = recorded(&server);
    let whole = original.verify(&[]);
    assert_eq!((whole.code, &whole.report["state"]), (Some(0), &"complete".into()), "{}", whole.report);
    assert_eq!(whole.findings().len(), 0, "{}", whole.report);

    let scratch = tempfile::TempDir::new().expect("a temporary directory");
    for (at, damage) in DAMAGES.iter().enumerate() {
        let kept = original.copy(&scratch.path().join(at.to_string()));
        let Damage { object, how, problem, mendable } = damage;
        match how {
            How::Remove => fs::remove_file(kept.path(object)).expect("it is there"),
            How::Change(change) => kept.change(object, change),
        }
        let looked = kept.verify(&[]);
        let remedy = if *mendable { ("mendable", "mended") } else { ("lost", "lost") };
        assert_eq!(looked.code, Some(1), "{object}: {}", looked.report);
        assert!(looked.has(object, problem, remedy.0), "{object}: {}", looked.report);
        let mended = kept.mend();
        assert_eq!(mended.code, Some(if *mendable { 0 } else { 1 }), "{object}: {}", mended.report);
        assert!(mended.has(object, problem, remedy.1), "{object}: {}", mended.report);
        if *mendable {
            check_playable(&kept.text("index.m3u8"), &["h264", "opus"], 12.0);
            check_playable(&kept.text("recording.mp4"), &["h264", "opus"], 12.0);
        } else {
            check_gap(&kept, object);
        }
    }
}

/// A segment that is lost is a gap, and its name stays known. Without the old MP4, a new one is made of what is left.
fn check_gap(kept: &Kept, object: &str) {
    let manifest = kept.manifest();
    assert_eq!(manifest["lost"][0]["name"], object, "{manifest}");
    assert_eq!(manifest["gaps"].as_array().map(Vec::len), Some(1), "{manifest}");
    let playlist = fs::read_to_string(kept.path("video/index.m3u8")).expect("a playlist");
    assert_eq!(playlist.matches("#EXT-X-GAP\n").count(), 1, "{playlist}");
    fs::remove_file(kept.path("recording.mp4")).expect("it is there");
    assert_eq!(kept.mend().code, Some(0));
    assert_eq!(probe(&kept.text("recording.mp4"))["streams"].as_array().map(Vec::len), Some(2));
}

/// Segments and initialisation segments are enough: the rest comes out as it was, playlists byte by byte. In the MP4
/// the same samples stand in another order, for it was put together while they came.
#[test]
fn segments_alone_make_the_recording_again() {
    let _alone = alone();
    let server = Server::start();
    let original = recorded(&server);
    let scratch = tempfile::TempDir::new().expect("a temporary directory");
    let kept = original.copy(scratch.path());
    let rebuilt = ["recording.json", "recording.mp4", "index.m3u8", "video/index.m3u8"];
    rebuilt.iter().for_each(|name| fs::remove_file(kept.path(name)).expect("it is there"));
    assert_eq!(kept.mend().code, Some(0));
    let read = |kept: &Kept, name: &str| fs::read(kept.path(name)).expect("it is there");
    for name in &rebuilt[2..] {
        assert!(read(&kept, name) == read(&original, name), "{name}");
    }
    assert_eq!(read(&kept, "recording.mp4").len(), read(&original, "recording.mp4").len());
    assert_eq!(decode_errors(&kept.text("recording.mp4")), "");
    let (before, after) = (original.manifest(), kept.manifest());
    assert_eq!(after["state"], "recovered", "{after}");
    for key in ["room", "recording", "start", "end", "duration_ms", "tracks", "segments", "gaps"] {
        assert_eq!(after[key], before[key], "{key}");
    }
}

/// A live recording is looked at, but not touched until somebody says that its server is gone.
#[test]
fn a_recording_whose_server_is_gone_is_ended_when_that_is_said() {
    let _alone = alone();
    let server = Server::start();
    let publisher = publish("h264-opus.mp4", &server.url("/whip/studio-1"), &["--loop"]);
    let recording = eventually("the recording has a manifest", Duration::from_secs(40), || {
        let list = server.json("/api/recordings?room=studio-1")?;
        let recording = list["recordings"].as_array()?.first()?.clone();
        recording["duration_ms"].as_u64().filter(|duration| *duration >= 3_000).map(|_| recording)
    });
    let name = format!("studio-1/{}", recording["recording"].as_str().expect("it has an id"));
    let kept = Kept { store: server.recordings(), name };
    let live = kept.verify(&[]);
    assert_eq!((live.code, &live.report["state"]), (Some(0), &"live".into()), "{}", live.report);
    assert_eq!(kept.verify(&["--repair"]).code, Some(2));

    let scratch = tempfile::TempDir::new().expect("a temporary directory");
    let kept = kept.copy(scratch.path());
    publisher.kill();
    let ended = kept.verify(&["--repair", "--interrupted"]);
    assert_eq!((ended.code, &ended.report["state"]), (Some(0), &"recovered".into()), "{}", ended.report);
    assert!(ended.has("recording.json", "disagrees", "mended"), "{}", ended.report);
    assert!(ended.has("recording.mp4", "missing", "mended"), "{}", ended.report);
    assert_eq!(kept.mend().findings().len(), 0);
    assert_eq!(decode_errors(&kept.text("index.m3u8")), "");
}

#[test]
fn what_cannot_be_looked_at_is_another_exit_code() {
    let empty = tempfile::TempDir::new().expect("a temporary directory");
    let kept = Kept { store: empty.path().into(), name: "studio-1/20261122T063000Z-7f3a9c".into() };
    assert_eq!(kept.verify(&[]).code, Some(2));
    assert_eq!(kept.verify(&["--no-such-flag"]).code, Some(2));
    assert_eq!(kept.verify(&["--set", "no.such=key"]).code, Some(2));
}

struct Damage {
    object: &'static str,
    how: How,
    problem: &'static str,
    mendable: bool,
}

enum How {
    Remove,
    Change(fn(&mut Vec<u8>)),
}

const fn damage(object: &'static str, how: How, problem: &'static str, mendable: bool) -> Damage {
    Damage { object, how, problem, mendable }
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
}

const DAMAGES: [Damage; 9] = [
    damage("video/000003.m4s", How::Change(|bytes| bytes.truncate(bytes.len() / 2)), "size", false),
    damage("video/000003.m4s", How::Change(|bytes| flip(bytes)), "digest", false),
    damage("video/000003.m4s", How::Remove, "missing", false),
    damage("video/index.m3u8", How::Remove, "missing", true),
    damage("index.m3u8", How::Change(|bytes| bytes.truncate(20)), "disagrees", true),
    damage("recording.json", How::Remove, "missing", true),
    damage("recording.json", How::Change(|bytes| bytes.truncate(bytes.len() / 2)), "unreadable", true),
    damage("recording.mp4", How::Remove, "missing", true),
    damage("recording.mp4", How::Change(|bytes| bytes[100..200].fill(0x55)), "digest", true),
];
