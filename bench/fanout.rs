//! How much a viewer costs: one publisher, more and more WHEP viewers, and what the server needs for them.
//!
//! `cargo bench --bench fanout [-- VIEWERS…]`. The server is the release program, its CPU and memory are the operating
//! system's figures. The viewers are real sessions in this process, on the same machine: docs/performance.md says how
//! to read the result.

mod procfs;
mod report;
mod server;
mod viewer;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use self::procfs::{Sample, machine_busy, resident_kib};
use self::report::{Joined, Report, Step, Window};
use self::server::{Ended, Server};
use self::viewer::{Audience, Seen};

/// How many viewers there are in each step, unless the arguments say so.
const STEPS: [usize; 5] = [1, 10, 50, 100, 200];

/// The most viewers: as many sockets are open in this process.
const VIEWERS_MAX: usize = 500;

/// A step is measured this often for this long; the median counts, so that a busy moment of the machine does not.
/// Two seconds are two keyframe intervals of the clip.
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(2);

/// The shortest time between two joins. Fewer of them than fit into a keyframe interval are spread over a whole one, so
/// that the waits for a keyframe come out evenly.
const JOIN_EVERY: Duration = Duration::from_millis(25);

/// The clip's.
const KEYFRAME_INTERVAL: Duration = Duration::from_secs(1);

/// How often to look whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How long the publisher, and the last viewer of a step, may take to get through.
const DEADLINE: Duration = Duration::from_secs(20);

/// After the joins, until the caches that a viewer has in the server are full.
const SETTLE: Duration = Duration::from_secs(3);

/// The result of a whole run, kept beside the code so that changes show.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/results/fanout.json");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` starts benchmarks too, without this flag, to see whether they run.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let steps = steps(&arguments)?;
    // One thread for all viewers, as the server has one for all sessions: each has its core on a machine of two.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Whatever ends the run, the processes that it started end with it.
        tokio::select! {
            report = run(&steps) => report,
            _ = terminate.recv() => Err("terminated".into()),
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    })?;
    write!(io::stdout(), "{report}")?;
    if steps == STEPS {
        std::fs::write(RESULTS, format!("{:#}\n", report.to_json()))?;
    }
    Ok(())
}

/// Reads the numbers of viewers from the arguments: ascending, each at least 1.
fn steps(arguments: &[String]) -> Result<Vec<usize>, Box<dyn Error>> {
    let numbers = arguments.iter().filter(|argument| *argument != "--bench");
    let steps: Vec<usize> = numbers.map(|number| number.parse()).collect::<Result<_, _>>()?;
    if steps.is_empty() {
        return Ok(STEPS.into());
    }
    let in_range = steps.iter().all(|viewers| (1..=VIEWERS_MAX).contains(viewers));
    match in_range && steps.is_sorted_by(|one, next| one < next) {
        true => Ok(steps),
        false => Err(format!("numbers of viewers must ascend, from 1 to at most {VIEWERS_MAX}").into()),
    }
}

async fn run(steps: &[usize]) -> Result<Report, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let clip = server::clip(folder)?;
    let server = Server::start(folder)?;
    let publisher = Ended::publisher(folder, &clip, &format!("{}whip/bench", server.url))?;
    live(&format!("{}api/rooms/bench", server.url)).await?;
    let audience = Arc::new(Audience::new(format!("{}whep/bench", server.url))?);
    let mut bench = Bench { server, publisher, audience, viewers: Vec::new() };
    let mut report = Report { window: WINDOW, steps: Vec::new() };
    for viewers in std::iter::once(0).chain(steps.iter().copied()) {
        report.steps.push(bench.step(viewers).await?);
    }
    Ok(report)
}

/// The server, its publisher and its viewers.
struct Bench {
    server: Server,
    publisher: Ended,
    audience: Arc<Audience>,
    viewers: Vec<Arc<Seen>>,
}

/// The counters at one moment.
struct Moment {
    server: Sample,
    bench: Sample,
    publisher: Sample,
    machine_busy: Duration,
    delivered: u64,
    expected: u64,
    late: u64,
}

impl Bench {
    /// Adds viewers until there are so many, and measures.
    async fn step(&mut self, viewers: usize) -> Result<Step, Box<dyn Error>> {
        let joined = self.join(viewers - self.viewers.len()).await?;
        sleep(SETTLE).await;
        let mut windows = Vec::with_capacity(WINDOWS);
        let mut before = self.look()?;
        for _ in 0..WINDOWS {
            sleep(WINDOW).await;
            let now = self.look()?;
            windows.push(now.since(&before));
            before = now;
        }
        if let Some(why) = self.viewers.iter().find_map(|seen| seen.failed.get()) {
            return Err(format!("a viewer failed: {why}").into());
        }
        Ok(Step { viewers, windows, resident_kib: resident_kib(self.server.pid())?, joined })
    }

    /// Joins viewers one after the other, and waits until all of them have a picture.
    async fn join(&mut self, count: usize) -> Result<Vec<Joined>, Box<dyn Error>> {
        let present = self.viewers.len();
        let spread = KEYFRAME_INTERVAL.checked_div(count as u32).unwrap_or_default();
        for _ in 0..count {
            self.viewers.push(self.audience.join());
            sleep(spread.max(JOIN_EVERY)).await;
        }
        let deadline = Instant::now() + DEADLINE;
        let mut joined = Vec::with_capacity(count);
        for seen in &self.viewers[present..] {
            joined.push(loop {
                match (seen.connected.get(), seen.first_keyframe.get(), seen.failed.get()) {
                    (_, _, Some(why)) => return Err(format!("a viewer could not join: {why}").into()),
                    (Some(&connected), Some(&first_keyframe), _) => break Joined { connected, first_keyframe },
                    _ if Instant::now() >= deadline => return Err("a viewer got no picture in time".into()),
                    _ => sleep(LOOK_EVERY).await,
                }
            });
        }
        Ok(joined)
    }

    fn look(&self) -> io::Result<Moment> {
        let sum = |figure: fn(&Seen) -> u64| self.viewers.iter().map(|seen| figure(seen)).sum::<u64>();
        Ok(Moment {
            server: Sample::take(self.server.pid())?,
            bench: Sample::take(std::process::id())?,
            publisher: Sample::take(self.publisher.pid())?,
            machine_busy: machine_busy()?,
            delivered: sum(|seen| seen.delivered.load(Relaxed)),
            expected: sum(|seen| seen.expected.load(Relaxed)),
            late: sum(|seen| seen.late.load(Relaxed)),
        })
    }
}

impl Moment {
    fn since(&self, earlier: &Self) -> Window {
        Window {
            server: self.server.since(&earlier.server),
            bench: self.bench.since(&earlier.bench),
            publisher: self.publisher.since(&earlier.publisher),
            machine_busy: self.machine_busy.saturating_sub(earlier.machine_busy),
            delivered: self.delivered - earlier.delivered,
            expected: self.expected - earlier.expected,
            late: self.late - earlier.late,
        }
    }
}

/// Waits until the room has its publisher.
async fn live(room: &str) -> Result<(), Box<dyn Error>> {
    let http = reqwest::Client::new();
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        // Until the publisher comes there is no such room.
        let answer = http.get(room).send().await?.text().await?;
        if serde_json::from_str::<Value>(&answer).is_ok_and(|room| room["state"] == "live") {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
    Err("the room did not go live, see publisher.log".into())
}
