//! Arbitrary bytes as an initialisation segment and as a segment out of a store: what can be read can be written, and
//! reads as the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onair_recorder::boxes::init_segment;
use onair_recorder::{read_head, read_init, read_segment};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = read_init(bytes) {
        let written = init_segment(&config).expect("a configuration that is read can be written");
        assert_eq!(read_init(&written).expect("what is written can be read"), config);
    }
    let _ = read_head(bytes);
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    for kind in [onair_media::MediaKind::Video, onair_media::MediaKind::Audio] {
        if let Ok(segment) = read_segment(kind, 7, bytes.clone()) {
            assert_eq!(segment.size_bytes(), bytes.len() as u64, "parts fill their segment");
            for part in &segment.parts {
                let samples: u64 = part.samples.iter().map(|sample| u64::from(sample.size)).sum();
                assert_eq!(part.payload_offset as u64 + samples, part.size_bytes());
            }
        }
    }
});
