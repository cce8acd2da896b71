//! Tickets: what a viewer shows where a bearer token cannot go, as in the URL of a `<video>` or of a player.
//!
//! A ticket is for one room and ends by itself; it allows to look, and nothing else. It is `{end}-{tag}`: when it ends, in
//! seconds since 1970 in hexadecimal digits, and the first 18 bytes of the HMAC-SHA256 of that and the room, in base64url.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use onair_media::RoomName;
use subtle::ConstantTimeEq;

/// What sets these signatures apart from all others that the same secret may make.
const PURPOSE: &str = "onair ticket 1";

/// 144 bits: without a padding character, and far beyond guessing.
const TAG_BYTES: usize = 18;

/// Issues tickets and knows them again.
#[derive(Clone)]
pub struct Tickets {
    key: hmac::Key,
    lifetime: Duration,
}

impl Tickets {
    /// Makes tickets that live for so long; whoever has the same secret knows them.
    pub fn new(secret: &[u8], lifetime: Duration) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), lifetime }
    }

    /// Makes tickets that nobody else knows, and that end with the process.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn with_random_secret(lifetime: Duration) -> Result<Self, Unspecified> {
        let mut secret = [0; 32];
        rand::fill(&mut secret)?;
        Ok(Self::new(&secret, lifetime))
    }

    /// Issues a ticket for a room at a time in seconds since 1970. Returns it with when it ends.
    pub fn issue(&self, room: &RoomName, now_s: u64) -> (String, u64) {
        let end_s = now_s.saturating_add(self.lifetime.as_secs());
        (format!("{end_s:x}-{}", BASE64_URL_SAFE_NO_PAD.encode(self.tag(room, end_s))), end_s)
    }

    /// Returns how long a ticket has still to live, or `None` for one that has ended, is for another room, or is none of
    /// ours.
    pub fn check(&self, ticket: &str, room: &RoomName, now_s: u64) -> Option<Duration> {
        let (end, tag) = ticket.split_once('-')?;
        let end_s = u64::from_str_radix(end, 16).ok()?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        let is_ours = bool::from(self.tag(room, end_s).ct_eq(tag.as_slice()));
        let left = Duration::from_secs(end_s.saturating_sub(now_s));
        (is_ours && !left.is_zero()).then_some(left)
    }

    fn tag(&self, room: &RoomName, end_s: u64) -> [u8; TAG_BYTES] {
        let tag = hmac::sign(&self.key, format!("{PURPOSE}\n{room}\n{end_s}").as_bytes());
        tag.as_ref().first_chunk().copied().expect("an HMAC-SHA256 has 32 bytes")
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_795_329_062;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn tickets() -> Tickets {
        Tickets::new(b"hunter2", Duration::from_secs(3_600))
    }

    #[test]
    fn a_ticket_is_for_its_room_and_for_its_time() {
        let (ticket, end_s) = tickets().issue(&room("studio-1"), NOW_S);
        assert_eq!(end_s, NOW_S + 3_600);
        assert!(ticket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{ticket}");
        let left = |room_name, now_s| tickets().check(&ticket, &room(room_name), now_s);
        assert_eq!(left("studio-1", NOW_S + 600), Some(Duration::from_secs(3_000)));
        assert_eq!(left("studio-1", end_s), None);
        assert_eq!(left("studio-2", NOW_S), None);
        assert_eq!(Tickets::new(b"other", Duration::from_secs(3_600)).check(&ticket, &room("studio-1"), NOW_S), None);
    }

    #[test]
    fn what_was_changed_is_no_ticket() {
        let (ticket, end_s) = tickets().issue(&room("x"), NOW_S);
        let (_, tag) = ticket.split_once('-').unwrap();
        let longer = format!("{:x}-{tag}", end_s + 1);
        let shorter = &ticket[..ticket.len() - 4];
        for bad in ["", "-", "x", longer.as_str(), shorter, &format!("{ticket}AAAA"), "ffffffffffffffffff-AAAA", "é-é"]
        {
            assert_eq!(tickets().check(bad, &room("x"), NOW_S), None, "{bad}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", tickets()).contains("hunter"));
    }
}
