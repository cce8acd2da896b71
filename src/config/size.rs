//! Sizes as people write them: `500MB`, `10GiB`.

/// The units, from large to small, with their bytes.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Parses a whole number and a unit, decimal (`MB`) or binary (`MiB`).
///
/// Returns `None` for anything else: no number, no unit, another unit, or more bytes than 63 bits hold.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, unit_bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*unit_bytes).filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// Renders bytes in the largest unit that divides them, so that [`parse_size`] reads the same back.
pub(crate) fn show_size(bytes: u64) -> String {
    let fits = |(_, unit_bytes): &(&str, u64)| bytes >= *unit_bytes && bytes.is_multiple_of(*unit_bytes);
    let (unit, unit_bytes) = UNITS.into_iter().find(fits).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / unit_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in
            [("10GiB", 10 << 30), ("500 MB", 500_000_000), ("0B", 0), (" 1kB ", 1000), ("64KiB", 1 << 16)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for bad in ["", "10", "GiB", "1.5GiB", "-1B", "10gib", "9999999TiB", "99999999999999999999B"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1_000, 1 << 10, 10 << 30, 500_000_000, 1_234_567] {
            assert_eq!(parse_size(&show_size(bytes)), Some(bytes));
        }
    }
}
