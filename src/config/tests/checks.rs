//! What fits together and what does not.

use super::*;

#[test]
fn an_open_server_stays_on_loopback() {
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
        let mut sources = file(&format!("[http]\nlisten = \"{listen}\""));
        let expected = format!(
            "onair.toml:2: http.listen: is {listen}, which other machines reach, while auth.mode = \"none\" lets \
             everybody do everything: set auth.mode = \"token\" with [[auth.tokens]], or start with --insecure"
        );
        assert_eq!(mistakes(&sources), [expected]);
        sources.exposure = Exposure::Insecure;
        load(&sources);
    }
    for listen in ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        load(&file(&format!("http.listen = \"{listen}\"")));
    }
    let media_only = mistakes(&env(&[("ONAIR_MEDIA__LISTEN", "0.0.0.0:1")]));
    assert!(
        media_only.len() == 1 && media_only[0].starts_with("ONAIR_MEDIA__LISTEN: media.listen: "),
        "{media_only:?}"
    );
}

#[test]
fn tokens_open_the_server_to_other_machines() {
    let tokens = "[[auth.tokens]]\ntoken = \"a\"\ncan = [\"view\"]";
    load(&file(&format!("http.listen = \"0.0.0.0:80\"\nauth.mode = \"token\"\n{tokens}")));
    assert_eq!(
        mistakes(&file("auth.mode = \"token\"")),
        ["onair.toml:1: auth.mode: is \"token\", and there is no [[auth.tokens]]: nobody could do anything"]
    );
    assert_eq!(
        mistakes(&file(tokens)),
        ["onair.toml:1: auth.tokens: has no effect while auth.mode is \"none\"; set auth.mode = \"token\""]
    );
}

#[test]
fn a_certificate_and_its_key_come_together() {
    assert_eq!(
        mistakes(&Sources { flags: vec![set("http.tls.cert", "/dev/null")], ..nothing() }),
        ["--set: http.tls.cert: there is no file /dev/null", "--set: http.tls.key: is missing: http.tls.cert needs it",]
    );
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let tls = load(&file(&format!("http.tls = {{ cert = \"{here}\", key = \"{here}\" }}"))).http.tls;
    assert_eq!(tls.map(|tls| tls.cert), Some(PathBuf::from(here)));
}

#[test]
fn parts_fit_into_segments_and_segments_into_the_window() {
    assert_eq!(
        mistakes(&file("[hls]\nsegment_ms = 1000\npart_ms = 1001")),
        ["onair.toml:3: hls.part_ms: is 1001, must be at most hls.segment_ms, which is 1000"]
    );
    // 3 × 20.5 s = 61.5 s, and the window is in whole seconds.
    assert_eq!(
        mistakes(&file("hls.segment_ms = 20500")),
        ["onair.toml:1: hls.window_s: is 60, must be at least three segments, which is 62"]
    );
    load(&file("hls.segment_ms = 20000"));
}

#[test]
fn a_wrong_value_is_not_blamed_twice() {
    let found = mistakes(&file("[auth]\nmode = \"tokn\"\n[http]\nlisten = \"0.0.0.0:80\""));
    assert_eq!(found, ["onair.toml:2: auth.mode: is \"tokn\", must be \"none\" or \"token\""]);
}
