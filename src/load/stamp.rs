//! When a frame was sent, written into the frame itself: behind the header of its slice.
//!
//! A server that forwards packets leaves payloads alone, so a viewer reads from it how long the frame took. Times are
//! microseconds of the system's clock, which the kernel stamps received datagrams with, too; so publisher and viewers
//! may be different processes of one machine.
//!
//! The stamp has no packet of its own: that would be a small one ahead of each frame's full ones, as no encoder sends it,
//! and servers that put several packets into one call would pay for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Says that what follows is one of our stamps.
const UUID: [u8; 16] = *b"\x21\xd5\x16\x93\x00\x73\x4f\xbb\x8d\xe3\x57\xd4\x55\x7e\x8e\x97";

/// 16 hexadecimal digits of microseconds and 8 of the frame's number: text needs no emulation prevention.
const DIGITS: usize = 16 + 8;

/// How long a stamp is.
pub(crate) const STAMP_BYTES: usize = UUID.len() + DIGITS;

/// How many bytes may stand in an RTP payload before a stamp: those of a fragmentation unit, and of a slice's header.
const HEADERS_MAX_BYTES: usize = 8;

/// Returns the time of the system's clock, since 1970, in microseconds.
pub(crate) fn wallclock_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Counts microseconds, as far as 64 bits reach.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// When a frame was sent, and which one it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Microseconds of the system's clock.
    pub(crate) sent_us: u64,
    /// Counts the publisher's frames.
    pub(crate) frame: u32,
}

impl Stamp {
    /// Writes the stamp over the beginning of `out`, which is at least [`STAMP_BYTES`] long.
    pub(crate) fn write(self, out: &mut [u8]) {
        out[..UUID.len()].copy_from_slice(&UUID);
        let text = format!("{:016x}{:08x}", self.sent_us, self.frame);
        out[UUID.len()..STAMP_BYTES].copy_from_slice(text.as_bytes());
    }

    /// Reads the stamp from the RTP payload in which a frame's slice begins; `None` when it is another.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let beginning = &payload[..payload.len().min(HEADERS_MAX_BYTES + UUID.len())];
        let at = beginning.windows(UUID.len()).position(|window| window == UUID)?;
        let text = std::str::from_utf8(payload.get(at + UUID.len()..at + STAMP_BYTES)?).ok()?;
        let (sent_us, frame) = text.split_at_checked(16)?;
        Some(Self { sent_us: u64::from_str_radix(sent_us, 16).ok()?, frame: u32::from_str_radix(frame, 16).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for (sent_us, frame) in [(0, 0), (1_795_569_488_123_456, 77), (u64::MAX, u32::MAX)] {
            let stamp = Stamp { sent_us, frame };
            let mut payload = vec![7; 100];
            stamp.write(&mut payload[4..]);
            assert_eq!(Stamp::parse(&payload), Some(stamp));
        }
    }

    #[test]
    fn other_payloads_are_not_stamped() {
        let mut payload = vec![7; 100];
        Stamp { sent_us: 1, frame: 1 }.write(&mut payload[4..]);
        assert_eq!(Stamp::parse(&payload[..30]), None);
        payload[5] ^= 1;
        assert_eq!(Stamp::parse(&payload), None);
        assert_eq!(Stamp::parse(&[6, 5]), None);
        assert_eq!(Stamp::parse(&[]), None);
    }
}
