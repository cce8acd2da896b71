//! What holds for the playlists of any sequence of cuts.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fragmenter::properties::{SETTINGS, play, steps, tracks};

/// What rounding to five digits makes of some hundred durations, at most.
const ROUNDING_S: f64 = 0.005;

const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

/// A playlist as a player reads it.
#[derive(Debug, Clone, Default)]
struct Read {
    /// The lines that must never change.
    fixed: Vec<String>,
    discontinuities_before: u64,
    skipped: u64,
    /// Everything that belongs to a media sequence number; the last may have no segment yet.
    entries: BTreeMap<u64, Entry>,
    ended: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Entry {
    /// What is neither a part nor an initialisation segment, in order.
    lines: Vec<String>,
    parts: Vec<String>,
    maps: Vec<String>,
    is_whole: bool,
}

impl Entry {
    fn is_discontinuity(&self) -> bool {
        self.lines.iter().any(|line| line == "#EXT-X-DISCONTINUITY")
    }

    /// Returns how long the segment is, or as much of it as is there.
    fn seconds(&self) -> f64 {
        let whole = self.lines.iter().find_map(|line| line.strip_prefix("#EXTINF:"));
        let parts = || self.parts.iter().filter_map(|line| line.strip_prefix("#EXT-X-PART:DURATION="));
        let seconds = |value: &str| value.split(',').next().unwrap().parse::<f64>().unwrap();
        whole.map_or_else(|| parts().map(seconds).sum(), seconds)
    }
}

fn uri(line: &str) -> MediaName {
    let name = line.split("URI=\"").nth(1).map_or(line, |rest| rest.split('"').next().unwrap_or(rest));
    MediaName::parse(name).unwrap_or_else(|| panic!("{line}"))
}

fn read(text: &str) -> Read {
    let (mut read, mut msn, mut entry) = (Read::default(), 0, Entry::default());
    for line in text.lines() {
        let number = |name: &str| line.strip_prefix(name).map(|value| value.parse::<u64>().unwrap());
        if let Some(first) = number("#EXT-X-MEDIA-SEQUENCE:") {
            msn = first;
        } else if let Some(before) = number("#EXT-X-DISCONTINUITY-SEQUENCE:") {
            read.discontinuities_before = before;
        } else if let Some(skipped) = number("#EXT-X-SKIP:SKIPPED-SEGMENTS=") {
            (read.skipped, msn) = (skipped, msn + skipped);
        } else if line.starts_with("#EXT-X-PART:") {
            entry.parts.push(line.into());
        } else if line.starts_with("#EXT-X-MAP:") {
            entry.maps.push(line.into());
        } else if line.starts_with("#EXT-X-PRELOAD-HINT:") || line.starts_with("#EXT-X-RENDITION-REPORT:") {
            // Asked of the progress.
        } else if line == "#EXT-X-ENDLIST" {
            read.ended = true;
        } else if line == "#EXTM3U"
            || ["VERSION", "TARGET", "SERVER", "PART-INF"].iter().any(|it| line[7..].starts_with(it))
        {
            read.fixed.push(line.into());
        } else {
            entry.lines.push(line.into());
            if !line.starts_with('#') {
                entry.is_whole = true;
                read.entries.insert(msn, std::mem::take(&mut entry));
                msn += 1;
            }
        }
    }
    if entry != Entry::default() {
        read.entries.insert(msn, entry);
    }
    read
}

/// L1, L2, L7: what a playlist said stays said; entries leave from the front, and old parts leave alone.
fn check_successor(before: &Read, after: &Read) {
    assert_eq!(before.fixed, after.fixed);
    let (Some((&first_before, _)), Some((&first, _))) =
        (before.entries.first_key_value(), after.entries.first_key_value())
    else {
        panic!("a playlist lists something")
    };
    assert!(first >= first_before);
    let gone = before.entries.range(..first).filter(|(_, entry)| entry.is_discontinuity()).count() as u64;
    assert_eq!(after.discontinuities_before, before.discontinuities_before + gone);
    for (msn, old) in before.entries.range(first..) {
        let new = after.entries.get(msn).unwrap_or_else(|| panic!("{msn} is gone"));
        if old.is_whole {
            assert_eq!(old.lines, new.lines);
        } else {
            assert!(new.lines.starts_with(&old.lines), "{old:?} became {new:?}");
        }
        if new.parts.is_empty() {
            let to_end: f64 = after.entries.range(msn + 1..).map(|(_, entry)| entry.seconds()).sum();
            let limit = f64::from(SETTINGS.target_duration_s()) * 3.0;
            assert!(old.parts.is_empty() || to_end + ROUNDING_S >= limit, "{msn}: {to_end} s to the end");
        } else {
            assert!(new.parts.starts_with(&old.parts) && (!old.is_whole || new.parts == old.parts));
        }
    }
}

/// L10, L14: a player that has the playlist before and gets a delta knows what the whole playlist says.
fn check_delta(before: &Read, delta: &Read, full: &Read) {
    assert!(delta.skipped > 0 && !full.ended);
    assert_eq!((&delta.fixed, delta.discontinuities_before), (&full.fixed, full.discontinuities_before));
    let (&first, _) = full.entries.first_key_value().unwrap();
    for (msn, entry) in &full.entries {
        if *msn >= first + delta.skipped {
            assert_eq!(delta.entries.get(msn), Some(entry));
        } else {
            assert_eq!(before.entries[msn].lines, entry.lines);
        }
    }
    let remaining: f64 = full.entries.range(first + delta.skipped..).map(|(_, entry)| entry.seconds()).sum();
    assert!(remaining + ROUNDING_S >= f64::from(SETTINGS.target_duration_s()) * 6.0);
}

/// A player that remembers what it was told, and when.
#[derive(Default)]
struct Player {
    before: BTreeMap<MediaKind, Read>,
    /// Until when an object must be there, in seconds of media.
    needed: BTreeMap<(MediaKind, String), f64>,
    now_s: f64,
}

impl Player {
    fn look(&mut self, window: &Window, kind: MediaKind) {
        let Some(playlist) = window.media_playlist(kind) else { return };
        let full = read(&playlist.text);
        if let Some(before) = self.before.get(&kind) {
            check_successor(before, &full);
            if let Some(delta) = playlist.delta() {
                check_delta(before, &read(&delta), &full);
            }
        }
        check_progress(&playlist, &full);
        self.note(kind, &full);
        // What is hinted at is not there yet: a part is named when it is whole.
        if let Some((msn, part)) = playlist.progress.hinted() {
            assert!(window.object(kind, MediaName::Part(msn, part)).is_none());
        }
        self.before.insert(kind, full);
    }

    /// L3: a segment stays for its own duration and that of the playlist, a part for three target durations.
    fn note(&mut self, kind: MediaKind, full: &Read) {
        let length: f64 = full.entries.values().map(Entry::seconds).sum();
        for entry in full.entries.values().filter(|entry| !entry.lines.iter().any(|line| line == "#EXT-X-GAP")) {
            let until = self.now_s + length + entry.seconds();
            for line in entry.maps.iter().chain(entry.lines.iter().filter(|line| !line.starts_with('#'))) {
                self.needed.insert((kind, uri(line).to_string()), until);
            }
            let until = self.now_s + f64::from(SETTINGS.target_duration_s()) * 3.0;
            for line in &entry.parts {
                self.needed.insert((kind, uri(line).to_string()), until);
            }
        }
    }

    fn fetch(&mut self, window: &Window) {
        self.needed.retain(|_, until| *until >= self.now_s);
        for ((kind, name), until) in &self.needed {
            let is_there = window.object(*kind, MediaName::parse(name).unwrap()).is_some();
            assert!(is_there, "{kind:?} {name} at {} s is needed until {until} s", self.now_s);
        }
    }
}

fn check_progress(playlist: &LivePlaylist, full: &Read) {
    let Progress { last_msn, open_parts, ended, .. } = playlist.progress;
    let (_, last_whole) = full.entries.range(..=last_msn).next_back().unwrap();
    assert!(last_whole.is_whole && full.ended == ended);
    let open = full.entries.get(&(last_msn + 1));
    assert_eq!(open.map_or(0, |open| open.parts.len()), open_parts as usize);
    assert!(open.is_none_or(|open| !open.is_whole));
    assert_eq!(playlist.text.matches("#EXT-X-PRELOAD-HINT").count(), usize::from(!ended));
}

/// Returns when a cut ends, in seconds of media.
fn end_s(cut: &Cut) -> Option<f64> {
    let (kind, start, duration) = match cut {
        Cut::Part(part) => (part.kind, part.start_ticks, part.duration_ticks),
        Cut::Segment(segment) => (segment.kind, segment.start_ticks, segment.duration_ticks),
        Cut::Init(_) | Cut::KeyframeWanted => return None,
    };
    Some(to_duration(kind, start.unsigned_abs() + duration).as_secs_f64())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn playlists_follow_one_another_and_name_what_is_there(
        steps in prop::collection::vec(steps(), 1..5),
        announced in tracks(),
        window_s in prop_oneof![Just(1), Just(20), Just(30)],
    ) {
        let (cuts, ..) = play(&steps.concat(), &announced);
        let (target_duration_s, part_target) = (SETTINGS.target_duration_s(), SETTINGS.part_target);
        let settings = WindowSettings { window: Duration::from_secs(window_s), target_duration_s, part_target };
        let (mut window, mut player) = (Window::new(settings), Player::default());
        for cut in &cuts {
            window.push(cut, DateTime::UNIX_EPOCH);
            player.now_s = end_s(cut).map_or(player.now_s, |end| end.max(player.now_s));
            KINDS.into_iter().for_each(|kind| player.look(&window, kind));
            player.fetch(&window);
        }
        window.end();
        KINDS.into_iter().for_each(|kind| player.look(&window, kind));
    }
}
