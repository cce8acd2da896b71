//! What a viewer says of each packet's arrival, and what that says of its link.
//!
//! Packets are numbered across tracks (draft-holmer-rmcat-transport-wide-cc-extensions), and the viewer reports when each
//! came. A link that is full makes packets wait, before it loses any: how much longer they take than the fastest of the
//! last seconds is the length of its queue. The least of a moment is what counts, for jitter only adds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most packets whose sending is remembered, and for how long: a report comes sooner or says nothing of the present.
const SENT_MAX: usize = 2048;
const SENT_FOR: Duration = Duration::from_secs(2);

/// For how long arrivals are looked at.
const WINDOW: Duration = Duration::from_millis(1000);

/// The latest part of it, in which what goes through is counted.
const CARRIED_IN: Duration = Duration::from_millis(500);

/// The latest part of it, in which not one packet may have been fast; longer where there are few.
const MOMENT: Duration = Duration::from_millis(200);

/// For how long the fastest packet is remembered, at least: clocks drift, and paths change.
const FASTEST_FOR: Duration = Duration::from_secs(10);

/// The least that queues and losses are judged by.
const QUEUED_MIN: usize = 5;
const LOST_OF_MIN: usize = 16;

/// Of so many packets in a hundred that are lost the link is full.
const LOSS_MAX_PERCENT: usize = 10;

/// What a link is like at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkReport {
    /// How long packets wait in it, beyond what the fastest one took.
    pub queue: Duration,
    /// Whether it loses so much that it must be full.
    pub is_lossy: bool,
    /// Bits per second of video that went through lately, repairs and probes among them.
    pub carried_bps: u64,
}

/// Follows the link of one viewer.
#[derive(Debug)]
pub(super) struct Link {
    began: Instant,
    /// What was sent, by consecutive numbers.
    sent: VecDeque<Sent>,
    first: u64,
    /// What was reported within the window, in order of sending.
    arrivals: VecDeque<Arrival>,
    /// The least time that a packet took in the present span of [`FASTEST_FOR`] and in the one before it, in microseconds.
    fastest: [Option<i64>; 2],
    span_began: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    bytes: u32,
    is_reported: bool,
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    sent_at: Instant,
    bytes: u32,
    /// How long it took, by two clocks; `None`: it was lost.
    took_us: Option<i64>,
}

/// A packet's number across tracks, and when it came, since a moment that all of a viewer's reports share; `None`: it did
/// not.
pub type Reported = (u16, Option<Duration>);

impl Link {
    pub(super) fn new(now: Instant) -> Self {
        let (sent, arrivals) = (VecDeque::new(), VecDeque::new());
        Self { began: now, sent, first: 0, arrivals, fastest: [None; 2], span_began: now }
    }

    /// Notes a packet that is being sent, and returns its number.
    pub(super) fn send(&mut self, at: Instant, bytes: usize) -> u16 {
        let is_old = |sent: &Sent| at.saturating_duration_since(sent.at) > SENT_FOR;
        while self.sent.len() == SENT_MAX || self.sent.front().is_some_and(is_old) {
            self.sent.pop_front();
            self.first += 1;
        }
        let number = self.first + self.sent.len() as u64;
        self.sent.push_back(Sent { at, bytes: bytes as u32, is_reported: false });
        number as u16
    }

    /// Notes that packets take another way from now on: how long others took says nothing of it.
    pub(super) fn change_path(&mut self) {
        self.fastest = [None; 2];
        self.arrivals.clear();
    }

    /// Takes a report, and judges the link.
    pub(super) fn report(&mut self, reported: &[Reported], now: Instant) -> LinkReport {
        for (number, arrived) in reported {
            self.note(*number, *arrived);
        }
        if now.saturating_duration_since(self.span_began) >= FASTEST_FOR {
            self.fastest = [None, self.fastest[0]];
            self.span_began = now;
        }
        let newest = self.arrivals.iter().map(|arrival| arrival.sent_at).max();
        let Some(newest) = newest else { return LinkReport::default() };
        let age = |arrival: &Arrival| newest.saturating_duration_since(arrival.sent_at);
        self.arrivals.retain(|arrival| age(arrival) < WINDOW);
        self.judge(newest)
    }

    fn note(&mut self, number: u16, arrived: Option<Duration>) {
        // Numbers wrap: the one that was meant is the newest with these bits.
        let end = self.first + self.sent.len() as u64;
        let Some(back) = end.checked_sub(1).map(|newest| (newest as u16).wrapping_sub(number)) else { return };
        let Some(at) = end.checked_sub(1 + u64::from(back)).and_then(|number| number.checked_sub(self.first)) else {
            return;
        };
        let Some(sent) = self.sent.get_mut(at as usize).filter(|sent| !sent.is_reported) else { return };
        // What has not come may be reported as come later.
        sent.is_reported = arrived.is_some();
        let left = sent.at.saturating_duration_since(self.began).as_micros() as i64;
        let took_us = arrived.map(|arrived| arrived.as_micros() as i64 - left);
        let (sent_at, bytes) = (sent.at, sent.bytes);
        if let Some(took) = took_us {
            self.fastest[0] = Some(self.fastest[0].map_or(took, |fastest| fastest.min(took)));
        }
        self.arrivals.push_back(Arrival { sent_at, bytes, took_us });
        if self.arrivals.len() > SENT_MAX {
            self.arrivals.pop_front();
        }
    }

    fn judge(&self, newest: Instant) -> LinkReport {
        let is_recent = |arrival: &Arrival| newest.saturating_duration_since(arrival.sent_at) < CARRIED_IN;
        let recent = self.came().filter(|(arrival, _)| is_recent(arrival));
        let carried_bps =
            recent.map(|(arrival, _)| u64::from(arrival.bytes)).sum::<u64>() * 8_000 / CARRIED_IN.as_millis() as u64;
        let count = self.arrivals.len();
        let lost = count - self.came().count();
        let is_lossy = count >= LOST_OF_MIN && lost * 100 > count * LOSS_MAX_PERCENT;
        LinkReport { queue: self.queue(newest), is_lossy, carried_bps }
    }

    /// Returns how long packets wait at present, beyond what the fastest one took.
    fn queue(&self, newest: Instant) -> Duration {
        let Some(fastest) = self.fastest.iter().flatten().min() else { return Duration::ZERO };
        let is_of_the_moment = |it: &Arrival| newest.saturating_duration_since(it.sent_at) < MOMENT;
        let (mut least, mut count) = (i64::MAX, 0);
        for (arrival, took) in self.came().rev() {
            if count >= QUEUED_MIN && !is_of_the_moment(arrival) {
                break;
            }
            (least, count) = (least.min(took), count + 1);
        }
        if count < QUEUED_MIN {
            return Duration::ZERO;
        }
        Duration::from_micros(least.saturating_sub(*fastest).max(0).unsigned_abs())
    }

    fn came(&self) -> impl DoubleEndedIterator<Item = (&Arrival, i64)> {
        self.arrivals.iter().filter_map(|arrival| Some((arrival, arrival.took_us?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends at a rate through a link with a queue, for two seconds; the viewer's clock is another one.
    fn through(link_bps: u64, send_bps: u64, jitter_ms: u64) -> Vec<LinkReport> {
        let start = Instant::now();
        let (mut link, mut reports, mut pending) = (Link::new(start), Vec::new(), Vec::new());
        let bytes = 1000_u64;
        let apart = Duration::from_micros(bytes * 8_000_000 / send_bps);
        let takes = Duration::from_micros(bytes * 8_000_000 / link_bps);
        let mut free_at = Duration::ZERO;
        for number in 0..(2_000_000 / apart.as_micros() as u32) {
            let left = apart * number;
            free_at = free_at.max(left) + takes;
            let jitter = Duration::from_millis(u64::from(number) * 7 % (jitter_ms + 1));
            let seq = link.send(start + left, bytes as usize);
            pending.push((seq, Some(free_at + jitter + Duration::from_secs(77))));
            if number % 10 == 9 {
                reports.push(link.report(&std::mem::take(&mut pending), start + left));
            }
        }
        reports
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_link_with_room_is_never_full_and_tells_what_it_carries() {
        let reports = through(2_000_000, 1_000_000, 40);
        assert!(reports.iter().all(|report| report.queue < ms(20) && !report.is_lossy), "{reports:?}");
        let last = reports.last().unwrap().carried_bps;
        assert!((900_000..1_100_000).contains(&last), "{last}");
    }

    #[test]
    fn a_full_link_is_seen_before_its_queue_is_long() {
        let reports = through(1_000_000, 1_500_000, 10);
        let first = reports.iter().position(|report| report.queue > ms(60)).unwrap();
        // Ten packets of 5.3 ms a report, and each adds 2.7 ms to the queue.
        assert!(first < 8, "{first}");
        assert!(reports.last().unwrap().queue > ms(400));
    }

    #[test]
    fn a_few_packets_a_second_tell_of_a_queue_too() {
        // Fifteen pictures a second of one packet each, 8,000 bits: 120 kbit/s through 100.
        let reports = through(100_000, 120_000, 0);
        assert!(reports.last().unwrap().queue > ms(60), "{reports:?}");
    }

    #[test]
    fn another_path_may_take_longer() {
        let (start, mut link) = (Instant::now(), Link::new(Instant::now()));
        let report = |link: &mut Link, takes: u64, from: u64| {
            let sent: Vec<_> = (from..from + 20)
                .map(|number| (link.send(start + ms(10 * number), 1000), Some(ms(10 * number + takes))))
                .collect();
            link.report(&sent, start).queue
        };
        assert_eq!(report(&mut link, 20, 0), ms(0));
        link.change_path();
        assert_eq!(report(&mut link, 120, 20), ms(0));
    }

    #[test]
    fn loss_alone_says_that_a_link_is_full() {
        let (start, mut link) = (Instant::now(), Link::new(Instant::now()));
        let mut report = |lost_of_ten: u64| {
            let arrived = |number: u64| (number % 10 >= lost_of_ten).then(|| Duration::from_millis(number));
            let sent: Vec<_> = (0..100).map(|number| (link.send(start, 1000), arrived(number))).collect();
            link.report(&sent, start).is_lossy
        };
        assert!(!report(0));
        assert!(!report(1));
        assert!(report(3));
    }

    #[test]
    fn numbers_wrap() {
        let (start, mut link) = (Instant::now(), Link::new(Instant::now()));
        for number in 0..70_000_u64 {
            let at = start + Duration::from_millis(number);
            assert_eq!(link.send(at, 1000), number as u16);
            link.report(&[(number as u16, Some(Duration::from_millis(number + 5)))], at);
        }
        assert_eq!(link.sent.len(), 2001, "two seconds of them");
        assert_eq!(link.queue(start + Duration::from_millis(69_999)), Duration::ZERO);
    }

    #[test]
    fn nothing_that_is_reported_does_harm() {
        let start = Instant::now();
        for sent in [0, 1, 7, 5000] {
            let mut link = Link::new(start);
            for _ in 0..sent {
                link.send(start, 1200);
            }
            // Any number, again and again, at any time or none.
            let reported = (0..100_000_u32).map(|at| at.wrapping_mul(2_654_435_761)).map(|noise| {
                let arrived = (noise % 3 > 0).then(|| Duration::from_millis(noise.into()));
                ((noise >> 16) as u16, arrived)
            });
            link.report(&reported.collect::<Vec<_>>(), start);
            assert!(link.arrivals.len() <= SENT_MAX && link.sent.len() <= SENT_MAX);
        }
    }
}
