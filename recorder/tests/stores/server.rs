//! Servers that stand in for the clouds, each a process of its own that ends with its standard input.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to start, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(120);

/// A server that is stopped when this is dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Runs a script of tests/clients, and returns what it says when it is ready.
    pub(crate) fn python(script: &str, arguments: &[&str]) -> (Self, Value) {
        let python = there(root().join(".venv/bin/python"));
        Self::start(Command::new(python).arg("-u").arg(root().join("tests/clients").join(script)).args(arguments))
    }

    /// Runs a script of tests/stores, and returns what it says when it is ready.
    pub(crate) fn node(script: &str, arguments: &[&str]) -> (Self, Value) {
        let scripts = root().join("tests/stores");
        there(scripts.join("node_modules"));
        Self::start(Command::new("node").arg(scripts.join(script)).args(arguments))
    }

    fn start(command: &mut Command) -> (Self, Value) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let stdout = child.stdout.take().unwrap();
        let server = Self(child);
        let (sender, lines) = mpsc::channel();
        // It reads to the end, or a server that says more would stop with its pipe full.
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)))
        });
        let ready = std::iter::from_fn(|| lines.recv_timeout(START).ok())
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find(|event| event["event"] == "ready");
        let ready = ready.unwrap_or_else(|| panic!("{command:?} did not become ready"));
        (server, ready)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn there(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: `make test` sets it up", path.display());
    path
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the recorder is in the workspace")
}
