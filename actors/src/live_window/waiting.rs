//! Who waits for what comes next: so many for a broadcast and so many from one client, and no trace of who has left.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LiveWindow;

/// The most requests that wait for one broadcast: each is a socket or a stream of one, and some kilobytes. A player has
/// up to four: a playlist and a part of each rendition.
const MAX_OF_WINDOW: usize = 65_536;

/// The most requests that wait for one client. A proxy in front of the server is one client, with all its players.
const MAX_OF_CLIENT: usize = 16_384;

/// Counts the requests of each client that wait, in all rooms; who has none has no entry.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// The right to wait; given back on drop.
#[derive(Debug)]
pub struct Waiter {
    clients: Arc<Clients>,
    client: IpAddr,
    window: Arc<LiveWindow>,
}

impl Waiter {
    pub(super) fn admit(window: Arc<LiveWindow>, clients: &Arc<Clients>, client: IpAddr) -> Option<Self> {
        let client = network(client);
        if !clients.enter(client) {
            return None;
        }
        // From here on drop gives back what was taken.
        let others = window.waiting.fetch_add(1, Relaxed);
        let waiter = Self { clients: Arc::clone(clients), client, window };
        (others < MAX_OF_WINDOW).then_some(waiter)
    }

    /// Returns the window that is waited for.
    pub fn window(&self) -> &LiveWindow {
        &self.window
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.window.waiting.fetch_sub(1, Relaxed);
        self.clients.leave(self.client);
    }
}

impl Clients {
    fn enter(&self, client: IpAddr) -> bool {
        let mut counts = self.lock();
        let count = counts.entry(client).or_default();
        let is_admitted = *count < MAX_OF_CLIENT;
        *count += usize::from(is_admitted);
        is_admitted
    }

    fn leave(&self, client: IpAddr) {
        if let Entry::Occupied(mut entry) = self.lock().entry(client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what stands for a client: of IPv6 the network, for a host has as many addresses there as it likes.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use onair_media::RecordingId;
    use onair_recorder::WindowSettings;

    use super::*;

    fn window() -> Arc<LiveWindow> {
        let (window, part_target) = (Duration::from_secs(60), Duration::from_millis(500));
        let settings = WindowSettings { window, target_duration_s: 6, part_target };
        Arc::new(LiveWindow::new(RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(), settings))
    }

    fn admit(window: &Arc<LiveWindow>, clients: &Arc<Clients>, client: u32) -> Option<Waiter> {
        Waiter::admit(Arc::clone(window), clients, IpAddr::from(client.to_be_bytes()))
    }

    #[test]
    fn one_client_cannot_take_every_place() {
        let (window, clients) = (window(), Arc::default());
        let mut waiters: Vec<_> = (0..MAX_OF_CLIENT).map(|_| admit(&window, &clients, 1).unwrap()).collect();
        assert!(admit(&window, &clients, 1).is_none());
        assert!(admit(&window, &clients, 2).is_some());
        waiters.pop();
        assert!(admit(&window, &clients, 1).is_some());
        assert_eq!(window.waiting(), MAX_OF_CLIENT - 1);
        drop(waiters);
        assert!(window.waiting() == 0 && clients.lock().is_empty());
    }

    #[test]
    fn a_broadcast_has_so_many_places() {
        let (window, clients) = (window(), Arc::default());
        let waiters: Vec<_> =
            (0..MAX_OF_WINDOW as u32).map(|client| admit(&window, &clients, client).unwrap()).collect();
        assert!(admit(&window, &clients, u32::MAX).is_none());
        assert_eq!(window.waiting(), MAX_OF_WINDOW);
        drop(waiters);
        assert!(window.waiting() == 0 && clients.lock().is_empty());
    }

    #[test]
    fn the_addresses_of_an_ipv6_network_are_one_client() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
    }
}
