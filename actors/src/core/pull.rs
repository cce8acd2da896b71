//! When a camera is connected to, and when it is left.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::backoff::Backoff;

/// How long a camera may take from the first packet to the answer to PLAY: cheap ones take some seconds for each request.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// How long a camera that nobody watches any more is kept, so that a page reload does not cost its start.
pub const KEEP_FOR: Duration = Duration::from_secs(30);

/// The waits before another attempt: a restarted camera is back soon, and one that is away is asked twice a minute.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// A session that brought media for so long has worked: what ends it is no reason to wait longer than the first time.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// What holds for one camera.
#[derive(Debug, Clone, Copy)]
pub struct PullSettings {
    /// Whether it is connected to only while somebody watches.
    pub on_demand: bool,
    /// How long it may send no media before its session is given up.
    pub silence_max: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Connect, and say [`Pull::connected`] or [`Pull::ended`].
    Connect,
    /// Let go of the connection, or of the attempt; there is nothing more to be said of it.
    Leave(LeaveReason),
}

/// Says why a camera is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveReason {
    /// It is on demand, and nobody watched for a while.
    NobodyWatches,
    /// It took too long to connect.
    NoAnswer,
    /// It was connected, and no media came.
    Silent,
}

/// How far a camera is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// Nobody watches.
    Idle,
    /// Connected soon, for nothing came of the last attempt or it ended.
    Waiting,
    /// Being connected to.
    Connecting,
    /// Connected.
    Playing,
}

/// Decides for one camera.
#[derive(Debug)]
pub struct Pull {
    settings: PullSettings,
    backoff: Backoff,
    phase: Phase,
    /// When somebody was last known to watch.
    wanted_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Idle,
    Waiting { until: Instant },
    Connecting { since: Instant },
    Playing { since: Instant, heard_at: Instant },
}

impl Pull {
    /// Begins without a connection. One that is not on demand wants one at the first [`poll`](Self::poll).
    pub const fn new(settings: PullSettings) -> Self {
        Self { settings, backoff: BACKOFF, phase: Phase::Idle, wanted_at: None }
    }

    /// Notes that somebody watches, or wants to.
    pub fn wanted(&mut self, now: Instant) {
        self.wanted_at = self.wanted_at.max(Some(now));
    }

    /// Notes that the camera plays.
    pub fn connected(&mut self, now: Instant) {
        self.phase = Phase::Playing { since: now, heard_at: now };
    }

    /// Notes that media came.
    pub fn heard(&mut self, now: Instant) {
        if let Phase::Playing { heard_at, .. } = &mut self.phase {
            *heard_at = now;
        }
    }

    /// Notes that the attempt failed, or the connection ended. `jitter` is drawn at random.
    pub fn ended(&mut self, now: Instant, jitter: u8) {
        if let Phase::Playing { since, heard_at } = self.phase
            && heard_at.saturating_duration_since(since) >= STEADY_AFTER
        {
            self.backoff.reset();
        }
        self.phase = Phase::Waiting { until: now + self.backoff.next(jitter) };
    }

    /// Returns what is to be done now; to be asked until `None`, and again at [`next_timeout`](Self::next_timeout).
    pub fn poll(&mut self, now: Instant, jitter: u8) -> Option<Order> {
        let is_wanted = self.is_wanted(now);
        match self.phase {
            Phase::Idle if is_wanted => Some(self.connect(now)),
            Phase::Idle => None,
            Phase::Waiting { .. } if !is_wanted => {
                self.rest();
                None
            }
            Phase::Waiting { until } => (until <= now).then(|| self.connect(now)),
            Phase::Connecting { .. } | Phase::Playing { .. } if !is_wanted => {
                self.rest();
                Some(Order::Leave(LeaveReason::NobodyWatches))
            }
            Phase::Connecting { since } => self.leave_after(since, CONNECT_WITHIN, LeaveReason::NoAnswer, now, jitter),
            Phase::Playing { heard_at, .. } => {
                self.leave_after(heard_at, self.settings.silence_max, LeaveReason::Silent, now, jitter)
            }
        }
    }

    /// Returns when there may be something to do without anything having happened.
    pub fn next_timeout(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Idle => return None,
            Phase::Waiting { until } => until,
            Phase::Connecting { since } => since + CONNECT_WITHIN,
            Phase::Playing { heard_at, .. } => heard_at + self.settings.silence_max,
        };
        let unwanted = self.wanted_at.filter(|_| self.settings.on_demand).map(|at| at + KEEP_FOR);
        Some(unwanted.map_or(due, |unwanted| due.min(unwanted)))
    }

    /// Shows how far the camera is.
    pub const fn state(&self) -> PullState {
        match self.phase {
            Phase::Idle => PullState::Idle,
            Phase::Waiting { .. } => PullState::Waiting,
            Phase::Connecting { .. } => PullState::Connecting,
            Phase::Playing { .. } => PullState::Playing,
        }
    }

    fn is_wanted(&self, now: Instant) -> bool {
        let lately = |at: Instant| now.saturating_duration_since(at) < KEEP_FOR;
        !self.settings.on_demand || self.wanted_at.is_some_and(lately)
    }

    fn connect(&mut self, now: Instant) -> Order {
        self.phase = Phase::Connecting { since: now };
        Order::Connect
    }

    /// Whoever wants the camera next finds it without a wait.
    fn rest(&mut self) {
        self.phase = Phase::Idle;
        self.backoff.reset();
    }

    fn leave_after(
        &mut self,
        since: Instant,
        most: Duration,
        why: LeaveReason,
        now: Instant,
        jitter: u8,
    ) -> Option<Order> {
        if now.saturating_duration_since(since) < most {
            return None;
        }
        self.ended(now, jitter);
        Some(Order::Leave(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE_MAX: Duration = Duration::from_secs(10);
    /// The longest wait that a backoff may draw.
    const LATEST: u8 = u8::MAX;

    fn pull(on_demand: bool) -> (Pull, Instant) {
        (Pull::new(PullSettings { on_demand, silence_max: SILENCE_MAX }), Instant::now())
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_camera_is_tried_less_and_less_often_until_it_worked() {
        let (mut pull, mut now) = pull(false);
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert_eq!(pull.poll(now, LATEST), Some(Order::Connect));
            pull.ended(now, LATEST);
            assert_eq!((pull.poll(now, LATEST), pull.state()), (None, PullState::Waiting));
            let next = pull.next_timeout().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        // It answers, and goes at once: that is no success.
        assert_eq!(pull.poll(now, LATEST), Some(Order::Connect));
        pull.connected(now);
        pull.ended(now, LATEST);
        assert_eq!(pull.next_timeout(), Some(now + s(30)));
        now += s(30);
        assert_eq!(pull.poll(now, LATEST), Some(Order::Connect));
        pull.connected(now);
        pull.heard(now + s(10));
        pull.ended(now + s(11), LATEST);
        assert_eq!(pull.next_timeout(), Some(now + s(12)));
    }

    #[test]
    fn a_camera_that_does_not_answer_is_given_up() {
        let (mut pull, now) = pull(false);
        assert_eq!(pull.poll(now, LATEST), Some(Order::Connect));
        assert_eq!(pull.poll(now + s(19), LATEST), None);
        let due = pull.next_timeout().unwrap();
        assert_eq!(due, now + CONNECT_WITHIN);
        assert_eq!(pull.poll(due, LATEST), Some(Order::Leave(LeaveReason::NoAnswer)));
        assert_eq!(pull.poll(due, LATEST), None);
        assert_eq!(pull.poll(due + s(1), LATEST), Some(Order::Connect));
    }

    #[test]
    fn a_camera_that_falls_silent_is_connected_to_anew() {
        let (mut pull, mut now) = pull(false);
        pull.poll(now, LATEST);
        pull.connected(now);
        for _ in 0..100 {
            now += s(9);
            assert_eq!(pull.poll(now, LATEST), None);
            pull.heard(now);
        }
        assert_eq!(pull.next_timeout(), Some(now + SILENCE_MAX));
        now += SILENCE_MAX;
        assert_eq!(pull.poll(now, LATEST), Some(Order::Leave(LeaveReason::Silent)));
        assert_eq!(pull.next_timeout(), Some(now + s(1)));
    }

    #[test]
    fn a_camera_on_demand_is_connected_to_for_the_first_and_left_after_the_last_viewer() {
        let (mut pull, mut now) = pull(true);
        assert_eq!((pull.poll(now, LATEST), pull.next_timeout()), (None, None));
        pull.wanted(now);
        assert_eq!(pull.poll(now, LATEST), Some(Order::Connect));
        pull.connected(now);
        for _ in 0..100 {
            now += s(1);
            pull.heard(now);
            pull.wanted(now);
            assert_eq!(pull.poll(now, LATEST), None);
        }
        for _ in 1..30 {
            now += s(1);
            pull.heard(now);
            assert_eq!(pull.poll(now, LATEST), None);
        }
        assert_eq!(pull.next_timeout(), Some(now + s(1)));
        now += s(1);
        assert_eq!(pull.poll(now, LATEST), Some(Order::Leave(LeaveReason::NobodyWatches)));
        assert_eq!((pull.poll(now, LATEST), pull.state(), pull.next_timeout()), (None, PullState::Idle, None));
        pull.wanted(now);
        assert_eq!(pull.poll(now, LATEST), Some(Order::Connect));
    }

    #[test]
    fn a_camera_that_is_away_is_not_tried_when_nobody_wants_it_any_more() {
        let (mut pull, now) = pull(true);
        pull.wanted(now);
        pull.poll(now, LATEST);
        pull.ended(now + s(29), LATEST);
        assert_eq!(pull.next_timeout(), Some(now + KEEP_FOR));
        assert_eq!((pull.poll(now + s(30), LATEST), pull.state()), (None, PullState::Idle));
        // What failed for the last one is tried at once for the next.
        pull.wanted(now + s(31));
        assert_eq!(pull.poll(now + s(31), LATEST), Some(Order::Connect));
    }

    #[test]
    fn an_attempt_is_called_off_with_its_last_viewer() {
        let (mut pull, now) = pull(true);
        pull.wanted(now);
        assert_eq!(pull.poll(now, LATEST), Some(Order::Connect));
        pull.wanted(now - s(5));
        assert_eq!(pull.poll(now + s(15), LATEST), None);
        assert_eq!(pull.poll(now + s(20), LATEST), Some(Order::Leave(LeaveReason::NoAnswer)));
    }
}
