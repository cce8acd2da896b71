//! The playlists that are stored, beside those that should be.

use std::collections::BTreeMap;

use onair_media::MediaKind;

use super::fetch::{Fetched, Recording};
use super::{Survey, Wanted};
use crate::object::ObjectName;
use crate::store::StoreError;
use crate::verify::listed::{Extent, MediaPlaylist, multivariant_difference};
use crate::verify::rebuild::KINDS;
use crate::verify::{Problem, Remedy};

/// The largest playlist that is read: that of a hundred days.
const PLAYLIST_MAX_BYTES: u64 = 512 << 20;

impl Survey<'_> {
    /// Compares the playlists that are stored with those that should be.
    pub(super) async fn judge_playlists(&mut self, wanted: &Wanted) -> Result<(), StoreError> {
        let extent = if self.live { Extent::Beginning } else { Extent::Whole };
        for (name, text) in &wanted.playlists {
            let flaw = match self.recording.read(name, PLAYLIST_MAX_BYTES).await? {
                Fetched::Whole(bytes) => match std::str::from_utf8(&bytes) {
                    Ok(stored) => flaw_of(name, stored, text, extent),
                    Err(_) => Some((Problem::Unreadable, "is not text".to_owned())),
                },
                Fetched::Missing => Some((Problem::Missing, "is missing".to_owned())),
                Fetched::TooLarge(size) => Some((Problem::Unreadable, format!("has {size} bytes, as no playlist has"))),
            };
            if let Some((problem, detail)) = flaw {
                self.ledger.find(name, problem, Remedy::Mendable, detail);
            }
        }
        Ok(())
    }
}

/// Says what is wrong with a playlist.
fn flaw_of(name: &ObjectName, stored: &str, wanted: &str, extent: Extent) -> Option<(Problem, String)> {
    if *name == ObjectName::multivariant() {
        // Its codecs are those of everything so far.
        let difference = multivariant_difference(stored, wanted).filter(|_| extent == Extent::Whole);
        return difference.map(|difference| (Problem::Disagrees, difference));
    }
    let wanted = MediaPlaylist::parse(wanted).ok()?;
    match MediaPlaylist::parse(stored) {
        Ok(stored) => stored.difference(&wanted, extent).map(|difference| (Problem::Disagrees, difference)),
        Err(flaw) => Some((Problem::Unreadable, flaw)),
    }
}

/// Reads the media playlists that can be read; what is wrong with them is seen when it is known what they should say.
pub(super) async fn read_playlists(recording: Recording<'_>) -> Result<BTreeMap<MediaKind, MediaPlaylist>, StoreError> {
    let mut playlists = BTreeMap::new();
    for kind in KINDS {
        if let Fetched::Whole(bytes) = recording.read(&ObjectName::playlist(kind), PLAYLIST_MAX_BYTES).await?
            && let Ok(text) = std::str::from_utf8(&bytes)
            && let Ok(playlist) = MediaPlaylist::parse(text)
        {
            playlists.insert(kind, playlist);
        }
    }
    Ok(playlists)
}
