//! A receiver of webhooks: a small HTTP server that answers as the test wants and notes what it got.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;

/// What came in one request.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body as it came, for the signature.
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    /// Returns a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// How a request is answered.
pub(crate) enum Reply {
    /// With this status.
    Status(u16),
    /// Not at all, as long as the other side waits.
    Silence,
}

/// Runs until dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens on an address of the loopback interface; `reply` is asked for each request, with its number from 0.
    pub(crate) fn on(address: SocketAddr, reply: impl Fn(usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("it is bound");
        let (deliveries, ended) = (Arc::<Mutex<Vec<Delivery>>>::default(), Arc::<AtomicBool>::default());
        let (notes, is_over) = (Arc::clone(&deliveries), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let mut silent = Vec::new();
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // A client that was killed in the middle has sent no request.
                let Some(delivery) = read_request(&stream) else { continue };
                notes.lock().expect("no test fails while it holds it").push(delivery);
                match reply(number) {
                    Reply::Status(status) => answer(&stream, status),
                    Reply::Silence => silent.push(stream),
                }
            }
        });
        Self { address, deliveries, ended, thread: Some(thread) }
    }

    /// Listens on any port.
    pub(crate) fn start(reply: impl Fn(usize) -> Reply + Send + 'static) -> Self {
        Self::on(SocketAddr::from(([127, 0, 0, 1], 0)), reply)
    }

    /// Returns its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?token=hunter2", self.address)
    }

    /// Returns what came so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().expect("no test fails while it holds it").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread, which then sees that it is over.
        let _refused = TcpStream::connect(self.address);
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn read_request(stream: &TcpStream) -> Option<Delivery> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    assert_eq!(line, "POST /hook?token=hunter2 HTTP/1.1\r\n");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Delivery { headers, body })
}

fn answer(mut stream: &TcpStream, status: u16) {
    let answer = format!("HTTP/1.1 {status} As Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // The other side may be gone.
    let _unheard = stream.write_all(answer.as_bytes());
}
