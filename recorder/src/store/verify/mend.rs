//! Writes anew what is wrong: playlists, the MP4, and last the manifest.

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use sha2::{Digest, Sha256};

use super::assemble::assembled;
use super::objects::MovieFate;
use super::{Survey, Wanted};
use crate::manifest::{ObjectEntry, Pictures, RecordingState, hex};
use crate::object::ObjectName;
use crate::store::StoreError;
use crate::verify::{Finding, Remedy};

impl Survey<'_> {
    /// Mends what can be mended and returns how the recording stands then.
    pub(super) async fn mend(&mut self, mut wanted: Wanted, fate: MovieFate) -> Result<RecordingState, StoreError> {
        for (name, text) in &wanted.playlists {
            if self.wants_mending(name) {
                self.recording.store.put(&self.recording.path(name), text.clone().into()).await?;
                self.mended(name);
            }
        }
        wanted.manifest.objects = self.mend_objects(fate).await?;
        wanted.manifest.pictures = self.pictures_left();
        if self.ledger.manifest_is_stale {
            let json = match &self.ledger.old {
                Some(old) => old.replaced_by(&wanted.manifest),
                None => serde_json::to_vec_pretty(&wanted.manifest).expect("a manifest holds nothing that JSON cannot"),
            };
            self.recording.store.put(&self.recording.path(&ObjectName::manifest()), json.into()).await?;
            self.mended(&ObjectName::manifest());
            self.mended_segments();
        }
        Ok(wanted.manifest.state)
    }

    /// Puts the MP4 together where it is wrong, and returns what the manifest should list beside the segments.
    async fn mend_objects(&mut self, fate: MovieFate) -> Result<Vec<ObjectEntry>, StoreError> {
        let movie = ObjectName::progressive();
        let mut entries = self.ledger.old.as_ref().map(|old| old.manifest.objects.clone()).unwrap_or_default();
        // What is lost is not listed any more; nothing else lists an object that is not there.
        let lost =
            |entry: &ObjectEntry, finding: &Finding| finding.object == entry.name && finding.remedy == Remedy::Lost;
        let before = entries.len();
        entries.retain(|entry| !self.ledger.findings.iter().any(|finding| lost(entry, finding)));
        entries.retain(|entry| ObjectName::parse(&entry.name).is_ok());
        self.ledger.manifest_is_stale |= entries.len() != before;
        let entry = match fate {
            MovieFate::Kept | MovieFate::None => return Ok(entries),
            MovieFate::Listed(entry) => Some(entry),
            MovieFate::Rebuilt => self.put_movie(&movie).await?,
        };
        let listed = entries.iter().find(|entry| entry.name == movie.as_str()).cloned();
        if entry != listed {
            entries.retain(|entry| entry.name != movie.as_str());
            entries.extend(entry);
            self.ledger.manifest_is_stale = true;
        }
        Ok(entries)
    }

    /// Says where pictures are now: they are not made anew.
    fn pictures_left(&self) -> Option<Pictures> {
        let mut pictures = self.ledger.old.as_ref()?.manifest.pictures.clone()?;
        let lost = self.ledger.findings.iter().filter(|finding| finding.remedy == Remedy::Lost);
        lost.for_each(|finding| pictures.lose(&finding.object));
        Some(pictures)
    }

    async fn put_movie(&mut self, name: &ObjectName) -> Result<Option<ObjectEntry>, StoreError> {
        let Some(layout) = self.ledger.assembly.layout() else { return Ok(None) };
        let file = assembled(self.recording, &layout);
        let uploaded = self.recording.store.put_stream(&self.recording.path(name), layout.total_bytes, file).await?;
        self.mended(name);
        let (name, sha256) = (name.as_str().into(), Some(uploaded.sha256));
        Ok(Some(ObjectEntry { name, bytes: uploaded.size, sha256, parts: Vec::new() }))
    }

    /// Returns the digest of the MP4 that the segments make.
    pub(super) async fn assembled_digest(&self) -> Result<Option<String>, StoreError> {
        let Some(layout) = self.ledger.assembly.layout() else { return Ok(None) };
        let add = |mut digest: Sha256, chunk: Bytes| {
            digest.update(&chunk);
            std::future::ready(Ok(digest))
        };
        let digest = assembled(self.recording, &layout).try_fold(Sha256::new(), add).await?;
        Ok(Some(hex(&digest.finalize())))
    }

    fn wants_mending(&self, name: &ObjectName) -> bool {
        let wants = |finding: &Finding| finding.object == name.as_str() && finding.remedy == Remedy::Mendable;
        self.ledger.findings.iter().any(wants)
    }

    fn mended(&mut self, name: &ObjectName) {
        for finding in self.ledger.findings.iter_mut().filter(|finding| finding.object == name.as_str()) {
            if finding.remedy == Remedy::Mendable {
                finding.remedy = Remedy::Mended;
            }
        }
    }

    /// The manifest lists the segments now that it did not.
    fn mended_segments(&mut self) {
        let segments = |finding: &&mut Finding| finding.object.ends_with(".m4s") && finding.remedy == Remedy::Mendable;
        self.ledger.findings.iter_mut().filter(segments).for_each(|finding| finding.remedy = Remedy::Mended);
    }
}
