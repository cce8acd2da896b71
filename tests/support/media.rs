//! Media files: the generated ones, and what ffprobe and ffmpeg of Debian think of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Returns the path of a generated clip.
pub(crate) fn clip(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/media").join(name);
    assert!(path.exists(), "{} is missing: `make media` generates it", path.display());
    path
}

/// Describes the format and the streams of a file or URL. Its durations and starts are texts of seconds.
pub(crate) fn probe(input: &str) -> Value {
    let mut command = Command::new("ffprobe");
    let output = command.args(["-v", "error", "-show_format", "-show_streams", "-of", "json", input]).output();
    let output = output.expect("ffprobe is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "ffprobe {input}: {errors}");
    serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
}

/// Decodes a file or URL wholly and returns what ffmpeg complained about: nothing, if all is well.
pub(crate) fn decode_errors(input: &str) -> String {
    decode(input, &[])
}

/// The same for a recording with a gap, whose later frames stand between the ticks of a 30th of a second that ffmpeg
/// rounds its output to: two frames may fall on one tick there, and it complains of itself.
pub(crate) fn decode_errors_beside_gaps(input: &str) -> String {
    decode(input, &["-enc_time_base", "-1"])
}

fn decode(input: &str, output_options: &[&str]) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i", input]).args(output_options).args(["-f", "null", "-"]);
    let output = command.output().expect("ffmpeg is installed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Lists the types of the boxes of an MP4 file, in their order (ISO/IEC 14496-12 §4.2).
pub(crate) fn top_level_boxes(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).expect("the file is there");
    let (mut types, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        types.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        let size = match size {
            0 => bytes.len() - at,
            1 => u64::from_be_bytes(bytes[at + 8..at + 16].try_into().expect("eight bytes")) as usize,
            size => size,
        };
        assert!(size >= 8, "a box of {size} bytes");
        at += size;
    }
    assert_eq!(at, bytes.len(), "the last box ends with the file");
    types
}
