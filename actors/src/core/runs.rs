//! Groups datagrams that one send call may carry: the kernel cuts a buffer into segments of one size (UDP_SEGMENT).

use std::net::SocketAddr;

/// The most bytes of one call: what UDP's length field leaves for payload (RFC 768).
const RUN_MAX_BYTES: usize = 65_000;

/// Returns how many datagrams from the front go in one call: the same destination, the size of the first, the last one
/// perhaps shorter, and no more than `max_segments`. At least one, unless there is none.
pub fn run_length(datagrams: &[(SocketAddr, Vec<u8>)], max_segments: usize) -> usize {
    let Some((to, first)) = datagrams.first() else { return 0 };
    let size = first.len();
    if size == 0 {
        return 1;
    }
    let most = max_segments.min(RUN_MAX_BYTES / size).max(1);
    let mut length = 1;
    for (other, datagram) in datagrams.iter().take(most).skip(1) {
        if other != to || datagram.is_empty() || datagram.len() > size {
            break;
        }
        length += 1;
        if datagram.len() < size {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(sizes: &[(u16, usize)], max_segments: usize) -> Vec<usize> {
        let datagrams: Vec<_> =
            sizes.iter().map(|(port, size)| (SocketAddr::from(([127, 0, 0, 1], *port)), vec![0; *size])).collect();
        let (mut rest, mut lengths) = (datagrams.as_slice(), Vec::new());
        while !rest.is_empty() {
            lengths.push(run_length(rest, max_segments));
            rest = &rest[run_length(rest, max_segments)..];
        }
        lengths
    }

    #[test]
    fn equal_datagrams_to_one_place_go_together() {
        assert_eq!(lengths(&[(1, 1200); 5], 64), [5]);
        // The last one of a frame is shorter; what follows is another call.
        assert_eq!(lengths(&[(1, 1200), (1, 1200), (1, 300), (1, 1200)], 64), [3, 1]);
        // Sound between pictures ends a run; so do a longer datagram and another viewer.
        assert_eq!(lengths(&[(1, 1200), (1, 100), (1, 1200), (1, 1200)], 64), [2, 2]);
        assert_eq!(lengths(&[(1, 100), (1, 1200), (2, 1200)], 64), [1, 1, 1]);
    }

    #[test]
    fn a_call_has_its_limits() {
        assert_eq!(lengths(&[(1, 1200); 5], 2), [2, 2, 1]);
        assert_eq!(lengths(&[(1, 1200); 3], 1), [1, 1, 1]);
        assert_eq!(lengths(&[(1, 1200); 60], 64), [54, 6]);
        assert_eq!(lengths(&[(1, 0), (1, 0)], 64), [1, 1]);
        assert_eq!(lengths(&[], 64), Vec::<usize>::new());
    }
}
