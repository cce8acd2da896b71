//! Who may do what: a bearer token against the grants of the configuration.
//!
//! Pure: no request, no clock, no log. The callers turn [`Denied`] into a problem document
//! and decide which [`Right`] a request needs; nothing else in the server looks at tokens.

mod bearer;
mod grant;
mod ticket;

use std::fmt;

use onair_media::RoomName;
use subtle::{Choice, ConstantTimeEq};

pub use bearer::{bearer_token, is_b64token};
pub use grant::Grant;
use grant::digest;
pub use ticket::Tickets;

/// Names one thing that a token can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Send media into a room.
    Publish,
    /// Watch a room, live or over HLS, and its recordings.
    View,
    /// Start and stop recordings by hand.
    Record,
    /// Everything else, such as kicking and deleting; implies all other rights.
    Admin,
    /// Replace the publisher who is live in a room.
    Takeover,
}

impl Right {
    /// Lists every right, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Publish, Self::View, Self::Record, Self::Admin, Self::Takeover];

    /// Parses the word used in configurations; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == word)
    }

    /// Returns the word used in configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::View => "view",
            Self::Record => "record",
            Self::Admin => "admin",
            Self::Takeover => "takeover",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Says why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request carries no bearer token and the right needs one.
    #[error("a bearer token is required")]
    TokenRequired,
    /// The token is none of those that the server knows (`invalid_token` of RFC 6750 §3.1).
    #[error("the bearer token is not known")]
    TokenUnknown,
    /// The ticket that was brought instead has ended, or is for another room.
    #[error("the ticket has ended, or is not for this room")]
    TicketInvalid,
    /// The token is known and does not allow this (`insufficient_scope` of RFC 6750 §3.1).
    #[error("the bearer token does not allow this")]
    Forbidden,
}

/// Decides who may do what.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Everybody may do everything.
    Open,
    /// Only those who bring a token, and only what its grants say. Several grants may share one token.
    Tokens(Vec<Grant>),
}

impl Policy {
    /// Tells whether everybody may do everything.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Decides whether `bearer` (the token alone, as [`bearer_token`] returns it) has `right` in `room`.
    ///
    /// Without a room the question is about the whole server, and only a grant for all rooms (`*`) answers it.
    /// The time taken depends on the number of grants and the token's length, never on what matched.
    ///
    /// # Errors
    /// [`Denied`], with the reason to tell the client.
    pub fn check(&self, bearer: Option<&str>, right: Right, room: Option<&RoomName>) -> Result<(), Denied> {
        let Self::Tokens(grants) = self else { return Ok(()) };
        let Some(bearer) = bearer else { return Err(Denied::TokenRequired) };
        let brought = digest(bearer);
        let (mut known, mut allowed) = (Choice::from(0), Choice::from(0));
        for grant in grants {
            let same_token = grant.token_sha256.ct_eq(&brought);
            known |= same_token;
            allowed |= same_token & Choice::from(u8::from(grant.covers(right, room)));
        }
        match (bool::from(allowed), bool::from(known)) {
            (true, _) => Ok(()),
            (false, true) => Err(Denied::Forbidden),
            (false, false) => Err(Denied::TokenUnknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use onair_media::RoomGlob;

    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn policy() -> Policy {
        let studios = || RoomGlob::parse("studio-*").unwrap();
        Policy::Tokens(vec![
            Grant::new("pub", [Right::Publish], studios()),
            Grant::new("pub", [Right::View], RoomGlob::any()),
            Grant::new("boss", [Right::Admin], studios()),
            Grant::new("root", [Right::Admin], RoomGlob::any()),
        ])
    }

    #[test]
    fn an_open_policy_asks_for_nothing() {
        assert_eq!(Policy::Open.check(None, Right::Admin, None), Ok(()));
    }

    #[test]
    fn a_missing_a_wrong_and_a_weak_token_are_told_apart() {
        let studio = room("studio-1");
        let check = |token| policy().check(token, Right::Record, Some(&studio));
        assert_eq!(check(None), Err(Denied::TokenRequired));
        assert_eq!(check(Some("pu")), Err(Denied::TokenUnknown));
        assert_eq!(check(Some("")), Err(Denied::TokenUnknown));
        assert_eq!(check(Some("pub")), Err(Denied::Forbidden));
    }

    #[test]
    fn grants_of_one_token_add_up_but_do_not_mix() {
        let (studio, lobby) = (room("studio-1"), room("lobby"));
        assert_eq!(policy().check(Some("pub"), Right::Publish, Some(&studio)), Ok(()));
        assert_eq!(policy().check(Some("pub"), Right::View, Some(&lobby)), Ok(()));
        assert_eq!(policy().check(Some("pub"), Right::Publish, Some(&lobby)), Err(Denied::Forbidden));
    }

    #[test]
    fn admin_implies_every_right_in_its_rooms() {
        for right in Right::ALL {
            assert_eq!(policy().check(Some("boss"), right, Some(&room("studio-9"))), Ok(()), "{right}");
            assert_eq!(policy().check(Some("boss"), right, Some(&room("lobby"))), Err(Denied::Forbidden), "{right}");
        }
    }

    #[test]
    fn the_whole_server_needs_a_grant_for_all_rooms() {
        assert_eq!(policy().check(Some("root"), Right::Admin, None), Ok(()));
        assert_eq!(policy().check(Some("boss"), Right::Admin, None), Err(Denied::Forbidden));
    }

    #[test]
    fn no_grants_let_nobody_in() {
        assert_eq!(Policy::Tokens(Vec::new()).check(Some("x"), Right::View, None), Err(Denied::TokenUnknown));
    }

    #[test]
    fn every_right_has_one_word() {
        for right in Right::ALL {
            assert_eq!(Right::parse(right.as_str()), Some(right));
        }
        assert_eq!(Right::parse("Publish"), None);
    }
}
