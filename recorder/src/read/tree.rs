//! The tree of boxes: sizes and types (ISO/IEC 14496-12 §4.2).

use mp4_atom::{Atom, Decode, FourCC};

use super::ReadError;

/// Holds one box that lies wholly within the bytes it was found in.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawBox<'a> {
    pub(super) kind: FourCC,
    /// The header included.
    pub(super) whole: &'a [u8],
    pub(super) body: &'a [u8],
}

/// Says where a box ends, whether or not all of it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BoxHeader {
    pub(super) kind: FourCC,
    /// 8 or 16 bytes.
    pub(super) header_bytes: u64,
    /// The header included.
    pub(super) total_bytes: u64,
}

/// Reads the header that `bytes` begins with; the box may be `available` bytes long, its header included.
///
/// A box of size 0 lasts to the end of what is available.
///
/// # Errors
/// [`ReadError::Size`], also when the header itself is cut off.
pub(super) fn box_header(bytes: &[u8], available: u64) -> Result<BoxHeader, ReadError> {
    let cut_off = ReadError::Size { size: 8, available: bytes.len() as u64 };
    let Some((size, rest)) = bytes.split_first_chunk() else { return Err(cut_off) };
    let Some((kind, rest)) = rest.split_first_chunk::<4>() else { return Err(cut_off) };
    let (header_bytes, size) = match (u32::from_be_bytes(*size), rest.first_chunk()) {
        (0, _) => (8, available),
        (1, Some(wide)) => (16, u64::from_be_bytes(*wide)),
        (1, None) => return Err(cut_off),
        (size, _) => (8, size.into()),
    };
    if size < header_bytes || size > available {
        return Err(ReadError::Size { size, available });
    }
    Ok(BoxHeader { kind: FourCC::new(kind), header_bytes, total_bytes: size })
}

/// Takes the next box off `rest`, or returns `None` at its end.
pub(super) fn next_box<'a>(rest: &mut &'a [u8]) -> Result<Option<RawBox<'a>>, ReadError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let header = box_header(rest, rest.len() as u64)?;
    // The size was found to be within the slice, so it fits.
    let (whole, behind) = rest.split_at(header.total_bytes as usize);
    *rest = behind;
    Ok(Some(RawBox { kind: header.kind, whole, body: &whole[header.header_bytes as usize..] }))
}

/// Returns the first child of a type.
pub(super) fn child<'a>(mut children: &'a [u8], kind: &[u8; 4]) -> Result<RawBox<'a>, ReadError> {
    let kind = FourCC::new(kind);
    while let Some(found) = next_box(&mut children)? {
        if found.kind == kind {
            return Ok(found);
        }
    }
    Err(ReadError::Missing(kind))
}

/// Follows a path of types downwards and returns the body of the last.
pub(super) fn descend<'a>(children: &'a [u8], path: &[&[u8; 4]]) -> Result<&'a [u8], ReadError> {
    path.iter().try_fold(children, |children, kind| child(children, kind).map(|found| found.body))
}

/// Decodes the first child of a type, which must be one without children of its own.
pub(super) fn leaf<T: Atom>(children: &[u8]) -> Result<T, ReadError> {
    let found = child(children, T::KIND.as_ref())?;
    T::decode(&mut &*found.whole).map_err(|source| ReadError::Malformed { kind: T::KIND, source })
}
