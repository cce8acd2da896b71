//! Everything that is wrong, at once, with the place to look.

use super::*;

#[test]
fn every_mistake_is_listed_with_its_line() {
    let found = mistakes(&file(
        r#"[http]
lisen = "127.0.0.1:8080"
cors = "*"

[hls]
segment_ms = 500
part_ms = "500"

[htpp]
listen = "x"

[[auth.tokens]]
token = "a b"
can = ["watch"]
room = "*"
"#,
    ));
    assert_eq!(
        found,
        [
            "onair.toml:2: http.lisen: unknown key, did you mean http.listen?",
            "onair.toml:3: http.cors: is a string, must be a list of texts",
            "onair.toml:6: hls.segment_ms: is 500, must be 1000 to 60000",
            "onair.toml:7: hls.part_ms: is a string, must be a whole number",
            "onair.toml:9: htpp: unknown key, did you mean http?",
            "onair.toml:13: auth.tokens[0].token: has a character that no bearer token can have; \
             use A-Z a-z 0-9 - . _ ~ + /",
            "onair.toml:14: auth.tokens[0].can[0]: is \"watch\", must be one of publish, view, record, admin, takeover",
            "onair.toml:15: auth.tokens[0].room: unknown key, did you mean rooms?",
        ]
    );
}

#[test]
fn mistakes_of_all_layers_come_together() {
    let mut sources = file("log.format = \"xml\"");
    sources.env = vec![("ONAIR_HTP__LISTEN".into(), "x".into()), ("ONAIR_RECORD__MP4".into(), "yes".into())];
    sources.flags = vec![set("hls.part_ms", "50"), set("listen", "0.0.0.0:80"), set("wells", "[]"), set("a b", "1")];
    assert_eq!(
        mistakes(&sources),
        [
            "onair.toml:1: log.format: is \"xml\", must be \"text\" or \"json\"",
            "ONAIR_HTP__LISTEN: unknown key, did you mean ONAIR_HTTP__LISTEN?",
            "ONAIR_RECORD__MP4: record.mp4: is not a TOML value of the type wanted here",
            "--set: a b: is not a dotted key",
            "--set: hls.part_ms: is 50, must be 100 to 60000",
            "--set: listen: unknown key",
            "--set: wells: unknown key",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_is_one_mistake_beside_the_others() {
    let mut sources = file("[http]\nlisten = 127.0.0.1:80\n");
    sources.flags = vec![set("hls.part_ms", "x")];
    let found = mistakes(&sources);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("onair.toml:2: ") && !found[0].contains("127.0.0.1"), "{found:?}");
}

#[test]
fn entries_of_lists_are_blamed_one_by_one() {
    let found = mistakes(&file(
        r#"[media]
ice_servers = [
  { urls = ["turn:t"] },
  { urls = [] },
  { urls = ["http://x", "stun:ok"], ttl = "1w" },
  { urls = ["turn:t"], username = "u" },
  { urls = ["stun:<x>"] },
  7,
]
"#,
    ));
    let lines: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    let keys: Vec<&str> = found.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(lines, [3, 4, 5, 5, 6, 7, 8].map(|line| format!("onair.toml:{line}")));
    let expected = ["[0]", "[1]", "[2].ttl", "[2].urls[0]", "[3]", "[4].urls[0]", "[5]"];
    assert_eq!(keys, expected.map(|within| format!("media.ice_servers{within}")));
}

#[test]
fn webhooks_are_blamed_one_by_one() {
    let found = mistakes(&file(
        r#"[[webhooks]]
url = "ftp://hunter2.example.org"
secret = ""
[[webhooks]]
url = "https://hunter2:x@example.org/"
events = ["recording.done", "*"]
room = "*"
[[webhooks]]
url = "hunter2"
secret = "s"
events = []
"#,
    ));
    assert_eq!(
        found,
        [
            "onair.toml:2: webhooks[0].url: has the scheme ftp, must be http or https",
            "onair.toml:3: webhooks[0].secret: is empty",
            "onair.toml:4: webhooks[1]: needs secret",
            "onair.toml:5: webhooks[1].url: has a user or password in it; a receiver knows our events by their signature",
            "onair.toml:6: webhooks[1].events[0]: is \"recording.done\", must be one of recording.started, \
             recording.segment, recording.gap, recording.finished, recording.recovered, recording.failed, spool.pressure, \
             or begin like one and end with *",
            "onair.toml:7: webhooks[1].room: unknown key, did you mean rooms?",
            "onair.toml:8: webhooks[2]: hears nothing: events is empty",
            "onair.toml:9: webhooks[2].url: is not a URL, must look like \"https://example.org/hook\"",
        ]
    );
    let one = "[[webhooks]]\nurl = \"https://example.org\"\nsecret = \"s\"\n";
    assert_eq!(
        mistakes(&file(&format!("{one}{one}"))),
        ["onair.toml:4: webhooks[1]: has the url of another webhook: what waits for a receiver is kept under its url"]
    );
    let many: String = (0..33).map(|n| one.replace(".org", &format!(".org/{n}"))).collect();
    assert_eq!(mistakes(&file(&many)), ["onair.toml:1: webhooks: has 33 entries, must be at most 32"]);
}

#[test]
fn room_rules_are_checked_by_their_glob() {
    assert_eq!(
        mistakes(&file("[rooms.\"a/b\"]\nrecord = true\n[rooms.x]\nrecrd = true\n")),
        [
            "onair.toml:2: rooms.\"a/b\".record: is \"a/b\": a room glob is 1 to 64 of A-Z a-z 0-9 . _ - \
             and the wildcards * and ?, and does not begin with a dot",
            "onair.toml:4: rooms.x.recrd: unknown key, did you mean rooms.*.record?",
        ]
    );
}

#[test]
fn no_report_repeats_a_secret() {
    let mut sources =
        file("storage.url = \"s3://AKIA:hunter2@b\"\n[[auth.tokens]]\ntoken = \"hunter2 \"\ncan = [\"view\"]");
    sources.env = vec![
        ("ONAIR_AUTH__TOKENS".into(), "hunter2".into()),
        ("ONAIR_STORAGE__OPTIONS__SECRET_ACCESS_KEY".into(), "'hunter2".into()),
    ];
    let found = mistakes(&sources).join("\n");
    assert!(!found.contains("hunter2"), "{found}");
}
