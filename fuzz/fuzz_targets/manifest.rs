//! Arbitrary text as `recording.json`: what is read can be written, and reads as the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onair_recorder::Manifest;

fuzz_target!(|text: &[u8]| {
    let Ok(read) = serde_json::from_slice::<Manifest>(text) else { return };
    let rewritten = serde_json::to_vec(&read).expect("a manifest has no map and can be written");
    // Times are kept to the millisecond, so the first writing may round them; years of five digits cannot be read.
    let Ok(mut second) = serde_json::from_slice::<Manifest>(&rewritten) else { return };
    let third = serde_json::to_vec(&second).expect("a manifest has no map and can be written");
    let mut third: Manifest = serde_json::from_slice(&third).expect("what was read before is read again");
    // serde_json reads fractions to the last bit but one.
    second.tracks.iter_mut().chain(&mut third.tracks).for_each(|track| track.frame_rate = None);
    assert_eq!(second, third);
});
