//! H.264 by openh264 (ADR 0012).
//!
//! The decoder is C++ and its input is a stranger's. So it sees as little as makes a picture: a new decoder for each
//! one, one sequence and one picture parameter set, and the slices of one IDR picture. Nothing can change between
//! pictures, refer to another one, or be concealed.

use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

use crate::decode::check_size;
use crate::{Picture, PictureError};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// `nal_unit_type` of a slice of an IDR picture (ITU-T H.264 table 7-1), and of the parameter sets.
const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;

/// The most slices of a picture: a macroblock row each at 4096 lines.
const SLICES_MAX: usize = 256;

pub(crate) fn decode(sps: &[u8], pps: &[u8], sample: &[u8]) -> Result<Picture, PictureError> {
    let stream = byte_stream(sps, pps, sample)?;
    let mut decoder = Decoder::new().map_err(|_| PictureError::Damaged)?;
    let decoded = decoder.decode(&stream).map_err(|_| PictureError::Damaged)?;
    let decoded = decoded.ok_or(PictureError::Malformed("no picture in the keyframe"))?;
    let (width, height) = decoded.dimensions();
    check_size(width, height)?;
    let (y_stride, u_stride, v_stride) = decoded.strides();
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    Ok(Picture {
        width,
        height,
        y: tight(decoded.y(), y_stride, width, height)?,
        u: tight(decoded.u(), u_stride, half_width, half_height)?,
        v: tight(decoded.v(), v_stride, half_width, half_height)?,
    })
}

/// Copies a plane without what stands between its rows.
fn tight(plane: &[u8], stride: usize, width: usize, height: usize) -> Result<Vec<u8>, PictureError> {
    let mut rows = Vec::with_capacity(width * height);
    for row in 0..height {
        let start = row * stride;
        rows.extend_from_slice(plane.get(start..start + width).ok_or(PictureError::Damaged)?);
    }
    Ok(rows)
}

/// Writes the parameter sets and the IDR slices of a sample as a byte stream (ITU-T H.264 annex B).
fn byte_stream(sps: &[u8], pps: &[u8], sample: &[u8]) -> Result<Vec<u8>, PictureError> {
    let mut stream = Vec::with_capacity(sps.len() + pps.len() + sample.len() + 64);
    push(&mut stream, sps, SEQUENCE_PARAMETERS)?;
    push(&mut stream, pps, PICTURE_PARAMETERS)?;
    let (mut rest, mut slices) = (sample, 0);
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk().ok_or(CUT_OFF)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CUT_OFF)?;
        let (nal, behind) = behind.split_at_checked(length).ok_or(CUT_OFF)?;
        if nal.first().is_some_and(|header| header & 0x1f == IDR_SLICE) {
            slices += 1;
            push(&mut stream, nal, IDR_SLICE)?;
        }
        rest = behind;
    }
    if slices == 0 || slices > SLICES_MAX {
        return Err(PictureError::Malformed("not the slices of one IDR picture"));
    }
    Ok(stream)
}

const CUT_OFF: PictureError = PictureError::Malformed("a NAL unit that is cut off");

/// Appends a NAL unit of a type. One that holds a start code would be two to the decoder, the second one unseen here.
fn push(stream: &mut Vec<u8>, nal: &[u8], kind: u8) -> Result<(), PictureError> {
    if nal.first().is_none_or(|header| header & 0x9f != kind) {
        return Err(PictureError::Malformed("a NAL unit of another type"));
    }
    if nal.windows(3).any(|bytes| bytes[0] == 0 && bytes[1] == 0 && bytes[2] <= 2) {
        return Err(PictureError::Malformed("a start code within a NAL unit"));
    }
    stream.extend_from_slice(&START_CODE);
    stream.extend_from_slice(nal);
    Ok(())
}

#[cfg(test)]
mod tests;
