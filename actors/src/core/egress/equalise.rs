//! Makes packets of nearly one size equal, so that one send call can carry them.
//!
//! The kernel cuts a buffer into datagrams of one size (UDP_SEGMENT). Encoders that split a frame evenly, as browsers do,
//! make packets that differ by a byte, and each difference would cost a call. RTP may be padded (RFC 3550 §5.1).

/// The most bytes by which a packet is padded: well under a hundredth of a full one.
const PADDING_MAX_BYTES: usize = 8;

/// Tells by how many bytes each of a run of packets is to be padded, from the sizes of their payloads.
pub(super) fn paddings(sizes: &[usize]) -> Vec<u8> {
    let mut paddings = vec![0; sizes.len()];
    let mut begin = 0;
    while begin < sizes.len() {
        let (length, most) = alike(&sizes[begin..]);
        // The last one of a run may be shorter as it is.
        for at in begin..begin + length - 1 {
            paddings[at] = (most - sizes[at]) as u8;
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
    use super::*;

    #[test]
    fn packets_of_an_evenly_split_frame_become_equal() {
        assert_eq!(paddings(&[1100, 1100, 1101, 1101]), [1, 1, 0, 0]);
        assert_eq!(paddings(&[1101, 1100, 1101]), [0, 1, 0]);
    }

    #[test]
    fn the_last_packet_of_a_frame_stays_short() {
        assert_eq!(paddings(&[1200, 1200, 700, 1200, 1200, 1195]), [0; 6]);
        assert_eq!(paddings(&[]), [0; 0]);
        assert_eq!(paddings(&[500]), [0]);
    }
}
