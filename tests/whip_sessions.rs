//! WHIP and WHEP from outside, the session: PROTOCOLS A, W8 and W17 to W20 (RFC 9725 §4.3, §4.4), and who may publish.

use reqwest::Method;

use crate::support::{Answer, Offer, Server};

const CANDIDATE: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
    a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n";
const RESTART: &str = "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n";

fn post(server: &Server, path: &str, offer: Offer) -> Answer {
    let request = server.request(Method::POST, path).header("content-type", "application/sdp");
    request.body(offer.sdp()).send().expect("an answer").into()
}

/// One session of a publisher in `room`.
struct Session<'a> {
    server: &'a Server,
    path: String,
    etag: String,
}

impl<'a> Session<'a> {
    fn new(server: &'a Server, path: &str) -> Self {
        let answer = post(server, path, Offer::publisher());
        assert_eq!(answer.status, 201, "{}", answer.text());
        Self { server, path: answer.header("location").into(), etag: answer.header("etag").into() }
    }

    fn patch(&self, if_match: Option<&str>, body: &str) -> Answer {
        let request =
            self.server.request(Method::PATCH, &self.path).header("content-type", "application/trickle-ice-sdpfrag");
        let request = match if_match {
            Some(etag) => request.header("if-match", etag),
            None => request,
        };
        request.body(body.to_owned()).send().expect("an answer").into()
    }

    fn delete(&self) -> Answer {
        self.server.request(Method::DELETE, &self.path).send().expect("an answer").into()
    }
}

/// W17: candidates are taken without a word; W19: so are those that mean nothing to us.
#[test]
fn candidates_trickle() {
    let server = Server::start();
    let session = Session::new(&server, "/whip/room");
    let unresolvable = "a=mid:0\r\na=candidate:1 1 udp 1 5f1c9f6e-0000.local 9 typ host\r\na=candidate:junk\r\na=end-of-candidates\r\n";
    for body in [CANDIDATE, unresolvable] {
        let answer = session.patch(Some(&session.etag), body);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
        assert_eq!(answer.header("etag"), "", "a trickle has no tag");
    }
}

/// W17, W18: new credentials restart ICE; from then on the old tag is worth nothing.
#[test]
fn a_restart_gives_new_credentials_and_a_new_tag() {
    let server = Server::start();
    let session = Session::new(&server, "/whip/room");
    let answer = session.patch(Some(&session.etag), RESTART);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/trickle-ice-sdpfrag"),
        "{}",
        answer.text()
    );
    let new_tag = answer.header("etag").to_owned();
    assert!(new_tag.starts_with('"') && new_tag != session.etag, "{new_tag}");
    let fragment = answer.text();
    assert!(fragment.contains("a=ice-ufrag:") && fragment.contains("a=ice-pwd:"), "{fragment}");
    assert!(!fragment.contains("ysXw"), "ours, not theirs: {fragment}");

    let late = session.patch(Some(&session.etag), CANDIDATE).refused(412, "precondition_failed");
    assert_eq!(late.header("etag"), new_tag);
    let again = RESTART.replace("ysXw", "zzXw");
    assert_eq!(session.patch(Some("*"), &again).status, 200, "a restart may say *");
}

/// W18, W19: what is wrong with a PATCH does not end the session.
#[test]
fn a_refused_patch_leaves_the_session_alone() {
    let server = Server::start();
    let session = Session::new(&server, "/whip/room");
    session.patch(None, CANDIDATE).refused(428, "precondition_required");
    session.patch(Some("\"other\""), CANDIDATE).refused(412, "precondition_failed");
    session.patch(Some("\"other\""), RESTART).refused(412, "precondition_failed");
    session.patch(Some(&session.etag), "nonsense").refused(400, "malformed_sdp");
    session.patch(Some(&session.etag), "a=ice-ufrag:onlyhalf\r\n").refused(400, "malformed_sdp");
    session.patch(Some(&session.etag), &"a=x\r\n".repeat(20_000)).refused(413, "body_too_large");
    let json = server.request(Method::PATCH, &session.path).header("content-type", "application/json");
    let refused: Answer = json.header("if-match", &session.etag).body("{}").send().unwrap().into();
    assert_eq!(
        refused.refused(415, "unsupported_media_type").header("accept-patch"),
        "application/trickle-ice-sdpfrag"
    );
    assert_eq!(session.patch(Some(&session.etag), CANDIDATE).status, 204, "it is still there");
}

/// W20: gone is gone.
#[test]
fn a_deleted_session_is_gone() {
    let server = Server::start();
    let session = Session::new(&server, "/whip/room");
    assert_eq!(session.delete().status, 200);
    session.delete().refused(404, "session_not_found");
    session.patch(Some(&session.etag), CANDIDATE).refused(404, "session_not_found");
    assert_eq!(post(&server, "/whip/room", Offer::publisher()).status, 201, "the room is free again");
}

/// W20: DELETE pays no heed to the tag.
#[test]
fn delete_ignores_the_tag() {
    let server = Server::start();
    let session = Session::new(&server, "/whip/room");
    let delete = server.request(Method::DELETE, &session.path).header("if-match", "\"other\"").send().unwrap();
    assert_eq!(delete.status(), 200);
}

/// W10: nobody finds a session by guessing, nor through another room or the other protocol.
#[test]
fn a_session_is_found_at_its_own_path_only() {
    let server = Server::start();
    let session = Session::new(&server, "/whip/room");
    let id = session.path.rsplit('/').next().unwrap();
    for path in [
        format!("/whip/other/{id}"),
        format!("/whep/room/{id}"),
        "/whip/room/1".into(),
        format!("/whip/room/{id}x"),
        "/whip/room/%00".into(),
    ] {
        let answer: Answer = server.request(Method::DELETE, &path).send().unwrap().into();
        answer.refused(404, "session_not_found");
    }
    assert_eq!(session.delete().status, 200);
}

/// W16: methods of a session.
#[test]
fn a_session_knows_its_methods() {
    let server = Server::start();
    let session = Session::new(&server, "/whip/room");
    for method in [Method::POST, Method::PUT] {
        let answer: Answer = server.request(method, &session.path).send().unwrap().into();
        let allow = answer.refused(405, "method_not_allowed").header("allow").to_owned();
        assert!(allow.contains("PATCH") && allow.contains("DELETE"), "{allow}");
    }
    let get: Answer = server.request(Method::GET, &session.path).send().unwrap().into();
    assert_eq!((get.status, get.body.len()), (204, 0));
    let options: Answer = server.request(Method::OPTIONS, &session.path).send().unwrap().into();
    assert_eq!(options.header("accept-patch"), "application/trickle-ice-sdpfrag");
}

/// One publisher a room; another one may take over if it says so.
#[test]
fn a_room_has_one_publisher() {
    let server = Server::start();
    let first = Session::new(&server, "/whip/room");
    post(&server, "/whip/room", Offer::publisher()).refused(409, "room_has_publisher");
    assert_eq!(first.patch(Some(&first.etag), CANDIDATE).status, 204, "the first is unharmed");
    let second = Session::new(&server, "/whip/room?takeover=1");
    assert!(second.path.starts_with("/whip/room/"), "the query is no part of the session: {}", second.path);
    first.delete().refused(404, "session_not_found");
    assert_eq!(second.delete().status, 200);
}

/// P1: the same protocol for a viewer that may wait, the answer being `sendonly`.
#[test]
fn a_viewer_has_a_session_too() {
    let server = Server::start();
    let answer = post(&server, "/whep/room?wait=30", Offer::viewer());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let sdp = answer.text();
    assert_eq!(sdp.matches("a=sendonly").count(), 2, "{sdp}");
    let session =
        Session { server: &server, path: answer.header("location").into(), etag: answer.header("etag").into() };
    assert!(session.path.starts_with("/whep/room/"), "{}", session.path);
    assert_eq!(session.patch(Some(&session.etag), CANDIDATE).status, 204);
    session.patch(None, CANDIDATE).refused(428, "precondition_required");
    assert_eq!(session.patch(Some(&session.etag), RESTART).status, 200);
    assert_eq!(session.delete().status, 200);
    session.delete().refused(404, "session_not_found");
}

/// P1: a room that is not live says when to ask again.
#[test]
fn a_room_that_is_not_live_asks_for_patience() {
    let server = Server::start();
    let refused = post(&server, "/whep/room", Offer::viewer()).refused(409, "room_not_live");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{}", refused.header("retry-after"));
    post(&server, "/whep/room?wait=soon", Offer::viewer()).refused(400, "invalid_request");
    post(&server, "/whep/room?wait=-1", Offer::viewer()).refused(400, "invalid_request");
    post(&server, "/whep/room", Offer::publisher()).refused(406, "not_acceptable");
}
