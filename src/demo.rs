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

/// A slow field of colour, computed small because ffmpeg's `geq` is slow.
const FIELD: &str = "color=gray:size=320x180:rate=30:duration=10,format=yuv444p,\
    geq=lum='96+44*sin(X/40+2*PI*T/10)+36*sin(Y/28-4*PI*T/10)'\
    :cb='128+46*sin((X+Y)/70+2*PI*T/10)':cr='128+46*cos((X-Y)/60-2*PI*T/10)',\
    scale=1280:720:flags=bicubic";

/// A ball, transparent around.
const BALL: &str = "color=white:size=48x48:rate=30:duration=10,format=yuva444p,\
    geq=lum=235:cb=128:cr=128:a='255*clip(22-hypot(X-24,Y-24),0,1)'";

/// Five soft notes, twice.
const NOTES: &str = "aevalsrc=exprs='0.10*sin(2*PI*(if(lt(mod(t,5),1),261.6,if(lt(mod(t,5),2),329.6,\
    if(lt(mod(t,5),3),392,if(lt(mod(t,5),4),440,392)))))*mod(t,1))*exp(-4*mod(t,1))*min(1,mod(t,1)*100)'\
    :sample_rate=48000:duration=10";

/// The ball goes round once.
const TOGETHER: &str = "[0][1]overlay=x='616+420*sin(2*PI*t/10)':y='336-240*cos(2*PI*t/10)',format=yuv420p[v]";

/// Ten seconds that repeat without a seam: a keyframe a second, no B-frames.
#[rustfmt::skip]
const FFMPEG_ARGS: &[&str] = &[
    "-f", "lavfi", "-i", FIELD, "-f", "lavfi", "-i", BALL, "-f", "lavfi", "-i", NOTES,
    "-filter_complex", TOGETHER, "-map", "[v]", "-map", "2:a",
    "-c:v", "libx264", "-profile:v", "baseline", "-level", "3.1", "-preset", "medium", "-tune", "zerolatency",
    "-g", "30", "-keyint_min", "30", "-sc_threshold", "0", "-b:v", "1500k", "-maxrate", "2M", "-bufsize", "2M",
    "-c:a", "libopus", "-b:a", "64k", "-ac", "2", "-strict", "experimental", "-movflags", "+faststart", "-f", "mp4",
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
    info!(clip = %clip.display(), "making the test clip with ffmpeg, once");
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
