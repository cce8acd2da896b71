//! Settings that hold for all rooms, with exceptions for some.

use onair_media::{RoomGlob, RoomName};
use toml_edit::Value;

use super::keys::Shown;

/// A setting for all rooms, and those for some in the order they were written; a later one wins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ByRoom<T> {
    /// What holds where no rule matches.
    pub(crate) all: T,
    rooms: Vec<(RoomGlob, T)>,
}

impl<T: Copy> ByRoom<T> {
    /// The same for all rooms.
    pub(crate) const fn new(all: T) -> Self {
        Self { all, rooms: Vec::new() }
    }

    /// Sets what holds for some rooms; a rule that is set again moves to the end.
    pub(crate) fn set_for(&mut self, rooms: RoomGlob, setting: T) {
        self.rooms.retain(|(glob, _)| *glob != rooms);
        self.rooms.push((rooms, setting));
    }

    /// Renders the rules for some rooms.
    pub(crate) fn show_rooms(&self, show: impl Fn(T) -> Value) -> Shown {
        self.rooms.iter().map(|(glob, setting)| (glob.to_string(), show(*setting))).collect()
    }

    /// Returns what holds for a room.
    pub(crate) fn of(&self, room: &RoomName) -> T {
        self.rule(room).1
    }

    /// Returns what holds for a room, and the rule that it comes from.
    pub(crate) fn rule(&self, room: &RoomName) -> (Option<&RoomGlob>, T) {
        let rule = self.rooms.iter().rev().find(|(glob, _)| glob.matches(room));
        rule.map_or((None, self.all), |(glob, setting)| (Some(glob), *setting))
    }

    /// Tells whether something that is wanted is set anywhere.
    pub(crate) fn any(&self, is_wanted: impl Fn(&T) -> bool) -> bool {
        is_wanted(&self.all) || self.rooms.iter().any(|(_, setting)| is_wanted(setting))
    }
}

impl<T: Copy + Default> Default for ByRoom<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
