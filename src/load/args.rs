//! The arguments of `onair load`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::address::Range;
use crate::config::Secret;

/// What to measure, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// The WHIP endpoint to publish to; without it somebody else publishes. `{room}` stands for load-0, load-1 …
    #[arg(long, value_name = "WHIP_URL")]
    pub(crate) to: Option<String>,
    /// The WHEP endpoint to watch; `{room}` as in --to
    #[arg(long, value_name = "WHEP_URL")]
    pub(crate) from: String,
    /// How many viewers watch, spread over the rooms
    #[arg(long, value_name = "N")]
    pub(crate) viewers: usize,
    /// How long is measured, once everybody is there
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// How many rooms there are
    #[arg(long, value_name = "R", default_value_t = 1)]
    pub(crate) rooms: usize,
    /// How many of them are published to, from the first on [default: all]
    #[arg(long, value_name = "P")]
    pub(crate) publishers: Option<usize>,
    /// How many viewers join a second
    #[arg(long, value_name = "JOINS_PER_SECOND", default_value_t = 50.0)]
    pub(crate) ramp: f64,
    /// How many viewers a second leave and are replaced while it is measured
    #[arg(long, value_name = "VIEWERS_PER_SECOND", default_value_t = 0.0)]
    pub(crate) churn: f64,
    /// How much of what arrives a viewer pretends not to have got, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub(crate) loss: f64,
    /// The bitrate of the video that is published
    #[arg(long, value_name = "KBPS", default_value_t = 2500)]
    pub(crate) bitrate: u32,
    /// How often a keyframe is published without being asked for
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    pub(crate) gop_ms: u32,
    /// How a frame's packets leave the publisher
    #[arg(long, value_enum, default_value_t = Pacing::Burst)]
    pub(crate) pacing: Pacing,
    /// Read the delay of every N-th viewer's frames
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) sample: usize,
    /// The local IPv4 addresses of the viewers, such as 127.1.0.0/16 or 10.0.0.2 [default: 127.1.0.0/16 when the
    /// server is on the loopback interface, else the address that reaches it, a port for each viewer]
    #[arg(long, value_name = "IP_OR_CIDR")]
    pub(crate) local: Option<Range>,
    /// Bearer token
    #[arg(long)]
    pub(crate) token: Option<Secret>,
    /// Read the server's CPU time and memory, too: its process id on this machine
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
}

/// How a frame's packets leave the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pacing {
    /// All at once, as from an encoder without a pacer.
    Burst,
    /// Over three quarters of the time until the next frame.
    Spread,
}

impl Pacing {
    /// Returns its name, as on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Burst => "burst",
            Self::Spread => "spread",
        }
    }
}

impl LoadArgs {
    /// Says what does not fit together.
    pub(crate) fn check(&self) -> Result<(), String> {
        let endpoints = self.to.iter().chain([&self.from]);
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if self.rooms == 0 {
            return Err("--rooms must be at least 1".into());
        }
        if self.rooms > 1 && endpoints.clone().any(|url| !url.contains(ROOM)) {
            return Err(format!("with several rooms the URLs must contain {ROOM}"));
        }
        if self.publishers.is_some_and(|publishers| publishers > self.rooms) {
            return Err("there cannot be more publishers than rooms: a room has one".into());
        }
        if !positive(self.seconds) || !positive(self.ramp) {
            return Err("--seconds and --ramp must be greater than 0".into());
        }
        if !(0.0..=100.0).contains(&self.loss) {
            return Err("--loss is a percentage, from 0 to 100".into());
        }
        if !(self.churn.is_finite() && self.churn >= 0.0) {
            return Err("--churn cannot be less than 0".into());
        }
        if self.sample == 0 {
            return Err("--sample must be at least 1: every viewer".into());
        }
        Ok(())
    }

    /// Returns how many rooms are published to.
    pub(crate) fn publisher_count(&self) -> usize {
        if self.to.is_some() { self.publishers.unwrap_or(self.rooms) } else { 0 }
    }
}

/// Stands for a room's name in a URL.
pub(crate) const ROOM: &str = "{room}";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn checked(line: &str) -> Result<(), String> {
        let words = ["load", "--from", "http://h/whep/{room}", "--viewers", "3"].into_iter().chain(line.split(' '));
        Line::try_parse_from(words.filter(|word| !word.is_empty())).map_err(|error| error.to_string())?.load.check()
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert_eq!(checked(""), Ok(()));
        assert_eq!(checked("--to http://h/whip/{room} --rooms 4 --publishers 2 --loss 5"), Ok(()));
        assert!(checked("--to http://h/whip/one --rooms 2").unwrap_err().contains("{room}"));
        assert!(checked("--rooms 2 --publishers 3").unwrap_err().contains("more publishers"));
        for line in ["--rooms 0", "--seconds 0", "--ramp 0", "--loss 101", "--sample 0", "--churn nan", "--local x"] {
            assert!(checked(line).is_err(), "{line}");
        }
    }
}
