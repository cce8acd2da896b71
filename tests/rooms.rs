//! What people may know of a room: every actor shows its state, and nothing that is a secret (CONTRACT §3, `/api/rooms`).

use crate::support::{Server, alone, publish};

#[test]
fn every_actor_shows_its_state() {
    let _alone = alone();
    let server = Server::start();
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/studio-1"), &["--loop"]);
    server.wait_for_room("studio-1", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let room = server.json("/api/rooms/studio-1").expect("the room");
    let actors = &room["actors"];
    assert_eq!(actors["room_manager"]["rooms"], 1, "{actors}");
    assert_eq!(actors["room"]["sessions"], 1, "{actors}");
    assert_eq!(actors["peers"][0]["role"], "publisher", "{actors}");
    assert_eq!(actors["packager"]["recorder"]["phase"], "recording", "{actors}");
    for counted in ["/packager/frames", "/packager/segments", "/uploader/stored", "/peers/0/packets"] {
        assert!(
            actors.pointer(counted).and_then(serde_json::Value::as_u64).is_some_and(|n| n > 0),
            "{counted}: {actors}"
        );
    }
    // Some worker's socket got its packets, and that worker runs it, too.
    let worker = actors["peers"][0]["worker"].as_u64().expect("it is run");
    assert!(actors["udp"][worker as usize]["received"].as_u64() > Some(100), "{actors}");
    // Without viewers there is no relay; of the session only a name too short to be used is shown.
    assert_eq!(actors["relays"].as_array().map(Vec::len), Some(0), "{actors}");
    assert_eq!(actors["peers"][0]["session"].as_str().map(str::len), Some(6), "{actors}");
}

#[test]
fn a_room_that_does_not_exist_is_not_found() {
    let server = Server::start();
    assert!(server.json("/api/rooms/nobody").is_none());
    assert_eq!(server.json("/api/rooms").expect("a list")["rooms"].as_array().map(Vec::len), Some(0));
}
