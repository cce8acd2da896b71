//! A reader of server-sent events (HTML Living Standard §9.2.6).

use std::io::{BufRead, BufReader};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::Server;

/// How long a test waits for an event: a segment of 2 s and a busy machine.
const WITHIN: Duration = Duration::from_secs(30);

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// `id`; empty when there is none.
    pub(crate) id: String,
    /// `event`.
    pub(crate) kind: String,
    /// `data`.
    pub(crate) data: Value,
}

/// Reads a stream in a thread of its own, until it ends or the test does.
pub(crate) struct EventStream {
    frames: Receiver<Frame>,
}

impl EventStream {
    /// Opens a stream, from after an event if its id is given.
    pub(crate) fn open(server: &Server, path: &str, last: Option<&str>) -> Self {
        let request = server.request(Method::GET, path).timeout(Duration::from_secs(120));
        let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let answer = request.send().expect("the server is up");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut lines = BufReader::new(answer).lines();
        assert_eq!(lines.next().expect("it begins at once").expect("UTF-8"), "retry: 2000");
        let (sender, frames) = mpsc::channel();
        thread::spawn(move || {
            let (mut id, mut kind, mut data) = (String::new(), String::new(), None);
            for line in lines.map_while(Result::ok) {
                match line.split_once(": ") {
                    Some(("id", value)) => id = value.into(),
                    Some(("event", value)) => kind = value.into(),
                    Some(("data", value)) => data = Some(serde_json::from_str(value).expect("data is JSON")),
                    _ => {}
                }
                let Some(data) = data.take_if(|_| line.is_empty()) else { continue };
                let frame = Frame { id: std::mem::take(&mut id), kind: std::mem::take(&mut kind), data };
                if sender.send(frame).is_err() {
                    return;
                }
            }
        });
        Self { frames }
    }

    /// Waits for the next event; nothing when the stream has ended.
    pub(crate) fn next(&self) -> Option<Frame> {
        match self.frames.recv_timeout(WITHIN) {
            Ok(frame) => Some(frame),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no event within {WITHIN:?}"),
        }
    }

    /// Reads up to an event of a type, which is the last one returned.
    pub(crate) fn until(&self, kind: &str) -> Vec<Frame> {
        let (end, mut frames) = (Instant::now() + WITHIN, Vec::<Frame>::new());
        while frames.last().is_none_or(|frame| frame.kind != kind) {
            assert!(Instant::now() < end, "no {kind} within {WITHIN:?}: {frames:?}");
            frames.push(self.next().unwrap_or_else(|| panic!("the stream ended before {kind}")));
        }
        frames
    }
}
