//! `onair verify`: reads a stored recording, all of it, and says what is wrong with it.

use std::error::Error;

use onair_recorder::{FragmenterSettings, Repair, Report, VerifyError, VerifySettings};

use crate::cli::VerifyArgs;
use crate::config::Config;
use crate::serve::{PROGRAM, open_store};

/// Looks at a recording in the store of the configuration, and mends it if that is wanted.
///
/// # Errors
/// A text that says why it could not be looked at, or not be mended.
pub(crate) async fn run(config: &Config, args: &VerifyArgs) -> Result<Report, Box<dyn Error>> {
    let (room, recording) = &args.recording;
    let cut = FragmenterSettings { segment_target: config.hls.segment, part_target: config.hls.part };
    let settings = VerifySettings {
        repair: match (args.repair, args.interrupted) {
            (false, _) => Repair::LookOnly,
            (true, false) => Repair::Ended,
            (true, true) => Repair::Interrupted,
        },
        server: PROGRAM.into(),
        target_duration_s: cut.target_duration_s(),
        mp4: config.record.mp4.of(room),
    };
    let report = open_store(config)?.verify(room, recording, &settings).await;
    report.map_err(|error| explain(&error).into())
}

/// Puts an error and its cause into one line; object_store's texts name the causes behind it.
fn explain(error: &VerifyError) -> String {
    match (error, error.source()) {
        (VerifyError::Live { .. }, _) => {
            format!("{error}; if that server is gone for good, --interrupted ends the recording")
        }
        (_, Some(cause)) => format!("{error}: {cause}"),
        (_, None) => error.to_string(),
    }
}
