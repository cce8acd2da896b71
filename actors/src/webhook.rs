//! Webhooks: every event goes to its receivers by HTTP, at least once and in order, also over a restart.
//!
//! An event is on the disk before it is sent, and stays there until the receiver has taken it or it is given up. Each
//! receiver has its own queue, files and pace: one that is down delays nobody else.

mod backlog;
mod delivery;
mod post;
mod signature;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::join_all;
use onair_recorder::Interest;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::warn;

use crate::events::{Events, SubscribeError, millis};
use backlog::Backlog;
use delivery::Delivery;
use post::{client, post};

pub use post::HookUrl;
pub use signature::SigningKey;

/// How old an event may become before it is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How long receivers may take for what is left when the server ends.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// Says whom to tell what.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Where the receiver is.
    pub url: HookUrl,
    /// What its events are signed with.
    pub key: SigningKey,
    /// What it wants to hear.
    pub interest: Interest,
}

/// Says what kept webhooks from starting.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The directory of events that wait cannot be used.
    #[error("webhooks cannot use {path}")]
    Backlog {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no HTTP client to be had.
    #[error("webhooks have no HTTP client")]
    Client(#[from] reqwest::Error),
    /// Others were first, or the server ends.
    #[error("webhooks cannot listen")]
    Subscribe(#[from] SubscribeError),
}

/// Runs the webhooks of a server.
#[derive(Debug)]
pub struct Webhooks {
    gauges: Vec<Gauge>,
    tasks: Vec<JoinHandle<()>>,
}

impl Webhooks {
    /// Begins to tell receivers what happens, and what was left from before; `directory` is theirs alone.
    ///
    /// Must be called within a tokio runtime, before anything happens.
    ///
    /// # Errors
    /// [`WebhookError`] when a receiver could not be served reliably.
    pub async fn start(
        settings: Vec<WebhookSettings>,
        directory: PathBuf,
        events: &Events,
    ) -> Result<Self, WebhookError> {
        let mut webhooks = Self { gauges: Vec::new(), tasks: Vec::new() };
        sweep(&settings, &directory).await?;
        if settings.is_empty() {
            return Ok(webhooks);
        }
        let client = client()?;
        for WebhookSettings { url, key, interest } in settings {
            let path = directory.join(url.digest());
            let opened = Backlog::open(path.clone()).await;
            let (backlog, left) = opened.map_err(|source| WebhookError::Backlog { path, source })?;
            let name = url.to_string();
            let client = client.clone();
            let send = move |id, kind, body| {
                let (client, url, key) = (client.clone(), url.clone(), key.clone());
                async move { post(&client, &url, &key, (id, kind), body).await }.boxed()
            };
            let delivery = Delivery::new(name, Arc::new(send), backlog, left, events.clone(), interest).await?;
            webhooks.gauges.push(delivery.gauge().clone());
            webhooks.tasks.push(tokio::spawn(delivery.run()));
        }
        Ok(webhooks)
    }

    /// Returns what shows how each receiver stands.
    pub fn gauges(&self) -> Vec<Gauge> {
        self.gauges.clone()
    }

    /// Waits, after the events were closed, until every receiver has what it takes; what is left then stays on the
    /// disk and goes out at the next start.
    pub async fn finish(self) {
        if timeout(FINISH_WITHIN, join_all(self.tasks)).await.is_err() {
            warn!(
                within_s = FINISH_WITHIN.as_secs(),
                "some events are not delivered yet, they go out at the next start"
            );
        }
    }
}

/// Forgets what waits for receivers that are configured no more, when it would have been given up anyway.
async fn sweep(settings: &[WebhookSettings], directory: &Path) -> Result<(), WebhookError> {
    if settings.is_empty() && !directory.exists() {
        return Ok(());
    }
    let configured = settings.iter().map(|settings| settings.url.digest()).collect();
    let oldest = millis(Utc::now() - GIVE_UP_AFTER);
    let path = directory.to_owned();
    match backlog::sweep(path.clone(), configured, oldest).await {
        Ok(0) => Ok(()),
        Ok(waiting) => {
            warn!(waiting, directory = %path.display(), "events wait for webhooks that are configured no more");
            Ok(())
        }
        Err(source) => Err(WebhookError::Backlog { path, source }),
    }
}

/// Shows how one receiver stands. Cloning is cheap, and all clones show the same.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<Mutex<WebhookState>>);

/// How one receiver stands, for people.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WebhookState {
    /// Where it is, as far as that may be shown.
    pub url: String,
    /// How many events wait for it.
    pub waiting: usize,
    /// How many it has taken since the start.
    pub delivered: u64,
    /// How many attempts failed.
    pub failed_attempts: u64,
    /// How many events were given up: refused for good, too old, or gone from the disk.
    pub given_up: u64,
    /// How many had to go because too many waited.
    pub dropped: u64,
    /// How many came too fast to be kept.
    pub missed: u64,
    /// Why the latest attempt failed; `None` after one that did not.
    pub last_error: Option<String>,
}

impl Gauge {
    /// Returns how it stands now.
    pub fn state(&self) -> WebhookState {
        self.write().clone()
    }

    fn write(&self) -> MutexGuard<'_, WebhookState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
