//! Makes packets of nearly one size equal, so that one send call can carry them.
//!
//! The kernel cuts a buffer into datagrams of one size (UDP_SEGMENT). Encoders that split a frame evenly, as browsers do,
//! make packets that differ by a byte, and each difference would cost a call. RTP may be padded (RFC 3550 §5.1).

use onair_media::{MediaKind, RtpPacket};

/// The most bytes by which a packet is padded: well under a hundredth of a full one.
const PADDING_MAX_BYTES: usize = 8;

/// Tells by how many bytes each packet of a batch is to be padded.
pub(super) fn paddings(packets: &[RtpPacket]) -> Vec<u8> {
    let mut paddings = vec![0; packets.len()];
    let video: Vec<usize> = (0..packets.len()).filter(|at| packets[*at].codec.kind() == MediaKind::Video).collect();
    let sizes: Vec<usize> = video.iter().map(|at| packets[*at].payload.len()).collect();
    let mut begin = 0;
    while begin < sizes.len() {
        let (length, most) = alike(&sizes[begin..]);
        // The last one of a run may be shorter as it is.
        for at in begin..begin + length - 1 {
            paddings[video[at]] = (most - sizes[at]) as u8;
        }
        begin += length;
    }
    paddings
}

/// Returns how many sizes from the front are nearly the same, at least one, and the largest of them.
fn alike(sizes: &[usize]) -> (usize, usize) {
    let (mut least, mut most) = (sizes[0], sizes[0]);
    for (at, size) in sizes.iter().enumerate() {
        let (low, high) = (least.min(*size), most.max(*size));
        if high - low > PADDING_MAX_BYTES {
            return (at, most);
        }
        (least, most) = (low, high);
    }
    (sizes.len(), most)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use onair_media::Codec;

    use super::*;

    fn padded(sizes: &[usize]) -> Vec<u8> {
        let packet = |size: &usize| RtpPacket {
            codec: if *size < 200 { Codec::Opus } else { Codec::H264 },
            seq_no: 0,
            timestamp: 0,
            marker: false,
            starts_keyframe: false,
            payload: vec![0; *size].into(),
            received_at: Instant::now(),
            sender_report: None,
        };
        paddings(&sizes.iter().map(packet).collect::<Vec<_>>())
    }

    #[test]
    fn packets_of_an_evenly_split_frame_become_equal() {
        assert_eq!(padded(&[1100, 1100, 1101, 1101]), [1, 1, 0, 0]);
        assert_eq!(padded(&[1101, 1100, 1101]), [0, 1, 0]);
        // Sound between them is no matter.
        assert_eq!(padded(&[1100, 90, 1101]), [1, 0, 0]);
    }

    #[test]
    fn the_last_packet_of_a_frame_stays_short() {
        assert_eq!(padded(&[1200, 1200, 700, 1200, 1200, 1195]), [0; 6]);
        assert_eq!(padded(&[]), [0; 0]);
        assert_eq!(padded(&[500]), [0]);
    }
}
