//! One grant: a token, what it allows, and where. The token itself is forgotten at once.

use std::fmt;

use onair_media::{RoomGlob, RoomName};
use sha2::{Digest, Sha256};

use super::Right;

/// Allows whoever brings a token to do some things in some rooms.
#[derive(Clone)]
pub struct Grant {
    /// SHA-256 of the token: equal lengths for the comparison, and nothing to leak from memory or logs.
    pub(super) token_sha256: [u8; 32],
    rights: Vec<Right>,
    rooms: RoomGlob,
}

impl Grant {
    /// Grants `rights` in `rooms` to whoever brings `token`.
    pub fn new(token: &str, rights: impl IntoIterator<Item = Right>, rooms: RoomGlob) -> Self {
        Self { token_sha256: digest(token), rights: rights.into_iter().collect(), rooms }
    }

    /// Tells whether the grant allows `right` in `room`, or in the whole server without one.
    pub(super) fn covers(&self, right: Right, room: Option<&RoomName>) -> bool {
        let in_rooms = room.map_or_else(|| self.rooms.matches_all(), |room| self.rooms.matches(room));
        in_rooms && self.rights.iter().any(|granted| *granted == right || *granted == Right::Admin)
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("rights", &self.rights).field("rooms", &self.rooms).finish_non_exhaustive()
    }
}

/// Hashes a token for the comparison, so that neither its length nor its first bytes show in the time taken.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_token_and_no_digest() {
        let shown = format!("{:?}", Grant::new("hunter2", [Right::View], RoomGlob::any()));
        assert_eq!(shown, r#"Grant { rights: [View], rooms: RoomGlob("*"), .. }"#);
    }
}
