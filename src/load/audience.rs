//! All viewers of the process: who sits where, what arrives for whom, and what became of everybody.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, spawn_local};
use url::Url;

use super::address::Range;
use super::loss::Loss;
use super::media::Arrival;
use super::port::{Port, Run};
use super::stamp::wallclock_us;
use super::totals::{Moment, Tally, Totals};
use super::viewer::{Seat, Viewer, canonical, is_media};

/// How many viewers share a socket: its buffer in the kernel must take a keyframe of each.
const VIEWERS_PER_PORT: usize = 128;

/// How often time passes for viewers. A packet that is missing is asked for this late at worst.
const TICK: Duration = Duration::from_millis(10);

/// How often it passes for those who are about to connect, so that handshakes take no longer than they must.
const CONNECTING_TICK: Duration = Duration::from_millis(1);

/// Reads of one socket before the others get their turn.
const READS_PER_TURN: usize = 16;

/// Marks a local address that nobody has.
const NOBODY: u32 = u32::MAX;

/// Where viewers get their addresses from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hosts {
    /// Each has an address of its own; sockets are shared.
    Range(Range),
    /// All have this one; each has a socket of its own.
    Single(IpAddr),
}

/// Everybody, on one thread.
pub(crate) type Shared = Rc<RefCell<Audience>>;

/// All viewers.
pub(crate) struct Audience {
    hosts: Hosts,
    ports: Vec<Rc<Port>>,
    viewers: Vec<Option<Box<Viewer>>>,
    /// Who reads the sockets of viewers that have their own.
    readers: Vec<Option<AbortHandle>>,
    free: Vec<usize>,
    /// The slots of those who are about to connect.
    connecting: Vec<usize>,
    /// The slot of each address of the range.
    by_address: Vec<u32>,
    next_address: u32,
    loss: Loss,
    sample: usize,
    /// What became of everybody.
    pub(crate) totals: Totals,
    scratch: Vec<u8>,
    numbers: Vec<u16>,
}

impl Audience {
    /// Opens the sockets for `viewers`, and begins to serve them.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn open(hosts: Hosts, viewers: usize, loss_percent: f64, sample: usize) -> io::Result<Shared> {
        let (ports, addresses) = match hosts {
            Hosts::Range(range) => (viewers.div_ceil(VIEWERS_PER_PORT).max(1), range.count() as usize),
            Hosts::Single(_) => (0, 0),
        };
        let ports = (0..ports).map(|_| Port::shared().map(Rc::new)).collect::<io::Result<Vec<_>>>()?;
        let audience = Rc::new(RefCell::new(Self {
            hosts,
            ports: ports.clone(),
            viewers: Vec::new(),
            readers: Vec::new(),
            free: Vec::new(),
            connecting: Vec::new(),
            by_address: vec![NOBODY; addresses],
            next_address: 0,
            loss: Loss::percent(loss_percent),
            sample,
            totals: Totals::default(),
            scratch: Vec::with_capacity(2048),
            numbers: Vec::new(),
        }));
        for port in ports {
            spawn_local(read(Rc::clone(&audience), port, None));
        }
        spawn_local(tick(Rc::clone(&audience)));
        Ok(audience)
    }

    /// Finds a place for a viewer.
    ///
    /// # Errors
    /// Those of the operating system where each viewer has a socket.
    pub(crate) fn seat(shared: &Shared) -> io::Result<Seat> {
        let mut audience = shared.borrow_mut();
        let slot = audience.free.pop().unwrap_or(audience.viewers.len());
        if slot == audience.viewers.len() {
            audience.viewers.push(None);
            audience.readers.push(None);
        }
        match audience.hosts {
            Hosts::Range(range) => {
                let address = audience.next_free(range);
                audience.by_address[address as usize] = slot as u32;
                let port = Rc::clone(&audience.ports[slot % audience.ports.len()]);
                let local = SocketAddr::new(range.nth(address).into(), port.local().port());
                Ok(Seat { slot, port, local })
            }
            Hosts::Single(address) => {
                let port = Rc::new(Port::single(address)?);
                let reader = spawn_local(read(Rc::clone(shared), Rc::clone(&port), Some(slot)));
                audience.readers[slot] = Some(reader.abort_handle());
                Ok(Seat { slot, local: port.local(), port })
            }
        }
    }

    /// Goes round the addresses, so that one that became free rests for a while. There are more than viewers.
    fn next_free(&mut self, range: Range) -> u32 {
        loop {
            // Neither the first nor the last is taken while there are others: in a subnet they are not a host's.
            self.next_address = self.next_address % range.count().saturating_sub(2).max(1) + 1;
            let address = self.next_address % range.count();
            if self.by_address[address as usize] == NOBODY {
                return address;
            }
        }
    }

    /// Tells whether a slot's frames are looked at for their delay.
    pub(crate) fn samples(&self, slot: usize) -> bool {
        slot.is_multiple_of(self.sample)
    }

    /// Lets a viewer take its place.
    pub(crate) fn sit(&mut self, viewer: Viewer) {
        let slot = viewer.seat().slot;
        self.viewers[slot] = Some(Box::new(viewer));
        self.connecting.push(slot);
    }

    /// Notes that a viewer did not get in; its place is free.
    pub(crate) fn turned_away(&mut self, seat: &Seat, why: &str) {
        self.totals.lost(why, false);
        self.vacate(seat);
    }

    /// Lets a viewer go. Returns the session to end.
    pub(crate) fn leave(&mut self, slot: usize) -> Option<Url> {
        let mut viewer = self.viewers.get_mut(slot)?.take()?;
        self.totals.left += 1;
        self.totals.departed.add(&viewer, Instant::now());
        self.vacate(&viewer.seat().clone());
        viewer.session.take()
    }

    fn vacate(&mut self, seat: &Seat) {
        if let (Hosts::Range(range), IpAddr::V4(address)) = (self.hosts, seat.local.ip())
            && let Some(index) = range.index_of(address)
        {
            self.by_address[index] = NOBODY;
        }
        if let Some(reader) = self.readers[seat.slot].take() {
            reader.abort();
        }
        self.free.push(seat.slot);
    }

    /// Returns the port numbers in use.
    pub(crate) fn port_numbers(&self) -> HashSet<u16> {
        let singles = self.viewers.iter().flatten().map(|viewer| viewer.seat().port.local().port());
        self.ports.iter().map(|port| port.local().port()).chain(singles).collect()
    }

    /// Begins to count anew, for everybody. Joins are counted from the very beginning.
    pub(crate) fn restart(&mut self) {
        let now = Instant::now();
        self.viewers.iter_mut().flatten().for_each(|viewer| viewer.restart(now));
        self.totals.departed = Tally::default();
        self.totals.left = 0;
        self.totals.delay_us.clear();
        self.totals.lag_us.clear();
        self.totals.rtt_us.clear();
    }

    /// Returns what has been counted.
    pub(crate) fn look(&self, now: Instant) -> Moment {
        let mut moment = Moment { tally: self.totals.departed.clone(), ..Moment::default() };
        for viewer in self.viewers.iter().flatten() {
            moment.tally.add(viewer, now);
            if viewer.is_connected() && viewer.failed().is_none() {
                moment.present += 1;
                moment.without_keyframe += u64::from(!viewer.media.has_keyframe());
                moment.rates.push(viewer.packets_per_s(now));
            }
        }
        moment
    }

    fn receive(&mut self, run: &Run<'_>, single: Option<usize>, now: Instant, read_us: u64) {
        let slot = single.or_else(|| self.slot_of(run.to));
        let Some(viewer) = slot.and_then(|slot| self.viewers.get_mut(slot)?.as_mut()) else { return };
        let source = SocketAddr::new(canonical(run.source.ip()), run.source.port());
        let at_us = run.at_us.unwrap_or(read_us);
        self.totals.lag_us.add(read_us.saturating_sub(at_us));
        let arrival = Arrival { now, at_us };
        for datagram in run.datagrams() {
            if is_media(datagram) {
                if !self.loss.takes(datagram)
                    && let Some(seen) = viewer.receive_media(datagram, arrival, &mut self.scratch)
                {
                    self.totals.saw(seen, viewer.since_post(now));
                }
            } else if let Some(turn) = viewer.receive_other(source, datagram, now) {
                self.totals.turned(turn);
            }
        }
    }

    fn slot_of(&self, to: IpAddr) -> Option<usize> {
        let (Hosts::Range(range), IpAddr::V4(address)) = (self.hosts, canonical(to)) else { return None };
        let slot = *self.by_address.get(range.index_of(address)?)?;
        (slot != NOBODY).then_some(slot as usize)
    }

    /// Lets time pass for everybody.
    fn tick(&mut self, now: Instant) {
        for slot in 0..self.viewers.len() {
            self.tick_one(slot, now);
        }
    }

    /// Lets time pass for those who are about to connect. Returns whether there are any.
    fn tick_connecting(&mut self, now: Instant) -> bool {
        let mut connecting = std::mem::take(&mut self.connecting);
        connecting.retain(|slot| {
            self.tick_one(*slot, now);
            let viewer = self.viewers[*slot].as_ref();
            viewer.is_some_and(|viewer| !viewer.is_connected() && viewer.failed().is_none())
        });
        self.connecting = connecting;
        !self.connecting.is_empty()
    }

    fn tick_one(&mut self, slot: usize, now: Instant) {
        let Some(viewer) = &mut self.viewers[slot] else { return };
        if let Some(turn) = viewer.tick(now, &mut self.scratch, &mut self.numbers) {
            self.totals.turned(turn);
        }
        let was_connected = viewer.is_connected();
        if let Some(why) = viewer.news_of_failure() {
            self.totals.lost(why, was_connected);
        }
    }
}

async fn read(audience: Shared, port: Rc<Port>, single: Option<usize>) {
    loop {
        port.readable().await;
        for _ in 0..READS_PER_TURN {
            let mut audience = audience.borrow_mut();
            let mut at = None;
            let took = port.receive(|run| {
                let (now, read_us) = *at.get_or_insert_with(|| (Instant::now(), wallclock_us()));
                audience.receive(&run, single, now, read_us);
            });
            if !took {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn tick(audience: Shared) {
    let mut all_at = Instant::now();
    loop {
        let now = Instant::now();
        if now >= all_at {
            audience.borrow_mut().tick(now);
            all_at = now + TICK;
        }
        let anybody_connects = audience.borrow_mut().tick_connecting(now);
        tokio::time::sleep(if anybody_connects { CONNECTING_TICK } else { TICK }).await;
    }
}
