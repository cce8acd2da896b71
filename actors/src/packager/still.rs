//! The newest keyframe of the broadcast, for whoever wants a picture of it.

use std::sync::Arc;

use onair_media::{CodecConfig, MediaKind, RecordingId};
use onair_pictures::Keyframe;
use onair_recorder::{Cut, Part};

use crate::pictures::{Still, StillId};

/// Remembers the newest part that begins with a keyframe.
#[derive(Debug, Default)]
pub(super) struct Newest {
    config: Option<Arc<CodecConfig>>,
    part: Option<(Arc<CodecConfig>, Arc<Part>)>,
}

impl Newest {
    /// Takes the next cut.
    pub(super) fn push(&mut self, cut: &Cut) {
        match cut {
            Cut::Init(init) if init.kind == MediaKind::Video => self.config = Some(Arc::clone(&init.config)),
            Cut::Part(part) if part.kind == MediaKind::Video && part.independent => {
                self.part = self.config.clone().map(|config| (config, Arc::clone(part)));
            }
            _ => {}
        }
    }

    /// Returns the keyframe, if there was one.
    pub(super) fn still(&self, broadcast: &RecordingId) -> Option<Still> {
        let (config, part) = self.part.as_ref()?;
        let size = usize::try_from(part.samples.first()?.size).ok()?;
        let end = part.payload_offset.checked_add(size).filter(|&end| end <= part.bytes.len())?;
        Some(Still {
            id: StillId { broadcast: broadcast.clone(), msn: part.msn, part: part.index },
            keyframe: Keyframe { config: Arc::clone(config), data: part.bytes.slice(part.payload_offset..end) },
        })
    }
}
