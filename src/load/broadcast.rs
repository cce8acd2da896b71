//! The publishers, on a thread of their own: what viewers receive does not make frames late.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use url::Url;

use super::LoadError;
use super::frames::FRAMES_PER_S;
use super::publisher::{Plan, Published, Publisher};

/// How long the sessions may take to end.
const END_WITHIN: Duration = Duration::from_secs(3);

/// Running publishers; they end when this is dropped.
pub(crate) struct Broadcast {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    /// What they count.
    pub(crate) published: Arc<Published>,
    ended: Arc<Mutex<Vec<String>>>,
}

impl Broadcast {
    /// Starts a publisher for each URL, and waits until all of them are connected.
    ///
    /// # Errors
    /// That of the first publisher that cannot connect.
    pub(crate) async fn start(urls: Vec<Url>, plan: Plan) -> Result<Self, LoadError> {
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = oneshot::channel();
        let (published, ended) = (Arc::<Published>::default(), Arc::<Mutex<Vec<String>>>::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (counts, reasons) = (Arc::clone(&published), Arc::clone(&ended));
        let thread = thread::Builder::new().name("publishers".into()).spawn(move || {
            runtime.block_on(async move {
                match connect(urls, plan, counts).await {
                    Ok(publishers) => {
                        // Whoever waited may have been interrupted.
                        let _unheard = ready.send(Ok(()));
                        publish(publishers, &stopped, &reasons).await;
                    }
                    Err(error) => {
                        let _unheard = ready.send(Err(error));
                    }
                }
            });
        })?;
        is_ready.await.unwrap_or(Err(LoadError::Ended))?;
        Ok(Self { stop, thread: Some(thread), published, ended })
    }

    /// Returns why publishers ended by themselves.
    pub(crate) fn ended(&self) -> Vec<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        let _nobody_left = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

async fn connect(urls: Vec<Url>, plan: Plan, published: Arc<Published>) -> Result<Vec<Publisher>, LoadError> {
    let http = Client::new();
    let mut joins = JoinSet::new();
    for url in urls {
        let (plan, http, published) = (plan.clone(), http.clone(), Arc::clone(&published));
        joins.spawn(async move { Publisher::connect(url, &plan, http, published).await });
    }
    let mut publishers = Vec::with_capacity(joins.len());
    while let Some(joined) = joins.join_next().await {
        publishers.push(joined.unwrap_or(Err(LoadError::Ended))?);
    }
    Ok(publishers)
}

/// Publishes until told to stop, then ends the sessions.
async fn publish(publishers: Vec<Publisher>, stopped: &watch::Receiver<bool>, ended: &Arc<Mutex<Vec<String>>>) {
    let apart = Duration::from_secs(1) / FRAMES_PER_S / publishers.len().max(1) as u32;
    let mut tasks = JoinSet::new();
    for (index, mut publisher) in publishers.into_iter().enumerate() {
        let (mut stopped, ended) = (stopped.clone(), Arc::clone(ended));
        tasks.spawn(async move {
            // Encoders do not keep time with each other.
            tokio::time::sleep(apart * index as u32).await;
            tokio::select! {
                Err(error) = publisher.run() => {
                    ended.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
                }
                _ = stopped.wait_for(|stop| *stop) => {}
            }
            let _in_vain = tokio::time::timeout(END_WITHIN, publisher.end()).await;
        });
    }
    tasks.join_all().await;
}
