//! What a window lists, serves and forgets, by the rules of PROTOCOLS C.

use hls_m3u8::MediaPlaylist;

use super::*;
use crate::testing::{broadcast, frame, h264, opus, pull};
use crate::{Fragmenter, FragmenterSettings};

const SETTINGS: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

pub(super) fn window(seconds: u64) -> (Fragmenter, Window) {
    let fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]);
    let window = Window::new(WindowSettings {
        window: Duration::from_secs(seconds),
        target_duration_s: SETTINGS.target_duration_s(),
        part_target: SETTINGS.part_target,
    });
    (fragmenter, window)
}

pub(super) fn feed(fragmenter: &mut Fragmenter, window: &mut Window) {
    pull(fragmenter).all.iter().for_each(|cut| window.push(cut, DateTime::UNIX_EPOCH));
}

fn text(window: &Window, kind: MediaKind) -> String {
    window.media_playlist(kind).unwrap().text
}

/// Reads the base of a playlist with a parser that knows RFC 8216 only: there is no segment yet where its tags stand.
fn parse(text: &str) -> MediaPlaylist<'static> {
    let is_whole = text.contains("#EXT-X-ENDLIST");
    let text = if is_whole { text } else { &text[..text.rfind(".m4s\n").unwrap() + 5] };
    let is_known = |line: &&str| {
        let new = ["#EXT-X-SERVER-CONTROL", "#EXT-X-PART", "#EXT-X-PRELOAD-HINT", "#EXT-X-RENDITION-REPORT"];
        !new.iter().any(|tag| line.starts_with(tag))
    };
    let lines: Vec<_> = text.lines().filter(is_known).collect();
    let known = lines.join("\n").replace("#EXT-X-VERSION:9", "#EXT-X-VERSION:7") + "\n";
    MediaPlaylist::try_from(known.as_str()).unwrap().into_owned()
}

fn names(text: &str, tag: &str) -> Vec<MediaName> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(tag)?.split("URI=\"").nth(1)?.split('"').next());
    lines.map(|name| MediaName::parse(name).unwrap()).collect()
}

/// L4, L5, L6, L7: the whole text of an ended playlist.
#[test]
fn l4_an_ended_playlist_has_dates_discontinuities_and_an_end() {
    let (mut fragmenter, mut window) = window(60);
    assert!(window.media_playlist(MediaKind::Video).is_none());
    broadcast(&mut fragmenter, 0, 5, 1);
    fragmenter.discontinuity();
    broadcast(&mut fragmenter, 7, 1, 1);
    fragmenter.finish();
    feed(&mut fragmenter, &mut window);
    window.end();
    let text = text(&window, MediaKind::Video);
    let parts = |msn: u64, count: u32| -> String {
        // Keyframes come every second, parts every half: every other part begins with one.
        let independent = |index| if index % 2 == 0 { ",INDEPENDENT=YES" } else { "" };
        let part = |index| format!("#EXT-X-PART:DURATION=0.50000,URI=\"{msn:06}.{index}.m4s\"{}\n", independent(index));
        (0..count).map(part).collect()
    };
    let expected = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:6\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.50000,HOLD-BACK=18,CAN-SKIP-UNTIL=36\n\
        #EXT-X-PART-INF:PART-TARGET=0.50000\n#EXT-X-MEDIA-SEQUENCE:1\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"init-1.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n{}#EXTINF:4.00000,\n000001.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n{}#EXTINF:1.00000,\n000002.m4s\n\
        #EXT-X-DISCONTINUITY\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:07.000Z\n{}#EXTINF:1.00000,\n000003.m4s\n#EXT-X-ENDLIST\n",
        parts(1, 8),
        parts(2, 2),
        parts(3, 2)
    );
    assert_eq!(text, expected);
    assert_eq!(parse(&text).segments.num_elements(), 3);
}

/// L7, L8, L9: what grows is listed part by part, what comes next is hinted at, and the other rendition is reported.
#[test]
fn l7_l8_l9_the_end_of_a_live_playlist_is_parts_a_hint_and_a_report() {
    let (mut fragmenter, mut window) = window(60);
    broadcast(&mut fragmenter, 0, 6, 1);
    feed(&mut fragmenter, &mut window);
    // The newest frame waits for its duration, so the last part of 6 s is open, and of sound a little more.
    let video = text(&window, MediaKind::Video);
    assert!(
        video.ends_with(
            "000001.m4s\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n\
        #EXT-X-PART:DURATION=0.50000,URI=\"000002.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.50000,URI=\"000002.1.m4s\"\n\
        #EXT-X-PART:DURATION=0.50000,URI=\"000002.2.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"000002.3.m4s\"\n\
        #EXT-X-RENDITION-REPORT:URI=\"../audio/index.m3u8\",LAST-MSN=2,LAST-PART=2\n"
        ),
        "{video}"
    );
    assert_eq!(parse(&video).segments.num_elements(), 1);
    let audio = text(&window, MediaKind::Audio);
    // Sound can be decoded from anywhere.
    assert!(
        audio.lines().filter(|line| line.starts_with("#EXT-X-PART:")).all(|line| line.ends_with("INDEPENDENT=YES"))
    );
    assert!(audio.contains("RENDITION-REPORT:URI=\"../video/index.m3u8\",LAST-MSN=2,LAST-PART=2\n"), "{audio}");
}

/// The bytes of the parts, one after another, are the segment; a part keeps its bytes when its segment is whole.
#[test]
fn parts_are_the_bytes_of_their_segment() {
    let (mut fragmenter, mut window) = window(60);
    broadcast(&mut fragmenter, 0, 3, 1);
    feed(&mut fragmenter, &mut window);
    let early: Vec<_> = (0..5).map(|part| window.object(MediaKind::Video, MediaName::Part(1, part)).unwrap()).collect();
    assert!(window.object(MediaKind::Video, MediaName::Part(1, 5)).is_none());
    assert!(window.object(MediaKind::Video, MediaName::Segment(1)).is_none());
    broadcast(&mut fragmenter, 3, 3, 1);
    feed(&mut fragmenter, &mut window);
    let parts: Vec<_> = (0..8).map(|part| window.object(MediaKind::Video, MediaName::Part(1, part)).unwrap()).collect();
    assert_eq!(&parts[..5], &early);
    assert_eq!(window.object(MediaKind::Video, MediaName::Segment(1)).unwrap(), parts.concat());
    assert!(window.object(MediaKind::Video, MediaName::Part(1, 8)).is_none());
}

/// L3, L7: parts leave the list three target durations before its end and can be fetched for as long as their segment.
#[test]
fn l3_old_parts_are_served_but_not_listed() {
    let (mut fragmenter, mut window) = window(60);
    broadcast(&mut fragmenter, 0, 40, 1);
    feed(&mut fragmenter, &mut window);
    // 39.5 s are listed, 9 segments of 4 s and 7 parts: what ends before 21.5 s has lost its parts, that is 1 to 5.
    let text = text(&window, MediaKind::Video);
    assert_eq!(names(&text, "#EXT-X-PART:").first(), Some(&MediaName::Part(6, 0)));
    assert!(window.object(MediaKind::Video, MediaName::Part(1, 0)).is_some());
}

/// L10, L14: a delta is the playlist without what lies before the skip boundary.
#[test]
fn l10_a_delta_skips_what_is_six_target_durations_old() {
    let (mut fragmenter, mut window) = window(60);
    broadcast(&mut fragmenter, 0, 38, 1);
    feed(&mut fragmenter, &mut window);
    // 37.5 s: the first segment ends at 4 s, less than 36 s before the end.
    assert!(window.media_playlist(MediaKind::Video).unwrap().delta().is_none());
    broadcast(&mut fragmenter, 38, 10, 1);
    feed(&mut fragmenter, &mut window);
    // 47.5 s: 1 and 2 end before 11.5 s.
    let playlist = window.media_playlist(MediaKind::Video).unwrap();
    let delta = playlist.delta().unwrap();
    assert!(
        delta.contains(
            "#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:08.000Z\n#EXTINF:4.00000,\n000003.m4s\n"
        ),
        "{delta}"
    );
    let (head, rest) = delta.split_once("#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n").unwrap();
    assert!(playlist.text.starts_with(head) && playlist.text.ends_with(rest));
    window.end();
    assert!(window.media_playlist(MediaKind::Video).unwrap().delta().is_none());
}

/// L6: a short window has nothing to skip, and does not say that it could.
#[test]
fn l6_a_window_of_six_target_durations_promises_no_deltas() {
    let (mut fragmenter, mut window) = window(36);
    broadcast(&mut fragmenter, 0, 80, 1);
    feed(&mut fragmenter, &mut window);
    let playlist = window.media_playlist(MediaKind::Video).unwrap();
    assert!(!playlist.text.contains("CAN-SKIP-UNTIL") && playlist.delta().is_none(), "{}", playlist.text);
}

#[test]
fn l3_what_is_listed_is_served_and_what_is_old_is_forgotten() {
    // A window of 20 s: 5 segments of 4 s are listed, and served for 20 s more.
    let (mut fragmenter, mut window) = window(20);
    for round in 0..20 {
        broadcast(&mut fragmenter, round * 4, 4, 1);
        feed(&mut fragmenter, &mut window);
    }
    // 20 rounds; the last segment still waits for its end. So 19 are cut, 15 to 19 listed.
    let text = text(&window, MediaKind::Audio);
    let parsed = parse(&text);
    assert_eq!((parsed.media_sequence, parsed.segments.num_elements()), (15, 5));
    let is_there = |name| window.object(MediaKind::Audio, MediaName::parse(name).unwrap()).is_some();
    for segment in parsed.segments.values() {
        assert!(is_there(segment.uri()));
    }
    // The longest list was 24 s and an open segment of 6 s at most; with its own 4 s each is served for 34 s more: until
    // 9 newer ones have come.
    assert!(is_there("000006.m4s") && is_there("000006.0.m4s") && !is_there("000005.m4s") && !is_there("000005.0.m4s"));
    assert!(is_there("init-1.mp4") && !is_there("init-2.mp4"));
    // What comes next may have to be cut without a keyframe.
    assert!(!window.multivariant("").unwrap().unwrap().contains("INDEPENDENT-SEGMENTS"));
}

#[test]
fn l1_discontinuities_that_left_the_list_are_counted() {
    let (mut fragmenter, mut window) = window(1);
    for round in 0..20 {
        broadcast(&mut fragmenter, round * 6, 4, 1);
        fragmenter.discontinuity();
    }
    feed(&mut fragmenter, &mut window);
    // 20 segments, flagged from the second on. 3 x 6 s need 5 segments of 4 s: 16 to 20; 2 to 15 are gone.
    let text = text(&window, MediaKind::Video);
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:16\n#EXT-X-DISCONTINUITY-SEQUENCE:14\n#EXT-X-DISCONTINUITY\n"));
}

#[test]
fn l4_a_number_without_media_is_a_gap() {
    let (mut fragmenter, mut window) = window(60);
    broadcast(&mut fragmenter, 0, 5, 1);
    // Sound stops at 5 s and comes back at 20 s.
    for index in 150..600 {
        fragmenter.push(MediaKind::Video, frame(&h264(), index * 3_000, index % 30 == 0));
    }
    broadcast(&mut fragmenter, 20, 6, 1);
    fragmenter.finish();
    feed(&mut fragmenter, &mut window);
    let text = text(&window, MediaKind::Audio);
    assert!(text.contains("#EXT-X-GAP\n#EXTINF:4.00000,\n000004.m4s\n"), "{text}");
    let numbers = |kind| parse(&window.media_playlist(kind).unwrap().text).segments.num_elements();
    assert_eq!(numbers(MediaKind::Audio), numbers(MediaKind::Video));
    assert_eq!(text.matches("DISCONTINUITY\n").count(), 1);
}

/// L2: in media time, which is what a live publisher's clock is; with one keyframe in the beginning and none after it.
#[test]
fn l2_a_part_comes_within_a_part_target_and_a_segment_within_one_and_a_half_target_durations() {
    const FRAMES_A_SECOND: i64 = 30;
    let (mut fragmenter, mut window) = window(60);
    let (video, audio) = (h264(), opus());
    let (mut audio_ticks, mut newest, mut grown_at, mut longer_at) = (0, None, 0, 0);
    for index in 0..60 * FRAMES_A_SECOND {
        while audio_ticks * FRAMES_A_SECOND < index * 48_000 {
            fragmenter.push(MediaKind::Audio, frame(&audio, audio_ticks, true));
            audio_ticks += 960;
        }
        fragmenter.push(MediaKind::Video, frame(&video, index * 3_000, index == 0));
        feed(&mut fragmenter, &mut window);
        let Some(playlist) = window.media_playlist(MediaKind::Video) else { continue };
        let (msn, _) = playlist.progress.newest();
        let Some(before) = newest.replace(playlist.progress.newest()) else {
            (grown_at, longer_at) = (index, index);
            continue;
        };
        if newest != Some(before) {
            // A frame more, because a part is known to be whole when the frame behind it comes.
            assert!(index - grown_at <= FRAMES_A_SECOND / 2 + 1, "no part from frame {grown_at} to {index}");
            grown_at = index;
        }
        if msn != before.0 {
            let limit = i64::from(SETTINGS.target_duration_s()) * FRAMES_A_SECOND * 3 / 2;
            assert!(index - longer_at <= limit, "no segment from frame {longer_at} to {index}");
            longer_at = index;
        }
    }
    assert!(newest.is_some_and(|(msn, _)| msn >= 9), "{newest:?}");
}

#[test]
fn l5_both_renditions_promise_the_same_and_every_codec_is_named() {
    let (mut fragmenter, mut window) = window(60);
    broadcast(&mut fragmenter, 0, 10, 1);
    feed(&mut fragmenter, &mut window);
    let promises = |kind| {
        let text = text(&window, kind);
        ["#EXT-X-TARGETDURATION:", "#EXT-X-SERVER-CONTROL:", "#EXT-X-PART-INF:"]
            .map(|tag| text.lines().find(|line| line.starts_with(tag)).expect(tag).to_owned())
    };
    assert_eq!(promises(MediaKind::Video), promises(MediaKind::Audio));
    let multivariant = window.multivariant("").unwrap().unwrap();
    assert!(multivariant.contains("CODECS=\"avc1.") && multivariant.contains(",opus\""), "{multivariant}");
}
