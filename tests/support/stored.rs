//! A recording as it lies in its store, held against its manifest.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::decode_errors_beside_gaps;

/// Where objects of a recording are: a directory, or URLs by name.
pub(crate) trait Objects {
    /// Returns what is stored under a name.
    fn read(&self, name: &str) -> Vec<u8>;
    /// Returns what ffmpeg opens to play it.
    fn playable(&self, name: &str) -> String;
}

impl Objects for &Path {
    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.join(name)).unwrap_or_else(|error| panic!("{}: {error}", self.join(name).display()))
    }

    fn playable(&self, name: &str) -> String {
        self.join(name).to_str().expect("UTF-8").into()
    }
}

/// Returns the manifest.
pub(crate) fn manifest(objects: &impl Objects) -> Value {
    serde_json::from_slice(&objects.read("recording.json")).expect("a manifest is JSON")
}

/// Checks that each object that a manifest lists is stored, byte for byte, and that what can be played decodes without
/// a word.
#[track_caller]
pub(crate) fn check_stored(objects: &impl Objects, manifest: &Value) {
    let listed = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    for entry in listed("segments").iter().chain(&listed("objects")) {
        let name = entry["name"].as_str().expect("an object has a name");
        let bytes = objects.read(name);
        assert_eq!(entry["bytes"], bytes.len(), "{name}");
        if let Some(sha256) = entry["sha256"].as_str() {
            assert_eq!(sha256, digest(&bytes), "{name}");
        } else {
            check_parts(name, &bytes, entry["parts"].as_array().expect("a digest, or parts with theirs"));
        }
    }
    if !listed("segments").is_empty() {
        for name in ["recording.mp4", "index.m3u8"] {
            let input = objects.playable(name);
            assert_eq!(decode_errors_beside_gaps(&input), "", "{input}");
        }
    }
}

fn check_parts(name: &str, mut rest: &[u8], parts: &[Value]) {
    for part in parts {
        let bytes = part["bytes"].as_u64().expect("a size") as usize;
        assert!(rest.len() >= bytes, "{name} is shorter than its parts");
        let (found, behind) = rest.split_at(bytes);
        assert_eq!(part["sha256"], digest(found).as_str(), "{name}");
        rest = behind;
    }
    assert!(rest.is_empty(), "{name} is longer than its parts");
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the manifest's gaps for a reason, as start and length in milliseconds.
pub(crate) fn gaps(manifest: &Value, reason: &str) -> Vec<(u64, u64)> {
    let gaps = manifest["gaps"].as_array().expect("a list");
    let of_reason = gaps.iter().filter(|gap| gap["reason"] == reason);
    of_reason.map(|gap| (millis(&gap["start_ms"]), millis(&gap["duration_ms"]))).collect()
}

/// Returns a number of milliseconds.
pub(crate) fn millis(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number of milliseconds: {value}"))
}
