//! SRTP and SRTCP (RFC 3711, RFC 7714) for what leaves and enters beside str0m: keys derived once, ciphers kept.
//!
//! Owns key derivation, protection and its removal. Which packet gets which index, and whether one came before, is the
//! caller's business: an index must never be protected twice with other bytes under one SSRC.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

mod open;
mod protect;

pub use open::{OpenError, Unprotector};
pub use protect::Protector;

/// Length of the authentication tag of both AEAD profiles (RFC 7714 §12).
const AEAD_TAG_BYTES: usize = 16;

/// Length of the shortened HMAC-SHA1 (RFC 3711 §5.2).
const HMAC_TAG_BYTES: usize = 10;

/// Length of the part of an RTCP packet that is never encrypted (RFC 3711 §3.4).
const RTCP_CLEAR_BYTES: usize = 8;

/// Says that an SRTCP packet is encrypted; the rest of its word is the index (RFC 3711 §3.4).
const ENCRYPTED_FLAG: u32 = 1 << 31;

/// What protection adds to a packet at most: the SRTCP word and the longest tag.
pub const OVERHEAD_MAX_BYTES: usize = 4 + AEAD_TAG_BYTES;

/// A protection profile of DTLS-SRTP (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// AES-CM with a tag of 80 bits from HMAC-SHA1.
    Aes128CmSha1_80,
    /// AES-GCM with a key of 128 bits.
    AeadAes128Gcm,
    /// AES-GCM with a key of 256 bits.
    AeadAes256Gcm,
}

/// The master key and salt of one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    key: Vec<u8>,
    salt: Vec<u8>,
}

/// What a DTLS handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// How packets are protected.
    pub profile: Profile,
    /// For what this side sends.
    pub local: MasterKey,
    /// For what the other side sends.
    pub remote: MasterKey,
}

/// Says that keying material has not the length that its profile asks for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{profile:?} takes {expected} bytes of keying material, not {found}")]
pub struct KeyingError {
    profile: Profile,
    expected: usize,
    found: usize,
}

/// Which side of the DTLS handshake this one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// `a=setup:active`.
    Client,
    /// `a=setup:passive`.
    Server,
}

impl Profile {
    const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    const fn salt_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Returns how many bytes protection adds to an RTP packet.
    pub const fn rtp_overhead_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => HMAC_TAG_BYTES,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => AEAD_TAG_BYTES,
        }
    }
}

impl std::fmt::Debug for MasterKey {
    /// Shows nothing: keys do not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKey").finish_non_exhaustive()
    }
}

impl MasterKey {
    /// Takes a master key with its salt.
    ///
    /// # Errors
    /// [`KeyingError`] when their lengths are not those of the profile.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyingError> {
        let expected = profile.key_bytes() + profile.salt_bytes();
        if key.len() != profile.key_bytes() || salt.len() != profile.salt_bytes() {
            return Err(KeyingError { profile, expected, found: key.len() + salt.len() });
        }
        Ok(Self { key: key.into(), salt: salt.into() })
    }

    /// Derives `out.len()` bytes of a session key (RFC 3711 §4.3; RFC 6188 with a key of 256 bits; RFC 7714 §11).
    fn derive(&self, label: Label, out: &mut [u8]) {
        // The label stands six bytes ahead of the end of the 14 bytes of salt, a shorter salt is padded behind.
        let mut iv = [0; 16];
        iv[..self.salt.len()].copy_from_slice(&self.salt);
        iv[7] ^= label as u8;
        out.fill(0);
        counter_mode(&self.key).apply(iv, out);
    }
}

/// What a session key is for (RFC 3711 §4.3.2).
#[derive(Debug, Clone, Copy)]
enum Label {
    RtpKey = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

impl SrtpKeys {
    /// Splits the keying material that DTLS exports (RFC 5764 §4.2): client key, server key, client salt, server salt.
    ///
    /// # Errors
    /// [`KeyingError`] when its length is not the profile's.
    pub fn from_dtls(profile: Profile, material: &[u8], role: DtlsRole) -> Result<Self, KeyingError> {
        let (key, salt) = (profile.key_bytes(), profile.salt_bytes());
        let expected = 2 * (key + salt);
        if material.len() != expected {
            return Err(KeyingError { profile, expected, found: material.len() });
        }
        let (keys, salts) = material.split_at(2 * key);
        let (client_key, server_key) = keys.split_at(key);
        let (client_salt, server_salt) = salts.split_at(salt);
        let client = MasterKey { key: client_key.into(), salt: client_salt.into() };
        let server = MasterKey { key: server_key.into(), salt: server_salt.into() };
        Ok(match role {
            DtlsRole::Client => Self { profile, local: client, remote: server },
            DtlsRole::Server => Self { profile, local: server, remote: client },
        })
    }
}

/// AES in counter mode, which is also the key derivation function.
#[derive(Debug)]
struct CounterMode(EncryptingKey);

fn counter_mode(key: &[u8]) -> CounterMode {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).expect("the key has the length of its profile");
    CounterMode(EncryptingKey::ctr(key).expect("AES has a counter mode"))
}

impl CounterMode {
    fn apply(&self, iv: [u8; 16], in_out: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(&iv));
        self.0.less_safe_encrypt(in_out, context).expect("a packet is far shorter than the counter reaches");
    }
}

/// The initialisation vector of AES-CM (RFC 3711 §4.1.1).
fn cm_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    for (byte, of_ssrc) in iv[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
        *byte ^= of_ssrc;
    }
    for (byte, of_index) in iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *byte ^= of_index;
    }
    iv
}

/// The initialisation vector of AES-GCM (RFC 7714 §8.1, §9.1): in both, the index fills the last six bytes.
fn gcm_iv(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut iv = *salt;
    for (byte, of_ssrc) in iv[2..6].iter_mut().zip(ssrc.to_be_bytes()) {
        *byte ^= of_ssrc;
    }
    for (byte, of_index) in iv[6..].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *byte ^= of_index;
    }
    iv
}

/// Reads the SSRC of an RTP packet, or that of an RTCP packet's sender.
fn ssrc_at(packet: &[u8], at: usize) -> Option<u32> {
    let bytes = packet.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().expect("four bytes are four")))
}

#[cfg(test)]
mod tests;
