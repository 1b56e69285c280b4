//! Packet filter rules, by way of the `nft` program.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Carries out a script of nftables commands, all of it or nothing.
///
/// # Errors
///
/// `NotFound` with a hint when the program is not installed; else what `nft` said.
pub fn apply(script: &str) -> io::Result<()> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(not_installed)?;
    if let Some(mut input) = child.stdin.take() {
        // When nft ends early, what it has said is the error, not the broken pipe.
        let _ = input.write_all(script.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("nft refused the rules: {}", said.trim())))
}

/// Deletes a table, if it is there. `family` is nftables' word for it: `ip`, `ip6`, `inet`.
///
/// # Errors
///
/// As for [`apply`].
pub fn delete_table(family: &str, table: &str) -> io::Result<()> {
    // Adding it first makes deleting it succeed either way.
    apply(&format!("add table {family} {table}\ndelete table {family} {table}\n"))
}

/// All rules, as `nft` prints them in JSON (`libnftables-json(5)`).
///
/// # Errors
///
/// As for [`apply`]; without the rights of root too.
pub fn list_json() -> io::Result<String> {
    printed(&["-j", "list", "ruleset"])
}

/// All rules with their handles, as `nft` prints them for people.
///
/// # Errors
///
/// As for [`list_json`].
pub fn list() -> io::Result<String> {
    printed(&["-a", "list", "ruleset"])
}

fn printed(arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(not_installed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("nft does not list the rules: {}", said.trim())))
}

fn not_installed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), "the program nft is not installed (package nftables)")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace;

    #[test]
    fn a_table_is_made_and_deleted_and_a_bad_rule_is_explained() {
        let result = namespace::run_in_new(|| {
            match apply("add table ip gretel_test\n") {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    eprintln!("skipped: {error}");
                    return;
                }
                result => result.unwrap(),
            }
            delete_table("ip", "gretel_test").unwrap();
            delete_table("ip", "gretel_test").unwrap();
            let error = apply("add rule ip no_such_table chain accept\n").unwrap_err();
            assert!(error.to_string().contains("nft refused the rules: "), "{error}");
            assert!(error.to_string().len() > 40, "{error}");
        });
        if let Err(error) = result {
            eprintln!("skipped: no network namespace: {error}");
        }
    }
}
