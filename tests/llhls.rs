//! Low-latency HLS from outside: playlists and parts that are asked for before they are there (PROTOCOLS C, L6 to L15;
//! RFC 8216bis §6.2.5).

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::support::{Answer, Client, Server, alone, eventually, publish, python};

/// Segments of 2 s make a target duration of 3 s.
const TARGET: Duration = Duration::from_secs(3);

/// A server with a live room, and the directory of its video rendition.
struct Live {
    server: Server,
    publisher: Option<Client>,
    base: String,
}

impl Live {
    fn start(arguments: &[&str]) -> Self {
        let server = Server::with(arguments);
        let publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
        server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
        let multivariant: Answer =
            server.request(Method::GET, "/hls/room/index.m3u8").send().expect("an answer").into();
        let text = multivariant.text();
        let video = text.lines().find(|line| line.ends_with("/video/index.m3u8")).expect("a variant");
        Self { base: format!("/hls/room/{}", video.trim_end_matches("index.m3u8")), server, publisher: Some(publisher) }
    }

    fn get(&self, object: &str) -> Answer {
        self.ask(Method::GET, object, &[])
    }

    fn ask(&self, method: Method, object: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.server.request(method, &format!("{}{object}", self.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().expect("an answer").into()
    }

    fn playlist(&self, query: &str) -> String {
        let answer = self.get(&format!("index.m3u8{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// How many requests wait for something to come.
    fn waiting(&self) -> u64 {
        let room = self.server.json("/api/rooms/room").expect("the room is there");
        room["actors"]["packager"]["hls_waiting"].as_u64().expect("a count")
    }
}

/// Returns an attribute of the first line with a tag.
fn attribute(playlist: &str, tag: &str, name: &str) -> String {
    let line = playlist.lines().find(|line| line.starts_with(tag)).unwrap_or_else(|| panic!("{tag}: {playlist}"));
    let value = line.split([':', ',']).find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("{name}: {line}")).trim_matches('"').into()
}

/// Returns the number and the part that a playlist hints at.
fn hint(playlist: &str) -> (u64, u32) {
    let uri = attribute(playlist, "#EXT-X-PRELOAD-HINT", "URI");
    let (msn, part) = uri.trim_end_matches(".m4s").split_once('.').expect("the name of a part");
    (msn.parse().expect("a number"), part.parse().expect("a number"))
}

fn last_segment(playlist: &str) -> u64 {
    let last = playlist.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#')).expect("a segment");
    last.trim_end_matches(".m4s").parse().expect("a number")
}

/// L6, L8, L9, L11: a playlist waits for the part that is asked for and holds it; it hints at the next one, reports the
/// other rendition, and says how it may be asked.
#[test]
fn l11_a_playlist_waits_for_a_part_and_for_a_segment() {
    let _alone = alone();
    let live = Live::start(&[]);
    let now = live.playlist("");
    assert_eq!(attribute(&now, "#EXT-X-SERVER-CONTROL", "CAN-BLOCK-RELOAD"), "YES");
    assert_eq!(attribute(&now, "#EXT-X-SERVER-CONTROL", "PART-HOLD-BACK"), "1.50000");
    assert_eq!(attribute(&now, "#EXT-X-SERVER-CONTROL", "HOLD-BACK"), "9");
    assert_eq!(attribute(&now, "#EXT-X-PART-INF", "PART-TARGET"), "0.50000");
    for _ in 0..6 {
        let (msn, part) = hint(&live.playlist(""));
        let later = live.playlist(&format!("?_HLS_msn={msn}&_HLS_part={part}&token=mine"));
        assert!(hint(&later) > (msn, part), "{msn}.{part}: {later}");
        // The segment may have ended without that part: then the first one of the next takes its place.
        let named = [format!("URI=\"{msn:06}.{part}.m4s\""), format!("URI=\"{:06}.0.m4s\"", msn + 1)];
        let parts: Vec<_> = later.lines().filter(|line| line.starts_with("#EXT-X-PART:")).collect();
        assert!(parts.iter().any(|line| named.iter().any(|name| line.contains(name))), "{later}");
        // The sound is as far, or a part away from it.
        let reported: u64 = attribute(&later, "#EXT-X-RENDITION-REPORT", "LAST-MSN").parse().expect("a number");
        assert!(reported.abs_diff(hint(&later).0) <= 1, "{later}");
        assert_eq!(attribute(&later, "#EXT-X-RENDITION-REPORT", "URI"), "../audio/index.m3u8");
    }
    let msn = last_segment(&live.playlist("")) + 1;
    let whole = live.playlist(&format!("?_HLS_msn={msn}"));
    assert!(whole.contains(&format!("\n{msn:06}.m4s\n")), "{whole}");
}

/// L8: the part that is hinted at is sent when it is whole, and the parts of a segment are its bytes.
#[test]
fn l8_the_parts_that_were_hinted_at_are_the_segment() {
    let _alone = alone();
    let live = Live::start(&[]);
    let msn = last_segment(&live.playlist("")) + 2;
    live.playlist(&format!("?_HLS_msn={}", msn - 1));
    let mut parts = Vec::new();
    // Each is asked for when it is the next, or a moment later; the last hint of a segment comes to nothing.
    for part in 0.. {
        let answer = live.get(&format!("{msn:06}.{part}.m4s"));
        if answer.status == 404 {
            break;
        }
        assert_eq!((answer.status, answer.header("content-type")), (200, "video/mp4"), "{}", answer.text());
        assert!(answer.header("cache-control").contains("immutable"), "{}", answer.header("cache-control"));
        parts.extend(answer.body);
    }
    let segment = live.get(&format!("{msn:06}.m4s"));
    assert_eq!(segment.status, 200);
    assert!(segment.body == parts, "{} bytes in parts, {} in one", parts.len(), segment.body.len());
    let head = live.ask(Method::HEAD, &format!("{msn:06}.0.m4s"), &[]);
    assert!(head.status == 200 && head.body.is_empty());
}

/// L7, L8, L9: a parser that is not ours reads the parts, the hint and the report as they were meant.
#[test]
fn l7_another_parser_reads_the_same() {
    let _alone = alone();
    let live = Live::start(&[]);
    let reader = python("hls_read.py", &[&live.server.url(&format!("{}index.m3u8", live.base))]);
    let read = reader.wait_for("it reads the playlist", Duration::from_secs(60), |event| event["event"] == "read");
    let text = read["text"].as_str().expect("the playlist");
    let lines = |tag: &str| text.lines().filter(|line| line.starts_with(tag)).count();
    let parts = read["parts"].as_array().expect("a list");
    assert_eq!(Some(lines("#EXTINF:") as u64), read["segments"].as_u64());
    assert!(parts.len() == lines("#EXT-X-PART:") && !parts.is_empty(), "{read}");
    for part in parts {
        let (name, seconds) = (part[0].as_str().expect("a name"), part[1].as_f64().expect("a number"));
        let line = text.lines().find(|line| line.contains(name)).expect("a line");
        assert!(seconds > 0.0 && seconds <= 0.5 && part[2] == line.ends_with("INDEPENDENT=YES"), "{part}");
    }
    assert_eq!((read["part_target"].as_f64(), read["part_hold_back"].as_f64()), (Some(0.5), Some(1.5)));
    assert_eq!(read["can_block_reload"], "YES");
    assert_eq!(read["hint"], attribute(text, "#EXT-X-PRELOAD-HINT", "URI"));
    let report = &read["reports"][0];
    assert_eq!(report[0], "../audio/index.m3u8");
    assert_eq!(report[1].to_string(), attribute(text, "#EXT-X-RENDITION-REPORT", "LAST-MSN"));
    assert_eq!(report[2].to_string(), attribute(text, "#EXT-X-RENDITION-REPORT", "LAST-PART"));
}

/// L12, L15: what makes no sense is refused at once, what is unknown is ignored.
#[test]
fn l12_senseless_directives_are_refused() {
    let _alone = alone();
    let live = Live::start(&[]);
    let next = last_segment(&live.playlist("")) + 1;
    let far = next + 10;
    for query in ["_HLS_part=1", "_HLS_msn=x", "_HLS_msn=1&_HLS_msn=1", "_HLS_msn=1&_HLS_part=-1", "_HLS_skip=maybe"] {
        live.get(&format!("index.m3u8?{query}")).refused(400, "invalid_request");
    }
    live.get(&format!("index.m3u8?_HLS_msn={far}")).refused(400, "invalid_request");
    live.get(&format!("index.m3u8?_HLS_msn={next}&_HLS_part=100")).refused(400, "invalid_request");
    for query in ["_HLS_other=1", "token=%zz", "_hls_msn=x", "_HLS_msn=0", "_HLS_msn=1&_HLS_part=3"] {
        live.playlist(&format!("?{query}"));
    }
    // Nobody waits for what nobody announced.
    let started = Instant::now();
    live.get(&format!("{far:06}.0.m4s")).refused(404, "object_not_found");
    live.get(&format!("{far:06}.m4s")).refused(404, "object_not_found");
    assert!(started.elapsed() < TARGET);
}

/// L10, L14: who has the beginning may leave it out.
#[test]
fn l14_a_delta_leaves_out_the_beginning() {
    let _alone = alone();
    // Segments of 1 s, a target duration of 2 s: the boundary is 12 s before the end.
    let live = Live::start(&["--set", "hls.segment_ms=1000", "--set", "hls.window_s=30"]);
    let delta = eventually("there is something to leave out", Duration::from_secs(60), || {
        let answer = live.get("index.m3u8?_HLS_skip=YES").text();
        answer.contains("#EXT-X-SKIP:").then_some(answer)
    });
    let full = live.playlist("");
    let skipped: usize = attribute(&delta, "#EXT-X-SKIP", "SKIPPED-SEGMENTS").parse().expect("a number");
    assert!(skipped >= 1 && attribute(&full, "#EXT-X-SERVER-CONTROL", "CAN-SKIP-UNTIL") == "12", "{delta}");
    let segments = |text: &str| text.lines().filter(|line| line.ends_with(".m4s") && !line.starts_with('#')).count();
    // The whole one may be a segment further by now.
    assert!((segments(&delta) + skipped).abs_diff(segments(&full)) <= 1, "{delta}\n{full}");
    assert!(live.playlist("?_HLS_skip=v2").contains("#EXT-X-SKIP:"));
}

/// L5, L15: playlists are compressed, named and kept by caches as long as they hold; scripts of other origins may read them.
#[test]
fn l15_playlists_say_how_long_they_hold() {
    let _alone = alone();
    let live = Live::start(&["--set", "http.cors=[\"*\"]"]);
    let now = live.get("index.m3u8");
    assert_eq!(now.header("cache-control"), "max-age=1");
    assert!(now.header("vary").to_ascii_lowercase().contains("accept-encoding"), "{}", now.header("vary"));
    let next = last_segment(&now.text()) + 1;
    let blocking = live.get(&format!("index.m3u8?_HLS_msn={next}"));
    assert_eq!(blocking.header("cache-control"), "max-age=18");
    assert_eq!(live.get("999999.m4s").header("cache-control"), "max-age=3");
    for coding in ["gzip", "br"] {
        let packed = live.ask(Method::GET, "index.m3u8", &[("accept-encoding", coding)]);
        assert_eq!(packed.header("content-encoding"), coding);
        assert!(packed.body.len() * 2 < live.playlist("").len(), "{coding}: {} bytes", packed.body.len());
    }
    // Asked for again before the next part, it is the same.
    eventually("a playlist does not change between two requests", Duration::from_secs(60), || {
        let etag = live.get("index.m3u8").header("etag").to_owned();
        let again = live.ask(Method::GET, "index.m3u8", &[("if-none-match", &etag), ("origin", "https://example.org")]);
        assert_eq!(again.header("access-control-allow-origin"), "*");
        (again.status == 304 && again.body.is_empty() && again.header("etag") == etag).then_some(())
    });
}

/// L13: when nothing comes, nobody waits for more than three target durations; when the broadcast ends, nobody waits at
/// all. And who goes away while waiting leaves nothing behind.
#[test]
fn l13_waits_end() {
    let _alone = alone();
    let mut live = Live::start(&[]);
    live.publisher.take().expect("it publishes").kill();
    // Half a minute passes until its consent expires (RFC 7675 §5.1). What was under way still comes.
    let (late, waited, (msn, part)) = eventually("nothing new comes", Duration::from_secs(60), || {
        let (next, started) = (hint(&live.playlist("")), Instant::now());
        let answer = live.get(&format!("index.m3u8?_HLS_msn={}&_HLS_part={}", next.0, next.1));
        (answer.status != 200).then(|| (answer, started.elapsed(), next))
    });
    let late = late.refused(503, "unavailable");
    assert!(waited >= 3 * TARGET && !late.header("retry-after").is_empty(), "{waited:?}");
    let target = format!("{}index.m3u8?_HLS_msn={msn}&_HLS_part={part}", live.base);
    let ask = format!("GET {target} HTTP/1.1\r\nHost: onair\r\n\r\n");
    let connect = || {
        let mut stream = TcpStream::connect(live.server.address()).expect("the server listens");
        stream.write_all(ask.as_bytes()).expect("it reads");
        stream
    };
    let gone: Vec<_> = (0..20).map(|_| connect()).collect();
    eventually("they wait", Duration::from_secs(60), || (live.waiting() == 20).then_some(()));
    drop(gone);
    eventually("nobody waits any more", Duration::from_secs(60), || (live.waiting() == 0).then_some(()));
    let last = eventually("the broadcast ends", Duration::from_secs(60), || {
        let answer = live.get(&format!("index.m3u8?_HLS_msn={msn}&_HLS_part={part}"));
        (answer.status == 200).then(|| answer.text()).filter(|text| text.contains("#EXT-X-ENDLIST"))
    });
    assert!(!last.contains("#EXT-X-PRELOAD-HINT"), "{last}");
    let started = Instant::now();
    assert_eq!(live.playlist("?_HLS_msn=99999&_HLS_part=9&_HLS_skip=YES"), last);
    live.get(&format!("{:06}.0.m4s", last_segment(&last) + 1)).refused(404, "object_not_found");
    assert!(started.elapsed() < TARGET, "after the end nobody waits");
}

/// Rooms that do not exist cost nothing, however often they are asked for.
#[test]
fn polling_rooms_that_do_not_exist_leaves_nothing() {
    let server = Server::start();
    for number in 0..500 {
        let path = format!("/hls/nobody-{number}/index.m3u8");
        let answer: Answer = server.request(Method::GET, &path).send().expect("an answer").into();
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.refused(404, "room_not_found");
        let path = format!("/hls/nobody-{number}/20261122T063000Z-7f3a9c/video/index.m3u8?_HLS_msn=1");
        let answer: Answer = server.request(Method::GET, &path).send().expect("an answer").into();
        // There may be a recording of it.
        assert_eq!((answer.status, answer.header("cache-control")), (307, "no-cache"));
    }
    let rooms = server.json("/api/rooms").expect("a list");
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(0), "{rooms}");
}
