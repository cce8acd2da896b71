//! `onair retention`: deletes old recordings once, or says what would go.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use chrono::Utc;
use onair_actors::retention::{PolicyOf, delete, find_expired};
use onair_recorder::{Expired, Store};

use crate::cli::RetentionArgs;
use crate::config::{Config, Retention};

/// Goes through the store once and prints a line for each recording that goes.
pub(crate) async fn run(store: &Store, config: &Config, args: &RetentionArgs) -> Result<(), Box<dyn Error>> {
    let expired = find_expired(store, &policy_of(config.retention.clone()), Utc::now()).await?;
    let mut out = io::stdout();
    let (mut recordings, mut bytes) = (0_usize, 0_u64);
    for expired in &expired {
        if !args.dry_run && !delete(store, expired).await? {
            continue;
        }
        writeln!(out, "{}", line(expired))?;
        (recordings, bytes) = (recordings + 1, bytes.saturating_add(expired.stored_bytes));
    }
    let what = if args.dry_run { "would be deleted" } else { "deleted" };
    Ok(writeln!(out, "{recordings} recordings {what}, {bytes} bytes")?)
}

/// Hands on what the configuration says of each room.
pub(crate) fn policy_of(retention: Retention) -> PolicyOf {
    Arc::new(move |room| retention.policy(room))
}

fn line(Expired { room, recording, end, stored_bytes, reason }: &Expired) -> String {
    format!("{room}/{recording}  ended {}  {stored_bytes} bytes  {reason}", end.format("%Y-%m-%dT%H:%M:%SZ"))
}
