//! What a run measured, and how it is told: a table for people, JSON for comparisons.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::procfs::Usage;

/// A stretch of time with a constant number of viewers.
pub(crate) struct Window {
    pub(crate) server: Usage,
    /// This process: all viewers.
    pub(crate) bench: Usage,
    pub(crate) publisher: Usage,
    /// CPU time of the whole machine, to see who else was there.
    pub(crate) machine_busy: Duration,
    /// Media packets that viewers got.
    pub(crate) delivered: u64,
    /// Media packets that viewers should have got by the sequence numbers. What the server withheld from a viewer who
    /// fell behind does not show there, but in the packets a second.
    pub(crate) expected: u64,
    /// Media packets that came more than 100 ms later than the promptest of their track.
    pub(crate) late: u64,
}

/// How long one viewer took to join.
pub(crate) struct Joined {
    pub(crate) connected: Duration,
    pub(crate) first_keyframe: Duration,
}

/// One number of viewers.
pub(crate) struct Step {
    pub(crate) viewers: usize,
    pub(crate) windows: Vec<Window>,
    /// Resident memory of the server behind the last window.
    pub(crate) resident_kib: u64,
    /// Those that came with this step.
    pub(crate) joined: Vec<Joined>,
}

/// A whole run; the first step is without viewers.
pub(crate) struct Report {
    pub(crate) window: Duration,
    pub(crate) steps: Vec<Step>,
}

impl Window {
    /// Returns how many cores processes had that are no part of this.
    fn others_cores(&self) -> f64 {
        let ours = self.server.cpu + self.bench.cpu + self.publisher.cpu;
        self.machine_busy.saturating_sub(ours).as_secs_f64() / self.server.wall.as_secs_f64()
    }
}

impl Step {
    /// The middle of the windows' figures: the upper one of two.
    fn median(&self, figure: impl Fn(&Window) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.windows.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    }

    fn total(&self, count: impl Fn(&Window) -> u64) -> u64 {
        self.windows.iter().map(count).sum()
    }

    /// Milliseconds that a part of those who joined needed at most (nearest rank).
    fn percentile_ms(&self, percent: usize, figure: impl Fn(&Joined) -> Duration) -> f64 {
        let mut times: Vec<Duration> = self.joined.iter().map(figure).collect();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100).max(1);
        times.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    /// Server CPU by delivered packet, in microseconds, less `idle_cores` that it needs without viewers.
    fn us_per_packet(&self, idle_cores: f64) -> impl Fn(&Window) -> f64 {
        move |window| {
            let cpu_s = window.server.cpu.as_secs_f64() - idle_cores * window.server.wall.as_secs_f64();
            cpu_s * 1e6 / window.delivered as f64
        }
    }

    /// Packets a second that each viewer got.
    fn rate(&self) -> f64 {
        self.median(|w| w.delivered as f64 / w.server.wall.as_secs_f64()) / self.viewers as f64
    }

    fn late_share(&self) -> f64 {
        self.total(|w| w.late) as f64 / self.total(|w| w.delivered).max(1) as f64
    }

    fn to_json(&self, idle_cores: f64) -> Value {
        json!({
            "viewers": self.viewers,
            "server_cores": rounded(self.median(|w| w.server.cores())),
            "server_busiest_thread_cores": rounded(self.median(|w| w.server.busiest_thread_cores())),
            "server_waiting_threads": rounded(self.median(|w| w.server.waiting_threads())),
            "server_kernel_share": rounded(self.median(|w| w.server.kernel_share)),
            "server_resident_kib": self.resident_kib,
            "viewers_cores": rounded(self.median(|w| w.bench.cores())),
            "publisher_cores": rounded(self.median(|w| w.publisher.cores())),
            "other_processes_cores": rounded(self.median(Window::others_cores)),
            "watched": (self.viewers > 0).then(|| self.watched_to_json(idle_cores)),
        })
    }

    /// What there is to tell when somebody watches.
    fn watched_to_json(&self, idle_cores: f64) -> Value {
        let mut by_window: Vec<f64> = self.windows.iter().map(self.us_per_packet(0.0)).map(rounded).collect();
        by_window.sort_by(f64::total_cmp);
        let percentiles = |figure: fn(&Joined) -> Duration| [50, 99].map(|p| rounded(self.percentile_ms(p, figure)));
        json!({
            "us_per_packet": rounded(self.median(self.us_per_packet(0.0))),
            "us_per_packet_by_window": by_window,
            "us_per_packet_above_idle": rounded(self.median(self.us_per_packet(idle_cores))),
            "server_to_viewers_cpu": rounded(self.median(|w| w.server.cores() / w.bench.cores())),
            "packets_per_s_and_viewer": rounded(self.rate()),
            "delivered_packets": self.total(|w| w.delivered),
            "expected_packets": self.total(|w| w.expected),
            "late_share": rounded(self.late_share()),
            "joined": self.joined.len(),
            "connected_ms": percentiles(|joined| joined.connected),
            "first_keyframe_ms": percentiles(|joined| joined.first_keyframe),
        })
    }
}

impl Report {
    fn idle_cores(&self) -> f64 {
        self.steps.iter().find(|step| step.viewers == 0).map_or(0.0, |step| step.median(|w| w.server.cores()))
    }

    /// Returns KiB of the server's memory for each viewer: the slope between the first and the last step with any.
    fn resident_kib_per_viewer(&self) -> Option<f64> {
        let mut watched = self.steps.iter().filter(|step| step.viewers > 0);
        let (first, last) = (watched.next()?, watched.next_back()?);
        let kib = last.resident_kib as f64 - first.resident_kib as f64;
        Some(kib / (last.viewers - first.viewers) as f64)
    }

    /// Returns everything as JSON: medians of the windows, `[p50, p99]` for joins.
    pub(crate) fn to_json(&self) -> Value {
        let idle_cores = self.idle_cores();
        json!({
            "benchmark": "fanout",
            "onair": env!("CARGO_PKG_VERSION"),
            "machine": {
                "cores": std::thread::available_parallelism().map_or(0, usize::from),
                "arch": std::env::consts::ARCH,
            },
            "window_s": self.window.as_secs_f64(),
            "windows": self.steps.first().map_or(0, |step| step.windows.len()),
            "resident_kib_per_viewer": self.resident_kib_per_viewer().map(rounded),
            "steps": self.steps.iter().map(|step| step.to_json(idle_cores)).collect::<Vec<_>>(),
        })
    }
}

/// The columns of the table: width, title, what it is counted in.
const COLUMNS: [(usize, &str, &str); 14] = [
    (7, "viewers", ""),
    (8, "server", "cores"),
    (8, "waiting", "threads"),
    (8, "kernel", "share"),
    (11, "us/packet", ""),
    (10, "us/packet", "above idle"),
    (9, "viewers", "cores"),
    (8, "others", "cores"),
    (8, "server", "MiB"),
    (11, "packets/s", "by viewer"),
    (16, "delivered", "of expected"),
    (9, "late by", "> 100 ms"),
    (12, "connected", "p50/p99 ms"),
    (12, "keyframe", "p50/p99 ms"),
];

impl Step {
    fn cells(&self, idle_cores: f64) -> [String; COLUMNS.len()] {
        let watched = |text: String| if self.viewers == 0 { String::new() } else { text };
        let pair = |figure: fn(&Joined) -> Duration| {
            watched(format!("{:.0}/{:.0}", self.percentile_ms(50, figure), self.percentile_ms(99, figure)))
        };
        [
            self.viewers.to_string(),
            format!("{:.3}", self.median(|w| w.server.cores())),
            format!("{:.2}", self.median(|w| w.server.waiting_threads())),
            format!("{:.2}", self.median(|w| w.server.kernel_share)),
            watched(format!("{:.2}", self.median(self.us_per_packet(0.0)))),
            watched(format!("{:.2}", self.median(self.us_per_packet(idle_cores)))),
            format!("{:.3}", self.median(|w| w.bench.cores())),
            format!("{:.2}", self.median(Window::others_cores)),
            format!("{:.1}", self.resident_kib as f64 / 1024.0),
            watched(format!("{:.1}", self.rate())),
            watched(format!("{}/{}", self.total(|w| w.delivered), self.total(|w| w.expected))),
            watched(format!("{:.1} %", 100.0 * self.late_share())),
            pair(|joined| joined.connected),
            pair(|joined| joined.first_keyframe),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (titles, units) = (COLUMNS.map(|(_, title, _)| title.into()), COLUMNS.map(|(_, _, unit)| unit.into()));
        let idle_cores = self.idle_cores();
        for cells in [titles, units].into_iter().chain(self.steps.iter().map(|step| step.cells(idle_cores))) {
            for ((width, ..), cell) in COLUMNS.iter().zip(cells) {
                write!(f, " {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        match self.resident_kib_per_viewer() {
            Some(kib) => writeln!(f, "server memory by viewer: {kib:.0} KiB"),
            None => Ok(()),
        }
    }
}

/// Three decimals are more than the machine's noise leaves.
fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}
