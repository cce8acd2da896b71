//! What becomes of an object while the store fails, on virtual time.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use onair_media::{MediaKind, RecordingId, RoomName};
use onair_recorder::{Fsync, ObjectName, Piece, SpoolSettings};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::flaky::{FOR_EVER, Flaky};
use super::*;

/// Passes on what the uploader tells.
struct Listener(UnboundedSender<Done>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Done> for Listener {
    type Result = ();

    fn handle(&mut self, done: Done, _: &mut Self::Context) {
        self.0.send(done).unwrap();
    }
}

/// An uploader between a spool of its own, removed at the end, and a flaky store.
struct Stage {
    uploader: Addr<Uploader>,
    listener: Addr<Listener>,
    told: UnboundedReceiver<Done>,
    store: Arc<Flaky>,
    directory: PathBuf,
}

impl Stage {
    fn new(test: &str, store: Flaky) -> Self {
        let directory = std::env::temp_dir().join(format!("onair-uploader-{test}-{}", std::process::id()));
        let settings = SpoolSettings { max_bytes: 1 << 30, min_free_bytes: 0, fsync: Fsync::Never };
        let spool = Arc::new(Spool::open(directory.clone(), settings).unwrap());
        let store = Arc::new(store);
        let inner: Arc<dyn ObjectStore> = store.clone();
        let uploader = Uploader::new(Arc::new(Store::from(inner)), spool).start();
        let (sender, told) = unbounded_channel();
        Self { uploader, listener: Listener(sender).start(), told, store, directory }
    }

    /// Leaves a segment in the spool.
    fn spool(&self, name: &str, bytes: &[u8]) {
        let file = self.directory.join("studio-1/20261122T063000Z-7f3a9c").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    fn put(&self, name: &str, content: Content) {
        self.uploader.do_send(Put { to: path(name), content, reply: self.listener.clone().recipient() });
    }

    /// Waits for the next thing that is told: its name, and its size or why it was given up.
    async fn next(&mut self) -> (String, Result<u64, PutFailure>) {
        let Done { object, outcome } = self.told.recv().await.unwrap();
        (object.name.as_str().to_owned(), outcome.map(|outcome| outcome.bytes()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(test);
}

fn path(name: &str) -> ObjectPath {
    let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
    ObjectPath::new(&RoomName::parse("studio-1").unwrap(), &recording, ObjectName::parse(name).unwrap())
}

fn bytes() -> Content {
    Content::Bytes(Bytes::from("{}"))
}

/// An MP4 of ten bytes, four of which come from the first segment.
fn mp4() -> Content {
    let piece = Piece { kind: MediaKind::Video, msn: 1, range: 2..6 };
    Content::Whole(vec![Source::Zeros(6), Source::Piece(piece)], 10)
}

#[test]
fn what_fails_is_tried_again() {
    run(async {
        let mut stage = Stage::new("again", Flaky::failing(5));
        stage.spool("video/000001.m4s", b"0123456789");
        let began = Instant::now();
        stage.put("video/000001.m4s", Content::Spooled(10));
        assert_eq!(stage.next().await, ("video/000001.m4s".into(), Ok(10)));
        // 0.5 + 1 + 2 + 4 + 8 s, each from half of it on.
        let waited = began.elapsed().as_secs_f64();
        assert!((7.75..23.25).contains(&waited), "{waited} s");
        assert_eq!(stage.store.asked(), [("000001.m4s".to_owned(), 6)]);
        let state = stage.uploader.send(Observe).await.unwrap();
        assert_eq!([&state["stored"], &state["failed_attempts"], &state["waiting"]], [1, 5, 0]);
        assert!(stage.told.try_recv().is_err(), "it is told once");
    });
}

#[test]
fn a_store_that_forgets_what_it_took_is_not_believed() {
    run(async {
        let mut stage = Stage::new("lies", Flaky { lies_left: 2.into(), ..Flaky::default() });
        stage.put("recording.json", bytes());
        assert_eq!(stage.next().await, ("recording.json".into(), Ok(2)));
        assert_eq!(stage.store.asked(), [("recording.json".to_owned(), 3)]);
    });
}

/// Regression: an MP4 that a store would not take kept its recording from ever being sealed.
#[test]
fn an_mp4_that_the_store_refuses_is_given_up() {
    run(async {
        let mut stage = Stage::new("only", Flaky::failing(FOR_EVER));
        stage.spool("video/000001.m4s", b"0123456789");
        stage.put("recording.mp4", mp4());
        let why =
            "failed 20 times: put studio-1/20261122T063000Z-7f3a9c/recording.mp4: Generic flaky error: cable pulled";
        assert_eq!(stage.next().await, ("recording.mp4".into(), Err(PutFailure::Refused(why.into()))));
    });
}

#[test]
fn nothing_is_given_up_while_the_store_is_dead() {
    run(async {
        let mut stage = Stage::new("dead", Flaky { is_dead: true.into(), ..Flaky::failing(30) });
        stage.spool("video/000001.m4s", b"0123456789");
        stage.put("recording.mp4", mp4());
        // It takes puts again, but the questions after them fail.
        let store = Arc::clone(&stage.store);
        while store.failures_left.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        store.is_dead.store(false, Ordering::Relaxed);
        assert_eq!(stage.next().await, ("recording.mp4".into(), Ok(10)));
    });
}

/// Regression: it was tried for ever, and the manifest waited behind it.
#[test]
fn an_mp4_whose_segment_is_gone_is_given_up_at_once() {
    run(async {
        let mut stage = Stage::new("gone", Flaky::default());
        let began = Instant::now();
        stage.put("recording.mp4", mp4());
        let (name, outcome) = stage.next().await;
        let why = outcome.unwrap_err();
        assert!(name == "recording.mp4" && matches!(why, PutFailure::Lost(_)), "{why}");
        assert_eq!(stage.store.asked(), []);
        assert!(began.elapsed() < FIRST_BACKOFF / 2);
    });
}

/// A link to itself is there and cannot be opened, as a file when too many are open.
fn block(stage: &Stage) -> PathBuf {
    let file = stage.directory.join("studio-1/20261122T063000Z-7f3a9c/video/000001.m4s");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    file
}

/// Regression: one failure to read a file that was there lost the segment, and the MP4 that needed it.
#[test]
fn what_cannot_be_read_for_a_moment_is_not_lost() {
    run(async {
        let mut stage = Stage::new("moment", Flaky::default());
        let file = block(&stage);
        stage.put("video/000001.m4s", Content::Spooled(10));
        stage.put("recording.mp4", mp4());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(stage.told.try_recv().is_err(), "nothing is given up yet");
        std::fs::remove_file(file).unwrap();
        stage.spool("video/000001.m4s", b"0123456789");
        let mut told = [stage.next().await, stage.next().await];
        told.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(told, [("recording.mp4".into(), Ok(10)), ("video/000001.m4s".into(), Ok(10))]);
    });
}

/// The manifest waits behind it.
#[test]
fn what_can_never_be_read_is_given_up() {
    run(async {
        let mut stage = Stage::new("never", Flaky::default());
        block(&stage);
        stage.put("video/000001.m4s", Content::Spooled(10));
        let (_, outcome) = stage.next().await;
        assert!(matches!(outcome, Err(PutFailure::Lost(_))), "{outcome:?}");
    });
}

#[test]
fn a_segment_that_the_spool_let_go_is_read_from_the_store() {
    run(async {
        let mut stage = Stage::new("let-go", Flaky::default());
        stage.spool("video/000001.m4s", b"0123456789");
        stage.put("video/000001.m4s", Content::Spooled(10));
        stage.next().await.1.unwrap();
        std::fs::remove_file(stage.directory.join("studio-1/20261122T063000Z-7f3a9c/video/000001.m4s")).unwrap();
        stage.put("recording.mp4", mp4());
        assert_eq!(stage.next().await, ("recording.mp4".into(), Ok(10)));
        let stored =
            stage.store.inner.get(&Path::from("studio-1/20261122T063000Z-7f3a9c/recording.mp4")).await.unwrap();
        assert_eq!(stored.bytes().await.unwrap(), Bytes::from_static(b"\0\0\0\0\0\x002345"));
    });
}

#[test]
fn only_so_many_bytes_are_on_their_way() {
    run(async {
        let mut stage = Stage::new("bytes", Flaky { takes: Duration::from_secs(1), ..Flaky::default() });
        for number in 1..=20 {
            let name = format!("video/{number:06}.m4s");
            stage.spool(&name, b"0123456789");
            // Said to be large: what counts is what was said.
            stage.put(&name, Content::Spooled(BYTES_AT_ONCE / 4));
        }
        for _ in 0..20 {
            stage.next().await.1.unwrap();
        }
        assert_eq!(stage.store.most_at_once.load(Ordering::Relaxed), 4);
    });
}
