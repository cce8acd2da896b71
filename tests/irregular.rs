//! A publisher as they are: keyframes when it pleases, another picture size in the middle, gone and back again. What its
//! live playlists say from one moment to the next holds together (PROTOCOLS C, L1, L2, L4, L7).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::thread;
use std::time::Duration;

use reqwest::Method;
use tempfile::NamedTempFile;

use crate::support::{Answer, Playlist, Server, alone, decode_errors, eventually, packets, parse_all, probe, publish};

/// Segments of 2 s make a target duration of 3 s; a segment of 3.49 s is rounded to it.
const TARGET_S: u64 = 3;
const PART_TARGET_S: f64 = 0.5;

/// Its keyframes stand at 0, 1, 2, 3, 13 and 43 s; at 13 s its size changes. It would go on to 90 s, and is killed long before.
const CLIP: &str = "h264-irregular-opus.mp4";
const LAST_KEYFRAME_S: f64 = 43.0;

fn get(server: &Server, path: &str) -> Answer {
    server.request(Method::GET, path).send().expect("an answer").into()
}

/// Reloads a playlist as a player of parts does until it ends, and returns every state of it.
fn follow(server: &Server, path: &str) -> Vec<String> {
    let mut texts = vec![get(server, path).text()];
    while !texts.last().is_some_and(|text| text.contains("#EXT-X-ENDLIST")) {
        let hint = texts.last().and_then(|text| text.split("TYPE=PART,URI=\"").nth(1)).expect("a hint");
        let (msn, rest) = hint.split_once('.').expect("the name of a part");
        let part = rest.split('.').next().expect("a number");
        let msn: u64 = msn.parse().expect("a number");
        let answer = get(server, &format!("{path}?_HLS_msn={msn}&_HLS_part={part}"));
        // Nothing may come for as long as the publisher is away.
        assert!([200, 503].contains(&answer.status), "{}", answer.text());
        if answer.status == 200 {
            texts.push(answer.text());
        }
    }
    texts
}

/// Returns a tag that never changes.
fn fixed<'a>(text: &'a str, tag: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(tag)).unwrap_or_else(|| panic!("{tag}: {text}"))
}

/// L1, L2, L7: a state of a playlist by itself.
fn check_state(text: &str, playlist: &Playlist) {
    assert_eq!(playlist.target_duration_s, TARGET_S);
    for segment in &playlist.segments {
        assert!((segment.duration_us + 500_000) / 1_000_000 <= TARGET_S, "{segment:?}: {text}");
        assert!(segment.init.is_some(), "{segment:?}: {text}");
    }
    let parts = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-PART:DURATION=")?.split(',').next());
    for part in parts {
        let seconds: f64 = part.parse().expect("seconds");
        assert!(seconds > 0.0 && seconds <= PART_TARGET_S, "a part of {seconds} s: {text}");
    }
}

/// L1, L4: one state after another: what was said stays said, and numbers only grow.
fn check_course(texts: &[String], playlists: &[Playlist]) {
    let mut said = BTreeMap::new();
    for (pair, texts) in playlists.windows(2).zip(texts.windows(2)) {
        for tag in ["#EXT-X-TARGETDURATION:", "#EXT-X-PART-INF:", "#EXT-X-SERVER-CONTROL:"] {
            assert_eq!(fixed(&texts[0], tag), fixed(&texts[1], tag));
        }
        assert!(pair[0].media_sequence <= pair[1].media_sequence, "{}", texts[1]);
        assert!(pair[0].discontinuity_sequence <= pair[1].discontinuity_sequence, "{}", texts[1]);
    }
    for playlist in playlists {
        for (msn, segment) in (playlist.media_sequence..).zip(&playlist.segments) {
            assert_eq!(said.entry(msn).or_insert_with(|| segment.clone()), segment, "number {msn}");
        }
    }
    assert!(!texts.iter().any(|text| text.contains("#EXT-X-PLAYLIST-TYPE")));
}

/// Returns the numbers at which a discontinuity stands.
fn discontinuities(playlist: &Playlist) -> Vec<u64> {
    let numbered = (playlist.media_sequence..).zip(&playlist.segments);
    numbered.filter(|(_, segment)| segment.is_discontinuity).map(|(msn, _)| msn).collect()
}

/// Puts what has one initialisation segment into a file, as a player hands it to its decoder.
fn files(server: &Server, base: &str, playlist: &Playlist) -> Vec<NamedTempFile> {
    let mut files: BTreeMap<&str, NamedTempFile> = BTreeMap::new();
    let append = |file: &mut File, name: &str| {
        let answer = get(server, &format!("{base}{name}"));
        assert_eq!(answer.status, 200, "{name}");
        file.write_all(&answer.body).expect("there is room");
    };
    for segment in &playlist.segments {
        let init = segment.init.as_deref().expect("checked before");
        let file = files.entry(init).or_insert_with(|| {
            let mut file = NamedTempFile::new().expect("a temporary file");
            append(file.as_file_mut(), init);
            file
        });
        append(file.as_file_mut(), &segment.uri);
    }
    files.into_values().collect()
}

#[test]
fn l1_a_publisher_as_it_pleases_leaves_playlists_in_order() {
    let _alone = alone();
    let server = Server::with(&["--set", "hls.window_s=120", "--set", "record.reconnect_s=60"]);
    let first = publish(CLIP, &server.url("/whip/room"), &[]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let multivariant = get(&server, "/hls/room/index.m3u8").text();
    let video = multivariant.lines().find(|line| line.ends_with("/video/index.m3u8")).expect("a variant");
    let bases = ["video", "audio"].map(|kind| format!("/hls/room/{}/{kind}/", video.split('/').next().expect("an id")));
    let path = format!("{}index.m3u8", bases[0]);

    let courses = thread::scope(|scope| {
        let follow = |base: &String| {
            let path = format!("{base}index.m3u8");
            let server = &server;
            scope.spawn(move || follow(server, &path))
        };
        let followers = bases.each_ref().map(follow);
        // The publisher is told.
        server.wait_for_room("room", "its keyframes are too far apart", |room| {
            room["report"].as_array().is_some_and(|all| all.iter().any(|found| found["code"] == "keyframe_interval"))
        });
        eventually("half a minute without a keyframe is over", Duration::from_secs(120), || {
            (Playlist::parse(&get(&server, &path).text()).seconds() > LAST_KEYFRAME_S).then_some(())
        });
        first.kill();
        let mut second = publish("h264-opus.mp4", &server.url("/whip/room?takeover=1"), &[]);
        assert!(second.wait(Duration::from_secs(60)).success());
        followers.map(|follower| follower.join().expect("it checks nothing but the status"))
    });

    let playlists = courses.each_ref().map(|texts| parse_all(texts));
    for (texts, playlists) in courses.iter().zip(&playlists) {
        texts.iter().zip(playlists).for_each(|(text, playlist)| check_state(text, playlist));
        check_course(texts, playlists);
    }
    let [video, audio] = playlists.map(|playlists| playlists.last().expect("it ended").clone());
    assert!(video.is_ended && audio.is_ended);
    assert!(video.seconds() > 54.0 && (video.seconds() - audio.seconds()).abs() < 0.5, "{video:?}");
    // The other size, and the publisher that comes back; in both renditions at the same numbers.
    assert_eq!((discontinuities(&video).len(), discontinuities(&video)), (2, discontinuities(&audio)));

    let files_of_video = files(&server, &bases[0], &video);
    let sizes = files_of_video.iter().map(|file| {
        let path = file.path().to_str().expect("UTF-8");
        assert_eq!(decode_errors(path), "");
        (probe(path)["streams"][0]["width"].as_u64().expect("a width"), packets(path, 'v').len())
    });
    let [(640, 390), (320, at_least_900), (640, 355..=360)] = sizes.collect::<Vec<_>>()[..] else {
        panic!("other sizes or pictures than were published")
    };
    assert!(at_least_900 >= 900, "{at_least_900} pictures");
    for file in files(&server, &bases[1], &audio) {
        assert_eq!(decode_errors(file.path().to_str().expect("UTF-8")), "");
    }
}
