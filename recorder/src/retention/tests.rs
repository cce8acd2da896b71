use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

/// A recording that began and ended so many hours ago.
fn recording(room: &str, hours_ago: u32, stored_bytes: u64, state: RecordingState) -> RecordingSummary {
    let end = now() - chrono::TimeDelta::hours(hours_ago.into());
    let id = format!("{}-{:06x}", end.format("%Y%m%dT%H%M%SZ"), hours_ago % 0xff_ffff);
    RecordingSummary {
        room: RoomName::parse(room).unwrap(),
        recording: RecordingId::parse(&id).unwrap(),
        state,
        start: end,
        end,
        duration_ms: 0,
        bytes: stored_bytes,
        stored_bytes,
        gaps: 0,
        tracks: Vec::new(),
        objects: Vec::new(),
    }
}

fn complete(room: &str, hours_ago: u32, stored_bytes: u64) -> RecordingSummary {
    recording(room, hours_ago, stored_bytes, RecordingState::Complete)
}

/// `room hours: reason` of each that goes.
fn told(recordings: &[RecordingSummary], policy: &RetentionPolicy) -> Vec<String> {
    let hours = |end: DateTime<Utc>| (now() - end).num_hours();
    let expired = expired(recordings, now(), |_| policy.clone());
    expired.iter().map(|it| format!("{} {}: {}", it.room, hours(it.end), it.reason)).collect()
}

fn budget(max_bytes: u64) -> Option<Budget> {
    Some(Budget { name: "all recordings".into(), max_bytes })
}

#[test]
fn without_a_limit_everything_stays() {
    assert!(told(&[complete("a", 1_000_000, u64::MAX)], &RetentionPolicy::default()).is_empty());
}

#[test]
fn age_counts_from_the_end() {
    let policy = RetentionPolicy { max_age: Some(DAY), ..Default::default() };
    let mut long = complete("a", 100, 1);
    long.end = now() - chrono::TimeDelta::hours(24);
    let recordings = [complete("a", 23, 1), complete("b", 25, 1), long, complete("a", 24, 1)];
    assert_eq!(told(&recordings, &policy), ["b 25: ended more than 1 days ago"]);
    // One that ends in the future, by a clock that was set back, stays.
    let mut future = complete("a", 25, 1);
    future.end = now() + chrono::TimeDelta::hours(1);
    assert!(told(&[future], &policy).is_empty());
}

#[test]
fn a_number_counts_in_each_room() {
    let policy = RetentionPolicy { max_count: Some(2), ..Default::default() };
    let recordings = [1, 2, 3, 4].map(|hours| complete("a", hours, 1)).into_iter().chain([complete("b", 9, 1)]);
    let told = told(&recordings.collect::<Vec<_>>(), &policy);
    assert_eq!(told, ["a 4: the room has 2 newer ones", "a 3: the room has 2 newer ones"]);
}

#[test]
fn a_budget_is_shared_and_the_oldest_goes_first() {
    let policy = RetentionPolicy { budget: budget(25), ..Default::default() };
    let recordings = [complete("a", 1, 10), complete("b", 2, 10), complete("a", 3, 10), complete("b", 4, 10)];
    let reason = "all recordings have more than 25 bytes";
    assert_eq!(told(&recordings, &policy), [format!("b 4: {reason}"), format!("a 3: {reason}")]);
    assert!(told(&recordings, &RetentionPolicy { budget: budget(40), ..Default::default() }).is_empty());
    // What goes for its age makes room.
    let both =
        RetentionPolicy { max_age: Some(Duration::from_secs(3 * 3600)), budget: budget(30), ..Default::default() };
    assert_eq!(told(&recordings, &both), ["b 4: ended more than 10800 s ago"]);
}

#[test]
fn what_is_live_takes_room_and_stays() {
    let nothing = RetentionPolicy { max_age: Some(Duration::ZERO), max_count: Some(0), budget: budget(0) };
    let live = recording("a", 999, 10, RecordingState::Live);
    assert!(told(std::slice::from_ref(&live), &nothing).is_empty());
    let recovered = recording("a", 5, 10, RecordingState::Recovered);
    let policy = RetentionPolicy { budget: budget(15), ..Default::default() };
    assert_eq!(told(&[live.clone(), recovered], &policy).len(), 1);
    // And is none of those that are counted.
    let one = RetentionPolicy { max_count: Some(1), ..Default::default() };
    assert!(told(&[live, complete("a", 5, 1)], &one).is_empty());
}

fn recordings() -> impl Strategy<Value = Vec<RecordingSummary>> {
    let state = prop_oneof![
        4 => Just(RecordingState::Complete),
        1 => Just(RecordingState::Recovered),
        1 => Just(RecordingState::Live)
    ];
    let one = ("[abc]", 0..2_000_u32, 0..100_u64, state);
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let one = |(room, hours, bytes, state): (String, _, _, _)| recording(&room, hours, bytes, state);
        let mut all: Vec<_> = all.into_iter().map(one).collect();
        // A recording is there once.
        let mut seen = BTreeSet::new();
        all.retain(|one| seen.insert((one.room.clone(), one.recording.clone())));
        all
    })
}

fn policies() -> impl Strategy<Value = RetentionPolicy> {
    let max_age = prop::option::of((0..2_000_u64).prop_map(|hours| Duration::from_secs(hours * 3600)));
    (max_age, prop::option::of(0..10_u32), prop::option::of(0..1_500_u64)).prop_map(
        |(max_age, max_count, max_bytes)| RetentionPolicy { max_age, max_count, budget: max_bytes.and_then(budget) },
    )
}

proptest! {
    #[test]
    fn what_stays_is_within_the_limits_and_nothing_goes_in_vain(all in recordings(), policy in policies()) {
        let gone = expired(&all, now(), |_| policy.clone());
        let names: BTreeSet<_> = gone.iter().map(|it| (it.recording.clone(), it.room.clone())).collect();
        prop_assert_eq!(names.len(), gone.len());
        let (left, went): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|one| !names.contains(&(one.recording.clone(), one.room.clone())));
        prop_assert_eq!(went.len(), gone.len());
        prop_assert!(went.iter().all(is_finished));
        let finished: Vec<_> = left.iter().filter(|one| is_finished(one)).collect();

        // Within the limits: nothing more goes, now or in a moment.
        prop_assert!(expired(&left, now(), |_| policy.clone()).is_empty());
        if let Some(max) = policy.max_age {
            prop_assert!(finished.iter().all(|one| now() - one.end <= chrono::TimeDelta::from_std(max).unwrap()));
        }
        for room in ["a", "b", "c"] {
            let count = finished.iter().filter(|one| one.room.as_str() == room).count();
            prop_assert!(policy.max_count.is_none_or(|max| count <= max as usize));
        }
        let left_bytes: u64 = left.iter().map(|one| one.stored_bytes).sum();
        if let Some(budget) = &policy.budget {
            prop_assert!(left_bytes <= budget.max_bytes || finished.is_empty());
        }

        // Not in vain: of those that go for their size, the newest would not fit.
        let by_bytes = gone.iter().rev().find(|it| matches!(it.reason, Expiry::Bytes(_)));
        if let (Some(newest), Some(budget)) = (by_bytes, &policy.budget) {
            prop_assert!(left_bytes + newest.stored_bytes > budget.max_bytes);
            prop_assert!(finished.iter().all(|one| one.recording >= newest.recording));
        }
        prop_assert!(gone.is_sorted_by_key(|it| (&it.recording, &it.room)));
    }
}
