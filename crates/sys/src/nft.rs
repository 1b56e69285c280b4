//! Packet filter rules, by way of the `nft` program; but a table is deleted without it, by whoever may start no programs any more.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;

use crate::netlink::messages;

/// Where administrators' programs are: a process without an environment, as a server's helper, has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command that runs a program of an administrator's, `nft` or `iptables-save`, wherever this host has it.
#[must_use]
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", PATH);
    command
}

/// Carries out a script of nftables commands, all of it or nothing.
///
/// # Errors
///
/// `NotFound` with a hint when the program is not installed; else what `nft` said.
pub fn apply(script: &str) -> io::Result<()> {
    let mut command = program("nft");
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
/// `InvalidInput` for another family; `PermissionDenied` without `CAP_NET_ADMIN`; what else the kernel says.
pub fn delete_table(family: &str, table: &str) -> io::Result<()> {
    let number = match family {
        "inet" => 1,
        "ip" => 2,
        "ip6" => 10,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such family of tables")),
    };
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&deletion(number, table), &SocketAddr::new(0, 0), 0)?;
    // The kernel answers before `send_to` returns.
    let (answer, _) = socket.recv_from_full()?;
    let code = messages(&answer)
        .find(|it| it.kind == NLMSG_ERROR)
        .and_then(|it| it.payload.first_chunk().copied());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) if code == -Errno::NOENT.raw_os_error() => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::other("the kernel's answer is none")),
    }
}

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// `nfnetlink.h`: nftables' messages, and those around what is done at once.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
/// `nf_tables.h`.
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const TABLE_NAME: u16 = 1;

/// A batch of one deletion.
fn deletion(family: u8, table: &str) -> Vec<u8> {
    let mut name = Vec::new();
    name.extend_from_slice(&(4 + table.len() as u16 + 1).to_ne_bytes());
    name.extend_from_slice(&TABLE_NAME.to_ne_bytes());
    name.extend_from_slice(table.as_bytes());
    name.push(0);
    name.resize(name.len().next_multiple_of(4), 0);
    let mut batch = Vec::new();
    message(&mut batch, BATCH_BEGIN, NLM_F_REQUEST, (0, SUBSYSTEM), &[]);
    message(&mut batch, DELETE_TABLE, NLM_F_REQUEST | NLM_F_ACK, (family, 0), &name);
    message(&mut batch, BATCH_END, NLM_F_REQUEST, (0, SUBSYSTEM), &[]);
    batch
}

/// `struct nlmsghdr` { length: u32, type: u16, flags: u16, sequence: u32, port: u32 }, `struct nfgenmsg` { family: u8, version: u8,
/// resource: u16, big-endian }, attributes.
fn message(batch: &mut Vec<u8>, kind: u16, flags: u16, about: (u8, u16), attributes: &[u8]) {
    batch.extend_from_slice(&(20 + attributes.len() as u32).to_ne_bytes());
    batch.extend_from_slice(&kind.to_ne_bytes());
    batch.extend_from_slice(&flags.to_ne_bytes());
    batch.extend_from_slice(&[0; 8]);
    batch.extend_from_slice(&[about.0, 0]);
    batch.extend_from_slice(&about.1.to_be_bytes());
    batch.extend_from_slice(attributes);
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
    let mut command = program("nft");
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
            assert!(list().unwrap().contains("gretel_test"));
            delete_table("ip", "gretel_test").unwrap();
            assert!(!list().unwrap().contains("gretel_test"));
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
