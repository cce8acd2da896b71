//! The objects that a manifest lists beside the segments, the MP4 above all.

use futures_util::stream::TryStreamExt;
use onair_media::MediaKind;

use super::Survey;
use super::movie::{Fault, Movie, MovieReader};
use crate::manifest::ObjectEntry;
use crate::object::ObjectName;
use crate::store::StoreError;
use crate::verify::digests::{Digested, Digests};
use crate::verify::rebuild::Totals;
use crate::verify::{Problem, Remedy};

/// What is to become of the MP4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MovieFate {
    /// There is none, and none is wanted.
    None,
    /// The manifest lists it and it is as it should be.
    Kept,
    /// It is right, but no manifest says so.
    Listed(ObjectEntry),
    /// It is to be put together anew.
    Rebuilt,
}

impl Survey<'_> {
    /// Checks the objects that the manifest lists, and decides about the MP4.
    pub(super) async fn judge_objects(&mut self) -> Result<MovieFate, StoreError> {
        let entries = self.ledger.old.as_ref().map(|old| old.manifest.objects.clone()).unwrap_or_default();
        let mut fate = None;
        for entry in &entries {
            let Ok(name) = ObjectName::parse(&entry.name) else {
                self.ledger.find_in_manifest(format!("lists {:?}, which names no object", entry.name));
                continue;
            };
            let is_movie = name == ObjectName::progressive();
            let flaw = self.object_flaw(&name, entry).await?;
            let flaw = match flaw {
                None if is_movie => self.movie_flaw(&name, entry.bytes).await?.map(|flaw| (Problem::Disagrees, flaw)),
                flaw => flaw,
            };
            if is_movie {
                fate = Some(if flaw.is_none() { MovieFate::Kept } else { MovieFate::Rebuilt });
            }
            if let Some((problem, detail)) = flaw {
                let remedy = if is_movie { Remedy::Mendable } else { Remedy::Lost };
                self.ledger.find(&name, problem, remedy, detail);
            }
        }
        match fate {
            Some(fate) => Ok(fate),
            None => self.judge_unlisted_movie().await,
        }
    }

    /// Says how an object differs from its entry.
    async fn object_flaw(
        &self,
        name: &ObjectName,
        entry: &ObjectEntry,
    ) -> Result<Option<(Problem, String)>, StoreError> {
        let Some(info) = self.objects.get(name) else {
            return Ok(Some((Problem::Missing, "is missing".into())));
        };
        if info.size != entry.bytes {
            return Ok(Some((Problem::Size, format!("has {} bytes instead of {}", info.size, entry.bytes))));
        }
        if entry.sha256.is_none() && entry.parts.is_empty() {
            return Ok(None);
        }
        let digested = self.digest(name, entry).await?;
        Ok(digested.difference(entry).map(|difference| (Problem::Digest, difference)))
    }

    /// Digests an object as it streams by.
    async fn digest(&self, name: &ObjectName, entry: &ObjectEntry) -> Result<Digested, StoreError> {
        let download = self.recording.store.get_range(&self.recording.path(name), None).await?;
        let mut digests = Digests::new(&entry.parts);
        let mut chunks = download.stream;
        while let Some(chunk) = chunks.try_next().await? {
            digests.push(&chunk);
        }
        Ok(digests.finish())
    }

    /// Says what is wrong with the sample tables of an MP4.
    async fn movie_flaw(&self, name: &ObjectName, size: u64) -> Result<Option<String>, StoreError> {
        let path = self.recording.path(name);
        let movie = match MovieReader::new(self.recording.store, &path, size).read().await {
            Ok(movie) => movie,
            Err(Fault::Store(error)) => return Err(error),
            Err(Fault::Wrong(flaw)) => return Ok(Some(flaw)),
        };
        Ok(self.tables_difference(&movie))
    }

    /// Says how the samples of an MP4 differ from those of the segments. It may have what a segment has lost since.
    fn tables_difference(&self, movie: &Movie) -> Option<String> {
        let differs = |kind: MediaKind, found: Totals| {
            let wanted = self.ledger.rebuild.totals(kind);
            let differs = if self.ledger.lost.is_empty() {
                found != wanted
            } else {
                found.samples < wanted.samples || found.bytes < wanted.bytes
            };
            let name = kind.as_str();
            differs.then(|| format!("has {} samples of {name}, the segments have {}", found.samples, wanted.samples))
        };
        differs(MediaKind::Video, movie.video).or_else(|| differs(MediaKind::Audio, movie.audio))
    }

    /// Decides about an MP4 that no manifest lists: only when there is none, or one that speaks of a live recording.
    async fn judge_unlisted_movie(&mut self) -> Result<MovieFate, StoreError> {
        let ended = self.ledger.old.as_ref().is_some_and(|old| !old.is_live());
        if ended || self.live {
            return Ok(MovieFate::None);
        }
        let name = ObjectName::progressive();
        let Some(size) = self.objects.get(&name).map(|info| info.size) else {
            if !self.settings.mp4 {
                return Ok(MovieFate::None);
            }
            self.ledger.find(&name, Problem::Missing, Remedy::Mendable, "is missing");
            return Ok(MovieFate::Rebuilt);
        };
        let entry = ObjectEntry { name: name.as_str().into(), bytes: size, sha256: None, parts: Vec::new() };
        if let Some(flaw) = self.movie_flaw(&name, size).await? {
            self.ledger.find(&name, Problem::Disagrees, Remedy::Mendable, flaw);
            return Ok(MovieFate::Rebuilt);
        }
        let stored = self.digest(&name, &entry).await?;
        // Without a digest of its own it is held against what the segments make. With segments missing it may be all
        // that is left of them.
        if self.ledger.lost_any() {
            return Ok(MovieFate::Listed(ObjectEntry { sha256: Some(stored.sha256), ..entry }));
        }
        if self.assembled_digest().await?.is_some_and(|made| made != stored.sha256) {
            self.ledger.find(&name, Problem::Disagrees, Remedy::Mendable, "is not what the segments make");
            return Ok(MovieFate::Rebuilt);
        }
        Ok(MovieFate::Listed(ObjectEntry { sha256: Some(stored.sha256), ..entry }))
    }
}
