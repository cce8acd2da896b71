//! A store that misbehaves: a proxy before a real one, which passes requests on, or does something worse.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is passed on, and its answer passed back.
    Passed,
    /// The same, later.
    Delayed(Duration),
    /// The connection is reset when half of its body has come.
    ResetInBody,
    /// It is passed on; of the answer comes half, then the end.
    AnswerTruncated,
    /// It is answered with this status instead, and this header.
    Refused(u16, &'static str),
    /// It is answered with 200 and not passed on.
    Swallowed,
    /// The connection is reset at once.
    Dead,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// What became of it.
    pub(crate) fate: Fate,
    /// The status of the answer that was passed back.
    pub(crate) status: Option<u16>,
}

impl Request {
    /// Tells whether it is the beginning of an upload in parts.
    pub(crate) fn begins_upload(&self) -> bool {
        self.method == "POST" && self.target.contains("?uploads")
    }

    /// Returns the number of the part that it puts.
    pub(crate) fn part_number(&self) -> Option<u64> {
        let (_, number) = self.target.split_once("partNumber=").filter(|_| self.method == "PUT")?;
        number.split('&').next()?.parse().ok()
    }

    /// Tells whether it makes an object of its parts.
    pub(crate) fn completes_upload(&self) -> bool {
        self.method == "POST" && self.target.contains("?uploadId=")
    }

    /// Tells whether it puts an object in one piece whose name ends so.
    pub(crate) fn puts(&self, name: &str) -> bool {
        self.method == "PUT" && self.target.ends_with(name)
    }

    /// Tells whether the store did it.
    pub(crate) fn is_done(&self) -> bool {
        self.status == Some(200)
    }
}

type Policy = Box<dyn FnMut(&Request) -> Fate + Send>;

struct Inner {
    requests: Vec<Request>,
    policy: Policy,
}

/// Stands before a store.
pub(crate) struct Proxy {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Proxy {
    /// Starts one that passes everything on.
    pub(crate) fn before(store: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let inner = Arc::new(Mutex::new(Inner { requests: Vec::new(), policy: Box::new(|_| Fate::Passed) }));
        let (shared, store) = (Arc::clone(&inner), store.to_owned());
        // Ends with the process of the tests.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (inner, store) = (Arc::clone(&shared), store.clone());
                // What breaks off does so on purpose, or because the server was killed.
                thread::spawn(move || drop(serve(client, &store, &inner)));
            }
        });
        Self { address, inner }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Decides from now on.
    pub(crate) fn decide(&self, policy: impl FnMut(&Request) -> Fate + Send + 'static) {
        lock(&self.inner).policy = Box::new(policy);
    }

    /// Returns all requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.inner).requests.clone()
    }

    /// Counts requests.
    pub(crate) fn count(&self, wanted: impl Fn(&Request) -> bool) -> usize {
        lock(&self.inner).requests.iter().filter(|request| wanted(request)).count()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one request a connection.
fn serve(client: TcpStream, store: &str, inner: &Mutex<Inner>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, body_bytes) = read_head(&mut reader)?;
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default().into(), words.next().unwrap_or_default().into());
    let (index, fate) = {
        let mut inner = lock(inner);
        let mut request = Request { method, target, fate: Fate::Passed, status: None };
        request.fate = (inner.policy)(&request);
        inner.requests.push(request.clone());
        (inner.requests.len() - 1, request.fate)
    };
    match fate {
        Fate::Dead => return reset(&client),
        Fate::ResetInBody => {
            reader.take(body_bytes / 2).read_to_end(&mut Vec::new())?;
            return reset(&client);
        }
        Fate::Delayed(delay) => thread::sleep(delay),
        Fate::Passed | Fate::AnswerTruncated | Fate::Refused(..) | Fate::Swallowed => {}
    }
    let mut body = Vec::new();
    (&mut reader).take(body_bytes).read_to_end(&mut body)?;
    let answer = match fate {
        Fate::Refused(status, header) => own_answer(status, header),
        Fate::Swallowed => own_answer(200, "ETag: \"d41d8cd98f00b204e9800998ecf8427e\""),
        _ => {
            head.push_str("Connection: close\r\n\r\n");
            pass_on(store, head.as_bytes(), &body)?
        }
    };
    lock(inner).requests[index].status = status_of(&answer);
    let mut client = client;
    if fate == Fate::AnswerTruncated {
        client.write_all(&answer[..answer.len() / 2])?;
        return client.shutdown(Shutdown::Both);
    }
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Write)
}

/// Reads the head of a request without its last line and `Connection`, and says how long the body is.
fn read_head(reader: &mut impl BufRead) -> io::Result<(String, u64)> {
    let (mut head, mut body_bytes) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return Ok((head, body_bytes));
        }
        let lower = line.to_ascii_lowercase();
        if let Some(length) = lower.strip_prefix("content-length:") {
            body_bytes = length.trim().parse().map_err(io::Error::other)?;
        }
        assert!(!lower.starts_with("transfer-encoding:"), "bodies have a length: {line}");
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
}

fn pass_on(store: &str, head: &[u8], body: &[u8]) -> io::Result<Vec<u8>> {
    let mut store = TcpStream::connect(store)?;
    store.write_all(head)?;
    store.write_all(body)?;
    let mut answer = Vec::new();
    store.read_to_end(&mut answer)?;
    Ok(answer)
}

fn own_answer(status: u16, header: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} So\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into()
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let head = String::from_utf8_lossy(answer.get(..16)?).into_owned();
    head.split(' ').nth(1)?.parse().ok()
}

/// Closes so that the other side sees a reset.
fn reset(client: &TcpStream) -> io::Result<()> {
    SockRef::from(client).set_linger(Some(Duration::ZERO))
}
