//! The way of recordings: from the spool to the store, and what is said about it.

use std::sync::Arc;

use actix::prelude::*;
use onair_recorder::{Spool, Store};

use crate::events::Events;
use crate::pictures::Pictures;
use crate::uploader::Uploader;

/// Holds what every recorder needs, whoever started it.
#[derive(Debug)]
pub struct Archive {
    /// Where recordings wait until they are stored.
    pub spool: Arc<Spool>,
    /// Everything that is stored goes through here.
    pub uploader: Addr<Uploader>,
    /// Where recordings end up.
    pub store: Arc<Store>,
    /// What happens is said here.
    pub events: Events,
    /// Keyframes are decoded here.
    pub pictures: Arc<Pictures>,
}
