//! When a frame was sent, written into the frame itself: the first packet of a frame (of a keyframe: the first behind
//! its parameter sets) is an SEI message of a length that nothing else has.
//!
//! A server that forwards packets leaves payloads alone, so a viewer reads from it how long the frame took. Times are
//! microseconds of the system's clock, which the kernel stamps received datagrams with, too; so publisher and viewers
//! may be different processes of one machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// NAL unit type 6, payload type 5 (user data unregistered, ITU-T H.264 §D.1.6), and the payload's length.
const HEADER: [u8; 3] = [0x06, 5, (UUID.len() + DIGITS) as u8];

/// Says that what follows is one of our stamps.
const UUID: [u8; 16] = *b"\x21\xd5\x16\x93\x00\x73\x4f\xbb\x8d\xe3\x57\xd4\x55\x7e\x8e\x97";

/// 16 hexadecimal digits of microseconds and 8 of the frame's number: text needs no emulation prevention.
const DIGITS: usize = 16 + 8;

/// How long the RTP payload with a stamp is; only the trailing bit follows the text.
pub(crate) const STAMP_BYTES: usize = HEADER.len() + UUID.len() + DIGITS + 1;

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
    /// Returns the RTP payload that bears this stamp.
    pub(crate) fn payload(self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(STAMP_BYTES);
        payload.extend_from_slice(&HEADER);
        payload.extend_from_slice(&UUID);
        payload.extend_from_slice(format!("{:016x}{:08x}", self.sent_us, self.frame).as_bytes());
        payload.push(0x80);
        payload
    }

    /// Reads a stamp from an RTP payload; `None` when it is something else.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let text = payload.strip_prefix(&HEADER)?.strip_prefix(&UUID)?.strip_suffix(&[0x80])?;
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() == DIGITS)?;
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
            let payload = stamp.payload();
            assert_eq!(payload.len(), STAMP_BYTES);
            assert_eq!(Stamp::parse(&payload), Some(stamp));
        }
    }

    #[test]
    fn other_messages_are_no_stamps() {
        let mut other = Stamp { sent_us: 1, frame: 1 }.payload();
        other[5] ^= 1;
        assert_eq!(Stamp::parse(&other), None);
        assert_eq!(Stamp::parse(&[6, 5]), None);
        assert_eq!(Stamp::parse(&[]), None);
    }
}
