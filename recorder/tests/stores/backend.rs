//! The stores that run here, and what each one cannot do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use onair_recorder::{ObjectPath, Store};
use reqwest::header::HeaderMap;
use url::Url;

use crate::server::Server;

/// A store that runs for as long as this is held.
pub(crate) struct Backend {
    pub(crate) kind: Kind,
    url: Url,
    pub(crate) options: BTreeMap<String, String>,
    /// Where anyone may read the bucket's objects.
    bucket: Option<String>,
    _server: Option<Server>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Directory,
    S3,
    Azure,
    Gcs,
}

impl Backend {
    pub(crate) fn memory() -> Self {
        Self::without_server(Kind::Memory, Url::parse("memory:///").unwrap())
    }

    /// A directory that is not there yet, removed at the end.
    pub(crate) fn directory() -> Self {
        let path = directory().join("not yet there");
        Self::without_server(Kind::Directory, Url::from_directory_path(path).unwrap())
    }

    /// moto, from PyPI.
    pub(crate) fn s3(more: &[(&str, &str)]) -> Self {
        let (server, ready) = Server::python("s3_server.py", &["bucket"]);
        let endpoint = ready["endpoint"].as_str().unwrap();
        let options = [("endpoint", endpoint), ("region", "us-east-1"), ("allow_http", "true")];
        let credentials = [("access_key_id", "test"), ("secret_access_key", "test")];
        Self {
            kind: Kind::S3,
            url: Url::parse("s3://bucket/").unwrap(),
            options: owned([&options[..], &credentials, more].concat()),
            bucket: Some(format!("{endpoint}/bucket")),
            _server: Some(server),
        }
    }

    /// azurite, from npm.
    pub(crate) fn azure() -> Self {
        let (server, ready) = Server::node("azurite.js", &["container"]);
        let text = |key: &str| ready[key].as_str().unwrap();
        let account = [("account_name", text("account")), ("account_key", text("key"))];
        Self {
            kind: Kind::Azure,
            url: Url::parse("az://container/").unwrap(),
            options: owned([&[("endpoint", text("endpoint")), ("allow_http", "true")][..], &account].concat()),
            bucket: Some(format!("{}/container", text("endpoint"))),
            _server: Some(server),
        }
    }

    /// moto again: the library talks to GCS by its XML API, which is S3's but for the names of some headers.
    ///
    /// The emulators of GCS that can be had know the JSON API only: fake-gcs-server (PyPI's wrapper 0.1.1) answers
    /// 400 `invalid uploadType` to a PUT of an object and to `POST ?uploads`. So what is not seen here is OAuth, GCS's
    /// own error bodies, and `x-goog-storage-class`.
    pub(crate) fn gcs() -> Self {
        let (server, ready) = Server::python("s3_server.py", &["bucket"]);
        let endpoint = ready["endpoint"].as_str().unwrap();
        let options = [("base_url", endpoint), ("bearer_token", "test"), ("allow_http", "true")];
        Self {
            kind: Kind::Gcs,
            url: Url::parse("gs://bucket/").unwrap(),
            options: owned(options.to_vec()),
            bucket: Some(format!("{endpoint}/bucket")),
            _server: Some(server),
        }
    }

    fn without_server(kind: Kind, url: Url) -> Self {
        Self { kind, url, options: BTreeMap::new(), bucket: None, _server: None }
    }

    /// Opens a part of the store that is the case's own: empty at first.
    pub(crate) fn open(&self, case: &str) -> Store {
        self.open_with(case, &[])
    }

    pub(crate) fn open_with(&self, case: &str, more: &[(&str, &str)]) -> Store {
        let mut options = self.options.clone();
        options.extend(owned(more.to_vec()));
        Store::open(&self.url.join(case).unwrap(), &options).unwrap()
    }

    /// Whether the store knows one upload from another: Azure's parts belong to the object.
    pub(crate) fn knows_uploads(&self) -> bool {
        self.kind != Kind::Azure
    }

    /// Returns where something of a directory's stands.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.url.to_file_path().unwrap().join(below)
    }

    /// Returns the headers that whoever reads the bucket directly sees, where the store is one that can be read so.
    pub(crate) async fn headers(&self, store: &Store, object: &ObjectPath) -> Option<HeaderMap> {
        let url = format!("{}/{}", self.bucket.as_ref()?, store.path(object));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.head(&url).send().await.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        Some(answer.headers().clone())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if self.kind == Kind::Directory {
            let _ = std::fs::remove_dir_all(directory());
        }
    }
}

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("onair-stores-{}", std::process::id()))
}

fn owned(options: Vec<(&str, &str)>) -> BTreeMap<String, String> {
    options.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
