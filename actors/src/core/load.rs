//! How busy a worker is, smoothed, so that admission looks at seconds and not at moments.

use std::time::{Duration, Instant};

/// Over which time load is smoothed: a crowd that joins is let through, a load that stays is not.
const SMOOTHED_OVER: Duration = Duration::from_secs(2);

/// Measures one worker.
#[derive(Debug, Default)]
pub struct LoadMeter {
    last: Option<(Instant, Duration)>,
    busy: f64,
    lag_s: f64,
}

impl LoadMeter {
    /// Takes a sample: how long the worker's thread has been on a core so far, and how much later than planned the sample
    /// was taken.
    pub fn sample(&mut self, now: Instant, on_core: Duration, lag: Duration) {
        let Some((then, before)) = self.last.replace((now, on_core)) else { return };
        let passed = now.saturating_duration_since(then).as_secs_f64();
        if passed == 0.0 {
            return;
        }
        let busy = on_core.saturating_sub(before).as_secs_f64() / passed;
        let weight = 1.0 - (-passed / SMOOTHED_OVER.as_secs_f64()).exp();
        self.busy += weight * (busy - self.busy);
        self.lag_s += weight * (lag.as_secs_f64() - self.lag_s);
    }

    /// Returns the share of time for which the worker was on a core, 0 to 1.
    pub fn busy(&self) -> f64 {
        self.busy.clamp(0.0, 1.0)
    }

    /// Returns by how much the worker was late for what it had planned.
    pub fn lag(&self) -> Duration {
        Duration::from_secs_f64(self.lag_s.max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples four times a second a worker that is busy for this share of it and this late.
    fn run(
        meter: &mut LoadMeter,
        from: (Instant, Duration),
        seconds: u32,
        busy: f64,
        lag_ms: u64,
    ) -> (Instant, Duration) {
        let (mut now, mut on_core) = from;
        for _ in 0..4 * seconds {
            now += Duration::from_millis(250);
            on_core += Duration::from_millis(250).mul_f64(busy);
            meter.sample(now, on_core, Duration::from_millis(lag_ms));
        }
        (now, on_core)
    }

    #[test]
    fn what_lasts_counts_and_what_passes_does_not() {
        let mut meter = LoadMeter::default();
        let idle = run(&mut meter, (Instant::now(), Duration::ZERO), 10, 0.1, 0);
        assert!((meter.busy() - 0.1).abs() < 0.02, "{}", meter.busy());
        let peak = run(&mut meter, idle, 1, 1.0, 800);
        assert!(meter.busy() < 0.5 && meter.lag() < Duration::from_millis(400), "{meter:?}");
        run(&mut meter, peak, 10, 1.0, 800);
        assert!(meter.busy() > 0.95 && meter.lag() > Duration::from_millis(750), "{meter:?}");
    }

    #[test]
    fn a_clock_that_stands_is_no_load() {
        let (mut meter, now) = (LoadMeter::default(), Instant::now());
        meter.sample(now, Duration::from_secs(5), Duration::ZERO);
        meter.sample(now, Duration::from_secs(9), Duration::ZERO);
        assert_eq!(meter.busy(), 0.0);
    }
}
