//! What Linux says about a process: CPU time by thread, and resident memory (proc(5)).

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// The unit of CPU times in proc(5): 1/100 s on every Linux that Rust runs on.
const TICK_MS: u64 = 10;

/// What a process had used of the CPU at one moment.
pub(crate) struct Sample {
    at: Instant,
    /// The times of each living thread, by its id.
    threads: BTreeMap<u32, Thread>,
    user_ticks: u64,
    kernel_ticks: u64,
}

#[derive(Clone, Copy, Default)]
struct Thread {
    on_cpu: Duration,
    /// Ready to run, while others had the cores.
    waiting: Duration,
}

/// What a process used of the CPU between two samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Time between the samples.
    pub(crate) wall: Duration,
    /// On-CPU time of all threads.
    pub(crate) cpu: Duration,
    /// What all threads together waited for a core while they had something to do.
    pub(crate) waiting: Duration,
    /// On-CPU time of the thread that used most.
    pub(crate) busiest_thread: Duration,
    /// Which part of it was spent in the kernel, 0 to 1; exact to one clock tick (10 ms).
    pub(crate) kernel_share: f64,
}

impl Sample {
    /// Reads the present figures of a process.
    ///
    /// # Errors
    /// When the process is gone, or this is not Linux.
    pub(crate) fn take(pid: u32) -> io::Result<Self> {
        let at = Instant::now();
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            // A thread may end between the listing and the look at it.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let id = entry.file_name().to_string_lossy().parse().map_err(|_| unreadable("task"))?;
            let time = |index| field(&text, index, "schedstat").map(Duration::from_nanos);
            threads.insert(id, Thread { on_cpu: time(0)?, waiting: time(1)? });
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold anything; behind it the state is field 3, utime 14 and stime 15.
        let (_, fields) = stat.rsplit_once(')').ok_or_else(|| unreadable("stat"))?;
        let (user_ticks, kernel_ticks) = (field(fields, 11, "stat")?, field(fields, 12, "stat")?);
        Ok(Self { at, threads, user_ticks, kernel_ticks })
    }

    /// Returns what was used since an `earlier` sample of the same process.
    pub(crate) fn since(&self, earlier: &Self) -> Usage {
        let before = |id: &u32| earlier.threads.get(id).copied().unwrap_or_default();
        let used = |(id, now): (&u32, &Thread)| now.on_cpu.saturating_sub(before(id).on_cpu);
        let waited = |(id, now): (&u32, &Thread)| now.waiting.saturating_sub(before(id).waiting);
        let kernel = self.kernel_ticks.saturating_sub(earlier.kernel_ticks);
        let user = self.user_ticks.saturating_sub(earlier.user_ticks);
        Usage {
            wall: self.at.saturating_duration_since(earlier.at),
            cpu: self.threads.iter().map(used).sum(),
            waiting: self.threads.iter().map(waited).sum(),
            busiest_thread: self.threads.iter().map(used).max().unwrap_or_default(),
            kernel_share: kernel as f64 / (kernel + user).max(1) as f64,
        }
    }
}

impl Usage {
    /// Returns how many cores were busy on average.
    pub(crate) fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// Returns how many threads on average were ready to run but had to wait.
    pub(crate) fn waiting_threads(&self) -> f64 {
        self.waiting.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// Returns how much of one core the busiest thread had on average.
    pub(crate) fn busiest_thread_cores(&self) -> f64 {
        self.busiest_thread.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// Returns the resident memory of a process in KiB (`VmRSS`).
///
/// # Errors
/// When the process is gone, or this is not Linux.
pub(crate) fn resident_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    field(line.ok_or_else(|| unreadable("status"))?, 0, "status")
}

/// Returns the time that all cores together were busy since the machine started, to one clock tick.
///
/// # Errors
/// When this is not Linux.
pub(crate) fn machine_busy() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    // "cpu", then user, nice, system, idle, iowait, irq, softirq, steal; guest time is part of user time.
    let busy = [1, 2, 3, 6, 7].map(|index| field(&stat, index, "stat"));
    let ticks = busy.into_iter().sum::<io::Result<u64>>()?;
    Ok(Duration::from_millis(ticks * TICK_MS))
}

fn field(text: &str, index: usize, file: &str) -> io::Result<u64> {
    text.split_whitespace().nth(index).and_then(|field| field.parse().ok()).ok_or_else(|| unreadable(file))
}

fn unreadable(file: &str) -> io::Error {
    io::Error::other(format!("/proc/…/{file} is not as proc(5) says"))
}

/// Returns how many datagrams the kernel dropped because these UDP ports of ours were not read fast enough.
///
/// # Errors
/// When this is not Linux.
pub(crate) fn dropped_datagrams(ports: &HashSet<u16>) -> io::Result<u64> {
    let mut dropped = 0;
    for file in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
        // Without IPv6 there is no second file.
        let Ok(text) = fs::read_to_string(file) else { continue };
        // "sl: local_address …  … drops", the address and the port in hexadecimal.
        for line in text.lines().skip(1) {
            let port = line.split_whitespace().nth(1).and_then(|local| local.rsplit_once(':'));
            let port = port.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            let drops = line.split_whitespace().next_back().and_then(|drops| drops.parse::<u64>().ok());
            if let (Some(port), Some(drops)) = (port, drops)
                && ports.contains(&port)
            {
                dropped += drops;
            }
        }
    }
    Ok(dropped)
}
