//! The digests of an object that streams by.

use sha2::{Digest, Sha256};

use crate::manifest::{ObjectEntry, PartDigest, hex};

/// Digests an object: the whole of it, and the ranges that its manifest names.
#[derive(Debug)]
pub(crate) struct Digests<'a> {
    whole: Sha256,
    bytes: u64,
    parts: std::slice::Iter<'a, PartDigest>,
    /// The range that the bytes are in, its digest so far, and how many bytes it lacks.
    part: Option<(&'a PartDigest, Sha256, u64)>,
    /// Where the first range begins that has another digest.
    damaged_at: Option<u64>,
}

/// Says what an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digested {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Where the first range begins that has another digest than the manifest says.
    pub(crate) damaged_at: Option<u64>,
}

impl<'a> Digests<'a> {
    /// Begins before the first byte; without `parts` there is but the whole.
    pub(crate) fn new(parts: &'a [PartDigest]) -> Self {
        let mut digests = Self { whole: Sha256::new(), bytes: 0, parts: parts.iter(), part: None, damaged_at: None };
        digests.next_part();
        digests
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while let Some((_, digest, lacks)) = &mut self.part {
            let here = usize::try_from(*lacks).unwrap_or(usize::MAX).min(bytes.len());
            let (inside, behind) = bytes.split_at(here);
            digest.update(inside);
            *lacks -= here as u64;
            self.bytes += here as u64;
            bytes = behind;
            if *lacks > 0 {
                break;
            }
            self.end_part();
        }
        self.bytes += bytes.len() as u64;
    }

    /// Ends behind the last byte.
    pub(crate) fn finish(mut self) -> Digested {
        if let Some((part, _, lacks)) = &self.part {
            self.damaged_at.get_or_insert(self.bytes - (part.bytes - lacks));
        }
        Digested { bytes: self.bytes, sha256: hex(&self.whole.finalize()), damaged_at: self.damaged_at }
    }

    fn next_part(&mut self) {
        self.part = self.parts.next().map(|part| (part, Sha256::new(), part.bytes));
    }

    fn end_part(&mut self) {
        if let Some((part, digest, _)) = self.part.take()
            && hex(&digest.finalize()) != part.sha256
        {
            self.damaged_at.get_or_insert(self.bytes - part.bytes);
        }
        self.next_part();
    }
}

impl Digested {
    /// Says how the object differs from what the manifest says of it.
    pub(crate) fn difference(&self, entry: &ObjectEntry) -> Option<String> {
        if let Some(at) = self.damaged_at {
            return Some(format!("the range that begins at byte {at} has another digest than the manifest says"));
        }
        let told: u64 = entry.parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add);
        if !entry.parts.is_empty() && told != self.bytes {
            return Some(format!("has {} bytes, and the manifest knows digests of {told}", self.bytes));
        }
        let differs = entry.sha256.as_ref().is_some_and(|sha256| *sha256 != self.sha256);
        differs.then(|| "has another digest than the manifest says".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::sha256_hex;

    fn entry(lengths: &[usize]) -> (Vec<u8>, ObjectEntry) {
        let bytes: Vec<u8> = (0..100).collect();
        let mut at = 0;
        let parts = lengths.iter().map(|length| {
            let part = &bytes[at..at + length];
            at += length;
            PartDigest { bytes: part.len() as u64, sha256: sha256_hex(part) }
        });
        let parts = parts.collect();
        (bytes, ObjectEntry { name: "recording.mp4".into(), bytes: 100, sha256: None, parts })
    }

    fn difference(bytes: &[u8], entry: &ObjectEntry, chunk: usize) -> Option<String> {
        let mut digests = Digests::new(&entry.parts);
        bytes.chunks(chunk).for_each(|chunk| digests.push(chunk));
        digests.finish().difference(entry)
    }

    #[test]
    fn ranges_are_told_apart_however_the_bytes_come() {
        let (mut bytes, entry) = entry(&[30, 0, 50, 20]);
        assert!([1, 7, 30, 100].into_iter().all(|chunk| difference(&bytes, &entry, chunk).is_none()));
        bytes[79] ^= 1;
        bytes[99] ^= 1;
        for chunk in [1, 7, 30, 100] {
            assert!(difference(&bytes, &entry, chunk).unwrap().contains("at byte 30 "));
        }
    }

    #[test]
    fn ranges_must_be_the_whole() {
        let (bytes, short) = entry(&[30, 50]);
        assert!(difference(&bytes, &short, 7).unwrap().contains("digests of 80"));
        let (bytes, whole) = entry(&[30, 70]);
        assert!(difference(&bytes[..99], &whole, 7).unwrap().contains("at byte 30 "));
    }
}
