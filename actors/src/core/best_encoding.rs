//! Which encoding of a publisher is packaged and recorded: the best one that comes.

use std::time::{Duration, Instant};

use onair_media::{EncodingId, EncodingSet, MediaKind, RtpPacket};

use super::encodings::Encodings;

/// For how long a better encoding must have come before it is changed over to: browsers begin with the lowest and add the
/// others within a second or two, and one that comes and goes would break the recording again and again.
const STEADY_AFTER: Duration = Duration::from_secs(2);

/// How often a keyframe of the encoding to come is asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Follows the encodings of one publisher session.
#[derive(Debug, Default)]
pub struct BestEncoding {
    encodings: Encodings,
    current: Option<EncodingId>,
    asked_at: Option<Instant>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// It is of what is packaged.
    Take,
    /// It is of another encoding.
    Skip,
    /// Another encoding takes over, beginning with this packet.
    Change,
}

impl BestEncoding {
    /// Judges a packet, in order of arrival. Sound is always taken.
    pub fn pick(&mut self, packet: &RtpPacket) -> Pick {
        if packet.codec.kind() != MediaKind::Video {
            return Pick::Take;
        }
        self.encodings.note(packet);
        match self.current {
            Some(current) if current == packet.encoding => Pick::Take,
            Some(current)
                if packet.starts_keyframe && self.takes_over(packet.encoding, current, packet.received_at) =>
            {
                self.current = Some(packet.encoding);
                Pick::Change
            }
            Some(_) => Pick::Skip,
            None => {
                self.current = Some(packet.encoding);
                Pick::Take
            }
        }
    }

    /// Returns the encoding that is packaged.
    pub fn current(&self) -> Option<EncodingId> {
        self.current
    }

    /// Returns, at most once a second, of which encoding a keyframe is to be asked for so that it can take over.
    pub fn wants_keyframe(&mut self, now: Instant) -> Option<EncodingSet> {
        let current = self.current?;
        let next = self.encodings.ranked().map(|(id, _)| id).find(|id| self.takes_over(*id, current, now))?;
        if self.asked_at.is_some_and(|at| now.saturating_duration_since(at) < ASK_EVERY) {
            return None;
        }
        self.asked_at = Some(now);
        Some(next.into())
    }

    /// Tells whether an encoding is to be packaged rather than the present one: a better one that lasts, or any when the
    /// present one has stopped.
    fn takes_over(&self, id: EncodingId, current: EncodingId, now: Instant) -> bool {
        let (Some(it), Some(present)) = (self.encodings.get(id), self.encodings.get(current)) else { return false };
        let best = self.encodings.ranked().next().map(|(id, _)| id);
        if best != Some(id) || id == current {
            return false;
        }
        let lasts = now.saturating_duration_since(it.since) >= STEADY_AFTER;
        !self.encodings.is_there(current) || (lasts && it.is_clearly_better_than(present))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::encodings::SILENT_AFTER;
    use crate::core::encodings::tests::vp8;

    const LOW: u8 = 0;
    const HIGH: u8 = 1;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_begins_with_what_comes_and_goes_on_with_the_best_that_lasts() {
        let (start, mut best) = (Instant::now(), BestEncoding::default());
        assert_eq!(best.pick(&vp8(LOW, Some(320), 100, start)), Pick::Take);
        assert_eq!(best.pick(&vp8(HIGH, Some(1280), 900, start + ms(500))), Pick::Skip, "it has just come");
        assert_eq!(best.wants_keyframe(start + ms(500)), None);
        for at in (600..2500).step_by(100) {
            assert_eq!(best.pick(&vp8(LOW, None, 100, start + ms(at))), Pick::Take);
            assert_eq!(best.pick(&vp8(HIGH, None, 900, start + ms(at))), Pick::Skip);
        }
        let steady = start + ms(2500);
        assert_eq!(best.pick(&vp8(HIGH, None, 900, steady)), Pick::Skip, "not without a keyframe");
        assert_eq!(best.wants_keyframe(steady), Some(EncodingId(HIGH).into()));
        assert_eq!(best.wants_keyframe(steady + ms(900)), None, "asked just now");
        assert_eq!(best.pick(&vp8(HIGH, Some(1280), 900, steady + ms(50))), Pick::Change);
        assert_eq!(best.pick(&vp8(LOW, Some(320), 100, steady + ms(60))), Pick::Skip);
        assert_eq!(best.pick(&vp8(HIGH, None, 900, steady + ms(70))), Pick::Take);
        assert_eq!(best.wants_keyframe(steady + ms(2000)), None);
    }

    #[test]
    fn two_of_a_kind_do_not_take_turns() {
        let (start, mut best) = (Instant::now(), BestEncoding::default());
        for at in (0..20_000).step_by(100) {
            // Now one has more bits, now the other.
            let is_first = at / 1500 % 2 == 0;
            let (first, second) = if is_first { (1000, 900) } else { (900, 1000) };
            let keyframe = (at % 1000 == 0).then_some(640);
            best.pick(&vp8(LOW, keyframe, first, start + ms(at)));
            best.pick(&vp8(HIGH, keyframe, second, start + ms(at)));
            assert_eq!(best.current(), Some(EncodingId(LOW)));
        }
    }

    #[test]
    fn when_the_best_stops_the_next_one_takes_over_at_its_keyframe() {
        let (start, mut best) = (Instant::now(), BestEncoding::default());
        best.pick(&vp8(HIGH, Some(1280), 900, start));
        best.pick(&vp8(LOW, Some(320), 100, start));
        for at in (100..=1500).step_by(100) {
            assert_eq!(best.pick(&vp8(LOW, None, 100, start + ms(at))), Pick::Skip);
        }
        let silent = start + SILENT_AFTER;
        assert_eq!(best.wants_keyframe(silent), Some(EncodingId(LOW).into()));
        assert_eq!(best.pick(&vp8(LOW, Some(320), 100, silent + ms(40))), Pick::Change);
        assert_eq!(best.pick(&vp8(LOW, None, 100, silent + ms(80))), Pick::Take);
    }
}
