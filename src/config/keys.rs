//! What a key is, and how one is found. The table of all keys is in `table`.

mod table;

use std::path::Path;

use toml_edit::{Item, Value};

use super::Config;
use super::report::Fault;
pub(super) use table::KEYS;

/// Describes one key.
pub(super) struct Key {
    /// The dotted path; a segment `*` stands for a name of the user's choice.
    pub(super) path: &'static str,
    /// How the key is written where there are no types: in the environment and in flags.
    pub(super) kind: Kind,
    /// One line for docs/configuration.md and the printed configuration.
    pub(super) doc: &'static str,
    /// Parses a value and stores it.
    pub(super) set: fn(&mut Config, &Input<'_>) -> Result<(), Vec<Fault>>,
    /// Renders the effective value, secrets masked: one entry, several with names in place of `*`, or none.
    pub(super) show: fn(&Config) -> Shown,
}

/// Tells what a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text; outside a file it needs no quotes.
    Text,
    /// A list of texts; outside a file also as texts with commas between.
    Texts,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list of tables.
    Tables,
}

/// A value on its way into the configuration.
pub(super) struct Input<'a> {
    /// What was written.
    pub(super) item: &'a Item,
    /// What stands for `*` in the key's path; empty without one.
    pub(super) name: &'a str,
    /// Where relative paths begin.
    pub(super) dir: &'a Path,
}

/// Effective values with the names that stand for `*`; the name is empty without one.
pub(super) type Shown = Vec<(String, Value)>;

/// What a dotted path is.
pub(super) enum Found<'p> {
    /// A key, with what stands for its `*`.
    Key(&'static Key, &'p str),
    /// A table that holds keys.
    Section,
    /// Nothing.
    Unknown,
}

/// Looks up a path of segments.
pub(super) fn find<'p>(path: &'p [String]) -> Found<'p> {
    let mut is_section = false;
    for key in &KEYS {
        let Some(name) = begins_with(key.path, path) else { continue };
        if key.path.split('.').count() == path.len() {
            return Found::Key(key, name);
        }
        is_section = true;
    }
    if is_section { Found::Section } else { Found::Unknown }
}

/// Tells whether the key's path begins with `path`, and returns what stands for its `*`, or an empty text.
fn begins_with<'p>(key_path: &str, path: &'p [String]) -> Option<&'p str> {
    let mut name = "";
    let mut segments = key_path.split('.');
    for given in path {
        match segments.next()? {
            "*" => name = given,
            segment if segment == given => {}
            _ => return None,
        }
    }
    Some(name)
}

impl Key {
    /// Returns the name of the environment variable, or `None` if a segment is of the user's choice and not the last.
    pub(super) fn env_name(&self) -> Option<String> {
        let free_segment = self.path.split('.').position(|segment| segment == "*");
        let settable = free_segment.is_none_or(|position| position + 1 == self.path.split('.').count());
        settable.then(|| format!("ONAIR_{}", self.path.to_ascii_uppercase().replace('.', "__").replace('*', "<NAME>")))
    }

    /// Returns the table that the key stands in, down to one level.
    pub(super) fn section(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(section, _)| section)
    }
}
