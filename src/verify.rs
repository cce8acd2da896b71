//! `onair verify`: reads a stored recording, all of it, and says what is wrong with it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use onair_actors::gallery::{Made, Material};
use onair_actors::pictures::Pictures;
use onair_recorder::manifest::RecordingState;
use onair_recorder::{
    Finding, FragmenterSettings, ObjectName, Remedy, Repair, Report, Store, StoreError, VerifyError, VerifySettings,
};

use crate::cli::VerifyArgs;
use crate::config::Config;
use crate::serve::{PROGRAM, open_store};

/// How long the pictures of a recording may take: nobody waits for a shutdown.
const PATIENCE: Duration = Duration::from_secs(300);

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
    let store = Arc::new(open_store(config)?);
    let mut report = store.verify(room, recording, &settings).await.map_err(|error| explain(&error))?;
    if config.record.posters && report.state.is_some_and(|state| state != RecordingState::Live) {
        judge_pictures(&store, &mut report, settings.repair).await?;
    }
    Ok(report)
}

/// Says of pictures that are lost whether they can be made again, and makes them if that is wanted.
async fn judge_pictures(store: &Arc<Store>, report: &mut Report, repair: Repair) -> Result<(), StoreError> {
    let is_lost = |finding: &Finding| {
        let is_picture = ObjectName::parse(&finding.object).is_ok_and(|name| name.is_picture());
        is_picture && finding.remedy == Remedy::Lost
    };
    let (room, recording) = (report.room.clone(), report.recording.clone());
    let manifest = match store.manifest(&room, &recording).await {
        Ok(manifest) => manifest,
        // That is said already.
        Err(StoreError::NotFound { .. } | StoreError::Manifest { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    // A manifest that was written anew from segments says nothing of pictures.
    let is_unsaid = manifest.pictures.is_none() && repair != Repair::LookOnly;
    if !report.findings.iter().any(is_lost) && !is_unsaid {
        return Ok(());
    }
    let material = Material::of_stored(&manifest, store, &Arc::new(Pictures::new(true))).await?;
    if material.obstacle().is_some() {
        return Ok(());
    }
    let remedy = if repair == Repair::LookOnly {
        Remedy::Mendable
    } else {
        let Made { objects, said } = material.make(PATIENCE).await;
        let is_complete = said.unavailable.is_none();
        store.put_pictures(&room, &recording, objects, said).await?;
        if is_complete { Remedy::Mended } else { Remedy::Lost }
    };
    report.findings.iter_mut().filter(|finding| is_lost(finding)).for_each(|finding| finding.remedy = remedy);
    Ok(())
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
