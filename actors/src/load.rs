//! Samples how busy the workers are, and keeps the figures where admission finds them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::core::load::LoadMeter;

/// How often a worker is sampled.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// How late a worker may be for its own timers, smoothed, before nobody else is let in: whoever watches would notice more.
const LAG_MAX_MS: u32 = 500;

/// The share of memory that is to be left when another viewer is let in: one in so many.
const MEMORY_LEFT_SHARE: u64 = 20;

/// The latest figures of one worker.
#[derive(Debug, Default)]
pub struct Gauge {
    busy_percent: AtomicU32,
    lag_ms: AtomicU32,
}

impl Gauge {
    /// Returns the share of time for which the worker is on a core, in percent; 0 where the system does not tell.
    pub fn busy_percent(&self) -> u32 {
        self.busy_percent.load(Relaxed)
    }

    /// Returns by how many milliseconds the worker is late for its own timers.
    pub fn lag_ms(&self) -> u32 {
        self.lag_ms.load(Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn set(&self, busy_percent: u32, lag_ms: u32) {
        self.busy_percent.store(busy_percent, Relaxed);
        self.lag_ms.store(lag_ms, Relaxed);
    }
}

/// Tells whether the workers as a whole are busier than they may be, or one of them is late.
///
/// The kernel spreads viewers over the workers by their addresses, so that nobody knows beforehand where one will land.
pub fn is_overloaded(gauges: &[Arc<Gauge>], max_percent: u32) -> bool {
    let busy: u32 = gauges.iter().map(|gauge| gauge.busy_percent()).sum();
    let is_busy = max_percent < 100 && busy >= max_percent.saturating_mul(gauges.len() as u32) && busy > 0;
    is_busy || gauges.iter().any(|gauge| gauge.lag_ms() >= LAG_MAX_MS)
}

/// Tells whether less than a twentieth of the machine's memory is left; where the system does not tell, it is not.
///
/// It is read anew each time: a file of the kernel's, some 20 µs.
pub fn is_memory_short() -> bool {
    fs::read_to_string("/proc/meminfo").is_ok_and(|text| is_short(&text))
}

fn is_short(meminfo: &str) -> bool {
    let kib = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let shares = kib("MemTotal:").zip(kib("MemAvailable:"));
    shares.is_some_and(|(total, available)| available < total / MEMORY_LEFT_SHARE)
}

/// Samples the worker on whose thread it is called.
#[derive(Debug)]
pub(crate) struct Sampler {
    meter: LoadMeter,
    planned: Instant,
    gauge: Arc<Gauge>,
}

impl Sampler {
    pub(crate) fn new(gauge: Arc<Gauge>) -> Self {
        Self { meter: LoadMeter::default(), planned: Instant::now() + SAMPLE_EVERY, gauge }
    }

    /// Takes a sample; to be called every [`SAMPLE_EVERY`].
    pub(crate) fn sample(&mut self) {
        let now = Instant::now();
        self.meter.sample(now, time_on_core().unwrap_or_default(), now.saturating_duration_since(self.planned));
        self.planned = now + SAMPLE_EVERY;
        self.gauge.busy_percent.store((self.meter.busy() * 100.0).round() as u32, Relaxed);
        self.gauge.lag_ms.store(self.meter.lag().as_millis() as u32, Relaxed);
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        &self.gauge
    }
}

/// Returns how long this thread has been on a core (Linux; the first number of `schedstat` is nanoseconds).
fn time_on_core() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges(figures: [(u32, u32); 2]) -> Vec<Arc<Gauge>> {
        let gauge = |(busy, lag)| {
            let gauge = Arc::<Gauge>::default();
            gauge.set(busy, lag);
            gauge
        };
        figures.into_iter().map(gauge).collect()
    }

    #[test]
    fn the_workers_count_together_and_lateness_alone() {
        assert!(!is_overloaded(&gauges([(100, 0), (70, 0)]), 90));
        assert!(is_overloaded(&gauges([(100, 0), (80, 0)]), 90));
        assert!(is_overloaded(&gauges([(0, 0), (0, 500)]), 90));
        assert!(!is_overloaded(&gauges([(100, 0), (100, 0)]), 100), "one hundred turns it off");
        assert!(!is_overloaded(&[], 90));
    }

    #[test]
    fn a_twentieth_of_memory_is_left_alone() {
        let meminfo = |available: u64| format!("MemTotal:  1000 kB\nMemFree: 7 kB\nMemAvailable:  {available} kB\n");
        assert!(is_short(&meminfo(49)));
        assert!(!is_short(&meminfo(50)));
        assert!(!is_short("nothing of that kind"));
        assert!(!is_memory_short(), "or there is no room for tests either");
    }

    #[test]
    fn a_thread_that_works_has_been_on_a_core() {
        let before = time_on_core().unwrap_or_default();
        let until = Instant::now() + Duration::from_millis(30);
        while Instant::now() < until {}
        // A kernel without these figures says nothing, and then there is nothing to compare.
        assert!(time_on_core().is_none_or(|now| now > before));
    }
}
