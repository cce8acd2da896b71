//! Checked reading of bytes and bits that came from a network.

/// Says that bytes do not have the form that their format demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The data ends before the field does.
    #[error("the data ends early")]
    Truncated,
    /// A field has a value that the format forbids or that we cannot carry.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Takes `count` bytes off the front of `data`.
///
/// # Errors
/// [`Malformed::Truncated`] when there are fewer; `data` is then untouched.
pub fn take<'a>(data: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = data.split_at_checked(count).ok_or(Malformed::Truncated)?;
    *data = rest;
    Ok(taken)
}

/// Takes one byte off the front of `data`.
///
/// # Errors
/// [`Malformed::Truncated`] when there is none.
pub fn take_u8(data: &mut &[u8]) -> Result<u8, Malformed> {
    let (&byte, rest) = data.split_first().ok_or(Malformed::Truncated)?;
    *data = rest;
    Ok(byte)
}

/// Takes a big-endian 16-bit number off the front of `data`.
///
/// # Errors
/// [`Malformed::Truncated`] when there are fewer than two bytes; `data` is then untouched.
pub fn take_u16(data: &mut &[u8]) -> Result<u16, Malformed> {
    let (&number, rest) = data.split_first_chunk::<2>().ok_or(Malformed::Truncated)?;
    *data = rest;
    Ok(u16::from_be_bytes(number))
}

/// Reads fields of any width from the most significant bit on.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    data: &'a [u8],
    at_bit: usize,
}

impl<'a> BitReader<'a> {
    /// Begins at the first bit of `data`.
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, at_bit: 0 }
    }

    /// Reads one bit.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end of the data.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        let byte = self.data.get(self.at_bit / 8).ok_or(Malformed::Truncated)?;
        let bit = byte >> (7 - self.at_bit % 8) & 1;
        self.at_bit += 1;
        Ok(bit == 1)
    }

    /// Reads an unsigned number of at most 32 bits.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when fewer bits are left.
    pub fn bits(&mut self, count: u32) -> Result<u32, Malformed> {
        debug_assert!(count <= 32, "a field is at most 32 bits wide");
        (0..count).try_fold(0, |number, _| Ok(number << 1 | u32::from(self.flag()?)))
    }

    /// Passes over `count` bits.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when fewer bits are left.
    pub fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        let end = self.at_bit.checked_add(count).ok_or(Malformed::Truncated)?;
        if end > self.data.len().saturating_mul(8) {
            return Err(Malformed::Truncated);
        }
        self.at_bit = end;
        Ok(())
    }

    /// Reads an unsigned Exp-Golomb number: `ue(v)` of ITU-T H.264 §9.1, `uvlc()` of AV1 §4.10.3.
    ///
    /// # Errors
    /// [`Malformed`] when it ends early or needs more than 32 bits.
    pub fn ue(&mut self) -> Result<u32, Malformed> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return Err(Malformed::Invalid("an Exp-Golomb number is wider than 32 bits"));
            }
        }
        // 2^zeros - 1 + the bits behind: at most 2^32 - 2 for 31 zeros.
        Ok((1_u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// Reads a signed Exp-Golomb number, `se(v)` of ITU-T H.264 §9.1.1.
    ///
    /// # Errors
    /// As [`Self::ue`].
    pub fn se(&mut self) -> Result<i64, Malformed> {
        let code = i64::from(self.ue()?);
        Ok(if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_across_bytes() {
        let mut bits = BitReader::new(&[0b1010_0000, 0b0111_1111, 0xff]);
        assert!(bits.flag().unwrap());
        assert_eq!(bits.bits(9), Ok(0b0_1000_0001));
        assert_eq!(bits.skip(6), Ok(()));
        assert_eq!(bits.bits(8), Ok(0xff));
        assert_eq!(bits.flag(), Err(Malformed::Truncated));
    }

    #[test]
    fn exp_golomb_follows_the_table_of_h264() {
        // H.264 table 9-2: 1 → 0, 010 → 1, 011 → 2, 00100 → 3, 00111 → 6; signed 0, 1, -1, 2, -3.
        let data = [0b1010_0110, 0b0100_0011, 0b1000_0000];
        let mut bits = BitReader::new(&data);
        assert_eq!([(); 5].map(|()| bits.ue().unwrap()), [0, 1, 2, 3, 6]);
        let mut bits = BitReader::new(&data);
        assert_eq!([(); 5].map(|()| bits.se().unwrap()), [0, 1, -1, 2, -3]);
        let widest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(BitReader::new(&widest).ue(), Ok(u32::MAX - 1));
        assert!(matches!(BitReader::new(&[0; 9]).ue(), Err(Malformed::Invalid(_))));
    }

    #[test]
    fn taking_too_much_leaves_the_data() {
        let mut data: &[u8] = &[1, 2, 3];
        assert_eq!(take_u16(&mut data), Ok(0x0102));
        assert_eq!(take(&mut data, 2), Err(Malformed::Truncated));
        assert_eq!(take_u16(&mut data), Err(Malformed::Truncated));
        assert_eq!(take_u8(&mut data), Ok(3));
        assert_eq!(take_u8(&mut data), Err(Malformed::Truncated));
    }
}
