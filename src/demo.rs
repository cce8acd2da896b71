//! `onair demo`: the server with a broadcast of its own, so that a newcomer sees a picture at once.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use onair_media::RoomName;
use tracing::{info, warn};
use url::Url;

use crate::config::{Config, Secret};
use crate::publish::{self, Order};
use crate::serve;

/// The room of the test broadcast.
const ROOM: &str = "demo";

/// Where the clip is kept, so that it is made only once.
const CLIP: &str = "data/demo.mp4";

/// How long to wait before publishing again, when the broadcast was taken over or failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The picture and the sound: ten seconds, a keyframe a second, no B-frames, so that it loops without a seam.
const FFMPEG_ARGS: &[&str] = &[
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=1280x720:rate=30:duration=10",
    "-f",
    "lavfi",
    "-i",
    "sine=frequency=330:beep_factor=2:sample_rate=48000:duration=10",
    "-filter:a",
    "volume=0.15",
    "-ac",
    "2",
    "-c:v",
    "libx264",
    "-profile:v",
    "baseline",
    "-preset",
    "veryfast",
    "-pix_fmt",
    "yuv420p",
    "-g",
    "30",
    "-keyint_min",
    "30",
    "-sc_threshold",
    "0",
    "-b:v",
    "2000k",
    "-maxrate",
    "2500k",
    "-bufsize",
    "2500k",
    "-c:a",
    "libopus",
    "-b:a",
    "96k",
    "-strict",
    "experimental",
    "-movflags",
    "+faststart",
    "-f",
    "mp4",
];

/// Says why there is no test clip.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClipMissing {
    /// There is no ffmpeg to make it with.
    #[error("the test clip is made with ffmpeg, which cannot be run ({0}): install ffmpeg, or give --clip FILE")]
    NoFfmpeg(io::Error),
    /// ffmpeg failed.
    #[error("ffmpeg could not make the test clip {path}: {said}", path = .0.display(), said = .1)]
    Failed(PathBuf, String),
}

/// Runs the server and publishes to it over real WHIP until it ends.
pub(crate) fn run(config: Config, clip: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let clip = match clip {
        Some(clip) => clip,
        None => made(Path::new(CLIP))?,
    };
    let room = RoomName::parse(ROOM).expect("a name of four letters");
    let token = config.auth.tokens.iter().find(|token| token.publishes(&room)).map(|token| token.token.clone());
    serve::run(config, |url| {
        info!(watch = %url.join(&format!("watch/{ROOM}")).unwrap_or_else(|_| url.clone()), "the test broadcast is on its way");
        actix_rt::spawn(broadcast(clip, url, token));
    })
}

/// Makes the clip unless it is there.
fn made(clip: &Path) -> Result<PathBuf, ClipMissing> {
    if clip.exists() {
        return Ok(clip.into());
    }
    let failed = |said: String| ClipMissing::Failed(clip.into(), said);
    if let Some(folder) = clip.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    }
    // Under another name until it is whole.
    let partial = clip.with_extension("partial");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(FFMPEG_ARGS)
        .arg(&partial)
        .stdin(Stdio::null())
        .output()
        .map_err(ClipMissing::NoFfmpeg)?;
    if !made.status.success() {
        return Err(failed(String::from_utf8_lossy(&made.stderr).into_owned()));
    }
    std::fs::rename(&partial, clip).map_err(|error| failed(error.to_string()))?;
    Ok(clip.into())
}

async fn broadcast(clip: PathBuf, server: Url, token: Option<Secret>) {
    let Ok(to) = server.join(&format!("whip/{ROOM}")) else { return };
    loop {
        let order = Order { file: clip.clone(), to: to.clone(), looped: true, token: token.clone() };
        if let Err(error) = publish::run(order).await {
            warn!(%error, "the test broadcast stopped, trying again");
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}
