//! What becomes of an object while the store fails, on virtual time.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use onair_media::MediaKind;
use onair_recorder::Piece;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::*;

const FOR_EVER: usize = usize::MAX;

/// Fails the first puts, then keeps what it is given. Notes what it was asked to put, in order.
#[derive(Debug)]
struct Flaky {
    inner: InMemory,
    failures_left: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Flaky {
    fn new(failures: usize) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), failures_left: failures.into(), asked: Mutex::default() })
    }

    fn ask(&self, path: &Path) -> object_store::Result<()> {
        self.asked.lock().unwrap().push(path.filename().unwrap().to_owned());
        let left = self.failures_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_or(Ok(()), |_| Err(object_store::Error::Generic { store: "flaky", source: "cable pulled".into() }))
    }

    /// Returns how often each object was asked for, in order.
    fn asked(&self) -> Vec<(String, usize)> {
        let asked = self.asked.lock().unwrap();
        asked.chunk_by(|a, b| a == b).map(|same| (same[0].clone(), same.len())).collect()
    }
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("flaky")
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, how: PutOptions) -> object_store::Result<PutResult> {
        self.ask(path)?;
        self.inner.put_opts(path, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.ask(path)?;
        self.inner.put_multipart_opts(path, how).await
    }

    async fn get_opts(&self, path: &Path, how: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(path, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

/// Passes on what the uploader tells.
struct Listener(UnboundedSender<Stored>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Stored> for Listener {
    type Result = ();

    fn handle(&mut self, stored: Stored, _: &mut Self::Context) {
        self.0.send(stored).unwrap();
    }
}

/// An uploader between a spool of its own, removed at the end, and a flaky store.
struct Stage {
    uploader: Addr<Uploader>,
    listener: Addr<Listener>,
    told: UnboundedReceiver<Stored>,
    store: Arc<Flaky>,
    spool: Arc<Spool>,
    directory: PathBuf,
}

impl Stage {
    async fn new(test: &str, failures: usize) -> Self {
        let directory = std::env::temp_dir().join(format!("onair-uploader-{test}-{}", std::process::id()));
        let spool = Arc::new(Spool::open(directory.clone()).await.unwrap());
        let store = Flaky::new(failures);
        let inner: Arc<dyn ObjectStore> = store.clone();
        let uploader = Uploader::new(Arc::new(Store::from(inner)), Arc::clone(&spool)).start();
        let (sender, told) = unbounded_channel();
        Self { uploader, listener: Listener(sender).start(), told, store, spool, directory }
    }

    fn put(&self, name: &str, content: Content) {
        self.uploader.do_send(Put { to: path(name), content, reply: self.listener.clone().recipient() });
    }

    /// Waits for the next thing that is told: its name, and its size or why it was given up.
    async fn next(&mut self) -> (String, Result<u64, String>) {
        let Stored { object, outcome } = self.told.recv().await.unwrap();
        (object.name.as_str().to_owned(), outcome.map(|stored| stored.bytes))
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
    let piece = Piece { kind: MediaKind::Video, object: "video/000001.m4s".into(), range: 2..6 };
    Content::Assembled(Mp4Layout { header: Bytes::from("header"), pieces: vec![piece], total_bytes: 10 })
}

fn times(name: &str, times: usize) -> (String, usize) {
    (name.to_owned(), times)
}

#[test]
fn what_fails_is_tried_again_and_nothing_overtakes_it() {
    run(async {
        let mut stage = Stage::new("again", 5).await;
        stage.spool.write(&path("video/000001.m4s"), b"0123456789").await.unwrap();
        let began = Instant::now();
        stage.put("video/000001.m4s", Content::Spooled);
        stage.put("index.m3u8", bytes());
        stage.put("recording.mp4", mp4());
        stage.put("recording.json", bytes());
        assert_eq!(stage.next().await, ("video/000001.m4s".into(), Ok(10)));
        // 0.5 + 1 + 2 + 4 + 8 s, each from half to one and a half of it.
        let waited = began.elapsed().as_secs_f64();
        assert!((7.75..23.25).contains(&waited), "{waited} s");
        for (name, size) in [("index.m3u8", 2), ("recording.mp4", 10), ("recording.json", 2)] {
            assert_eq!(stage.next().await, (name.into(), Ok(size)));
        }
        let once = ["index.m3u8", "recording.mp4", "recording.json"].map(|name| times(name, 1));
        assert_eq!(stage.store.asked(), [&[times("000001.m4s", 6)], once.as_slice()].concat());

        let state = stage.uploader.send(Observe).await.unwrap();
        assert_eq!([&state["stored"], &state["failed_attempts"], &state["refused"]], [4, 5, 0]);
        assert!(stage.told.try_recv().is_err(), "each is told once");
    });
}

/// Regression: an MP4 that a store would not take kept its recording from ever being sealed.
#[test]
fn only_the_mp4_is_given_up() {
    run(async {
        let mut stage = Stage::new("only", 20 + 30).await;
        stage.spool.write(&path("video/000001.m4s"), b"0123456789").await.unwrap();
        stage.put("recording.mp4", mp4());
        stage.put("recording.json", bytes());
        let why =
            "failed 20 times: put studio-1/20261122T063000Z-7f3a9c/recording.mp4: Generic flaky error: cable pulled";
        assert_eq!(stage.next().await, ("recording.mp4".into(), Err(why.into())));
        assert_eq!(stage.next().await, ("recording.json".into(), Ok(2)));
        assert_eq!(stage.store.asked(), [times("recording.mp4", 20), times("recording.json", 31)]);
    });
}

/// Regression: it was tried for ever, and the manifest waited behind it.
#[test]
fn an_mp4_whose_segment_is_gone_is_given_up_at_once() {
    run(async {
        let mut stage = Stage::new("gone", 0).await;
        let began = Instant::now();
        stage.put("recording.mp4", mp4());
        stage.put("recording.json", bytes());
        let (name, outcome) = stage.next().await;
        let why = outcome.unwrap_err();
        assert!(name == "recording.mp4" && why.contains("video/000001.m4s: No such file"), "{why}");
        assert_eq!(stage.next().await, ("recording.json".into(), Ok(2)));
        assert_eq!(stage.store.asked(), [times("recording.json", 1)]);
        assert!(began.elapsed() < FIRST_BACKOFF / 2);
    });
}

/// Regression: a recording whose queue was full could not be sealed, for its manifest was refused too.
#[test]
fn a_full_queue_refuses_segments_alone() {
    run(async {
        let mut stage = Stage::new("full", FOR_EVER).await;
        // The first is under way, the others wait.
        stage.put("index.m3u8", bytes());
        for _ in 0..MAX_WAITING {
            stage.put("video/000001.m4s", Content::Spooled);
        }
        stage.put("video/000002.m4s", Content::Spooled);
        for (name, content) in [("index.m3u8", bytes()), ("recording.mp4", mp4()), ("recording.json", bytes())] {
            stage.put(name, content);
        }
        let state = stage.uploader.send(Observe).await.unwrap();
        assert_eq!([&state["waiting"], &state["refused"]], [MAX_WAITING + 3, 1]);
        let refused = Err("too many objects wait for the store".into());
        assert_eq!(stage.next().await, ("video/000002.m4s".into(), refused));
        assert!(stage.told.try_recv().is_err());
    });
}
