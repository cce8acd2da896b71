//! Test vectors of the RFCs, and what must hold for every profile.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Algorithm, LessSafeKey, UnboundKey};

use super::protect::{Cipher, GcmCipher};
use super::*;

const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn master(profile: Profile) -> MasterKey {
    let key: Vec<u8> = (1..).take(profile.key_bytes()).collect();
    let salt: Vec<u8> = (101..).take(profile.salt_bytes()).collect();
    MasterKey::new(profile, &key, &salt).unwrap()
}

/// The master key and salt of RFC 3711 appendix B.3.
fn rfc_3711() -> MasterKey {
    let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
    MasterKey::new(Profile::Aes128CmSha1_80, &key, &salt).unwrap()
}

#[test]
fn session_keys_are_those_of_rfc_3711_appendix_b3() {
    let derived = |label, expected: &str| {
        let expected = hex(expected);
        let mut key = vec![0; expected.len()];
        rfc_3711().derive(label, &mut key);
        assert_eq!(key, expected, "{label:?}");
    };
    derived(Label::RtpKey, "c61e7a93744f39ee10734afe3ff7a087");
    derived(Label::RtpSalt, "30cbbc08863d8c85d49db34a9ae1");
    derived(Label::RtpAuth, "cebe321f6ff7716b6fd4ab49af256a156d38baa4");
}

#[test]
fn counter_mode_protects_as_other_implementations_do() {
    // The reference packets of libsrtp's own test driver.
    let protector = Protector::new(Profile::Aes128CmSha1_80, &rfc_3711());
    let mut rtp = hex("800f1234decafbadcafebabe abababababababababababababababab");
    protector.protect_rtp(&mut rtp, 0, 12, 0x1234);
    assert_eq!(rtp, hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb"));
    let mut rtcp = hex("81c8000bcafebabe abababababababababababababababab");
    protector.protect_rtcp(&mut rtcp, 0, 1);
    assert_eq!(rtcp, hex("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798"));
}

#[test]
fn gcm_protects_as_rfc_7714_section_16_shows() {
    let protected = |algorithm: &'static Algorithm, key: Vec<u8>, expected: &str| {
        let salt = hex("517569642070726f2071756f").try_into().unwrap();
        let key = || LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap());
        let cipher = || Cipher::Gcm(Box::new(GcmCipher { key: key(), salt }));
        let protector = Protector { rtp: cipher(), rtcp: cipher() };
        let mut packet = hex("8040f17b8041f8d35501a0b2");
        packet.extend_from_slice(b"Gallia est omnis divisa in partes tres");
        protector.protect_rtp(&mut packet, 0, 12, 0xf17b);
        assert_eq!(packet, hex(expected));
    };
    protected(
        &AES_128_GCM,
        (0..16).collect(),
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
         899d7f27beb16a9152cf765ee4390cce",
    );
    protected(
        &AES_256_GCM,
        (0..32).collect(),
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
         7aa3db36dfffd6b0f9bb7878d7a76c13",
    );
}

#[test]
fn what_is_protected_opens_over_the_roll_over() {
    for profile in PROFILES {
        let (protector, unprotector) =
            (Protector::new(profile, &master(profile)), Unprotector::new(profile, &master(profile)));
        for index in [0_u64, 65_535, 65_536, (1 << 32) + 7, (1 << 48) - 1] {
            let mut header = hex("90e00000000000005501a0b2bede000110aabbcc");
            header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
            let plain = [&header[..], &[9; 100]].concat();
            // Something else stands in the buffer already.
            let mut buffer = vec![77; 3];
            buffer.extend_from_slice(&plain);
            protector.protect_rtp(&mut buffer, 3, header.len(), index);
            assert_eq!(buffer[..3], [77; 3]);
            assert_eq!(buffer.len() - 3, plain.len() + profile.rtp_overhead_bytes());
            assert_eq!(buffer[3..3 + header.len()], header);
            let mut out = Vec::new();
            unprotector.open_rtp(&buffer[3..], header.len(), index, &mut out).unwrap();
            assert_eq!(out, plain, "{profile:?} {index}");
            let other = unprotector.open_rtp(&buffer[3..], header.len(), index ^ 1 << 16, &mut out);
            assert_eq!((other, out.len()), (Err(OpenError::Forged), plain.len()), "{profile:?} {index}");
        }
    }
}

#[test]
fn rtcp_brings_its_index() {
    for profile in PROFILES {
        let (protector, unprotector) =
            (Protector::new(profile, &master(profile)), Unprotector::new(profile, &master(profile)));
        for index in [0, 1, (1 << 31) - 1] {
            let plain = hex("80c800065501a0b2 0102030405060708 090a0b0c 0d0e0f10 11121314");
            let mut packet = plain.clone();
            protector.protect_rtcp(&mut packet, 0, index);
            assert!(packet.len() - plain.len() <= OVERHEAD_MAX_BYTES);
            let mut out = Vec::new();
            assert_eq!(unprotector.open_rtcp(&packet, &mut out), Ok(index), "{profile:?}");
            assert_eq!(out, plain);
        }
    }
}

#[test]
fn damaged_and_short_packets_are_errors() {
    for profile in PROFILES {
        let (protector, unprotector) =
            (Protector::new(profile, &master(profile)), Unprotector::new(profile, &master(profile)));
        let mut rtp = [&hex("80e000070000000055 01a0b2")[..], &[9; 30]].concat();
        protector.protect_rtp(&mut rtp, 0, 12, 7);
        let mut rtcp = hex("80c900015501a0b2 0102030405060708");
        protector.protect_rtcp(&mut rtcp, 0, 3);
        let mut out = Vec::new();
        for length in 0..rtp.len() {
            assert!(unprotector.open_rtp(&rtp[..length], 12, 7, &mut out).is_err(), "{profile:?} {length}");
        }
        for length in 0..rtcp.len() {
            assert!(unprotector.open_rtcp(&rtcp[..length], &mut out).is_err(), "{profile:?} {length}");
        }
        for at in 0..rtp.len() {
            rtp[at] ^= 4;
            assert!(unprotector.open_rtp(&rtp, 12, 7, &mut out).is_err(), "{profile:?} {at}");
            rtp[at] ^= 4;
        }
        assert!(out.is_empty(), "{profile:?}");
        assert!(unprotector.open_rtp(&rtp, 60, 7, &mut out).is_err());
    }
}

#[test]
fn keying_material_is_split_by_role() {
    let material: Vec<u8> = (0..88).collect();
    let keys = |role| SrtpKeys::from_dtls(Profile::AeadAes256Gcm, &material, role).unwrap();
    let (client, server) = (keys(DtlsRole::Client), keys(DtlsRole::Server));
    assert_eq!((&client.local, &client.remote), (&server.remote, &server.local));
    assert_eq!((client.local.key[0], client.local.salt[0]), (0, 64));
    assert_eq!((server.local.key[0], server.local.salt[0]), (32, 76));
    assert!(SrtpKeys::from_dtls(Profile::AeadAes128Gcm, &material, DtlsRole::Client).is_err());
    assert!(!format!("{client:?}").contains("64"), "keys are not shown");
}
