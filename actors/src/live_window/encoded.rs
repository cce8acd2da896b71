//! A playlist as it travels: as it is, or compressed, which is done once, for the first who asks.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// How hard brotli tries, of 11: beyond this it takes far longer than it saves.
const BROTLI_QUALITY: u32 = 5;
/// The window of brotli, as a power of two: a playlist fits, and larger ones cost time to set up.
const BROTLI_WINDOW_BITS: u32 = 16;
const BUFFER_BYTES: usize = 4096;

/// Names a way of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

/// Holds a text in every coding that was asked for.
#[derive(Debug)]
pub struct Encoded {
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

impl Encoded {
    pub(super) const fn new(plain: Bytes) -> Self {
        Self { plain, gzip: OnceLock::new(), brotli: OnceLock::new() }
    }

    pub(super) const fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Returns the text in a coding.
    pub fn bytes(&self, coding: Coding) -> Bytes {
        match coding {
            Coding::Identity => self.plain.clone(),
            Coding::Gzip => self.gzip.get_or_init(|| gzip(&self.plain)).clone(),
            Coding::Brotli => self.brotli.get_or_init(|| brotli(&self.plain)).clone(),
        }
    }
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::default());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes whatever is written").into()
}

fn brotli(plain: &[u8]) -> Bytes {
    let mut encoded = Vec::with_capacity(plain.len() / 4);
    let mut encoder = ::brotli::CompressorWriter::new(&mut encoded, BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW_BITS);
    encoder.write_all(plain).expect("memory takes whatever is written");
    drop(encoder);
    encoded.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_is_the_same_and_compressed_once() {
        let text: String = (0..100).map(|msn| format!("#EXTINF:4.00000,\n{msn:06}.m4s\n")).collect();
        let encoded = Encoded::new(text.clone().into());
        let (mut from_gzip, mut from_brotli) = (String::new(), String::new());
        flate2::read::GzDecoder::new(&*encoded.bytes(Coding::Gzip)).read_to_string(&mut from_gzip).unwrap();
        ::brotli::Decompressor::new(&*encoded.bytes(Coding::Brotli), BUFFER_BYTES)
            .read_to_string(&mut from_brotli)
            .unwrap();
        assert!(from_gzip == text && from_brotli == text);
        for coding in [Coding::Identity, Coding::Gzip, Coding::Brotli] {
            assert_eq!(encoded.bytes(coding).as_ptr(), encoded.bytes(coding).as_ptr(), "{coding:?}");
        }
        assert!(
            encoded.bytes(Coding::Gzip).len() < text.len() / 4 && encoded.bytes(Coding::Brotli).len() < text.len() / 4
        );
    }
}
