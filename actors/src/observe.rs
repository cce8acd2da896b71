//! Every actor can be looked at: one message, one serialisable state.

use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;

/// Asks an actor for its state, as a JSON object for people. *Lossy*: whoever does not answer in time is left out.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Value")]
pub struct Observe;

/// How long an observer waits for one actor.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Turns a state into what [`Observe`] returns.
pub(crate) fn observed(state: &impl Serialize) -> Value {
    serde_json::to_value(state).unwrap_or(Value::Null)
}

/// Asks several actors at once; one that is too busy or gone is `null`.
pub(crate) async fn observe_all(actors: Vec<Recipient<Observe>>) -> Vec<Value> {
    join_all(actors.iter().map(observe)).await
}

/// Asks one actor; `null` when it is too busy or gone.
pub(crate) async fn observe(actor: &Recipient<Observe>) -> Value {
    match tokio::time::timeout(PATIENCE, actor.send(Observe)).await {
        Ok(Ok(value)) => value,
        _ => Value::Null,
    }
}
