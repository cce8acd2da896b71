//! Versions are made once and shared, and who waits is woken when there is something for it.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};

use onair_media::{CodecConfig, Frame, RoomName};
use onair_recorder::{Fragmenter, FragmenterSettings};

use super::*;

const CUT: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

/// A broadcast of sound and pictures, with its window.
struct Broadcast {
    windows: Arc<LiveWindows>,
    window: OpenWindow,
    fragmenter: Fragmenter,
    video: Arc<CodecConfig>,
    audio: Arc<CodecConfig>,
    frames: i64,
}

impl Broadcast {
    fn new() -> Self {
        let (sps, pps) = (&[0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40], &[0x68, 0xce, 0x3c, 0x80]);
        let (sps, pps) = (Bytes::from_static(sps), Bytes::from_static(pps));
        let (target_duration_s, part_target) = (CUT.target_duration_s(), CUT.part_target);
        let settings = WindowSettings { window: Duration::from_secs(60), target_duration_s, part_target };
        let windows = Arc::new(LiveWindows::default());
        let id = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        Self {
            window: windows.open(RoomName::parse("studio").unwrap(), id, settings),
            windows,
            fragmenter: Fragmenter::new(CUT, &[MediaKind::Video, MediaKind::Audio]),
            video: Arc::new(CodecConfig::H264 { sps, pps, width: 1280, height: 720 }),
            audio: Arc::new(CodecConfig::Opus { channels: 2, pre_skip: 0 }),
            frames: 0,
        }
    }

    /// Sends so many tenths of a second of both tracks; pictures last a tenth, sounds half of it.
    fn send(&mut self, tenths: i64) {
        for index in self.frames..self.frames + tenths {
            self.push(MediaKind::Video, index * 9_000, index % 10 == 0);
            self.push(MediaKind::Audio, index * 4_800, true);
            self.push(MediaKind::Audio, index * 4_800 + 2_400, true);
        }
        self.frames += tenths;
    }

    fn push(&mut self, kind: MediaKind, ticks: i64, keyframe: bool) {
        let config = if kind == MediaKind::Video { &self.video } else { &self.audio };
        let data = Bytes::from_static(b"media");
        let frame = Frame { pts_ticks: ticks, dts_ticks: ticks, keyframe, config: Arc::clone(config), data };
        self.fragmenter.push(kind, frame);
    }

    /// Shows what was cut, one by one.
    fn show(&mut self) {
        while let Some(cut) = self.fragmenter.pull() {
            self.window.push(&[cut], DateTime::UNIX_EPOCH);
        }
    }

    fn shared(&self) -> Arc<LiveWindow> {
        self.windows.newest(&RoomName::parse("studio").unwrap()).unwrap()
    }
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_thousand_waiters_get_one_rendering_and_one_wake_each() {
    let mut broadcast = Broadcast::new();
    broadcast.send(51);
    broadcast.show();
    let window = broadcast.shared();
    let before = window.version(MediaKind::Video).unwrap();
    let is_further = |version: &Version| version.progress != before.progress;
    let wait = |_| (Arc::new(Wakes::default()), Box::pin(window.version_when(MediaKind::Video, is_further)));
    let mut waits: Vec<_> = (0..1000).map(wait).collect();
    for (wakes, wait) in &mut waits {
        let waker = Waker::from(Arc::clone(wakes));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    // A second of sound alone changes the report in the playlist of the pictures, and wakes nobody who waits for them.
    broadcast.send(10);
    let cuts: Vec<_> = std::iter::from_fn(|| broadcast.fragmenter.pull()).collect();
    let is_sound = |cut: &&Cut| matches!(cut, Cut::Part(part) if part.kind == MediaKind::Audio);
    let is_picture = |cut: &&Cut| matches!(cut, Cut::Part(part) if part.kind == MediaKind::Video);
    broadcast.window.push(&cuts.iter().filter(is_sound).cloned().collect::<Vec<_>>(), DateTime::UNIX_EPOCH);
    assert!(waits.iter().all(|(wakes, _)| wakes.0.load(Relaxed) == 0));
    broadcast.window.push(&cuts.iter().filter(is_picture).cloned().collect::<Vec<_>>(), DateTime::UNIX_EPOCH);
    let mut texts = Vec::new();
    for (wakes, wait) in &mut waits {
        assert_eq!(wakes.0.load(Relaxed), 1);
        let Poll::Ready(Some(version)) = wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("woken for nothing")
        };
        texts.push((version.full().bytes(Coding::Identity).as_ptr(), version.full().bytes(Coding::Gzip).as_ptr()));
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "one rendering, compressed once");
}

#[test]
fn a_version_lists_only_what_can_be_fetched() {
    let mut broadcast = Broadcast::new();
    for _ in 0..30 {
        broadcast.send(5);
        broadcast.show();
        let Some(version) = broadcast.window.version(MediaKind::Audio) else { continue };
        let text = String::from_utf8(version.full().plain().to_vec()).unwrap();
        for line in text.lines().filter(|line| line.contains(".m4s") && !line.contains("PRELOAD")) {
            let name = line.split('"').nth(1).unwrap_or(line);
            assert!(broadcast.window.object(MediaKind::Audio, MediaName::parse(name).unwrap()).is_some(), "{line}");
        }
    }
}

#[test]
fn nobody_waits_for_a_packager_that_is_gone() {
    let mut broadcast = Broadcast::new();
    broadcast.send(51);
    broadcast.show();
    let window = broadcast.shared();
    let mut wait = pin!(window.version_when(MediaKind::Video, |version| version.progress.ended));
    assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(broadcast);
    assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_broadcast_is_woken_by_its_first_segment() {
    let (mut broadcast, waits) = (Broadcast::new(), Duration::from_secs(5));
    let [studio, other] = ["studio", "other"].map(|name| RoomName::parse(name).unwrap());
    let windows = Arc::clone(&broadcast.windows);
    let mut waiting = pin!(windows.multivariant_when_there(&studio));
    let mut elsewhere = pin!(windows.multivariant_when_there(&other));
    assert!(tokio::time::timeout(waits, &mut waiting).await.is_err());
    // Parts are nothing to begin with, a segment is.
    broadcast.send(30);
    broadcast.show();
    assert!(tokio::time::timeout(waits, &mut waiting).await.is_err());
    assert!(tokio::time::timeout(waits, &mut elsewhere).await.is_err());
    broadcast.send(30);
    broadcast.show();
    assert!(tokio::time::timeout(waits, &mut waiting).await.is_ok());
    // One that has ended is nothing to begin with.
    assert!(!broadcast.window.has_ended());
    broadcast.window.end();
    assert!(broadcast.window.has_ended() && broadcast.window.multivariant().is_some());
    assert!(tokio::time::timeout(waits, windows.multivariant_when_there(&studio)).await.is_err());
    // A broadcast that opens has no segment; the newest one is what is waited for.
    let _opened = windows.open(other.clone(), broadcast.window.id().clone(), broadcast.window.settings);
    assert!(tokio::time::timeout(waits, &mut elsewhere).await.is_err());
}
