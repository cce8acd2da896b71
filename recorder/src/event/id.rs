//! Names of events: unique, and sorted by time as plain text.

use std::fmt;

/// 48 bits of milliseconds since 1970: enough until the year 10889.
const MAX_MILLIS: u64 = (1 << 48) - 1;
/// 24 bits: as many as six hexadecimal digits hold.
const MAX_24: u32 = (1 << 24) - 1;
const DIGITS: [usize; 3] = [12, 6, 6];

/// Names one event, as in `01a201f37664-000000-7f3a9c`: when it happened in milliseconds, which one of that
/// millisecond it is, and who saw it, each in lower-case hexadecimal.
///
/// Sorts by time, as a value and as text. It is the `Last-Event-ID` of a stream and the key by which a receiver knows a
/// webhook that it has had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    millis: u64,
    count: u32,
    origin: u32,
}

impl EventId {
    /// Parses the text of an id; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next()?;
            let fits = part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            u64::from_str_radix(part, 16).ok().filter(|_| fits)
        };
        let [millis, count, origin] = DIGITS.map(&mut part);
        let id = Self { millis: millis?, count: u32::try_from(count?).ok()?, origin: u32::try_from(origin?).ok()? };
        parts.next().is_none().then_some(id)
    }

    /// Returns when the event happened, in milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.millis
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { millis, count, origin } = self;
        write!(f, "{millis:012x}-{count:06x}-{origin:06x}")
    }
}

/// Makes the ids of one run of a server: each is greater than the one before, whatever the wall clock does.
#[derive(Debug)]
pub struct EventIds {
    last: EventId,
}

impl EventIds {
    /// Begins a run; the low 24 bits of `origin`, drawn at random, tell its events from those of another run.
    pub const fn new(origin: u32) -> Self {
        Self { last: EventId { millis: 0, count: 0, origin: origin & MAX_24 } }
    }

    /// Makes the next id; `millis` is the wall clock in milliseconds since 1970.
    pub fn next(&mut self, millis: u64) -> EventId {
        let EventId { millis: last, count, .. } = self.last;
        let millis = millis.min(MAX_MILLIS);
        let (millis, count) = match millis > last {
            true => (millis, 0),
            false if count < MAX_24 => (last, count + 1),
            false => (last + 1, 0),
        };
        self.last = EventId { millis, count, ..self.last };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_as_values_and_as_text_whatever_the_clock_does() {
        let mut ids = EventIds::new(u32::MAX);
        // The clock stands still, runs, and is set back.
        let made = [1_000, 1_000, 1_001, 500, 1_001, u64::MAX].map(|millis| ids.next(millis));
        assert!(made.is_sorted_by(|a, b| a < b && a.to_string() < b.to_string()), "{made:?}");
        assert_eq!(made[3].to_string(), "0000000003e9-000001-ffffff");
    }

    #[test]
    fn a_millisecond_with_too_many_events_lends_from_the_next() {
        let mut ids = EventIds { last: EventId { millis: 7, count: MAX_24, origin: 1 } };
        assert_eq!(ids.next(7).to_string(), "000000000008-000000-000001");
    }

    #[test]
    fn an_id_survives_its_text_and_nothing_else_is_one() {
        let id = EventIds::new(0x7f3a9c).next(1_795_329_062_500);
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for bad in ["", "1-2-3", "01a201f37664-000000", "01A201F37664-000000-7f3a9c", "01a201f37664-000000-7f3a9c-1"] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }
}
