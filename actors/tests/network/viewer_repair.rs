//! What a viewer loses on the way comes from the session's cache, and a change of publishers leaves no trace in the
//! sequence.

use std::time::Duration;

use onair_media::{Codec, starts_keyframe};

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

/// Whoever is let in at a packet that comes behind its successors misses these for ever.
#[test]
fn nobody_is_let_in_at_a_repaired_packet() {
    with_seeds(17..=18, |seed| {
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::LOSSY);
        // Bad enough that beginnings of keyframes are among the losses.
        stage.set_conditions(Conditions::LOSSY.with_loss(0.2));
        stage.run_for(Duration::from_secs(15));
        let (mut newest, mut late_starts, mut begun) = (0, 0, None);
        for packet in stage.publishers[0].published.iter().filter(|packet| packet.codec == Codec::H264) {
            let looks_like_a_start = starts_keyframe(packet.codec, &packet.payload);
            let is_start = looks_like_a_start && packet.seq_no >= newest;
            // Of parameter sets and slice, both of which look like it, the first one counts.
            assert_eq!(packet.starts_keyframe, is_start && begun != Some(packet.timestamp));
            begun = if is_start { Some(packet.timestamp) } else { begun };
            late_starts += u32::from(looks_like_a_start && packet.seq_no < newest);
            newest = newest.max(packet.seq_no);
        }
        assert!(late_starts > 0, "a network that repairs no keyframe tests nothing");
    });
}

#[test]
fn a_viewer_that_loses_half_of_its_first_second_gets_all_of_it() {
    with_seeds(81..=82, |seed| {
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::GOOD);
        let viewer = stage.view(Conditions::GOOD);
        stage.run_until(|stage| stage.viewers[viewer].pair.client.seen.packets.iter().any(|it| it.starts_keyframe));
        for _ in 0..4 {
            stage.viewers[viewer].pair.down.set_conditions(Conditions::GOOD.with_loss(1.0));
            stage.run_for(Duration::from_millis(100));
            stage.viewers[viewer].pair.down.set_conditions(Conditions::GOOD);
            stage.run_for(Duration::from_millis(100));
        }
        stage.wind_down();
        assert!(stage.viewers[viewer].pair.down.counts().lost > 40);
        assert_eq!(breaks(&video_in_sequence(&stage.viewers[viewer].pair.client.seen.packets)), []);
    });
}
