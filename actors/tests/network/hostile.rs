//! Whatever comes from the network is input: garbage, cut, changed and repeated datagrams do not end or break a session.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::support::netem::Conditions;
use crate::support::pair::Pair;
use crate::support::random::Random;
use crate::support::stage::Stage;
use crate::support::{breaks, video_in_sequence, with_seeds};

/// The classes of first bytes that RFC 7983 tells apart: STUN, ZRTP, DTLS, TURN channels, RTP and RTCP, and nothing.
const FIRST_BYTES: [Range<usize>; 6] = [0..4, 16..20, 20..64, 64..80, 128..192, 192..256];

const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)), 6666);

/// Makes up a datagram of some class; some look right for the first bytes.
fn garbage(random: &mut Random) -> Vec<u8> {
    let class = FIRST_BYTES[random.below(FIRST_BYTES.len())].clone();
    let count = random.below(1500);
    let mut datagram = random.bytes(count);
    if let Some(first) = datagram.first_mut() {
        *first = (class.start + random.below(class.len())) as u8;
    }
    if random.happens(0.5) {
        let look: &[u8] = match class.start {
            // A binding request with the magic cookie (RFC 8489 §5), a DTLS 1.2 alert or handshake record.
            0 => &[0, 1, 0, 64, 0x21, 0x12, 0xa4, 0x42],
            20 if random.happens(0.5) => &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 0],
            20 => &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 64],
            _ => &[],
        };
        datagram.iter_mut().zip(look).for_each(|(byte, look)| *byte = *look);
    }
    datagram
}

/// Cuts a real datagram short, or changes some bytes of it behind the first.
fn damaged(random: &mut Random, real: &[u8]) -> Vec<u8> {
    if random.happens(0.5) {
        return real[..random.below(real.len())].to_vec();
    }
    let mut datagram = real.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(real.len() - 1) + 1;
        datagram[at] ^= random.below(255) as u8 + 1;
    }
    datagram
}

/// Throws a hundred datagrams at the server's session, as if from the client or from a stranger.
fn attack(now: Instant, random: &mut Random, pair: &mut Pair) {
    let real = pair.captured.clone().expect("the test captures");
    let example = |random: &mut Random| real[random.below(real.len())].as_slice();
    for _ in 0..100 {
        let source = if random.happens(0.7) { pair.client.address() } else { STRANGER };
        let datagram = match random.below(3) {
            0 => {
                let real = example(random);
                damaged(random, real)
            }
            // Who can repeat a check from elsewhere has the peer's words, and ICE believes them: not here.
            1 if source != STRANGER => example(random).to_vec(),
            _ => garbage(random),
        };
        pair.session.receive(now, source, &datagram);
        pair.settle(now);
    }
}

#[test]
fn a_connected_publisher_goes_on_under_hostile_datagrams() {
    with_seeds(41..=43, |seed| {
        let mut random = Random::new(seed);
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::GOOD);
        stage.publishers[0].pair.captured = Some(Vec::new());
        stage.run_for(Duration::from_secs(3));
        for _ in 0..50 {
            stage.run_for(Duration::from_millis(100));
            attack(stage.now, &mut random, &mut stage.publishers[0].pair);
        }
        stage.wind_down();

        let publisher = &stage.publishers[0];
        assert_eq!(publisher.pair.said.ended, None, "{:?}", publisher.pair.session.state());
        assert!(publisher.pair.session.state().refused_datagrams > 0);
        assert!(!publisher.pair.said.confirmed.contains(&STRANGER));
        assert_eq!(breaks(&video_in_sequence(&publisher.published)), []);
        assert!(publisher.packaging.video.len() >= 6 * 30);
        publisher.packaging.assert_decodes(&format!("hostile-{seed}"));
    });
}

#[test]
fn a_connected_viewer_goes_on_under_hostile_datagrams() {
    with_seeds(51..=53, |seed| {
        let mut random = Random::new(seed);
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::GOOD);
        stage.view(Conditions::GOOD);
        stage.viewers[0].pair.captured = Some(Vec::new());
        stage.run_for(Duration::from_secs(3));
        for _ in 0..50 {
            stage.run_for(Duration::from_millis(100));
            attack(stage.now, &mut random, &mut stage.viewers[0].pair);
        }
        stage.wind_down();
        let viewer = &stage.viewers[0];
        assert_eq!(viewer.pair.said.ended, None, "{:?}", viewer.pair.session.state());
        assert_eq!(breaks(&video_in_sequence(&viewer.pair.client.seen.packets)), []);
    });
}

#[test]
fn a_peer_gets_through_while_strangers_shout() {
    with_seeds(61..=65, |seed| {
        let mut random = Random::new(seed);
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::GOOD);
        stage.join(Conditions::GOOD);
        for _ in 0..30 {
            stage.run_for(Duration::from_millis(20));
            for _ in 0..20 {
                let datagram = garbage(&mut random);
                stage.viewers[0].pair.session.receive(stage.now, STRANGER, &datagram);
            }
        }
        stage.run_for(Duration::from_secs(1));
        assert!(stage.viewers[0].pair.is_connected());
        assert!(!stage.viewers[0].pair.said.confirmed.contains(&STRANGER));
    });
}

#[test]
fn nothing_piles_up_for_a_viewer_that_shuns_dtls() {
    let mut stage = Stage::new(1);
    stage.publish(Conditions::GOOD);
    stage.join(Conditions::GOOD);
    // Connectivity checks only (RFC 7983: a first byte of 0 to 3), so that the session lives.
    stage.viewers[0].pair.passes = |datagram| datagram[0] < 4;
    stage.run_for(Duration::from_secs(20));
    let viewer = &stage.viewers[0].pair;
    assert_eq!((viewer.said.ended, viewer.session.state().connected, viewer.session.state().packets), (None, false, 0));
}
