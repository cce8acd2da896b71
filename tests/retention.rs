//! Old recordings go, and only those: `onair retention`, and the server by itself (docs/configuration.md).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Server, eventually, run_onair};

/// A directory store with recordings of the past.
struct Archive(TempDir);

impl Archive {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn url(&self) -> String {
        format!("storage.url=file://{}", self.path().display())
    }

    /// Stores a recording that ended so many days ago, with a segment of 1,000 bytes.
    fn add(&self, room: &str, days_ago: i64, state: &str) -> String {
        let end: DateTime<Utc> = Utc::now() - TimeDelta::days(days_ago);
        let recording = format!("{}-{days_ago:06x}", (end - TimeDelta::hours(1)).format("%Y%m%dT%H%M%SZ"));
        let rfc3339 = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let manifest = json!({
            "schema": 1, "room": room, "recording": recording, "state": state, "server": "onair test",
            "start": rfc3339(end - TimeDelta::hours(1)), "end": rfc3339(end), "duration_ms": 3_600_000,
            "tracks": [], "gaps": [], "objects": [],
            "segments": [{ "name": "video/000001.m4s", "start_ms": 0, "duration_ms": 4000, "bytes": 1000, "sha256": "" }],
        });
        let dir = self.path().join(room).join(&recording);
        fs::create_dir_all(dir.join("video")).expect("the directory is ours");
        fs::write(dir.join("video/000001.m4s"), [0; 1000]).expect("the directory is ours");
        fs::write(dir.join("recording.json"), manifest.to_string()).expect("the directory is ours");
        format!("{room}/{recording}")
    }

    /// Lists what is there, as `room/recording`, if it has any file left.
    fn left(&self) -> BTreeSet<String> {
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().into_string().expect("our names are ASCII")).collect()
        };
        let recordings = |room: String| {
            let below = names(&self.path().join(&room));
            below.into_iter().map(move |recording| format!("{room}/{recording}"))
        };
        names(self.path())
            .into_iter()
            .flat_map(recordings)
            .filter(|name| !names(&self.path().join(name)).is_empty())
            .collect()
    }
}

fn set(names: &[&String]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).clone()).collect()
}

#[test]
fn the_command_says_what_would_go_and_then_deletes_that() {
    let archive = Archive::new();
    let (young, old) = (archive.add("lobby", 2, "complete"), archive.add("lobby", 40, "complete"));
    let (live, recovered) = (archive.add("lobby", 50, "live"), archive.add("hall", 31, "recovered"));
    let kept = archive.add("keep-1", 400, "complete");
    let unfinished = "lobby/20200101T000000Z-abcdef".to_owned();
    fs::create_dir_all(archive.path().join(&unfinished).join("video")).expect("the directory is ours");
    fs::write(archive.path().join(&unfinished).join("video/000001.m4s"), "x").expect("the directory is ours");

    let all = set(&[&young, &old, &live, &recovered, &kept, &unfinished]);
    let url = archive.url();
    let settings = ["--set", &url, "--set", "record.retention=30d", "--set", "rooms.\"keep-*\".retention=forever"];
    let said = |more: &[&str]| {
        let output = run_onair(&[&["retention"], more, &settings[..]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("our text")
    };
    let lines = said(&["--dry-run"]);
    let named: BTreeSet<String> =
        lines.lines().filter_map(|line| line.split_once("  ")).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(named, set(&[&old, &recovered]), "{lines}");
    assert!(lines.contains("ended more than 30 days ago"), "{lines}");
    assert!(lines.contains("2 recordings would be deleted, 2000 bytes"), "{lines}");
    assert_eq!(archive.left(), all);

    assert!(said(&[]).contains("2 recordings deleted, 2000 bytes"));
    assert_eq!(archive.left(), set(&[&young, &live, &kept, &unfinished]));
    assert!(said(&[]).contains("0 recordings deleted, 0 bytes"));
}

#[test]
fn without_a_limit_nothing_goes() {
    let archive = Archive::new();
    let old = archive.add("lobby", 4_000, "complete");
    let output = run_onair(&["retention", "--set", &archive.url()]);
    assert!(output.status.success());
    assert_eq!(archive.left(), set(&[&old]));
}

#[test]
fn the_server_deletes_what_is_over_the_limits_and_says_why() {
    let archive = Archive::new();
    let lobby = [1, 2, 3, 4].map(|days| archive.add("lobby", days, "complete"));
    let studios = [archive.add("studio-1", 5, "complete"), archive.add("studio-2", 6, "complete")];
    let url = archive.url();
    let limits = ["record.retention_max_count=2", "rooms.\"studio-*\".retention_max_bytes=1500B"];
    let server = Server::with(&["--set", &url, "--set", limits[0], "--set", limits[1]]);
    eventually("the old recordings are looked after", Duration::from_secs(20), || {
        server.log().contains("old recordings looked after").then_some(())
    });
    assert_eq!(archive.left(), set(&[&lobby[0], &lobby[1], &studios[0]]));
    let log = server.log();
    assert_eq!(log.matches("recording deleted").count(), 3, "{log}");
    for reason in ["the room has 2 newer ones", "the rooms studio-* have more than 1500 bytes"] {
        assert!(log.contains(reason), "{reason}: {log}");
    }
    // The API tells the same.
    let listed = server.json("/api/recordings").expect("a list");
    assert_eq!(listed["recordings"].as_array().expect("recordings").len(), 3);
}
