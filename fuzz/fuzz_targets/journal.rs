//! Arbitrary bytes as the journal of a recording that another process left: as they are, and cut into frames whose
//! checksums are right. What is read adds up to an account that can be asked anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onair_media::{RecordingId, RoomName};
use onair_recorder::journal::{Begun, Reader, VERSION, crc, put_entry};
use onair_recorder::{Completeness, Ledger, PART_BYTES};

fuzz_target!(|bytes: &[u8]| {
    take_over(bytes);
    take_over(&framed(bytes));
});

/// Makes frames of what stands between a byte with its length and the next: a checksum would stop most of it.
fn framed(mut rest: &[u8]) -> Vec<u8> {
    let mut journal = Vec::new();
    while let Some((&length, behind)) = rest.split_first() {
        let (body, behind) = behind.split_at(behind.len().min(usize::from(length)));
        journal.extend_from_slice(&(body.len() as u32).to_le_bytes());
        journal.extend_from_slice(&crc(body).to_le_bytes());
        journal.extend_from_slice(body);
        rest = behind;
    }
    journal
}

/// Every journal begins with this entry, or is none.
fn begun() -> Begun {
    Begun {
        version: VERSION,
        room: RoomName::parse("studio-1").expect("a room name"),
        recording: RecordingId::parse("20261122T063000Z-7f3a9c").expect("a recording id"),
        epoch: chrono::DateTime::UNIX_EPOCH,
        server: "onair fuzz".into(),
        target_duration_s: 6,
        mp4: true,
    }
}

fn take_over(journal: &[u8]) {
    let mut reader = Reader::new(journal);
    let (mut ledger, mut rewritten) = (Ledger::new(begun(), PART_BYTES), Vec::new());
    while let Some(entry) = reader.next_entry().expect("memory can be read") {
        put_entry(&entry, &mut rewritten);
        ledger.apply(&entry);
    }
    assert!(reader.whole_bytes() <= journal.len() as u64);
    while ledger.next_object().is_some() {}
    let _ = (ledger.mp4_step(), ledger.take_done(), ledger.upload().is_some(), ledger.is_drained());
    let _ = ledger.playlists(Completeness::Live);
    ledger.seal();
    let _ = (ledger.playlists(Completeness::Complete), ledger.to_json());
}
