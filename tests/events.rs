//! What happens to a recording is told: over server-sent events, and to receivers of webhooks at least once.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Answer, Delivery, EventStream, Frame, Offer, Receiver, Reply, Server, alone, eventually, publish, run_onair,
};

const SECRET: &str = "whsec_north";

/// Writes webhooks that want every event of recordings.
fn webhooks(urls: &[&str]) -> String {
    let entry = |url: &&str| format!("{{ url = \"{url}\", secret = \"{SECRET}\", events = [\"recording.*\"] }}");
    format!("webhooks=[{}]", urls.iter().map(entry).collect::<Vec<_>>().join(", "))
}

/// Checks what a receiver relies on.
#[track_caller]
fn check_delivery(delivery: &Delivery) {
    let event = delivery.json();
    assert_eq!(delivery.header("content-type"), "application/json");
    assert_eq!(delivery.header("onair-event"), event["type"]);
    assert_eq!(delivery.header("idempotency-key"), event["id"]);
    let (t, v1) = delivery.header("onair-signature").split_once(",v1=").expect("two parts");
    let t = t.strip_prefix("t=").expect("the time first");
    let age = unix_now() - t.parse::<i64>().expect("seconds");
    assert!((0..60).contains(&age), "signed {age} s ago");
    let tag: Vec<u8> = (0..v1.len() / 2).map(|at| u8::from_str_radix(&v1[2 * at..2 * at + 2], 16).unwrap()).collect();
    let signed = [t.as_bytes(), b".", &delivery.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &signed, &tag).expect("the signature is right");
}

fn unix_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("for long")
}

/// Returns the key of each delivery, one that was tried again only once.
fn keys(deliveries: &[Delivery]) -> Vec<String> {
    let mut keys: Vec<_> = deliveries.iter().map(|delivery| delivery.header("idempotency-key").to_owned()).collect();
    keys.dedup();
    keys
}

fn ids(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(|frame| frame.id.clone()).collect()
}

/// Ant-Media-Server#5812 and egress#858: who waits for a recording is told when it is stored, and not before.
#[test]
fn a_recording_is_told_from_its_beginning_to_the_moment_it_is_stored() {
    let _alone = alone();
    let receiver = Receiver::start(|number| Reply::Status(if number < 2 { 500 } else { 200 }));
    let silent = Receiver::start(|_| Reply::Silence);
    let mut server = Server::with(&["--set", &webhooks(&[&receiver.url(), &silent.url()])]);
    let stream = EventStream::open(&server, "/api/rooms/studio/events", None);
    let elsewhere = EventStream::open(&server, "/api/rooms/lobby/events", None);
    let everything = EventStream::open(&server, "/api/events", None);
    let mut publisher = publish("h264-opus.mp4", &server.url("/whip/studio"), &[]);
    let begun = stream.next().expect("the recording begins");
    assert_eq!((begun.kind.as_str(), &begun.data["room"]), ("recording.started", &"studio".into()));
    let room = server.json("/api/rooms/studio").expect("it is live");
    assert_eq!(room["actors"]["webhooks"][1]["url"], silent.url().replace("hook?token=hunter2", "***"), "{room}");
    assert!(publisher.wait(Duration::from_secs(40)).success());
    let frames = [vec![begun], stream.until("recording.finished")].concat();

    // The clip has 12 s: six segments or so in each of two renditions.
    let (first, last) = (&frames[0], &frames[frames.len() - 1]);
    let segments = &frames[1..frames.len() - 1];
    assert!(segments.len() >= 10 && segments.iter().all(|frame| frame.kind == "recording.segment"), "{frames:?}");
    assert!(frames.is_sorted_by(|a, b| a.id < b.id), "{:?}", ids(&frames));
    assert!(frames.iter().all(|frame| frame.data["id"] == frame.id && frame.data["type"] == frame.kind));
    let recording = last.data["recording"].as_str().expect("a name");
    assert!(frames.iter().all(|frame| frame.data["recording"] == recording));

    // Finished means stored: what it names is there, and whole, at this moment.
    let manifest = server.json(&format!("/api/recordings/studio/{recording}")).expect("a manifest");
    assert_eq!(manifest["state"], "complete");
    assert_eq!(last.data["duration_ms"], manifest["duration_ms"]);
    assert_eq!(
        last.data["objects"],
        serde_json::json!(["recording.mp4", "poster.jpg", "storyboard-1.jpg", "storyboard.vtt"])
    );
    let bytes: u64 = manifest["segments"].as_array().unwrap().iter().map(|it| it["bytes"].as_u64().unwrap()).sum();
    assert_eq!(last.data["bytes"], bytes);
    let mp4 = server.recordings().join("studio").join(recording).join("recording.mp4");
    assert_eq!(fs::metadata(mp4).expect("it is stored").len(), manifest["objects"][0]["bytes"].as_u64().unwrap());

    // The receiver failed twice, got the first event three times under one key, and then all of them in order.
    eventually("the receiver has them all", Duration::from_secs(10), || {
        (keys(&receiver.deliveries()).len() >= frames.len()).then_some(())
    });
    let deliveries = receiver.deliveries();
    deliveries.iter().for_each(check_delivery);
    assert_eq!(keys(&deliveries), ids(&frames));
    assert_eq!(deliveries.len(), frames.len() + 2);
    assert!(deliveries[..3].iter().all(|delivery| delivery.header("idempotency-key") == first.id));
    assert_eq!(deliveries.last().unwrap().json(), last.data);
    // The other one, which never answers, got the first, and maybe that again after 10 s.
    assert_eq!(keys(&silent.deliveries()), [first.id.as_str()]);

    // Who comes back hears what it missed. Another room's stream has heard of nothing, the server's of everything.
    let again = EventStream::open(&server, "/api/rooms/studio/events", Some(&first.id));
    assert_eq!(again.until("recording.finished"), frames[1..]);
    assert_eq!(everything.until("recording.finished"), frames);
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(elsewhere.next(), None);
    let log = server.log();
    assert!(log.contains("event not delivered") && !log.contains("hunter2") && !log.contains(SECRET), "{log}");
}

#[test]
fn what_a_receiver_missed_while_it_was_down_arrives_after_a_crash_of_ours() {
    let _alone = alone();
    // A port that is free, and stays so: nothing else of these tests asks for a certain one.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let webhooks = webhooks(&[&format!("http://{address}/hook?token=hunter2")]);
    let mut server = Server::with(&["--set", &webhooks]);
    let stream = EventStream::open(&server, "/api/events", None);
    let publisher = publish("h264-opus.mp4", &server.url("/whip/studio"), &["--loop"]);
    let told = stream.until("recording.segment");
    let backlog = server.spool().join(".webhooks");
    eventually("the events are on the disk", Duration::from_secs(10), || (files(&backlog) >= told.len()).then_some(()));
    server.kill();
    publisher.kill();

    let receiver = Receiver::on(address, |_| Reply::Status(204));
    server.start_again(&["--set", &webhooks]);
    // The new server finishes what the old one left, and tells of that behind what the old one had to tell.
    eventually("what was missed arrives, and what is made of it", Duration::from_secs(20), || {
        let last = receiver.deliveries().pop()?.json();
        (last["type"] == "recording.recovered" && last["recording"] == told[0].data["recording"]).then_some(())
    });
    let deliveries = receiver.deliveries();
    deliveries.iter().for_each(check_delivery);
    assert_eq!(keys(&deliveries)[..told.len()], ids(&told));
    eventually("nothing is left to deliver", Duration::from_secs(10), || (files(&backlog) == 0).then_some(()));
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_recording_that_is_finished_without_a_server_is_told_of_too() {
    let _alone = alone();
    let receiver = Receiver::start(|_| Reply::Status(200));
    let webhooks = webhooks(&[&receiver.url()]);
    let mut server = Server::start();
    let stream = EventStream::open(&server, "/api/events", None);
    let publisher = publish("h264-opus.mp4", &server.url("/whip/studio"), &["--loop"]);
    let told = stream.until("recording.segment");
    server.kill();
    publisher.kill();

    let store = format!("storage.url=file://{}", server.recordings().display());
    let spool = format!("storage.spool={}", server.spool().display());
    let output = run_onair(&["recover", "--set", &store, "--set", &spool, "--set", &webhooks]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let deliveries = receiver.deliveries();
    deliveries.iter().for_each(check_delivery);
    let last = deliveries.last().expect("it was told").json();
    assert_eq!((&last["type"], &last["recording"]), (&"recording.recovered".into(), &told[0].data["recording"]));
    assert_eq!(files(&server.spool().join(".webhooks")), 0);
}

/// Counts the events that wait for the only receiver.
fn files(backlog: &std::path::Path) -> usize {
    let receivers = fs::read_dir(backlog).expect("there is a webhook").map(|entry| entry.expect("readable").path());
    let names = receivers.flat_map(|path| fs::read_dir(path).expect("a directory"));
    names.filter(|entry| entry.as_ref().expect("readable").path().extension().is_some_and(|it| it == "json")).count()
}

/// mediamtx#2548: hooks do not run at shutdown, so the last recording is never processed.
#[test]
fn a_server_that_ends_tells_of_its_last_recording_and_ends_its_streams() {
    let _alone = alone();
    let receiver = Receiver::start(|_| Reply::Status(200));
    let everything_of_http = "log.filter=info,onair_actors::webhook=trace,reqwest=trace,hyper=trace,hyper_util=trace";
    let mut server = Server::with(&["--set", &webhooks(&[&receiver.url()]), "--set", everything_of_http]);
    let streams: Vec<_> = (0..3).map(|_| EventStream::open(&server, "/api/events", None)).collect();
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/studio"), &["--loop"]);
    streams[0].until("recording.segment");
    assert_eq!(server.terminate(), Some(0));
    let finished = streams[0].until("recording.finished").pop().expect("the last one");
    assert_eq!(streams[0].next(), None, "nothing follows");
    assert_eq!(receiver.deliveries().last().expect("it was told").json(), finished.data);
    assert!(files(&server.spool().join(".webhooks")) == 0);
    let log = server.log();
    assert!(log.contains("TRACE") && !log.contains("hunter2") && !log.contains(SECRET), "{log}");
}

#[test]
fn open_streams_do_not_keep_an_idle_server() {
    let mut server = Server::start();
    let streams: Vec<_> = (0..3).map(|_| EventStream::open(&server, "/api/events", None)).collect();
    let begun = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    // A request that does not end is waited for 5 s.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(streams.iter().all(|stream| stream.next().is_none()));
}

#[test]
fn streams_are_for_those_who_may_view() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("onair.toml");
    let tokens = "[auth]\nmode = \"token\"\n[[auth.tokens]]\ntoken = \"some\"\ncan = [\"view\", \"publish\"]\nrooms = \"studio-*\"\n";
    fs::write(&file, tokens).unwrap();
    let server = Server::with(&["--config", file.to_str().unwrap()]);
    let get = |path: &str, token: Option<&str>| {
        let request = server.request(Method::GET, path);
        token.into_iter().fold(request, |request, token| request.bearer_auth(token)).send().unwrap()
    };
    for path in ["/api/events", "/api/rooms/studio-1/events"] {
        Answer::from(get(path, None)).refused(401, "token_required");
        Answer::from(get(path, Some("guess"))).refused(401, "token_unknown");
        assert_eq!(get(path, Some("some")).status(), 200, "{path}");
    }
    Answer::from(get("/api/rooms/lobby/events", Some("some"))).refused(403, "forbidden");
    Answer::from(get("/api/rooms/.x/events", Some("some"))).refused(400, "invalid_room_name");
    let room = server.request(Method::POST, "/whip/studio-1").bearer_auth("some");
    let room = room.header("content-type", "application/sdp").body(Offer::publisher().sdp()).send().unwrap();
    assert_eq!(room.status(), 201);
    let room: Value = get("/api/rooms/studio-1", Some("some")).json().unwrap();
    assert!(room["actors"]["events"].is_object() && room["actors"]["webhooks"].is_null(), "{room}");
    let strange = server.request(Method::GET, "/api/events").bearer_auth("some").header("last-event-id", "7");
    Answer::from(strange.send().unwrap()).refused(400, "invalid_request");
    let post = server.request(Method::POST, "/api/events").bearer_auth("some").send().unwrap();
    Answer::from(post).refused(405, "method_not_allowed");
}
