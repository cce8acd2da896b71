//! Low-latency HLS as Apple's players want it: over TLS and HTTP/2, many requests on one connection (PROTOCOLS C, L16).

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use tempfile::TempDir;

use crate::support::{Answer, Server, alone, eventually, publish_over_tls};

/// How many players wait on one connection; curl has no more streams at a time.
const WAITING: usize = 100;

/// A run of Debian's curl that fetches paths of a server, all at once.
struct Curl {
    child: Child,
    dir: TempDir,
}

/// One answer to it.
struct Fetched {
    http_version: String,
    /// How many connections were made for it.
    connections: u64,
    status: u16,
    body: Vec<u8>,
}

impl Curl {
    fn start(server: &Server, paths: &[String]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let entry = |(number, path): (usize, &String)| {
            format!("url = \"{}\"\noutput = \"{}/{number}\"\n", server.url(path), dir.path().display())
        };
        let config = dir.path().join("config");
        fs::write(&config, paths.iter().enumerate().map(entry).collect::<String>()).expect("the directory is ours");
        let mut command = Command::new("curl");
        command.args(["--http2", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]);
        command.args(["--parallel", "--parallel-max", &WAITING.to_string()]);
        command.args(["--write-out", "%{urlnum} %{http_version} %{num_connects} %{response_code}\n"]);
        command.arg("--cacert").arg(server.certificate()).arg("--config").arg(config);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self { child: child.expect("curl is installed"), dir }
    }

    /// Waits for its end, and returns the answers in the order of the paths.
    fn finish(self) -> Vec<Fetched> {
        let output = self.child.wait_with_output().expect("it is our child");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).expect("numbers");
        let mut fetched: Vec<_> = lines.lines().map(|line| numbered(line, &self.dir)).collect();
        fetched.sort_by_key(|(number, _)| *number);
        fetched.into_iter().map(|(_, fetched)| fetched).collect()
    }
}

fn numbered(line: &str, dir: &TempDir) -> (usize, Fetched) {
    let [number, version, connections, status] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let body = fs::read(dir.path().join(number)).expect("it was written");
    let number_of = |text: &str| text.parse::<u64>().expect("a number");
    let fetched = Fetched {
        http_version: version.into(),
        connections: number_of(connections),
        status: number_of(status) as u16,
        body,
    };
    (number_of(number) as usize, fetched)
}

/// Checks that all of it came over one connection of HTTP/2.
fn check_one_connection(fetched: &[Fetched]) {
    for answer in fetched {
        assert_eq!((answer.status, &*answer.http_version), (200, "2"), "{}", String::from_utf8_lossy(&answer.body));
    }
    assert_eq!(fetched.iter().map(|answer| answer.connections).sum::<u64>(), 1);
}

/// Returns the last segment of a playlist, and the part that is hinted at, at a moment when that part is certain to come:
/// the last hint of a segment comes to nothing.
fn middle_of_a_segment(playlist: impl Fn() -> String) -> (u64, String) {
    eventually("a segment has begun", Duration::from_secs(60), || {
        let playlist = playlist();
        let hint = playlist.split("TYPE=PART,URI=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a hint");
        let (msn, part) = hint.trim_end_matches(".m4s").split_once('.').expect("the name of a part");
        let (msn, part): (u64, u32) = (msn.parse().expect("a number"), part.parse().expect("a number"));
        (1..6).contains(&part).then(|| (msn - 1, hint.to_owned()))
    })
}

/// L16, L8, L11: playlists, media and the part that comes next over one connection, and a hundred requests that wait on it.
#[test]
fn l16_everything_comes_over_one_connection_of_http2() {
    let _alone = alone();
    // Segments of 4 s, so that a hundred requests are there before the one that they wait for.
    let server = Server::with_tls(&["--set", "hls.segment_ms=4000"]);
    let to = server.url("/whip/room");
    assert!(to.starts_with("https://"), "{to}");
    let _publisher = publish_over_tls("h264-opus.mp4", &to, &["--loop"], server.certificate());
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let get = |path: &str| Answer::from(server.request(Method::GET, path).send().expect("an answer")).text();
    let multivariant = get("/hls/room/index.m3u8");
    let video = multivariant.lines().find(|line| line.ends_with("/video/index.m3u8")).expect("a variant");
    let base = format!("/hls/room/{}", video.trim_end_matches("index.m3u8"));

    let (last, hint) = middle_of_a_segment(|| get(&format!("{base}index.m3u8")));
    let objects = ["index.m3u8", "init-1.mp4", &format!("{last:06}.m4s"), &hint].map(|name| format!("{base}{name}"));
    let all = [vec!["/hls/room/index.m3u8".to_owned()], objects.to_vec()].concat();
    let answers = Curl::start(&server, &all).finish();
    check_one_connection(&answers);
    assert!(answers[0].body == multivariant.as_bytes() && answers[1].body.starts_with(b"#EXTM3U\n"));
    assert!(answers[2].body[4..].starts_with(b"ftyp"), "the initialisation segment");
    assert!(answers[3..].iter().all(|media| media.body.windows(4).any(|four| four == b"moof")), "segment and part");

    // The one after the next may be asked for as well.
    let wanted = middle_of_a_segment(|| get(&format!("{base}index.m3u8"))).0 + 2;
    let blocked = vec![format!("{base}index.m3u8?_HLS_msn={wanted}"); WAITING];
    let curl = Curl::start(&server, &blocked);
    eventually("all of them wait", Duration::from_secs(60), || {
        let room = server.json("/api/rooms/room").expect("the room is there");
        (room["actors"]["packager"]["hls_waiting"] == WAITING).then_some(())
    });
    let answers = curl.finish();
    check_one_connection(&answers);
    for answer in &answers {
        let playlist = String::from_utf8_lossy(&answer.body);
        assert!(playlist.contains(&format!("\n{wanted:06}.m4s\n")), "{playlist}");
    }
}
