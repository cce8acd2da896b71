//! What is wrong with a stored recording, and what it should say of itself.
//!
//! Everything a recording says of itself, playlists, manifest and MP4, follows from its segments and initialisation
//! segments: they are read, it is written anew, and what is stored is compared with that. The objects are fetched by
//! [`crate::Store::verify`]; nothing here does I/O.

pub(crate) mod assembly;
mod clock;
pub(crate) mod digests;
pub(crate) mod entries;
pub(crate) mod holes;
pub(crate) mod ledger;
pub(crate) mod listed;
pub(crate) mod rebuild;

pub(crate) use clock::Clock;

use std::fmt;

use onair_media::{RecordingId, RoomName};
use serde::Serialize;

use crate::manifest::RecordingState;

/// Says what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The room.
    pub room: RoomName,
    /// The recording.
    pub recording: RecordingId,
    /// How it stands; absent when its manifest cannot be read and was not written anew.
    pub state: Option<RecordingState>,
    /// How many segments are whole.
    pub segments: usize,
    /// Their size together.
    pub bytes: u64,
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Tells whether nothing is wrong, or nothing any more.
    pub fn is_whole(&self) -> bool {
        self.findings.iter().all(|finding| finding.remedy == Remedy::Mended)
    }
}

/// Says what is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object, such as `video/000001.m4s`.
    pub object: String,
    /// The sort of fault.
    pub problem: Problem,
    /// The fault, for people.
    pub detail: String,
    /// Whether something can be done about it.
    pub remedy: Remedy,
}

/// Sorts what may be wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It has another size than the manifest says.
    Size,
    /// It has another SHA-256 digest than the manifest says.
    Digest,
    /// It is not what its name says.
    Unreadable,
    /// It says something else than the segments.
    Disagrees,
    /// It is stored and whole, but not in the manifest.
    Unlisted,
}

/// Says what can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// A repair would set it right.
    Mendable,
    /// The repair has set it right.
    Mended,
    /// Nothing: a repair can only say so. A segment becomes a gap.
    Lost,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, detail, remedy, .. } = self;
        let remedy = match remedy {
            Remedy::Mendable => "can be mended",
            Remedy::Mended => "mended",
            Remedy::Lost => "lost",
        };
        write!(f, "{object}: {detail} ({remedy})")
    }
}

impl fmt::Display for Report {
    /// One line for each finding, and one for the whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, recording, segments, bytes, findings, .. } = self;
        findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        let verdict = match findings.len() {
            0 => "whole".to_owned(),
            _ if self.is_whole() => "mended".to_owned(),
            1 => "1 finding".to_owned(),
            count => format!("{count} findings"),
        };
        write!(f, "{room}/{recording}: {verdict}; {segments} whole segments, {bytes} bytes")
    }
}
