//! The programs under test: the release server and a publisher, as processes of their own.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The program, built in the profile of the benchmark.
const ONAIR: &str = env!("CARGO_BIN_EXE_onair");

/// What the server prints before its URL.
const READY: &str = "onair is ready: ";

/// 720p at 30 frames a second with a keyframe a second and no B-frames, and stereo sound. The noise makes the encoder
/// use the bit rate that it is given: 2.5 Mbit/s of video.
const CLIP_ARGS: &str = "-f lavfi -i testsrc2=size=1280x720:rate=30:duration=10,noise=alls=12:allf=t \
    -f lavfi -i sine=frequency=330:beep_factor=2:sample_rate=48000:duration=10 -ac 2 \
    -c:v libx264 -profile:v baseline -preset veryfast -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0 \
    -b:v 2400k -maxrate 2500k -bufsize 1250k -c:a libopus -b:a 96k -strict experimental -movflags +faststart -f mp4";

/// A running server; it is killed, and its files are removed, when dropped.
pub(crate) struct Server {
    child: Ended,
    folder: PathBuf,
    /// Where it answers.
    pub(crate) url: String,
    /// The server may write to standard output as long as this is open.
    _stdout: BufReader<ChildStdout>,
}

/// A process that is killed when dropped.
pub(crate) struct Ended(Child);

impl Server {
    /// Starts a server on free ports. Its log goes to `folder`/server.log.
    ///
    /// # Errors
    /// When it cannot be started or ends before it is ready.
    pub(crate) fn start(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let data = folder.join(format!("fanout-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        let mut child = Command::new(ONAIR)
            .args(["serve", "--set", "http.listen=127.0.0.1:0", "--set", "record.default=false"])
            // The shortest: while the live window fills up, memory grows, which is not the viewers' doing.
            .args(["--set", "hls.window_s=12"])
            .args(["--set", &format!("storage.url=file://{}", data.join("recordings").display())])
            .args(["--set", &format!("storage.spool={}", data.join("spool").display())])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("server.log"))?)
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().expect("it was piped"));
        let child = Ended(child);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let url = line.strip_prefix(READY).ok_or("the server ended before it was ready, see server.log")?;
        Ok(Self { url: url.trim().into(), child, folder: data, _stdout: stdout })
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill();
        // What remains lies below target/ and is removed with it.
        let _remains = fs::remove_dir_all(&self.folder);
    }
}

impl Ended {
    /// Starts publishing the clip in a loop. The log goes to `folder`/publisher.log.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn publisher(folder: &Path, clip: &Path, whip: &str) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(ONAIR);
        command.arg("publish").arg(clip).args(["--loop", "--to", whip]);
        command.stdin(Stdio::null()).stderr(File::create(folder.join("publisher.log"))?);
        Ok(Self(command.spawn()?))
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        // An error means that it has ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes the clip with ffmpeg, unless it is there.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub(crate) fn clip(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let clip = folder.join("fanout-720p.mp4");
    if clip.exists() {
        return Ok(clip);
    }
    fs::create_dir_all(folder)?;
    // Under another name until it is whole.
    let partial = clip.with_extension("partial");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(CLIP_ARGS.split_whitespace())
        .arg(&partial)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("the clip is made with ffmpeg, which cannot be run: {error}"))?;
    if !made.success() {
        return Err("ffmpeg could not make the clip".into());
    }
    fs::rename(&partial, &clip)?;
    Ok(clip)
}
