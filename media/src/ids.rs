//! Names that users choose and ids that the server makes, parsed once into types that cannot be wrong.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest room name, in bytes.
const ROOM_NAME_MAX_BYTES: usize = 64;

/// Names a room: 1 to 64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot.
///
/// The alphabet makes a name safe as a URL segment, a directory and an object prefix. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Parses a room name.
    ///
    /// # Errors
    /// [`InvalidName::Room`] when the length, a character or the leading dot is not allowed.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits = !name.is_empty() && name.len() <= ROOM_NAME_MAX_BYTES;
        if !fits || name.starts_with('.') || !name.bytes().all(allowed) {
            return Err(InvalidName::Room);
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names one recording of a room: its start in UTC and a random suffix, as in `20261122T063000Z-7f3a9c`.
///
/// Ids sort by time as plain text. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(Arc<str>);

impl RecordingId {
    /// Parses an id of the form `YYYYMMDDTHHMMSSZ-xxxxxx`, where `x` is a lower-case hexadecimal digit.
    ///
    /// # Errors
    /// [`InvalidName::Recording`] when the text has any other form.
    pub fn parse(id: &str) -> Result<Self, InvalidName> {
        let shape = b"dddddddd\x54dddddd\x5a-xxxxxx";
        let fits = id.len() == shape.len()
            && id.bytes().zip(shape).all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                literal => byte == *literal,
            });
        if !fits {
            return Err(InvalidName::Recording);
        }
        Ok(Self(id.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Selects rooms by name: `*` stands for any run of characters, the empty one included, `?` for exactly one.
///
/// Everything else is as in a [`RoomName`]; no other wildcard exists. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomGlob(Arc<str>);

impl RoomGlob {
    /// Returns the glob `*`, which matches every room.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Parses a glob of 1 to 64 characters.
    ///
    /// # Errors
    /// [`InvalidName::Glob`] when the length, a character or a leading dot is such that no room could match.
    pub fn parse(glob: &str) -> Result<Self, InvalidName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*' | b'?');
        let fits = !glob.is_empty() && glob.len() <= ROOM_NAME_MAX_BYTES;
        if !fits || glob.starts_with('.') || !glob.bytes().all(allowed) {
            return Err(InvalidName::Glob);
        }
        Ok(Self(glob.into()))
    }

    /// Tells whether the glob matches the whole name.
    pub fn matches(&self, room: &RoomName) -> bool {
        matches_glob(self.0.as_bytes(), room.as_str().as_bytes())
    }

    /// Tells whether the glob matches every room there can be.
    pub fn matches_all(&self) -> bool {
        self.0.bytes().all(|b| b == b'*')
    }

    /// Returns the glob as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Matches greedily and, on a mismatch, lets the latest `*` swallow one more byte.
///
/// Only the latest star can need more, so the work is at most the product of the lengths: 64 × 64 steps.
fn matches_glob(mut glob: &[u8], mut name: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (glob, name) {
            ([b'*', glob_rest @ ..], _) => {
                retry = Some((glob_rest, name));
                glob = glob_rest;
            }
            ([], []) => return true,
            ([wanted, glob_rest @ ..], [byte, name_rest @ ..]) if *wanted == b'?' || wanted == byte => {
                (glob, name) = (glob_rest, name_rest);
            }
            _ => {
                let Some((after_star, [_, swallowed_one_more @ ..])) = retry else { return false };
                retry = Some((after_star, swallowed_one_more));
                (glob, name) = (after_star, swallowed_one_more);
            }
        }
    }
}

/// Says which name could not be parsed, in words for the person who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A room name breaks the rule of [`RoomName`].
    #[error("a room name is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with a dot")]
    Room,
    /// A recording id breaks the rule of [`RecordingId`].
    #[error("a recording id looks like 20261122T063000Z-7f3a9c")]
    Recording,
    /// A room glob breaks the rule of [`RoomGlob`].
    #[error("a room glob is 1 to 64 of A-Z a-z 0-9 . _ - and the wildcards * and ?, and does not begin with a dot")]
    Glob,
}

macro_rules! text_conversions {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }
    };
}

text_conversions!(RoomName);
text_conversions!(RecordingId);
text_conversions!(RoomGlob);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_are_safe_as_a_path_segment() {
        for good in ["a", "studio-1", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(RoomName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a b", "ü", "%2f", &"x".repeat(65)] {
            assert_eq!(RoomName::parse(bad), Err(InvalidName::Room), "{bad:?}");
        }
    }

    #[test]
    fn recording_ids_have_one_form() {
        assert!(RecordingId::parse("20261122T063000Z-7f3a9c").is_ok());
        for bad in
            ["", "20261122T063000Z", "20261122T063000Z-7F3A9C", "2026112xT063000Z-7f3a9c", "20261122t063000z-7f3a9c"]
        {
            assert_eq!(RecordingId::parse(bad), Err(InvalidName::Recording), "{bad:?}");
        }
    }

    fn hits(glob: &str, room: &str) -> bool {
        RoomGlob::parse(glob).unwrap().matches(&RoomName::parse(room).unwrap())
    }

    #[test]
    fn globs_match_whole_names() {
        for (glob, room) in [
            ("*", "a"),
            ("studio-*", "studio-"),
            ("studio-*", "studio-1"),
            ("*-cam", "door-cam-cam"),
            ("a*b*c", "aXXbYbZc"),
            ("cam?", "cam1"),
            ("?*?", "ab"),
            ("exact", "exact"),
        ] {
            assert!(hits(glob, room), "{glob} should match {room}");
        }
        for (glob, room) in [
            ("studio-*", "studio"),
            ("studio-*", "my-studio-1"),
            ("cam?", "cam"),
            ("cam?", "cam12"),
            ("a*b*c", "acb"),
            ("exact", "Exact"),
        ] {
            assert!(!hits(glob, room), "{glob} should not match {room}");
        }
    }

    #[test]
    fn a_glob_of_many_stars_stays_cheap() {
        assert!(!hits(&"a*".repeat(32), &"a".repeat(31)));
        assert!(hits(&"a*".repeat(32), &"a".repeat(64)));
    }

    #[test]
    fn globs_that_match_nothing_are_refused() {
        for bad in ["", ".x*", "a/b", "[ab]", "{a,b}", &"*".repeat(65)] {
            assert_eq!(RoomGlob::parse(bad), Err(InvalidName::Glob), "{bad:?}");
        }
        assert!(RoomGlob::any().matches_all() && RoomGlob::parse("**").unwrap().matches_all());
        assert!(!RoomGlob::parse("*?").unwrap().matches_all());
    }
}
