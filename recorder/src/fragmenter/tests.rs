//! Where segments and parts begin and end, told as broadcasts.

mod two_hours;

use std::sync::Arc;
use std::time::Duration;

use onair_media::MediaKind::{Audio, Video};
use onair_media::{CodecConfig, MediaKind};

use super::{Fragmenter, FragmenterSettings};
use crate::testing::{AUDIO_FRAME, Pulled, VIDEO_FRAME, broadcast, frame, h264, opus, pull};

/// Segments of 4 s, parts of 500 ms, so a target duration of 6 s.
const SETTINGS: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

fn both() -> Fragmenter {
    Fragmenter::new(SETTINGS, &[Video, Audio])
}

/// Another configuration than [`h264`].
fn rotated() -> Arc<CodecConfig> {
    let CodecConfig::H264 { sps, pps, .. } = h264().as_ref().clone() else { unreachable!() };
    Arc::new(CodecConfig::H264 { sps, pps, width: 720, height: 1280 })
}

fn starts(pulled: &Pulled, kind: MediaKind) -> Vec<i64> {
    pulled.of(kind).iter().map(|segment| segment.start_ticks).collect()
}

#[test]
fn both_renditions_are_cut_at_the_keyframe() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 10, 2);
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);

    assert_eq!(starts(&pulled, Video), [0, 4 * 90_000, 8 * 90_000]);
    assert_eq!(starts(&pulled, Audio), [0, 4 * 48_000, 8 * 48_000]);
    assert!(pulled.segments.iter().all(|segment| segment.independent && !segment.discontinuity && segment.init == 1));
    // Parts of 500 ms: 15 pictures, 25 sounds.
    assert!(pulled.of(Video)[0].parts.iter().all(|part| part.samples.len() == 15));
    assert!(pulled.of(Audio)[0].parts.iter().all(|part| part.samples.len() == 25));
    assert_eq!(fragmenter.dropped_frames(), 0);
}

#[test]
fn the_order_of_arrival_does_not_move_the_cuts() {
    let mut fragmenter = both();
    // Audio arrives 400 ms behind video.
    let (video, audio) = (h264(), opus());
    for index in 0..300 {
        fragmenter.push(Video, frame(&video, index * VIDEO_FRAME, index % 60 == 0));
        let heard = (index * VIDEO_FRAME - 36_000) * 8 / 15;
        let before = (index * VIDEO_FRAME - 39_000) * 8 / 15;
        (0..500).map(|n| n * AUDIO_FRAME).filter(|t| *t <= heard && *t > before).for_each(|t| {
            fragmenter.push(Audio, frame(&audio, t, true));
        });
    }
    fragmenter.finish();
    assert_eq!(starts(&pull(&mut fragmenter), Audio), [0, 4 * 48_000, 8 * 48_000]);
}

#[test]
fn segments_of_both_end_before_parts_of_the_next_begin() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 13, 1);
    fragmenter.finish();
    let mut ended = 0;
    for cut in pull(&mut fragmenter).all {
        match cut {
            crate::Cut::Part(part) => assert_eq!(part.msn, ended / 2 + 1),
            crate::Cut::Segment(_) => ended += 1,
            _ => {}
        }
    }
    assert_eq!(ended, 8);
}

#[test]
fn a_keyframe_that_does_not_come_is_asked_for_and_then_done_without() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 10, 60);
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);
    // Asked at 4, 5 and 6 s; cut before 6.49 s: 194 pictures are 6.467 s. The next segment lasts 3.53 s.
    assert_eq!(pulled.keyframes_wanted, 3);
    assert_eq!(starts(&pulled, Video), [0, 194 * VIDEO_FRAME]);
    assert!(!pulled.of(Video)[1].independent);
    assert!(!pulled.of(Video)[1].discontinuity);
}

#[test]
fn a_new_configuration_ends_the_segment_of_both() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 3, 1);
    let rotated = rotated();
    for index in 90..150 {
        (0..2).for_each(|n| fragmenter.push(Audio, frame(&opus(), index * 1600 + n * 800, true)));
        fragmenter.push(Video, frame(&rotated, index * VIDEO_FRAME, index == 90));
    }
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);
    let flags: Vec<_> = pulled.segments.iter().map(|s| (s.kind, s.msn, s.init, s.discontinuity)).collect();
    assert_eq!(flags, [(Video, 1, 1, false), (Audio, 1, 1, false), (Video, 2, 2, true), (Audio, 2, 1, true)]);
    assert_eq!(pulled.of(Video)[1].start_ticks, 3 * 90_000);
    assert_eq!(pulled.inits.len(), 3);
}

#[test]
fn a_reconnect_continues_with_a_flag_and_the_same_init() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 5, 1);
    fragmenter.discontinuity();
    fragmenter.set_tracks(&[Video, Audio]);
    broadcast(&mut fragmenter, 8, 2, 1);
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);
    let flags: Vec<_> = pulled.of(Video).iter().map(|s| (s.msn, s.start_ticks / 90_000, s.discontinuity)).collect();
    assert_eq!(flags, [(1, 0, false), (2, 4, false), (3, 8, true)]);
    assert!(pulled.of(Audio)[2].discontinuity);
    assert_eq!(pulled.inits.len(), 2);
    // The last frame before the break lasts as long as the one before it.
    assert_eq!(pulled.of(Video)[1].duration_ticks, 90_000);
}

#[test]
fn a_publisher_with_another_configuration_begins_both_renditions_at_once() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 5, 1);
    fragmenter.discontinuity();
    fragmenter.set_tracks(&[Video, Audio]);
    // The sound comes 490 ms before the first picture and is cut 10 ms before it.
    (0..25).for_each(|n| fragmenter.push(Audio, frame(&opus(), 8 * 48_000 + n * AUDIO_FRAME, true)));
    let other = rotated();
    for index in 0..60 {
        fragmenter.push(Video, frame(&other, 8 * 90_000 + 44_100 + index * VIDEO_FRAME, index == 0));
        (0..2).for_each(|n| fragmenter.push(Audio, frame(&opus(), 8 * 48_000 + 24_000 + index * 1600 + n * 800, true)));
    }
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);
    let flags = |kind| pulled.of(kind).iter().map(|s| (s.msn, s.init, s.discontinuity)).collect::<Vec<_>>();
    assert_eq!(flags(Video), [(1, 1, false), (2, 1, false), (3, 2, true)]);
    assert_eq!(flags(Audio), [(1, 1, false), (2, 1, false), (3, 1, true)]);
    assert_eq!(pulled.of(Audio)[2].start_ticks, 8 * 48_000 + 24 * AUDIO_FRAME);
    assert_eq!(fragmenter.dropped_frames(), 24);
}

#[test]
fn a_broadcast_of_less_than_a_part_has_both_tracks() {
    // 0.8 s of both; either may bring a single frame, and either may come wholly before the other.
    for (pictures, sounds) in [(24, 40), (1, 40), (24, 1), (1, 1)] {
        for first in [Video, Audio] {
            let mut fragmenter = both();
            let mut push = |kind| match kind {
                Video => {
                    (0..pictures).for_each(|n| fragmenter.push(Video, frame(&h264(), 9_000 + n * VIDEO_FRAME, n == 0)));
                }
                Audio => {
                    (0..sounds).for_each(|n| fragmenter.push(Audio, frame(&opus(), 4_500 + n * AUDIO_FRAME, true)))
                }
            };
            push(first);
            push(if first == Video { Audio } else { Video });
            fragmenter.finish();
            let pulled = pull(&mut fragmenter);
            let samples = |kind| pulled.of(kind)[0].parts.iter().map(|part| part.samples.len() as i64).sum::<i64>();
            assert_eq!(pulled.segments.len(), 2, "{pictures} {sounds} {first:?}");
            assert_eq!(samples(Video), pictures);
            // The first picture is shown 6.25 ms after the first sound begins.
            assert_eq!(samples(Audio), sounds);
        }
    }
}

#[test]
fn the_start_waits_for_the_first_picture_and_drops_the_sound_before_it() {
    let mut fragmenter = both();
    (0..50).for_each(|n| fragmenter.push(Audio, frame(&opus(), n * AUDIO_FRAME, true)));
    assert!(pull(&mut fragmenter).all.is_empty());
    broadcast(&mut fragmenter, 1, 1, 1);
    fragmenter.finish();
    // The last sound before the picture was still sounding, for all that was known when the picture came.
    assert_eq!(starts(&pull(&mut fragmenter), Audio), [49 * AUDIO_FRAME]);
    assert_eq!(fragmenter.dropped_frames(), 49);
}

#[test]
fn a_track_that_never_comes_is_waited_for_two_seconds() {
    let mut fragmenter = both();
    (0..75).for_each(|n| fragmenter.push(Video, frame(&h264(), n * VIDEO_FRAME, n == 0)));
    assert_eq!(pull(&mut fragmenter).parts.len(), 4);
    // Sound that comes late joins at the next boundary, without a discontinuity.
    broadcast(&mut fragmenter, 3, 3, 1);
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);
    assert_eq!(starts(&pulled, Audio), [4 * 48_000]);
    assert_eq!(pulled.of(Audio)[0].msn, 2);
    assert!(!pulled.of(Audio)[0].discontinuity);
}

#[test]
fn sound_alone_is_cut_at_the_segment_target() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Audio]);
    (0..500).for_each(|n| fragmenter.push(Audio, frame(&opus(), n * AUDIO_FRAME, true)));
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);
    assert_eq!(starts(&pulled, Audio), [0, 4 * 48_000, 8 * 48_000]);
    assert!(pulled.segments.iter().all(|segment| segment.independent));
    assert_eq!(pulled.keyframes_wanted, 0);
}

#[test]
fn pictures_that_return_after_a_long_pause_flag_both_renditions() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 2, 1);
    (100..1000).for_each(|n| fragmenter.push(Audio, frame(&opus(), n * AUDIO_FRAME, true)));
    // 20 s: pictures come back, first without a keyframe.
    for index in 600..720 {
        fragmenter.push(Video, frame(&h264(), index * VIDEO_FRAME, index == 630));
        (0..2).for_each(|n| fragmenter.push(Audio, frame(&opus(), index * 1600 + n * 800, true)));
    }
    fragmenter.finish();
    let pulled = pull(&mut fragmenter);
    assert!(pulled.keyframes_wanted > 0);
    let back = pulled.of(Video).into_iter().find(|segment| segment.start_ticks == 630 * VIDEO_FRAME).unwrap();
    assert!(back.discontinuity && back.independent);
    let twin = pulled.of(Audio).into_iter().find(|segment| segment.msn == back.msn).unwrap();
    assert!(twin.discontinuity);
    // Without pictures the sound went on, with every number.
    let numbers: Vec<_> = pulled.of(Audio).iter().map(|segment| segment.msn).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(pulled.of(Video).len() < numbers.len());
}

#[test]
fn a_last_picture_of_another_configuration_takes_no_number_from_the_sound() {
    let mut fragmenter = both();
    broadcast(&mut fragmenter, 0, 2, 1);
    let rotated = rotated();
    fragmenter.push(Video, frame(&rotated, 2 * 90_000, true));
    (100..1000).for_each(|n| fragmenter.push(Audio, frame(&opus(), n * AUDIO_FRAME, true)));
    let pulled = pull(&mut fragmenter);
    assert!(pulled.of(Audio).len() >= 3);
    assert!(pulled.of(Audio).iter().zip(1..).all(|(segment, msn)| segment.msn == msn && !segment.discontinuity));
}

#[test]
fn what_cannot_be_packaged_is_dropped_and_counted() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Video]);
    let CodecConfig::H264 { pps, .. } = h264().as_ref().clone() else { unreachable!() };
    let broken = Arc::new(CodecConfig::H264 { sps: pps.slice(..2), pps, width: 4, height: 4 });
    fragmenter.push(Video, frame(&broken, 0, true));
    fragmenter.push(Video, frame(&h264(), -1, true));
    fragmenter.push(Video, frame(&h264(), i64::MAX, true));
    fragmenter.push(Video, frame(&opus(), 5, true));
    fragmenter.push(Video, frame(&h264(), 5, true));
    fragmenter.push(Video, frame(&h264(), 5, true));
    assert_eq!(fragmenter.dropped_frames(), 5);
}

#[test]
fn the_target_duration_leaves_room_for_a_late_keyframe() {
    assert_eq!(SETTINGS.target_duration_s(), 6);
    let odd = FragmenterSettings { segment_target: Duration::from_millis(1500), ..SETTINGS };
    assert_eq!(odd.target_duration_s(), 3);
}
