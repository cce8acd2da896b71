//! Where the datagrams of one viewer are put together, one behind the other, as a send call wants them.

use std::ops::Range;

use crate::core::runs::run_length;

/// Holds datagrams to one destination. It is used over and over, so that nothing is allocated once it has its size.
#[derive(Debug, Default, Clone)]
pub struct SendBuffer {
    /// Written to directly; [`SendBuffer::end_datagram`] says where one ends.
    pub(super) bytes: Vec<u8>,
    sizes: Vec<usize>,
    /// Where the datagram begins that is being written.
    begin: usize,
}

/// Datagrams of one size, the last one perhaps shorter, that one call may send.
#[derive(Debug, PartialEq, Eq)]
pub struct SendRun {
    /// Their bytes.
    pub bytes: Range<usize>,
    /// The size of each but the last.
    pub segment_size: usize,
    /// How many they are.
    pub count: usize,
}

impl SendBuffer {
    /// Forgets what was put together.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sizes.clear();
        self.begin = 0;
    }

    /// Tells whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Returns how many datagrams there are.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Returns the bytes of all datagrams.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the datagrams one by one.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        self.sizes.iter().map(move |size| {
            let (datagram, behind) = rest.split_at(*size);
            rest = behind;
            datagram
        })
    }

    /// Returns the datagrams as runs of at most `max_segments`, in order.
    pub fn runs(&self, max_segments: usize) -> impl Iterator<Item = SendRun> {
        let (mut rest, mut begin) = (self.sizes.as_slice(), 0);
        std::iter::from_fn(move || {
            let count = run_length(rest.iter().copied(), max_segments);
            let (run, behind) = rest.split_at(count);
            let end = begin + run.iter().sum::<usize>();
            let found = SendRun { bytes: begin..end, segment_size: *run.first()?, count };
            (rest, begin) = (behind, end);
            Some(found)
        })
    }

    /// Ends the datagram that was written to `bytes`.
    pub(super) fn end_datagram(&mut self) {
        self.sizes.push(self.bytes.len() - self.begin);
        self.begin = self.bytes.len();
    }

    /// Where the datagram begins that is being written.
    pub(super) const fn begin(&self) -> usize {
        self.begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_every_datagram_once_and_in_order() {
        let mut buffer = SendBuffer::default();
        for (number, size) in [1200, 1200, 700, 1200, 90, 90].into_iter().enumerate() {
            buffer.bytes.extend(std::iter::repeat_n(number as u8, size));
            buffer.end_datagram();
        }
        let runs: Vec<_> = buffer.runs(64).map(|run| (run.bytes, run.segment_size, run.count)).collect();
        assert_eq!(runs, [(0..3100, 1200, 3), (3100..4390, 1200, 2), (4390..4480, 90, 1)]);
        assert_eq!(buffer.datagrams().map(|datagram| datagram[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        buffer.clear();
        assert_eq!((buffer.runs(64).next(), buffer.len()), (None, 0));
    }
}
