//! What every finished recording must be.

use std::time::Duration;

use serde_json::Value;

use super::{Server, decode_errors, eventually, probe, run_onair};

/// Waits for the recording of a room to be complete and returns its entry of the list.
pub(crate) fn finished_recording(server: &Server, room: &str) -> Value {
    let path = format!("/api/recordings?room={room}");
    eventually("the recording is complete", Duration::from_secs(30), || {
        let list = server.json(&path)?["recordings"].as_array()?.clone();
        list.into_iter().find(|recording| recording["state"] == "complete")
    })
}

/// Checks a file, playlist or URL: it decodes without a word, lasts as long as wanted, and its tracks begin together.
#[track_caller]
pub(crate) fn check_playable(input: &str, codecs: &[&str], duration_s: f64) {
    let probed = probe(input);
    let streams = probed["streams"].as_array().expect("a list of streams");
    let mut found: Vec<_> = streams.iter().map(|stream| stream["codec_name"].as_str().unwrap_or("?")).collect();
    found.sort_unstable();
    let mut wanted = codecs.to_vec();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "{input}");
    let duration = seconds(&probed["format"]["duration"]);
    assert!((duration - duration_s).abs() <= 0.5, "{input} lasts {duration} s instead of {duration_s} s");
    let starts: Vec<_> = streams.iter().map(|stream| seconds(&stream["start_time"])).collect();
    let (first, last) = starts.iter().fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(*at), high.max(*at)));
    assert!(last - first <= 0.1, "{input}: tracks begin at {starts:?} s");
    assert_eq!(decode_errors(input), "", "{input}");
}

/// Checks that `onair verify` finds nothing wrong; `settings` say where the recording is, `name` is `room/recording`.
#[track_caller]
pub(crate) fn check_whole(settings: &[&str], name: &str) {
    let output = run_onair(&[&["verify", name], settings].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(": whole; "), "{said}");
}

fn seconds(text: &Value) -> f64 {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no number of seconds: {text}"))
}
