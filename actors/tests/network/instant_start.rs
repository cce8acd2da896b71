//! A viewer that joins has a picture soon, whether the publisher answers keyframe requests or not, and is not behind
//! afterwards.

use std::time::Duration;

use onair_media::Codec;

use crate::support::netem::Conditions;
use crate::support::stage::Stage;
use crate::support::{breaks, video_in_sequence, with_seeds};

/// From the moment at which ICE and DTLS are through.
const FIRST_PICTURE_WITHIN: Duration = Duration::from_millis(250);

/// Tells whether a payload is, or brings along, a sequence parameter set (RFC 6184 §5.6, §5.7.1).
fn bears_parameter_sets(payload: &[u8]) -> bool {
    let nal_type = |header: u8| header & 0x1f;
    match nal_type(payload[0]) {
        7 => true,
        24 => {
            let mut rest = &payload[1..];
            let mut found = false;
            while let [high, low, header, ..] = rest {
                found |= nal_type(*header) == 7;
                rest = rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
            }
            found
        }
        _ => false,
    }
}

fn has_picture(stage: &Stage, viewer: usize) -> bool {
    let packets = &stage.viewers[viewer].pair.client.seen.packets;
    packets.iter().any(|packet| packet.codec == Codec::H264 && packet.starts_keyframe)
}

#[test]
fn an_encoder_that_ignores_requests_keeps_nobody_waiting() {
    with_seeds(91..=93, |seed| {
        let mut stage = Stage::new(seed);
        let publisher = stage.publish(Conditions::GOOD);
        stage.publishers[publisher].camera.as_mut().unwrap().listens = false;
        // A keyframe each 2 s; this is in the middle of a second one, more than a second behind it.
        stage.run_for(Duration::from_millis(3500));
        let viewer = stage.view(Conditions::GOOD);
        let connected_at = stage.now;
        stage.run_until(|stage| has_picture(stage, viewer));
        assert!(stage.now <= connected_at + FIRST_PICTURE_WITHIN, "{:?}", stage.now - connected_at);
        stage.run_for(Duration::from_secs(4));
        stage.wind_down();

        let viewer = &stage.viewers[viewer];
        let received = video_in_sequence(&viewer.pair.client.seen.packets);
        assert!(
            bears_parameter_sets(&received[0].payload),
            "a decoder cannot begin here: {:?}",
            &received[0].payload[..8]
        );
        assert_eq!(breaks(&received), [], "nothing is missing, so nothing is asked for again");
        assert_eq!(viewer.pair.client.seen.retransmissions_received, 0);
        let backwards =
            received.windows(2).filter(|pair| (pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32) < 0);
        assert_eq!(backwards.count(), 0, "time never runs backwards");
        // At the end the viewer has the picture that was filmed last, as soon as the line allows.
        let published = video_in_sequence(&stage.publishers[publisher].published);
        let (last_sent, last_got) = (published.last().unwrap(), received.last().unwrap());
        assert_eq!(last_got.payload, last_sent.payload);
        assert!(last_got.received_at <= last_sent.received_at + Duration::from_millis(100), "the viewer lags");
        viewer.packaging.assert_decodes(&format!("instant-start-{seed}"));
    });
}

#[test]
fn an_encoder_that_answers_gives_every_viewer_a_new_picture() {
    with_seeds(94..=95, |seed| {
        let mut stage = Stage::new(seed);
        stage.publish(Conditions::GOOD);
        stage.run_for(Duration::from_millis(3500));
        let viewer = stage.view(Conditions::GOOD);
        let connected_at = stage.now;
        stage.run_until(|stage| has_picture(stage, viewer));
        assert!(stage.now <= connected_at + FIRST_PICTURE_WITHIN, "{:?}", stage.now - connected_at);
        let first = stage.viewers[viewer].pair.client.seen.packets.iter().find(|it| it.codec == Codec::H264).unwrap();
        let payload = first.payload.clone();
        let published = &stage.publishers[0].published;
        let filmed = published.iter().rfind(|it| it.payload == payload).unwrap();
        assert!(stage.now <= filmed.received_at + Duration::from_millis(100), "the picture is an old one");
    });
}
