//! The MP4 that the segments make.

use std::sync::Arc;

use onair_media::CodecConfig;

use crate::cut::Segment;
use crate::progressive::{Mp4Layout, layout};

/// Collects the segments without their media, or nothing where no file is needed.
#[derive(Debug)]
pub(crate) struct Assembly(Option<Vec<(Segment, Arc<CodecConfig>)>>);

impl Assembly {
    /// Begins a file without segments.
    pub(crate) fn wanted() -> Self {
        Self(Some(Vec::new()))
    }

    /// Begins no file.
    pub(crate) const fn unwanted() -> Self {
        Self(None)
    }

    /// Adds a segment; segments of a rendition come in their order.
    pub(crate) fn push(&mut self, segment: &Segment, config: &Arc<CodecConfig>) {
        if let Some(segments) = &mut self.0 {
            segments.push((segment.without_media(), Arc::clone(config)));
        }
    }

    /// Lays the file out. Configurations that were read fit their boxes, so a file that is wanted has a layout.
    pub(crate) fn layout(&self) -> Option<Mp4Layout> {
        let segments = self.0.as_ref().filter(|segments| !segments.is_empty())?;
        layout(segments.iter().map(|(segment, config)| (segment, config))).ok()
    }
}
