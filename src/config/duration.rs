//! Durations as people write them: `90s`, `1h`, `1h30m`, `2d`.

use std::time::Duration;

/// The units, from long to short, with their seconds.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Parses one or more whole numbers, each followed by `d`, `h`, `m` or `s`.
///
/// Returns `None` for anything else: no number, no unit, another unit, or more seconds than 64 bits hold.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total_s = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, from_unit) = rest.split_at(digits);
        let (after, unit_s) =
            UNITS.iter().find_map(|(unit, seconds)| Some((from_unit.strip_prefix(unit)?, *seconds)))?;
        total_s = total_s.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_s)?)?;
        rest = after;
    }
    Some(Duration::from_secs(total_s))
}

/// Renders whole seconds in the largest unit that divides them, so that [`parse_duration`] reads the same back.
pub(crate) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (unit, unit_s) =
        UNITS.into_iter().find(|(_, unit_s)| seconds >= *unit_s && seconds.is_multiple_of(*unit_s)).unwrap_or(("s", 1));
    format!("{}{unit}", seconds / unit_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("1h", 3600), ("1h30m", 5400), ("2d", 172_800), (" 0s ", 0)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "1", "h", "1 h", "-1s", "1.5h", "1w", "99999999999999999999s", "213503982334602d"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for seconds in [0, 1, 59, 60, 3600, 5400, 86_400, 90_061] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
    }
}
