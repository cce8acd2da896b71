//! Brings everything that is recorded to the store: in order within a recording, side by side across recordings.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use onair_media::{RecordingId, RoomName};
use onair_recorder::{Mp4Layout, ObjectName, ObjectPath, Spool, SpoolError, Store, StoreError, sha256_hex};
use serde::Serialize;
use tracing::warn;

use crate::observe::{Observe, observed};
use crate::session_id::random;

/// The first wait after a failure; each further one is twice as long, up to the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// The most objects that may wait for one recording when a segment is to join them. At two renditions and 4 s segments
/// this is half a day of a dead store; the recorder learns when it is reached. Playlists, the MP4 and the manifest are
/// let in all the same: they are few, and without the manifest what is stored cannot be found.
const MAX_WAITING: usize = 20_000;

/// How often the MP4 is tried in a row: 7 min of waits, and the time that each attempt takes. After that the recording
/// is sealed without it, for nothing of the MP4 is missing from its segments.
const MP4_ATTEMPTS: u32 = 20;

/// Stores an object. *Reliable*: [`Stored`] comes when the store has it, however long that takes, or when it is given
/// up: a segment that finds the queue full, an MP4 that failed too often, and whatever the spool cannot read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Put {
    /// Where to.
    pub to: ObjectPath,
    /// What.
    pub content: Content,
    /// Who is told.
    pub reply: Recipient<Stored>,
}

/// Where the bytes of an object come from.
#[derive(Debug)]
pub enum Content {
    /// From memory: a playlist, a manifest.
    Bytes(Bytes),
    /// From the spool's object of the same name.
    Spooled,
    /// The progressive MP4, put together from the spool's segments.
    Assembled(Mp4Layout),
}

/// Tells that the store has an object, or that it will not have it. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stored {
    /// Which one.
    pub object: ObjectPath,
    /// Its size and checksum, or why it is given up.
    pub outcome: Result<StoredObject, String>,
}

/// Describes what the store has.
#[derive(Debug, Clone)]
pub struct StoredObject {
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}

type Key = (RoomName, RecordingId);

/// Owns the way to the store.
#[derive(Debug)]
pub struct Uploader {
    store: Arc<Store>,
    spool: Arc<Spool>,
    /// What waits, in order; a recording's first entry is under way.
    queues: HashMap<Key, VecDeque<Put>>,
    stored: u64,
    stored_bytes: u64,
    failed_attempts: u64,
    refused: u64,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct UploaderState<'a> {
    recordings: usize,
    waiting: usize,
    stored: u64,
    stored_bytes: u64,
    failed_attempts: u64,
    /// Objects that were given up.
    refused: u64,
    last_error: Option<&'a str>,
}

impl Uploader {
    /// Creates the way from a spool to a store.
    pub fn new(store: Arc<Store>, spool: Arc<Spool>) -> Self {
        Self {
            store,
            spool,
            queues: HashMap::new(),
            stored: 0,
            stored_bytes: 0,
            failed_attempts: 0,
            refused: 0,
            last_error: None,
        }
    }

    /// Starts the first upload of a recording's queue; the next one follows when it is through.
    fn upload_next(&mut self, key: Key, ctx: &mut Context<Self>) {
        let Some(put) = self.queues.get_mut(&key).and_then(VecDeque::pop_front) else {
            self.queues.remove(&key);
            return;
        };
        let (store, spool, uploader) = (Arc::clone(&self.store), Arc::clone(&self.spool), ctx.address());
        let upload = async move {
            let outcome = upload(&store, &spool, &put, &uploader).await;
            (put, outcome)
        };
        ctx.spawn(upload.into_actor(self).map(move |(put, outcome), uploader, ctx| {
            uploader.note(&outcome);
            put.reply.do_send(Stored { object: put.to, outcome });
            uploader.upload_next(key, ctx);
        }));
    }

    fn note(&mut self, outcome: &Result<StoredObject, String>) {
        match outcome {
            Ok(object) => {
                self.stored += 1;
                self.stored_bytes += object.bytes;
                self.last_error = None;
            }
            Err(_) => self.refused += 1,
        }
    }
}

/// Tries until the store has it. Given up is what cannot be read from the spool, and an MP4 that failed too often: the
/// manifest waits behind it.
async fn upload(store: &Store, spool: &Spool, put: &Put, uploader: &Addr<Uploader>) -> Result<StoredObject, String> {
    let mut backoff = FIRST_BACKOFF;
    let mut attempts = 0;
    loop {
        let error = match attempt(store, spool, put).await {
            Ok(object) => return Ok(object),
            Err(Failure::Spool(error)) => return Err(with_cause(&*error)),
            Err(Failure::Store(error)) => with_cause(&error),
        };
        uploader.do_send(AttemptFailed(error.clone()));
        attempts += 1;
        if matches!(put.content, Content::Assembled(_)) && attempts >= MP4_ATTEMPTS {
            return Err(format!("failed {attempts} times: {error}"));
        }
        let [jitter] = random::<1>();
        let wait = backoff.mul_f64(0.5 + f64::from(jitter) / 512.0);
        warn!(object = %put.to, error, wait_ms = wait.as_millis() as u64, "not stored, trying again");
        tokio::time::sleep(wait).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

/// Says what failed and why, in one line. Deeper causes are not named: the libraries repeat them on each level.
fn with_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Why an attempt failed: another one may help against the store, but not against the spool.
enum Failure {
    Spool(Box<dyn Error + Send + Sync>),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Source { source, .. } => Self::Spool(source),
            error => Self::Store(error),
        }
    }
}

async fn attempt(store: &Store, spool: &Spool, put: &Put) -> Result<StoredObject, Failure> {
    match &put.content {
        Content::Bytes(bytes) => put_bytes(store, &put.to, bytes.clone()).await,
        Content::Spooled => {
            let bytes = spool.read(&put.to, None).await.map_err(|error| Failure::Spool(error.into()))?;
            put_bytes(store, &put.to, bytes).await
        }
        Content::Assembled(layout) => {
            let uploaded = store.put_stream(&put.to, layout.total_bytes, assembled(spool, &put.to, layout)).await?;
            Ok(StoredObject { bytes: uploaded.size, sha256: uploaded.sha256 })
        }
    }
}

async fn put_bytes(store: &Store, to: &ObjectPath, bytes: Bytes) -> Result<StoredObject, Failure> {
    let object = StoredObject { bytes: bytes.len() as u64, sha256: sha256_hex(&bytes) };
    store.put(to, bytes).await?;
    Ok(object)
}

/// Reads the pieces of an MP4 from the spool, one after another.
fn assembled<'a>(
    spool: &'a Spool,
    to: &'a ObjectPath,
    layout: &'a Mp4Layout,
) -> impl Stream<Item = Result<Bytes, SpoolError>> + Send + 'a {
    let pieces = stream::iter(&layout.pieces).then(async move |piece| {
        let name = ObjectName::parse(&piece.object).expect("the layout names our own segments");
        let segment = ObjectPath::new(&to.room, &to.recording, name);
        spool.read(&segment, Some(piece.range.clone())).await
    });
    stream::once(async { Ok(layout.header.clone()) }).chain(pieces)
}

/// One attempt failed; another follows. *At most once.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct AttemptFailed(String);

impl Actor for Uploader {
    type Context = Context<Self>;
}

impl Handler<Put> for Uploader {
    type Result = ();

    fn handle(&mut self, put: Put, ctx: &mut Self::Context) {
        let key = (put.to.room.clone(), put.to.recording.clone());
        let is_idle = !self.queues.contains_key(&key);
        let queue = self.queues.entry(key.clone()).or_default();
        if matches!(put.content, Content::Spooled) && queue.len() >= MAX_WAITING {
            self.refused += 1;
            put.reply.do_send(Stored { object: put.to, outcome: Err("too many objects wait for the store".into()) });
            return;
        }
        queue.push_back(put);
        if is_idle {
            self.upload_next(key, ctx);
        }
    }
}

impl Handler<AttemptFailed> for Uploader {
    type Result = ();

    fn handle(&mut self, AttemptFailed(error): AttemptFailed, _: &mut Self::Context) {
        self.failed_attempts += 1;
        self.last_error = Some(error);
    }
}

impl Handler<Observe> for Uploader {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(observed(&UploaderState {
            recordings: self.queues.len(),
            waiting: self.queues.values().map(VecDeque::len).sum(),
            stored: self.stored,
            stored_bytes: self.stored_bytes,
            failed_attempts: self.failed_attempts,
            refused: self.refused,
            last_error: self.last_error.as_deref(),
        }))
    }
}
