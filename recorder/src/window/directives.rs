//! The delivery directives of a playlist request (RFC 8216bis §6.2.5): what the query asks for.

const MSN: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";

/// Says what a request wants to wait for, and whether it takes a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Directives {
    /// What the answer must hold; `None` for whatever there is.
    pub until: Option<Until>,
    /// Whether the answer may leave out what the player has (`_HLS_skip`).
    pub skip: bool,
}

/// Names the segment or part that a playlist must hold before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until {
    /// The media sequence number.
    pub msn: u64,
    /// The part of it; `None` for the whole segment.
    pub part: Option<u32>,
}

/// Says why a query is no set of directives. Every one is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveError {
    /// A value is no number, or a larger one than there can be.
    #[error("{0} must be a whole number")]
    NotANumber(&'static str),
    /// A name occurs twice.
    #[error("{0} may occur once")]
    Twice(&'static str),
    /// `_HLS_part` alone names no part.
    #[error("_HLS_part needs _HLS_msn")]
    PartAlone,
    /// `_HLS_skip` has two values only.
    #[error("_HLS_skip must be YES or v2")]
    UnknownSkip,
}

impl Directives {
    /// Parses the query of a request, without its question mark. Parameters of other names mean nothing here (L15).
    ///
    /// # Errors
    /// [`DirectiveError`] when a directive has no meaning.
    pub fn parse(query: &str) -> Result<Self, DirectiveError> {
        let (mut msn, mut part, mut skip) = (None, None, None);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                MSN => once(MSN, &mut msn, value)?,
                PART => once(PART, &mut part, value)?,
                SKIP => once(SKIP, &mut skip, value)?,
                _ => {}
            }
        }
        let part = part.map(|part| number(PART, part)).transpose()?;
        let until = match msn.map(|msn| number(MSN, msn)).transpose()? {
            Some(msn) => Some(Until { msn, part }),
            None if part.is_some() => return Err(DirectiveError::PartAlone),
            None => None,
        };
        // There are no date ranges to leave out, so that both values ask for the same.
        match skip {
            None | Some("YES" | "v2") => Ok(Self { until, skip: skip.is_some() }),
            Some(_) => Err(DirectiveError::UnknownSkip),
        }
    }
}

fn once<'a>(name: &'static str, slot: &mut Option<&'a str>, value: &'a str) -> Result<(), DirectiveError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DirectiveError::Twice(name)),
    }
}

/// Parses digits and nothing else: `parse` alone would take a sign.
fn number<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T, DirectiveError> {
    let is_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| is_digits).ok_or(DirectiveError::NotANumber(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l11_a_number_and_a_part_are_waited_for() {
        let parsed = Directives::parse("_HLS_msn=12&_HLS_part=3").unwrap();
        assert_eq!(parsed, Directives { until: Some(Until { msn: 12, part: Some(3) }), skip: false });
        let parsed = Directives::parse("_HLS_msn=12").unwrap();
        assert_eq!(parsed.until, Some(Until { msn: 12, part: None }));
    }

    #[test]
    fn l14_a_delta_is_asked_for_by_either_value() {
        for query in ["_HLS_skip=YES", "_HLS_skip=v2"] {
            assert_eq!(Directives::parse(query), Ok(Directives { until: None, skip: true }));
        }
    }

    #[test]
    fn l15_other_parameters_mean_nothing() {
        for query in ["", "&", "a", "a=%", "_HLS_other=x", "_hls_msn=x", "token=a&token=b", "=&=", "_HLS_push=1"] {
            assert_eq!(Directives::parse(query), Ok(Directives::default()), "{query}");
        }
    }

    #[test]
    fn l12_directives_without_a_meaning_are_refused() {
        assert_eq!(Directives::parse("_HLS_part=0"), Err(DirectiveError::PartAlone));
        for query in ["_HLS_msn=", "_HLS_msn=-1", "_HLS_msn=%2B1", "_HLS_msn=+1", "_HLS_msn=18446744073709551616"] {
            assert_eq!(Directives::parse(query), Err(DirectiveError::NotANumber(MSN)), "{query}");
        }
        for query in ["_HLS_msn=1&_HLS_part=x", "_HLS_msn=1&_HLS_part=4294967296", "_HLS_part"] {
            assert_eq!(Directives::parse(query), Err(DirectiveError::NotANumber(PART)), "{query}");
        }
        assert_eq!(Directives::parse("_HLS_msn=1&a=1&_HLS_msn=1"), Err(DirectiveError::Twice(MSN)));
        assert_eq!(Directives::parse("_HLS_skip=yes"), Err(DirectiveError::UnknownSkip));
    }
}
