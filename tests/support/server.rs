//! The program under test, with directories of its own.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::{Method, redirect};
use serde_json::Value;
use tempfile::TempDir;

use super::{Certificate, eventually};

const READY_WITHIN: Duration = Duration::from_secs(30);
const EXIT_WITHIN: Duration = Duration::from_secs(30);

/// Returns the program without arguments, deaf to the settings of whoever runs the tests.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onair"));
    command.env_clear().envs(std::env::vars().filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR")));
    command
}

/// Runs the program to its end, for the commands that have one.
pub(crate) fn run_onair(arguments: &[&str]) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().expect("the program was built by cargo")
}

/// Runs a server on free ports of the loopback interface, and ends it when dropped.
///
/// Segments of 2 s and a reconnect window of 1 s keep tests short.
pub(crate) struct Server {
    child: Child,
    base: String,
    arguments: Vec<String>,
    dir: TempDir,
    /// The size of the file system that the spool is on, when it has one of its own.
    spool_bytes: Option<u64>,
    certificate: Option<Certificate>,
    http: Client,
}

impl Server {
    /// Starts a server on its defaults.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with more arguments, such as `--set`, `hls.part_ms=200`; they win over the defaults.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::on(directory(), arguments, None, None)
    }

    /// Starts a server with TLS and a certificate of its own.
    pub(crate) fn with_tls(arguments: &[&str]) -> Self {
        let dir = directory();
        let certificate = Certificate::generate(dir.path());
        let [cert, key] = [("cert", &certificate.cert), ("key", &certificate.key)]
            .map(|(name, path)| format!("http.tls.{name}={}", path.display()));
        let arguments = [&["--set", &cert, "--set", &key], arguments].concat();
        Self::on(dir, &arguments, None, Some(certificate))
    }

    /// Starts a server whose spool has a file system of its own, of this size.
    ///
    /// It is mounted in a namespace that ends with the server. That takes root, or a kernel that lets users have
    /// namespaces; without either the test fails and says so.
    pub(crate) fn with_small_disk(spool_bytes: u64, arguments: &[&str]) -> Self {
        Self::on(directory(), arguments, Some(spool_bytes), None)
    }

    fn on(dir: TempDir, arguments: &[&str], spool_bytes: Option<u64>, certificate: Option<Certificate>) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let (child, base) = serve(dir.path(), &arguments, spool_bytes);
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(Duration::from_secs(20));
        let http = match &certificate {
            Some(certificate) => http.tls_certs_only([certificate.trusted()]),
            None => http,
        };
        let http = http.build().expect("nothing of it needs the machine");
        Self { child, base, arguments, dir, spool_bytes, certificate, http }
    }

    /// Ends it like a power cut for the process: SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }

    /// Starts it again on the same directories, with the same arguments and more; the ports are other ones.
    pub(crate) fn start_again(&mut self, more: &[&str]) {
        self.arguments.extend(more.iter().map(ToString::to_string));
        (self.child, self.base) = serve(self.dir.path(), &self.arguments, self.spool_bytes);
    }

    /// Runs another command of the program on the same directories to its end.
    pub(crate) fn run(&self, command: &str) -> Output {
        command_in(self.dir.path(), command, &self.arguments).output().expect("the program was built by cargo")
    }

    /// Returns the address of a path, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns `127.0.0.1:PORT`, where HTTP listens on TCP and media on UDP.
    pub(crate) fn address(&self) -> &str {
        self.base.split_once("://").expect("it is a URL").1
    }

    /// Returns the file of the certificate that its clients have to trust.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate.as_ref().expect("a server with TLS").cert
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Prepares a request.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Returns the JSON below a path, or nothing when the answer is not 200.
    pub(crate) fn json(&self, path: &str) -> Option<Value> {
        let answer = self.request(Method::GET, path).send().expect("the server is up");
        answer.status().is_success().then(|| answer.json().expect("an API answers in JSON"))
    }

    /// Waits until a room is as wanted.
    pub(crate) fn wait_for_room(&self, room: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_room_within(room, what, Duration::from_secs(20), wanted)
    }

    /// The same for what may take longer.
    pub(crate) fn wait_for_room_within(
        &self,
        room: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let path = format!("/api/rooms/{room}");
        eventually(what, within, || self.json(&path).filter(|state| wanted(state)))
    }

    /// Waits until a room is live.
    pub(crate) fn wait_until_live(&self, room: &str) -> Value {
        self.wait_for_room(room, "the room goes live", |state| state["state"] == "live")
    }

    /// Returns the directory of the recordings.
    pub(crate) fn recordings(&self) -> PathBuf {
        self.dir.path().join("recordings")
    }

    /// Returns what tells another `onair` where the recordings are.
    pub(crate) fn storage(&self) -> String {
        format!("storage.url=file://{}", self.recordings().display())
    }

    /// Returns the directory of the spool, as the server sees it.
    pub(crate) fn spool(&self) -> PathBuf {
        let spool = self.dir.path().join("spool");
        match self.spool_bytes {
            None => spool,
            Some(_) => Path::new(&format!("/proc/{}/root", self.pid())).join(spool.strip_prefix("/").unwrap_or(&spool)),
        }
    }

    /// Returns what the server logged so far.
    pub(crate) fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// Tells whether the process runs and answers.
    pub(crate) fn is_alive(&mut self) -> bool {
        let runs = self.child.try_wait().expect("it is our child").is_none();
        runs && self.request(Method::GET, "/healthz").send().is_ok_and(|answer| answer.status().is_success())
    }

    /// Sends SIGTERM and returns the exit code; the directories stay until `self` is dropped.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let kill = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        eventually("the server exits", EXIT_WITHIN, || self.child.try_wait().expect("it is our child")).code()
    }
}

fn directory() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            show_log(self.dir.path());
        }
    }
}

/// Prepares a command in a directory; arguments win over the defaults.
fn command_in(dir: &Path, name: &str, arguments: &[String]) -> Command {
    let mut command = program();
    command.arg(name);
    for setting in [
        "http.listen=127.0.0.1:0".into(),
        format!("storage.url=file://{}", dir.join("recordings").display()),
        format!("storage.spool={}", dir.join("spool").display()),
        "hls.segment_ms=2000".into(),
        "record.reconnect_s=1".into(),
    ] {
        command.args(["--set", &setting]);
    }
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    command
}

/// Has a program see a file system of its own as the spool of a directory.
fn with_small_disk(command: &Command, dir: &Path, bytes: u64) -> Command {
    let spool = dir.join("spool");
    fs::create_dir_all(&spool).expect("the directory is ours");
    let mut inside = Command::new("unshare");
    // As root nothing more is needed; others are root in a namespace of their own.
    inside.args(if rustix::process::geteuid().is_root() { &["-m"][..] } else { &["-m", "-r"] });
    inside.args(["sh", "-c", "mount -t tmpfs -o size=$0 onair-test \"$1\" && shift && exec \"$@\""]);
    inside.arg(bytes.to_string()).arg(spool).arg(command.get_program()).args(command.get_args());
    inside.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside.current_dir(dir).stdin(Stdio::null());
    inside
}

/// Starts a server in a directory and returns its address.
fn serve(dir: &Path, arguments: &[String], spool_bytes: Option<u64>) -> (Child, String) {
    let log = OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("the directory is ours");
    let mut command = command_in(dir, "serve", arguments);
    if let Some(bytes) = spool_bytes {
        command = with_small_disk(&command, dir, bytes);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program was built by cargo");
    let base = ready_line(&mut child, dir);
    (child, base)
}

/// Waits for the line that names the address.
fn ready_line(child: &mut Child, dir: &Path) -> String {
    let stdout = child.stdout.take().expect("it was piped");
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once the server is ready.
            let _unheard = sender.send(line);
        }
    });
    let line = lines.recv_timeout(READY_WITHIN).unwrap_or_else(|error| {
        show_log(dir);
        panic!("the server says that it is ready: {error}")
    });
    let base = line.strip_prefix("onair is ready: ").unwrap_or_else(|| panic!("an unexpected line: {line}"));
    base.trim_end_matches('/').into()
}

fn read_log(dir: &Path) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "whoever reads a failed test wants to know what the server said")]
fn show_log(dir: &Path) {
    eprintln!("--- log of the server ---\n{}--- end of the log ---", read_log(dir));
}
