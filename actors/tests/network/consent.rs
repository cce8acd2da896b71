//! Consent to send (RFC 7675): it lives on connectivity checks, and on nothing else.

use std::time::{Duration, Instant};

use onair_actors::core::offer::Role;
use onair_actors::core::session::{CONSENT_TIMEOUT, EndReason, Output};
use str0m::ice::{StunMessage, TransId};

use crate::support::netem::Conditions;
use crate::support::pair::{Filter, Pair};
use crate::support::stage::Stage;

/// An ICE agent checks every 5 s at the latest (RFC 7675 §5.1); the last check may be as old as that.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Cuts the way to the server and returns when, after that, the session ended.
fn ended_after(passes: Filter, mut each_second: impl FnMut(&mut Pair, Instant)) -> Duration {
    let mut stage = Stage::new(1);
    stage.publish(Conditions::GOOD);
    stage.run_for(Duration::from_secs(3));
    let cut_at = stage.now;
    stage.publishers[0].pair.passes = passes;
    for _ in 0..32 {
        stage.run_for(Duration::from_secs(1));
        each_second(&mut stage.publishers[0].pair, stage.now);
    }
    let (at, reason) = stage.publishers[0].pair.said.ended.expect("the session ended");
    assert_eq!(reason, EndReason::ConsentLost);
    at - cut_at
}

fn assert_is_about_the_timeout(ended_after: Duration) {
    let latest = CONSENT_TIMEOUT + Duration::from_millis(50);
    assert!((CONSENT_TIMEOUT - CHECK_INTERVAL..latest).contains(&ended_after), "{ended_after:?}");
}

#[test]
fn a_peer_that_falls_silent_is_ended_after_thirty_seconds() {
    assert_is_about_the_timeout(ended_after(|_| false, |_, _| {}));
}

#[test]
fn media_without_checks_is_no_consent() {
    // RFC 7983: STUN begins with a byte of 0 to 3.
    assert_is_about_the_timeout(ended_after(|datagram| datagram[0] > 3, |_, _| {}));
}

#[test]
fn forged_checks_are_no_consent() {
    let forge = |pair: &mut Pair, now| {
        let username = format!("{}:forged", pair.session.local_ufrag());
        let check = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, false);
        let mut datagram = vec![0; 500];
        let sha1_hmac = |_: &[u8], _: &[&[u8]]| [7; 20];
        let bytes = check.to_bytes(Some(b"not the password"), &mut datagram, sha1_hmac).unwrap();
        pair.session.receive(now, pair.client.address(), &datagram[..bytes]);
    };
    assert_is_about_the_timeout(ended_after(|_| false, forge));
}

#[test]
fn a_peer_that_never_comes_is_ended_after_thirty_seconds() {
    let start = Instant::now();
    let Pair { mut session, mut said, .. } = Pair::new(Role::Viewer, 1, 1, Conditions::GOOD, start);
    while said.ended.is_none() {
        let now = session.next_timeout();
        session.timeout(now);
        while let Some(output) = session.poll() {
            if let Output::Ended(reason) = output {
                said.ended = Some((now, reason));
            }
        }
    }
    assert_eq!(said.ended, Some((start + CONSENT_TIMEOUT, EndReason::ConsentLost)));
}

#[test]
fn a_peer_that_checks_stays_without_media() {
    let mut stage = Stage::new(1);
    stage.publish(Conditions::LOSSY);
    stage.view(Conditions::LOSSY);
    stage.publishers[0].camera = None;
    stage.run_for(Duration::from_secs(180));
    assert_eq!(stage.publishers[0].pair.said.ended, None);
    assert_eq!(stage.viewers[0].pair.said.ended, None);
}
