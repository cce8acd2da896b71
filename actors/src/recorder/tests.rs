//! What becomes of a recording while the store fails, on virtual time.

use std::sync::atomic::Ordering;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use onair_media::{CodecConfig, MediaKind};
use onair_recorder::manifest::Manifest;
use onair_recorder::{Fsync, Init, Part, Sample, Segment, Spool, SpoolSettings, Store, journal};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::events::Events;
use crate::pictures::Pictures;
use crate::recovery::{Recovery, TakeUp};
use crate::uploader::Uploader;
use crate::uploader::flaky::{FOR_EVER, Flaky};

/// Passes on what a recorder tells.
struct Listener(UnboundedSender<RecordingDone>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<RecordingDone> for Listener {
    type Result = ();

    fn handle(&mut self, done: RecordingDone, _: &mut Self::Context) {
        self.0.send(done).unwrap();
    }
}

/// The way from a spool of its own to a flaky store.
struct Stage {
    archive: Arc<Archive>,
    store: Arc<Flaky>,
    listener: Addr<Listener>,
    told: UnboundedReceiver<RecordingDone>,
    directory: TempDir,
}

impl Stage {
    fn new(store: Flaky) -> Self {
        let directory = TempDir::new().unwrap();
        let settings = SpoolSettings { max_bytes: 1 << 30, min_free_bytes: 0, fsync: Fsync::Never };
        let spool = Arc::new(Spool::open(directory.path().to_owned(), settings).unwrap());
        let flaky = Arc::new(store);
        let inner: Arc<dyn ObjectStore> = flaky.clone();
        let store = Arc::new(Store::from(inner));
        let uploader = Uploader::new(Arc::clone(&store), Arc::clone(&spool)).start();
        let pictures = Arc::new(Pictures::new(false));
        let archive = Arc::new(Archive { spool, uploader, store, events: Events::new(), pictures });
        let (sender, told) = unbounded_channel();
        Self { archive, store: flaky, listener: Listener(sender).start(), told, directory }
    }

    fn begun() -> Begun {
        Begun {
            version: journal::VERSION,
            room: RoomName::parse("studio-1").unwrap(),
            recording: RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(),
            epoch: DateTime::UNIX_EPOCH,
            server: "onair test".into(),
            target_duration_s: 6,
            mp4: false,
        }
    }

    fn record(&self) -> Addr<Recorder> {
        let listeners = Listeners { spooled: None, done: self.listener.clone().recipient() };
        Recorder::new(Self::begun(), Arc::clone(&self.archive), listeners).start()
    }

    async fn done(&mut self) -> RecordingEnd {
        self.told.recv().await.unwrap().end
    }

    async fn object(&self, name: &str) -> Option<Bytes> {
        let path = Path::from(format!("studio-1/20261122T063000Z-7f3a9c/{name}"));
        match self.store.inner.get(&path).await {
            Ok(object) => Some(object.bytes().await.unwrap()),
            Err(_) => None,
        }
    }

    fn is_spool_empty(&self) -> bool {
        !self.directory.path().join("studio-1").exists()
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(test);
}

/// Two seconds of sound in one segment, and what decodes them.
fn cuts() -> Vec<Cut> {
    let config = Arc::new(CodecConfig::Opus { channels: 2, pre_skip: 0 });
    let bytes = Bytes::from_static(b"not read by anybody");
    let size = bytes.len() as u32;
    let sample = Sample { size, duration_ticks: 96_000, composition_offset_ticks: 0, sync: true };
    let part = Arc::new(Part {
        kind: MediaKind::Audio,
        msn: 1,
        index: 0,
        init: 1,
        discontinuity: false,
        independent: true,
        start_ticks: 0,
        duration_ticks: 96_000,
        bytes,
        payload_offset: 0,
        samples: vec![sample],
    });
    let segment = Segment::of_parts(vec![Arc::clone(&part)]).unwrap();
    let init = Init { kind: MediaKind::Audio, index: 1, config, bytes: Bytes::from_static(b"nor this") };
    vec![Cut::Init(init), Cut::Part(part), Cut::Segment(Arc::new(segment))]
}

/// Each ended broadcast kept its packager and its recorder for as long as the store was away, and the ninth of a room had
/// neither HLS nor a recording.
#[test]
fn an_ended_recording_that_the_store_does_not_take_is_taken_up_later() {
    run(async {
        let mut stage = Stage::new(Flaky::failing(FOR_EVER));
        let recorder = stage.record();
        for cut in cuts() {
            recorder.send(Record(cut)).await.unwrap();
        }
        recorder.send(StopRecording).await.unwrap();
        assert_eq!(stage.done().await, RecordingEnd::Left);
        // Nothing goes on trying.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let asked = stage.store.asked();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(stage.store.asked(), asked);

        stage.store.failures_left.store(0, Ordering::Relaxed);
        let recovery = Recovery::new(Arc::clone(&stage.archive), Vec::new()).start();
        let (room, recording) = stage.archive.spool.left().unwrap().remove(0);
        recovery.do_send(TakeUp { room, recording, done: stage.listener.clone().recipient() });
        assert_eq!(stage.done().await, RecordingEnd::Stored);
        let manifest: Manifest = serde_json::from_slice(&stage.object("recording.json").await.unwrap()).unwrap();
        assert_eq!((manifest.state, manifest.segments.len(), manifest.gaps.len()), (RecordingState::Complete, 1, 0));
        assert!(stage.is_spool_empty());
    });
}

/// It ended as a manifest of nothing, and where another process took it up, it stayed in the spool besides.
#[test]
fn a_recording_without_media_leaves_nothing() {
    for takes_up in [false, true] {
        run(async {
            let mut stage = Stage::new(Flaky::default());
            let recorder = stage.record();
            recorder.send(Record(cuts().swap_remove(0))).await.unwrap();
            if takes_up {
                // Written, and nobody is there any more.
                eventually_spooled(&stage).await;
                drop(recorder);
                assert!(matches!(stage.done().await, RecordingEnd::GivenUp(_)));
                let left = stage.archive.spool.left().unwrap();
                let recovery = Recovery::new(Arc::clone(&stage.archive), Vec::new()).start();
                for (room, recording) in left {
                    recovery.do_send(TakeUp { room, recording, done: stage.listener.clone().recipient() });
                }
            } else {
                recorder.send(StopRecording).await.unwrap();
            }
            assert_eq!(stage.done().await, RecordingEnd::Empty);
            assert!(stage.is_spool_empty() && stage.store.asked().is_empty());
        });
    }
}

/// A disk that lost power had forgotten the segments that were stored, and they were removed as those of an empty recording.
#[test]
fn what_the_store_has_of_a_lost_journal_stays() {
    run(async {
        let mut stage = Stage::new(Flaky::default());
        let begun = Stage::begun();
        let mut writer = SpoolWriter::create(Arc::clone(&stage.archive.spool), &begun).unwrap();
        writer.cut(&cuts()[0]).unwrap();
        writer.note(Entry::InitStored { kind: MediaKind::Audio, index: 1, bytes: 8, sha256: "00ff".into() });
        writer.flush().unwrap();
        drop(writer);
        for name in ["init-1.mp4", "000001.m4s"] {
            let path = Path::from(format!("{}/{}/audio/{name}", begun.room, begun.recording));
            stage.store.inner.put(&path, "something".into()).await.unwrap();
        }
        let recovery = Recovery::new(Arc::clone(&stage.archive), Vec::new()).start();
        let done = stage.listener.clone().recipient();
        recovery.do_send(TakeUp { room: begun.room, recording: begun.recording, done });
        assert!(matches!(stage.done().await, RecordingEnd::GivenUp(_)));
        assert!(stage.object("audio/000001.m4s").await.is_some() && stage.object("audio/init-1.mp4").await.is_some());
        assert!(stage.is_spool_empty());
    });
}

/// Waits until the initialisation segment is in the spool.
async fn eventually_spooled(stage: &Stage) {
    let init = stage.directory.path().join("studio-1/20261122T063000Z-7f3a9c/audio/init-1.mp4");
    while !init.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Slow is not away.
#[test]
fn an_ended_recording_that_goes_to_the_store_is_not_left() {
    run(async {
        let mut stage = Stage::new(Flaky { takes: LEAVE_AFTER / 2, ..Flaky::default() });
        let recorder = stage.record();
        for cut in cuts() {
            recorder.send(Record(cut)).await.unwrap();
        }
        recorder.send(StopRecording).await.unwrap();
        assert_eq!(stage.done().await, RecordingEnd::Stored);
        assert!(stage.is_spool_empty());
    });
}
