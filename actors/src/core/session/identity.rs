//! What all sessions share, and how an `Rtc` is set up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use onair_media::Codec;
use str0m::RtcConfig;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::Codec as Str0mCodec;
use str0m::rtp::{Extension, ExtensionMap};

use super::key_tap::tapped;
use crate::core::offer::Role;
use crate::core::wall_clock::WallClock;

/// Holds what all sessions of a process share.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
    pub(super) candidates: Vec<SocketAddr>,
    pub(super) clock: WallClock,
}

impl Identity {
    /// Creates one certificate for all sessions, which saves a key generation a join, and remembers the addresses
    /// that every answer lists as candidates; the first of each IP version stands for the socket.
    ///
    /// # Errors
    /// When the crypto provider cannot make a certificate.
    pub fn new(candidates: Vec<SocketAddr>, clock: WallClock) -> Result<Self, IdentityError> {
        let crypto = Arc::new(tapped(str0m::crypto::from_feature_flags()));
        let certificate = crypto.dtls_provider.generate_certificate().ok_or(IdentityError)?;
        Ok(Self { crypto, certificate, candidates, clock })
    }

    /// Returns the clock that all reports go by.
    pub const fn clock(&self) -> WallClock {
        self.clock
    }

    /// Returns the local address that packets from `source` are said to have reached.
    pub(super) fn destination_for(&self, source: SocketAddr) -> Option<SocketAddr> {
        self.candidates.iter().copied().find(|candidate| candidate.is_ipv4() == source.is_ipv4())
    }
}

/// Says that no DTLS certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("the crypto provider makes no DTLS certificate")]
pub struct IdentityError;

/// The codecs in our order of preference: what HLS and recordings can carry comes before VP8. H.265 comes last, for the
/// fewest viewers can play it: it is for publishers that offer nothing else.
pub(super) fn config(identity: &Identity, role: Role) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&identity.crypto))
        .set_dtls_cert(identity.certificate.clone())
        .set_rtp_mode(true)
        .set_ice_lite(true)
        .clear_codecs()
        .enable_opus(true, false)
        .enable_h264(true)
        .set_extension_map(extensions(role))
        // What a viewer reports goes to its media plane.
        .enable_raw_packets(role == Role::Viewer)
        .set_stats_interval((role == Role::Publisher).then_some(Duration::from_secs(2)));
    for (pt, rtx, may_fragment, profile_level_id) in MORE_H264 {
        config.codec_config().add_h264(pt.into(), Some(rtx.into()), may_fragment, profile_level_id);
    }
    let mut config = config.enable_vp9(true).enable_av1(true).enable_vp8(true);
    let codecs = config.codec_config();
    codecs.enable_h265(true);
    let (pt, rtx) = MAIN_10;
    codecs.add_h265(pt.into(), Some(rtx.into()), 2, 0, H265_LEVEL_6);
    config
}

/// The H.265 profile that str0m's own list lacks, beside Main: payload type and that of its retransmissions.
const MAIN_10: (u8, u8) = (43, 44);

/// `level-id` of the highest level that browsers offer, 6: thirty times the level (RFC 7798 §7.1).
const H265_LEVEL_6: u8 = 180;

/// Forms of H.264 that encoders offer beyond str0m's own list: High without fragments, and Constrained High. Payload
/// type, that of its retransmissions, packetization-mode 1 or 0, profile-level-id; the numbers are free ones, and an
/// answer takes over those of the offer.
const MORE_H264: [(u8, u8, bool, u32); 3] =
    [(112, 113, true, 0x64_0c_1f), (41, 42, false, 0x64_0c_1f), (39, 40, false, 0x64_00_1f)];

/// The RTP header extensions of a role. Video orientation is left out, so that senders turn the picture themselves:
/// neither HLS nor a recording could follow it.
fn extensions(role: Role) -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    map.set(2, Extension::AbsoluteSendTime);
    map.set(4, Extension::RtpMid);
    // The feedback on it is what a browser's bandwidth estimate grows by, and how we know what a viewer's link carries.
    map.set(3, Extension::TransportSequenceNumber);
    if role == Role::Publisher {
        // Of several encodings they tell which packet belongs to which (RFC 8852).
        map.set(10, Extension::RtpStreamId);
        map.set(11, Extension::RepairedRtpStreamId);
    }
    map
}

/// Translates a codec of str0m's; `None` for one that we do not carry.
pub(super) fn known_codec(codec: Str0mCodec) -> Option<Codec> {
    match codec {
        Str0mCodec::H264 => Some(Codec::H264),
        Str0mCodec::H265 => Some(Codec::H265),
        Str0mCodec::Vp8 => Some(Codec::Vp8),
        Str0mCodec::Vp9 => Some(Codec::Vp9),
        Str0mCodec::Av1 => Some(Codec::Av1),
        Str0mCodec::Opus => Some(Codec::Opus),
        _ => None,
    }
}
