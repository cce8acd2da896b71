//! The program `onair`: reads the command line and the configuration, and starts what was asked for.

mod cli;
mod config;
mod logging;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Config;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When standard error is closed there is nobody to tell; the exit code still does.
            let _closed = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    let command = cli.requested();
    let config = Config::load(&cli.config.sources()?)?;
    match command {
        Command::CheckConfig => Ok(say("the configuration is valid")?),
        Command::Serve(args) if args.print_config => Ok(say(config.to_toml().trim_end())?),
        Command::Serve(_) | Command::Demo | Command::Publish(_) => {
            logging::install(&config.log);
            Err("this command is not wired yet".into())
        }
    }
}

/// Writes to standard output. A reader who has gone, as in `onair --print-config | head -1`, is an error, no panic.
fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
