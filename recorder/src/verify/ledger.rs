//! Judges the segments of a recording, one number after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onair_media::{CodecConfig, MediaKind};

use super::assembly::Assembly;
use super::entries::{StoredManifest, segment_difference};
use super::rebuild::{KINDS, Rebuild};
use super::{Finding, Problem, Remedy};
use crate::cut::Segment;
use crate::manifest::{InitEntry, SegmentEntry, sha256_hex};
use crate::object::ObjectName;
use crate::read::{read_head, read_init, read_segment};
use crate::ticks::to_grid;

/// No later number is taken for one of ours: a year of segments of a third of a second.
const MSN_MAX: u64 = 100_000_000;

/// A segment further behind the one before it is not listed: a playlist names every number between them.
const MISSING_MAX: u64 = 100_000;

/// An initialisation segment that is stored.
#[derive(Debug)]
struct StoredInit {
    at: DateTime<Utc>,
    config: Result<Arc<CodecConfig>, String>,
    bytes: u64,
    sha256: String,
}

/// A segment that is stored, as it was fetched.
#[derive(Debug)]
pub(crate) struct StoredSegment {
    pub(crate) bytes: Bytes,
    /// When it was stored.
    pub(crate) at: DateTime<Utc>,
}

/// A segment that can be played.
#[derive(Debug)]
struct Whole {
    segment: Segment,
    config: Arc<CodecConfig>,
    sha256: String,
    /// Of format version 1: what it does not say of itself is guessed.
    headless: bool,
}

/// What the next segment is held against.
#[derive(Debug, Clone, Copy)]
struct Before {
    msn: u64,
    init: u32,
    start_ticks: i64,
    /// On the grid.
    end: i64,
}

/// Why a segment cannot be played.
struct Flaw {
    problem: Problem,
    detail: String,
}

/// Collects what is whole and what is not.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) old: Option<StoredManifest>,
    pub(crate) rebuild: Rebuild,
    pub(crate) assembly: Assembly,
    pub(crate) findings: Vec<Finding>,
    /// Segments for the manifest to name as lost.
    pub(crate) lost: Vec<SegmentEntry>,
    /// Whether the manifest has to be written anew.
    pub(crate) manifest_is_stale: bool,
    /// Whether it was said what is wrong with the manifest.
    manifest_is_named: bool,
    inits: BTreeMap<(MediaKind, u32), StoredInit>,
    /// The last segment of each rendition.
    before: [Option<Before>; 2],
    /// The last number that does not continue the one before it, 0 if there was none.
    flagged_msn: u64,
}

impl Ledger {
    pub(crate) fn new(old: Option<StoredManifest>, rebuild: Rebuild, assembly: Assembly) -> Self {
        Self {
            old,
            rebuild,
            assembly,
            findings: Vec::new(),
            lost: Vec::new(),
            manifest_is_stale: false,
            manifest_is_named: false,
            inits: BTreeMap::new(),
            before: [None; 2],
            flagged_msn: 0,
        }
    }

    /// Notes that something is wrong.
    pub(crate) fn find(&mut self, object: &ObjectName, problem: Problem, remedy: Remedy, detail: impl Into<String>) {
        let detail = detail.into();
        self.findings.push(Finding { object: object.as_str().into(), problem, detail, remedy });
    }

    /// Notes that the manifest says something else than is so; once is enough.
    pub(crate) fn find_in_manifest(&mut self, detail: impl Into<String>) {
        let name = ObjectName::manifest();
        self.manifest_is_stale = true;
        if !std::mem::replace(&mut self.manifest_is_named, true) {
            self.find(&name, Problem::Disagrees, Remedy::Mendable, detail);
        }
    }

    /// Takes an initialisation segment; what is wrong with it matters when a segment needs it.
    pub(crate) fn add_init(&mut self, kind: MediaKind, index: u32, bytes: &[u8], at: DateTime<Utc>) {
        let config = match read_init(bytes) {
            Ok(config) if config.codec().kind() == kind => Ok(Arc::new(config)),
            Ok(_) => Err(format!("is not one of {}", kind.as_str())),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        let (size, sha256) = (bytes.len() as u64, sha256_hex(bytes));
        self.inits.insert((kind, index), StoredInit { at, config, bytes: size, sha256 });
    }

    /// Compares the initialisation segments with what the manifest says of them. What is not what it was is not listed any
    /// more: whether it still decodes what it did nobody knows.
    pub(crate) fn judge_inits(&mut self) {
        let listed = self.old.as_ref().map(|old| old.manifest.inits.clone()).unwrap_or_default();
        for entry in listed {
            let name = ObjectName::parse(&entry.name).ok();
            let Some((name, place)) = name.and_then(|name| name.init_index().map(|place| (name, place))) else {
                self.find_in_manifest(format!("lists {:?}, which names no initialisation segment", entry.name));
                continue;
            };
            let (problem, detail) = match self.inits.get(&place) {
                None => (Problem::Missing, "is missing".to_owned()),
                Some(init) if init.bytes != entry.bytes => {
                    (Problem::Size, format!("has {} bytes instead of {}", init.bytes, entry.bytes))
                }
                Some(init) if init.sha256 != entry.sha256 => {
                    (Problem::Digest, "has another digest than the manifest says".into())
                }
                Some(_) => continue,
            };
            self.manifest_is_stale = true;
            self.find(&name, problem, Remedy::Lost, detail);
        }
    }

    /// Returns what the manifest should list: the initialisation segments that can be read and are what they were.
    pub(crate) fn wanted_inits(&self) -> Vec<InitEntry> {
        let readable = self.inits.iter().filter(|(_, init)| init.config.is_ok());
        let entries = readable.map(|(&(kind, index), init)| InitEntry {
            name: ObjectName::init_numbered(kind, index).as_str().into(),
            bytes: init.bytes,
            sha256: init.sha256.clone(),
        });
        let is_found = |entry: &InitEntry| self.findings.iter().any(|finding| finding.object == entry.name);
        entries.filter(|entry| !is_found(entry)).collect()
    }

    /// Takes the next number: the segments that are stored under it, in the order of [`KINDS`].
    pub(crate) fn add_number(&mut self, msn: u64, stored: [Option<StoredSegment>; 2]) {
        let mut judged = stored.into_iter().zip(KINDS).map(|(stored, kind)| self.judge(kind, msn, stored));
        let mut whole = [judged.next().flatten(), judged.next().flatten()];
        drop(judged);
        self.guess_discontinuity(&mut whole);
        whole.iter().flatten().for_each(|whole| self.rebuild.date(&whole.segment));
        for whole in whole.into_iter().flatten() {
            self.add(whole);
        }
    }

    /// Decides whether a segment can be played and is the one that the manifest means.
    fn judge(&mut self, kind: MediaKind, msn: u64, stored: Option<StoredSegment>) -> Option<Whole> {
        let name = segment_name(kind, msn);
        let said = |old: &StoredManifest| (old.segment(&name).cloned(), old.lost(&name).cloned());
        let (entry, lost) = self.old.as_ref().map(said).unwrap_or_default();
        let Some(stored) = stored else {
            if entry.is_some() || lost.is_some() {
                self.give_up(kind, &name, Flaw { problem: Problem::Missing, detail: "is missing".into() }, entry, lost);
            }
            return None;
        };
        match self.examine(kind, msn, &stored, entry.as_ref().or(lost.as_ref())) {
            Ok(whole) => {
                // A live recording is listed from time to time only.
                if entry.is_none() && self.old.as_ref().is_some_and(|old| !old.is_live()) {
                    self.find(&name, Problem::Unlisted, Remedy::Mendable, "is whole, but not listed by the manifest");
                    self.manifest_is_stale = true;
                }
                Some(whole)
            }
            Err(flaw) => {
                self.give_up(kind, &name, flaw, entry, lost);
                None
            }
        }
    }

    /// Reads a segment and compares it with what was said of it.
    fn examine(
        &mut self,
        kind: MediaKind,
        msn: u64,
        stored: &StoredSegment,
        entry: Option<&SegmentEntry>,
    ) -> Result<Whole, Flaw> {
        let (size, sha256) = (stored.bytes.len() as u64, sha256_hex(&stored.bytes));
        if let Some(entry) = entry {
            if entry.bytes != size {
                let detail = format!("has {size} bytes instead of {}", entry.bytes);
                return Err(Flaw { problem: Problem::Size, detail });
            }
            if entry.sha256 != sha256 {
                let detail = "has another digest than the manifest says".into();
                return Err(Flaw { problem: Problem::Digest, detail });
            }
        }
        let newest = self.before.iter().flatten().map(|before| before.msn).max();
        if newest.is_some_and(|newest| msn - newest > MISSING_MAX) {
            let detail = format!("comes more than {MISSING_MAX} numbers behind the one before it");
            return Err(Flaw { problem: Problem::Unreadable, detail });
        }
        let headless = read_head(&stored.bytes).is_none();
        let mut segment = read_segment(kind, msn, stored.bytes.clone())
            .map_err(|error| Flaw { problem: Problem::Unreadable, detail: format!("cannot be read: {error}") })?;
        let before = self.before[kind as usize].filter(|_| entry.is_none() && self.old.is_some());
        if before.is_some_and(|before| segment.start_ticks <= before.start_ticks) {
            let detail = "begins before the one before it".into();
            return Err(Flaw { problem: Problem::Unreadable, detail });
        }
        if headless {
            segment.init = self.guess_init(kind, stored.at);
        }
        let config = match self.inits.get(&(kind, segment.init)).map(|init| &init.config) {
            Some(Ok(config)) => Arc::clone(config),
            Some(Err(detail)) => return Err(needs(segment.init, detail)),
            None => return Err(needs(segment.init, "is missing")),
        };
        Ok(Whole { segment: segment.without_media(), config, sha256, headless })
    }

    /// Notes that a segment cannot be had. What an earlier repair said already is not said again.
    fn give_up(
        &mut self,
        kind: MediaKind,
        name: &ObjectName,
        flaw: Flaw,
        entry: Option<SegmentEntry>,
        lost: Option<SegmentEntry>,
    ) {
        self.rebuild.lose(kind);
        if entry.is_some() || self.old.is_none() {
            self.find(name, flaw.problem, Remedy::Lost, flaw.detail);
            self.manifest_is_stale = true;
        }
        self.lost.extend(entry.or(lost));
    }

    /// Puts a segment where it belongs.
    fn add(&mut self, whole: Whole) {
        let Whole { segment, config, sha256, .. } = whole;
        let start = to_grid(segment.kind, segment.start_ticks);
        let end = start.saturating_add(to_grid(segment.kind, segment.duration_ticks.cast_signed()));
        let Segment { kind, msn, init, start_ticks, .. } = segment;
        self.before[kind as usize] = Some(Before { msn, init, start_ticks, end });
        self.rebuild.push(&segment, &config, sha256);
        self.assembly.push(&segment, &config);
        let Some(old) = &self.old else { return };
        let start_ms = self.rebuild.start_ms(&segment, old.manifest.start);
        let difference =
            old.segment(&ObjectName::segment(&segment)).and_then(|entry| segment_difference(&segment, start_ms, entry));
        if let Some(difference) = difference {
            self.find_in_manifest(difference);
        }
    }

    /// Takes the newest initialisation segment that was stored before a segment: the recorder stores in order.
    fn guess_init(&mut self, kind: MediaKind, at: DateTime<Utc>) -> u32 {
        let of_kind: Vec<_> = self.inits.range((kind, 0)..=(kind, u32::MAX)).collect();
        if of_kind.len() > 1 {
            self.rebuild.guess("initialisation");
        }
        let before = of_kind.iter().rev().find(|(_, init)| init.at < at).or_else(|| of_kind.first());
        before.map_or(1, |((_, index), _)| *index)
    }

    /// Flags the segments of a number that do not continue the ones before, where that is not said any more: by none of
    /// format version 1, and by none at all where the segment that said so was lost.
    fn guess_discontinuity(&mut self, whole: &mut [Option<Whole>; 2]) {
        let breaks = |whole: &Whole| {
            let Segment { kind, msn, init, start_ticks, discontinuity, .. } = whole.segment;
            self.before[kind as usize].filter(|_| !discontinuity).is_some_and(|before| {
                let broken = (before.end, before.msn + 1) != (to_grid(kind, start_ticks), msn);
                // Another configuration comes with a discontinuity, here or on the way here.
                let changed = before.init != init && self.flagged_msn <= before.msn;
                changed || (whole.headless && broken)
            })
        };
        let guessed = whole.iter().flatten().any(breaks);
        for whole in whole.iter_mut().flatten() {
            whole.segment.discontinuity |= guessed;
            if whole.segment.discontinuity {
                self.flagged_msn = whole.segment.msn;
            }
        }
        if guessed || whole.iter().flatten().any(|whole| whole.headless) {
            self.rebuild.guess("continuity");
        }
    }

    /// Tells whether a segment is missing or damaged, as far as anything tells.
    pub(crate) fn lost_any(&self) -> bool {
        let lost = |finding: &Finding| segment_place(&finding.object).is_some() && finding.remedy == Remedy::Lost;
        !self.lost.is_empty() || self.findings.iter().any(lost)
    }

    /// Returns the numbers that the manifest knows.
    pub(crate) fn known_numbers(&self) -> BTreeSet<u64> {
        let Some(old) = &self.old else { return BTreeSet::new() };
        let entries = old.manifest.segments.iter().chain(&old.manifest.lost);
        entries.filter_map(|entry| segment_place(&entry.name)).map(|(_, msn)| msn).collect()
    }
}

fn needs(init: u32, what: &str) -> Flaw {
    Flaw { problem: Problem::Unreadable, detail: format!("needs init-{init}.mp4, which {what}") }
}

/// Names the segment of a number.
pub(crate) fn segment_name(kind: MediaKind, msn: u64) -> ObjectName {
    let name = format!("{}/{msn:06}.m4s", kind.as_str());
    ObjectName::parse(&name).expect("a number has no more than 20 digits")
}

/// Returns the rendition and the number that the name of a segment tells.
pub(crate) fn segment_place(name: &str) -> Option<(MediaKind, u64)> {
    let (kind, number) = in_rendition(name)?;
    let msn: u64 = number.strip_suffix(".m4s")?.parse().ok()?;
    ((1..=MSN_MAX).contains(&msn) && segment_name(kind, msn).as_str() == name).then_some((kind, msn))
}

/// Returns the rendition and the index that the name of an initialisation segment tells.
pub(crate) fn init_place(name: &str) -> Option<(MediaKind, u32)> {
    let (kind, file) = in_rendition(name)?;
    let index: u32 = file.strip_prefix("init-")?.strip_suffix(".mp4")?.parse().ok()?;
    (format!("init-{index}.mp4") == file).then_some((kind, index))
}

fn in_rendition(name: &str) -> Option<(MediaKind, &str)> {
    let (folder, file) = name.split_once('/')?;
    KINDS.into_iter().find(|kind| kind.as_str() == folder).map(|kind| (kind, file))
}
