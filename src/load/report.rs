//! What a run measured, for people and as JSON. docs/load.md says what each key means.

use std::fmt;
use std::thread::available_parallelism;
use std::time::Duration;

use serde::Serialize;

use super::args::LoadArgs;
use super::histogram::Histogram;
use super::procfs::Usage;
use super::sequence::Counts;
use super::totals::{Moment, Totals};

/// The version of the JSON: keys may be added without a new one.
const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// The version of this program.
    pub(crate) onair: &'static str,
    /// What was asked for.
    pub(crate) config: Config,
    /// How long was measured.
    pub(crate) window_s: f64,
    /// What became of viewers.
    pub(crate) viewers: Viewers,
    /// What became of packets.
    pub(crate) packets: Packets,
    /// Packets a second of each viewer.
    pub(crate) per_viewer_packets_per_s: Spread,
    /// Where pictures stood still.
    pub(crate) freezes: Freezes,
    /// From the publisher's stamp to this machine's kernel.
    pub(crate) delay_ms: Distribution,
    /// From the POST to the end of the DTLS handshake.
    pub(crate) join_ms: Distribution,
    /// From the POST to the first packet of the first keyframe.
    pub(crate) first_frame_ms: Distribution,
    /// Of connectivity checks.
    pub(crate) rtt_ms: Distribution,
    /// What became of publishers.
    pub(crate) publishers: Publishers,
    /// What this program needed.
    pub(crate) own: Own,
    /// What the whole machine was busy with.
    pub(crate) machine: Machine,
    /// What the server needed.
    pub(crate) server: Option<Server>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Config {
    to: Option<String>,
    from: String,
    viewers: usize,
    seconds: f64,
    publishers: usize,
    rooms: usize,
    ramp_per_s: f64,
    churn_per_s: f64,
    loss_percent: f64,
    bitrate_kbps: u32,
    gop_ms: u32,
    pacing: &'static str,
    sample: usize,
}

/// What became of viewers.
#[derive(Debug, Serialize)]
pub(crate) struct Viewers {
    joined: u64,
    failed: u64,
    ended: u64,
    first_failure: Option<String>,
    left: u64,
    present: u64,
    without_keyframe: u64,
}

/// What became of packets, of both kinds and of each.
#[derive(Debug, Serialize)]
pub(crate) struct Packets {
    #[serde(flatten)]
    all: Kind,
    pending: u64,
    delivered_per_s: f64,
    loss: f64,
    video: Kind,
    audio: Kind,
}

/// What became of packets of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct Kind {
    expected: u64,
    delivered: u64,
    lost: u64,
    repaired: u64,
    reordered: u64,
    duplicate: u64,
    bytes: u64,
}

/// The least, the middle and the most.
#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    min: Option<f64>,
    p50: Option<f64>,
    max: Option<f64>,
}

/// Where pictures stood still.
#[derive(Debug, Serialize)]
pub(crate) struct Freezes {
    count: u64,
    seconds: f64,
    viewers: u64,
}

/// Quantiles in milliseconds; none when there was nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Distribution {
    count: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

/// What became of publishers.
#[derive(Debug, Serialize)]
pub(crate) struct Publishers {
    /// How many connected.
    pub(crate) connected: usize,
    /// How many were then disconnected.
    pub(crate) ended: usize,
    /// Why the first of them was.
    pub(crate) first_end: Option<String>,
    /// Packets sent while it was measured.
    pub(crate) packets: u64,
    /// Keyframes asked for while it was measured.
    pub(crate) keyframe_requests: u64,
}

/// What this program needed.
#[derive(Debug, Serialize)]
pub(crate) struct Own {
    cpu_s: f64,
    cores: f64,
    busiest_thread_cores: f64,
    read_lag_ms: Distribution,
    dropped_datagrams: u64,
}

/// What the whole machine was busy with: near all cores, nothing measured says much about the server alone.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    busy_cores: f64,
}

/// What the server needed.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    pid: u32,
    cpu_s: f64,
    cores: f64,
    busiest_thread_cores: f64,
    waiting_threads: f64,
    kernel_share: f64,
    cpu_us_per_packet: Option<f64>,
    rss_kib_start: u64,
    rss_kib_end: u64,
}

/// What was measured, before it is put together.
pub(crate) struct Measured<'a> {
    /// What viewers counted.
    pub(crate) moment: Moment,
    /// What became of them.
    pub(crate) totals: &'a Totals,
    /// What became of publishers.
    pub(crate) publishers: Publishers,
    /// What this program used.
    pub(crate) own: Usage,
    /// What all cores of this machine were busy together.
    pub(crate) machine_busy: Duration,
    /// What it did not read in time.
    pub(crate) dropped_datagrams: u64,
    /// The server's process, what it used, and its resident memory at the start and at the end in KiB.
    pub(crate) server: Option<(u32, Usage, [u64; 2])>,
}

impl Report {
    /// Puts a report together.
    pub(crate) fn new(args: &LoadArgs, measured: Measured<'_>) -> Self {
        let Measured { moment, totals, publishers, own, machine_busy, dropped_datagrams, server } = measured;
        let window_s = own.wall.as_secs_f64();
        let packets = Packets::new(&moment, window_s);
        let delivered = packets.all.delivered;
        let (count, frozen, viewers) = moment.tally.freezes;
        Self {
            schema: SCHEMA,
            onair: env!("CARGO_PKG_VERSION"),
            config: Config::new(args),
            window_s,
            viewers: Viewers {
                joined: totals.joined,
                failed: totals.failed,
                ended: totals.ended,
                first_failure: totals.first_failure.clone(),
                left: totals.left,
                present: moment.present,
                without_keyframe: moment.without_keyframe,
            },
            packets,
            per_viewer_packets_per_s: Spread::new(moment.rates),
            freezes: Freezes { count, seconds: frozen.as_secs_f64(), viewers },
            delay_ms: Distribution::new(&totals.delay_us),
            join_ms: Distribution::new(&totals.join_us),
            first_frame_ms: Distribution::new(&totals.first_frame_us),
            rtt_ms: Distribution::new(&totals.rtt_us),
            publishers,
            own: Own {
                cpu_s: own.cpu.as_secs_f64(),
                cores: own.cores(),
                busiest_thread_cores: own.busiest_thread_cores(),
                read_lag_ms: Distribution::new(&totals.lag_us),
                dropped_datagrams,
            },
            machine: Machine {
                cores: available_parallelism().map_or(1, usize::from),
                busy_cores: machine_busy.as_secs_f64() / window_s,
            },
            server: server.map(|(pid, usage, rss_kib)| Server::new(pid, &usage, rss_kib, delivered)),
        }
    }

    /// Returns the report as JSON, to be kept.
    ///
    /// # Errors
    /// None in practice: every key is text and every number finite or null.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

impl Config {
    fn new(args: &LoadArgs) -> Self {
        Self {
            to: args.to.clone(),
            from: args.from.clone(),
            viewers: args.viewers,
            seconds: args.seconds,
            publishers: args.publisher_count(),
            rooms: args.rooms,
            ramp_per_s: args.ramp,
            churn_per_s: args.churn,
            loss_percent: args.loss,
            bitrate_kbps: args.bitrate,
            gop_ms: args.gop_ms,
            pacing: args.pacing.as_str(),
            sample: args.sample,
        }
    }
}

impl Packets {
    fn new(moment: &Moment, window_s: f64) -> Self {
        let mut all = moment.tally.video;
        all += moment.tally.audio;
        Self {
            pending: moment.tally.pending,
            delivered_per_s: all.delivered as f64 / window_s,
            loss: all.lost as f64 / all.expected.max(1) as f64,
            all: all.into(),
            video: moment.tally.video.into(),
            audio: moment.tally.audio.into(),
        }
    }
}

impl From<Counts> for Kind {
    fn from(counts: Counts) -> Self {
        let Counts { expected, delivered, repaired, reordered, duplicate, lost, bytes } = counts;
        Self { expected, delivered, lost, repaired, reordered, duplicate, bytes }
    }
}

impl Spread {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied();
        Self { min: at(0), p50: at(values.len() / 2), max: values.last().copied() }
    }
}

impl Distribution {
    fn new(of_us: &Histogram) -> Self {
        let ms = |us: Option<u64>| us.map(|us| us as f64 / 1000.0);
        let quantile = |share| ms(of_us.quantile(share));
        Self { count: of_us.count(), p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: ms(of_us.max()) }
    }
}

impl Server {
    fn new(pid: u32, usage: &Usage, [rss_kib_start, rss_kib_end]: [u64; 2], delivered: u64) -> Self {
        Self {
            pid,
            cpu_s: usage.cpu.as_secs_f64(),
            cores: usage.cores(),
            busiest_thread_cores: usage.busiest_thread_cores(),
            waiting_threads: usage.waiting_threads(),
            kernel_share: usage.kernel_share,
            cpu_us_per_packet: (delivered > 0).then(|| usage.cpu.as_secs_f64() * 1e6 / delivered as f64),
            rss_kib_start,
            rss_kib_end,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Viewers { joined, failed, ended, left, present, without_keyframe, first_failure } = &self.viewers;
        writeln!(
            f,
            "viewers      {joined} joined, {failed} failed, {ended} disconnected, {left} replaced, {present} present"
        )?;
        if *without_keyframe > 0 {
            writeln!(f, "             {without_keyframe} of them saw no keyframe")?;
        }
        if let Some(why) = first_failure {
            writeln!(f, "             the first failure: {why}")?;
        }
        let (all, packets) = (&self.packets.all, &self.packets);
        writeln!(
            f,
            "packets      {} delivered of {} expected, {} repaired, {} pending, {} duplicate",
            all.delivered, all.expected, all.repaired, packets.pending, all.duplicate
        )?;
        writeln!(f, "             {} lost after repair, {} of them sound", all.lost, packets.audio.lost)?;
        writeln!(
            f,
            "             {:.0}/s in all, {} a viewer",
            packets.delivered_per_s, self.per_viewer_packets_per_s
        )?;
        let Freezes { count, seconds, viewers } = &self.freezes;
        writeln!(f, "freezes      {count}, {seconds:.1} s in all, at {viewers} viewers")?;
        for (name, of) in [
            ("delay", &self.delay_ms),
            ("join", &self.join_ms),
            ("first frame", &self.first_frame_ms),
            ("round trip", &self.rtt_ms),
        ] {
            writeln!(f, "{name:12} {of}")?;
        }
        let Publishers { connected, ended, first_end, packets, keyframe_requests } = &self.publishers;
        writeln!(f, "publishers   {connected} connected, {packets} packets, {keyframe_requests} keyframes asked for")?;
        if let Some(why) = first_end {
            writeln!(f, "             {ended} disconnected, the first because {why}")?;
        }
        self.fmt_processes(f)
    }
}

impl Report {
    fn fmt_processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Own { cpu_s, cores, busiest_thread_cores, read_lag_ms, dropped_datagrams } = &self.own;
        writeln!(
            f,
            "this program {cpu_s:.2} s of CPU, {cores:.2} cores, {busiest_thread_cores:.2} its busiest thread"
        )?;
        writeln!(f, "             read lag {read_lag_ms}, {dropped_datagrams} datagrams dropped unread")?;
        if let Some(server) = &self.server {
            let Server { cores, busiest_thread_cores, cpu_us_per_packet, rss_kib_end, .. } = server;
            writeln!(f, "server       {cores:.2} cores, {busiest_thread_cores:.2} its busiest thread")?;
            let each = cpu_us_per_packet.map_or("no packets".into(), |us| format!("{us:.2} µs a delivered packet"));
            writeln!(f, "             {each}, {rss_kib_end} KiB resident")?;
        }
        let Machine { cores, busy_cores } = self.machine;
        writeln!(f, "machine      {busy_cores:.2} of {cores} cores busy")?;
        writeln!(f, "window       {:.2} s", self.window_s)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(p50), Some(p90), Some(p99), Some(max)) = (self.p50, self.p90, self.p99, self.max) else {
            return f.write_str("nothing seen");
        };
        write!(f, "p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, max {max:.2} ms")
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(min), Some(p50), Some(max)) = (self.min, self.p50, self.max) else {
            return f.write_str("nothing for");
        };
        write!(f, "{p50:.0}/s ({min:.0} to {max:.0})")
    }
}
