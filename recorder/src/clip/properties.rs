//! Whatever is asked for: a clip shows that time and nothing else.

use onair_media::MediaKind::{Audio, Video};
use proptest::prelude::*;

use super::tests::{Kept, edits, movie, samples, span, told};
use crate::testing::{broadcast, frame, h264, opus};

/// A broadcast, in which pictures may be shown in another order, with a break in which nothing comes.
fn kept(gop_s: i64, reordered: bool, break_s: i64) -> Kept {
    Kept::new(|fragmenter| {
        broadcast(fragmenter, 0, 7, gop_s);
        if break_s > 0 {
            fragmenter.discontinuity();
        }
        let start_s = 7 + break_s;
        for n in 0..240 {
            let mut picture = frame(&h264(), start_s * 90_000 + n * 3_000, n % (gop_s * 30) == 0);
            // Two of three wait for the one after them, as B-frames do.
            picture.pts_ticks += if reordered { [3_000, 9_000, 3_000][n as usize % 3] } else { 0 };
            fragmenter.push(Video, picture);
            (0..2).for_each(|half| {
                fragmenter.push(Audio, frame(&opus(), start_s * 48_000 + n * 1_600 + half * 800, true));
            });
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_clip_shows_what_was_asked_for(
        gop_s in 1..4i64,
        reordered: bool,
        break_s in 0..4i64,
        from in 0..14_900i64,
        length in 1..9_000i64,
    ) {
        let kept = kept(gop_s, reordered, break_s);
        let end_ms = 15_000 + break_s * 1000;
        let to = (from + length).min(end_ms);
        let clip = kept.clip(span(from, to));
        let file = kept.file(&clip);
        let moov = movie(&file);
        prop_assert_eq!(moov.mvhd.duration, (to - from) as u64 * 90);
        prop_assert_eq!((clip.from_ms() as i64, clip.to_ms() as i64), (from, to));
        let video = &moov.trak[0];
        let pictures = samples(video, &file);
        // Samples are those of the recording, in their order, at their time.
        let first = told(&pictures[0].bytes);
        prop_assert!(pictures.iter().all(|picture| picture.dts == told(&picture.bytes) - first));
        prop_assert_eq!(video.mdia.minf.stbl.stss.as_ref().map_or(1, |stss| stss.entries[0]), 1);
        // The edit begins at the very tick, in the track's own time.
        let edit = &edits(video)[0];
        prop_assert_eq!(edits(video).len(), 1);
        prop_assert_eq!(first + edit.media_time.unwrap() as i64, from * 90);
        prop_assert_eq!(edit.segment_duration as i64, (to - from) * 90);
        // The first sample is shown by then, and no later keyframe would do.
        let shown = |picture: &super::tests::FileSample| first + picture.pts;
        prop_assert!(shown(&pictures[0]) <= from * 90);
        let stss = video.mdia.minf.stbl.stss.as_ref().map_or(vec![], |stss| stss.entries.clone());
        prop_assert!(stss.iter().skip(1).all(|index| shown(&pictures[*index as usize - 1]) > from * 90));
        // No picture is missing at the end, and the last one is needed.
        prop_assert!(shown(pictures.last().unwrap()) < to * 90);
        let last_shown = pictures.iter().map(shown).max().unwrap();
        let whole = kept.clip(span(0, end_ms));
        let all = kept.file(&whole);
        let all = samples(&movie(&all).trak[0], &all);
        prop_assert!(all.iter().all(|picture| picture.pts >= to * 90 || picture.pts <= last_shown));
        if let Some(audio) = moov.trak.get(1) {
            let packets = samples(audio, &file);
            let first = told(&packets[0].bytes);
            prop_assert!(packets.iter().all(|packet| packet.dts == told(&packet.bytes) - first));
            let edits = edits(audio);
            let begins = edits.last().unwrap().media_time.unwrap() as i64;
            let delay = if edits.len() == 2 { edits[0].segment_duration as i64 } else { 0 };
            // What sounds then is what sounded then; both clocks meet at the millisecond.
            prop_assert_eq!((first + begins) * 15, from * 720 + delay * 8);
            prop_assert!(edits.iter().map(|edit| edit.segment_duration).sum::<u64>() as i64 <= (to - from) * 90);
        }
    }

    #[test]
    fn ranges_of_a_clip_are_ranges_of_its_file(from in 0..14_000i64, length in 1..9_000i64, cuts in proptest::collection::vec(any::<prop::sample::Index>(), 1..6)) {
        let kept = kept(1, false, 1);
        let clip = kept.clip(span(from, from + length));
        let file = kept.file(&clip);
        let mut cuts: Vec<u64> = cuts.iter().map(|cut| cut.index(file.len()) as u64).collect();
        cuts.extend([0, file.len() as u64]);
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|ends| kept.send(&clip, ends[0]..ends[1])).collect();
        prop_assert_eq!(parts.concat(), file);
        let same = kept.clip(span(from, from + length));
        prop_assert_eq!(same.tag(), clip.tag());
        let later = kept.clip(span(from + 1, from + 1 + length));
        prop_assert_ne!(later.tag(), clip.tag());
    }
}
