//! Stands between us and a server: writes down what is sent, and refuses first what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Runs on the test's own runtime, and ends with it.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// Passes connections on to `endpoint`, but answers the first request of each of the first ones as `refusals` say:
    /// status and headers, one a line.
    pub(crate) async fn before(endpoint: &str, refusals: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            sent: Arc::new(Mutex::new(Vec::new())),
        };
        let server = endpoint.strip_prefix("http://").unwrap().to_owned();
        let mut refusals: VecDeque<String> = refusals.iter().map(|&refusal| refusal.to_owned()).collect();
        let sent = Arc::clone(&proxy.sent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                match refusals.pop_front() {
                    Some(refusal) => refuse(client, &refusal).await,
                    None => pass_on(client, &server, &sent).await,
                }
            }
        });
        proxy
    }

    /// Returns what was passed on to the server, as text.
    pub(crate) fn sent(&self) -> String {
        String::from_utf8_lossy(&self.sent.lock().unwrap()).into_owned()
    }
}

/// Reads a request with its body, answers and closes.
async fn refuse(mut client: TcpStream, refusal: &str) {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    while !is_whole(&request) {
        let count = client.read(&mut chunk).await.unwrap();
        assert_ne!(count, 0, "the client broke off");
        request.extend_from_slice(&chunk[..count]);
    }
    let lines = refusal.lines().collect::<Vec<_>>().join("\r\n");
    let answer = format!("HTTP/1.1 {lines}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(answer.as_bytes()).await.unwrap();
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

async fn pass_on(client: TcpStream, server: &str, sent: &Arc<Mutex<Vec<u8>>>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = TcpStream::connect(server).await.unwrap().into_split();
    tokio::spawn(copy(from_client, to_server, Some(Arc::clone(sent))));
    tokio::spawn(copy(from_server, to_client, None));
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, notes: Option<Arc<Mutex<Vec<u8>>>>) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if let Some(notes) = &notes {
            notes.lock().unwrap().extend_from_slice(&chunk[..count]);
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            break;
        }
    }
}
