//! Everything that a test of sessions over a bad network needs: one loop on virtual time.

pub(crate) mod camera;
pub(crate) mod client;
pub(crate) mod clip;
pub(crate) mod netem;
pub(crate) mod packaging;
pub(crate) mod pair;
pub(crate) mod random;
pub(crate) mod stage;

use std::ops::RangeInclusive;
use std::panic::RefUnwindSafe;

use onair_media::{MediaKind, RtpPacket};

/// Returns the video among packets in the order of their sequence numbers.
pub(crate) fn video_in_sequence(packets: &[RtpPacket]) -> Vec<&RtpPacket> {
    let mut video: Vec<_> = packets.iter().filter(|packet| packet.codec.kind() == MediaKind::Video).collect();
    video.sort_by_key(|packet| packet.seq_no);
    video
}

/// Returns the pairs of neighbours between which a packet is missing, or which are the same packet twice.
pub(crate) fn breaks(in_sequence: &[&RtpPacket]) -> Vec<(u64, u64)> {
    let numbers = in_sequence.windows(2).map(|pair| (pair[0].seq_no, pair[1].seq_no));
    numbers.filter(|(before, after)| *after != before + 1).collect()
}

/// Runs a test once a seed and names the seed of a failure.
///
/// A seed fixes what the network does with each datagram. What str0m draws itself (keys, SSRCs, transaction ids) stays
/// random, so a test must hold for all of it. `ONAIR_SEEDS=100` runs a hundred seeds from the first on.
pub(crate) fn with_seeds(seeds: RangeInclusive<u64>, test: impl Fn(u64) + RefUnwindSafe) {
    let asked = std::env::var("ONAIR_SEEDS").ok().and_then(|count| count.parse::<u64>().ok());
    let end = asked.map_or_else(|| *seeds.end(), |count| seeds.start() + count - 1);
    for seed in *seeds.start()..=end {
        assert!(std::panic::catch_unwind(|| test(seed)).is_ok(), "the failure above is that of seed {seed}");
    }
}
