//! A broadcast's recordings, as its packager sees them: which recorder gets the cuts, and which cuts wait for it.
//!
//! A recording consists of whole segments, so that media is cut once: it begins with the segment that grows, and ends
//! with it.
//!
//! Nothing is announced to players before it is in the spool, so that a crash takes nothing from a recording that a
//! viewer has seen. But players do not wait for ever: a disk that is stuck costs the recording, not the broadcast.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use onair_media::{MediaKind, RecordingId};
use onair_recorder::journal::Begun;
use onair_recorder::{Cut, Extent, ExtentLimits, Init, MP4_MEDIA_MAX_BYTES};
use tracing::{debug, info, warn};

use super::{RecordingDone, RecordingEnd, Spooled};
use crate::archive::Archive;
use crate::core::backoff::Backoff;
use crate::core::quiet::OncePerSecond;
use crate::mailbox::start_here;
use crate::observe::{Observe, observe};
use crate::recorder::{Leave, Listeners, Provenance, Record, Recorder, StopRecording};
use crate::session_id::random;
use crate::shared::RecordRule;

/// How long a cut waits for the spool before it is announced all the same.
const SPOOL_PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait before a recording is tried again that could not begin; each further wait is twice as long.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// Owns what a packager knows of its recordings.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    current: Option<Current>,
    is_to_be_continued: bool,
    /// Those whose recorders are at work, the current one included.
    unfinished: Vec<(RecordingId, Addr<Recorder>)>,
    /// The newest one, and what became of it.
    newest: Option<(RecordingId, Option<RecordingEnd>)>,
    /// Where the media comes from.
    provenance: Option<Provenance>,
    /// What keeps recordings from beginning, if something does.
    obstacle: Option<Obstacle>,
    /// The initialisation segments in force, by rendition and index, and those before them: the newest number may
    /// still need one whose successor was cut for the next.
    inits: HashMap<(MediaKind, u32), KnownInit>,
    /// The newest media sequence number of which a part was cut.
    newest_msn: u64,
    /// What was cut of that number, for a recording that begins within it.
    newest_cuts: Vec<Cut>,
    waiting: VecDeque<Waiting>,
    /// Cuts that a recorder's full mailbox refused: the recording has a gap there.
    pub(super) dropped_cuts: u64,
    /// Cuts that were announced before they were in the spool.
    pub(super) announced_early: u64,
    quiet: OncePerSecond,
}

/// Why recordings do not begin.
#[derive(Debug)]
struct Obstacle {
    reason: String,
    backoff: Backoff,
    /// When the next one is tried.
    until: Instant,
}

#[derive(Debug)]
struct Current {
    id: RecordingId,
    recorder: Addr<Recorder>,
    shape: Shape,
    extent: Extent,
    /// Whether it ends with the newest number.
    ends: bool,
}

/// Says what is recorded of a broadcast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Whether pictures are left out.
    pub(super) audio_only: bool,
    /// When the next recording takes over.
    pub(super) limits: ExtentLimits,
}

impl RecordRule {
    /// Says what is recorded; where there is an MP4, a recording is never larger than one can be.
    pub(super) fn shape(&self) -> Shape {
        let mp4_max = self.mp4.then_some(MP4_MEDIA_MAX_BYTES);
        let max_bytes = [self.max_bytes, mp4_max].into_iter().flatten().min();
        let limits = ExtentLimits { max_duration: self.max_duration, max_bytes };
        Shape { audio_only: self.audio_only, limits }
    }
}

impl Shape {
    /// Tells whether a rendition is recorded.
    pub(super) fn takes(&self, kind: MediaKind) -> bool {
        !self.audio_only || kind == MediaKind::Audio
    }
}

/// An initialisation segment goes before the first part that needs it.
#[derive(Debug)]
struct KnownInit {
    init: Init,
    /// Whether players and the current recording have it.
    is_sent: bool,
    /// Whether players have it.
    is_announced: bool,
}

/// A cut on its way to the spool.
#[derive(Debug)]
struct Waiting {
    cut: Cut,
    /// The recording that it is written for.
    recording: Option<RecordingId>,
    since: Instant,
    spooled: bool,
    announced: bool,
}

impl Recordings {
    /// Begins a recording; it gets what was cut of the newest number, and what is cut from now on.
    pub(super) fn begin(&mut self, begun: Begun, shape: Shape, archive: &Arc<Archive>, listeners: Listeners) {
        info!(room = %begun.room, recording = %begun.recording, "recording");
        let id = begun.recording.clone();
        let recorder = start_here(Recorder::new(begun, Arc::clone(archive), listeners));
        self.unfinished.push((id.clone(), recorder.clone()));
        self.newest = Some((id.clone(), None));
        self.current = Some(Current { id, recorder, shape, extent: Extent::default(), ends: false });
        self.is_to_be_continued = false;
        self.tell_provenance();
        self.hand_on_newest();
    }

    /// Hears where the media comes from that is cut from now on.
    pub(super) fn set_provenance(&mut self, provenance: Provenance) {
        if self.provenance.replace(provenance) != Some(provenance) {
            self.tell_provenance();
        }
    }

    fn tell_provenance(&self) {
        if let Some((current, provenance)) = self.current.as_ref().zip(self.provenance) {
            current.recorder.do_send(provenance);
        }
    }

    /// Tells whether something of a shape was cut of the newest number, so that a recording may begin at once.
    pub(super) fn may_begin(&self, shape: Shape) -> bool {
        self.newest_cuts.iter().any(|cut| matches!(cut, Cut::Part(part) if shape.takes(part.kind)))
    }

    /// Has the current recording end with the newest number, or go on after all. Returns false when there is none.
    pub(super) fn end_with_number(&mut self, ends: bool) -> bool {
        self.current.as_mut().map(|current| current.ends = ends).is_some()
    }

    /// Tells whether the current recording goes on after the newest number, for all that is known.
    pub(super) fn goes_on(&self) -> bool {
        self.current.as_ref().is_some_and(|current| !current.ends)
    }

    /// Hears that nothing more is cut of the newest number: the publisher is away.
    pub(super) fn end_number(&mut self) {
        self.newest_cuts.clear();
        if self.current.as_ref().is_some_and(|current| current.ends) {
            self.stop();
        }
    }

    /// Tells whether a recording may be tried: none failed to begin a short time ago.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        self.obstacle.as_ref().is_none_or(|obstacle| obstacle.until <= now)
    }

    /// Hears that a recording could not begin, and says whether that is news: nothing was known of it, or another cause.
    pub(super) fn not_begun(&mut self, reason: &str, now: Instant) -> bool {
        let known = self.obstacle.take().filter(|obstacle| obstacle.reason == reason);
        let is_news = known.is_none();
        let mut backoff = known.map_or(Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF), |obstacle| obstacle.backoff);
        let [jitter] = random::<1>();
        let until = now + backoff.next(jitter);
        self.obstacle = Some(Obstacle { reason: reason.into(), backoff, until });
        is_news
    }

    /// Returns why recordings do not begin.
    pub(super) fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_ref().map(|obstacle| obstacle.reason.as_str())
    }

    /// Ends the current recording, if there is one.
    pub(super) fn stop(&mut self) {
        if let Some(Current { recorder, .. }) = self.current.take() {
            recorder.do_send(StopRecording);
        }
    }

    /// Tells whether the last recording ended because it was as long or as large as it may be, and the next one has yet to
    /// begin.
    pub(super) const fn is_to_be_continued(&self) -> bool {
        self.is_to_be_continued
    }

    /// Forgets what was cut: the broadcast is over, players have seen it all, and recorders have what they need.
    pub(super) fn let_go_of_media(&mut self) {
        self.waiting.clear();
        self.newest_cuts.clear();
        self.inits.clear();
    }

    /// Tells whether something is being recorded.
    pub(super) const fn is_recording(&self) -> bool {
        self.current.is_some()
    }

    /// Has the ended recordings wait in the spool.
    pub(super) fn leave(&self) {
        for (_, recorder) in &self.unfinished {
            recorder.do_send(Leave);
        }
    }

    /// Tells whether every recording is stored, left in the spool or given up.
    pub(super) fn are_done(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// Returns the newest recording.
    pub(super) fn newest(&self) -> Option<&RecordingId> {
        self.newest.as_ref().map(|(id, _)| id)
    }

    /// Returns what became of the newest recording, once its recorder has nothing more to do.
    pub(super) fn end_of_newest(&self) -> Option<&RecordingEnd> {
        self.newest.as_ref().and_then(|(_, end)| end.as_ref())
    }

    /// Looks at the next cut before it is pushed: where a number begins, the current recording may be at its end.
    pub(super) fn look_ahead(&mut self, cut: &Cut) {
        let Cut::Part(part) = cut else { return };
        if part.msn <= self.newest_msn {
            return;
        }
        self.newest_msn = part.msn;
        self.newest_cuts.clear();
        let is_full = |current: &Current| current.extent.is_full(current.shape.limits);
        if self.current.as_ref().is_some_and(|current| current.ends || is_full(current)) {
            self.is_to_be_continued = self.current.as_ref().is_some_and(|current| !current.ends);
            self.stop();
        }
    }

    /// Takes a cut. It comes out of [`Recordings::announce`] when players may see it.
    pub(super) fn push(&mut self, cut: Cut) {
        match cut {
            Cut::Init(init) => {
                let (kind, index) = (init.kind, init.index);
                self.inits.retain(|(other, before), _| *other != kind || *before + 1 >= index);
                self.inits.insert((kind, index), KnownInit { init, is_sent: false, is_announced: false });
            }
            cut => {
                self.newest_cuts.push(cut.clone());
                self.hand_on(cut, false);
            }
        }
    }

    /// Hears from a recorder's writer.
    pub(super) fn spooled(&mut self, Spooled { recording, cuts }: &Spooled) {
        // Only one that has begun tells of cuts.
        self.obstacle = None;
        let of_it =
            self.waiting.iter_mut().filter(|waiting| !waiting.spooled && waiting.recording.as_ref() == Some(recording));
        for waiting in of_it.take(usize::try_from(*cuts).unwrap_or(usize::MAX)) {
            waiting.spooled = true;
        }
    }

    /// Hears that a recorder is gone, or that what it left is stored.
    pub(super) fn done(&mut self, RecordingDone { recording: id, end }: RecordingDone) {
        self.unfinished.retain(|(other, _)| *other != id);
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.recording.as_ref() == Some(&id)) {
            waiting.spooled = true;
        }
        if let Some((_, of_newest)) = self.newest.as_mut().filter(|(newest, _)| *newest == id) {
            *of_newest = Some(end);
        }
        if self.current.as_ref().is_some_and(|current| current.id == id) {
            debug!(recording = %id, "the recording has ended before its broadcast");
            self.current = None;
        }
    }

    /// Returns the next cut that players may see.
    pub(super) fn announce(&mut self, now: Instant) -> Option<Cut> {
        // Not from the front alone: a recording that has ended may wait for the disk before one that goes on.
        self.waiting.retain(|waiting| !(waiting.announced && waiting.spooled));
        let next = self.waiting.iter_mut().find(|waiting| !waiting.announced)?;
        let is_late = now.saturating_duration_since(next.since) > SPOOL_PATIENCE;
        if !next.spooled && !is_late {
            return None;
        }
        next.announced = true;
        self.announced_early += u64::from(!next.spooled);
        Some(next.cut.clone())
    }

    /// Lets players see everything: the broadcast is over.
    pub(super) fn announce_all(&mut self) -> Vec<Cut> {
        let rest = self.waiting.iter_mut().filter(|waiting| !waiting.announced);
        rest.map(|waiting| {
            waiting.announced = true;
            waiting.cut.clone()
        })
        .collect()
    }

    /// Shows the current recorder's state.
    pub(super) fn observe(&self) -> impl Future<Output = serde_json::Value> + 'static {
        let recorder = self.current.as_ref().map(|current| current.recorder.clone().recipient::<Observe>());
        async move {
            match recorder {
                Some(recorder) => observe(&recorder).await,
                None => serde_json::Value::Null,
            }
        }
    }

    /// Sends what was cut of the newest number once more, for a recording that begins with it.
    fn hand_on_newest(&mut self) {
        self.inits.values_mut().for_each(|known| known.is_sent = false);
        for cut in self.newest_cuts.clone() {
            // Players know these already.
            self.hand_on(cut, true);
        }
    }

    /// Sends media, and the initialisation segment that it needs before it.
    fn hand_on(&mut self, cut: Cut, announced: bool) {
        if let Cut::Part(part) = &cut {
            let known = self.inits.get_mut(&(part.kind, part.init)).filter(|known| !known.is_sent);
            let init = known.map(|known| {
                known.is_sent = true;
                (Cut::Init(known.init.clone()), std::mem::replace(&mut known.is_announced, true))
            });
            if let Some((init, is_announced)) = init {
                self.send(init, is_announced);
            }
            if let Some(current) = self.current.as_mut().filter(|current| current.shape.takes(part.kind)) {
                current.extent.add(part);
            }
        }
        self.send(cut, announced);
    }

    /// Gives a cut to the recorder; where none wants it nothing has to be waited for.
    fn send(&mut self, cut: Cut, announced: bool) {
        let now = Instant::now();
        let takes = |current: &&Current| match &cut {
            Cut::Init(init) => current.shape.takes(init.kind),
            Cut::Part(part) => current.shape.takes(part.kind),
            Cut::Segment(segment) => current.shape.takes(segment.kind),
            Cut::KeyframeWanted => false,
        };
        let (recording, spooled) = match self.current.as_ref().filter(takes) {
            None => (None, true),
            Some(Current { id, recorder, .. }) => {
                let is_refused = recorder.try_send(Record(cut.clone())).is_err();
                if is_refused {
                    self.dropped_cuts += 1;
                    if let Some(withheld) = self.quiet.pass(now) {
                        warn!(recording = %id, withheld, "the recorder is too slow, the recording has a gap");
                    }
                }
                (Some(id.clone()), is_refused)
            }
        };
        self.waiting.push_back(Waiting { cut, recording, since: now, spooled, announced });
    }
}

#[cfg(test)]
mod tests {
    use actix::dev::channel::channel;
    use bytes::Bytes;
    use onair_media::CodecConfig;
    use onair_recorder::{Part, Segment};

    use super::*;

    fn init(index: u32) -> Cut {
        let config = CodecConfig::Opus { channels: 2, pre_skip: 0 };
        Cut::Init(Init { kind: MediaKind::Audio, index, config: Arc::new(config), bytes: Bytes::new() })
    }

    fn part(msn: u64, init: u32) -> Part {
        Part {
            kind: MediaKind::Audio,
            msn,
            index: 0,
            init,
            discontinuity: false,
            independent: true,
            start_ticks: 0,
            duration_ticks: 0,
            bytes: Bytes::new(),
            payload_offset: 0,
            samples: Vec::new(),
        }
    }

    /// Takes what waits, as the indices of initialisation segments and the numbers of media.
    fn taken(recordings: &mut Recordings) -> Vec<(&'static str, u64)> {
        let cuts = recordings.waiting.drain(..).map(|waiting| match waiting.cut {
            Cut::Init(init) => ("init", u64::from(init.index)),
            Cut::Part(part) => ("part", part.msn),
            Cut::Segment(segment) => ("segment", segment.msn),
            Cut::KeyframeWanted => ("keyframe", 0),
        });
        cuts.collect()
    }

    fn take(recordings: &mut Recordings, cut: Cut) {
        recordings.look_ahead(&cut);
        recordings.push(cut);
    }

    /// A recording of at most four seconds; its recorder is gone.
    fn recording_of_four_seconds() -> Current {
        let id = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        let limits = ExtentLimits { max_duration: Some(Duration::from_secs(4)), max_bytes: None };
        let shape = Shape { audio_only: false, limits };
        let recorder = Addr::new(channel(1).0);
        Current { id, recorder, shape, extent: Extent::default(), ends: false }
    }

    /// A recording that hands over does not wait for room that a new one would need: unsplit, it would have gone on.
    #[test]
    fn a_full_recording_is_continued_and_one_ended_by_hand_is_not() {
        for ends_by_hand in [false, true] {
            let mut recordings = Recordings { current: Some(recording_of_four_seconds()), ..Recordings::default() };
            for msn in [1, 2] {
                assert!(recordings.is_recording() && !recordings.is_to_be_continued());
                let four_seconds = Part { duration_ticks: 4 * 48_000, ..part(msn, 1) };
                take(&mut recordings, Cut::Part(Arc::new(four_seconds)));
                if ends_by_hand {
                    recordings.end_with_number(true);
                }
            }
            assert_eq!((recordings.is_recording(), recordings.is_to_be_continued()), (false, !ends_by_hand));
        }
    }

    /// The room said that a recording was stored whose recorder had given up.
    #[test]
    fn what_became_of_the_newest_recording_is_known() {
        let [older, newest] =
            ["20261122T063000Z-7f3a9c", "20261122T073000Z-7f3a9c"].map(|id| RecordingId::parse(id).unwrap());
        let ends = [RecordingEnd::GivenUp("the disk is broken".into()), RecordingEnd::Left, RecordingEnd::Stored];
        for end in ends {
            let mut recordings = Recordings { newest: Some((newest.clone(), None)), ..Recordings::default() };
            recordings.done(RecordingDone { recording: older.clone(), end: RecordingEnd::Stored });
            assert_eq!(recordings.end_of_newest(), None);
            recordings.done(RecordingDone { recording: newest.clone(), end: end.clone() });
            assert_eq!(recordings.end_of_newest(), Some(&end));
        }
    }

    /// It ended when the publisher came back, or was given up.
    #[test]
    fn a_recording_that_is_to_end_does_not_wait_for_a_publisher_that_is_away() {
        let mut recordings = Recordings { current: Some(recording_of_four_seconds()), ..Recordings::default() };
        take(&mut recordings, Cut::Part(Arc::new(part(1, 1))));
        recordings.end_number();
        assert!(recordings.is_recording());
        recordings.end_with_number(true);
        assert!(recordings.is_recording());
        recordings.end_number();
        assert!(!recordings.is_recording());
        // The next one begins with what is cut when the publisher is back.
        assert!(!recordings.may_begin(recording_of_four_seconds().shape));
    }

    /// It was tried for each segment, with an event each.
    #[test]
    fn a_recording_that_cannot_begin_is_tried_less_and_less_and_said_once() {
        let (mut recordings, mut now) = (Recordings::default(), Instant::now());
        let mut tries_and_news = |recordings: &mut Recordings, reason: &str, seconds: u64| {
            let (mut tries, mut news) = (0, 0);
            for _ in 0..seconds {
                now += Duration::from_secs(1);
                if recordings.may_try(now) {
                    tries += 1;
                    news += u32::from(recordings.not_begun(reason, now));
                }
            }
            (tries, news)
        };
        let (tries, news) = tries_and_news(&mut recordings, "no space", 3600);
        assert!((15..=40).contains(&tries) && news == 1, "{tries} {news}");
        assert_eq!(recordings.obstacle(), Some("no space"));
        // At the next try it is another cause, and that is said.
        let (tries, news) = tries_and_news(&mut recordings, "read-only", 300);
        assert!(tries >= 1 && news == 1, "{tries} {news}");
        let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        recordings.spooled(&Spooled { recording, cuts: 1 });
        assert!(recordings.obstacle().is_none() && recordings.may_try(now));
    }

    /// What waits for the disk in an ended recording kept all that was cut for the next one in memory.
    #[test]
    fn what_is_done_does_not_wait_behind_an_older_recording() {
        let mut recordings = Recordings::default();
        let stuck = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        let (cut, since) = (Cut::Part(Arc::new(part(1, 1))), Instant::now());
        recordings.waiting.push_back(Waiting { cut, recording: Some(stuck), since, spooled: false, announced: true });
        for msn in 2..1000 {
            take(&mut recordings, Cut::Part(Arc::new(part(msn, 1))));
            assert!(recordings.announce(Instant::now()).is_some());
        }
        // The stuck one and the newest, which the next call takes.
        assert_eq!(recordings.waiting.len(), 2);
    }

    /// Another initialisation segment is cut when the next segment begins, half a second before its first part. Who began
    /// to record in between got it in place of the one that the segment before needs.
    #[test]
    fn the_newest_number_comes_with_its_own_initialisation_segment() {
        let mut recordings = Recordings::default();
        let first = Arc::new(part(1, 1));
        let segment = Segment::of_parts(vec![Arc::clone(&first)]).unwrap();
        for cut in [init(1), Cut::Part(first), Cut::Segment(Arc::new(segment)), init(2)] {
            take(&mut recordings, cut);
        }
        assert_eq!(taken(&mut recordings), [("init", 1), ("part", 1), ("segment", 1)]);
        recordings.hand_on_newest();
        assert_eq!(taken(&mut recordings), [("init", 1), ("part", 1), ("segment", 1)]);
        take(&mut recordings, Cut::Part(Arc::new(part(2, 2))));
        assert_eq!(taken(&mut recordings), [("init", 2), ("part", 2)]);
        // What nothing can need any more is let go.
        take(&mut recordings, init(3));
        assert_eq!(recordings.inits.len(), 2);
    }
}
