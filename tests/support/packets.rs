//! Every packet has a name: the digest of its bytes. Nothing between a publisher and a recording changes them, so what a
//! recording holds can be held against the clip that was published, packet by packet.

use std::process::Command;

/// Returns the digests of the packets of `v` or `a` of a file, playlist or URL, in their order.
///
/// Of H.264 only slices count: parameter sets and messages may move to where a container wants them.
pub(crate) fn packets(input: &str, kind: char) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i", input, "-map", &format!("0:{kind}"), "-c", "copy"]);
    if kind == 'v' {
        command.args(["-bsf:v", "filter_units=pass_types=1-5"]);
    }
    let output = command.args(["-f", "framehash", "-hash", "md5", "-"]).output().expect("ffmpeg is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{input}: {errors}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    // Stream, decoding time, presentation time, duration, size, digest; side data may follow.
    let digests = lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(',').nth(5));
    digests.map(|digest| digest.trim().to_owned()).collect()
}

/// Checks that these are the packets of a clip that is published over and over, from its first one on: none is missing,
/// none is there twice.
#[track_caller]
pub(crate) fn check_unbroken(what: &str, found: &[String], clip: &[String]) {
    for (index, (found, published)) in found.iter().zip(clip.iter().cycle()).enumerate() {
        assert_eq!(found, published, "{what}: packet {index} is another one than was published");
    }
}
