//! The MP4 that the segments make.

use std::sync::Arc;

use onair_media::CodecConfig;

use crate::cut::Segment;
use crate::progressive::{Mp4Layout, Progressive};

/// Collects what the header of the file needs, or nothing where no file is needed.
#[derive(Debug)]
pub(crate) struct Assembly(Option<Progressive>);

impl Assembly {
    /// Begins a file without samples.
    pub(crate) fn wanted() -> Self {
        Self(Some(Progressive::new()))
    }

    /// Begins no file.
    pub(crate) const fn unwanted() -> Self {
        Self(None)
    }

    /// Adds a segment; segments of a rendition come in their order.
    pub(crate) fn push(&mut self, segment: &Segment, config: &Arc<CodecConfig>) {
        if let Some(progressive) = &mut self.0 {
            progressive.push_segment(segment, config);
        }
    }

    /// Lays the file out. Configurations that were read fit their boxes, so a file that is wanted has a layout.
    pub(crate) fn layout(&self) -> Option<Mp4Layout> {
        self.0.as_ref().and_then(|progressive| progressive.layout().ok())
    }
}
