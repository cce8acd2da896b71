//! A burst of losses beyond repair: the stream comes back at a keyframe, time goes on, nobody is thrown out.

use std::time::Duration;

use crate::support::netem::Conditions;
use crate::support::packaging::Packaging;
use crate::support::stage::Stage;
use crate::support::with_seeds;

#[test]
fn after_two_seconds_of_thirty_percent_loss_the_stream_resumes_at_a_keyframe() {
    with_seeds(21..=23, |seed| survive(seed, Duration::from_secs(2), 0.3));
}

#[test]
fn after_three_seconds_without_a_packet_the_stream_resumes_at_a_keyframe() {
    with_seeds(31..=32, |seed| survive(seed, Duration::from_secs(3), 1.0));
}

/// Films 5 s, loses that much of everything in all directions for a while, films 6 s over good lines.
fn survive(seed: u64, burst: Duration, loss: f64) {
    let mut stage = Stage::new(seed);
    stage.publish(Conditions::LOSSY);
    stage.view(Conditions::LOSSY);
    stage.run_for(Duration::from_secs(5));
    stage.set_conditions(Conditions::LOSSY.with_loss(loss));
    stage.run_for(burst);
    stage.set_conditions(Conditions::GOOD);
    stage.run_for(Duration::from_secs(5));
    stage.wind_down();

    let (publisher, viewer) = (&stage.publishers[0], &stage.viewers[0]);
    assert_eq!((publisher.pair.said.ended, viewer.pair.said.ended), (None, None));
    for (packaging, name) in [(&publisher.packaging, "publisher"), (&viewer.packaging, "viewer")] {
        assert_resumed(packaging, name);
        packaging.assert_decodes(&format!("burst-{name}-{seed}"));
    }
}

/// Asserts that time only grows, that whatever follows a gap is a keyframe, and that the last 4 s are whole.
fn assert_resumed(packaging: &Packaging, name: &str) {
    let frames = &packaging.video;
    for pair in frames.windows(2) {
        let ((before, _), (after, keyframe)) = (pair[0], pair[1]);
        assert!(after > before, "{name}: time runs backwards at {before}");
        // Four times as many pictures a second while a viewer catches up.
        assert!(after - before <= 3000 || keyframe, "{name}: no keyframe behind the gap from {before} to {after}");
    }
    // After a burst at most 2 s pass: half a second of waiting, a keyframe request a second, and the way there and back.
    let last = &frames[frames.len() - 120..];
    // Pictures follow one another but for what keeps them beside the sound: half a percent.
    let is_next = |pair: &[(i64, bool)]| (2985..=3015).contains(&(pair[1].0 - pair[0].0));
    assert!(last.windows(2).all(is_next), "{name}: gaps long after the burst");
}
