//! Brings everything that is recorded to the store, and does not give up.
//!
//! Who puts something decides on the order: what is put while something else is under way goes side by side with it.
//! Across all recordings no more than a certain number of bytes are on their way at once.

mod attempt;
#[cfg(test)]
pub(crate) mod flaky;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use onair_recorder::progressive::Source;
use onair_recorder::{ObjectPath, PartId, Spool, SpoolError, Store, StoreError, UploadId};
use serde::Serialize;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::core::backoff::Backoff;
use crate::observe::{Observe, observed};
use crate::session_id::random;

/// The first wait after a failure; each further one is twice as long, up to the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// How many bytes are on their way at once, across all recordings: eight parts of an MP4.
const BYTES_AT_ONCE: u64 = 64 << 20;

/// How often is looked whether somebody still waits for what is being put.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The unit in which the bytes are counted, and the least that an object counts for.
const UNIT_BYTES: u64 = 64 << 10;

/// How often the MP4 is tried in a row against a store that takes everything else: 5 min of waits, and the time that
/// each attempt takes. After that the recording is sealed without it, for nothing of it is missing from the segments.
const MP4_ATTEMPTS: u32 = 20;

/// How often a file of the spool is tried that is there and cannot be read, as when too many files are open: as long as
/// an MP4. A disk that does not get well by then has lost it.
const READ_ATTEMPTS: u32 = 20;

/// Stores something. *Reliable*: [`Done`] comes when the store has it and confirmed its size, however long that takes,
/// or when it will never have it. What nobody waits for any more is dropped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Put {
    /// Which object it is, or belongs to.
    pub to: ObjectPath,
    /// What.
    pub content: Content,
    /// Who is told.
    pub reply: Recipient<Done>,
}

/// What is put, and where its bytes come from.
#[derive(Debug)]
pub enum Content {
    /// An object from memory: a playlist, a manifest.
    Bytes(Bytes),
    /// An object from the spool's file of the same name, of about so many bytes.
    Spooled(u64),
    /// A short MP4 in one piece, of so many bytes.
    Whole(Vec<Source>, u64),
    /// The beginning of an upload in parts.
    Upload,
    /// A part of it.
    Part {
        /// The upload.
        upload: UploadId,
        /// Counts from 0.
        index: u64,
        /// What it is made of.
        from: Vec<Source>,
    },
    /// The end of it: the object of so many bytes.
    Complete {
        /// The upload.
        upload: UploadId,
        /// All its parts.
        parts: Vec<PartId>,
        /// The size of the object.
        bytes: u64,
    },
}

/// Tells what became of a [`Put`]. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Done {
    /// Which object it was about.
    pub object: ObjectPath,
    /// What the store says, or why it is given up.
    pub outcome: Result<Outcome, PutFailure>,
}

/// What the store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has an object.
    Stored(StoredObject),
    /// An upload has begun.
    Begun(UploadId),
    /// It has a part.
    Part {
        /// Counts from 0.
        index: u64,
        /// What the store calls it.
        id: PartId,
        /// Its size.
        bytes: u64,
        /// Its digest.
        sha256: [u8; 32],
    },
    /// An upload is an object now.
    Completed {
        /// Its size.
        bytes: u64,
    },
}

/// Describes what the store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Says why something will never be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutFailure {
    /// It cannot be read any more.
    #[error("{0}")]
    Lost(String),
    /// The store does not know the upload: it has to begin again.
    #[error("the store has lost the upload")]
    UploadGone,
    /// The store takes everything else, but not this.
    #[error("{0}")]
    Refused(String),
}

/// Owns the way to the store.
#[derive(Debug)]
pub struct Uploader {
    store: Arc<Store>,
    spool: Arc<Spool>,
    on_their_way: Arc<Semaphore>,
    waiting: u64,
    stored: u64,
    stored_bytes: u64,
    failed_attempts: u64,
    given_up: u64,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct UploaderState<'a> {
    /// Puts that are not done, under way or between two attempts.
    waiting: u64,
    stored: u64,
    stored_bytes: u64,
    failed_attempts: u64,
    given_up: u64,
    last_error: Option<&'a str>,
}

impl Uploader {
    /// Creates the way from a spool to a store.
    pub fn new(store: Arc<Store>, spool: Arc<Spool>) -> Self {
        Self {
            store,
            spool,
            on_their_way: Arc::new(Semaphore::new((BYTES_AT_ONCE / UNIT_BYTES) as usize)),
            waiting: 0,
            stored: 0,
            stored_bytes: 0,
            failed_attempts: 0,
            given_up: 0,
            last_error: None,
        }
    }

    fn note(&mut self, outcome: &Result<Outcome, PutFailure>) {
        match outcome {
            Ok(outcome) => {
                self.stored += 1;
                self.stored_bytes += outcome.bytes();
                self.last_error = None;
            }
            Err(_) => self.given_up += 1,
        }
    }
}

impl Outcome {
    const fn bytes(&self) -> u64 {
        match self {
            Self::Stored(StoredObject { bytes, .. }) | Self::Part { bytes, .. } => *bytes,
            // The parts of it were counted when they came.
            Self::Begun(_) | Self::Completed { .. } => 0,
        }
    }
}

impl Content {
    /// Returns how many bytes are in memory while it is put.
    fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Spooled(bytes) | Self::Whole(_, bytes) => *bytes,
            Self::Part { from, .. } => from.iter().map(Source::bytes).sum(),
            Self::Upload | Self::Complete { .. } => 0,
        }
    }

    /// Tells whether it belongs to the MP4, without which a recording is still whole.
    const fn is_mp4(&self) -> bool {
        !matches!(self, Self::Bytes(_) | Self::Spooled(_))
    }

    /// Returns how many units it takes of those that may be on their way.
    fn units(&self) -> u32 {
        let units = self.bytes().clamp(1, BYTES_AT_ONCE).div_ceil(UNIT_BYTES);
        u32::try_from(units).expect("there are about a thousand of them")
    }
}

/// What an attempt needs.
struct Way {
    store: Arc<Store>,
    spool: Arc<Spool>,
    on_their_way: Arc<Semaphore>,
    uploader: Addr<Uploader>,
}

impl Way {
    /// Tries until the store has it. Given up is what the spool does not have, or cannot read for minutes, and an MP4
    /// that failed often while the store answers otherwise: the manifest waits behind it.
    async fn put(&self, to: &ObjectPath, content: &Content) -> Result<Outcome, PutFailure> {
        let mut backoff = Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF);
        let mut attempts = 0;
        let mut unread = 0;
        loop {
            let error = match self.attempt(to, content).await {
                Ok(outcome) => return Ok(outcome),
                Err(StoreError::Source { source, .. }) => {
                    let error = with_cause(&*source);
                    unread += 1;
                    if !is_there(&*source) || unread >= READ_ATTEMPTS {
                        return Err(PutFailure::Lost(error));
                    }
                    error
                }
                Err(StoreError::UploadGone { .. }) => return Err(PutFailure::UploadGone),
                Err(error) => {
                    unread = 0;
                    with_cause(&error)
                }
            };
            self.uploader.do_send(AttemptFailed(error.clone()));
            attempts += 1;
            if content.is_mp4() && attempts >= MP4_ATTEMPTS && self.store_answers(to).await {
                return Err(PutFailure::Refused(format!("failed {attempts} times: {error}")));
            }
            let [jitter] = random::<1>();
            let wait = backoff.next(jitter);
            warn!(object = %to, error, wait_ms = wait.as_millis() as u64, "not stored, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Tries once, when there is room for it among what is on its way.
    async fn attempt(&self, to: &ObjectPath, content: &Content) -> Result<Outcome, StoreError> {
        let _room = self.on_their_way.acquire_many(content.units()).await.expect("it is never closed");
        attempt::attempt(&self.store, &self.spool, to, content).await
    }

    /// Asks for something that need not be there: a store that is up says so.
    async fn store_answers(&self, object: &ObjectPath) -> bool {
        matches!(self.store.head(object).await, Ok(_) | Err(StoreError::NotFound { .. }))
    }
}

/// Waits until nobody waits for an answer any more: whoever takes the recording up puts it again.
async fn abandoned(by: &Recipient<Done>) {
    while by.connected() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Tells whether what cannot be read is a file that is there, and long enough: it may be read later.
fn is_there(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let spooled = error.downcast_ref::<SpoolError>();
    spooled.is_some_and(|error| !matches!(error.source.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof))
}

/// Says what failed and why, in one line. Deeper causes are not named: the libraries repeat them on each level.
pub(crate) fn with_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
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

    fn handle(&mut self, Put { to, content, reply }: Put, ctx: &mut Self::Context) {
        self.waiting += 1;
        let way = Way {
            store: Arc::clone(&self.store),
            spool: Arc::clone(&self.spool),
            on_their_way: Arc::clone(&self.on_their_way),
            uploader: ctx.address(),
        };
        let (of, by) = (to.clone(), reply.clone());
        let put = async move {
            tokio::select! {
                outcome = way.put(&to, &content) => Some(outcome),
                () = abandoned(&by) => None,
            }
        };
        ctx.spawn(put.into_actor(self).map(move |outcome, uploader, _| {
            uploader.waiting -= 1;
            if let Some(outcome) = outcome {
                uploader.note(&outcome);
                reply.do_send(Done { object: of, outcome });
            }
        }));
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
            waiting: self.waiting,
            stored: self.stored,
            stored_bytes: self.stored_bytes,
            failed_attempts: self.failed_attempts,
            given_up: self.given_up,
            last_error: self.last_error.as_deref(),
        }))
    }
}
