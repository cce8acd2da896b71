//! A decoded picture, and what is done with it: smaller, or side by side.

use crate::PictureError;

/// Y of black, in the limited range.
const BLACK: u8 = 16;

/// A picture is dark below this mean Y: titles on black, a lens cap.
const DARK_BELOW: u64 = 32;

/// Holds a picture as Y, U and V, both chroma planes half as wide and high, rounded up; limited range (ITU-R BT.601).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) y: Vec<u8>,
    pub(crate) u: Vec<u8>,
    pub(crate) v: Vec<u8>,
}

impl Picture {
    /// Paints it black; sides are in pixels.
    pub fn black(width: usize, height: usize) -> Self {
        let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
        Self { width, height, y: vec![BLACK; width * height], u: chroma.clone(), v: chroma }
    }

    /// In pixels.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// In pixels.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Tells whether there is hardly anything to be seen.
    pub fn is_dark(&self) -> bool {
        let sum: u64 = self.y.iter().map(|&y| u64::from(y)).sum();
        sum < DARK_BELOW * self.y.len() as u64
    }

    /// Makes it fit into a frame with its proportions kept; it is never made larger.
    #[must_use]
    pub fn fitted(self, max_width: usize, max_height: usize) -> Self {
        let (width, height) = (self.width, self.height);
        if width <= max_width && height <= max_height {
            return self;
        }
        let (to_width, to_height) = if width * max_height > height * max_width {
            (max_width, (height * max_width + width / 2) / width)
        } else {
            ((width * max_height + height / 2) / height, max_height)
        };
        self.scaled(to_width.max(1), to_height.max(1))
    }

    /// Makes it smaller, each pixel the mean of those that it stands for.
    fn scaled(&self, width: usize, height: usize) -> Self {
        let halves = |width: usize, height: usize| (width.div_ceil(2), height.div_ceil(2));
        let (from, to) = (halves(self.width, self.height), halves(width, height));
        Self {
            width,
            height,
            y: shrink(&self.y, (self.width, self.height), (width, height)),
            u: shrink(&self.u, from, to),
            v: shrink(&self.v, from, to),
        }
    }

    /// Puts another picture onto this one, its upper left corner at even coordinates; what does not fit is left out.
    pub(crate) fn paste(&mut self, other: &Self, x: usize, y: usize) {
        let (x, y) = (x & !1, y & !1);
        copy(&mut self.y, self.width, &other.y, other.width, (x, y));
        copy(&mut self.u, self.width.div_ceil(2), &other.u, other.width.div_ceil(2), (x / 2, y / 2));
        copy(&mut self.v, self.width.div_ceil(2), &other.v, other.width.div_ceil(2), (x / 2, y / 2));
    }

    /// Encodes it as a JPEG file.
    ///
    /// # Errors
    /// [`PictureError::Jpeg`] for a picture of no or too many pixels.
    pub fn to_jpeg(&self) -> Result<Vec<u8>, PictureError> {
        crate::jpeg::encode(self)
    }
}

fn copy(to: &mut [u8], to_width: usize, from: &[u8], from_width: usize, (x, y): (usize, usize)) {
    let width = from_width.min(to_width.saturating_sub(x));
    if width == 0 {
        return;
    }
    for (row, source) in from.chunks_exact(from_width).enumerate() {
        let start = (y + row) * to_width + x;
        if let Some(target) = to.get_mut(start..start + width) {
            target.copy_from_slice(&source[..width]);
        }
    }
}

/// Makes a plane smaller in both directions; sides are `(width, height)`.
fn shrink(plane: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let span = |index: usize, from: usize, to: usize| {
        let start = index * from / to;
        start..((index + 1) * from / to).max(start + 1)
    };
    let columns: Vec<_> = (0..to.0).map(|x| span(x, from.0, to.0)).collect();
    let mut shrunk = Vec::with_capacity(to.0 * to.1);
    let mut sums = vec![0_u32; to.0];
    for y in 0..to.1 {
        let rows = span(y, from.1, to.1);
        sums.fill(0);
        for row in rows.clone() {
            let row = &plane[row * from.0..(row + 1) * from.0];
            for (sum, column) in sums.iter_mut().zip(&columns) {
                *sum += row[column.clone()].iter().map(|&value| u32::from(value)).sum::<u32>();
            }
        }
        let means = sums.iter().zip(&columns).map(|(sum, column)| sum / (column.len() * rows.len()) as u32);
        shrunk.extend(means.map(|mean| mean as u8));
    }
    shrunk
}

#[cfg(test)]
mod tests;
