//! `--print-config`.

use super::*;

#[test]
fn what_is_printed_loads_to_the_same() {
    let mut sources = file(
        r#"
        [http]
        listen = "[::1]:8443"
        cors = ["https://example.org"]
        [media]
        listen = "127.0.0.1:9"
        advertise = ["203.0.113.7", "2001:db8::1", "media.example.org"]
        ice_servers = [{ urls = ["stun:stun.example.org:3478"] }]
        [storage]
        url = "s3://bucket/a b"
        options = { endpoint = "http://127.0.0.1:9000", "allow_http" = "true" }
        spool = '/var/"spool"\x'
        [hls]
        segment_ms = 2000
        part_ms = 333
        window_s = 6
        [rooms."studio-*"]
        record = false
        [rooms.lobby]
        record = true
        [log]
        format = "json"
        filter = "warn,onair=debug"
        "#,
    );
    sources.flags = vec![set("rooms.\"a?\".record", "true")];
    let config = load(&sources);
    let printed = config.to_toml();
    assert_eq!(load(&file(&printed)), config, "{printed}");
    assert_eq!(load(&file(&load(&nothing()).to_toml())), load(&nothing()));
}

#[test]
fn secrets_are_masked_and_a_mask_does_not_load() {
    let mut sources = file(
        r#"
        auth.mode = "token"
        auth.tokens = [{ token = "hunter2", can = ["view"] }]
        media.ice_servers = [
            { urls = ["turn:t"], username = "u", credential = "hunter2" },
            { urls = ["turn:t"], secret = "hunter2" },
        ]
        [[webhooks]]
        url = "https://hooks.example.org/hunter2?token=hunter2"
        secret = "hunter2"
        [[webhooks]]
        url = "https://hooks.example.com/"
        secret = "hunter2"
        events = ["recording.f*", "spool.pressure"]
        [storage.options]
        access_key_id = "hunter2"
        secret_access_key = "hunter2"
        region = "eu"
        "#,
    );
    let config = load(&sources);
    let printed = config.to_toml();
    assert!(!printed.contains("hunter2") && !format!("{config:?}").contains("hunter2"), "{printed}");
    assert!(printed.contains("options.region = \"eu\""), "{printed}");
    assert!(
        printed.contains("\n[[webhooks]]\nurl = \"https://hooks.example.org/***\"\nsecret = \"***\"\n"),
        "{printed}"
    );
    assert!(printed.contains("\nevents = [\"recording.f*\", \"spool.pressure\"]\nrooms = \"*\"\n"), "{printed}");
    sources.file = Some(("printed.toml".into(), printed));
    let found = mistakes(&sources);
    assert_eq!(found.len(), 5 + 2 * 2, "{found:?}");
    assert!(found.iter().all(|line| line.contains("is the mask of a printed configuration, not the ")), "{found:?}");
}

#[test]
fn each_key_stands_under_its_explanation() {
    let printed = load(&nothing()).to_toml();
    assert!(printed.starts_with("[http]\n# Address and port of HTTP.\nlisten = \"127.0.0.1:8080\"\n"), "{printed}");
    assert!(printed.contains("\n\n[log]\n"), "{printed}");
}
