//! Protects what this side sends, in place.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;

use super::{
    AEAD_TAG_BYTES, CounterMode, ENCRYPTED_FLAG, HMAC_TAG_BYTES, Label, MasterKey, Profile, RTCP_CLEAR_BYTES, cm_iv,
    counter_mode, gcm_iv, ssrc_at,
};

/// Protects the packets of one direction; every cipher is set up once.
#[derive(Debug)]
pub struct Protector {
    pub(super) rtp: Cipher,
    pub(super) rtcp: Cipher,
}

/// The cipher of either RTP or RTCP.
#[derive(Debug)]
pub(super) enum Cipher {
    Cm(Box<CmCipher>),
    Gcm(Box<GcmCipher>),
}

#[derive(Debug)]
pub(super) struct CmCipher {
    pub(super) stream: CounterMode,
    pub(super) auth: hmac::Key,
    pub(super) salt: [u8; 14],
}

#[derive(Debug)]
pub(super) struct GcmCipher {
    pub(super) key: LessSafeKey,
    pub(super) salt: [u8; 12],
}

impl Cipher {
    fn new(profile: Profile, master: &MasterKey, [key, auth, salt]: [Label; 3]) -> Self {
        let mut session_key = [0; 32];
        let session_key = &mut session_key[..profile.key_bytes()];
        master.derive(key, session_key);
        let algorithm = match profile {
            Profile::Aes128CmSha1_80 => {
                let (mut auth_key, mut cm_salt) = ([0; 20], [0; 14]);
                master.derive(auth, &mut auth_key);
                master.derive(salt, &mut cm_salt);
                let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &auth_key);
                return Self::Cm(Box::new(CmCipher { stream: counter_mode(session_key), auth, salt: cm_salt }));
            }
            Profile::AeadAes128Gcm => &AES_128_GCM,
            Profile::AeadAes256Gcm => &AES_256_GCM,
        };
        let mut gcm_salt = [0; 12];
        master.derive(salt, &mut gcm_salt);
        let key = UnboundKey::new(algorithm, session_key).expect("the key has the length of its profile");
        Self::Gcm(Box::new(GcmCipher { key: LessSafeKey::new(key), salt: gcm_salt }))
    }

    pub(super) fn of_rtp(profile: Profile, master: &MasterKey) -> Self {
        Self::new(profile, master, [Label::RtpKey, Label::RtpAuth, Label::RtpSalt])
    }

    pub(super) fn of_rtcp(profile: Profile, master: &MasterKey) -> Self {
        Self::new(profile, master, [Label::RtcpKey, Label::RtcpAuth, Label::RtcpSalt])
    }
}

impl Protector {
    /// Derives the session keys of a direction.
    pub fn new(profile: Profile, master: &MasterKey) -> Self {
        Self { rtp: Cipher::of_rtp(profile, master), rtcp: Cipher::of_rtcp(profile, master) }
    }

    /// Protects the RTP packet that `buffer` holds from `start` on, and appends its tag.
    ///
    /// `header_len` is the length of its header, extensions included; `index` is the sequence number extended by the
    /// roll-over count (RFC 3711 §3.3.1), whose lower 16 bits the header bears.
    ///
    /// # Panics
    /// When there is no whole header: the packet is this side's own.
    pub fn protect_rtp(&self, buffer: &mut Vec<u8>, start: usize, header_len: usize, index: u64) {
        let packet = &mut buffer[start..];
        let ssrc = ssrc_at(packet, 8).expect("an RTP packet has a header");
        match &self.rtp {
            Cipher::Gcm(cipher) => {
                let iv = gcm_iv(&cipher.salt, ssrc, index);
                buffer.extend_from_slice(&[0; AEAD_TAG_BYTES]);
                cipher.seal(iv, &mut buffer[start..], header_len);
            }
            Cipher::Cm(cipher) => {
                cipher.stream.apply(cm_iv(&cipher.salt, ssrc, index), &mut packet[header_len..]);
                let roll_over_count = (index >> 16) as u32;
                let tag = cipher.tag(packet, &roll_over_count.to_be_bytes());
                buffer.extend_from_slice(&tag);
            }
        }
    }

    /// Protects the compound RTCP packet that `buffer` holds from `start` on, and appends its word and tag.
    ///
    /// `index` counts the packets of this sender SSRC, 31 bits (RFC 3711 §3.4).
    ///
    /// # Panics
    /// When there is no whole header: the packet is this side's own.
    pub fn protect_rtcp(&self, buffer: &mut Vec<u8>, start: usize, index: u32) {
        let word = (index | ENCRYPTED_FLAG).to_be_bytes();
        let packet = &mut buffer[start..];
        let ssrc = ssrc_at(packet, 4).expect("an RTCP packet has a header");
        match &self.rtcp {
            Cipher::Gcm(cipher) => {
                let mut aad = [0; RTCP_CLEAR_BYTES + 4];
                aad[..RTCP_CLEAR_BYTES].copy_from_slice(&packet[..RTCP_CLEAR_BYTES]);
                aad[RTCP_CLEAR_BYTES..].copy_from_slice(&word);
                let nonce = Nonce::assume_unique_for_key(gcm_iv(&cipher.salt, ssrc, index.into()));
                let sealed =
                    cipher.key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut packet[RTCP_CLEAR_BYTES..]);
                let tag = sealed.expect("a packet is far shorter than GCM allows");
                buffer.extend_from_slice(tag.as_ref());
                buffer.extend_from_slice(&word);
            }
            Cipher::Cm(cipher) => {
                cipher.stream.apply(cm_iv(&cipher.salt, ssrc, index.into()), &mut packet[RTCP_CLEAR_BYTES..]);
                let tag = cipher.tag(packet, &word);
                buffer.extend_from_slice(&word);
                buffer.extend_from_slice(&tag);
            }
        }
    }
}

impl GcmCipher {
    /// Encrypts what stands between the header, which is authenticated with it, and room for the tag, and writes the tag.
    fn seal(&self, iv: [u8; 12], packet: &mut [u8], header_len: usize) {
        let (packet, tag) = packet.split_at_mut(packet.len() - AEAD_TAG_BYTES);
        let (header, payload) = packet.split_at_mut(header_len);
        let nonce = Nonce::assume_unique_for_key(iv);
        let sealed = self.key.seal_in_place_scatter(nonce, Aad::from(&*header), payload, &[], tag);
        sealed.expect("a packet is far shorter than GCM allows");
    }
}

impl CmCipher {
    /// Authenticates a packet and what follows it in thought (RFC 3711 §4.2).
    pub(super) fn tag(&self, packet: &[u8], trailer: &[u8; 4]) -> [u8; HMAC_TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.auth);
        context.update(packet);
        context.update(trailer);
        let mut tag = [0; HMAC_TAG_BYTES];
        tag.copy_from_slice(&context.sign().as_ref()[..HMAC_TAG_BYTES]);
        tag
    }
}
