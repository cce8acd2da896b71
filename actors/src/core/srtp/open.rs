//! Checks and decrypts what the other side sent.

use aws_lc_rs::aead::{Aad, Nonce};
use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::protect::{Cipher, CmCipher, GcmCipher};
use super::{
    AEAD_TAG_BYTES, ENCRYPTED_FLAG, HMAC_TAG_BYTES, MasterKey, Profile, RTCP_CLEAR_BYTES, cm_iv, gcm_iv, ssrc_at,
};

/// Says why a packet was not opened. What `out` held before is then all that it holds.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// It ends before its tag.
    #[error("the packet is too short")]
    Short,
    /// Its tag is wrong: it was damaged, forged, or the roll-over count is another.
    #[error("the packet's tag is wrong")]
    Forged,
    /// It says that it is not encrypted.
    #[error("the packet is not encrypted")]
    Clear,
}

/// Opens the packets of one direction. It keeps no replay list: the caller decides whether one came before.
#[derive(Debug)]
pub struct Unprotector {
    rtp: Cipher,
    rtcp: Cipher,
}

impl Unprotector {
    /// Derives the session keys of a direction.
    pub fn new(profile: Profile, master: &MasterKey) -> Self {
        Self { rtp: Cipher::of_rtp(profile, master), rtcp: Cipher::of_rtcp(profile, master) }
    }

    /// Appends the opened RTP packet, header included, to `out`.
    ///
    /// `header_len` and `index` are as in [`Protector::protect_rtp`](super::Protector::protect_rtp).
    ///
    /// # Errors
    /// [`OpenError`] when it is too short or its tag is wrong.
    pub fn open_rtp(&self, packet: &[u8], header_len: usize, index: u64, out: &mut Vec<u8>) -> Result<(), OpenError> {
        let ssrc = ssrc_at(packet, 8).filter(|_| packet.len() >= header_len).ok_or(OpenError::Short)?;
        match &self.rtp {
            Cipher::Gcm(cipher) => {
                let (header, sealed) = packet.split_at(header_len);
                cipher.open(gcm_iv(&cipher.salt, ssrc, index), header, (header, sealed), out)
            }
            Cipher::Cm(cipher) => {
                let roll_over_count = (index >> 16) as u32;
                let clear = cipher.checked(packet, &roll_over_count.to_be_bytes())?;
                if clear.len() < header_len {
                    return Err(OpenError::Short);
                }
                let start = out.len();
                out.extend_from_slice(clear);
                cipher.stream.apply(cm_iv(&cipher.salt, ssrc, index), &mut out[start + header_len..]);
                Ok(())
            }
        }
    }

    /// Appends the opened compound RTCP packet to `out` and returns its index.
    ///
    /// # Errors
    /// [`OpenError`] when it is too short, not encrypted, or its tag is wrong.
    pub fn open_rtcp(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<u32, OpenError> {
        let ssrc = ssrc_at(packet, 4).ok_or(OpenError::Short)?;
        match &self.rtcp {
            Cipher::Gcm(cipher) => {
                let (sealed, word) = packet.split_last_chunk().ok_or(OpenError::Short)?;
                let index = encrypted_index(*word)?;
                let (header, sealed) = sealed.split_at_checked(RTCP_CLEAR_BYTES).ok_or(OpenError::Short)?;
                let aad = [header, word].concat();
                cipher.open(gcm_iv(&cipher.salt, ssrc, index.into()), &aad, (header, sealed), out)?;
                Ok(index)
            }
            Cipher::Cm(cipher) => {
                let authenticated = packet.len().checked_sub(HMAC_TAG_BYTES).ok_or(OpenError::Short)?;
                let (clear, word) = packet[..authenticated].split_last_chunk().ok_or(OpenError::Short)?;
                let index = encrypted_index(*word)?;
                if clear.len() < RTCP_CLEAR_BYTES {
                    return Err(OpenError::Short);
                }
                let tag = cipher.tag(clear, word);
                verify_slices_are_equal(&tag, &packet[authenticated..]).map_err(|_| OpenError::Forged)?;
                let start = out.len();
                out.extend_from_slice(clear);
                let encrypted = &mut out[start + RTCP_CLEAR_BYTES..];
                cipher.stream.apply(cm_iv(&cipher.salt, ssrc, index.into()), encrypted);
                Ok(index)
            }
        }
    }
}

impl GcmCipher {
    fn open(
        &self,
        iv: [u8; 12],
        aad: &[u8],
        (header, sealed): (&[u8], &[u8]),
        out: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        let plain_len = sealed.len().checked_sub(AEAD_TAG_BYTES).ok_or(OpenError::Short)?;
        let (encrypted, tag) = sealed.split_at(plain_len);
        let before = out.len();
        out.extend_from_slice(header);
        let start = out.len();
        out.resize(start + plain_len, 0);
        let nonce = Nonce::assume_unique_for_key(iv);
        let opened = self.key.open_separate_gather(nonce, Aad::from(aad), encrypted, tag, &mut out[start..]);
        opened.map_err(|_| {
            out.truncate(before);
            OpenError::Forged
        })
    }
}

impl CmCipher {
    /// Returns the packet without its tag, once that was found right.
    fn checked<'a>(&self, packet: &'a [u8], trailer: &[u8; 4]) -> Result<&'a [u8], OpenError> {
        let authenticated = packet.len().checked_sub(HMAC_TAG_BYTES).ok_or(OpenError::Short)?;
        let (packet, tag) = packet.split_at(authenticated);
        verify_slices_are_equal(&self.tag(packet, trailer), tag).map_err(|_| OpenError::Forged)?;
        Ok(packet)
    }
}

fn encrypted_index(word: [u8; 4]) -> Result<u32, OpenError> {
    let word = u32::from_be_bytes(word);
    if word & ENCRYPTED_FLAG == 0 { Err(OpenError::Clear) } else { Ok(word & !ENCRYPTED_FLAG) }
}
