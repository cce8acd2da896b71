//! ICE restart over PATCH (RFC 9725 §4.4.2): new credentials work, media does not notice, a refused one changes nothing.

use std::time::{Duration, Instant};

use onair_actors::core::offer::IceFragment;
use str0m::IceCreds;

use crate::support::netem::Conditions;
use crate::support::pair::Pair;
use crate::support::stage::Stage;
use crate::support::{breaks, video_in_sequence, with_seeds};

/// Longer than consent lives without checks.
const LONG: Duration = Duration::from_secs(40);

/// Keeps the lines of an SDP that a fragment may have (RFC 8840 §9).
fn fragment_of(sdp: &str) -> String {
    let belongs =
        |line: &&str| ["m=", "a=ice-ufrag", "a=ice-pwd", "a=candidate", "a=mid"].iter().any(|p| line.starts_with(p));
    sdp.lines().filter(belongs).flat_map(|line| [line, "\r\n"]).collect()
}

/// Puts the credentials and candidates of a fragment into the answer that the client already has, as a page does.
fn answer_with(answer: &str, fragment: &str) -> String {
    let replaced = ["a=ice-ufrag:", "a=ice-pwd:", "a=candidate:"];
    let mut text = String::new();
    for line in answer.lines() {
        match replaced.iter().find(|name| line.starts_with(**name)) {
            Some(name) => {
                let ours = fragment.lines().find(|line| line.starts_with(name)).unwrap();
                text.push_str(ours);
            }
            None => text.push_str(line),
        }
        text.push_str("\r\n");
    }
    text
}

fn restart(pair: &mut Pair, now: Instant) {
    let (offer, pending) = pair.client.restart_offer();
    let fragment = IceFragment::parse(&fragment_of(&offer)).unwrap();
    let ours = pair.session.patch(fragment, now).unwrap().expect("new credentials are a restart");
    let answer = answer_with(&pair.answer, &ours);
    pair.client.answer(pending, &answer, now);
    pair.settle(now);
}

#[test]
fn media_goes_on_through_restarts() {
    with_seeds(71..=72, |seed| {
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::LOSSY);
        stage.view(Conditions::LOSSY);
        stage.run_for(Duration::from_secs(3));
        let before = [stage.publishers[0].pair.session.local_ufrag(), stage.viewers[0].pair.session.local_ufrag()];
        restart(&mut stage.publishers[0].pair, stage.now);
        restart(&mut stage.viewers[0].pair, stage.now);
        let after = [stage.publishers[0].pair.session.local_ufrag(), stage.viewers[0].pair.session.local_ufrag()];
        assert!(before.iter().zip(&after).all(|(before, after)| before != after));
        stage.run_for(Duration::from_secs(5));
        stage.wind_down();

        let (publisher, viewer) = (&stage.publishers[0], &stage.viewers[0]);
        assert_eq!(breaks(&video_in_sequence(&publisher.published)), []);
        assert_eq!(breaks(&video_in_sequence(&viewer.pair.client.seen.packets)), []);
        publisher.packaging.assert_decodes(&format!("restart-{seed}"));
        // Checks with the new credentials keep consent alive.
        stage.run_for(LONG);
        assert_eq!((stage.publishers[0].pair.said.ended, stage.viewers[0].pair.said.ended), (None, None));
    });
}

#[test]
fn a_refused_restart_leaves_the_session_as_it_was() {
    let mut stage = Stage::new(1);
    stage.publish(Conditions::GOOD);
    let now = stage.now;
    let session = &mut stage.publishers[0].pair.session;
    let before = session.local_ufrag();
    for half in [
        "a=ice-ufrag:EsAw\r\n",
        "a=ice-ufrag:x\r\na=ice-pwd:y\r\n",
        "a=ice-ufrag:Es Aw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
    ] {
        assert!(IceFragment::parse(half).is_err(), "{half}");
    }
    // Past the parser: what breaks the SDP that str0m is to read.
    for ufrag in ["ab\r\nm=", "ab\r\nnonsense"] {
        let creds = IceCreds { ufrag: ufrag.into(), pass: "P2uYro0UCOQ4zxjKXaWCBui1".into() };
        let patched = session.patch(IceFragment { creds: Some(creds) }, now);
        assert!(patched.is_err(), "{ufrag:?}");
    }
    assert_eq!(session.local_ufrag(), before);
    stage.run_for(LONG);
    stage.wind_down();
    assert_eq!(stage.publishers[0].pair.said.ended, None, "the old credentials still count");
    assert_eq!(breaks(&video_in_sequence(&stage.publishers[0].published)), []);
}

#[test]
fn mere_trickle_restarts_nothing() {
    let mut stage = Stage::new(1);
    stage.publish(Conditions::GOOD);
    let session = &mut stage.publishers[0].pair.session;
    let before = session.local_ufrag();
    let trickle = IceFragment::parse("a=mid:0\r\na=candidate:1 1 udp 1 198.51.100.77 5000 typ host\r\n").unwrap();
    assert!(session.patch(trickle, stage.now).unwrap().is_none());
    assert_eq!(session.local_ufrag(), before);
}
