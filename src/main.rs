//! The program `onair`: reads the command line and the configuration, and starts what was asked for.

mod cli;
mod config;
mod demo;
mod load;
mod logging;
mod publish;
mod recover;
mod retention;
mod serve;
mod sockets;
mod tls;
mod verify;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, PublishArgs};
use crate::config::Config;
use crate::publish::Order;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Whoever verifies must be able to tell a damaged recording from one that could not be looked at.
    let failure = if matches!(cli.requested(), Command::Verify(_)) { ExitCode::from(2) } else { ExitCode::FAILURE };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            // When standard error is closed there is nobody to tell; the exit code still does.
            let _closed = writeln!(io::stderr(), "{error}");
            failure
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    let command = cli.requested();
    let config = Config::load(&cli.config.sources()?)?;
    match command {
        Command::CheckConfig => say("the configuration is valid")?,
        Command::Serve(args) if args.print_config => say(config.to_toml().trim_end())?,
        Command::Serve(_) => {
            logging::install(&config.log);
            serve::run(config, |_| {})?;
        }
        Command::Demo(args) => {
            logging::install(&config.log);
            demo::run(config, args.clip)?;
        }
        Command::Recover => {
            logging::install(&config.log);
            say(&recover::run(&config)?)?;
        }
        Command::Load(args) => {
            logging::install(&config.log);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let report = tokio::task::LocalSet::new().block_on(&runtime, load::run(&args))?;
            say(report.to_string().trim_end())?;
        }
        Command::Retention(args) => {
            logging::install(&config.log);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(retention::run(&serve::open_store(&config)?, &config, &args))?;
        }
        Command::Publish(PublishArgs { file, to, looped, token }) => {
            logging::install(&config.log);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(publish::run(Order { file, to, looped, token }))?;
        }
        Command::Verify(args) => {
            logging::install(&config.log);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let report = runtime.block_on(verify::run(&config, &args))?;
            say(&if args.json { serde_json::to_string_pretty(&report)? } else { report.to_string() })?;
            return Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output. A reader who has gone, as in `onair --print-config | head -1`, is an error, no panic.
fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
