//! The viewers of one room on one worker, served one after the other.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Instant;

use onair_media::{EncodingSet, PacketBatch};
use serde::Serialize;

use super::EgressOrder;
use super::buffer::SendBuffer;
use super::logs::Logs;
use super::track::Turn;
use super::viewer::Egress;
use crate::core::wall_clock::WallClock;

/// Holds a room's packets and its viewers, each under a key `K`.
///
/// Media goes in by [`push`](Self::push); then [`next`](Self::next) is called until it returns `None`. It need not be at
/// once, and more media may come in between: whoever has had no turn yet gets all of it in one.
#[derive(Debug)]
pub struct EgressGroup<K> {
    clock: WallClock,
    logs: Logs,
    viewers: Vec<(K, Egress)>,
    places: HashMap<K, usize>,
    /// Whose turn it is.
    turn: usize,
    /// The encodings of which viewers miss a keyframe.
    wants_keyframe: EncodingSet,
    /// Sums of those who have left.
    left: Sums,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    sent: u64,
    resent: u64,
    dropped: u64,
}

impl Sums {
    fn add(&mut self, (sent, resent, dropped): (u64, u64, u64)) {
        self.sent += sent;
        self.resent += resent;
        self.dropped += dropped;
    }
}

/// Shows a group to people.
#[derive(Debug, Serialize)]
pub struct EgressCounts {
    /// Viewers who are attached.
    pub viewers: usize,
    /// Media packets sent.
    pub sent_packets: u64,
    /// Media packets sent again.
    pub resent_packets: u64,
    /// Media packets that viewers missed because the worker was too slow for them.
    pub dropped_packets: u64,
    /// Packets kept for retransmission and for viewers who come.
    pub kept_packets: usize,
    /// Their payload.
    pub kept_bytes: usize,
}

impl<K: Copy + Eq + Hash> EgressGroup<K> {
    /// Creates a group without viewers.
    pub fn new(clock: WallClock) -> Self {
        Self {
            clock,
            logs: Logs::default(),
            viewers: Vec::new(),
            places: HashMap::new(),
            turn: 0,
            wants_keyframe: EncodingSet::default(),
            left: Sums::default(),
        }
    }

    /// Takes a batch in. `after_gap` says that packets before it were withheld.
    pub fn push(&mut self, batch: &PacketBatch, after_gap: bool) {
        self.logs.push(batch, after_gap);
    }

    /// Does what a viewer's session asks for. Returns where `out` is to be sent, when that makes datagrams.
    pub fn obey(&mut self, key: K, order: EgressOrder, now: Instant, out: &mut SendBuffer) -> Option<SocketAddr> {
        match order {
            EgressOrder::Attach(egress) => self.attach(key, *egress, now),
            EgressOrder::Detach => self.detach(key),
            EgressOrder::Resend(seq_nos) => return self.resend(key, &seq_nos, now, out),
            EgressOrder::KeyframeWanted => {
                let mut encodings = EncodingSet::default();
                self.with(key, |egress| encodings = egress.encodings());
                self.wants_keyframe.extend(encodings);
            }
            EgressOrder::Arrivals(arrivals) => self.with(key, |egress| egress.arrivals(&arrivals, now)),
            EgressOrder::Lossy => self.with(key, Egress::lossy),
            EgressOrder::Known(kind) => self.with(key, |egress| egress.known(kind)),
            EgressOrder::Redirect(destination) => self.with(key, |egress| egress.redirect(destination)),
            EgressOrder::Pause => self.pause(key, true, now),
            EgressOrder::Resume => self.pause(key, false, now),
        }
        None
    }

    /// Takes a viewer in; one with the same key is replaced.
    fn attach(&mut self, key: K, mut egress: Egress, now: Instant) {
        self.detach(key);
        self.wants_keyframe.extend(egress.join(&self.logs, now));
        self.places.insert(key, self.viewers.len());
        self.viewers.push((key, egress));
    }

    fn detach(&mut self, key: K) {
        let Some(place) = self.places.remove(&key) else { return };
        let (_, gone) = self.viewers.swap_remove(place);
        self.left.add(gone.counts());
        if let Some((moved, _)) = self.viewers.get(place) {
            self.places.insert(*moved, place);
        }
    }

    /// Writes the datagrams of the viewer whose turn it is into `out`, and returns where they go.
    ///
    /// `None`: nobody has anything to get now. Who catches up has more to get a little later; more media will tell when.
    pub fn next(&mut self, now: Instant, out: &mut SendBuffer) -> Option<SocketAddr> {
        out.clear();
        let turn = Turn { logs: &self.logs, now, clock: self.clock };
        for _ in 0..self.viewers.len() {
            self.turn = if self.turn + 1 < self.viewers.len() { self.turn + 1 } else { 0 };
            let (_, egress) = &mut self.viewers[self.turn];
            // A turn may go by without a packet for this viewer: then it has another.
            while egress.has_news(&self.logs) {
                let before = egress.progress();
                self.wants_keyframe.extend(egress.fill(&turn, out));
                if !out.is_empty() {
                    return Some(egress.destination());
                }
                if egress.progress() == before {
                    break;
                }
            }
        }
        None
    }

    /// Writes what a viewer asks for again into `out`, and returns where it goes, if it is there.
    fn resend(&mut self, key: K, seq_nos: &[u16], now: Instant, out: &mut SendBuffer) -> Option<SocketAddr> {
        out.clear();
        let turn = Turn { logs: &self.logs, now, clock: self.clock };
        let (_, egress) = self.viewers.get_mut(*self.places.get(&key)?)?;
        egress.resend(seq_nos, &turn, out);
        (!out.is_empty()).then(|| egress.destination())
    }

    /// Tells, once, of which encodings viewers want a keyframe.
    pub fn take_keyframe_wish(&mut self) -> EncodingSet {
        std::mem::take(&mut self.wants_keyframe)
    }

    /// Shows the group.
    pub fn counts(&self) -> EgressCounts {
        let mut sums = self.left;
        self.viewers.iter().for_each(|(_, egress)| sums.add(egress.counts()));
        let (kept_packets, kept_bytes) = self.logs.kept();
        EgressCounts {
            viewers: self.viewers.len(),
            sent_packets: sums.sent,
            resent_packets: sums.resent,
            dropped_packets: sums.dropped,
            kept_packets,
            kept_bytes,
        }
    }

    fn pause(&mut self, key: K, is_paused: bool, now: Instant) {
        let mut wants_keyframe = EncodingSet::default();
        self.with(key, |egress| wants_keyframe = egress.pause(is_paused, now));
        self.wants_keyframe.extend(wants_keyframe);
    }

    fn with(&mut self, key: K, act: impl FnOnce(&mut Egress)) {
        if let Some((_, egress)) = self.places.get(&key).and_then(|place| self.viewers.get_mut(*place)) {
            act(egress);
        }
    }
}

#[cfg(test)]
mod tests;
