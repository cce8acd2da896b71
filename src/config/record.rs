//! What is recorded, and how.

use std::time::Duration;

use onair_actors::shared::RecordRule;
use onair_media::RoomName;
use toml_edit::{Item, Value};

use super::by_room::ByRoom;
use super::duration::{parse_duration, show_duration};
use super::report::Fault;
use super::size::{parse_size, show_size};
use super::value::text;

/// The word for no limit.
const UNLIMITED: &str = "unlimited";

/// A recording is a dozen objects and a journal: shorter ones would be nothing else.
const SHORTEST: Duration = Duration::from_secs(10);
const SMALLEST_BYTES: u64 = 1 << 20;

/// What is recorded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// Whether a room is recorded unless somebody decides otherwise by hand.
    pub(crate) default: ByRoom<bool>,
    /// Whether a recording gets a progressive MP4 beside its HLS segments.
    pub(crate) mp4: ByRoom<bool>,
    /// Whether the pictures are left out.
    pub(crate) audio_only: ByRoom<bool>,
    /// After how long the next recording begins; `None` for never.
    pub(crate) max_duration: ByRoom<Option<Duration>>,
    /// After how many bytes the next recording begins; `None` for no limit of its own.
    pub(crate) max_bytes: ByRoom<Option<u64>>,
    /// Whether keyframes are decoded to make pictures.
    pub(crate) posters: bool,
    /// How long a recording waits for its publisher to come back.
    pub(crate) reconnect: Duration,
}

impl Record {
    /// Returns what holds for a room.
    pub(crate) fn rule(&self, room: &RoomName) -> RecordRule {
        RecordRule {
            record: self.default.of(room),
            mp4: self.mp4.of(room),
            audio_only: self.audio_only.of(room),
            max_duration: self.max_duration.of(room),
            max_bytes: self.max_bytes.of(room),
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            default: ByRoom::new(true),
            mp4: ByRoom::new(true),
            audio_only: ByRoom::new(false),
            max_duration: ByRoom::new(None),
            max_bytes: ByRoom::new(None),
            posters: true,
            reconnect: Duration::from_secs(30),
        }
    }
}

/// Reads how long a recording may be: `unlimited` or a duration such as `1h`.
pub(crate) fn longest(item: &Item) -> Result<Option<Duration>, Fault> {
    match text(item)? {
        UNLIMITED => Ok(None),
        written => match parse_duration(written).filter(|longest| *longest >= SHORTEST) {
            Some(longest) => Ok(Some(longest)),
            None => {
                let least = show_duration(SHORTEST);
                Err(format!("is \"{written}\", must be \"{UNLIMITED}\" or a time such as \"1h\", at least {least}")
                    .into())
            }
        },
    }
}

/// Reads how large a recording may be: `unlimited` or a size such as `4GB`.
pub(crate) fn largest(item: &Item) -> Result<Option<u64>, Fault> {
    match text(item)? {
        UNLIMITED => Ok(None),
        written => match parse_size(written).filter(|&largest| largest >= SMALLEST_BYTES) {
            Some(largest) => Ok(Some(largest)),
            None => {
                let least = show_size(SMALLEST_BYTES);
                Err(format!("is \"{written}\", must be \"{UNLIMITED}\" or a size such as \"4GB\", at least {least}")
                    .into())
            }
        },
    }
}

/// Renders what [`longest`] reads.
pub(crate) fn show_longest(longest: Option<Duration>) -> Value {
    longest.map_or_else(|| UNLIMITED.into(), show_duration).into()
}

/// Renders what [`largest`] reads.
pub(crate) fn show_largest(largest: Option<u64>) -> Value {
    largest.map_or_else(|| UNLIMITED.into(), show_size).into()
}
