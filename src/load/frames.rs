//! A synthetic broadcast: H.264 access units of 1280 × 720 as RTP payloads (RFC 6184, packetization mode 1), and sound.
//!
//! Parameter sets and slice headers are true, so that servers see keyframes where there are any; what follows them is
//! filling, which no decoder would make a picture of.

use super::stamp::{STAMP_BYTES, Stamp};

/// Pictures a second.
pub(crate) const FRAMES_PER_S: u32 = 30;

/// How much larger a keyframe is than the other frames of its group.
const KEYFRAME_WEIGHT: u64 = 5;

/// The most bytes of an RTP payload: room for extensions, SRTP and tunnels below the usual 1500.
const PAYLOAD_MAX_BYTES: usize = 1200;

/// Constrained Baseline 3.1, 80 × 45 macroblocks, no reordering (ITU-T H.264 §7.3.2.1).
const SPS: [u8; 9] = [0x67, 0x42, 0xe0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe4];

/// One slice group, CAVLC.
const PPS: [u8; 4] = [0x68, 0xce, 0x38, 0x80];

/// What stands at the beginning of each slice: the NAL unit's header, and as much of the slice's as we write.
const SLICE_HEADER_BYTES: usize = 3;

/// What a sound packet of 64 kbit/s and 20 ms holds.
pub(crate) const SOUND_BYTES: usize = 160;

/// CELT, full band, 20 ms, mono (RFC 6716 §3.1).
const SOUND_TOC: u8 = 31 << 3;

/// Makes the frames of one publisher.
#[derive(Debug)]
pub(crate) struct Frames {
    /// How many bytes a frame is that is no keyframe.
    delta_bytes: usize,
    gop_frames: u32,
    number: u32,
    since_keyframe: u32,
    keyframes: u32,
    keyframe_wanted: bool,
}

impl Frames {
    /// Plans frames for a bitrate; a keyframe comes each `gop_ms` and when asked for.
    pub(crate) fn new(bitrate_kbps: u32, gop_ms: u32) -> Self {
        let gop_frames = (u64::from(gop_ms) * u64::from(FRAMES_PER_S) / 1000).clamp(1, u64::from(u32::MAX));
        let gop_bytes = u64::from(bitrate_kbps) * 125 * gop_frames / u64::from(FRAMES_PER_S);
        let delta_bytes = gop_bytes / (gop_frames - 1 + KEYFRAME_WEIGHT);
        Self {
            delta_bytes: (delta_bytes as usize).max(SLICE_HEADER_BYTES + STAMP_BYTES),
            gop_frames: gop_frames as u32,
            number: 0,
            since_keyframe: 0,
            keyframes: 0,
            keyframe_wanted: true,
        }
    }

    /// Asks for the next frame to be a keyframe.
    pub(crate) fn want_keyframe(&mut self) {
        self.keyframe_wanted = true;
    }

    /// Returns the RTP payloads of the next frame, stamped with the time at which it is sent.
    pub(crate) fn next(&mut self, sent_us: u64) -> Vec<Vec<u8>> {
        let is_keyframe = self.keyframe_wanted || self.since_keyframe >= self.gop_frames;
        if is_keyframe {
            (self.keyframe_wanted, self.since_keyframe) = (false, 0);
            self.keyframes += 1;
        }
        let mut slice = self.slice(is_keyframe);
        Stamp { sent_us, frame: self.number }.write(&mut slice[SLICE_HEADER_BYTES..]);
        let mut payloads = if is_keyframe { vec![parameter_sets()] } else { Vec::new() };
        fragment(&slice, &mut payloads);
        self.number = self.number.wrapping_add(1);
        self.since_keyframe += 1;
        payloads
    }

    /// Makes the one slice of a picture: a true beginning of its header (ITU-T H.264 §7.3.3), then filling.
    fn slice(&self, is_keyframe: bool) -> Vec<u8> {
        let bytes = if is_keyframe { self.delta_bytes * KEYFRAME_WEIGHT as usize } else { self.delta_bytes };
        // No byte is zero: there is nothing to escape.
        let mut slice: Vec<u8> = (0..bytes).map(|at| (at as u8).wrapping_mul(37) | 1).collect();
        let frame_num = self.since_keyframe as u8 & 0xf;
        if is_keyframe {
            // first_mb 0, slice_type 7 | pps 0, frame_num 0, idr_pic_id 0 or 1 (§7.4.3: neighbours differ).
            let idr_pic_id = if self.keyframes.is_multiple_of(2) { 0b101 } else { 0b010 };
            slice[..SLICE_HEADER_BYTES].copy_from_slice(&[0x65, 0b1000_1000, 0b1000_0000 | idr_pic_id]);
        } else {
            // first_mb 0, slice_type 5, pps 0, and the first bit of frame_num | its other three bits.
            slice[..SLICE_HEADER_BYTES].copy_from_slice(&[
                0x41,
                0b1001_1010 | frame_num >> 3,
                (frame_num & 7) << 5 | 1,
            ]);
        }
        slice
    }
}

/// Both parameter sets in one packet (STAP-A, RFC 6184 §5.7.1): a keyframe begins with it.
fn parameter_sets() -> Vec<u8> {
    let mut payload = vec![0x78];
    for set in [&SPS[..], &PPS] {
        payload.extend_from_slice(&(set.len() as u16).to_be_bytes());
        payload.extend_from_slice(set);
    }
    payload
}

/// Cuts a NAL unit into fragmentation units (FU-A, RFC 6184 §5.8), unless it fits into one packet.
fn fragment(nal: &[u8], payloads: &mut Vec<Vec<u8>>) {
    if nal.len() <= PAYLOAD_MAX_BYTES {
        payloads.push(nal.into());
        return;
    }
    let (header, body) = (nal[0], &nal[1..]);
    let last = body.len().div_ceil(PAYLOAD_MAX_BYTES - 2) - 1;
    for (index, piece) in body.chunks(PAYLOAD_MAX_BYTES - 2).enumerate() {
        let (start, end) = (u8::from(index == 0) << 7, u8::from(index == last) << 6);
        payloads.push([&[header & 0xe0 | 28, start | end | header & 0x1f], piece].concat());
    }
}

/// Returns the payload of a sound packet, of the size of Opus.
pub(crate) fn sound(number: u32) -> Vec<u8> {
    let mut payload = vec![number as u8 | 1; SOUND_BYTES];
    payload[0] = SOUND_TOC;
    payload
}

#[cfg(test)]
mod tests {
    use onair_media::Codec;

    use super::*;

    #[test]
    fn a_group_has_the_bitrate_asked_for() {
        let mut frames = Frames::new(2500, 2000);
        let payloads: Vec<_> = (0..60).flat_map(|_| frames.next(0)).collect();
        // 2500 kbit/s × 2 s = 625,000 bytes, and some for headers and stamps.
        let bytes: usize = payloads.iter().map(Vec::len).sum();
        assert!((615_000..635_000).contains(&bytes), "{bytes}");
        assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX_BYTES));
    }

    #[test]
    fn keyframes_are_seen_as_such_and_nothing_else_is() {
        let mut frames = Frames::new(2500, 500);
        for number in 0..45 {
            if number == 20 {
                frames.want_keyframe();
            }
            let payloads = frames.next(7);
            // Each 15 frames, and anew from the one asked for: 0, 15, 20, 35.
            let expected = [0, 15, 20, 35].contains(&number);
            let seen = onair_media::starts_keyframe(Codec::H264, &payloads[0]);
            assert_eq!(seen, expected, "{number}");
            let stamped = payloads.iter().position(|payload| Stamp::parse(payload).is_some());
            assert_eq!(stamped, Some(usize::from(expected)), "{number}");
        }
    }

    #[test]
    fn a_small_frame_is_one_nal_unit() {
        let mut frames = Frames::new(100, 1000);
        frames.next(0);
        let payloads = frames.next(0);
        assert_eq!((payloads.len(), payloads[0][0]), (1, 0x41));
        assert!(Stamp::parse(&payloads[0]).is_some());
    }
}
