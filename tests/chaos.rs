//! SIGKILL at any instant: what was recorded is finished by the next start, and of what was published at most the part
//! that was being cut is missing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{
    Client, Fate, Objects, Proxy, Request, S3, Server, alone, check_stored, check_unbroken, clip, eventually, gaps,
    manifest, millis, packets, publish,
};

/// What is published: 30 frames and 50 sound packets a second, no two of them alike.
const CLIP: &str = "h264-distinct-opus.mp4";

/// The default of `hls.part_ms`.
const PART_MS: u64 = 500;

/// What a kill may cost a rendition, in milliseconds of media that had reached the server: the part that is being cut,
/// at most [`PART_MS`] and a frame; as much again on its way to the disk, if the kill hits the moment in which a part
/// is full but not in its file; and a tenth of a second by which sound and picture may be apart on arrival, for what had
/// arrived is known of both together only.
const LOSS_MAX_MS: u64 = 2 * PART_MS + 34 + 100;

/// How long recovery may take on a busy machine.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);

/// Tells whether this is `make soak`: more instants, longer broadcasts.
fn is_soak() -> bool {
    std::env::var_os("ONAIR_SOAK").is_some()
}

/// Numbers that look random and are the same each time, but for another `ONAIR_SEED` (SplitMix64).
struct Dice(u64);

impl Dice {
    fn new(stream: u64) -> Self {
        let seed = std::env::var("ONAIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4_u64);
        Self(seed.wrapping_mul(1_000_003).wrapping_add(stream))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }
}

/// What was known from outside when the server was killed.
struct Witness {
    room: String,
    recording: String,
    /// How much media had arrived, in milliseconds of both renditions.
    arrived_ms: u64,
    /// The segments that players were told of.
    announced: Vec<String>,
}

impl Witness {
    fn of(server: &Server, room: &str) -> Self {
        let announced = announced(server, room);
        let state = server.json(&format!("/api/rooms/{room}")).expect("the room is live");
        let frames = state["actors"]["packager"]["frames"].as_u64().expect("a count");
        let recording = state["recording"]["recording"].as_str().expect("it is recorded").into();
        // 80 packets a second.
        Self { room: room.into(), recording, arrived_ms: frames * 1000 / 80, announced }
    }

    /// Accounts for everything in the recording that was made of it.
    #[track_caller]
    fn check(&self, objects: &impl Objects, clip_name: &str) {
        let manifest = manifest(objects);
        let Self { room, recording, arrived_ms, .. } = self;
        assert_eq!(manifest["state"], "recovered", "{room}/{recording}: {manifest}");
        let duration_ms = millis(&manifest["duration_ms"]);
        let restarts = gaps(&manifest, "server_restart");
        assert_eq!(restarts.len(), 1, "{manifest}");
        assert_eq!(restarts[0].0, duration_ms, "it begins where the recording ends: {manifest}");
        assert_eq!(manifest["gaps"].as_array().map(Vec::len), Some(1), "nothing else is missing: {manifest}");
        check_stored(objects, &manifest);

        let listed: Vec<_> = manifest["segments"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
        for name in &self.announced {
            assert!(listed.iter().any(|listed| *listed == name), "{name} was announced and is lost: {manifest}");
        }
        for (kind, name, per_second) in [('v', "video", 30), ('a', "audio", 50)] {
            let is_there = manifest["tracks"].as_array().expect("a list").iter().any(|track| track["name"] == name);
            let recorded = if is_there { check_samples(objects, kind, name, clip_name) } else { 0 };
            let recorded_ms = recorded as u64 * 1000 / per_second;
            assert!(
                recorded_ms + LOSS_MAX_MS >= *arrived_ms,
                "{room}/{recording}: of {arrived_ms} ms of {name} only {recorded_ms} ms are recorded"
            );
        }
    }
}

/// Checks that the MP4 and the segments have the same samples, and that these are the clip's. Returns their number.
fn check_samples(objects: &impl Objects, kind: char, name: &str, clip_name: &str) -> usize {
    let in_segments = packets(&objects.playable(&format!("{name}/index.m3u8")), kind);
    let in_mp4 = packets(&objects.playable("recording.mp4"), kind);
    let published = packets(clip(clip_name).to_str().expect("UTF-8"), kind);
    check_unbroken(name, &in_segments, &published);
    check_unbroken(name, &in_mp4, &published);
    assert_eq!(in_segments.len(), in_mp4.len(), "{name}");
    in_mp4.len()
}

/// Returns the segments that the live playlists list.
fn announced(server: &Server, room: &str) -> Vec<String> {
    let get = |path: &str| {
        let answer = server.request(Method::GET, path).send().expect("the server is up");
        if answer.status().is_success() { answer.text().expect("the body arrives") } else { String::new() }
    };
    let multivariant = get(&format!("/hls/{room}/index.m3u8"));
    let Some(broadcast) = multivariant.lines().find_map(|line| line.strip_suffix("/video/index.m3u8")) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for kind in ["video", "audio"] {
        let playlist = get(&format!("/hls/{room}/{broadcast}/{kind}/index.m3u8"));
        let segments = playlist.lines().filter(|line| line.ends_with(".m4s"));
        names.extend(segments.map(|segment| format!("{kind}/{segment}")));
    }
    names
}

/// Names what is left in a spool.
fn left_in(spool: &Path) -> String {
    let mut left = String::new();
    for entry in fs::read_dir(spool).expect("a spool").flatten() {
        if entry.file_name() != ".lock" {
            write!(left, "{} ", entry.path().display()).expect("writing to a string does not fail");
        }
    }
    left
}

/// Waits until everything in the spool is finished, and nothing is left.
fn wait_until_recovered(server: &Server) {
    eventually("the spool is empty", RECOVERED_WITHIN, || left_in(&server.spool()).is_empty().then_some(()));
}

fn wait_until_recorded(server: &Server, room: &str) {
    server.wait_for_room(room, "media is being recorded", |state| {
        state["actors"]["packager"]["recorder"]["phase"] == "recording"
            && state["actors"]["packager"]["frames"].as_u64() > Some(0)
    });
}

/// Publishes to some rooms of a server, kills it at some instant, and has it go on; again and again.
fn kill_again_and_again(stream: u64, rounds: u64, longest_ms: u64) {
    let mut dice = Dice::new(stream);
    let mut server = Server::start();
    for round in 0..rounds {
        let rooms: Vec<String> = (0..2).map(|room| format!("room-{stream}-{room}")).collect();
        let publish_to = |room: &String| publish(CLIP, &server.url(&format!("/whip/{room}")), &["--loop"]);
        let publishers: Vec<Client> = rooms.iter().map(publish_to).collect();
        rooms.iter().for_each(|room| wait_until_recorded(&server, room));
        // The instant. Early ones are as likely in the first seconds as in all the others: much begins there.
        let until_ms = if round % 2 == 0 { longest_ms } else { 3_000 };
        thread::sleep(Duration::from_millis(dice.below(until_ms)));
        let witnesses: Vec<_> = rooms.iter().map(|room| Witness::of(&server, room)).collect();
        server.kill();
        publishers.into_iter().for_each(Client::kill);
        server.start_again(&[]);
        wait_until_recovered(&server);
        for witness in &witnesses {
            let folder = server.recordings().join(&witness.room).join(&witness.recording);
            witness.check(&folder.as_path(), CLIP);
        }
    }
}

#[test]
fn a_kill_at_any_instant_costs_a_part_at_most() {
    let _alone = alone();
    let (rounds, longest_ms) = if is_soak() { (12, 40_000) } else { (3, 7_000) };
    thread::scope(|scope| {
        for stream in 0..2 {
            scope.spawn(move || kill_again_and_again(stream, rounds, longest_ms));
        }
    });
}

/// The broadcast is over and recorded when the server dies, and the next one dies over it, too.
#[test]
fn kills_while_finishing_and_while_recovering_cost_nothing() {
    let _alone = alone();
    let mut s3 = S3::start();
    let proxy = Proxy::before(s3.address());
    // Slow enough that the end takes a while: an object after the other.
    proxy.decide(|_| Fate::Delayed(Duration::from_millis(400)));
    let mut server = server_on(&proxy);
    let publisher = publish(CLIP, &server.url("/whip/room"), &[]).wait(Duration::from_secs(60));
    assert!(publisher.success());
    let finishing =
        server.wait_for_room("room", "the end is written", |state| state["recording"]["state"] == "finishing");
    let recording = finishing["recording"]["recording"].as_str().expect("an id").to_owned();
    // The final playlists are written when every segment is stored.
    let before = proxy.count(|request| request.puts("/video/index.m3u8"));
    eventually("the recording is being finished", Duration::from_secs(60), || {
        (proxy.count(|request| request.puts("/video/index.m3u8")) > before).then_some(())
    });
    server.kill();
    assert_ne!(left_in(&server.spool()), "", "it was not finished");

    for _ in 0..2 {
        let before = proxy.requests().len();
        server.start_again(&[]);
        eventually("recovery is under way", Duration::from_secs(60), || {
            proxy.requests()[before..].iter().any(|request| request.method == "PUT").then_some(())
        });
        server.kill();
        assert_ne!(left_in(&server.spool()), "", "it was not recovered");
    }

    proxy.decide(|_| Fate::Passed);
    server.start_again(&[]);
    wait_until_recovered(&server);
    let objects = s3.recording("room", &recording);
    let manifest = manifest(&objects);
    check_stored(&objects, &manifest);
    assert_eq!(manifest["gaps"], Value::Array(Vec::new()), "everything had been recorded: {manifest}");
    for (kind, name) in [('v', "video"), ('a', "audio")] {
        let all = packets(clip(CLIP).to_str().expect("UTF-8"), kind).len();
        assert_eq!(check_samples(&objects, kind, name, CLIP), all, "{name}");
    }
    assert!(s3.uploads().is_empty());
}

fn server_on(proxy: &Proxy) -> Server {
    let arguments = S3::arguments(&proxy.address());
    Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The parts of the MP4 that were stored before the kill are not sent again.
#[test]
fn an_upload_in_parts_goes_on_after_a_kill() {
    let _alone = alone();
    let mut s3 = S3::start();
    let proxy = Proxy::before(s3.address());
    let mut server = server_on(&proxy);
    let publisher = publish("h264-heavy-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    let is_part = |request: &Request| request.part_number().is_some();
    eventually("two parts are stored", Duration::from_secs(90), || {
        (proxy.count(|request| is_part(request) && request.is_done()) >= 2).then_some(())
    });
    thread::sleep(Duration::from_millis(Dice::new(77).below(3_000)));
    let witness = Witness::of(&server, "room");
    server.kill();
    publisher.kill();
    let before = proxy.requests();
    assert_eq!(s3.uploads().len(), 1, "the upload is under way");
    assert!(!s3.recording("room", &witness.recording).has("recording.mp4"));

    server.start_again(&[]);
    wait_until_recovered(&server);
    let objects = s3.recording("room", &witness.recording);
    witness.check(&objects, "h264-heavy-opus.mp4");
    assert!(s3.uploads().is_empty(), "nothing of the upload is left");
    let requests = proxy.requests();
    let after = &requests[before.len()..];
    assert_eq!(requests.iter().filter(|request| request.begins_upload()).count(), 1, "{requests:?}");
    // A part on its way when the kill came may be put twice: its answer had reached nobody.
    let numbers = |requests: &[Request]| -> Vec<u64> {
        requests.iter().filter(|request| request.is_done()).filter_map(Request::part_number).collect()
    };
    let (mut stored, again) = (numbers(&before), numbers(after));
    stored.pop();
    assert!(!stored.is_empty() && stored.iter().all(|number| !again.contains(number)), "{stored:?}, then {again:?}");
    assert!(again.contains(&1), "the part with the header comes last: {again:?}");
}

#[test]
fn the_command_recovers_and_leaves_a_running_server_alone() {
    let _alone = alone();
    let mut server = Server::start();
    let publisher = publish(CLIP, &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let refused = server.run("recover");
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("another onair uses the spool"), "{message}");

    let witness = Witness::of(&server, "room");
    server.kill();
    publisher.kill();
    let recovered = server.run("recover");
    let message = String::from_utf8_lossy(&recovered.stdout).into_owned();
    assert_eq!((recovered.status.code(), message.trim()), (Some(0), "1 recordings finished"));
    assert_eq!(left_in(&server.spool()), "");
    let folder = server.recordings().join("room").join(&witness.recording);
    witness.check(&folder.as_path(), CLIP);
    let again = server.run("recover");
    assert_eq!((again.status.code(), again.stdout.as_slice()), (Some(0), "0 recordings finished\n".as_bytes()));
}
