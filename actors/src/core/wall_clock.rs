//! Ties the monotonic clock to the time of day, for what RTP says about it.

use std::time::{Duration, Instant, SystemTime};

/// Seconds from the epoch of NTP (1900) to that of Unix (RFC 5905 §6).
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// One moment on both clocks. All reports of a process go by the same one, so that they agree.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    at: Instant,
    since_1900: Duration,
}

impl WallClock {
    /// Says that the instant `at` is the time of day `wallclock`.
    pub fn new(at: Instant, wallclock: SystemTime) -> Self {
        let since_1970 = wallclock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { at, since_1900: since_1970 + Duration::from_secs(NTP_TO_UNIX_S) }
    }

    /// Returns an instant as an NTP timestamp: seconds since 1900, 32 bits before the point and 32 behind it
    /// (RFC 3550 §4). It wraps in 2036.
    pub fn ntp(&self, instant: Instant) -> u64 {
        let time = match instant.checked_duration_since(self.at) {
            Some(later) => self.since_1900.saturating_add(later),
            None => self.since_1900.saturating_sub(self.at.saturating_duration_since(instant)),
        };
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        (time.as_secs() << 32) | fraction
    }

    /// Returns an instant as the header extension `abs-send-time` has it: 24 bits, 18 of them behind the point.
    pub fn abs_send_time(&self, instant: Instant) -> [u8; 3] {
        let [_, _, _, _, _, a, b, c] = (self.ntp(instant) >> 14).to_be_bytes();
        [a, b, c]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_is_the_upper_bit_behind_the_point() {
        let now = Instant::now();
        let clock = WallClock::new(now, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(clock.ntp(now) >> 32, NTP_TO_UNIX_S + 1);
        assert_eq!(clock.ntp(now + Duration::from_millis(500)) as u32, 1 << 31);
        assert_eq!(clock.ntp(now + Duration::from_secs(7)) >> 32, NTP_TO_UNIX_S + 8);
    }

    #[test]
    fn abs_send_time_counts_seconds_in_six_bits() {
        let now = Instant::now();
        let clock = WallClock::new(now, SystemTime::UNIX_EPOCH);
        let value = |at| {
            let [a, b, c] = clock.abs_send_time(at);
            u32::from_be_bytes([0, a, b, c])
        };
        // 2,208,988,800 is a multiple of 64.
        assert_eq!(value(now), 0);
        assert_eq!(value(now + Duration::from_millis(1500)), 3 << 17);
        assert_eq!(value(now + Duration::from_secs(64)), 0);
    }
}
