//! S3 (moto), seen from the other side than ours: with another client, and its uploads in parts.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::blocking::Client as Http;
use serde_json::Value;

use super::clients::{Client, python};
use super::stored::Objects;

/// The bucket that is there.
const BUCKET: &str = "bucket";

/// Runs an S3 server with one bucket.
pub(crate) struct S3 {
    server: Client,
    endpoint: String,
}

impl S3 {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let server = python("s3_server.py", &[BUCKET]);
        let ready = server.wait_for("S3 starts", Duration::from_secs(60), |event| event["event"] == "ready");
        Self { server, endpoint: ready["endpoint"].as_str().expect("a URL").into() }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// Returns the arguments of an onair that stores its recordings there, by way of an address.
    pub(crate) fn arguments(via: &str) -> Vec<String> {
        let settings = [
            format!("storage.url=s3://{BUCKET}/some/prefix"),
            format!("storage.options.endpoint=http://{via}"),
            "storage.options.allow_http=true".into(),
            "storage.options.region=us-east-1".into(),
            "storage.options.access_key_id=test".into(),
            "storage.options.secret_access_key=hunter2".into(),
        ];
        settings.into_iter().flat_map(|setting| ["--set".into(), setting]).collect()
    }

    /// Lists the objects of a recording.
    pub(crate) fn recording(&mut self, room: &str, recording: &str) -> S3Recording {
        let prefix = format!("some/prefix/{room}/{recording}/");
        let listed = self.ask(&prefix, "listed");
        let objects = listed["objects"].as_object().expect("names and URLs");
        let url = |url: &Value| url.as_str().expect("a URL").to_owned();
        let urls = objects.iter().filter_map(|(key, at)| Some((key.strip_prefix(&prefix)?.to_owned(), url(at))));
        S3Recording { base: format!("{}/{BUCKET}/{prefix}", self.endpoint), urls: urls.collect() }
    }

    /// Lists the uploads that are neither completed nor aborted, each with the numbers of its parts.
    pub(crate) fn uploads(&mut self) -> BTreeMap<String, Vec<u64>> {
        let listed = self.ask("!uploads", "uploads");
        let uploads = listed["uploads"].as_object().expect("ids and part numbers").iter();
        let numbers = |parts: &Value| parts.as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
        uploads.map(|(id, parts)| (id.clone(), numbers(parts))).collect()
    }

    /// Forgets every upload that is under way, as a rule that an administrator set too short would.
    pub(crate) fn forget_uploads(&mut self) {
        self.ask("!abort", "aborted");
    }

    fn ask(&mut self, line: &str, answer: &str) -> Value {
        self.server.say(line);
        self.server.wait_for("S3 answers", Duration::from_secs(20), |event| event["event"] == answer)
    }
}

/// The objects of a recording, and where anyone can read them.
pub(crate) struct S3Recording {
    base: String,
    urls: BTreeMap<String, String>,
}

impl S3Recording {
    /// Tells whether there is an object of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.urls.contains_key(name)
    }
}

impl Objects for S3Recording {
    fn read(&self, name: &str) -> Vec<u8> {
        let url = self.urls.get(name).unwrap_or_else(|| panic!("{name} is not stored: {:?}", self.urls.keys()));
        let http = Http::builder().no_proxy().build().expect("nothing of it needs the machine");
        let answer = http.get(url).send().and_then(reqwest::blocking::Response::error_for_status);
        answer.and_then(reqwest::blocking::Response::bytes).expect("S3 answers").into()
    }

    /// Playlists lead to other objects by relative paths, so the URL has no signature.
    fn playable(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }
}
