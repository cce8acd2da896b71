//! What a run measured, and how it is told: a table for people, JSON for comparisons.

use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::procfs::Usage;

/// A stretch of time with a constant number of viewers.
pub(crate) struct Window {
    pub(crate) server: Usage,
    /// This process: all viewers.
    pub(crate) bench: Usage,
    pub(crate) publisher: Usage,
    /// Media packets that viewers got.
    pub(crate) delivered: u64,
    /// Media packets that viewers should have got by the sequence numbers. What the server withheld from a viewer who
    /// fell behind does not show there, but in the packets a second.
    pub(crate) expected: u64,
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

    fn to_json(&self, idle_cores: f64) -> Value {
        let range = |figure: &dyn Fn(&Window) -> f64| {
            let figures: Vec<f64> = self.windows.iter().map(figure).collect();
            let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            json!([rounded(least), rounded(most)])
        };
        let mut json = json!({
            "viewers": self.viewers,
            "server_cores": rounded(self.median(|w| w.server.cores())),
            "server_busiest_thread_cores": rounded(self.median(|w| w.server.busiest_thread_cores())),
            "server_kernel_share": rounded(self.median(|w| w.server.kernel_share)),
            "server_resident_kib": self.resident_kib,
            "viewers_cores": rounded(self.median(|w| w.bench.cores())),
            "publisher_cores": rounded(self.median(|w| w.publisher.cores())),
        });
        if self.viewers > 0 {
            let more = json!({
                "us_per_packet": rounded(self.median(self.us_per_packet(0.0))),
                "us_per_packet_range": range(&self.us_per_packet(0.0)),
                "us_per_packet_above_idle": rounded(self.median(self.us_per_packet(idle_cores))),
                "server_to_viewers_cpu": rounded(self.median(|w| w.server.cores() / w.bench.cores())),
                "packets_per_s_and_viewer": rounded(self.rate()),
                "delivered_packets": self.total(|w| w.delivered),
                "expected_packets": self.total(|w| w.expected),
                "joined": self.joined.len(),
                "connected_ms": ([50, 99].map(|p| rounded(self.percentile_ms(p, |j| j.connected)))),
                "first_keyframe_ms": ([50, 99].map(|p| rounded(self.percentile_ms(p, |j| j.first_keyframe)))),
            });
            if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
                json.extend(more);
            }
        }
        json
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

    /// Returns everything as JSON: medians of the windows, `[least, most]` for ranges, `[p50, p99]` for joins.
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |cells: [&str; 12]| {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip([7, 8, 8, 7, 11, 9, 9, 9, 11, 19, 12, 14]) {
                write!(line, "{cell:>width$}")?;
            }
            writeln!(f, "{}", line.trim_end())
        };
        row([
            "",
            "server",
            "busiest",
            "kernel",
            "us/packet",
            "us above",
            "viewers",
            "RSS",
            "packets",
            "delivered",
            "connect",
            "keyframe",
        ])?;
        row([
            "viewers",
            "cores",
            "thread",
            "share",
            "",
            "idle",
            "cores",
            "MiB",
            "/s, viewer",
            "/expected",
            "p50/p99 ms",
            "p50/p99 ms",
        ])?;
        let idle_cores = self.idle_cores();
        for step in &self.steps {
            let pair = |figure: fn(&Joined) -> Duration| match step.viewers {
                0 => String::new(),
                _ => format!("{:.0}/{:.0}", step.percentile_ms(50, figure), step.percentile_ms(99, figure)),
            };
            let watched = |text: String| if step.viewers == 0 { String::new() } else { text };
            row([
                &step.viewers.to_string(),
                &format!("{:.3}", step.median(|w| w.server.cores())),
                &format!("{:.3}", step.median(|w| w.server.busiest_thread_cores())),
                &format!("{:.2}", step.median(|w| w.server.kernel_share)),
                &watched(format!("{:.2}", step.median(step.us_per_packet(0.0)))),
                &watched(format!("{:.2}", step.median(step.us_per_packet(idle_cores)))),
                &format!("{:.3}", step.median(|w| w.bench.cores())),
                &format!("{:.1}", step.resident_kib as f64 / 1024.0),
                &watched(format!("{:.1}", step.rate())),
                &format!("{}/{}", step.total(|w| w.delivered), step.total(|w| w.expected)),
                &pair(|joined| joined.connected),
                &pair(|joined| joined.first_keyframe),
            ])?;
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
