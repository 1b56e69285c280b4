//! `gretel explain`: the verdicts of the log, in full.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use server::verdict::{Verdict, find};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print one line for each verdict there is.
    #[arg(long)]
    list: bool,
    /// The verdict's code: `G-101`, or just `101`.
    #[arg(required_unless_present = "list")]
    code: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let text = match &arguments.code {
        Some(code) if !arguments.list => find(code)
            .with_context(|| {
                format!("there is no verdict {code:?}: `gretel explain --list` shows all")
            })?
            .to_string(),
        _ => Verdict::list(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
