//! What a publisher loses on the way is asked for again, and the recording is whole.

use std::time::Duration;

use onair_media::MediaKind;

use crate::support::netem::Conditions;
use crate::support::stage::Stage;
use crate::support::{breaks, video_in_sequence, with_seeds};

#[test]
fn two_percent_loss_costs_no_frame() {
    with_seeds(1..=3, |seed| {
        let mut stage = Stage::new(seed);
        let publisher = stage.publish(Conditions::LOSSY);
        stage.run_for(Duration::from_secs(20));
        let sent = stage.publishers[publisher].camera.as_ref().unwrap().video_sent;
        stage.wind_down();
        let publisher = &stage.publishers[publisher];

        // 20 s of 30 frames, the first of them sent at the beginning.
        assert_eq!(sent, 601);
        let lost = publisher.pair.up.counts().lost;
        assert!(lost > 20, "a network that loses nothing tests nothing");
        assert!(publisher.pair.client.seen.retransmissions_sent > lost / 2, "repairs came from retransmissions");

        assert_eq!(breaks(&video_in_sequence(&publisher.published)), [], "a packet is missing or came twice");
        let lost = publisher.packaging.lost.get(&MediaKind::Video);
        assert_eq!(lost, None, "no packet came too late for its frame");

        // The very first packets may be lost: nobody can know of them. From the first whole keyframe on all is there.
        let frames = &publisher.packaging.video;
        assert!(frames.len() >= 600, "{} frames", frames.len());
        assert!(frames.windows(2).all(|pair| pair[1].0 - pair[0].0 == 3000), "every frame follows its predecessor");
        publisher.packaging.assert_decodes(&format!("publisher-repair-{seed}"));
    });
}
