//! A store that fails as a test says.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};

/// So many failures that it never gets well by itself.
pub(crate) const FOR_EVER: usize = usize::MAX;

/// Fails the first puts, then keeps what it is given. Notes what it was asked to put, in order.
#[derive(Debug, Default)]
pub(crate) struct Flaky {
    pub(crate) inner: InMemory,
    pub(crate) failures_left: AtomicUsize,
    /// How many puts are answered with success and forgotten.
    pub(crate) lies_left: AtomicUsize,
    /// Whether questions fail as well.
    pub(crate) is_dead: AtomicBool,
    /// How long a put takes.
    pub(crate) takes: Duration,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
}

impl Flaky {
    pub(crate) fn failing(failures: usize) -> Self {
        Self { failures_left: failures.into(), ..Self::default() }
    }

    fn ask(&self, path: &Path) -> object_store::Result<()> {
        self.asked.lock().unwrap().push(path.filename().unwrap().to_owned());
        if take_one(&self.failures_left) { Err(Self::broken()) } else { Ok(()) }
    }

    fn broken() -> object_store::Error {
        object_store::Error::Generic { store: "flaky", source: "cable pulled".into() }
    }

    /// Returns how often each object was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<(String, usize)> {
        let asked = self.asked.lock().unwrap();
        asked.chunk_by(|a, b| a == b).map(|same| (same[0].clone(), same.len())).collect()
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
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
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        if take_one(&self.lies_left) {
            return Ok(PutResult { e_tag: None, version: None, extensions: Default::default() });
        }
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
        if self.is_dead.load(Ordering::Relaxed) {
            return Err(Self::broken());
        }
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
