//! WHIP from outside, the offer and its answer: PROTOCOLS A, W1 to W16 (RFC 9725).

use reqwest::Method;

use crate::support::{Answer, Offer, Server};

fn post(server: &Server, path: &str, body: impl Into<reqwest::blocking::Body>) -> Answer {
    let request = server.request(Method::POST, path).header("content-type", "application/sdp");
    request.body(body).send().expect("an answer").into()
}

fn lines_with<'a>(sdp: &'a str, start: &str) -> Vec<&'a str> {
    sdp.lines().filter(|line| line.starts_with(start)).collect()
}

/// W1, W8, W10 and the media type that PATCH takes.
#[test]
fn an_offer_is_answered_with_a_session() {
    let server = Server::start();
    let answer = post(&server, "/whip/room", Offer::publisher().sdp());
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/sdp"), "{}", answer.text());
    let etag = answer.header("etag");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "a strong tag: {etag}");
    assert_eq!(answer.header("accept-patch"), "application/trickle-ice-sdpfrag");
    let session = answer.header("location").rsplit('/').next().unwrap_or_default();
    // 128 bits take 22 characters of base64url.
    assert!(session.len() >= 22, "a session that cannot be guessed: {session}");
    let other = post(&server, "/whip/other", Offer::publisher().sdp());
    assert_ne!(other.header("location").rsplit('/').next(), Some(session));
}

/// W3, W4, W5, W7: received, DTLS role chosen, bundled, all candidates at once, ICE-lite.
#[test]
fn the_answer_is_complete() {
    let server = Server::start();
    let sdp = post(&server, "/whip/room", Offer::publisher().sdp()).text();
    assert_eq!(lines_with(&sdp, "m=").len(), 2, "{sdp}");
    assert_eq!(lines_with(&sdp, "a=recvonly").len(), 2, "{sdp}");
    assert_eq!(lines_with(&sdp, "a=group:BUNDLE 0 1").len(), 1, "{sdp}");
    assert_eq!(lines_with(&sdp, "a=rtcp-mux").len(), 2, "{sdp}");
    assert_eq!(lines_with(&sdp, "a=ice-lite").len(), 1, "{sdp}");
    let port = server.address().rsplit(':').next().unwrap_or_default();
    let host = format!("127.0.0.1 {port} typ host");
    assert!(lines_with(&sdp, "a=candidate:").iter().any(|line| line.contains(&host)), "{sdp}");
    assert!(!lines_with(&sdp, "a=setup:").contains(&"a=setup:actpass"), "the role is decided: {sdp}");
    assert!(sdp.contains("H264/90000") && sdp.contains("opus/48000/2"), "{sdp}");
}

/// W4: an offer that is `active` makes us passive.
#[test]
fn whoever_wants_to_begin_with_dtls_may() {
    let server = Server::start();
    let sdp = post(&server, "/whip/room", Offer::publisher().setup("active").sdp()).text();
    assert!(lines_with(&sdp, "a=setup:").iter().all(|line| *line == "a=setup:passive"), "{sdp}");
    assert!(!lines_with(&sdp, "a=setup:").is_empty(), "{sdp}");
}

/// W3: `sendrecv` is tolerated and narrowed.
#[test]
fn sendrecv_is_answered_with_recvonly() {
    let server = Server::start();
    let answer = post(&server, "/whip/room", Offer::publisher().direction("sendrecv").sdp());
    assert_eq!((answer.status, lines_with(&answer.text(), "a=recvonly").len()), (201, 2));
}

/// W12: what is not accepted is left out of the answer.
#[test]
fn simulcast_is_declined_by_silence() {
    let server = Server::start();
    let offer = Offer::publisher().sdp() + "a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\n";
    let answer = post(&server, "/whip/room", offer);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(!answer.text().contains("a=simulcast"), "{}", answer.text());
}

/// W2: another content type, or a body that is no offer.
#[test]
fn what_is_no_offer_is_refused() {
    let server = Server::start();
    let request = server.request(Method::POST, "/whip/room").header("content-type", "application/json").body("{}");
    let refused = Answer::from(request.send().unwrap()).refused(415, "unsupported_media_type");
    assert_eq!(refused.header("accept-post"), "application/sdp");
    let without = server.request(Method::POST, "/whip/room").body(Offer::publisher().sdp()).send().unwrap();
    Answer::from(without).refused(415, "unsupported_media_type");
    for body in
        ["", "v=0", "hello", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", "v=0\r\nm=video\r\n", "\u{0}\u{1}"]
    {
        post(&server, "/whip/room", body).refused(400, "malformed_sdp");
    }
    post(&server, "/whip/room", vec![0xff_u8; 100]).refused(400, "malformed_sdp");
    assert_eq!(server.json("/api/rooms").unwrap()["rooms"].as_array().map(Vec::len), Some(0), "nothing is left behind");
}

/// W3, W5, W6: well-formed, but not what WHIP allows.
#[test]
fn an_offer_against_the_rules_is_not_acceptable() {
    let server = Server::start();
    let offer = Offer::publisher().sdp();
    let audio = offer.find("m=audio").unwrap();
    let video = offer.find("m=video").unwrap();
    let twice = offer.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + &offer[video..].replace("a=mid:1", "a=mid:2");
    let cases = [
        ("only receives (W3)", Offer::publisher().direction("recvonly").sdp()),
        ("is inactive (W3)", Offer::publisher().direction("inactive").sdp()),
        ("no BUNDLE (W5)", offer.replace("a=group:BUNDLE 0 1\r\n", "")),
        ("an m-line outside of BUNDLE (W5)", offer.replace("BUNDLE 0 1", "BUNDLE 1")),
        ("no rtcp-mux (W5)", offer.replacen("a=rtcp-mux\r\n", "", 1)),
        ("two videos (W5)", twice),
        ("data channel", offer.replace(&offer[audio..video], "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=sendonly\r\n")),
        ("a codec nobody knows (W6)", Offer::publisher().video("a=rtpmap:96 H261/90000\n").sdp()),
    ];
    for (why, sdp) in cases {
        let answer = post(&server, "/whip/room", sdp);
        assert_eq!(answer.status, 406, "{why}: {}", answer.text());
        answer.refused(406, "not_acceptable");
    }
    assert_eq!(post(&server, "/whip/room", offer).status, 201, "the room is still free");
}

/// A body over 64 KiB is not read on.
#[test]
fn a_long_body_is_refused() {
    let server = Server::start();
    post(&server, "/whip/room", format!("v=0\r\n{}", "a=x\r\n".repeat(20_000))).refused(413, "body_too_large");
}

/// W15, W16: preflight, and methods that have no meaning.
#[test]
fn methods_are_as_announced() {
    let server = Server::start();
    let options: Answer = server.request(Method::OPTIONS, "/whip/room").send().unwrap().into();
    assert!(matches!(options.status, 200 | 204), "{}", options.status);
    assert_eq!(options.header("accept-post"), "application/sdp");
    let preflight = server.request(Method::OPTIONS, "/whip/room").header("origin", "https://studio.example");
    let preflight = preflight.header("access-control-request-method", "POST");
    let preflight: Answer =
        preflight.header("access-control-request-headers", "authorization,content-type").send().unwrap().into();
    assert!(matches!(preflight.status, 200 | 204), "{}", preflight.text());
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(preflight.header("accept-post"), "application/sdp");
    assert!(preflight.header("access-control-allow-headers").contains("authorization"));
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let refused: Answer = server.request(method, "/whip/room").send().unwrap().into();
        assert!(refused.refused(405, "method_not_allowed").header("allow").contains("POST"));
    }
    let reserved: Answer = server.request(Method::GET, "/whip/room").send().unwrap().into();
    assert_eq!((reserved.status, reserved.body.len()), (204, 0));
}

/// W15: scripts of other origins see the headers that a client needs.
#[test]
fn headers_are_exposed_to_other_origins() {
    let server = Server::start();
    let request = server.request(Method::POST, "/whip/room").header("origin", "https://studio.example");
    let request = request.header("content-type", "application/sdp").body(Offer::publisher().sdp());
    let answer: Answer = request.send().unwrap().into();
    let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
    for name in ["location", "link", "etag"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
}

/// W9: STUN and TURN servers, one `Link` each, on POST and OPTIONS.
#[test]
fn ice_servers_are_handed_out() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("onair.toml");
    let config = "[media]\nice_servers = [{ urls = [\"turn:turn.example:3478?transport=udp\"], username = \"u\", credential = \"c\" }]\n";
    std::fs::write(&file, config).unwrap();
    let server = Server::with(&["--config", file.to_str().unwrap()]);
    let link = r#"<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="u"; credential="c"; credential-type="password""#;
    assert_eq!(post(&server, "/whip/room", Offer::publisher().sdp()).header("link"), link);
    assert_eq!(Answer::from(server.request(Method::OPTIONS, "/whip/room").send().unwrap()).header("link"), link);
}

/// What browsers offer: several video codecs, H.264 preferred because HLS and recordings need it.
#[test]
fn h264_is_preferred_where_there_is_a_choice() {
    const BOTH: &str = "a=rtpmap:96 VP8/90000\na=rtcp-fb:96 nack pli\n\
        a=rtpmap:97 H264/90000\na=fmtp:97 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\n";
    let server = Server::start();
    let sdp = post(&server, "/whip/room", Offer::publisher().video(BOTH).sdp()).text();
    let video = lines_with(&sdp, "m=video")[0];
    assert_eq!(video.split(' ').nth(3), Some("97"), "{sdp}");
}

/// Audio alone is a broadcast too.
#[test]
fn audio_alone_is_welcome() {
    let server = Server::start();
    let answer = post(&server, "/whip/radio", Offer::publisher().audio_only().sdp());
    assert_eq!((answer.status, lines_with(&answer.text(), "m=").len()), (201, 1), "{}", answer.text());
}
