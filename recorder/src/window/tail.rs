//! The live stream as one endless fragmented MP4: a header for all renditions, then their parts as they are cut
//! (ISO/IEC 14496-12 §8.8).
//!
//! Parts are what they are in HLS, byte for byte: the renditions have track ids of their own. A reader says what it has,
//! and nothing is queued for it; one that is so slow that the window has forgotten what comes next goes on at the newest
//! keyframe.

use std::sync::Arc;

use bytes::Bytes;
use onair_media::MediaKind;

use super::{Kept, Window};
use crate::boxes::{BoxError, header};
use crate::cut::{Init, Part};
use crate::ticks::to_grid;

const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

/// Remembers what a reader has.
#[derive(Debug, Clone)]
pub struct Tail {
    cursors: Vec<Cursor>,
}

/// What comes next of one rendition.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    kind: MediaKind,
    /// The only initialisation segment that the header speaks of.
    init: u32,
    msn: u64,
    part: u32,
}

/// Says how a reader goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// With these parts, in the order of their times; none while there is nothing new.
    Parts(Vec<Bytes>),
    /// With these parts, and what comes before them is gone.
    Skipped(Vec<Bytes>),
    /// Not at all: the broadcast is over, or what follows needs another header.
    Over,
}

impl Window {
    /// Begins at the newest keyframe that a segment begins with. Returns the header, or `None` while there is no media.
    ///
    /// # Errors
    /// [`BoxError`] when the header cannot be written.
    pub fn tail(&self) -> Result<Option<(Bytes, Tail)>, BoxError> {
        let Some(cursors) = self.newest_start() else { return Ok(None) };
        let init = |cursor: &Cursor| self.kept(cursor.kind).inits.get(&cursor.init);
        let inits: Vec<&Init> = cursors.iter().filter_map(init).collect();
        let configs: Vec<_> = inits.iter().map(|init| init.config.as_ref()).collect();
        Ok(Some((header(&configs)?, Tail { cursors })))
    }

    /// Returns what a reader gets next, of each rendition no more than the rest of a segment.
    pub fn follow(&self, tail: &mut Tail) -> Next {
        let is_lost = |cursor: &Cursor| self.kept(cursor.kind).is_forgotten(cursor.msn);
        let skipped = tail.cursors.iter().any(is_lost);
        if skipped {
            let start = self.newest_start().unwrap_or_default();
            let same_header = start.len() == tail.cursors.len()
                && start.iter().zip(&tail.cursors).all(|(new, old)| (new.kind, new.init) == (old.kind, old.init));
            if !same_header {
                return Next::Over;
            }
            tail.cursors = start;
        }
        let mut parts: Vec<&Arc<Part>> = Vec::new();
        for cursor in &mut tail.cursors {
            parts.extend(self.kept(cursor.kind).after(cursor));
        }
        let inits_fit =
            |part: &&Arc<Part>| tail.cursors.iter().any(|cursor| cursor.kind == part.kind && cursor.init == part.init);
        if !parts.iter().all(inits_fit) || (parts.is_empty() && self.ended) {
            return Next::Over;
        }
        parts.sort_by_key(|part| to_grid(part.kind, part.start_ticks));
        let bytes = parts.into_iter().map(|part| part.bytes.clone()).collect();
        if skipped { Next::Skipped(bytes) } else { Next::Parts(bytes) }
    }

    /// Finds the newest number that begins with a keyframe in every rendition that there is at present.
    fn newest_start(&self) -> Option<Vec<Cursor>> {
        let present: Vec<_> = KINDS.into_iter().filter(|kind| self.kept(*kind).newest().is_some()).collect();
        let newest = present.iter().filter_map(|kind| self.kept(*kind).newest()).max()?;
        let oldest = self.spans.front().map_or(newest, |span| span.msn);
        let start = |kind: &MediaKind, msn| {
            let first = self.kept(*kind).part(msn, 0).filter(|part| part.independent)?;
            Some(Cursor { kind: *kind, init: first.init, msn, part: 0 })
        };
        let starts = (oldest..=newest).rev().map(|msn| present.iter().map(|kind| start(kind, msn)).collect());
        starts.flat_map(|cursors: Option<Vec<Cursor>>| cursors).next()
    }
}

impl Kept {
    /// Returns the newest number that has begun.
    fn newest(&self) -> Option<u64> {
        let whole = self.segments.last_key_value().map(|(msn, _)| *msn);
        self.open.as_ref().map(|open| open.msn).max(whole)
    }

    /// Tells whether there was a number, and later ones are all that is left.
    fn is_forgotten(&self, msn: u64) -> bool {
        self.segments.first_key_value().is_some_and(|(oldest, _)| msn < *oldest)
    }

    /// Takes what there is behind a cursor, up to the end of a segment.
    fn after(&self, cursor: &mut Cursor) -> &[Arc<Part>] {
        let is_read = self.parts(cursor.msn).is_none_or(|parts| parts.len() <= cursor.part as usize);
        if is_read && self.is_over(cursor.msn) {
            let next = self.segments.range(cursor.msn + 1..).next().map(|(msn, _)| *msn);
            let open = self.open.as_ref().map(|open| open.msn).filter(|open| *open > cursor.msn);
            let Some(msn) = next.or(open) else { return &[] };
            (cursor.msn, cursor.part) = (msn, 0);
        }
        let parts = self.parts(cursor.msn).and_then(|parts| parts.get(cursor.part as usize..)).unwrap_or_default();
        cursor.part += parts.len() as u32;
        parts
    }

    /// Tells whether nothing more comes of a number: it is whole, or a later one has begun.
    fn is_over(&self, msn: u64) -> bool {
        self.segments.contains_key(&msn) || self.newest().is_some_and(|newest| newest > msn)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{feed, window};
    use super::*;
    use crate::Fragmenter;
    use crate::testing::{broadcast, h264};

    /// Broadcasts some seconds and reads after each of them. Returns the parts in the order in which they came.
    fn read_along(
        fragmenter: &mut Fragmenter,
        window: &mut Window,
        tail: &mut Tail,
        seconds: std::ops::Range<i64>,
    ) -> Vec<Bytes> {
        let mut got = Vec::new();
        for second in seconds {
            broadcast(fragmenter, second, 1, 1);
            feed(fragmenter, window);
            while let Next::Parts(parts) = window.follow(tail)
                && !parts.is_empty()
            {
                got.extend(parts);
            }
        }
        got
    }

    fn of_kind(parts: &[Bytes], kind: MediaKind) -> Vec<u8> {
        let id = if kind == MediaKind::Video { 1 } else { 2 };
        // The track id stands in tfhd, behind its size, type, version and flags.
        let is_it = |part: &&Bytes| {
            let at = part.windows(4).position(|four| four == b"tfhd").unwrap();
            part[at + 11] == id
        };
        parts.iter().filter(is_it).flat_map(|part| part.to_vec()).collect()
    }

    #[test]
    fn a_reader_gets_every_part_from_a_keyframe_on() {
        let (mut fragmenter, mut window) = window(60);
        assert!(window.tail().unwrap().is_none());
        broadcast(&mut fragmenter, 0, 6, 1);
        feed(&mut fragmenter, &mut window);
        let (header, mut tail) = window.tail().unwrap().unwrap();
        assert_eq!(header.windows(4).filter(|four| four == b"trak").count(), 2);
        let got = read_along(&mut fragmenter, &mut window, &mut tail, 6..40);
        // The newest number was the second one.
        for kind in KINDS {
            let whole: Vec<u8> =
                (2..10).flat_map(|msn| window.kept(kind).segments[&msn].segment.bytes.to_vec()).collect();
            assert!(of_kind(&got, kind).starts_with(&whole), "{kind:?}");
        }
        fragmenter.finish();
        feed(&mut fragmenter, &mut window);
        window.end();
        assert!(matches!(window.follow(&mut tail), Next::Parts(parts) if !parts.is_empty()));
        assert_eq!(window.follow(&mut tail), Next::Over);
    }

    #[test]
    fn who_is_too_slow_goes_on_at_the_newest_keyframe() {
        let (mut fragmenter, mut window) = window(12);
        broadcast(&mut fragmenter, 0, 6, 1);
        feed(&mut fragmenter, &mut window);
        let (_, mut tail) = window.tail().unwrap().unwrap();
        broadcast(&mut fragmenter, 6, 120, 1);
        feed(&mut fragmenter, &mut window);
        let Next::Skipped(parts) = window.follow(&mut tail) else { panic!("it has to skip") };
        let newest = window.kept(MediaKind::Video).newest().unwrap();
        assert_eq!(parts[0], window.kept(MediaKind::Video).part(newest, 0).unwrap().bytes);
        assert!(matches!(window.follow(&mut tail), Next::Parts(_)));
    }

    #[test]
    fn another_picture_size_ends_the_stream() {
        let (mut fragmenter, mut window) = window(60);
        broadcast(&mut fragmenter, 0, 6, 1);
        feed(&mut fragmenter, &mut window);
        let (_, mut tail) = window.tail().unwrap().unwrap();
        fragmenter.discontinuity();
        let onair_media::CodecConfig::H264 { sps, pps, .. } = h264().as_ref().clone() else { unreachable!() };
        let small = Arc::new(onair_media::CodecConfig::H264 { sps, pps, width: 64, height: 36 });
        for index in 0..180 {
            let frame = crate::testing::frame(&small, 900_000 + index * 3_000, index % 30 == 0);
            fragmenter.push(MediaKind::Video, frame);
        }
        feed(&mut fragmenter, &mut window);
        let mut last = window.follow(&mut tail);
        while let Next::Parts(parts) = &last
            && !parts.is_empty()
        {
            last = window.follow(&mut tail);
        }
        assert_eq!(last, Next::Over);
    }

    proptest! {
        /// However seldom a reader looks, what it gets has neither holes nor repetitions but where it says so.
        #[test]
        fn nothing_is_missing_or_twice(steps in proptest::collection::vec((1..9_i64, any::<bool>()), 1..20)) {
            let (mut fragmenter, mut window) = window(12);
            broadcast(&mut fragmenter, 0, 5, 1);
            feed(&mut fragmenter, &mut window);
            let (_, mut tail) = window.tail().unwrap().unwrap();
            let (mut at, mut next) = (5, [None::<i64>; 2]);
            for (seconds, reads) in steps {
                broadcast(&mut fragmenter, at, seconds, 1);
                at += seconds;
                feed(&mut fragmenter, &mut window);
                if !reads {
                    continue;
                }
                loop {
                    let (parts, skipped) = match window.follow(&mut tail) {
                        Next::Parts(parts) => (parts, false),
                        Next::Skipped(parts) => (parts, true),
                        Next::Over => panic!("it goes on"),
                    };
                    if skipped {
                        next = [None; 2];
                    }
                    for bytes in &parts {
                        let held = KINDS.into_iter().flat_map(|kind| {
                            let kept = window.kept(kind);
                            let open = kept.open.iter().flat_map(|open| &open.parts);
                            kept.segments.values().flat_map(|held| &held.segment.parts).chain(open)
                        });
                        let part = held.into_iter().find(|part| part.bytes == *bytes).expect("it is held");
                        let next = &mut next[usize::from(part.kind == MediaKind::Audio)];
                        prop_assert!(next.is_none_or(|next| next == part.start_ticks));
                        prop_assert!(next.is_some() || part.independent);
                        *next = Some(part.start_ticks + part.duration_ticks as i64);
                    }
                    if parts.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}
