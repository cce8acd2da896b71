//! Sizes as people write them: `500MB`, `10GiB`, `1TiB`.

/// The units, from large to small, with their bytes. The plain ones come last: each other one ends like them.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Parses a whole number and its unit, a space between them allowed.
///
/// Returns `None` for anything else: no number, no unit, another unit, or more bytes than 64 bits hold.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// Renders bytes in the largest unit that divides them, so that [`parse_size`] reads the same back.
pub(crate) fn show_size(bytes: u64) -> String {
    let divides = |(_, unit): &(&str, u64)| bytes >= *unit && bytes.is_multiple_of(*unit);
    let (name, unit) = UNITS.into_iter().find(divides).unwrap_or(("B", 1));
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [("10GiB", 10 << 30), ("1 TB", 1_000_000_000_000), ("0B", 0), (" 512KiB ", 512 << 10)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for bad in ["", "10", "GiB", "-1B", "1.5GiB", "10gib", "10 G", "99999999TiB", "1GiB1B"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1_000, 1_024, 1_500_000, 10 << 30, u64::MAX] {
            assert_eq!(parse_size(&show_size(bytes)), Some(bytes));
        }
    }
}
