//! Programs that publish and watch.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{clip, eventually};

/// Runs a client, and ends it when dropped.
///
/// Clients written for these tests print one JSON object a line, and end when their standard input does.
pub(crate) struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Client {
    fn spawn(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name}: {error} (`make test` sets up what is missing)"));
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("it was piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            for event in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                // The test may have seen enough.
                let _unheard = sender.send(event);
            }
        });
        Self { child, stdin, lines }
    }

    /// Waits for an event that is as wanted.
    ///
    /// # Panics
    /// When it does not come in time or the client ends before.
    pub(crate) fn wait_for(&self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + within;
        let mut last = Value::Null;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.lines.recv_timeout(left);
            let event = event.unwrap_or_else(|error| panic!("{what}: {error} (last: {last})"));
            if wanted(&event) {
                return event;
            }
            last = event;
        }
    }

    /// Writes a line to the client.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("not finished yet"), "{line}").expect("it listens");
    }

    /// Asks the client to end, and returns the event that sums up.
    pub(crate) fn finish(&mut self) -> Value {
        self.stdin = None;
        self.wait_for("the client sums up", Duration::from_secs(20), |event| event["event"] == "summary")
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self, within: Duration) -> ExitStatus {
        eventually("the client ends", within, || self.child.try_wait().expect("it is our child"))
    }

    /// Ends it like a power cut: nothing is said to the server.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Publishes a generated clip with `onair publish`.
pub(crate) fn publish(name: &str, to: &str, more: &[&str]) -> Client {
    Client::spawn(&mut publisher(name, to, more))
}

/// The same to a server whose certificate no authority knows.
pub(crate) fn publish_over_tls(name: &str, to: &str, more: &[&str], certificate: &Path) -> Client {
    Client::spawn(publisher(name, to, more).env("SSL_CERT_FILE", certificate))
}

fn publisher(name: &str, to: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onair"));
    command.arg("publish").arg(clip(name)).args(["--to", to]).args(more).stderr(Stdio::null());
    command
}

/// Runs a script of tests/clients.
pub(crate) fn python(script: &str, arguments: &[&str]) -> Client {
    let mut command = Command::new(python_program());
    Client::spawn(command.arg("-u").arg(root().join("tests/clients").join(script)).args(arguments))
}

/// Runs the ffmpeg 9 of PyPI's imageio-ffmpeg, which knows WHIP; its messages go to `log`.
pub(crate) fn bundled_ffmpeg(arguments: &[&str], log: &File) -> Client {
    let code = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
    let output = Command::new(python_program()).args(["-c", code]).output().expect("python runs");
    let path = String::from_utf8(output.stdout).expect("a path in UTF-8");
    let log = log.try_clone().expect("a file can be shared");
    Client::spawn(Command::new(path.trim()).args(["-nostdin", "-hide_banner"]).args(arguments).stderr(log))
}

fn python_program() -> PathBuf {
    let path = root().join(".venv/bin/python");
    assert!(path.exists(), "{} is missing: `make test` sets it up", path.display());
    path
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
