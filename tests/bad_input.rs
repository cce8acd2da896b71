//! What a hostile network sends: names, paths and datagrams. The server is unharmed and other rooms are untouched.

use std::net::UdpSocket;
use std::time::Duration;

use crate::support::{Offer, Server, alone, check_playable, finished_recording, publish, raw_http};

/// A room name is 1 to 64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot.
#[test]
fn hostile_room_names_are_refused() {
    let mut server = Server::start();
    let offer = Offer::publisher().sdp();
    let long = "a".repeat(65);
    let very_long = "a".repeat(5_000);
    let names = [
        "%2e%2e",
        ".hidden",
        "%2f",
        "a%2fb",
        "..%2f..%2fetc",
        "a%00b",
        "caf%C3%A9",
        "%F0%9F%98%80",
        "a%20b",
        "a%5Cb",
        "%ff",
        &long,
        &very_long,
    ];
    for name in names {
        for (method, path) in
            [("POST", "/whip/"), ("POST", "/whep/"), ("GET", "/hls/"), ("GET", "/api/rooms/"), ("GET", "/recordings/")]
        {
            let rest = match path {
                "/hls/" => "/index.m3u8",
                "/recordings/" => "/20261122T063000Z-7f3a9c/recording.mp4",
                _ => "",
            };
            let length = offer.len();
            let request = format!(
                "{method} {path}{name}{rest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                 Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{offer}"
            );
            let (status, head, body) = raw_http(&server, &request);
            assert_eq!(status, 400, "{method} {path}{name}: {head}");
            assert!(head.contains("application/problem+json") && body.contains("invalid_room_name"), "{head} {body}");
        }
    }
    assert!(server.is_alive());
    assert_eq!(server.json("/api/rooms").unwrap()["rooms"].as_array().map(Vec::len), Some(0));
}

/// Paths that try to leave their place reach nothing of the file system: they are refused, lead to a page, or to the
/// GET of a WHIP endpoint, which says nothing (W16).
#[test]
fn paths_do_not_climb() {
    let mut server = Server::start();
    for path in [
        "/whip/..",
        "/whip/../../log",
        "/recordings/../../log",
        "/assets/../../../log",
        "/assets/..%2f..%2flog",
        "//etc/passwd",
        "/recordings/room/..%2f..%2f/log",
        "/hls/room/../../../log",
        "/whip/",
        "/whip",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            let (status, head, body) = raw_http(&server, &request);
            assert!(
                (400..500).contains(&status) || (status == 200 && body.contains("<html")) || status == 204,
                "{method} {path}: {head}"
            );
            assert!(!body.contains("root:"), "{body}");
        }
    }
    assert!(server.is_alive());
}

/// Requests that are no HTTP.
#[test]
fn broken_requests_do_no_harm() {
    let mut server = Server::start();
    let flood = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n", "a".repeat(300_000));
    for request in [
        "POST /whip/room HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/sdp\r\nContent-Length: -1\r\n\r\n",
        "POST /whip/room HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/sdp\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "NONSENSE\r\n\r\n",
        &flood,
    ] {
        let (status, head, _) = raw_http(&server, request);
        assert!((400..500).contains(&status), "{head}");
    }
    assert!(server.is_alive());
}

/// Numbers that look random and are the same in every run (xorshift64*).
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// Makes a datagram that a demultiplexer takes for STUN, DTLS, RTP, RTCP or nothing (RFC 7983 §7).
    fn datagram(&mut self) -> Vec<u8> {
        let length = (self.next() % 1_400) as usize;
        let mut bytes = self.bytes(length);
        let first: &[u8] = match self.next() % 6 {
            // A binding request with the magic cookie, whose attributes are noise or cut off.
            0 => &[0x00, 0x01, (length >> 8) as u8, length as u8, 0x21, 0x12, 0xA4, 0x42],
            // A USERNAME that claims more bytes than there are.
            1 => &[
                0x00, 0x01, 0x00, 0x10, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x00, 0x06,
                0xFF, 0xFF,
            ],
            2 => &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1],
            3 => &[0x80, 96],
            4 => &[0x81, 206, 0xFF, 0xFF],
            _ => &[],
        };
        bytes.splice(..first.len().min(bytes.len()), first.iter().copied());
        bytes
    }
}

#[test]
fn garbage_at_the_media_port_does_not_touch_a_broadcast() {
    let _alone = alone();
    let mut server = Server::start();
    let mut publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &[]);
    server.wait_until_live("room");
    let mut seeded = Seeded(0x006F_6E61_6972);
    // Sockets of several addresses, so that what is kept of an address is tried too.
    let sockets: Vec<_> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for number in 0..4_000 {
        // A full send buffer loses a datagram, as networks do.
        let _lost = sockets[number % sockets.len()].send_to(&seeded.datagram(), server.address());
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(publisher.wait(Duration::from_secs(30)).success());
    assert!(server.is_alive());
    let recording = finished_recording(&server, "room")["recording"].as_str().unwrap().to_owned();
    let stored = server.recordings().join("room").join(recording).join("recording.mp4");
    check_playable(stored.to_str().unwrap(), &["h264", "opus"], 12.0);
    let complaints = server.log().lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
    assert!(complaints < 60, "at most one line a second and cause, not one a datagram: {complaints}");
}
