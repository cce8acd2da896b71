//! `check-config` and `--print-config` (docs/configuration.md): exit codes, and what they say.

use std::fs;

use tempfile::TempDir;

use crate::support::run_onair;

fn check(toml: &str) -> (Option<i32>, String) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("onair.toml");
    fs::write(&file, toml).unwrap();
    let output = run_onair(&["check-config", "--config", file.to_str().unwrap()]);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    assert_eq!(check("[hls]\nsegment_ms = 2000\n"), (Some(0), String::new()));
    assert_eq!(check(""), (Some(0), String::new()));
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let (code, said) = check("[http]\nlisten = \"nowhere\"\n[hls]\nsegment_millis = 2000\npart_ms = \"soon\"\n");
    assert_eq!(code, Some(1));
    for line in [":2", ":4", ":5"] {
        assert!(said.contains(line), "{line} is missing: {said}");
    }
    assert!(said.contains("segment_ms"), "the key that was probably meant: {said}");
}

fn printed(settings: &[&str]) -> String {
    let output = run_onair(&[&["serve", "--print-config"], settings].concat());
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_printed_can_be_read_again() {
    let printed = printed(&["--set", "hls.part_ms=250"]);
    assert!(printed.contains("part_ms = 250"), "{printed}");
    assert_eq!(check(&printed), (Some(0), String::new()));
}

/// The mask of a secret is no secret: read back, it is told apart from one.
#[test]
fn secrets_are_masked() {
    let printed = printed(&["--set", "storage.options.secret_access_key=hunter2"]);
    assert!(printed.contains("secret_access_key") && !printed.contains("hunter2"), "{printed}");
    let (code, said) = check(&printed);
    assert!(code == Some(1) && said.contains("storage.options.secret_access_key"), "{said}");
}

#[test]
fn an_open_server_is_reachable_from_this_machine_only() {
    let output = run_onair(&["serve", "--set", "http.listen=0.0.0.0:0"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("auth.mode") && said.contains("--insecure"), "both ways out are named: {said}");
}
