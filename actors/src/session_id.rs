//! Names that nobody can guess: session ids and entity tags.

use std::fmt;

use serde::Serialize;

/// Names one WHIP or WHEP session: 128 random bits, the secret part of its URL (RFC 9725 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Draws a new id from the operating system.
    pub fn random() -> Self {
        Self(random())
    }

    /// Parses 32 lower-case hexadecimal digits; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    /// Returns a short name for logs and pages, too short to be used as the id.
    pub fn short(self) -> String {
        self.to_string().chars().take(6).collect()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}…)", self.short())
    }
}

impl Serialize for SessionId {
    /// Shows the short name only: whoever has the whole id can end the session.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.short())
    }
}

/// Names one ICE generation of a session: a strong entity tag with its quotes (RFC 9725 §4.4.2, RFC 9110 §8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// Draws a new tag.
    pub fn random() -> Self {
        Self(format!("\"{:016x}\"", u64::from_be_bytes(random())))
    }

    /// Returns the tag as it stands in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether an `If-Match` header names this tag, or any (RFC 9110 §13.1.1).
    pub fn is_matched_by(&self, if_match: &str) -> bool {
        if_match.split(',').map(str::trim).any(|tag| tag == "*" || tag == self.0)
    }
}

/// Draws random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_but_not_their_debug_output() {
        let id = SessionId::random();
        assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        assert!(!format!("{id:?}").contains(&id.to_string()));
        for bad in ["", "xyz", &"A".repeat(32), &"0".repeat(31), &"é".repeat(16)] {
            assert_eq!(SessionId::parse(bad), None);
        }
    }

    #[test]
    fn entity_tags_match_themselves_and_the_star() {
        let tag = ETag::random();
        assert!(tag.is_matched_by(tag.as_str()) && tag.is_matched_by("*"));
        assert!(tag.is_matched_by(&format!("\"other\", {}", tag.as_str())));
        assert!(!tag.is_matched_by("\"other\"") && !tag.is_matched_by(""));
    }
}
