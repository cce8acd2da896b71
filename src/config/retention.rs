//! For how long recordings are kept: a limit for all rooms, and others for some.

use std::time::Duration;

use onair_media::RoomName;
use onair_recorder::{Budget, RetentionPolicy};
use toml_edit::{Item, Value};

use super::by_room::ByRoom;
use super::duration::{parse_duration, show_duration};
use super::report::Fault;
use super::size::{parse_size, show_size};
use super::value::text;

/// The word for no limit in time, and that for none in size.
const FOREVER: &str = "forever";
const UNLIMITED: &str = "unlimited";

/// What is to be kept. Nothing is deleted unless a limit was set.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Retention {
    /// How long after their end.
    pub(crate) age: ByRoom<Option<Duration>>,
    /// How many of each room; 0 is any number.
    pub(crate) count: ByRoom<Option<u32>>,
    /// How many bytes; the rooms that one setting holds for share them.
    pub(crate) bytes: ByRoom<Option<u64>>,
}

impl Retention {
    /// Returns what holds for a room.
    pub(crate) fn policy(&self, room: &RoomName) -> RetentionPolicy {
        let (rooms, max_bytes) = self.bytes.rule(room);
        let name = rooms.map_or_else(|| "all rooms".into(), |glob| format!("the rooms {glob}"));
        RetentionPolicy {
            max_age: self.age.of(room),
            max_count: self.count.of(room),
            budget: max_bytes.map(|max_bytes| Budget { name: name.into(), max_bytes }),
        }
    }

    /// Tells whether anything may ever be deleted.
    pub(crate) fn is_limited(&self) -> bool {
        self.age.any(Option::is_some) || self.count.any(Option::is_some) || self.bytes.any(Option::is_some)
    }
}

/// Reads how long: `forever` or a duration such as `30d`. Nothing at all would delete what has just ended.
pub(crate) fn max_age(item: &Item) -> Result<Option<Duration>, Fault> {
    match text(item)? {
        FOREVER => Ok(None),
        written => match parse_duration(written).filter(|age| !age.is_zero()) {
            Some(age) => Ok(Some(age)),
            None => Err(format!("is \"{written}\", must be \"{FOREVER}\" or a time such as \"30d\" or \"12h\"").into()),
        },
    }
}

/// Reads how much: `unlimited` or a size such as `500GiB`.
pub(crate) fn max_bytes(item: &Item) -> Result<Option<u64>, Fault> {
    match text(item)? {
        UNLIMITED => Ok(None),
        written => match parse_size(written).filter(|&bytes| bytes > 0) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(format!("is \"{written}\", must be \"{UNLIMITED}\" or a size such as \"500GiB\"").into()),
        },
    }
}

/// Renders what [`max_age`] reads.
pub(crate) fn show_age(age: Option<Duration>) -> Value {
    age.map_or_else(|| FOREVER.into(), show_duration).into()
}

/// Renders what [`max_bytes`] reads.
pub(crate) fn show_bytes(bytes: Option<u64>) -> Value {
    bytes.map_or_else(|| UNLIMITED.into(), show_size).into()
}
