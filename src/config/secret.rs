//! Text that must not show in logs, in error reports or in the printed configuration.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Stands for a secret wherever it is shown.
pub(crate) const MASK: &str = "***";

/// Holds a password, a token or a key; `Debug` and `Display` show [`MASK`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps the clear text.
    pub(crate) fn new(clear_text: impl Into<String>) -> Self {
        Self(clear_text.into())
    }

    /// Returns the clear text, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(clear_text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(clear_text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_only_when_asked() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
