//! `onair load` against the server of the same program: everybody joins, and what is lost is repaired.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, alone, eventually, run_onair};

/// Runs a load test and returns its report.
fn load(server: &Server, viewers: &str, more: &[&str]) -> Value {
    let dir = TempDir::new().expect("a temporary directory");
    let json = dir.path().join("load.json");
    let (to, from) = (server.url("/whip/{room}"), server.url("/whep/{room}"));
    let file = json.to_str().expect("a path in UTF-8");
    let mut arguments =
        vec!["load", "--to", &to, "--from", &from, "--viewers", viewers, "--seconds", "3", "--json", file];
    arguments.extend_from_slice(more);
    let output = run_onair(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(" joined, 0 failed"), "{text}");
    serde_json::from_str(&fs::read_to_string(&json).expect("the report was written")).expect("it is JSON")
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {report:#}"))
}

#[test]
fn viewers_join_and_get_every_packet() {
    let _alone = alone();
    let server = Server::start();
    let report = load(&server, "20", &["--rooms", "2", "--server-pid", &server.pid().to_string()]);
    assert_eq!((number(&report, "/viewers/joined"), number(&report, "/viewers/failed")), (20.0, 0.0));
    assert_eq!(number(&report, "/viewers/without_keyframe"), 0.0, "{report:#}");
    assert_eq!(number(&report, "/packets/lost"), 0.0, "{report:#}");
    // 20 viewers × 3 s × (50 packets of sound and 300 of video), for 2500 kbit/s are 260 packets of 1200 bytes.
    assert!(number(&report, "/packets/delivered") > 15_000.0, "{report:#}");
    // 20 viewers × 3 s × 30 frames.
    assert!(number(&report, "/delay_ms/count") > 1_500.0, "{report:#}");
    assert!(number(&report, "/delay_ms/p50") < 1_000.0, "{report:#}");
    for pointer in ["/join_ms/p99", "/first_frame_ms/p99", "/own/cpu_s", "/server/cpu_us_per_packet"] {
        assert!(number(&report, pointer) > 0.0, "{pointer}: {report:#}");
    }
    eventually("all sessions were ended", Duration::from_secs(20), || {
        let room = server.json("/api/rooms/load-0");
        room.is_none_or(|room| room["viewers"]["whep"] == 0).then_some(())
    });
}

#[test]
fn lost_pictures_are_repaired() {
    let _alone = alone();
    let server = Server::start();
    let report = load(&server, "20", &["--loss", "5"]);
    // 5 % of 20 × 3 × 260.
    assert!(number(&report, "/packets/video/repaired") > 300.0, "{report:#}");
    assert_eq!(number(&report, "/packets/video/lost"), 0.0, "{report:#}");
}

#[test]
fn viewers_are_replaced_while_it_is_measured() {
    let _alone = alone();
    let server = Server::start();
    let report = load(&server, "5", &["--churn", "4"]);
    // One each 250 ms, but none at the very end: eleven. A busy machine may manage fewer.
    let left = number(&report, "/viewers/left");
    assert!((3.0..=12.0).contains(&left), "{report:#}");
    assert_eq!(number(&report, "/viewers/joined"), 5.0 + left, "{report:#}");
    assert_eq!((number(&report, "/viewers/present"), number(&report, "/viewers/ended")), (5.0, 0.0), "{report:#}");
    assert_eq!(number(&report, "/packets/video/lost"), 0.0, "{report:#}");
}

#[test]
fn what_cannot_be_measured_is_said_in_a_sentence() {
    let server = Server::start();
    let (none, many) = (server.url("/whep/nobody?x=1"), server.url("/whep/{room}"));
    for (arguments, expected) in [
        (vec!["--from", &many, "--viewers", "1", "--rooms", "0"], "--rooms must be at least 1"),
        (vec!["--from", "nonsense", "--viewers", "1"], "nonsense is no URL"),
        (vec!["--from", &none, "--viewers", "1", "--seconds", "1"], "no viewer could join"),
    ] {
        let output = run_onair(&[&["load"], &arguments[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{said}");
    }
}
