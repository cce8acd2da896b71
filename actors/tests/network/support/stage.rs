//! The whole broadcast on virtual time: publishers, the room between, viewers, and the packager.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use onair_actors::core::egress::{EgressGroup, SendBuffer};
use onair_actors::core::offer::Role;
use onair_actors::core::throttle::KeyframeThrottle;
use onair_media::{EncodingSet, PacketBatch, RtpPacket, SourceId};

use super::camera::Camera;
use super::netem::Conditions;
use super::packaging::Packaging;
use super::pair::{Pair, clock};

/// The least step of time, so that a peer that always has something to do cannot stop the clock.
const TICK: Duration = Duration::from_micros(250);

/// How long everything is left alone at most: the packager looks after its gaps so often.
const LONGEST_STEP: Duration = Duration::from_millis(50);

/// Holds one broadcast.
pub(crate) struct Stage {
    pub(crate) now: Instant,
    seed: u64,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) viewers: Vec<Viewer>,
    /// The media plane of the viewers, by their index.
    pub(crate) egress: EgressGroup<usize>,
    /// Whose packets the room takes: those of the publisher who came last.
    on_air: usize,
}

/// Holds a publisher's session and what came of it.
pub(crate) struct Publisher {
    source: SourceId,
    pub(crate) pair: Pair,
    /// Films from the moment that the session is connected, until it is taken away.
    pub(crate) camera: Option<Camera>,
    /// Every packet that came out of the session, in order.
    pub(crate) published: Vec<RtpPacket>,
    pub(crate) packaging: Packaging,
    throttle: KeyframeThrottle,
}

/// Holds a viewer's session and what can be shown of it.
pub(crate) struct Viewer {
    pub(crate) pair: Pair,
    /// What the viewer got, packaged as if it were a publisher's.
    pub(crate) packaging: Packaging,
    packaged: usize,
}

impl Stage {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::now(),
            seed,
            publishers: Vec::new(),
            viewers: Vec::new(),
            egress: EgressGroup::new(clock()),
            on_air: 0,
        }
    }

    /// Adds a publisher, connects it, lets it film and puts it on the air. Returns its index.
    pub(crate) fn publish(&mut self, conditions: Conditions) -> usize {
        let index = self.publishers.len();
        let pair = Pair::new(Role::Publisher, 10 + index as u8, self.seed, conditions, self.now);
        self.publishers.push(Publisher::new(SourceId(1 + index as u32), pair, self.now));
        self.run_until(|stage| stage.publishers[index].pair.is_connected());
        self.publishers[index].camera = Some(Camera::new(self.now));
        self.on_air = index;
        index
    }

    /// Adds a viewer and connects it. Returns its index.
    pub(crate) fn view(&mut self, conditions: Conditions) -> usize {
        let index = self.viewers.len();
        self.join(conditions);
        self.run_until(|stage| stage.viewers[index].pair.is_connected());
        index
    }

    /// Adds a viewer who has yet to connect.
    pub(crate) fn join(&mut self, conditions: Conditions) {
        let pair = Pair::new(Role::Viewer, 100 + self.viewers.len() as u8, self.seed, conditions, self.now);
        self.viewers.push(Viewer { pair, packaging: Packaging::new(self.now), packaged: 0 });
    }

    /// Lets that much time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step(end);
        }
    }

    /// Lets time pass until something is so; at most 30 s.
    pub(crate) fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let deadline = self.now + Duration::from_secs(30);
        while !is_so(self) {
            assert!(self.now < deadline, "this has not come about within 30 s");
            self.step(deadline);
        }
    }

    /// Changes the conditions of everybody.
    pub(crate) fn set_conditions(&mut self, conditions: Conditions) {
        let viewers = self.viewers.iter_mut().map(|viewer| &mut viewer.pair);
        let pairs = self.publishers.iter_mut().map(|publisher| &mut publisher.pair).chain(viewers);
        pairs.for_each(|pair| pair.set_conditions(conditions));
    }

    /// Films on for a moment over good lines, so that the last losses are noticed and repaired, then ends the media and the
    /// recordings.
    pub(crate) fn wind_down(&mut self) {
        self.set_conditions(Conditions::GOOD);
        self.run_for(Duration::from_secs(1));
        self.publishers.iter_mut().for_each(|publisher| publisher.camera = None);
        self.run_for(Duration::from_secs(1));
        self.publishers.iter_mut().for_each(|publisher| publisher.packaging.finish(self.now));
        self.viewers.iter_mut().for_each(|viewer| viewer.packaging.finish(self.now));
    }

    /// Goes on to the next moment at which anything happens, and does it.
    fn step(&mut self, end: Instant) {
        let pairs = self
            .publishers
            .iter()
            .map(Publisher::next_at)
            .chain(self.viewers.iter().map(|viewer| viewer.pair.next_at()));
        let next = pairs.fold(self.now + LONGEST_STEP, Instant::min);
        self.now = next.max(self.now + TICK).min(end);
        for (index, publisher) in self.publishers.iter_mut().enumerate() {
            let Some(batch) = publisher.step(self.now).filter(|_| index == self.on_air) else { continue };
            self.egress.push(&batch, false);
        }
        for viewer in &mut self.viewers {
            viewer.step(self.now);
        }
        self.serve_viewers();
        let viewers_want = self.egress.take_keyframe_wish();
        if let Some(publisher) = self.publishers.get_mut(self.on_air) {
            publisher.ask_for_keyframe(self.now, viewers_want);
        }
    }

    /// Does what the viewers' sessions want, and sends what there is for them: what the relay does.
    pub(crate) fn serve_viewers(&mut self) {
        let mut buffer = SendBuffer::default();
        for index in 0..self.viewers.len() {
            for order in std::mem::take(&mut self.viewers[index].pair.said.orders) {
                if let Some(to) = self.egress.obey(index, order, self.now, &mut buffer) {
                    self.transmit(to, &buffer);
                }
            }
        }
        while let Some(to) = self.egress.next(self.now, &mut buffer) {
            self.transmit(to, &buffer);
        }
    }

    fn transmit(&mut self, to: SocketAddr, buffer: &SendBuffer) {
        let viewer = self.viewers.iter_mut().find(|viewer| viewer.pair.client.address() == to);
        let down = &mut viewer.expect("media goes to a viewer").pair.down;
        buffer.datagrams().for_each(|datagram| down.send(self.now, datagram));
    }
}

impl Publisher {
    fn new(source: SourceId, pair: Pair, now: Instant) -> Self {
        let packaging = Packaging::new(now);
        Self { source, pair, camera: None, published: Vec::new(), packaging, throttle: KeyframeThrottle::default() }
    }

    fn next_at(&self) -> Instant {
        let camera = self.camera.as_ref().map(Camera::next_at);
        camera.into_iter().fold(self.pair.next_at(), Instant::min)
    }

    fn step(&mut self, now: Instant) -> Option<PacketBatch> {
        if let Some(camera) = &mut self.camera {
            camera.step(now, &mut self.pair.client);
        }
        self.pair.step(now);
        let packets = std::mem::take(&mut self.pair.said.packets);
        packets.iter().for_each(|packet| self.packaging.push(packet));
        self.packaging.step(now);
        self.published.extend_from_slice(&packets);
        (!packets.is_empty()).then_some(PacketBatch { source: self.source, packets })
    }

    fn ask_for_keyframe(&mut self, now: Instant, viewers_want: EncodingSet) {
        let only = EncodingSet::first(1);
        if std::mem::take(&mut self.packaging.wants_keyframe) || !viewers_want.is_empty() {
            self.throttle.request(only);
        }
        let due = self.throttle.poll(now);
        if !due.is_empty() {
            self.pair.session.request_keyframe(due, now);
            self.pair.settle(now);
        }
    }
}

impl Viewer {
    /// Packages what came, and asks for a keyframe as a decoder does.
    fn step(&mut self, now: Instant) {
        self.pair.step(now);
        let packets = &self.pair.client.seen.packets;
        packets[self.packaged..].iter().for_each(|packet| self.packaging.push(packet));
        self.packaged = packets.len();
        self.packaging.step(now);
        if std::mem::take(&mut self.packaging.wants_keyframe) {
            self.pair.client.request_keyframe(now);
            self.pair.settle(now);
        }
    }
}
