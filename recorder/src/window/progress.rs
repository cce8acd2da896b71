//! How far a rendition's playlist has come, and what that means for those who wait (RFC 8216bis §6.2.5.2).

use std::time::Duration;

use super::directives::Until;

/// Says what the newest entries of a playlist are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The media sequence number of the last whole segment.
    pub last_msn: u64,
    /// How many parts that segment has; none when it is a gap.
    pub last_parts: u32,
    /// How many parts are listed of the segment after it.
    pub open_parts: u32,
    /// How many parts ahead of the newest may be asked for.
    pub advance_parts: u32,
    /// Whether nothing more will come.
    pub ended: bool,
}

/// Says what becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is answered now.
    Now,
    /// It is answered when the playlist has come further.
    Wait,
    /// It asks for what is too far ahead: 400.
    TooFar,
}

impl Progress {
    /// Decides on a request that wants the playlist to hold `until` (L11, L12). Nobody waits for what has ended (L13).
    pub fn decide(&self, until: Option<Until>) -> Decision {
        match until {
            Some(until) if !self.ended && self.is_too_far(until) => Decision::TooFar,
            Some(until) if !self.ended && !self.has(until) => Decision::Wait,
            _ => Decision::Now,
        }
    }

    /// Returns the number and the part that come next, unless nothing more will come.
    pub const fn hinted(&self) -> Option<(u64, u32)> {
        if self.ended { None } else { Some((self.last_msn + 1, self.open_parts)) }
    }

    /// Returns the newest number and the newest part of it, for the reports of other renditions (L9).
    pub const fn newest(&self) -> (u64, Option<u32>) {
        match (self.open_parts.checked_sub(1), self.last_parts.checked_sub(1)) {
            (Some(part), _) => (self.last_msn + 1, Some(part)),
            (None, part) => (self.last_msn, part),
        }
    }

    /// Tells whether the playlist holds a segment or part, or what takes its place: a part behind the last of its
    /// segment means the first of the next.
    const fn has(&self, Until { msn, part }: Until) -> bool {
        let next = self.last_msn + 1;
        match part {
            None => msn <= self.last_msn,
            Some(part) if msn == self.last_msn => part < self.last_parts || self.open_parts > 0,
            Some(part) if msn == next => part < self.open_parts,
            Some(_) => msn < self.last_msn,
        }
    }

    fn is_too_far(&self, Until { msn, part }: Until) -> bool {
        let ahead = match msn.checked_sub(self.last_msn) {
            None | Some(0) => return false,
            Some(1) => part.map_or(0, |part| (u64::from(part) + 1).saturating_sub(self.open_parts.into())),
            Some(2) => part.map_or(0, |part| u64::from(part) + 1),
            Some(_) => return true,
        };
        ahead > u64::from(self.advance_parts)
    }
}

/// Returns the Advance Part Limit: three seconds of short parts, or three parts (RFC 8216bis §6.2.5.2).
pub(super) fn advance_parts(part_target: Duration) -> u32 {
    if part_target.is_zero() || part_target >= Duration::from_secs(1) {
        return 3;
    }
    3_000_000_000_u128.div_ceil(part_target.as_nanos()).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 12 is whole and has 8 parts, of 13 there are two; parts of 500 ms.
    const PROGRESS: Progress = Progress { last_msn: 12, last_parts: 8, open_parts: 2, advance_parts: 6, ended: false };

    fn decide(msn: u64, part: Option<u32>) -> Decision {
        PROGRESS.decide(Some(Until { msn, part }))
    }

    #[test]
    fn l11_what_is_there_is_answered_and_what_comes_is_waited_for() {
        assert_eq!(PROGRESS.decide(None), Decision::Now);
        for (msn, part) in [(0, None), (12, None), (3, Some(100)), (12, Some(7)), (13, Some(1))] {
            assert_eq!(decide(msn, part), Decision::Now, "{msn} {part:?}");
        }
        for (msn, part) in [(13, None), (13, Some(2)), (14, None), (14, Some(0))] {
            assert_eq!(decide(msn, part), Decision::Wait, "{msn} {part:?}");
        }
    }

    #[test]
    fn l11_a_part_behind_the_last_means_the_first_of_the_next() {
        assert_eq!(decide(12, Some(8)), Decision::Now);
        let waiting = Progress { open_parts: 0, ..PROGRESS };
        assert_eq!(waiting.decide(Some(Until { msn: 12, part: Some(8) })), Decision::Wait);
        assert_eq!(waiting.decide(Some(Until { msn: 12, part: Some(7) })), Decision::Now);
        // A gap has no parts at all.
        let gap = Progress { last_parts: 0, ..waiting };
        assert_eq!(gap.decide(Some(Until { msn: 12, part: Some(0) })), Decision::Wait);
    }

    #[test]
    fn l12_what_is_too_far_ahead_is_refused() {
        // The newest part is 1; six more may be asked for, and two segments.
        assert_eq!(decide(13, Some(7)), Decision::Wait);
        assert_eq!(decide(13, Some(8)), Decision::TooFar);
        assert_eq!(decide(14, Some(5)), Decision::Wait);
        assert_eq!(decide(14, Some(6)), Decision::TooFar);
        assert_eq!(decide(15, None), Decision::TooFar);
        assert_eq!(decide(u64::MAX, Some(u32::MAX)), Decision::TooFar);
        assert_eq!(advance_parts(Duration::from_millis(500)), 6);
        assert_eq!(advance_parts(Duration::from_millis(700)), 5);
        assert_eq!(advance_parts(Duration::from_secs(2)), 3);
    }

    #[test]
    fn l13_nobody_waits_for_what_has_ended() {
        let ended = Progress { open_parts: 0, ended: true, ..PROGRESS };
        assert_eq!(ended.decide(Some(Until { msn: 99, part: Some(99) })), Decision::Now);
        assert_eq!(ended.hinted(), None);
    }

    #[test]
    fn l8_the_next_part_is_hinted_at() {
        assert_eq!(PROGRESS.hinted(), Some((13, 2)));
        let waiting = Progress { open_parts: 0, ..PROGRESS };
        assert_eq!(waiting.hinted(), Some((13, 0)));
    }

    #[test]
    fn l9_the_newest_part_is_reported() {
        assert_eq!(PROGRESS.newest(), (13, Some(1)));
        assert_eq!(Progress { open_parts: 0, ..PROGRESS }.newest(), (12, Some(7)));
        assert_eq!(Progress { open_parts: 0, last_parts: 0, ..PROGRESS }.newest(), (12, None));
    }
}
