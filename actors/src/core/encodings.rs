//! What a publisher's encodings are like: how large, how busy, and which of them are there.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use onair_media::{EncodingId, MediaKind, RtpPacket, keyframe_size};

/// An encoding of which nothing came for so long, while others came, is not there: a sender drops those that its uplink does
/// not carry.
pub const SILENT_AFTER: Duration = Duration::from_millis(1500);

/// A pause of all of them counts for no more than this: it says nothing of one of them.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The time over which rates are averaged: some frames of the slowest sender, a keyframe and what follows it.
const WINDOW: Duration = Duration::from_secs(1);

/// Follows the encodings of one publisher.
#[derive(Debug, Default)]
pub struct Encodings {
    all: [Option<Encoding>; EncodingId::COUNT],
    newest_at: Option<Instant>,
    /// For how long something has come.
    ran_for: Duration,
}

/// Follows one encoding.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    /// Width and height in pixels, once a keyframe told them.
    pub size: Option<(u32, u32)>,
    /// Since when it has come without a break.
    pub since: Instant,
    heard_at: Instant,
    /// How long something had come then.
    heard_after: Duration,
    window_began: Instant,
    window_bytes: u64,
    bitrate_bps: Option<u64>,
}

impl Encodings {
    /// Takes note of a packet; sound is passed over.
    pub fn note(&mut self, packet: &RtpPacket) {
        if packet.codec.kind() != MediaKind::Video {
            return;
        }
        let at = packet.received_at;
        let Some(place) = self.all.get_mut(usize::from(packet.encoding.0)) else { return };
        let pause = self.newest_at.map_or(Duration::ZERO, |newest| at.saturating_duration_since(newest));
        self.newest_at = self.newest_at.max(Some(at));
        self.ran_for += pause.min(PAUSE_MAX);
        place.get_or_insert_with(|| Encoding::new(at)).note(packet, self.ran_for);
    }

    /// Forgets everything: another publisher begins.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns an encoding of which something came, however long ago.
    pub fn get(&self, id: EncodingId) -> Option<&Encoding> {
        self.all.get(usize::from(id.0))?.as_ref()
    }

    /// Tells whether an encoding is there: it came lately, as far as anything did.
    pub fn is_there(&self, id: EncodingId) -> bool {
        self.get(id).is_some_and(|encoding| encoding.is_there(self.ran_for))
    }

    /// Returns those that are there, the best first: the largest picture, of equal ones the one with more bits. While the size
    /// of one is not known, bits are all that they can be told apart by.
    pub fn ranked(&self) -> impl Iterator<Item = (EncodingId, &Encoding)> {
        let there = |number| (EncodingId(number), self.get(EncodingId(number)).filter(|it| it.is_there(self.ran_for)));
        let mut ranked = [0_u8, 1, 2].map(there);
        let are_sizes_known = ranked.iter().flat_map(|(_, it)| *it).all(|it| it.size.is_some());
        let pixels = |it: &Encoding| if are_sizes_known { it.pixels() } else { 0 };
        ranked.sort_by_key(|(id, it)| (Reverse(it.map(|it| (pixels(it), it.bitrate_bps()))), id.0));
        ranked.into_iter().filter_map(|(id, it)| Some((id, it?)))
    }
}

impl Encoding {
    fn new(at: Instant) -> Self {
        Self {
            size: None,
            since: at,
            heard_at: at,
            heard_after: Duration::ZERO,
            window_began: at,
            window_bytes: 0,
            bitrate_bps: None,
        }
    }

    fn note(&mut self, packet: &RtpPacket, ran_for: Duration) {
        let at = packet.received_at;
        if !self.is_there(ran_for) && at > self.since {
            *self = Self { size: self.size, bitrate_bps: self.bitrate_bps, ..Self::new(at) };
        }
        self.heard_after = ran_for;
        self.heard_at = self.heard_at.max(at);
        if packet.starts_keyframe {
            self.size = keyframe_size(packet.codec, &packet.payload).or(self.size);
        }
        let elapsed = at.saturating_duration_since(self.window_began);
        if elapsed >= WINDOW {
            self.bitrate_bps = Some(bps(self.window_bytes, elapsed));
            (self.window_began, self.window_bytes) = (at, 0);
        }
        self.window_bytes += packet.payload.len() as u64;
    }

    fn is_there(&self, ran_for: Duration) -> bool {
        ran_for.saturating_sub(self.heard_after) < SILENT_AFTER
    }

    /// Returns the payload's bits per second over the last second; at first, of what came so far.
    pub fn bitrate_bps(&self) -> u64 {
        let so_far = self.heard_at.saturating_duration_since(self.window_began);
        self.bitrate_bps.unwrap_or_else(|| bps(self.window_bytes, so_far.max(WINDOW / 4)))
    }

    /// Tells whether this is so much better that to change is worth a break: a larger picture, or half as many bits more
    /// where that says nothing.
    pub fn is_clearly_better_than(&self, other: &Self) -> bool {
        match (self.size.map(|_| self.pixels()), other.size.map(|_| other.pixels())) {
            (Some(own), Some(others)) if own != others => own > others,
            _ => self.bitrate_bps() / 3 > other.bitrate_bps() / 2,
        }
    }

    fn pixels(&self) -> u64 {
        self.size.map_or(0, |(width, height)| u64::from(width) * u64::from(height))
    }
}

fn bps(bytes: u64, time: Duration) -> u64 {
    bytes * 8_000 / (time.as_millis() as u64).max(1)
}

#[cfg(test)]
pub(crate) mod tests {
    use onair_media::Codec;

    use super::*;

    /// A VP8 packet; a keyframe of the given width, or the middle of another picture.
    pub(crate) fn vp8(encoding: u8, keyframe: Option<u16>, bytes: usize, received_at: Instant) -> RtpPacket {
        let mut payload = vec![0; bytes.max(12)];
        if let Some(width) = keyframe {
            payload[..7].copy_from_slice(&[0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a]);
            payload[7..9].copy_from_slice(&width.to_le_bytes());
            payload[9..11].copy_from_slice(&(width / 2).to_le_bytes());
        }
        RtpPacket {
            codec: Codec::Vp8,
            encoding: EncodingId(encoding),
            seq_no: 0,
            timestamp: 0,
            marker: true,
            starts_keyframe: keyframe.is_some(),
            payload: payload.into(),
            received_at,
            sender_report: None,
        }
    }

    fn ranked(encodings: &Encodings) -> Vec<u8> {
        encodings.ranked().map(|(id, _)| id.0).collect()
    }

    #[test]
    fn a_pause_of_all_is_the_end_of_none() {
        let (start, mut encodings) = (Instant::now(), Encodings::default());
        let note = |encodings: &mut Encodings, at| {
            [(0, 320, 100), (1, 1280, 900)].iter().for_each(|(number, width, bytes)| {
                encodings.note(&vp8(*number, Some(*width), *bytes, at));
            });
        };
        note(&mut encodings, start);
        // A screen on which nothing happens, and then only the small picture for a moment.
        for pause in 1..10 {
            encodings.note(&vp8(0, None, 100, start + Duration::from_secs(3) * pause));
            assert_eq!(ranked(&encodings), [1, 0]);
            note(&mut encodings, start + Duration::from_secs(3) * pause + Duration::from_millis(100));
        }
    }

    #[test]
    fn while_a_size_is_not_known_bits_decide() {
        let (start, mut encodings) = (Instant::now(), Encodings::default());
        encodings.note(&vp8(0, Some(320), 100, start));
        encodings.note(&vp8(1, None, 300, start));
        encodings.note(&vp8(2, None, 900, start));
        assert_eq!(ranked(&encodings), [2, 1, 0]);
        encodings.note(&vp8(1, Some(640), 300, start));
        encodings.note(&vp8(2, Some(160), 900, start));
        assert_eq!(ranked(&encodings), [1, 0, 2]);
    }

    #[test]
    fn the_largest_picture_is_the_best_whatever_its_number_and_bits() {
        let (start, mut encodings) = (Instant::now(), Encodings::default());
        encodings.note(&vp8(0, Some(320), 900, start));
        encodings.note(&vp8(1, Some(1280), 100, start));
        encodings.note(&vp8(2, Some(640), 500, start));
        assert_eq!(ranked(&encodings), [1, 2, 0]);
        assert_eq!(encodings.get(EncodingId(1)).unwrap().size, Some((1280, 640)));
        // The best falls silent.
        for ms in (100..=1500).step_by(100) {
            let at = start + Duration::from_millis(ms);
            [0, 2].iter().for_each(|number| encodings.note(&vp8(*number, None, 100, at)));
        }
        let later = start + SILENT_AFTER;
        assert_eq!(ranked(&encodings), [2, 0]);
        // It comes back, and has done so since just now.
        encodings.note(&vp8(1, None, 100, later));
        assert_eq!(ranked(&encodings), [1, 2, 0]);
        assert_eq!(encodings.get(EncodingId(1)).unwrap().since, later);
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let (start, mut encodings) = (Instant::now(), Encodings::default());
        // 50 packets of 250 bytes a second, then twice as large.
        for number in 0..200_u32 {
            let bytes = if number < 100 { 250 } else { 500 };
            encodings.note(&vp8(0, None, bytes, start + Duration::from_millis(20) * number));
            if number == 60 {
                assert_eq!(encodings.get(EncodingId(0)).unwrap().bitrate_bps(), 100_000);
            }
        }
        assert_eq!(encodings.get(EncodingId(0)).unwrap().bitrate_bps(), 200_000);
    }
}
