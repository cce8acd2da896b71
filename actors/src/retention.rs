//! Deletes recordings that have been kept for long enough: at the start, and every ten minutes.
//!
//! What is to go is decided by `onair_recorder::retention`; here it is looked at once more, deleted and logged, one
//! recording after the other.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};
use onair_media::RoomName;
use onair_recorder::retention::expired;
use onair_recorder::{Expired, RecordingState, RetentionPolicy, Spool, Store, StoreError};
use tracing::{info, warn};

/// How long it rests between two runs.
const REST: Duration = Duration::from_secs(600);

/// Decides for each room what is kept.
pub type PolicyOf = Arc<dyn Fn(&RoomName) -> RetentionPolicy + Send + Sync>;

/// Owns the deleting of old recordings. It runs on a thread where nobody waits for it.
pub struct Retention {
    store: Arc<Store>,
    spool: Arc<Spool>,
    policy_of: PolicyOf,
}

impl Retention {
    /// Creates it; it begins when it is started.
    pub const fn new(store: Arc<Store>, spool: Arc<Spool>, policy_of: PolicyOf) -> Self {
        Self { store, spool, policy_of }
    }

    fn run(&self, ctx: &mut Context<Self>) {
        let (store, spool) = (Arc::clone(&self.store), Arc::clone(&self.spool));
        let policy_of = Arc::clone(&self.policy_of);
        let run = async move { delete_expired(&store, &spool, &policy_of).await };
        let rest = |(), _: &mut Self, ctx: &mut Context<Self>| {
            ctx.run_later(REST, |retention, ctx| retention.run(ctx));
        };
        ctx.spawn(run.into_actor(self).map(rest));
    }
}

impl Actor for Retention {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.run(ctx);
    }
}

/// Looks through the store for what is to go at `now`, the oldest first.
///
/// # Errors
/// [`StoreError::Backend`]: nothing can be said.
pub async fn find_expired(store: &Store, policy_of: &PolicyOf, now: DateTime<Utc>) -> Result<Vec<Expired>, StoreError> {
    store.refresh_index().await?;
    let summaries = store.summaries();
    Ok(expired(summaries.iter().map(AsRef::as_ref), now, |room| policy_of(room)))
}

/// Deletes a recording, unless it has been taken up or removed since it was found, and returns whether it did.
///
/// # Errors
/// Those of the store; some objects may be left, the manifest least of all.
pub async fn delete(store: &Store, expired: &Expired) -> Result<bool, StoreError> {
    let Expired { room, recording, end, stored_bytes, reason } = expired;
    let deleted = match store.summary(room, recording).await {
        Ok(now) if now.state == RecordingState::Live || now.end != *end => return Ok(false),
        Ok(_) => store.delete_recording(room, recording).await,
        Err(err) => Err(err),
    };
    match deleted {
        Ok(objects) => {
            info!(%room, %recording, %end, bytes = stored_bytes, objects, %reason, "recording deleted");
            Ok(true)
        }
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(err) => Err(err),
    }
}

async fn delete_expired(store: &Store, spool: &Spool, policy_of: &PolicyOf) {
    let expired = match find_expired(store, policy_of, Utc::now()).await {
        Ok(expired) => expired,
        Err(error) => return complain(&error, "the store cannot be looked through for old recordings"),
    };
    let (mut recordings, mut bytes) = (0_usize, 0_u64);
    for expired in expired {
        if spool.holds(&expired.room, &expired.recording) {
            continue;
        }
        match delete(store, &expired).await {
            Ok(true) => (recordings, bytes) = (recordings + 1, bytes.saturating_add(expired.stored_bytes)),
            Ok(false) => {}
            Err(error) => complain(&error, "an old recording cannot be deleted"),
        }
    }
    info!(recordings, bytes, "old recordings looked after");
}

fn complain(error: &StoreError, what: &str) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    warn!(%error, cause, "{what}");
}
