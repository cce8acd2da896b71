//! Defaults < file < environment < flags.

use std::time::Duration;

use onair_media::RoomName;
use onair_web::auth::Right;

use super::*;

#[test]
fn the_defaults_need_nothing() {
    let config = load(&nothing());
    assert_eq!(config.http.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.media.listen, config.http.listen);
    assert_eq!(config.storage.url.as_str(), "file:///srv/onair/data/recordings");
    assert_eq!(config.storage.spool, PathBuf::from("/srv/onair/data/spool"));
    assert_eq!(config, Config::defaults(&nothing().dir));
}

#[test]
fn each_layer_overrides_the_one_below() {
    let mut sources = file("hls.part_ms = 300\nhls.segment_ms = 3000\nhls.window_s = 30");
    sources.env = vec![("ONAIR_HLS__SEGMENT_MS".into(), "2000".into()), ("ONAIR_HLS__WINDOW_S".into(), "20".into())];
    sources.flags = vec![set("hls.window_s", "10")];
    let hls = load(&sources).hls;
    assert_eq!(hls.part, Duration::from_millis(300));
    assert_eq!(hls.segment, Duration::from_millis(2000));
    assert_eq!(hls.window, Duration::from_secs(10));
}

#[test]
fn media_follows_http_unless_it_is_set() {
    assert_eq!(load(&file("http.listen = \"127.0.0.1:9\"")).media.listen, "127.0.0.1:9".parse().unwrap());
    let both = load(&file("http.listen = \"127.0.0.1:9\"\nmedia.listen = \"127.0.0.1:8080\""));
    assert_eq!(both.media.listen, "127.0.0.1:8080".parse().unwrap());
}

#[test]
fn texts_in_the_environment_need_no_quotes_and_lists_no_brackets() {
    let config = load(&env(&[
        ("ONAIR_STORAGE__URL", "s3://7/x"),
        ("ONAIR_STORAGE__OPTIONS__ENDPOINT", "http://127.0.0.1:9000"),
        ("ONAIR_MEDIA__ADVERTISE", "203.0.113.7, media.example.org"),
        ("ONAIR_HTTP__CORS", r#"["https://example.org"]"#),
        ("ONAIR_LOG", "not ours: no double underscore"),
        ("PATH", "/bin"),
    ]));
    assert_eq!(config.storage.url.as_str(), "s3://7/x");
    assert_eq!(config.storage.options["endpoint"].expose(), "http://127.0.0.1:9000");
    assert_eq!(config.media.advertise.len(), 2);
}

#[test]
fn lists_of_tables_are_written_in_two_ways() {
    let as_tables = load(&file(
        "auth.mode = \"token\"\n[[auth.tokens]]\ntoken = \"a\"\ncan = [\"publish\", \"takeover\"]\nrooms = \"studio-*\"",
    ));
    let inline = load(&env(&[
        ("ONAIR_AUTH__MODE", "token"),
        ("ONAIR_AUTH__TOKENS", r#"[{ token = "a", can = ["publish", "takeover"], rooms = "studio-*" }]"#),
    ]));
    assert_eq!(as_tables.auth, inline.auth);
    let studio = RoomName::parse("studio-1").unwrap();
    assert_eq!(inline.auth.policy().check(Some("a"), Right::Takeover, Some(&studio)), Ok(()));
    assert!(inline.auth.policy().check(Some("a"), Right::View, Some(&studio)).is_err());
    assert_eq!(load(&nothing()).auth.policy().check(None, Right::Admin, None), Ok(()));
}

#[test]
fn a_key_without_a_section_is_set_everywhere_too() {
    let hook = |url: &str| format!("[{{ url = \"https://{url}\", secret = \"s\" }}]");
    let mut sources = file(&format!("webhooks = {}", hook("file.example.org")));
    let url = |sources: &Sources| load(sources).webhooks[0].url.to_string();
    assert_eq!(url(&sources), "https://file.example.org/***");
    sources.env =
        vec![("ONAIR_WEBHOOKS".into(), hook("env.example.org")), ("ONAIR_OTHER".into(), "no key of ours".into())];
    assert_eq!(url(&sources), "https://env.example.org/***");
    sources.flags = vec![set("webhooks", &hook("flag.example.org"))];
    assert_eq!(url(&sources), "https://flag.example.org/***");
}

#[test]
fn the_last_room_rule_that_matches_wins() {
    let mut sources = file("[rooms.\"*\"]\nrecord = false\n[rooms.\"studio-*\"]\nrecord = true");
    let records = |sources: &Sources, room: &str| load(sources).record.rule(&RoomName::parse(room).unwrap()).record;
    assert!(records(&sources, "studio-1") && !records(&sources, "lobby"));
    assert!(records(&nothing(), "lobby"), "record.default holds without a rule");
    sources.flags = vec![set("rooms.\"*\".record", "false")];
    assert!(!records(&sources, "studio-1"), "a rule that is set again moves to the end");
}

#[test]
fn turn_servers_take_a_login_or_a_secret() {
    let config = load(&file(
        r#"media.ice_servers = [
            { urls = ["stun:stun.example.org"] },
            { urls = ["turn:t.example.org?transport=udp", "turns:t.example.org:5349"], username = "u", credential = "c" },
            { urls = ["turn:t.example.org"], secret = "s", ttl = "12h" },
        ]"#,
    ));
    assert_eq!(config.media.ice_servers.len(), 3);
}
