//! What a viewer loses on the way comes from the session's cache, and a change of publishers leaves no trace in the
//! sequence.

use std::time::Duration;

use crate::support::netem::Conditions;
use crate::support::stage::Stage;
use crate::support::{breaks, video_in_sequence, with_seeds};

#[test]
fn two_percent_loss_costs_a_viewer_no_packet() {
    with_seeds(1..=3, |seed| {
        let mut stage = Stage::new(seed);
        let publisher = stage.publish(Conditions::LOSSY);
        let viewer = stage.view(Conditions::LOSSY);
        stage.run_for(Duration::from_secs(20));
        stage.wind_down();

        let published = video_in_sequence(&stage.publishers[publisher].published);
        let viewer = &stage.viewers[viewer];
        assert!(viewer.pair.down.counts().lost > 20, "a network that loses nothing tests nothing");
        assert!(viewer.pair.client.seen.retransmissions_received > 20, "the session answered NACKs from its cache");
        let received = video_in_sequence(&viewer.pair.client.seen.packets);
        assert_eq!(breaks(&received), [], "a packet is missing or came twice");
        // From its first packet on the viewer has all that was published, and waited at most a keyframe for it.
        let behind_join = &published[published.len() - received.len()..];
        assert!(received.iter().zip(behind_join).all(|(got, sent)| got.payload == sent.payload));
        assert!(behind_join[0].received_at < published[0].received_at + Duration::from_secs(4));
        // 20 s and one good second of pictures, of which at most 3 s went by before the first keyframe.
        assert!(viewer.packaging.video.len() >= 18 * 30, "{} frames", viewer.packaging.video.len());
        viewer.packaging.assert_decodes(&format!("viewer-repair-{seed}"));
    });
}

#[test]
fn a_second_publisher_goes_on_where_the_first_one_ended() {
    with_seeds(11..=13, |seed| {
        let mut stage = Stage::new(seed);
        let first = stage.publish(Conditions::LOSSY);
        let viewer = stage.view(Conditions::LOSSY);
        stage.run_for(Duration::from_secs(8));
        // What the first one lost at its very end, nobody could repair any more.
        stage.publishers[first].pair.set_conditions(Conditions::GOOD);
        stage.run_for(Duration::from_millis(500));
        let second = stage.publish(Conditions::LOSSY);
        stage.publishers[first].camera = None;
        stage.run_for(Duration::from_secs(8));
        stage.wind_down();

        let viewer = &stage.viewers[viewer];
        let received = video_in_sequence(&viewer.pair.client.seen.packets);
        assert_eq!(breaks(&received), [], "the numbers go on without a gap");
        let ticks: Vec<_> = received.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp)).collect();
        // A keyframe of the second one comes at once or, when it is lost, on request: at most a second or two.
        assert!(ticks.iter().all(|ticks| *ticks <= 180_000), "{:?}", ticks.iter().max());
        let published = video_in_sequence(&stage.publishers[second].published);
        let tail = &received[received.len() - 100..];
        let behind = &published[published.len() - 100..];
        assert!(tail.iter().zip(behind).all(|(got, sent)| got.payload == sent.payload), "the second one is on the air");
        assert!(viewer.packaging.video.len() >= 14 * 30, "{} frames", viewer.packaging.video.len());
        viewer.packaging.assert_decodes(&format!("viewer-change-{seed}"));
    });
}

#[test]
fn nobody_is_let_in_at_a_repaired_packet() {
    // With this seed a keyframe's slice is lost and comes again when the viewer has just connected, behind three pictures.
    with_seeds(17..=17, |seed| {
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::LOSSY);
        let viewer = stage.view(Conditions::LOSSY);
        stage.wind_down();
        assert_eq!(breaks(&video_in_sequence(&stage.viewers[viewer].pair.client.seen.packets)), []);
    });
}
