//! Workers share the media port: viewers of one room are spread over them, and each sees what one publisher sends.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Server, alone, publish, python};

/// Each goes to one of two workers by a hash of its addresses: that all go to the same one has a chance of 1 in 2^15.
const VIEWERS: u64 = 16;

/// Returns a figure of each worker's relay.
fn relays(room: &Value, figure: &str) -> Vec<u64> {
    let relays = room["actors"]["relays"].as_array().expect("a list");
    relays.iter().map(|relay| relay[figure].as_u64().unwrap_or_default()).collect()
}

#[test]
fn viewers_of_a_room_are_spread_over_the_workers() {
    let _alone = alone();
    let server = Server::with(&["--set", "media.workers=2"]);
    let url = server.url("/whep/room?wait=60");
    let viewers = python("aiortc_view.py", &[&url, &VIEWERS.to_string()]);
    viewers.wait_for("all have joined", Duration::from_secs(40), |event| event["event"] == "joined");
    let room = server
        .wait_for_room("room", "all are connected", |room| relays(room, "viewers").iter().sum::<u64>() == VIEWERS);
    assert_eq!(room["viewers"]["whep"], VIEWERS, "{room}");
    assert_eq!(relays(&room, "worker"), [0, 1], "{room}");
    assert!(relays(&room, "viewers").iter().all(|viewers| *viewers > 0), "{room}");
    for worker in [0, 1] {
        let peers = room["actors"]["peers"].as_array().expect("a list");
        let run = peers.iter().filter(|peer| peer["worker"] == worker && peer["connected"] == true).count();
        assert_eq!(run as u64, relays(&room, "viewers")[worker as usize], "{room}");
    }

    // Sound only: sixteen software decoders of pictures are more than this test is about.
    let _publisher = publish("opus-only.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "media reaches both relays", |room| {
        relays(room, "packets").iter().all(|packets| *packets > 0)
    });
    for number in 0..VIEWERS {
        viewers.wait_for("each hears something", Duration::from_secs(40), |event| {
            event["viewer"] == number && event["event"] == "audio"
        });
    }
}
