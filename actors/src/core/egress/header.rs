//! Writes RTP headers (RFC 3550 §5.1) with one-byte header extensions (RFC 8285 §4.2).

/// The most bytes of an extension block here: its own header, a number, a send time, and a MID of sixteen bytes.
const EXTENSIONS_MAX_BYTES: usize = 4 + 3 + 4 + 17;

/// Begins a block of one-byte extensions.
const ONE_BYTE_FORM: [u8; 2] = [0xbe, 0xde];

/// What varies from packet to packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) is_padded: bool,
    pub(super) seq_no: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
}

/// A block of header extensions, ready to be copied.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extensions {
    bytes: [u8; EXTENSIONS_MAX_BYTES],
    len: usize,
    /// Whether the block begins with a number that is another one in each packet.
    is_numbered: bool,
}

/// An extension's number and value; a value has 1 to 16 bytes.
pub(super) type Element<'a> = (u8, &'a [u8]);

impl Extensions {
    /// Writes a block: a place for the packet's number, if that extension is used, and up to two elements. What the one-byte
    /// form cannot carry is left out.
    pub(super) fn new(number: Option<u8>, elements: [Option<Element<'_>>; 2]) -> Self {
        let number = number.filter(|id| matches!(id, 1..=14));
        let mut block = Self { is_numbered: number.is_some(), ..Self::default() };
        let number = number.map(|id| (id, &[0, 0][..]));
        for (id, value) in std::iter::once(number).chain(elements).flatten() {
            if !matches!((id, value.len()), (1..=14, 1..=16)) {
                continue;
            }
            block.len = block.len.max(4);
            block.put(&[id << 4 | (value.len() - 1) as u8]);
            block.put(value);
        }
        if block.len > 0 {
            block.len = block.len.next_multiple_of(4);
            let words = (block.len / 4 - 1) as u16;
            block.bytes[..2].copy_from_slice(&ONE_BYTE_FORM);
            block.bytes[2..4].copy_from_slice(&words.to_be_bytes());
        }
        block
    }

    /// Sets the packet's number, where there is a place for it.
    pub(super) fn set_number(&mut self, number: u16) {
        if self.is_numbered {
            self.bytes[5..7].copy_from_slice(&number.to_be_bytes());
        }
    }

    /// Tells whether each packet is to have a number.
    pub(super) const fn is_numbered(&self) -> bool {
        self.is_numbered
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Header {
    /// Appends the header and returns its length.
    pub(super) fn write(&self, extensions: &Extensions, out: &mut Vec<u8>) -> usize {
        let mut fixed = [0; 12];
        fixed[0] = 0x80 | u8::from(self.is_padded) << 5 | u8::from(!extensions.is_empty()) << 4;
        fixed[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        fixed[2..4].copy_from_slice(&self.seq_no.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        fixed[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&fixed);
        out.extend_from_slice(&extensions.bytes[..extensions.len]);
        fixed.len() + extensions.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { payload_type: 96, marker: true, is_padded: false, seq_no: 0x1234, timestamp: 7, ssrc: 0xdead_beef };

    #[test]
    fn a_header_is_written_as_rfc_3550_draws_it() {
        let mut out = vec![1];
        assert_eq!(HEADER.write(&Extensions::new(None, [None, None]), &mut out), 12);
        assert_eq!(out, [1, 0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 7, 0xde, 0xad, 0xbe, 0xef]);
        let padded = Header { is_padded: true, marker: false, ..HEADER };
        out.clear();
        padded.write(&Extensions::default(), &mut out);
        assert_eq!(out[..2], [0xa0, 96]);
    }

    #[test]
    fn extensions_fill_words() {
        let mut out = Vec::new();
        let extensions = Extensions::new(None, [Some((2, &[1, 2, 3])), Some((4, b"v0"))]);
        assert_eq!(HEADER.write(&extensions, &mut out), 24);
        assert_eq!(out[0], 0x90);
        assert_eq!(out[12..], [0xbe, 0xde, 0, 2, 0x22, 1, 2, 3, 0x41, b'v', b'0', 0]);
        // Neither number 15, which is reserved, nor an empty value.
        assert!(Extensions::new(Some(0), [Some((15, &[1])), Some((3, &[]))]).is_empty());
        let longest = Extensions::new(Some(3), [Some((1, &[0; 3])), Some((14, &[b'm'; 16]))]);
        assert_eq!(longest.len, EXTENSIONS_MAX_BYTES);
    }

    #[test]
    fn each_packet_has_its_number() {
        let mut extensions = Extensions::new(Some(3), [Some((2, &[1, 2, 3])), None]);
        extensions.set_number(0x1234);
        let mut out = Vec::new();
        HEADER.write(&extensions, &mut out);
        assert_eq!(out[12..], [0xbe, 0xde, 0, 2, 0x31, 0x12, 0x34, 0x22, 1, 2, 3, 0]);
    }
}
