//! What is wrong with a configuration: all of it, each with the place to look.

use std::fmt;
use std::ops::Range;

/// Says where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A line of the configuration file, counted from 1; `None` when the whole file is meant.
    File(String, Option<usize>),
    /// An environment variable.
    Env(String),
    /// A command line flag.
    Flag(String),
    /// Nowhere: the default is meant.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name, Some(line)) => write!(f, "{name}:{line}"),
            Self::File(name, None) => f.write_str(name),
            Self::Env(variable) => f.write_str(variable),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Names one mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flaw {
    /// Where to look.
    pub(crate) place: Place,
    /// The key, as in `auth.tokens[0].can`; empty when no key is meant.
    pub(crate) key: String,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

/// Lists every mistake of a configuration; never empty when returned as an error.
///
/// `Display` writes one line per mistake, in the order of the file, then environment, then flags.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    flaws: Vec<Flaw>,
}

impl Report {
    /// Reports that a source could not be read at all.
    pub(crate) fn unreadable(name: &str, error: &std::io::Error) -> Self {
        let mut report = Self::default();
        report.add(Place::File(name.into(), None), "", format!("cannot be read: {error}"));
        report
    }

    /// Adds a mistake.
    pub(crate) fn add(&mut self, place: Place, key: impl Into<String>, message: impl Into<String>) {
        self.flaws.push(Flaw { place, key: key.into(), message: message.into() });
    }

    /// Returns `value` if nothing is wrong, else the sorted report.
    ///
    /// # Errors
    /// The report itself, when it has an entry.
    pub(crate) fn or_ok<T>(mut self, value: T) -> Result<T, Self> {
        if self.flaws.is_empty() {
            return Ok(value);
        }
        self.flaws.sort();
        self.flaws.dedup();
        Err(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Flaw { place, key, message }) in self.flaws.iter().enumerate() {
            let (line_break, colon) = (if index == 0 { "" } else { "\n" }, if key.is_empty() { "" } else { ": " });
            write!(f, "{line_break}{place}: {key}{colon}{message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Names a mistake inside one value, before it is known where that value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What follows the key, such as `[0].can`; empty when the whole value is meant.
    pub(crate) within: String,
    /// Bytes of the source that are meant, if narrower than the value.
    pub(crate) span: Option<Range<usize>>,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

impl Fault {
    /// Blames the part of the value that `within` names.
    pub(crate) fn at(within: impl Into<String>, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { within: within.into(), span, message: message.into() }
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::at("", None, message)
    }
}

impl From<Fault> for Vec<Fault> {
    fn from(fault: Fault) -> Self {
        vec![fault]
    }
}
