//! When packets came to a viewer, as it reports that (draft-holmer-rmcat-transport-wide-cc-extensions).

use std::time::{Duration, Instant};

use str0m::rtp::rtcp::Twcc;

use crate::core::egress::Reported;

/// The most packets whose arrival is passed on at a time: more than are sent between two reports.
const MAX: usize = 1024;

/// How often arrivals are passed on at most: viewers report up to twenty times a second, and the choice of an encoding is
/// looked at ten times.
const APART: Duration = Duration::from_millis(100);

/// A run of no packets, which says nothing, in each of its four forms.
const EMPTY_RUNS: [[u8; 2]; 4] = [[0x00, 0], [0x20, 0], [0x40, 0], [0x60, 0]];

/// Gathers what one viewer reports.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Where times are counted from: only differences matter.
    zero: Instant,
    reported: Vec<Reported>,
    told_at: Option<Instant>,
    is_due: bool,
}

impl Arrivals {
    pub(super) const fn new(zero: Instant) -> Self {
        Self { zero, reported: Vec::new(), told_at: None, is_due: false }
    }

    /// Takes a report. One with an empty run is passed over: no viewer sends it, and str0m's iterator panics at what follows.
    pub(super) fn note(&mut self, feedback: &Twcc, now: Instant) {
        if feedback.chunks.iter().any(|chunk| EMPTY_RUNS.iter().any(|run| is(chunk, run))) {
            return;
        }
        let zero = self.zero;
        let room = MAX.saturating_sub(self.reported.len());
        let reported = feedback.clone().into_iter(zero, u64::from(feedback.base_seq).into());
        let reported =
            reported.map(|(number, _, at)| (*number as u16, at.map(|at| at.saturating_duration_since(zero))));
        self.reported.extend(reported.take(room));
        self.is_due |= self.told_at.is_none_or(|told| now.saturating_duration_since(told) >= APART);
        if self.is_due {
            self.told_at = Some(now);
        }
    }

    /// Returns what is to be passed on, if it is time.
    pub(super) fn take(&mut self) -> Option<Vec<Reported>> {
        let is_due = std::mem::take(&mut self.is_due) && !self.reported.is_empty();
        is_due.then(|| std::mem::take(&mut self.reported))
    }
}

/// Tells whether a chunk is the one that these bytes stand for. Its type has no name outside of str0m.
fn is<C: PartialEq + for<'a> TryFrom<&'a [u8]>>(chunk: &C, bytes: &[u8]) -> bool {
    C::try_from(bytes).is_ok_and(|it| it == *chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report on `count` packets from number 7 on.
    fn report(count: u16, rest: &[u8]) -> Option<Twcc> {
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&7_u16.to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(rest);
        Twcc::try_from(bytes.as_slice()).ok()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn reports_say_which_packets_came_and_when() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        // Two that came, 1 ms and 2 ms later, and one that did not.
        let rest = [0x20, 2, 0x00, 1, 4, 8];
        arrivals.note(&report(3, &rest).unwrap(), start);
        assert_eq!(arrivals.take(), Some(vec![(7, Some(ms(1))), (8, Some(ms(3))), (9, None)]));
        arrivals.note(&report(3, &rest).unwrap(), start + ms(99));
        assert_eq!(arrivals.take(), None, "some were passed on just now");
        arrivals.note(&report(3, &rest).unwrap(), start + ms(100));
        assert_eq!(arrivals.take().map(|all| all.len()), Some(6));
    }

    #[test]
    fn an_empty_run_does_no_harm() {
        let mut arrivals = Arrivals::new(Instant::now());
        arrivals.note(&report(1, &[0x20, 0, 0x40, 1, 0, 4]).unwrap(), Instant::now());
        assert_eq!(arrivals.take(), None);
    }

    #[test]
    fn nothing_that_is_reported_does_harm() {
        let (mut arrivals, mut noise) = (Arrivals::new(Instant::now()), 1_u32);
        for length in (0..64).cycle().take(100_000) {
            let mut next = || {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            };
            let count = u16::from_be_bytes([next() & 3, next()]);
            let rest: Vec<_> = (0..length).map(|_| next()).collect();
            if let Some(report) = report(count, &rest) {
                arrivals.note(&report, Instant::now());
                assert!(arrivals.reported.len() <= MAX);
            }
            arrivals.reported.truncate(MAX / 2);
        }
    }
}
