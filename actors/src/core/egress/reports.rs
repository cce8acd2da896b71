//! Writes sender reports with the sender's name (RTCP SR and SDES, RFC 3550 §6.4.1, §6.5).

/// What a sender report says of one SSRC.
#[derive(Debug, Clone, Copy)]
pub(super) struct SenderReport<'a> {
    pub(super) ssrc: u32,
    /// The wall clock as NTP has it.
    pub(super) ntp: u64,
    /// The same moment on the track's RTP clock.
    pub(super) timestamp: u32,
    pub(super) packets: u32,
    pub(super) payload_bytes: u32,
    pub(super) cname: &'a str,
}

impl SenderReport<'_> {
    /// Appends the compound packet.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Version 2, no report blocks; payload type 200; six words behind the first.
        out.extend_from_slice(&[0x80, 200, 0, 6]);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&self.ntp.to_be_bytes());
        for word in [self.timestamp, self.packets, self.payload_bytes] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        let cname = &self.cname.as_bytes()[..self.cname.len().min(255)];
        // SSRC, type and length, the name, and at least one zero that ends the list.
        let body = (4 + 2 + cname.len() + 1).next_multiple_of(4);
        out.extend_from_slice(&[0x81, 202]);
        out.extend_from_slice(&((body / 4) as u16).to_be_bytes());
        let end = out.len() + body;
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&[1, cname.len() as u8]);
        out.extend_from_slice(cname);
        out.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_and_a_name_make_a_compound_packet() {
        let report = SenderReport {
            ssrc: 0x0102_0304,
            ntp: 5 << 32 | 6,
            timestamp: 7,
            packets: 8,
            payload_bytes: 9,
            cname: "onair",
        };
        let mut out = Vec::new();
        report.write(&mut out);
        assert_eq!(out[..8], [0x80, 200, 0, 6, 1, 2, 3, 4]);
        assert_eq!(out[8..28], [0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9]);
        assert_eq!(out[28..], [0x81, 202, 0, 3, 1, 2, 3, 4, 1, 5, b'o', b'n', b'a', b'i', b'r', 0]);
    }
}
