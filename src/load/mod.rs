//! `onair load`: publishes over WHIP and views over WHEP, against any server, and reports what viewers got and what it
//! cost. What passes for a viewer is light enough that thousands fit on one core.

mod address;
mod answer;
mod args;
mod audience;
mod broadcast;
mod frames;
mod freeze;
mod histogram;
mod join;
mod loss;
mod media;
mod port;
mod procfs;
mod publisher;
mod report;
mod rtcp;
mod sequence;
mod stamp;
mod totals;
mod viewer;

use std::io;
use std::time::{Duration, Instant};

use str0m::RtcError;
use str0m::format::Codec;
use tokio::time::{sleep, sleep_until};
use url::Url;

pub(crate) use self::args::LoadArgs;
use self::args::ROOM;
use self::audience::{Audience, Hosts, Shared};
use self::broadcast::Broadcast;
use self::join::Doors;
use self::procfs::Sample;
use self::publisher::Plan;
use self::report::{Measured, Publishers, Report};
use crate::publish::local_address;
use crate::publish::whip::WhipError;

/// After the last join, until caches are full and the last viewer has its picture.
const SETTLE: Duration = Duration::from_secs(2);

/// How often to look whether everybody is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Says why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The arguments contradict each other.
    #[error("{0}")]
    Arguments(String),
    /// A URL is none.
    #[error("{0} is no URL: {1}")]
    Url(String, url::ParseError),
    /// The server's answer.
    #[error(transparent)]
    Whip(#[from] WhipError),
    /// The sockets of this machine.
    #[error("no network: {0}")]
    Io(#[from] io::Error),
    /// WebRTC.
    #[error("WebRTC failed: {0}")]
    Rtc(#[from] RtcError),
    /// The answer is not one that fits the offer.
    #[error("the server's SDP answer cannot be used: {0}")]
    Answer(String),
    /// ICE or DTLS did not get through.
    #[error("no connection to the server's media port within 15 s: is UDP let through?")]
    NotConnected,
    /// The connection is gone.
    #[error("the server ended the session")]
    Ended,
    /// The server speaks none of our codecs.
    #[error("the server does not accept {0:?}")]
    Codec(Codec),
    /// There is no certificate for DTLS.
    #[error("the crypto provider makes no DTLS certificate")]
    Certificate,
    /// Nobody got in.
    #[error("no viewer could join: {0}")]
    NobodyJoined(String),
    /// The server's process is not there.
    #[error("the process {0} cannot be looked at: {1}")]
    Server(u32, io::Error),
    /// The report cannot be written.
    #[error("{0} cannot be written: {1}")]
    Json(String, io::Error),
}

/// Runs a load test, and returns its report.
pub(crate) async fn run(args: &LoadArgs) -> Result<Report, LoadError> {
    args.check().map_err(LoadError::Arguments)?;
    let from = urls(&args.from, args.rooms)?;
    let broadcast = broadcast(args).await?;
    let audience = Audience::open(hosts(args, &from[0]).await?, args.viewers, args.loss, args.sample)?;
    let doors = Doors::new(from, args.token.clone(), audience.clone())?;
    ramp(args, &doors).await?;
    sleep(SETTLE).await;
    let report = measure(args, &doors, &audience, broadcast.as_ref()).await;
    doors.close().await;
    drop(broadcast);
    let report = report?;
    if let Some(file) = &args.json {
        let written = report.to_json().map_err(io::Error::other).and_then(|json| std::fs::write(file, json));
        written.map_err(|error| LoadError::Json(file.display().to_string(), error))?;
    }
    Ok(report)
}

/// Puts the names of rooms into a URL.
fn urls(template: &str, rooms: usize) -> Result<Vec<Url>, LoadError> {
    let parse = |room| {
        let url = template.replace(ROOM, &format!("load-{room}"));
        Url::parse(&url).map_err(|error| LoadError::Url(url, error))
    };
    (0..rooms).map(parse).collect()
}

async fn broadcast(args: &LoadArgs) -> Result<Option<Broadcast>, LoadError> {
    let Some(to) = &args.to else { return Ok(None) };
    let mut urls = urls(to, args.rooms)?;
    urls.truncate(args.publisher_count());
    let plan = Plan { bitrate_kbps: args.bitrate, gop_ms: args.gop_ms, pacing: args.pacing, token: args.token.clone() };
    Broadcast::start(urls, plan).await.map(Some)
}

/// Finds addresses for viewers: as many as there are, or one for all.
async fn hosts(args: &LoadArgs, from: &Url) -> Result<Hosts, LoadError> {
    let reaching = local_address(from).await?;
    let range =
        args.local.or_else(|| (reaching.is_loopback() && reaching.is_ipv4()).then_some(address::Range::LOOPBACK));
    Ok(match range {
        // Those who leave and those who come in their place need one each, for a moment.
        Some(range) if range.count() as usize > 2 * args.viewers + 2 => Hosts::Range(range),
        Some(range) if args.local.is_some() => Hosts::Single(range.nth(0).into()),
        _ => Hosts::Single(reaching),
    })
}

/// Lets viewers in, and waits until each has got in or has failed.
async fn ramp(args: &LoadArgs, doors: &Doors) -> Result<(), LoadError> {
    let start = Instant::now();
    for number in 0..args.viewers {
        sleep_until((start + Duration::from_secs_f64(number as f64 / args.ramp)).into()).await;
        doors.let_in();
    }
    while doors.waiting() > 0 {
        sleep(LOOK_EVERY).await;
    }
    let (joined, first_failure) = doors.outcome();
    match joined {
        0 if args.viewers > 0 => Err(LoadError::NobodyJoined(first_failure.unwrap_or_default())),
        _ => Ok(()),
    }
}

/// The processes at one moment.
struct Processes {
    own: Sample,
    machine_busy: Duration,
    server: Option<(Sample, u64)>,
    dropped_datagrams: u64,
    published: (u64, u64),
}

impl Processes {
    fn look(args: &LoadArgs, audience: &Shared, broadcast: Option<&Broadcast>) -> Result<Self, LoadError> {
        let server = args.server_pid.map(|pid| {
            let look = || Ok((Sample::take(pid)?, procfs::resident_kib(pid)?));
            look().map_err(|error| LoadError::Server(pid, error))
        });
        Ok(Self {
            own: Sample::take(std::process::id())?,
            machine_busy: procfs::machine_busy()?,
            server: server.transpose()?,
            dropped_datagrams: procfs::dropped_datagrams(&audience.borrow().port_numbers())?,
            published: broadcast.map(|broadcast| broadcast.published.counts()).unwrap_or_default(),
        })
    }
}

/// Counts for as long as was asked for, while some leave and others come.
async fn measure(
    args: &LoadArgs,
    doors: &Doors,
    audience: &Shared,
    broadcast: Option<&Broadcast>,
) -> Result<Report, LoadError> {
    let before = Processes::look(args, audience, broadcast)?;
    audience.borrow_mut().restart();
    let end = Instant::now() + Duration::from_secs_f64(args.seconds);
    while Instant::now() < end {
        let pause = if args.churn > 0.0 { Duration::from_secs_f64(1.0 / args.churn) } else { Duration::MAX };
        let next = Instant::now().checked_add(pause).map_or(end, |next| next.min(end));
        sleep_until(next.into()).await;
        if args.churn > 0.0 && next < end {
            doors.replace_oldest();
        }
    }
    let moment = audience.borrow().look(Instant::now());
    let after = Processes::look(args, audience, broadcast)?;
    let ended = broadcast.map(Broadcast::ended).unwrap_or_default();
    let server = match (&before.server, &after.server, args.server_pid) {
        (Some((before, start)), Some((after, end)), Some(pid)) => Some((pid, after.since(before), [*start, *end])),
        _ => None,
    };
    let measured = Measured {
        moment,
        totals: &audience.borrow().totals,
        publishers: Publishers {
            connected: args.publisher_count(),
            ended: ended.len(),
            first_end: ended.into_iter().next(),
            packets: after.published.0 - before.published.0,
            keyframe_requests: after.published.1 - before.published.1,
        },
        own: after.own.since(&before.own),
        machine_busy: after.machine_busy.saturating_sub(before.machine_busy),
        // Sockets of those who left took their counts with them.
        dropped_datagrams: after.dropped_datagrams.saturating_sub(before.dropped_datagrams),
        server,
    };
    Ok(Report::new(args, measured))
}
