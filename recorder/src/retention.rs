//! Which recordings have been kept for long enough: by age, by number, by size.
//!
//! Decides only. A recording that is live, or was not finished, is never named, whatever the policy.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use onair_media::{RecordingId, RoomName};

use crate::manifest::RecordingState;
use crate::store::RecordingSummary;

/// Says for how long the recordings of a room are kept; without a limit, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionPolicy {
    /// How long after its end.
    pub max_age: Option<Duration>,
    /// How many finished ones of the room.
    pub max_count: Option<u32>,
    /// How much room there is for them, together with those of other rooms.
    pub budget: Option<Budget>,
}

/// A number of bytes that the recordings of some rooms share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Which rooms, in words or as a glob: rooms whose budget has the same name share it.
    pub name: Arc<str>,
    /// How much all objects of their recordings may take; live recordings count, and stay.
    pub max_bytes: u64,
}

/// Names a recording that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The room.
    pub room: RoomName,
    /// The recording.
    pub recording: RecordingId,
    /// When it ended.
    pub end: DateTime<Utc>,
    /// The size of what its manifest names.
    pub stored_bytes: u64,
    /// Why.
    pub reason: Expiry,
}

/// Says why a recording is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// It ended so long ago.
    Age {
        /// The limit.
        max: Duration,
    },
    /// The room has so many newer ones.
    Count {
        /// The limit.
        max: u32,
    },
    /// The newer ones leave no room for it.
    Bytes(Budget),
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age { max } if max.as_secs().is_multiple_of(86_400) => {
                write!(f, "ended more than {} days ago", max.as_secs() / 86_400)
            }
            Self::Age { max } => write!(f, "ended more than {} s ago", max.as_secs()),
            Self::Count { max } => write!(f, "the room has {max} newer ones"),
            Self::Bytes(Budget { name, max_bytes }) => write!(f, "{name} have more than {max_bytes} bytes"),
        }
    }
}

/// Returns the recordings that are to go at `now`, the oldest first, each for the first reason that it has: age, number,
/// size. Whatever goes for its age or number makes room before sizes are added up.
///
/// Old is what began long ago, as in lists; age alone counts from the end.
pub fn expired<'a>(
    recordings: impl IntoIterator<Item = &'a RecordingSummary>,
    now: DateTime<Utc>,
    policy_of: impl Fn(&RoomName) -> RetentionPolicy,
) -> Vec<Expired> {
    let mut recordings: Vec<_> = recordings.into_iter().collect();
    recordings.sort_by(|a, b| (&b.recording, &b.room).cmp(&(&a.recording, &a.room)));
    let mut policies: HashMap<&RoomName, RetentionPolicy> = HashMap::new();
    let mut kept: HashMap<&RoomName, u32> = HashMap::new();
    let mut staying = Vec::new();
    let mut expired = Vec::new();
    for summary in recordings {
        let policy = policies.entry(&summary.room).or_insert_with(|| policy_of(&summary.room));
        let kept = kept.entry(&summary.room).or_default();
        match by_age_or_count(summary, now, policy, *kept) {
            Some(reason) => expired.push(goes(summary, reason)),
            None => {
                *kept += u32::from(is_finished(summary));
                staying.push((summary, policy.budget.clone()));
            }
        }
    }
    expired.extend(over_budget(&staying));
    expired.sort_by(|a, b| (&a.recording, &a.room).cmp(&(&b.recording, &b.room)));
    expired
}

/// `kept` counts the newer finished recordings of the room that stay.
fn by_age_or_count(
    summary: &RecordingSummary,
    now: DateTime<Utc>,
    policy: &RetentionPolicy,
    kept: u32,
) -> Option<Expiry> {
    if !is_finished(summary) {
        return None;
    }
    let age = now.signed_duration_since(summary.end).to_std().unwrap_or_default();
    let by_age = policy.max_age.filter(|&max| age > max).map(|max| Expiry::Age { max });
    by_age.or_else(|| policy.max_count.filter(|&max| kept >= max).map(|max| Expiry::Count { max }))
}

/// Returns the oldest of each budget that the newer ones leave no room for.
fn over_budget(staying: &[(&RecordingSummary, Option<Budget>)]) -> Vec<Expired> {
    let mut taken: HashMap<&str, u64> = HashMap::new();
    for (summary, budget) in staying {
        if let Some(budget) = budget {
            let taken = taken.entry(&budget.name).or_default();
            *taken = taken.saturating_add(summary.stored_bytes);
        }
    }
    let mut expired = Vec::new();
    // They stand newest first.
    for (summary, budget) in staying.iter().rev() {
        let Some(budget) = budget.as_ref().filter(|_| is_finished(summary)) else { continue };
        let taken = taken.entry(&budget.name).or_default();
        if *taken > budget.max_bytes {
            *taken -= summary.stored_bytes.min(*taken);
            expired.push(goes(summary, Expiry::Bytes(budget.clone())));
        }
    }
    expired
}

fn is_finished(summary: &RecordingSummary) -> bool {
    match summary.state {
        RecordingState::Complete | RecordingState::Recovered => true,
        RecordingState::Live => false,
    }
}

fn goes(summary: &RecordingSummary, reason: Expiry) -> Expired {
    Expired {
        room: summary.room.clone(),
        recording: summary.recording.clone(),
        end: summary.end,
        stored_bytes: summary.stored_bytes,
        reason,
    }
}
