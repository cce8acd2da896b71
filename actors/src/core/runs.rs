//! Groups datagrams that one send call may carry: the kernel cuts a buffer into segments of one size (UDP_SEGMENT).

/// The most bytes of one call: what UDP's length field leaves for payload (RFC 768).
const RUN_MAX_BYTES: usize = 65_000;

/// Returns how many datagrams from the front go in one call, by their sizes: all like the first, the last one perhaps
/// shorter, and no more than `max_segments`. At least one, unless there is none.
///
/// They must all go to one destination.
pub fn run_length(sizes: impl IntoIterator<Item = usize>, max_segments: usize) -> usize {
    let mut sizes = sizes.into_iter();
    let Some(size) = sizes.next() else { return 0 };
    if size == 0 {
        return 1;
    }
    let most = max_segments.min(RUN_MAX_BYTES / size).max(1);
    let mut length = 1;
    for other in sizes.take(most - 1) {
        if other == 0 || other > size {
            break;
        }
        length += 1;
        if other < size {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(sizes: &[usize], max_segments: usize) -> Vec<usize> {
        let (mut rest, mut lengths) = (sizes, Vec::new());
        while !rest.is_empty() {
            let length = run_length(rest.iter().copied(), max_segments);
            lengths.push(length);
            rest = &rest[length..];
        }
        lengths
    }

    #[test]
    fn equal_datagrams_go_together() {
        assert_eq!(lengths(&[1200; 5], 64), [5]);
        // The last one of a frame is shorter; what follows is another call.
        assert_eq!(lengths(&[1200, 1200, 300, 1200], 64), [3, 1]);
        // Sound between pictures ends a run; so does a longer datagram.
        assert_eq!(lengths(&[1200, 100, 1200, 1200], 64), [2, 2]);
        assert_eq!(lengths(&[100, 1200], 64), [1, 1]);
    }

    #[test]
    fn a_call_has_its_limits() {
        assert_eq!(lengths(&[1200; 5], 2), [2, 2, 1]);
        assert_eq!(lengths(&[1200; 3], 1), [1, 1, 1]);
        assert_eq!(lengths(&[1200; 60], 64), [54, 6]);
        assert_eq!(lengths(&[0, 0], 64), [1, 1]);
        assert_eq!(lengths(&[], 64), Vec::<usize>::new());
    }
}
