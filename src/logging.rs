//! Log output: one line per event, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Installs the log output of the whole process; a second call changes nothing.
pub(crate) fn install(log: &Log) {
    let filter = EnvFilter::try_new(&log.filter).expect("the configuration has parsed the same text");
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // An error means that somebody has installed an output already, which then stays.
    let _already_installed = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
