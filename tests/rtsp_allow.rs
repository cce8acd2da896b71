//! Cameras of the API: only where the configuration says so, whatever a camera answers.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, alone, camera, eventually, finished_recording};

/// On a busy machine everything takes its time.
const SOON: Duration = Duration::from_secs(60);

/// A version of a server from whose sessions nothing but a goodbye frees a client, so that ours says it over a new
/// connection if it must.
const STUBBORN: &str = "LIVE555 Streaming Media v2013.01.01";

fn post(server: &Server, body: &Value) -> Answer {
    server.request(Method::POST, "/api/sources").json(body).send().expect("the server is up").into()
}

fn ask(server: &Server, method: Method, path: &str) -> Answer {
    server.request(method, path).send().expect("the server is up").into()
}

/// The API adds cameras only where the configuration says that it may.
#[test]
fn the_api_adds_cameras_within_its_networks() {
    let _alone = alone();
    let (_camera, port) = camera(&[]);
    let body = json!({ "room": "cam", "url": format!("rtsp://127.0.0.1:{port}/cam"), "transport": "tcp" });
    let closed = Server::start();
    let refused = post(&closed, &body).refused(403, "source_not_allowed");
    assert!(refused.text().contains("rtsp.allow"), "{}", refused.text());
    assert_eq!(closed.json("/api/sources"), Some(json!({ "sources": [] })));

    let server = Server::with(&["--set", "rtsp.allow=127.0.0.0/30, 10.0.0.0/8"]);
    let elsewhere = json!({ "room": "cam", "url": "rtsp://admin:hunter2@192.0.2.7/cam" });
    let mut udp = body.clone();
    udp["transport"] = "udp".into();
    let refused = post(&server, &udp).refused(403, "source_not_allowed");
    assert!(refused.text().contains("TCP only"), "{}", refused.text());
    let refused = post(&server, &elsewhere).refused(403, "source_not_allowed");
    assert!(refused.text().contains("192.0.2.7") && !refused.text().contains("hunter2"), "{}", refused.text());
    for bad in [
        json!({ "room": "cam" }),
        json!({ "room": "cam", "url": "http://127.0.0.1/hunter2" }),
        json!({ "room": "cam", "url": "rtsp://127.0.0.1/hunter2", "transport": "carrier pigeon" }),
        json!({ "room": "cam", "url": "rtsp://127.0.0.1/hunter2", "more": 1 }),
        json!({ "room": "cam", "url": { "rtsp://hunter2@127.0.0.1/": 1 } }),
    ] {
        let refused = post(&server, &bad).refused(400, "invalid_request");
        assert!(!refused.text().contains("hunter2"), "{}", refused.text());
    }
    post(&server, &json!({ "room": ".cam", "url": "rtsp://127.0.0.1/" })).refused(400, "invalid_room_name");
    let text = server.request(Method::POST, "/api/sources").body("rtsp://127.0.0.1/");
    Answer::from(text.send().expect("the server is up")).refused(415, "unsupported_media_type");

    let added = post(&server, &body);
    assert_eq!((added.status, added.header("location")), (201, "/api/sources/cam"), "{}", added.text());
    post(&server, &body).refused(409, "room_has_source");
    server.wait_for_room_within("cam", "the camera is live", SOON, |room| room["state"] == "live");
    assert_eq!(ask(&server, Method::DELETE, "/api/sources/cam").status, 204);
    ask(&server, Method::GET, "/api/sources/cam").refused(404, "source_not_found");
    finished_recording(&server, "cam");
}

/// It takes the whole server's `admin`, and no page of another site.
#[test]
fn only_admins_have_to_do_with_cameras() {
    let tokens = "auth.tokens=[{ token = \"viewer-hunter2\", can = [\"view\", \"publish\"] }, \
                  { token = \"gate-hunter2\", can = [\"admin\"], rooms = \"gate\" }, \
                  { token = \"admin-hunter2\", can = [\"admin\"] }]";
    let closed = Server::with(&["--set", "auth.mode=token", "--set", tokens, "--set", "rtsp.allow=127.0.0.1"]);
    let body = json!({ "room": "gate", "url": "rtsp://127.0.0.1:9/", "on_demand": true });
    let paths = [(Method::GET, ""), (Method::POST, ""), (Method::GET, "/gate"), (Method::DELETE, "/gate")];
    for (method, path) in &paths {
        let request = |token: Option<&str>| -> Answer {
            let request = closed.request(method.clone(), &format!("/api/sources{path}")).json(&body);
            let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
            request.send().expect("the server is up").into()
        };
        request(None).refused(401, "token_required");
        request(Some("viewer-hunter2")).refused(403, "forbidden");
        request(Some("gate-hunter2")).refused(403, "forbidden");
    }
    for ((method, path), status) in paths.into_iter().zip([200, 201, 200, 204]) {
        let request = closed.request(method, &format!("/api/sources{path}")).bearer_auth("admin-hunter2").json(&body);
        assert_eq!(Answer::from(request.send().expect("the server is up")).status, status, "{path}");
    }

    let open = Server::with(&["--set", "rtsp.allow=127.0.0.1"]);
    for (method, path) in [(Method::POST, "/api/sources"), (Method::DELETE, "/api/sources/gate")] {
        let foreign = open.request(method, path).header("origin", "https://example.org").json(&body);
        Answer::from(foreign.send().expect("the server is up")).refused(403, "forbidden");
    }
}

/// There are so many sources and no more; one that goes makes room for another.
#[test]
fn sources_have_a_limit() {
    let server = Server::with(&["--set", "rtsp.allow=127.0.0.1"]);
    let body =
        |number: u32| json!({ "room": format!("cam-{number}"), "url": "rtsp://127.0.0.1:9/", "on_demand": true });
    for number in 0..1_000 {
        assert_eq!(post(&server, &body(number)).status, 201, "{number}");
    }
    let refused = post(&server, &body(1_000)).refused(503, "overloaded");
    assert!(refused.text().contains("1000 sources"), "{}", refused.text());
    let list = server.json("/api/sources").expect("a list");
    assert_eq!(list["sources"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(ask(&server, Method::DELETE, "/api/sources/cam-7").status, 204);
    assert_eq!(post(&server, &body(1_000)).status, 201);
    let long = json!({ "room": "cam", "url": "rtsp://127.0.0.1/".to_owned() + &"x".repeat(9_000) });
    post(&server, &long).refused(413, "body_too_large");
}

/// A camera within the networks names a host outside of them: nothing is sent there.
#[test]
fn a_camera_does_not_lead_out_of_its_networks() {
    let _alone = alone();
    let outside = TcpListener::bind("127.0.0.2:0").expect("all of 127.0.0.0/8 is this host");
    let (port, asked) = misleading_camera(outside.local_addr().expect("it is bound"));
    outside.set_nonblocking(true).expect("a socket can do that");
    let url = format!("rtsp://127.0.0.1:{port}/cam");

    // A camera of the configuration is trusted, which shows that this one misleads.
    let source = format!("sources=[{{ room = \"cam\", url = \"{url}\" }}]");
    let trusting = Server::with(&["--set", &source]);
    eventually("the client goes where it is led", SOON, || outside.accept().ok());
    drop(trusting);
    while asked.try_recv().is_ok() {}
    while outside.accept().is_ok() {}

    let server = Server::with(&["--set", "rtsp.allow=127.0.0.1"]);
    assert_eq!(post(&server, &json!({ "room": "cam", "url": url })).status, 201);
    // Who is asked a fourth time was left three times, after each kind of answer; one question may be of the server before.
    for _ in 0..4 {
        asked.recv_timeout(SOON).expect("it is asked again and again");
    }
    assert_eq!(outside.accept().expect_err("nobody came").kind(), ErrorKind::WouldBlock);
}

/// Starts a camera that answers every other time with a redirection, and else as if it was based at `elsewhere`, and ends
/// each session before it plays. Returns its port, and what tells of each time it is asked.
fn misleading_camera(elsewhere: SocketAddr) -> (u16, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (tell, told) = channel();
    thread::spawn(move || {
        let connections = listener.incoming().map_while(Result::ok);
        connections.zip([false, true].into_iter().cycle()).for_each(|(connection, redirects)| {
            mislead(connection, redirects, elsewhere, &tell);
        });
    });
    (port, told)
}

/// Answers what is asked over one connection, up to PLAY.
fn mislead(connection: TcpStream, redirects: bool, elsewhere: SocketAddr, tell: &Sender<()>) {
    let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let number = headers.iter().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("0");
        let (mut head, mut body) = (format!("CSeq: {number}\r\n"), String::new());
        let status = match request.split(' ').next() {
            Some("DESCRIBE") => {
                // The test may be over.
                tell.send(()).ok();
                write!(head, "Location: rtsp://{elsewhere}/cam\r\nContent-Base: rtsp://{elsewhere}/cam/\r\n")
                    .expect("a string takes everything");
                head += "Content-Type: application/sdp\r\n";
                body = description();
                if redirects { "302 Found" } else { "200 OK" }
            }
            Some("SETUP") => {
                head += "Session: 12345678\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
                "200 OK"
            }
            _ => return,
        };
        let length = body.len();
        let answer = format!("RTSP/1.0 {status}\r\n{head}Content-Length: {length}\r\n\r\n{body}");
        if (&connection).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn description() -> String {
    let lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=cam",
        "t=0 0",
        &format!("a=tool:{STUBBORN}"),
        "a=control:*",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 packetization-mode=1",
        "a=control:track1",
    ];
    lines.map(|line| format!("{line}\r\n")).concat()
}
