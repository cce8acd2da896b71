//! The command line: what can be asked of the program, and where its configuration comes from.

use std::path::PathBuf;
use std::{env, fs};

use clap::{Args, Parser, Subcommand};
use onair_media::{RecordingId, RoomName};
use url::Url;

use crate::config::{Exposure, Flag, Report, Secret, Sources};
use crate::load::LoadArgs;

/// An actor-based broadcasting and recording server: WHIP in, WebRTC and HLS out, recordings straight into object storage.
#[derive(Debug, Parser)]
#[command(name = "onair", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Run the server; the same as no command at all
    Serve(ServeArgs),
    /// Run the server with a looped test broadcast in the room `demo`
    Demo(DemoArgs),
    /// Publish a media file to a WHIP server
    Publish(PublishArgs),
    /// Load-test a WHIP and WHEP server, this one or another
    Load(LoadArgs),
    /// Finish what an interrupted server left in the spool; `serve` does the same when it starts
    Recover,
    /// Read a stored recording, all of it, and say what is wrong with it
    Verify(VerifyArgs),
    /// Delete the recordings that have been kept for long enough, as the server does every ten minutes
    Retention(RetentionArgs),
    /// Say what is wrong with the configuration, all of it at once
    CheckConfig,
}

/// Arguments of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeArgs {
    /// Print the effective configuration, secrets masked, and exit
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DemoArgs {
    /// An MP4 file to broadcast in place of the test clip
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
}

/// Arguments of `publish`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PublishArgs {
    /// An MP4 file
    pub(crate) file: PathBuf,
    /// The WHIP endpoint, such as http://127.0.0.1:8080/whip/studio-1
    #[arg(long, value_name = "WHIP_URL")]
    pub(crate) to: Url,
    /// Begin again at the end of the file
    #[arg(long = "loop")]
    pub(crate) looped: bool,
    /// Bearer token
    #[arg(long)]
    pub(crate) token: Option<Secret>,
}

/// Arguments of `verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    /// The recording in the store of the configuration, such as studio-1/20261122T063000Z-7f3a9c
    #[arg(value_name = "ROOM/RECORDING", value_parser = parse_recording)]
    pub(crate) recording: (RoomName, RecordingId),
    /// Write playlists, MP4 and manifest anew from the segments, where they are wrong
    #[arg(long)]
    pub(crate) repair: bool,
    /// With --repair: end a recording that is live, because its server is gone for good
    #[arg(long, requires = "repair")]
    pub(crate) interrupted: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `retention`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RetentionArgs {
    /// Say what would be deleted, and why, and delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// TOML file; without it the defaults apply
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set any key, as in `hls.part_ms=200`; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
    /// Address and port of HTTP, and of media unless `media.listen` is set
    #[arg(long, global = true, value_name = "ADDRESS")]
    http_listen: Option<String>,
    /// Be reachable from other machines although `auth.mode` is "none"
    #[arg(long, global = true)]
    insecure: bool,
}

impl Cli {
    /// Returns what to do: `serve` when nothing is said.
    pub(crate) fn requested(&self) -> Command {
        self.command.clone().unwrap_or_else(|| Command::Serve(self.serve.clone()))
    }
}

impl ConfigArgs {
    /// Collects the sources: reads the file, the environment and the working directory.
    ///
    /// # Errors
    /// A report when the working directory is gone or the file cannot be read as UTF-8.
    pub(crate) fn sources(self) -> Result<Sources, Report> {
        let dir = env::current_dir().map_err(|e| Report::unreadable("the working directory", &e))?;
        let file = self.config.map(|path| {
            let name = path.display().to_string();
            match fs::read_to_string(&path) {
                Ok(text) => Ok((name, text)),
                Err(e) => Err(Report::unreadable(&name, &e)),
            }
        });
        let text = |os_text: std::ffi::OsString| os_text.to_string_lossy().into_owned();
        let listen = self.http_listen.map(|value| ("--http-listen", "http.listen".to_owned(), value));
        let set = self.set.into_iter().map(|(key, value)| ("--set", key, value));
        Ok(Sources {
            dir,
            file: file.transpose()?,
            env: env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            flags: set.chain(listen).map(|(name, key, value)| Flag { name: name.into(), key, value }).collect(),
            exposure: if self.insecure { Exposure::Insecure } else { Exposure::Guarded },
        })
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must look like key=value")?;
    Ok((key.trim().into(), value.into()))
}

fn parse_recording(text: &str) -> Result<(RoomName, RecordingId), String> {
    let (room, recording) = text.split_once('/').ok_or("must look like room/recording")?;
    let room = RoomName::parse(room).map_err(|error| error.to_string())?;
    let recording = RecordingId::parse(recording).map_err(|error| error.to_string())?;
    Ok((room, recording))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve() {
        for line in ["onair", "onair serve", "onair --config x.toml", "onair --config x.toml serve"] {
            let Command::Serve(args) = parse(line).unwrap().requested() else { panic!("{line} should serve") };
            assert!(!args.print_config, "{line}");
        }
        for line in ["onair --print-config", "onair serve --print-config --insecure"] {
            let Command::Serve(args) = parse(line).unwrap().requested() else { panic!("{line} should serve") };
            assert!(args.print_config, "{line}");
        }
    }

    #[test]
    fn settings_are_collected_wherever_they_stand() {
        let cli = parse("onair --insecure serve --set hls.part_ms=200 --set log.filter=a=debug --http-listen [::1]:9");
        let sources = cli.unwrap().config.sources().unwrap();
        let flags: Vec<_> = sources.flags.iter().map(|f| (&*f.name, &*f.key, &*f.value)).collect();
        let expected = [
            ("--set", "hls.part_ms", "200"),
            ("--set", "log.filter", "a=debug"),
            ("--http-listen", "http.listen", "[::1]:9"),
        ];
        assert_eq!((flags.as_slice(), sources.exposure), (&expected[..], Exposure::Insecure));
        assert!(parse("onair --set hls.part_ms").is_err());
    }

    #[test]
    fn publish_takes_a_file_and_a_url_and_hides_its_token() {
        let cli = parse("onair publish a.mp4 --to http://h/whip/r --loop --token hunter2").unwrap();
        assert!(!format!("{cli:?}").contains("hunter2"));
        let Command::Publish(args) = cli.requested() else { panic!("should publish") };
        assert_eq!((args.looped, args.to.as_str()), (true, "http://h/whip/r"));
        assert!(parse("onair publish a.mp4").is_err());
    }

    #[test]
    fn verify_takes_one_recording_by_its_whole_name() {
        let cli = parse("onair verify studio-1/20261122T063000Z-7f3a9c --repair --json").unwrap();
        let Command::Verify(args) = cli.requested() else { panic!("should verify") };
        let (room, recording) = args.recording;
        assert_eq!((room.as_str(), recording.as_str()), ("studio-1", "20261122T063000Z-7f3a9c"));
        assert!(args.repair && args.json && !args.interrupted);
        for bad in
            ["studio-1", ".a/20261122T063000Z-7f3a9c", "studio-1/x", "studio-1/20261122T063000Z-7f3a9c --interrupted"]
        {
            assert!(parse(&format!("onair verify {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_missing_file_is_reported_by_name() {
        let report = parse("onair --config /no/such.toml").unwrap().config.sources().unwrap_err();
        assert!(report.to_string().starts_with("/no/such.toml: cannot be read"), "{report}");
    }
}
