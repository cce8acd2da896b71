//! How long this thread had a processor, whoever else wanted it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU time that `work` took on this thread.
pub(crate) fn cpu_time(work: impl FnOnce()) -> Duration {
    let begin = thread_time();
    work();
    thread_time().saturating_sub(begin)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
