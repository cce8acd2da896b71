//! From a URL and options to a store.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

use super::memory::InMemoryUploads;
use super::staged::Staging;
use super::{Store, StoreError, Taken};

/// How long a connection may take to come about, and a request from its first byte to its answer's last, unless the
/// options say otherwise. Two parts of 8 MiB at once are through in 5 min at 450 kbit/s; in the library's 30 s they
/// would need 4.5 Mbit/s, and an upload whose parts never arrive begins again for ever.
const CLIENT_DEFAULTS: [(&str, &str); 2] = [("connect_timeout", "10s"), ("timeout", "5m")];

/// Three tries more, of which the last begins within 6 min, so that a part which broke off at the request timeout is
/// sent once more before the whole upload begins again. A store that refuses at once is given up within seconds: the
/// uploader has its own patience, and a viewer who waits should hear of a failure.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(4), ..BackoffConfig::default() },
        max_retries: 3,
        retry_timeout: Duration::from_secs(6 * 60),
    }
}

/// Returns what the builder of a cloud store is told; a later entry overrides an earlier one.
fn settings(options: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    CLIENT_DEFAULTS.into_iter().chain(options.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// Builds one of the cloud stores: environment first, then the URL, then our timeouts, then the options.
macro_rules! cloud {
    ($builder:expr, $url:expr, $options:expr) => {{
        let builder = $builder.with_url($url.as_str()).with_retry(retries());
        let builder = settings($options).try_fold(builder, |builder, (key, value)| {
            let key = FromStr::from_str(&key.to_ascii_lowercase())
                .map_err(|_| StoreError::Option { key: key.into(), scheme: $url.scheme().into() })?;
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
        let store = match url.scheme() {
            "file" => return Self::open_directory(url),
            "memory" => {
                let memory = InMemory::new();
                let parts = Arc::new(InMemoryUploads::new(memory.clone()));
                Self { parts: Some(parts), ..Self::from_root(Arc::new(memory)) }
            }
            "s3" | "s3a" => Self::with_parts(cloud!(AmazonS3Builder::from_env(), url, options)),
            "gs" => Self::with_parts(cloud!(GoogleCloudStorageBuilder::from_env(), url, options)),
            "az" | "azure" | "abfs" | "abfss" => {
                Self { attributes: Taken::WithPut, ..Self::with_parts(cloud!(azure(), url, options)) }
            }
            scheme => return Err(StoreError::Scheme { scheme: scheme.into() }),
        };
        Ok(Self { prefix: Path::from_url_path(url.path()).map_err(|err| open(err.into()))?, ..store })
    }

    /// Opens a directory as a store. What it says is stored survives a power failure, as in a bucket.
    fn open_directory(url: &Url) -> Result<Self, StoreError> {
        let directory = url.to_file_path().map_err(|()| StoreError::Directory {
            url: redacted(url),
            source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a local path"),
        })?;
        let unusable = |source| StoreError::Directory { url: redacted(url), source };
        std::fs::create_dir_all(&directory).map_err(unusable)?;
        // The library's paths begin with it as well.
        let root = directory.canonicalize().map_err(unusable)?;
        let files = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| StoreError::Open { url: redacted(url), source })?
            .with_automatic_cleanup(true)
            .with_fsync(true);
        let parts = Arc::new(Staging::new(files.clone(), root));
        Ok(Self { attributes: Taken::Never, parts: Some(parts), ..Self::from_root(Arc::new(files)) })
    }
}

/// Begins an Azure store. Its parts take no content type, so the library says it by the suffix when they are put
/// together: of all that is written in parts only the MP4 has one of these.
fn azure() -> MicrosoftAzureBuilder {
    let by_suffix = ClientOptions::new().with_content_type_for_suffix("mp4", "video/mp4");
    let builder = MicrosoftAzureBuilder::from_env().with_client_options(by_suffix);
    // That replaced what the environment says of the client.
    std::env::vars_os().fold(builder, |builder, (name, value)| {
        let key = name.to_str().filter(|name| name.starts_with("AZURE_")).map(str::to_ascii_lowercase);
        match (key.and_then(|key| key.parse().ok()), value.to_str()) {
            (Some(key @ AzureConfigKey::Client(_)), Some(value)) => builder.with_config(key, value),
            _ => builder,
        }
    })
}

/// Returns the URL without a password, for messages.
fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that cannot have a password.
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use object_store::aws::AmazonS3ConfigKey;
    use object_store::client::ClientConfigKey;

    use super::*;

    fn builder(options: &[(&str, &str)]) -> AmazonS3Builder {
        let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        settings(&options)
            .fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key.parse().unwrap(), value))
    }

    /// Regression: at the library's 30 s, four parts of 8 MiB at once never arrived over less than 9 Mbit/s.
    #[test]
    fn a_slow_uplink_has_minutes_for_a_part() {
        let timeout = |builder: AmazonS3Builder| {
            let [request, connect] = [ClientConfigKey::Timeout, ClientConfigKey::ConnectTimeout];
            [request, connect].map(|key| builder.get_config_value(&AmazonS3ConfigKey::Client(key)).unwrap())
        };
        assert_eq!(timeout(builder(&[])), ["5m", "10s"]);
        assert_eq!(timeout(builder(&[("timeout", "1h")])), ["1h", "10s"]);
        assert!(retries().retry_timeout > Duration::from_secs(5 * 60));
    }

    #[test]
    fn every_cloud_store_takes_our_timeouts() {
        for (url, key, value) in [
            ("s3://bucket/prefix", "region", "here"),
            ("gs://bucket/prefix", "google_skip_signature", "true"),
            ("az://container/prefix", "account_name", "name"),
        ] {
            let mut options = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            let url = Url::parse(url).unwrap();
            Store::open(&url, &options).unwrap();
            options.insert("timeout".into(), "soon".into());
            assert!(matches!(Store::open(&url, &options), Err(StoreError::Open { .. })), "{url}");
        }
    }
}
