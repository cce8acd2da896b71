//! All packets of a room on one worker: its sound, and each encoding of its video.

use std::time::Instant;

use onair_media::{EncodingId, MediaKind, PacketBatch, SourceId};

use super::capture::CaptureClock;
use super::log::PacketLog;
use crate::core::encodings::Encodings;

/// Holds one log for the sound and one for each encoding: a viewer reads the former and one of the latter.
#[derive(Debug, Default)]
pub(super) struct Logs {
    audio: PacketLog,
    video: [PacketLog; EncodingId::COUNT],
    encodings: Encodings,
    source: Option<SourceId>,
    newest_at: Option<Instant>,
    clock: CaptureClock,
}

impl Logs {
    /// Appends a batch. `after_gap` says that packets before it were withheld.
    pub(super) fn push(&mut self, batch: &PacketBatch, after_gap: bool) {
        if self.source.replace(batch.source) != Some(batch.source) {
            self.encodings.clear();
            self.all().for_each(PacketLog::begin_source);
        }
        if after_gap {
            self.all().for_each(PacketLog::note_gap);
        }
        let packets = batch.packets.iter();
        let sound = packets.clone().filter(|packet| packet.codec.kind() == MediaKind::Audio);
        self.audio.push(batch.source, sound, &mut self.clock);
        let pictures = packets.clone().filter(|packet| packet.codec.kind() == MediaKind::Video);
        for (number, log) in self.video.iter_mut().enumerate() {
            let of_encoding = pictures.clone().filter(|packet| usize::from(packet.encoding.0) == number);
            log.push(batch.source, of_encoding, &mut self.clock);
        }
        pictures.for_each(|packet| self.encodings.note(packet));
        if let Some(newest) = batch.packets.last() {
            self.newest_at = Some(newest.received_at);
            self.all().for_each(|log| log.let_go(newest.received_at));
        }
    }

    /// Returns which publisher session the packets come from.
    pub(super) const fn source(&self) -> Option<SourceId> {
        self.source
    }

    /// Returns when the last packet came.
    pub(super) const fn newest_at(&self) -> Option<Instant> {
        self.newest_at
    }

    /// Returns the packets of the sound.
    pub(super) const fn audio(&self) -> &PacketLog {
        &self.audio
    }

    /// Returns the packets of an encoding.
    pub(super) fn video(&self, encoding: EncodingId) -> &PacketLog {
        &self.video[usize::from(encoding.0).min(EncodingId::COUNT - 1)]
    }

    /// Returns what the encodings are like.
    pub(super) const fn encodings(&self) -> &Encodings {
        &self.encodings
    }

    /// Returns how many packets and bytes are kept.
    pub(super) fn kept(&self) -> (usize, usize) {
        let kept = std::iter::once(&self.audio).chain(&self.video).map(PacketLog::kept);
        kept.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    fn all(&mut self) -> impl Iterator<Item = &mut PacketLog> {
        std::iter::once(&mut self.audio).chain(&mut self.video)
    }
}
