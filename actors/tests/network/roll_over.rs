//! The 16-bit sequence number of RTP rolls over, and SRTP must count along (RFC 3711 §3.3.1).

use std::time::Duration;

use onair_media::{Codec, EncodingId, PacketBatch, RtpPacket, SourceId};

use crate::support::netem::Conditions;
use crate::support::stage::Stage;

/// One roll-over for certain, wherever the numbers begin.
const PACKETS: u64 = 66_000;

const BATCH: u64 = 30;

#[test]
fn more_than_65536_packets_are_decrypted() {
    let mut stage = Stage::new(1);
    stage.view(Conditions::GOOD);
    for first in (0..PACKETS).step_by(BATCH as usize) {
        let packets = (first..first + BATCH).map(|number| RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            // The publisher's own numbers began long ago.
            seq_no: 1_000_000 + number,
            timestamp: (number / BATCH) as u32 * 900,
            marker: (number + 1).is_multiple_of(BATCH),
            starts_keyframe: number == 0,
            payload: number.to_be_bytes().into(),
            received_at: stage.now,
            sender_report: None,
        });
        let batch = PacketBatch { source: SourceId(1), packets: packets.collect() };
        stage.egress.push(&batch, false);
        stage.serve_viewers();
        stage.run_for(Duration::from_millis(10));
    }
    stage.run_for(Duration::from_millis(100));

    let received = &stage.viewers[0].pair.client.seen.packets;
    assert_eq!(received.len() as u64, PACKETS);
    assert!(received[0].seq_no < 65_536 && received[received.len() - 1].seq_no >= 65_536);
    for (number, packet) in (0..).zip(received) {
        assert_eq!((packet.seq_no, &packet.payload[..]), (received[0].seq_no + number, &number.to_be_bytes()[..]));
    }
}
