//! `gretel config`: the configuration as it counts, and as Gretel's own file.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::serve::FileArguments;

/// What to print.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print every setting, and the line that it comes from.
    Show(FileArguments),
    /// Print a gretel.toml that says what all files say, with a comment for each choice.
    Convert(FileArguments),
    /// Print a gretel.toml with every key and its default.
    Sample,
    /// Print what becomes of each keyword of pptpd.conf and each option of pppd.
    Options,
}

/// Prints it.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let text = match command {
        Command::Sample => config::sample(),
        Command::Options => config::reference(),
        Command::Show(files) | Command::Convert(files) => {
            let examined = files.files(None).examine();
            let Some(config) = examined.config.filter(|_| !examined.diagnostics.has_errors())
            else {
                eprintln!("{}", examined.diagnostics.render());
                return Ok(ExitCode::FAILURE);
            };
            if matches!(command, Command::Show(_)) { config.show() } else { config.convert() }
        }
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
