//! What became of each packet of one stream, by its sequence numbers: delivered, repaired, late, twice or never.
//!
//! A packet that is missing waits for its repair, is asked for again and again, and is given up in the end. So that
//! `expected` = `delivered` + `lost` + those still waited for.

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// How far behind the newest packet one may come and still be told from its duplicate: 2 s at 8 Mbit/s.
const WINDOW: u64 = 2048;

/// The most packets that are waited for.
const MISSING_MAX: usize = 1024;

/// How long a packet may merely be late before it is asked for.
const LATE_AFTER: Duration = Duration::from_millis(10);

/// The time between two requests for one packet, and how many there are.
const RETRY_AFTER: Duration = Duration::from_millis(60);
const TRIES_MAX: u32 = 10;

/// When a missing packet is given up: players seldom buffer more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// What became of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Packets by the sequence numbers.
    pub(crate) expected: u64,
    /// Packets that came, each counted once.
    pub(crate) delivered: u64,
    /// Those of them that came after they had been asked for.
    pub(crate) repaired: u64,
    /// Those of them that were overtaken by others.
    pub(crate) reordered: u64,
    /// Packets that came again.
    pub(crate) duplicate: u64,
    /// Packets that never came, or when they had been given up.
    pub(crate) lost: u64,
    /// Datagrams' bytes of those that were delivered.
    pub(crate) bytes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.repaired += other.repaired;
        self.reordered += other.reordered;
        self.duplicate += other.duplicate;
        self.lost += other.lost;
        self.bytes += other.bytes;
    }
}

/// Follows the sequence numbers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// The first and the highest sequence number, extended by the roll-overs.
    range: Option<(u64, u64)>,
    /// A bit for each of the last [`WINDOW`] numbers: whether it came.
    came: Vec<u64>,
    missing: VecDeque<Missing>,
    counts: Counts,
    /// The number from which on packets count.
    counted_from: u64,
    /// Packets of the stream ever, and what had come at the last report (RFC 3550 §6.4.1).
    received: u64,
    reported: (u64, u64),
}

#[derive(Debug)]
struct Missing {
    index: u64,
    since: Instant,
    ask_at: Instant,
    tries: u32,
}

/// Follows 16-bit numbers over their roll-over.
#[derive(Debug, Default)]
pub(crate) struct RollOver(Option<u64>);

impl RollOver {
    /// Extends a number by the roll-overs so far; `None` when it would come before the first of all.
    pub(crate) fn follow(&mut self, number: u16) -> Option<u64> {
        let extended = extended(self.0, number)?;
        self.0 = self.0.max(Some(extended));
        Some(extended)
    }
}

/// Extends a number by the roll-over count that is most likely (RFC 3711 §3.3.1).
fn extended(highest: Option<u64>, number: u16) -> Option<u64> {
    let Some(highest) = highest else { return Some(number.into()) };
    highest.checked_add_signed(i64::from(number.wrapping_sub(highest as u16) as i16))
}

/// What a receiver report says about a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reception {
    /// The share lost since the last report, in 256ths.
    pub(crate) fraction_lost: u8,
    /// What was lost in all.
    pub(crate) lost: u32,
    /// The highest sequence number, with the lower half of the roll-over count.
    pub(crate) highest: u32,
}

impl Sequence {
    /// Extends a sequence number by the roll-overs so far; `None` when it would come before the first of all.
    pub(crate) fn extend(&self, number: u16) -> Option<u64> {
        extended(self.range.map(|(_, highest)| highest), number)
    }

    /// Takes note of a packet, by its extended number. Returns whether it is news.
    pub(crate) fn push(&mut self, index: u64, bytes: usize, now: Instant) -> bool {
        let Some((first, highest)) = self.range else {
            self.came = vec![0; (WINDOW / 64) as usize];
            self.range = Some((index, index));
            self.counts.expected += 1;
            self.mark(index);
            return self.delivered(index, bytes);
        };
        if index > highest {
            self.skip(highest + 1, index, now);
            self.counts.expected += index - highest;
            self.range = Some((first, index));
            self.mark(index);
            return self.delivered(index, bytes);
        }
        if highest - index >= WINDOW || self.has(index) {
            self.counts.duplicate += 1;
            return false;
        }
        self.mark(index);
        // Whoever was given up, or came before the first, is not waited for any more.
        let Some(at) = self.missing.iter().position(|missing| missing.index == index) else { return false };
        match self.missing.remove(at) {
            _ if index < self.counted_from => {}
            Some(Missing { tries: 1.., .. }) => self.counts.repaired += 1,
            _ => self.counts.reordered += 1,
        }
        self.delivered(index, bytes)
    }

    fn delivered(&mut self, index: u64, bytes: usize) -> bool {
        self.received += 1;
        if index >= self.counted_from {
            self.counts.delivered += 1;
            self.counts.bytes += bytes as u64;
        }
        true
    }

    fn lost(&mut self, missing: &Missing) {
        self.counts.lost += u64::from(missing.index >= self.counted_from);
    }

    /// Notes that the packets from `from` to before `to` did not come yet.
    fn skip(&mut self, from: u64, to: u64, now: Instant) {
        let waited_for = to.saturating_sub(MISSING_MAX as u64).max(from);
        self.counts.lost += waited_for - from;
        for index in to.saturating_sub(WINDOW).max(from)..to {
            self.came[(index / 64 % (WINDOW / 64)) as usize] &= !(1 << (index % 64));
        }
        for index in waited_for..to {
            if self.missing.len() == MISSING_MAX
                && let Some(oldest) = self.missing.pop_front()
            {
                self.lost(&oldest);
            }
            self.missing.push_back(Missing { index, since: now, ask_at: now + LATE_AFTER, tries: 0 });
        }
    }

    /// Follows numbers that have nothing to do with those before; what was waited for is lost.
    pub(crate) fn renumber(&mut self) {
        self.counts.lost += self.pending();
        *self = Self { counts: self.counts, ..Self::default() };
    }

    /// Returns whether packets are waited for.
    pub(crate) fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Gives up what is too old.
    pub(crate) fn give_up(&mut self, now: Instant) {
        let is_old = |missing: &mut Missing| now.saturating_duration_since(missing.since) >= GIVE_UP_AFTER;
        while let Some(oldest) = self.missing.pop_front_if(is_old) {
            self.lost(&oldest);
        }
    }

    /// Collects the numbers that it is time to ask for, in ascending order.
    pub(crate) fn ask(&mut self, now: Instant, numbers: &mut Vec<u16>) {
        for missing in self.missing.iter_mut().filter(|missing| missing.ask_at <= now && missing.tries < TRIES_MAX) {
            missing.tries += 1;
            missing.ask_at = now + RETRY_AFTER;
            numbers.push(missing.index as u16);
        }
    }

    /// Returns what was counted since [`restart`](Self::restart).
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many of the packets that count are waited for.
    pub(crate) fn pending(&self) -> u64 {
        self.missing.iter().filter(|missing| missing.index >= self.counted_from).count() as u64
    }

    /// Begins to count anew, with the next packet; what is waited for does not count any more.
    pub(crate) fn restart(&mut self) {
        self.counts = Counts::default();
        self.counted_from = self.range.map_or(0, |(_, highest)| highest + 1);
    }

    /// Returns what to report, and remembers that it was reported; nothing before the first packet.
    pub(crate) fn report(&mut self) -> Option<Reception> {
        let (first, highest) = self.range?;
        let expected = highest - first + 1;
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, self.received));
        let (expected_now, received_now) = (expected - expected_before, self.received - received_before);
        let lost_now = expected_now.saturating_sub(received_now);
        Some(Reception {
            fraction_lost: (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            lost: expected.saturating_sub(self.received).min(0x7f_ffff) as u32,
            highest: highest as u32,
        })
    }

    fn mark(&mut self, index: u64) {
        self.came[(index / 64 % (WINDOW / 64)) as usize] |= 1 << (index % 64);
    }

    fn has(&self, index: u64) -> bool {
        self.came[(index / 64 % (WINDOW / 64)) as usize] & 1 << (index % 64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(numbers: &[u16], now: Instant) -> Sequence {
        let mut sequence = Sequence::default();
        for number in numbers {
            sequence.push(sequence.extend(*number).unwrap(), 100, now);
        }
        sequence
    }

    #[test]
    fn packets_in_order_are_expected_and_delivered_over_the_roll_over() {
        let sequence = pushed(&[65_534, 65_535, 0, 1], Instant::now());
        let counts = sequence.counts();
        assert_eq!((counts.expected, counts.delivered, counts.bytes), (4, 4, 400));
        assert_eq!((sequence.extend(2), sequence.extend(65_535)), (Some(65_538), Some(65_535)));
    }

    #[test]
    fn an_overtaken_packet_is_neither_lost_nor_asked_for() {
        let now = Instant::now();
        let mut sequence = pushed(&[1, 3, 2, 2], now);
        let expected =
            Counts { expected: 3, delivered: 3, reordered: 1, duplicate: 1, bytes: 300, ..Counts::default() };
        assert_eq!(sequence.counts(), expected);
        let mut asked = Vec::new();
        sequence.ask(now + LATE_AFTER, &mut asked);
        assert!(asked.is_empty() && !sequence.has_missing());
    }

    #[test]
    fn a_missing_packet_is_asked_for_until_it_comes() {
        let now = Instant::now();
        let mut sequence = pushed(&[1, 5], now);
        let mut asked = Vec::new();
        sequence.ask(now, &mut asked);
        assert!(asked.is_empty(), "it may be late");
        sequence.ask(now + LATE_AFTER, &mut asked);
        sequence.ask(now + LATE_AFTER * 2, &mut asked);
        assert_eq!(asked, [2, 3, 4]);
        assert!(sequence.push(3, 100, now));
        asked.clear();
        sequence.ask(now + LATE_AFTER + RETRY_AFTER, &mut asked);
        assert_eq!(asked, [2, 4]);
        sequence.give_up(now + GIVE_UP_AFTER);
        assert!(!sequence.push(4, 100, now + GIVE_UP_AFTER), "too late");
        let counts = sequence.counts();
        assert_eq!((counts.expected, counts.delivered, counts.repaired, counts.lost), (5, 3, 1, 2));
    }

    #[test]
    fn what_was_missing_before_counting_began_does_not_count() {
        let now = Instant::now();
        let mut sequence = pushed(&[1, 4], now);
        sequence.restart();
        assert!(sequence.push(2, 100, now), "it is news all the same");
        sequence.push(6, 100, now);
        assert_eq!(sequence.pending(), 1);
        sequence.give_up(now + GIVE_UP_AFTER);
        let expected = Counts { expected: 2, delivered: 1, lost: 1, bytes: 100, ..Counts::default() };
        assert_eq!(sequence.counts(), expected);
    }

    #[test]
    fn what_is_missing_is_bounded() {
        let now = Instant::now();
        let mut sequence = pushed(&[0, 30_000, 60_000], now);
        assert_eq!(sequence.pending(), MISSING_MAX as u64);
        sequence.give_up(now + GIVE_UP_AFTER);
        let counts = sequence.counts();
        assert_eq!((counts.expected, counts.delivered, counts.lost), (60_001, 3, 59_998));
    }

    #[test]
    fn requests_end_after_some_tries() {
        let now = Instant::now();
        let mut sequence = pushed(&[1, 3], now);
        let mut asked = Vec::new();
        (1..100).for_each(|round| sequence.ask(now + RETRY_AFTER * round, &mut asked));
        assert_eq!(asked.len(), TRIES_MAX as usize);
    }

    #[test]
    fn a_report_tells_the_loss_since_the_last_one() {
        let now = Instant::now();
        let mut sequence = pushed(&[1, 2, 4], now);
        // One of four: 64 / 256.
        assert_eq!(sequence.report(), Some(Reception { fraction_lost: 64, lost: 1, highest: 4 }));
        sequence.push(5, 1, now);
        assert_eq!(sequence.report(), Some(Reception { fraction_lost: 0, lost: 1, highest: 5 }));
        assert_eq!(Sequence::default().report(), None);
    }
}
