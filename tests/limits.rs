//! Who comes when the room or the server is full is told so, and when to try again; whoever is in stays.

use reqwest::Method;

use crate::support::{Answer, Offer, Server};

fn post(server: &Server, path: &str, offer: Offer) -> Answer {
    let request = server.request(Method::POST, path).header("content-type", "application/sdp");
    request.body(offer.sdp()).send().expect("an answer").into()
}

fn refused(answer: Answer, says: &str) {
    let answer = answer.refused(503, "overloaded");
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "W11");
    assert!(answer.text().contains(says), "{}", answer.text());
}

#[test]
fn a_room_takes_no_more_viewers_than_it_may() {
    let server = Server::with(&["--set", "media.max_viewers_per_room=2"]);
    let first = post(&server, "/whep/room?wait=60", Offer::viewer());
    assert_eq!((first.status, post(&server, "/whep/room?wait=60", Offer::viewer()).status), (201, 201));
    refused(post(&server, "/whep/room?wait=60", Offer::viewer()), "this room");
    assert_eq!(post(&server, "/whep/other?wait=60", Offer::viewer()).status, 201, "other rooms are no matter");
    assert_eq!(post(&server, "/whip/room", Offer::publisher()).status, 201, "a publisher is no viewer");
    let left = server.request(Method::DELETE, first.header("location")).send().unwrap();
    assert_eq!(left.status(), 200);
    assert_eq!(post(&server, "/whep/room?wait=60", Offer::viewer()).status, 201, "somebody left");
    let room = server.json("/api/rooms/room").expect("the room is there");
    assert_eq!(room["actors"]["limits"]["refused_room_full"], 1, "{room}");
}

#[test]
fn a_server_takes_no_more_sessions_than_it_may() {
    let server = Server::with(&["--set", "media.max_sessions=2"]);
    assert_eq!(post(&server, "/whip/room", Offer::publisher()).status, 201);
    assert_eq!(post(&server, "/whep/room", Offer::viewer()).status, 201);
    refused(post(&server, "/whep/room", Offer::viewer()), "seats");
    refused(post(&server, "/whip/other", Offer::publisher()), "seats");
    let room = server.json("/api/rooms/room").expect("the room is there");
    assert_eq!(room["actors"]["limits"]["refused_full"], 2, "{room}");
    assert_eq!(room["actors"]["limits"]["sessions_left"], 0, "{room}");
}
