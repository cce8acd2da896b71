//! A client and the server's session for it, with a bad network between them, on virtual time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Instant, SystemTime};

use onair_actors::core::egress::EgressOrder;
use onair_actors::core::offer::{Offer, Role};
use onair_actors::core::session::{EndReason, Identity, Output, Session};
use onair_actors::core::wall_clock::WallClock;
use onair_media::RtpPacket;

use super::client::Client;
use super::netem::{Conditions, Netem};
use super::random::Random;

/// Where the server listens.
pub(crate) const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 8080);

/// The clock of the server; the time of day is of no matter here.
pub(crate) fn clock() -> WallClock {
    static CLOCK: LazyLock<WallClock> = LazyLock::new(|| WallClock::new(Instant::now(), SystemTime::now()));
    *CLOCK
}

/// Decides whether a datagram to the server passes: a firewall, beside the chances of the network.
pub(crate) type Filter = fn(&[u8]) -> bool;

/// Holds both ends of a session.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) session: Session,
    /// From the client to the server.
    pub(crate) up: Netem,
    /// From the server to the client.
    pub(crate) down: Netem,
    /// The answer that the client got.
    pub(crate) answer: String,
    pub(crate) said: Said,
    /// What passes on its way to the server; everything at first.
    pub(crate) passes: Filter,
    /// What the server got, when it is to be kept.
    pub(crate) captured: Option<Vec<Vec<u8>>>,
}

/// What the server's session said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Packets of a publisher, not yet taken by the stage.
    pub(crate) packets: Vec<RtpPacket>,
    pub(crate) connected: bool,
    /// What a viewer's session wants of its media plane, not yet taken by the stage.
    pub(crate) orders: Vec<EgressOrder>,
    pub(crate) confirmed: Vec<SocketAddr>,
    pub(crate) ended: Option<(Instant, EndReason)>,
}

impl Pair {
    /// Negotiates a session; nothing is sent yet. `host` is the last byte of the client's address.
    pub(crate) fn new(role: Role, host: u8, seed: u64, conditions: Conditions, now: Instant) -> Self {
        static IDENTITY: LazyLock<Arc<Identity>> =
            LazyLock::new(|| Arc::new(Identity::new(vec![SERVER], clock()).unwrap()));
        let mut random = Random::new(seed ^ u64::from(host) << 32);
        let mut client = Client::new(role, (Ipv4Addr::new(198, 51, 100, host), 50_000).into(), now);
        let (offer, pending) = client.offer(role);
        let offer = Offer::parse(&offer, role).unwrap();
        let starts = random.bytes(12).try_into().unwrap();
        let (session, answer) = Session::accept(Arc::clone(&IDENTITY), offer, starts, now).unwrap();
        client.answer(pending, &answer, now);
        Self {
            client,
            session,
            up: Netem::new(random.bits(), conditions),
            down: Netem::new(random.bits(), conditions),
            answer,
            said: Said::default(),
            passes: |_| true,
            captured: None,
        }
    }

    /// Changes the conditions of both directions.
    pub(crate) fn set_conditions(&mut self, conditions: Conditions) {
        self.up.set_conditions(conditions);
        self.down.set_conditions(conditions);
    }

    /// Tells whether both ends are through with ICE and DTLS.
    pub(crate) const fn is_connected(&self) -> bool {
        self.client.seen.connected && self.said.connected
    }

    /// Returns when there is something to do.
    pub(crate) fn next_at(&self) -> Instant {
        let timeouts = self.client.next_timeout().min(self.session.next_timeout());
        [self.up.next_at(), self.down.next_at()].into_iter().flatten().fold(timeouts, Instant::min)
    }

    /// Does what is due at `now`.
    pub(crate) fn step(&mut self, now: Instant) {
        while let Some(datagram) = self.up.receive(now) {
            self.session.receive(now, self.client.address(), &datagram);
            if let Some(captured) = &mut self.captured {
                captured.push(datagram);
            }
        }
        while let Some(datagram) = self.down.receive(now) {
            self.client.receive(now, &datagram);
        }
        if self.session.next_timeout() <= now && self.said.ended.is_none() {
            self.session.timeout(now);
        }
        if self.client.next_timeout() <= now {
            self.client.timeout(now);
        }
        self.settle(now);
    }

    /// Hands over what both ends want to send.
    pub(crate) fn settle(&mut self, now: Instant) {
        for datagram in self.client.outbox.drain(..) {
            if (self.passes)(&datagram) {
                self.up.send(now, &datagram);
            }
        }
        while let Some(output) = self.session.poll() {
            match output {
                Output::Transmit(destination, datagram) => {
                    assert_eq!(destination, self.client.address());
                    self.down.send(now, &datagram);
                }
                Output::Packet(packet) => self.said.packets.push(packet),
                Output::Egress(order) => self.said.orders.push(order),
                Output::Connected => self.said.connected = true,
                Output::AddressConfirmed(address) => self.said.confirmed.push(address),
                Output::Ended(reason) => self.said.ended = Some((now, reason)),
            }
        }
    }
}
