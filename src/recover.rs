//! `onair recover`: finishes what an interrupted server left in the spool, and ends.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use onair_actors::events::Events;
use onair_actors::pictures::Pictures;
use onair_actors::recovery::{CountLeft, Recovery};

use crate::config::Config;
use crate::serve::{open_spool, open_store, start_archive, start_webhooks};

/// How often is looked whether everything is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Finishes every recording of the spool, however long the store takes, and says how many were finished.
pub(crate) fn run(config: &Config) -> Result<String, Box<dyn Error>> {
    System::new().block_on(recover(config))
}

async fn recover(config: &Config) -> Result<String, Box<dyn Error>> {
    let (store, spool) = (Arc::new(open_store(config)?), Arc::new(open_spool(config)?));
    let left = spool.left()?;
    let count = left.len();
    let events = Events::new();
    let webhooks = start_webhooks(config, &events).await?;
    let pictures = Arc::new(Pictures::new(config.record.posters));
    let archive = start_archive(&Arbiter::current(), store, Arc::clone(&spool), events.clone(), pictures);
    let recovery = Recovery::new(archive, left).start();
    while recovery.send(CountLeft).await? > 0 {
        actix_rt::time::sleep(LOOK_INTERVAL).await;
    }
    events.close();
    webhooks.finish().await;
    match spool.left()?.len() {
        0 => Ok(format!("{count} recordings finished")),
        stay => Err(format!("{} recordings finished, {stay} stay in the spool; the log says why", count - stay).into()),
    }
}
