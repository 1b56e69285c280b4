//! `gretel`: a PPTP VPN server and client in one process.
#![forbid(unsafe_code)]

mod check;
mod configuration;
mod connect;
mod logging;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A PPTP VPN server and client for Linux in one process.
///
/// PPTP is broken as cryptography: who listens to a connection can find the password in a day. Use it for devices that speak nothing
/// else, and for nothing that must stay secret.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients, in the foreground, until SIGTERM.
    Serve(serve::Arguments),
    /// Read the configuration and say what each line of it does, what counts for nothing and what is unsafe. Exit status: 0 fine, 1 errors.
    Check(check::Arguments),
    /// Print the configuration as it counts, or as gretel.toml.
    #[command(subcommand)]
    Config(configuration::Command),
    /// Connect to a PPTP server as a client.
    Connect(connect::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(command) => configuration::run(&command),
        Command::Connect(arguments) => connect::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("gretel: {error:#}");
        ExitCode::FAILURE
    })
}
