//! Waiting for what must happen, and not all at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until `look` finds something.
///
/// # Panics
/// When `deadline` has passed; the message says that `what` did not happen.
pub(crate) fn eventually<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: did not happen within {deadline:?}");
        thread::sleep(LOOK_EVERY);
    }
}

/// Keeps tests that move media from running beside each other: two software decoders starve each other on two cores.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static MEDIA: Mutex<()> = Mutex::new(());
    // A test that failed says nothing about the next one.
    MEDIA.lock().unwrap_or_else(PoisonError::into_inner)
}
