//! `gretel`: a PPTP VPN server and client in one process.
#![forbid(unsafe_code)]

mod admin;
mod capture;
mod check;
mod client;
mod configuration;
mod connect;
mod doctor;
mod explain;
mod history;
mod kick;
mod load;
mod locks;
mod logging;
mod packet_io;
mod pptpd;
mod serve;
mod supervisor;
mod trail;
mod who;

use std::path::PathBuf;
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
    /// Serve as pptpd does, with its command line; also when this program is called `pptpd`.
    #[command(disable_version_flag = true)]
    Pptpd(pptpd::Arguments),
    /// Print a script that completes this command line in a shell.
    #[command(hide = true)]
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Read the configuration and say what each line of it does, what counts for nothing and what is unsafe. Exit status: 0 fine, 1 errors.
    Check(check::Arguments),
    /// Print the configuration as it counts, or as gretel.toml.
    #[command(subcommand)]
    Config(configuration::Command),
    /// Examine this host as a server, or the way to another server, and say what mends each trouble. Exit status: 0 fine, 1 trouble.
    Doctor(doctor::Arguments),
    /// List the sessions of the server on this host.
    Who(who::Arguments),
    /// List attempts that have ended, the newest first, and why.
    History(history::Arguments),
    /// Show what happened in an attempt to connect, step by step, and why it ended. Exit status: 0 it worked, 1 it did not, 2 there is none.
    Trail(trail::Arguments),
    /// End sessions of the server on this host.
    Kick(kick::Arguments),
    /// List who is locked out of the server on this host after failed logins.
    Locks(locks::Arguments),
    /// Lift locks of the server on this host.
    Unlock(locks::UnlockArguments),
    /// Explain a verdict of the log: what it means, and what to do.
    Explain(explain::Arguments),
    /// Capture packets of clients, outside and inside their tunnels, as a file for Wireshark.
    Capture(capture::Arguments),
    /// Print what to type on a client of this server; no password is in it.
    Client(client::Arguments),
    /// Connect to a PPTP server as a client.
    Connect(connect::Arguments),
    /// Set up many sessions with a PPTP server and print how fast and how well it serves them. Only against servers that are yours.
    Load(load::Arguments),
    /// What a server starts for what it cannot do itself.
    #[command(hide = true)]
    Helper,
}

/// Whether this program was called by the old one's name.
fn called_as_pptpd() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    name.is_some_and(|name| name.file_name() == Some("pptpd".as_ref()))
}

fn main() -> ExitCode {
    let command = if called_as_pptpd() {
        Command::Pptpd(pptpd::arguments())
    } else {
        Arguments::parse().command
    };
    let done = match command {
        Command::Pptpd(arguments) => pptpd::run(&arguments),
        Command::Completion { shell } => {
            let mut command = <Arguments as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "gretel", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(command) => configuration::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Who(arguments) => who::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Trail(arguments) => trail::run(&arguments),
        Command::Kick(arguments) => kick::run(&arguments),
        Command::Locks(arguments) => locks::run(&arguments),
        Command::Unlock(arguments) => locks::unlock(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Capture(arguments) => capture::run(&arguments),
        Command::Client(arguments) => client::run(&arguments),
        Command::Connect(arguments) => connect::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Helper => server::helper::run().map(|()| ExitCode::SUCCESS).map_err(Into::into),
    };
    done.unwrap_or_else(|error| {
        eprintln!("gretel: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Pages of which people type what they print.
    const PAGES: [&str; 9] = [
        "docs/load.md",
        "docs/capture.md",
        "docs/admin-socket.md",
        "docs/split-tunnel.md",
        "docs/doctor.md",
        "README.md",
        "README.ja.md",
        "docs/migrating-from-pptpd.md",
        "docs/ja/migrating-from-pptpd.md",
    ];

    #[test]
    fn every_command_of_ours_in_the_pages_is_understood() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let mut commands = 0;
        for page in PAGES {
            let text = fs::read_to_string(root.join(page)).unwrap();
            let blocks = text.split("```").skip(1).step_by(2);
            for line in blocks.filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines) {
                let line = line.split(" #").next().unwrap_or_default();
                let line = line.replace("cargo run --release -- ", "gretel ");
                let line = line.replace("/tmp/gretel/usr/sbin/", "");
                if line.starts_with("gretel ") {
                    let read = Arguments::try_parse_from(line.split_whitespace());
                    assert!(read.is_ok(), "{page}: {line}: {}", read.unwrap_err());
                    commands += 1;
                }
            }
        }
        assert!(commands >= 14, "only {commands} commands were found");
    }
}
