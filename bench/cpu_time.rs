//! What a piece of work costs this thread, whoever else wants the machine: CPU time, and the middle of many samples.

use crate::thread_time::cpu_time;

/// How often everything is measured; the middle of them counts.
pub(crate) const SAMPLES: usize = 101;

/// Runs that do not count: caches and allocations find their size.
pub(crate) const WARM_UP: usize = 10;

/// What a packet costs, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) median_ns: f64,
    /// A quarter of the samples was below, and a quarter above.
    pub(crate) quartiles_ns: [f64; 2],
}

impl Cost {
    /// Takes the middle of samples.
    pub(crate) fn of(mut samples_ns: Vec<f64>) -> Self {
        samples_ns.sort_by(f64::total_cmp);
        let at = |quarter: usize| samples_ns[(samples_ns.len() - 1) * quarter / 4];
        Self { median_ns: at(2), quartiles_ns: [at(1), at(3)] }
    }
}

/// Measures work on `subject`, so many packets a sample. What `prepare` does for it is not counted.
pub(crate) fn measure<S, P>(
    subject: &mut S,
    packets: u64,
    mut prepare: impl FnMut(&mut S) -> P,
    mut work: impl FnMut(&mut S, P),
) -> Cost {
    let samples = (0..WARM_UP + SAMPLES).map(|_| {
        let prepared = prepare(subject);
        cpu_time(|| work(subject, prepared)).as_nanos() as f64 / packets as f64
    });
    Cost::of(samples.skip(WARM_UP).collect())
}
