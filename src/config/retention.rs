//! For how long recordings are kept: a limit for all rooms, and others for some.

use std::time::Duration;

use onair_media::{RoomGlob, RoomName};
use onair_recorder::{Budget, RetentionPolicy};
use toml_edit::{Item, Value};

use super::duration::{parse_duration, show_duration};
use super::keys::Shown;
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
    pub(crate) age: Limit<Duration>,
    /// How many of each room; 0 is any number.
    pub(crate) count: Limit<u32>,
    /// How many bytes; the rooms that one setting holds for share them.
    pub(crate) bytes: Limit<u64>,
}

/// A limit for all rooms, and those for some in the order they were written; a later one wins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit<T> {
    /// `None` is no limit.
    pub(crate) all: Option<T>,
    rooms: Vec<(RoomGlob, Option<T>)>,
}

impl Retention {
    /// Returns what holds for a room.
    pub(crate) fn policy(&self, room: &RoomName) -> RetentionPolicy {
        let (rooms, max_bytes) = self.bytes.of(room);
        let name = rooms.map_or_else(|| "all rooms".into(), |glob| format!("the rooms {glob}"));
        RetentionPolicy {
            max_age: self.age.of(room).1,
            max_count: self.count.of(room).1,
            budget: max_bytes.map(|max_bytes| Budget { name: name.into(), max_bytes }),
        }
    }

    /// Tells whether anything may ever be deleted.
    pub(crate) fn is_limited(&self) -> bool {
        self.age.is_limited() || self.count.is_limited() || self.bytes.is_limited()
    }
}

impl<T: Copy> Limit<T> {
    /// Sets what holds for some rooms; a rule that is set again moves to the end.
    pub(crate) fn set_for(&mut self, rooms: RoomGlob, limit: Option<T>) {
        self.rooms.retain(|(glob, _)| *glob != rooms);
        self.rooms.push((rooms, limit));
    }

    /// Renders the rules for some rooms.
    pub(crate) fn show_rooms(&self, show: impl Fn(Option<T>) -> Value) -> Shown {
        self.rooms.iter().map(|(glob, limit)| (glob.to_string(), show(*limit))).collect()
    }

    /// Returns the limit of a room, and the rule that it comes from.
    fn of(&self, room: &RoomName) -> (Option<&RoomGlob>, Option<T>) {
        let rule = self.rooms.iter().rev().find(|(glob, _)| glob.matches(room));
        rule.map_or((None, self.all), |(glob, limit)| (Some(glob), *limit))
    }

    fn is_limited(&self) -> bool {
        self.all.is_some() || self.rooms.iter().any(|(_, limit)| limit.is_some())
    }
}

impl<T> Default for Limit<T> {
    fn default() -> Self {
        Self { all: None, rooms: Vec::new() }
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
