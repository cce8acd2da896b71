//! What is negotiated with whom, from offers as senders write them.

use super::*;
use crate::core::wall_clock::WallClock;

const TRANSPORT: &str = "c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=sendonly\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n\
    a=setup:actpass\r\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";

/// Builds an offer of one video m-line with these payload types and attributes.
fn offer(payload_types: &str, attributes: &[&str]) -> String {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF {payload_types}\r\n{TRANSPORT}a=mid:v\r\n"
    );
    attributes.iter().for_each(|line| text.push_str(&format!("a={line}\r\n")));
    text
}

fn accept(text: &str) -> Result<(Session, String), OfferError> {
    let clock = WallClock::new(Instant::now(), SystemTime::UNIX_EPOCH);
    let identity = Arc::new(Identity::new(vec!["127.0.0.1:8080".parse().unwrap()], clock).unwrap());
    Session::accept(identity, Offer::parse(text, Role::Publisher)?, [7; 12], Instant::now())
}

/// Returns the payload types of the answer's m-line, in order.
fn answered(answer: &str) -> Vec<&str> {
    let line = answer.lines().find(|line| line.starts_with("m=video")).unwrap();
    line.split(' ').skip(3).collect()
}

#[test]
fn the_answer_prefers_h264_to_vp8() {
    let attributes = [
        "rtpmap:96 VP8/90000",
        "rtpmap:102 H264/90000",
        "fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ];
    let (_, answer) = accept(&offer("96 102", &attributes)).unwrap();
    assert_eq!(answered(&answer), ["102", "96"]);
}

#[test]
fn the_answer_receives_over_ice_lite_and_lists_every_candidate() {
    let (mut session, answer) = accept(&offer("96", &["rtpmap:96 VP8/90000"])).unwrap();
    assert!(answer.contains("a=ice-lite") && answer.contains("a=recvonly") && answer.contains("a=setup:passive"));
    assert!(answer.contains(" 127.0.0.1 8080 typ host"), "{answer}");
    assert!(answer.contains(&session.local_ufrag()));
}

#[test]
fn h264_is_served_in_the_forms_that_senders_offer() {
    let forms = [
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        // No packetization-mode means mode 0 (RFC 6184 §8.1).
        "profile-level-id=42e01f",
        "packetization-mode=1;profile-level-id=640032",
        "packetization-mode=1;profile-level-id=640c1f",
        "packetization-mode=1;profile-level-id=4d0032",
        "packetization-mode=1;profile-level-id=42c02a",
    ];
    for form in forms {
        let result = accept(&offer("102", &["rtpmap:102 H264/90000", &format!("fmtp:102 {form}")]));
        let (session, answer) = result.unwrap_or_else(|error| panic!("{form}: {error}"));
        assert!(session.carries(Codec::H264), "{form}");
        assert_eq!(answered(&answer), ["102"], "{form}");
    }
}

#[test]
fn every_codec_of_ours_is_carried() {
    let attributes = [
        "rtpmap:96 VP8/90000",
        "rtpmap:98 VP9/90000",
        "fmtp:98 profile-id=0",
        "rtpmap:45 AV1/90000",
        "rtpmap:99 rtx/90000",
        "fmtp:99 apt=98",
        "rtpmap:49 H265/90000",
        "fmtp:49 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST",
        "rtpmap:51 H265/90000",
        "fmtp:51 level-id=93;profile-id=2;tier-flag=0;tx-mode=SRST",
    ];
    let (session, answer) = accept(&offer("49 51 96 98 99 45", &attributes)).unwrap();
    let codecs = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H265];
    assert!(codecs.into_iter().all(|codec| session.carries(codec)));
    assert_eq!(answered(&answer), ["98", "99", "45", "96", "49", "51"]);
}

#[test]
fn an_m_line_without_a_common_codec_is_refused_whole() {
    let refused = accept(&offer("97", &["rtpmap:97 theora/90000"]));
    assert!(matches!(refused, Err(OfferError::NotAcceptable(_))), "{:?}", refused.err());
}

#[test]
fn without_checks_consent_is_lost_after_thirty_seconds() {
    let start = Instant::now();
    let (mut session, _) = accept(&offer("96", &["rtpmap:96 VP8/90000"])).unwrap();
    session.timeout(start + Duration::from_secs(29));
    let ended =
        |session: &mut Session| std::iter::from_fn(|| session.poll()).any(|output| matches!(output, Output::Ended(_)));
    assert!(!ended(&mut session));
    session.timeout(start + Duration::from_secs(31));
    assert!(ended(&mut session));
}
