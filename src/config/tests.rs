//! The configuration as an operator meets it: layers, reports, the printed form, the documentation.

mod checks;
mod docs;
mod layers;
mod printed;
mod record;
mod reports;
mod retention;

use std::path::PathBuf;

use super::{Config, Exposure, Flag, Sources};

/// Nothing set at all, in a server that runs in `/srv/onair`.
fn nothing() -> Sources {
    Sources {
        dir: PathBuf::from("/srv/onair"),
        file: None,
        env: Vec::new(),
        flags: Vec::new(),
        exposure: Exposure::Guarded,
    }
}

fn file(text: &str) -> Sources {
    Sources { file: Some(("onair.toml".into(), text.into())), ..nothing() }
}

fn env(variables: &[(&str, &str)]) -> Sources {
    Sources { env: variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(), ..nothing() }
}

fn set(key: &str, value: &str) -> Flag {
    Flag { name: "--set".into(), key: key.into(), value: value.into() }
}

fn load(sources: &Sources) -> Config {
    Config::load(sources).unwrap_or_else(|report| panic!("should load:\n{report}"))
}

/// The report's lines.
fn mistakes(sources: &Sources) -> Vec<String> {
    let report = Config::load(sources).expect_err("should not load");
    report.to_string().lines().map(String::from).collect()
}
