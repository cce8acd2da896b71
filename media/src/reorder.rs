//! Puts the packets of one track back into the order of their sequence numbers.
//!
//! Owns how long a missing packet is waited for, and how much is kept meanwhile. What a loss means is for others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::packet::RtpPacket;

/// How long a missing packet is waited for: a NACK and its retransmission fit in, even twice over 200 ms of round trip.
const GAP_WAIT: Duration = Duration::from_millis(500);

/// How many packets are kept: half a second at 20 Mbit/s is about 1,000 packets of 1,200 bytes.
const WAITING_MAX: usize = 1024;

/// A step of the sequence number this wide, either way, is a sender that numbers anew and no loss.
const RESTART_STEP: u64 = 10_000;

/// What comes out, in order.
#[derive(Debug)]
pub(crate) enum Ordered {
    /// The next packet.
    Packet(RtpPacket),
    /// What follows does not continue what came before. `lost` is 0 when the numbering began anew with nothing waiting.
    Gap {
        /// How many packets never came, or came and were not kept.
        lost: u64,
    },
}

/// Holds packets until those before them have come or have been given up.
///
/// Never holds more than 1,024: on more the oldest is given up as if lost, and so `pull` belongs after every batch.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    waiting: BTreeMap<u64, RtpPacket>,
    /// The sequence number that comes out next.
    next: Option<u64>,
    /// Whether anything came out: before that, an earlier packet simply moves the beginning.
    begun: bool,
    /// A gap not yet told of.
    gap: Option<u64>,
    /// When the first packet behind the present gap arrived.
    gap_since: Option<Instant>,
}

impl Reorder {
    /// Takes a packet. Duplicates, and packets that were given up already, are dropped.
    pub(crate) fn push(&mut self, packet: &RtpPacket) {
        let seq_no = packet.seq_no;
        let next = *self.next.get_or_insert(seq_no);
        if seq_no.abs_diff(next) > RESTART_STEP {
            self.restart(seq_no);
        } else if seq_no < next {
            if self.begun || next - seq_no > WAITING_MAX as u64 {
                return;
            }
            self.next = Some(seq_no);
        }
        self.waiting.entry(seq_no).or_insert_with(|| packet.clone());
        if self.waiting.len() > WAITING_MAX {
            self.give_up_oldest();
        }
    }

    /// Returns the next packet or gap, or `None` while it is worth waiting.
    pub(crate) fn pull(&mut self, now: Instant) -> Option<Ordered> {
        if self.gap.is_none() && self.is_worth_waiting(now) {
            return None;
        }
        self.pull_at_once()
    }

    /// Returns the next packet or gap without waiting for what is missing, or `None` when nothing is left.
    pub(crate) fn pull_at_once(&mut self) -> Option<Ordered> {
        if let Some(lost) = self.gap.take() {
            return Some(Ordered::Gap { lost });
        }
        let next = self.next?;
        let (&first, _) = self.waiting.first_key_value()?;
        self.gap_since = None;
        self.begun = true;
        if first > next {
            self.next = Some(first);
            return Some(Ordered::Gap { lost: first - next });
        }
        let (seq_no, packet) = self.waiting.pop_first()?;
        self.next = Some(seq_no.saturating_add(1));
        Some(Ordered::Packet(packet))
    }

    /// Tells whether the next packet is missing and may still come.
    fn is_worth_waiting(&mut self, now: Instant) -> bool {
        let is_next = |(seq_no, _): (&u64, _)| Some(*seq_no) == self.next;
        if self.waiting.len() >= WAITING_MAX || self.waiting.first_key_value().is_none_or(is_next) {
            return false;
        }
        // From the first arrival behind the gap: repaired packets that trickle in must not prolong the wait.
        let arrivals = || self.waiting.values().map(|packet| packet.received_at);
        let since = *self.gap_since.get_or_insert_with(|| arrivals().min().unwrap_or(now));
        now.saturating_duration_since(since) < GAP_WAIT
    }

    fn restart(&mut self, seq_no: u64) {
        self.add_gap(self.waiting.len() as u64);
        self.waiting.clear();
        self.next = Some(seq_no);
        self.gap_since = None;
        self.begun = false;
    }

    fn give_up_oldest(&mut self) {
        let Some((oldest, _)) = self.waiting.pop_first() else { return };
        let next = self.next.unwrap_or(oldest);
        self.add_gap(oldest.saturating_sub(next).saturating_add(1));
        self.next = Some(oldest.saturating_add(1));
        self.gap_since = None;
        self.begun = true;
    }

    fn add_gap(&mut self, lost: u64) {
        self.gap = Some(self.gap.unwrap_or(0).saturating_add(lost));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Codec;
    use crate::packet::EncodingId;

    fn packet(seq_no: u64, received_at: Instant) -> RtpPacket {
        RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::Opus,
            seq_no,
            timestamp: 0,
            marker: false,
            starts_keyframe: true,
            payload: [0_u8].into(),
            received_at,
            sender_report: None,
        }
    }

    /// Packets as `Ok(seq_no)`, gaps as `Err(lost)`.
    fn told(ordered: impl Iterator<Item = Ordered>) -> Vec<Result<u64, u64>> {
        ordered
            .map(|ordered| match ordered {
                Ordered::Packet(packet) => Ok(packet.seq_no),
                Ordered::Gap { lost } => Err(lost),
            })
            .collect()
    }

    fn drain(reorder: &mut Reorder, now: Instant) -> Vec<Result<u64, u64>> {
        told(std::iter::from_fn(|| reorder.pull(now)))
    }

    #[test]
    fn a_repaired_packet_takes_its_place_and_duplicates_vanish() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        for seq_no in [7, 9, 9, 7] {
            reorder.push(&packet(seq_no, now));
        }
        assert_eq!(drain(&mut reorder, now), [Ok(7)]);
        reorder.push(&packet(8, now));
        reorder.push(&packet(7, now));
        assert_eq!(drain(&mut reorder, now), [Ok(8), Ok(9)]);
    }

    #[test]
    fn a_missing_packet_is_waited_for_500_ms_after_the_first_behind_it() {
        let (mut reorder, start) = (Reorder::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        reorder.push(&packet(1, at(0)));
        assert_eq!(drain(&mut reorder, at(0)), [Ok(1)]);
        reorder.push(&packet(5, at(10)));
        reorder.push(&packet(4, at(400)));
        assert_eq!(drain(&mut reorder, at(509)), []);
        assert_eq!(drain(&mut reorder, at(510)), [Err(2), Ok(4), Ok(5)]);
        reorder.push(&packet(3, at(511)));
        assert_eq!(drain(&mut reorder, at(2000)), []);
    }

    #[test]
    fn at_once_means_without_waiting() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        for seq_no in [1, 3, 6] {
            reorder.push(&packet(seq_no, now));
        }
        assert_eq!(drain(&mut reorder, now), [Ok(1)]);
        assert_eq!(told(std::iter::from_fn(|| reorder.pull_at_once())), [Err(1), Ok(3), Err(2), Ok(6)]);
    }

    #[test]
    fn a_far_jump_either_way_begins_anew() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        reorder.push(&packet(70_000, now));
        assert_eq!(drain(&mut reorder, now), [Ok(70_000)]);
        reorder.push(&packet(70_002, now));
        reorder.push(&packet(u64::MAX, now));
        assert_eq!(drain(&mut reorder, now), [Err(1), Ok(u64::MAX)]);
        reorder.push(&packet(3, now));
        assert_eq!(drain(&mut reorder, now), [Err(0), Ok(3)]);
    }

    #[test]
    fn no_more_than_1024_are_kept() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        reorder.push(&packet(0, now));
        assert_eq!(drain(&mut reorder, now), [Ok(0)]);
        for seq_no in 2..=1024 {
            reorder.push(&packet(seq_no, now));
        }
        assert_eq!(drain(&mut reorder, now), []);
        for seq_no in 1025..=2000 {
            reorder.push(&packet(seq_no, now));
        }
        // Kept are the last 1,024: 977 to 2000. Lost are 1 to 976.
        assert_eq!(reorder.waiting.len(), WAITING_MAX);
        let drained = drain(&mut reorder, now);
        assert_eq!(drained.first(), Some(&Err(976)));
        assert_eq!((drained.get(1), drained.last()), (Some(&Ok(977)), Some(&Ok(2000))));
    }

    proptest! {
        #[test]
        fn a_permutation_comes_out_in_order(
            order in (2..200_u64).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
            first in 0..u64::MAX / 2,
        ) {
            let (mut reorder, now) = (Reorder::default(), Instant::now());
            for seq_no in &order {
                reorder.push(&packet(first + seq_no, now));
            }
            let expected: Vec<_> = (0..order.len() as u64).map(|seq_no| Ok(first + seq_no)).collect();
            prop_assert_eq!(drain(&mut reorder, now), expected);
        }

        #[test]
        fn whatever_comes_the_memory_is_bounded_and_the_order_grows(seq_nos in prop::collection::vec(any::<u64>(), 0..50)) {
            let (mut reorder, now) = (Reorder::default(), Instant::now());
            for near in seq_nos.iter().flat_map(|&far| (0..40).map(move |step| far.wrapping_add(step * step))) {
                reorder.push(&packet(near, now));
                prop_assert!(reorder.waiting.len() <= WAITING_MAX);
            }
            let drained = told(std::iter::from_fn(|| reorder.pull_at_once()));
            let packets: Vec<_> = drained.iter().flatten().collect();
            prop_assert!(packets.is_sorted());
        }
    }
}
