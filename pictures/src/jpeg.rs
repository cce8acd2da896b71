//! JPEG files (ITU-T T.81, JFIF: full range).

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::{Picture, PictureError};

/// From 1 to 100.
const QUALITY: u8 = 80;

pub(crate) fn encode(picture: &Picture) -> Result<Vec<u8>, PictureError> {
    let side = |pixels: usize| u16::try_from(pixels).map_err(|_| PictureError::Size(picture.width, picture.height));
    let (width, height) = (side(picture.width)?, side(picture.height)?);
    let luma = table(|y| (y - 16) * 255 / 219);
    let chroma = table(|c| (c - 128) * 255 / 224 + 128);
    let mut pixels = Vec::with_capacity(picture.width * picture.height * 3);
    for (row, luminance) in picture.y.chunks_exact(picture.width.max(1)).enumerate() {
        let start = row / 2 * picture.width.div_ceil(2);
        for (column, &y) in luminance.iter().enumerate() {
            let at = start + column / 2;
            pixels.extend([luma[y as usize], chroma[picture.u[at] as usize], chroma[picture.v[at] as usize]]);
        }
    }
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let encoded = encoder.encode(&pixels, width, height, ColorType::Ycbcr);
    encoded.map_err(|error| PictureError::Jpeg(error.to_string()))?;
    Ok(jpeg)
}

/// Takes a value of the limited range to the full one.
fn table(stretch: impl Fn(i32) -> i32) -> Vec<u8> {
    (0..256).map(|value| stretch(value).clamp(0, 255) as u8).collect()
}
