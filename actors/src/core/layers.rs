//! Which encoding a viewer gets: the best that its link carries.
//!
//! Begins with the lowest, for a picture must be there at once. Before each step up the link is probed: packets that
//! went out are sent again, ever more of them, until as much flows as the next encoding needs. When the link turns out to be
//! full the viewer goes down at once, as far as it must, and the next try takes longer to come.

use std::time::{Duration, Instant};

use onair_media::EncodingId;

use super::egress::LinkReport;

/// How long one step of a probe lasts: a growing queue shows within a few hundred milliseconds.
const PROBE_STEP: Duration = Duration::from_millis(700);

/// How much of the next encoding's rate a probe must have carried: encoders overshoot.
const HEADROOM_PERCENT: u64 = 110;

/// How much of what flows a step of a probe may be: what is too much fills the link's queue until it is seen.
const PROBE_PERCENT: u64 = 150;

/// So much of a step must have been seen to come through: senders' pictures vary, and reports come late.
const CARRIED_PERCENT: u64 = 70;

/// How often a step is repeated of which too little came through although the link was not full: so little was sent.
const REPEATS_MAX: u8 = 4;

/// How long after the beginning or a step up the next probe may begin.
const SETTLES_IN: Duration = Duration::from_millis(1000);

/// For how long after a change a full link says nothing: it begins with a keyframe.
const KEYFRAME_PASSES_IN: Duration = Duration::from_millis(1500);

/// For how long, at most, what filled the link is on its way.
const DRAINS_WITHIN: Duration = Duration::from_secs(4);

/// How long after a failure the next probe may begin: at first, and at most.
const BACKOFF_MIN: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A step up that has held for so long was right: the next failure is a new one.
const PROVEN_AFTER: Duration = Duration::from_secs(20);

/// A queue of so long is more than jitter.
const QUEUE_MAX: Duration = Duration::from_millis(60);

/// For how long it must be there, while nothing is probed: a keyframe fills a link that is wide enough for a moment.
const QUEUE_FOR: Duration = Duration::from_millis(800);

/// A queue of so long is too long for players, whatever it comes from.
const QUEUE_FULL: Duration = Duration::from_millis(400);

/// How long after its first encoding all of a publisher's may take to come.
const ALL_COME_WITHIN: Duration = Duration::from_secs(3);

/// What a viewer told longer ago says nothing of the present.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// How much of what a link carries is filled when going down.
const FILL_PERCENT: u64 = 90;

/// An encoding that can be had, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rung {
    /// Which one.
    pub encoding: EncodingId,
    /// Bits per second of payload.
    pub bitrate_bps: u64,
}

/// Chooses for one viewer.
#[derive(Debug)]
pub struct Layers {
    /// The encoding, and what it took when it was there last.
    wanted: Option<EncodingId>,
    wanted_bps: u64,
    /// When the publisher's first encoding came.
    begun_at: Option<Instant>,
    /// What the link carried when the viewer told last, and when that was.
    carried: Option<(u64, Instant)>,
    /// Whether the link is full, and nothing was done about it yet.
    is_full: bool,
    /// Since when packets wait.
    queued_since: Option<Instant>,
    probe: Option<Probe>,
    /// When the next probe may begin.
    probe_at: Option<Instant>,
    /// Whether the viewer has yet to get the wanted encoding: that takes a keyframe.
    is_awaited: bool,
    /// When the encoding changed last.
    changed_at: Option<Instant>,
    /// When the link was full, while that has not yet passed.
    filled_at: Option<Instant>,
    stepped_up_at: Option<Instant>,
    backoff: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    until: Instant,
    /// What is to flow altogether.
    total_bps: u64,
    extra_bps: u64,
    repeats: u8,
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            wanted: None,
            wanted_bps: 0,
            begun_at: None,
            carried: None,
            is_full: false,
            queued_since: None,
            probe: None,
            probe_at: None,
            is_awaited: false,
            changed_at: None,
            filled_at: None,
            stepped_up_at: None,
            backoff: BACKOFF_MIN,
        }
    }
}

impl Layers {
    /// Notes what the viewer's reports say of its link.
    pub fn report(&mut self, report: LinkReport, now: Instant) {
        let since = self.queued_since.unwrap_or(now);
        self.queued_since = (report.queue > QUEUE_MAX).then_some(since);
        let lasts = self.probe.is_some() || now.saturating_duration_since(since) >= QUEUE_FOR;
        let is_queued = self.queued_since.is_some() && lasts;
        if self.queued_since.is_none() && !report.is_lossy {
            self.filled_at = None;
        }
        self.is_full |= is_queued || report.queue > QUEUE_FULL || report.is_lossy;
        self.carried = Some((report.carried_bps, now));
    }

    /// Notes that the viewer loses so much that its link must be full.
    pub const fn lossy(&mut self) {
        self.is_full = true;
    }

    /// Begins anew with another publisher, whose encodings have nothing to do with those before. What is known of the link
    /// stays.
    pub fn restart(&mut self) {
        *self = Self { carried: self.carried, backoff: self.backoff, ..Self::default() };
    }

    /// Returns the encoding that the viewer is to get, of those in `rungs`, the lowest first; `None`: there is none.
    pub fn choose(&mut self, rungs: &[Rung], now: Instant) -> Option<EncodingId> {
        let is_full = std::mem::take(&mut self.is_full) && !self.is_excused(now);
        let at = rungs.iter().position(|rung| Some(rung.encoding) == self.wanted);
        let to = match at {
            Some(at) if is_full => self.step_back(rungs, at, now),
            Some(at) if at > 0 && self.is_beginning(now) => 0,
            Some(at) => self.step(rungs, at, now),
            None => self.begin(rungs, now),
        };
        let Some(rung) = rungs.get(to) else { return self.wanted };
        self.wanted_bps = rung.bitrate_bps;
        if self.wanted.replace(rung.encoding) != Some(rung.encoding) {
            (self.changed_at, self.is_awaited) = (Some(now), true);
        }
        self.wanted
    }

    /// Notes that the viewer gets the wanted encoding.
    pub fn arrived(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_awaited) {
            (self.changed_at, self.probe_at) = (Some(now), self.probe_at.max(Some(now + SETTLES_IN)));
        }
    }

    /// Returns how many bits per second are to be sent beside the media, to see whether the link carries them.
    pub fn probe_bps(&self) -> u64 {
        self.probe.map_or(0, |probe| probe.extra_bps)
    }

    /// Tells whether a full link says nothing: something was done about it, or has just begun.
    fn is_excused(&self, now: Instant) -> bool {
        let is_within = |at: Option<Instant>, time| at.is_some_and(|at| now.saturating_duration_since(at) < time);
        let is_known = is_within(self.filled_at, DRAINS_WITHIN);
        is_known || (self.probe.is_none() && is_within(self.changed_at, KEYFRAME_PASSES_IN))
    }

    /// Tells whether the publisher's encodings may not all have come yet: the first one need not be the lowest.
    fn is_beginning(&self, now: Instant) -> bool {
        let is_early = |begun| now.saturating_duration_since(begun) < ALL_COME_WITHIN;
        self.stepped_up_at.is_none() && self.begun_at.is_some_and(is_early)
    }

    /// Begins with the lowest. When the publisher has dropped the wanted one, goes on with the best that takes no more.
    fn begin(&mut self, rungs: &[Rung], now: Instant) -> usize {
        (self.probe, self.probe_at) = (None, Some(now + SETTLES_IN));
        if self.wanted.is_none() {
            self.begun_at = Some(now);
            return 0;
        }
        rungs.iter().rposition(|rung| rung.bitrate_bps <= self.wanted_bps).unwrap_or(0)
    }

    /// Returns what the link carries, if the viewer told that lately.
    fn carried_bps(&self, now: Instant) -> Option<u64> {
        self.carried.filter(|(_, at)| now.saturating_duration_since(*at) < HEARD_WITHIN).map(|(bps, _)| bps)
    }

    /// Goes on as far as the link is known to carry: a probe begins, goes on, or has shown that it can be done.
    fn step(&mut self, rungs: &[Rung], at: usize, now: Instant) -> usize {
        if self.stepped_up_at.is_some_and(|since| now.saturating_duration_since(since) >= PROVEN_AFTER) {
            (self.stepped_up_at, self.backoff) = (None, BACKOFF_MIN);
        }
        let Some(next) = rungs.get(at + 1) else {
            self.probe = None;
            return at;
        };
        let carried_bps = self.carried_bps(now);
        let carries = |total_bps| carried_bps.is_some_and(|bps| bps >= total_bps / 100 * CARRIED_PERCENT);
        let (rate_bps, needed_bps) = (rungs[at].bitrate_bps, next.bitrate_bps / 100 * HEADROOM_PERCENT);
        match self.probe {
            Some(probe) if now < probe.until => at,
            Some(probe) if !carries(probe.total_bps) => {
                self.repeat(probe, now);
                at
            }
            Some(probe) if probe.total_bps >= needed_bps => {
                (self.probe, self.probe_at, self.stepped_up_at) = (None, Some(now + SETTLES_IN), Some(now));
                at + 1
            }
            Some(probe) => {
                self.probe = Some(Probe::new(probe.total_bps, rate_bps, needed_bps, now));
                at
            }
            None => {
                // Who tells nothing of its link is not given more, nor who still waits for this one.
                if carried_bps.is_some() && !self.is_awaited && self.probe_at.is_none_or(|probe_at| probe_at <= now) {
                    self.probe = Some(Probe::new(rate_bps, rate_bps, needed_bps, now));
                }
                at
            }
        }
    }

    fn repeat(&mut self, probe: Probe, now: Instant) {
        let repeats = probe.repeats + 1;
        self.probe = (repeats <= REPEATS_MAX).then_some(Probe { until: now + PROBE_STEP, repeats, ..probe });
        if self.probe.is_none() {
            self.fail(now);
        }
    }

    /// The link is full: a probe ends, or a lower encoding has to do.
    fn step_back(&mut self, rungs: &[Rung], at: usize, now: Instant) -> usize {
        if self.probe.take().is_some() {
            self.fail(now);
            return at;
        }
        if at == 0 {
            self.probe_at = self.probe_at.max(Some(now + SETTLES_IN));
            return at;
        }
        self.fail(now);
        let carried_bps = self.carried_bps(now);
        let fits = |rung: &Rung| carried_bps.is_none_or(|bps| rung.bitrate_bps <= bps / 100 * FILL_PERCENT);
        rungs[..at].iter().rposition(fits).unwrap_or(0)
    }

    fn fail(&mut self, now: Instant) {
        self.probe_at = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        (self.stepped_up_at, self.filled_at) = (None, Some(now));
    }
}

impl Probe {
    /// Plans a step beyond `flows_bps`, on the way to `needed_bps`.
    fn new(flows_bps: u64, rate_bps: u64, needed_bps: u64, now: Instant) -> Self {
        let total_bps = (flows_bps * PROBE_PERCENT / 100).clamp(1, needed_bps.max(1));
        Self { until: now + PROBE_STEP, total_bps, extra_bps: total_bps.saturating_sub(rate_bps), repeats: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNGS: [Rung; 3] = [
        Rung { encoding: EncodingId(2), bitrate_bps: 150_000 },
        Rung { encoding: EncodingId(1), bitrate_bps: 500_000 },
        Rung { encoding: EncodingId(0), bitrate_bps: 1_500_000 },
    ];

    /// Runs a viewer behind a link for some seconds; returns what it got and since when, in milliseconds.
    fn behind(link_bps: u64, seconds: u64) -> Vec<(u64, u8)> {
        let (start, mut layers) = (Instant::now(), Layers::default());
        let (mut steps, mut last, mut queue_bits) = (Vec::new(), None, 0_u64);
        for ms in (0..seconds * 1000).step_by(50) {
            let wanted = layers.choose(&RUNGS, start + Duration::from_millis(ms)).unwrap();
            layers.arrived(start + Duration::from_millis(ms));
            if last.replace(wanted) != Some(wanted) {
                steps.push((ms, wanted.0));
            }
            let rate = RUNGS.iter().find(|rung| rung.encoding == wanted).unwrap().bitrate_bps;
            let sent = rate + layers.probe_bps();
            queue_bits = (queue_bits + sent / 20).saturating_sub(link_bps / 20);
            let queue = Duration::from_millis(queue_bits * 1000 / link_bps);
            let report = LinkReport { queue, is_lossy: false, carried_bps: sent.min(link_bps) };
            layers.report(report, start + Duration::from_millis(ms));
        }
        steps
    }

    #[test]
    fn a_wide_link_carries_the_best_within_seconds() {
        let steps = behind(5_000_000, 60);
        assert_eq!(steps.iter().map(|step| step.1).collect::<Vec<_>>(), [2, 1, 0], "{steps:?}");
        assert!(steps[2].0 < 8000, "{steps:?}");
    }

    #[test]
    fn a_narrow_link_keeps_to_what_it_carries() {
        for (link, layer) in [(300_000, 2), (1_000_000, 1)] {
            let steps = behind(link, 120);
            assert_eq!(steps.last().unwrap().1, layer, "{link}: {steps:?}");
            assert!(steps.last().unwrap().0 < 10_000, "{link}: {steps:?}");
        }
    }

    #[test]
    fn a_full_link_takes_a_viewer_down_at_once_and_as_far_as_it_must() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut layers = Layers { wanted: Some(EncodingId(0)), ..Layers::default() };
        assert_eq!(layers.choose(&RUNGS, at(0)), Some(EncodingId(0)));
        layers.report(LinkReport { is_lossy: true, carried_bps: 200_000, ..LinkReport::default() }, at(1));
        assert_eq!(layers.choose(&RUNGS, at(1)), Some(EncodingId(2)));
        assert_eq!(layers.probe_bps(), 0);
        // Loss says the same where nothing is reported.
        let mut layers = Layers { wanted: Some(EncodingId(0)), ..Layers::default() };
        layers.lossy();
        assert_eq!(layers.choose(&RUNGS, at(0)), Some(EncodingId(1)));
    }

    #[test]
    fn failures_come_ever_more_seldom() {
        let (start, mut layers, mut began) = (Instant::now(), Layers::default(), Vec::new());
        let mut was_probing = false;
        for ms in (0..200_000).step_by(100) {
            let now = start + Duration::from_millis(ms);
            layers.report(LinkReport { carried_bps: 150_000, ..LinkReport::default() }, now);
            layers.choose(&RUNGS[..2], now);
            layers.arrived(now);
            let probes = layers.probe_bps() > 0;
            if probes && !was_probing {
                began.push(ms);
                layers.lossy();
            }
            was_probing = probes;
        }
        let apart: Vec<_> = began.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
        assert_eq!(apart[..5], [5, 10, 20, 40, 60]);
    }

    #[test]
    fn who_tells_nothing_of_its_link_stays_at_the_lowest() {
        let (start, mut layers) = (Instant::now(), Layers::default());
        for ms in (0..60_000).step_by(100) {
            assert_eq!(layers.choose(&RUNGS, start + Duration::from_millis(ms)), Some(EncodingId(2)));
        }
    }

    #[test]
    fn a_publisher_s_first_encoding_need_not_be_the_lowest() {
        let (start, mut layers) = (Instant::now(), Layers::default());
        assert_eq!(layers.choose(&[], start), None);
        assert_eq!(layers.choose(&RUNGS[2..], start), Some(EncodingId(0)));
        assert_eq!(layers.choose(&RUNGS[1..], start + Duration::from_secs(1)), Some(EncodingId(1)));
        assert_eq!(layers.choose(&RUNGS, start + Duration::from_secs(2)), Some(EncodingId(2)));
        // Whoever comes next begins at the lowest too, whatever its numbers.
        let mut layers = Layers { wanted: Some(EncodingId(0)), ..Layers::default() };
        layers.restart();
        assert_eq!(layers.choose(&RUNGS, start), Some(EncodingId(2)));
    }

    #[test]
    fn when_an_encoding_stops_its_viewers_get_one_that_takes_no_more() {
        let (now, mut layers) = (Instant::now(), Layers { wanted: Some(EncodingId(1)), ..Layers::default() });
        assert_eq!(layers.choose(&RUNGS, now), Some(EncodingId(1)));
        assert_eq!(layers.choose(&[RUNGS[0], RUNGS[2]], now), Some(EncodingId(2)));
        assert_eq!(layers.choose(&[], now), Some(EncodingId(2)));
        // There is none that takes less than the lowest: the next one has to do, and not the best.
        assert_eq!(layers.choose(&RUNGS[1..], now), Some(EncodingId(1)));
    }

    #[test]
    fn a_keyframe_that_fills_the_link_for_a_moment_is_no_reason_to_go_down() {
        let (start, mut layers) = (Instant::now(), Layers { wanted: Some(EncodingId(0)), ..Layers::default() });
        let mut after = |ms, queue_ms| {
            let now = start + Duration::from_millis(ms);
            let queue = Duration::from_millis(queue_ms);
            layers.report(LinkReport { queue, is_lossy: false, carried_bps: 400_000 }, now);
            layers.choose(&RUNGS, now).unwrap().0
        };
        assert_eq!([after(0, 300), after(300, 200), after(600, 100), after(900, 10)], [0; 4]);
        assert_eq!([after(2000, 300), after(2400, 300), after(2900, 300)], [0, 0, 2]);
    }
}
