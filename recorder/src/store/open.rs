//! From a URL and options to a store.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use url::Url;

use super::{Store, StoreError};

/// Three tries within 20 s: the uploader has its own patience, and a viewer who waits should hear of a failure.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(4), ..BackoffConfig::default() },
        max_retries: 3,
        retry_timeout: Duration::from_secs(20),
    }
}

/// Builds one of the cloud stores: environment first, then the URL, then the options.
macro_rules! cloud {
    ($builder:ty, $url:expr, $options:expr) => {{
        let builder = <$builder>::from_env().with_url($url.as_str()).with_retry(retries());
        let builder = $options.iter().try_fold(builder, |builder, (key, value)| {
            let key = FromStr::from_str(&key.to_ascii_lowercase())
                .map_err(|_| StoreError::Option { key: key.clone(), scheme: $url.scheme().into() })?;
            Ok::<_, StoreError>(builder.with_config(key, value))
        })?;
        Arc::new(builder.build().map_err(|source| StoreError::Open { url: redacted($url), source })?)
    }};
}

impl Store {
    /// Opens the store that a URL names: `file:///…`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory://`.
    ///
    /// `options` are object_store's own keys and override the `AWS_*`, `GOOGLE_*` and `AZURE_*` variables of the
    /// environment. A directory is created when it is missing. Nothing is sent yet to a store in the network.
    ///
    /// # Errors
    /// [`StoreError::Scheme`], [`StoreError::Option`] or [`StoreError::Open`], with the URL but without its password.
    pub fn open(url: &Url, options: &BTreeMap<String, String>) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { url: redacted(url), source };
        let prefix = || Path::from_url_path(url.path()).map_err(|err| open(err.into()));
        let inner: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => return Self::open_directory(url),
            "memory" => Arc::new(InMemory::new()),
            "s3" | "s3a" => cloud!(AmazonS3Builder, url, options),
            "gs" => cloud!(GoogleCloudStorageBuilder, url, options),
            "az" | "azure" | "abfs" | "abfss" => cloud!(MicrosoftAzureBuilder, url, options),
            scheme => return Err(StoreError::Scheme { scheme: scheme.into() }),
        };
        Ok(Self { inner, prefix: prefix()?, keeps_attributes: true })
    }

    /// Opens a directory as a store. What it says is stored survives a power failure, as in a bucket.
    fn open_directory(url: &Url) -> Result<Self, StoreError> {
        let directory = url.to_file_path().map_err(|()| StoreError::Directory {
            url: redacted(url),
            source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a local path"),
        })?;
        std::fs::create_dir_all(&directory).map_err(|source| StoreError::Directory { url: redacted(url), source })?;
        let store = LocalFileSystem::new_with_prefix(&directory)
            .map_err(|source| StoreError::Open { url: redacted(url), source })?;
        let inner = Arc::new(store.with_automatic_cleanup(true).with_fsync(true));
        Ok(Self { inner, prefix: Path::default(), keeps_attributes: false })
    }
}

/// Returns the URL without a password, for messages.
fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that cannot have a password.
    let _ = url.set_password(None);
    url.into()
}
