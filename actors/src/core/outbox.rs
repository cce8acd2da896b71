//! What waits for one receiver, in order, and what has to go when it is too much.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use onair_recorder::{Event, EventId, EventKind};

/// An event on its way to a receiver.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its id.
    pub id: EventId,
    /// Its kind.
    pub kind: EventKind,
    /// When it is given up.
    pub expires: Instant,
    /// The event itself, where it is not on the disk.
    pub unsaved: Option<Arc<Event>>,
}

/// Holds letters, oldest first. The first one may be under way, so that it stays whatever comes.
#[derive(Debug)]
pub struct Outbox {
    letters: VecDeque<Letter>,
    most: usize,
}

impl Outbox {
    /// Holds nothing yet, and `most` letters later; at least one.
    pub const fn new(most: usize) -> Self {
        Self { letters: VecDeque::new(), most }
    }

    /// Appends a letter, and returns the one that has to go for it: the oldest of a frequent kind, which may be the new
    /// one itself, else the oldest.
    pub fn push(&mut self, letter: Letter) -> Option<Letter> {
        self.letters.push_back(letter);
        if self.letters.len() <= self.most {
            return None;
        }
        let oldest_frequent = self.letters.iter().skip(1).position(|letter| letter.kind.is_frequent());
        self.letters.remove(1 + oldest_frequent.unwrap_or_default())
    }

    /// Returns the letter that is next.
    pub fn first(&self) -> Option<&Letter> {
        self.letters.front()
    }

    /// Removes the letter that is next.
    pub fn pop_first(&mut self) -> Option<Letter> {
        self.letters.pop_front()
    }

    /// Returns how many letters wait.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Tells whether none waits.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use onair_recorder::event::EventIds;

    use super::*;

    #[test]
    fn a_full_box_gives_up_segments_first_and_never_what_is_under_way() {
        let (mut outbox, mut ids, expires) = (Outbox::new(4), EventIds::new(0), Instant::now());
        let mut push = |kind| {
            let gone = outbox.push(Letter { id: ids.next(0), kind, expires, unsaved: None });
            gone.map(|letter| letter.id.to_string()[13..19].parse::<u32>().unwrap())
        };
        let (segment, finished) = (EventKind::RecordingSegment, EventKind::RecordingFinished);
        // Letters are numbered from 1. The first is a segment that is under way.
        assert_eq!([segment, finished, segment, finished].map(&mut push), [None; 4]);
        assert_eq!(push(finished), Some(3), "the oldest segment that is not under way");
        assert_eq!(push(segment), Some(6), "no segment is older than the new one");
        assert_eq!(push(finished), Some(2), "no segment is left: the oldest");
        let left: Vec<_> = std::iter::from_fn(|| outbox.pop_first()).map(|letter| letter.kind).collect();
        assert_eq!(left, [segment, finished, finished, finished]);
        assert!(outbox.is_empty() && outbox.first().is_none());
    }
}
