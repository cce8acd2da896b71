//! RTCP of a receiver: reports (RFC 3550 §6.4), and feedback (RFC 4585, REMB, transport-wide congestion control).
//!
//! Each function appends one packet; together they are a compound one.

use super::sequence::Reception;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// The most transport-wide sequence numbers of one feedback packet: it stays below 1200 bytes.
pub(crate) const TRANSPORT_PACKETS_MAX: usize = 400;

/// What is reported about one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    /// The stream.
    pub(crate) ssrc: u32,
    /// What came of it.
    pub(crate) reception: Reception,
    /// The middle of the last sender report's NTP time, and how long ago that came, in 65,536ths of a second.
    pub(crate) last_report: (u32, u32),
}

/// Writes a header, lets `body` append the rest, and puts in the length in words (RFC 3550 §6.4.1).
fn packet(out: &mut Vec<u8>, (count, kind): (u8, u8), body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    body(out);
    // Whoever appends bytes singly fills the last word up.
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn word(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_be_bytes());
}

/// Appends a receiver report, and the name that must follow it (RFC 3550 §6.1). Jitter is not measured.
pub(crate) fn receiver_report(out: &mut Vec<u8>, sender: u32, blocks: &[Block]) {
    packet(out, (blocks.len() as u8, RECEIVER_REPORT), |out| {
        word(out, sender);
        for Block { ssrc, reception, last_report: (last, delay) } in blocks {
            word(out, *ssrc);
            word(out, u32::from(reception.fraction_lost) << 24 | reception.lost & 0x00ff_ffff);
            [reception.highest, 0, *last, *delay].into_iter().for_each(|value| word(out, value));
        }
    });
    packet(out, (1, SOURCE_DESCRIPTION), |out| {
        word(out, sender);
        // CNAME, six bytes; the list ends with a zero.
        out.extend_from_slice(b"\x01\x0aonair-load\0");
    });
}

/// Appends a generic NACK for sequence numbers in ascending order (RFC 4585 §6.2.1).
pub(crate) fn nack(out: &mut Vec<u8>, sender: u32, media: u32, numbers: &[u16]) {
    packet(out, (1, TRANSPORT_FEEDBACK), |out| {
        word(out, sender);
        word(out, media);
        let mut rest = numbers;
        while let Some((first, following)) = rest.split_first() {
            let close = following.iter().take_while(|number| (1..=16).contains(&number.wrapping_sub(*first))).count();
            let (close, behind) = following.split_at(close);
            let mask = close.iter().fold(0_u16, |mask, number| mask | 1 << (number.wrapping_sub(*first) - 1));
            word(out, u32::from(*first) << 16 | u32::from(mask));
            rest = behind;
        }
    });
}

/// Appends a picture loss indication (RFC 4585 §6.3.1).
pub(crate) fn pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    packet(out, (1, PAYLOAD_FEEDBACK), |out| {
        word(out, sender);
        word(out, media);
    });
}

/// Appends a receiver's estimated maximum bitrate (draft-alvestrand-rmcat-remb §2.2).
pub(crate) fn remb(out: &mut Vec<u8>, sender: u32, bits_per_s: u64, streams: &[u32]) {
    packet(out, (15, PAYLOAD_FEEDBACK), |out| {
        word(out, sender);
        word(out, 0);
        out.extend_from_slice(b"REMB");
        // 18 bits of mantissa.
        let exponent = (64 - bits_per_s.leading_zeros()).saturating_sub(18);
        let mantissa = (bits_per_s >> exponent) as u32;
        word(out, (streams.len() as u32) << 24 | exponent << 18 | mantissa);
        streams.iter().for_each(|ssrc| word(out, *ssrc));
    });
}

/// Appends transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
///
/// `arrivals` are extended sequence numbers in ascending order with their arrival times in microseconds, at most
/// [`TRANSPORT_PACKETS_MAX`] from the first to the last; `number` counts these packets.
pub(crate) fn transport_feedback(out: &mut Vec<u8>, sender: u32, media: u32, number: u8, arrivals: &[(u64, u64)]) {
    let (Some((first, first_us)), Some((last, _))) = (arrivals.first(), arrivals.last()) else { return };
    packet(out, (15, TRANSPORT_FEEDBACK), |out| {
        word(out, sender);
        word(out, media);
        let count = last - first + 1;
        word(out, u32::from(*first as u16) << 16 | count as u32);
        // 24 bits of 64 ms each.
        let reference = first_us / 64_000;
        word(out, (reference as u32 & 0x00ff_ffff) << 8 | u32::from(number));
        let deltas = deltas(arrivals, reference * 64_000);
        let mut symbols = Vec::with_capacity(count as usize);
        let mut known = arrivals.iter().zip(&deltas).peekable();
        for index in *first..=*last {
            symbols.push(match known.next_if(|((of, _), _)| *of == index) {
                Some((_, delta)) if u8::try_from(*delta).is_ok() => 1_u16,
                Some(_) => 2,
                None => 0,
            });
        }
        for seven in symbols.chunks(7) {
            // A status vector of two bits each.
            let chunk =
                seven.iter().enumerate().fold(0b11 << 14, |chunk, (at, symbol)| chunk | symbol << (12 - 2 * at));
            out.extend_from_slice(&chunk.to_be_bytes());
        }
        for delta in deltas {
            match u8::try_from(delta) {
                Ok(small) => out.push(small),
                Err(_) => out.extend_from_slice(&delta.to_be_bytes()),
            }
        }
    });
}

/// The times between arrivals, in steps of 250 µs.
fn deltas(arrivals: &[(u64, u64)], reference_us: u64) -> Vec<i16> {
    let mut before = (reference_us / 250) as i64;
    let step = |(_, at_us): &(u64, u64)| {
        let at = (at_us / 250) as i64;
        let delta = (at - before).clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        before = at;
        delta
    };
    arrivals.iter().map(step).collect()
}

/// Finds the sender reports of a compound packet: the stream, and the middle of the NTP time.
pub(crate) fn sender_reports(compound: &[u8]) -> impl Iterator<Item = (u32, u32)> + '_ {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let words = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
        let (packet, behind) = rest.split_at_checked(4 * (usize::from(words) + 1))?;
        rest = behind;
        Some(packet)
    })
    .filter(|packet| packet[1] == SENDER_REPORT)
    .filter_map(|packet| Some((word_at(packet, 4)?, word_at(packet, 10)?)))
}

fn word_at(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_report_has_its_block_and_a_name() {
        let reception = Reception { fraction_lost: 64, lost: 3, highest: 0x0001_0002 };
        let mut out = Vec::new();
        receiver_report(&mut out, 7, &[Block { ssrc: 9, reception, last_report: (0x1234, 0x5678) }]);
        let report = [
            0x81, 201, 0, 7, 0, 0, 0, 7, 0, 0, 0, 9, 64, 0, 0, 3, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0x56,
            0x78,
        ];
        assert_eq!(out[..32], report);
        assert_eq!(out[32..40], [0x81, 202, 0, 5, 0, 0, 0, 7]);
        assert_eq!(&out[40..52], b"\x01\x0aonair-load");
        assert_eq!(out.len(), 32 + 24);
    }

    #[test]
    fn a_nack_packs_neighbours_over_the_roll_over() {
        let mut out = Vec::new();
        nack(&mut out, 1, 2, &[65_535, 0, 15, 16, 300]);
        // 0 is one behind 65,535, 15 is sixteen behind, 16 is seventeen behind.
        let entries = [0xff, 0xff, 0x80, 0x01, 0, 16, 0, 0, 0x01, 0x2c, 0, 0];
        assert_eq!(out, [&[0x81, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2][..], &entries].concat());
    }

    #[test]
    fn pli_and_remb_are_as_specified() {
        let mut out = Vec::new();
        pli(&mut out, 1, 2);
        assert_eq!(out, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        out.clear();
        // 10,000,000 = 156,250 × 2^6, and 156,250 = 0x2625a.
        remb(&mut out, 1, 10_000_000, &[5]);
        let expected = [143, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 6 << 2 | 2, 0x62, 0x5a];
        assert_eq!(out[..20], expected);
        assert_eq!(out[20..], [0, 0, 0, 5]);
    }

    #[test]
    fn transport_feedback_has_a_symbol_for_each_number_and_a_delta_for_each_arrival() {
        let mut out = Vec::new();
        // Reference 2 × 64 ms; 1 ms, then one missing, then 100 ms later (400 steps: large), then 1 ms back.
        transport_feedback(&mut out, 1, 2, 9, &[(65_535, 129_000), (65_537, 229_000), (65_538, 228_000)]);
        let head = [0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0, 4, 0, 0, 2, 9];
        assert_eq!(out[..20], head);
        assert_eq!(out[20..22], [0b1101_0010, 0b1000_0000]);
        assert_eq!(out[22..], [4, 0x01, 0x90, 0xff, 0xfc, 0]);
    }

    #[test]
    fn sender_reports_are_found_and_broken_packets_are_nothing() {
        let mut compound = vec![0x81, 201, 0, 1, 0, 0, 0, 9];
        compound.extend_from_slice(&[0x80, 200, 0, 6, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8]);
        compound.extend_from_slice(&[0; 12]);
        assert_eq!(sender_reports(&compound).collect::<Vec<_>>(), [(5, 0x0304_0506)]);
        for length in 0..compound.len() {
            assert_eq!(sender_reports(&compound[..length]).count(), 0, "{length}");
        }
    }
}
