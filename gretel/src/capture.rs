//! `gretel capture`: packets of clients as a file for Wireshark.

use std::fs::File;
use std::io::BufWriter;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use server::admin::VERSION;
use server::capture::{self, Options};
use server::event::{Bus, Event};
use server::log::Log;

/// What to capture.
///
/// The file has three interfaces: outer (TCP 1723 and GRE), ppp (the frames in GRE) and inner (decrypted, as on the sessions' interfaces).
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The client: its address outside the tunnel, or of a session that is up its number, user or address inside [default: all clients].
    whom: Option<String>,
    /// The file, in the pcapng format.
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// The client's address inside the tunnel, where the server does not say: it is asked for those of sessions that are up, and that of one which
    /// begins meanwhile is seen. May be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "whom")]
    inner: Vec<Ipv4Addr>,
    /// Names of the sessions' interfaces begin so.
    #[arg(long, value_name = "NAME", default_value = "ppp")]
    interface: String,
    /// The server's --state-dir, where its sockets are.
    #[arg(long, value_name = "DIR", default_value = "/run/gretel")]
    state_dir: PathBuf,
    /// The port of control connections.
    #[arg(long, default_value_t = 1723)]
    port: u16,
    /// End after so many seconds.
    #[arg(long, value_name = "NUMBER", default_value_t = 600)]
    seconds: u64,
    /// End when the file has so many megabytes.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    megabytes: u64,
}

/// Captures until told to stop, and says in the log that it did.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = &arguments.write;
    let (address, mut inner) = match &arguments.whom {
        Some(whom) => client(whom, &arguments.state_dir)?,
        None => (None, Vec::new()),
    };
    inner.extend(&arguments.inner);
    // What people send is in it, and what their passwords can be found with.
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = file.with_context(|| {
        format!("cannot make {}: name a file that is not there yet", path.display())
    })?;
    let options = Options {
        address,
        inner,
        interface: arguments.interface.clone(),
        port: arguments.port,
        time: Duration::from_secs(arguments.seconds),
        bytes: arguments.megabytes.saturating_mul(1_000_000),
    };
    let _log =
        crate::logging::start(crate::logging::Sink::Syslog, false, None, &server::Sandbox::off())?;
    let bus = Bus::new(vec![Box::new(Log)]);
    let begun = || {
        let user = rustix::process::getuid().as_raw();
        bus.server(Event::CaptureBegun { whom: address, user });
        let whom = address.map_or("all clients".to_owned(), |address| address.to_string());
        eprintln!("capturing {whom}; Ctrl-C ends it");
    };
    let figures = capture::run(&options, BufWriter::new(file), begun)
        .context("cannot capture: that takes CAP_NET_RAW, run it as root")?;
    bus.server(Event::CaptureEnded { whom: address, figures });
    eprintln!("{figures}");
    Ok(ExitCode::SUCCESS)
}

/// The client's address outside, and those inside of its sessions that are up. An address that no session has may be one's that will begin.
fn client(whom: &str, state_dir: &Path) -> anyhow::Result<(Option<Ipv4Addr>, Vec<Ipv4Addr>)> {
    let answer = crate::admin::look(state_dir, &json!({ "v": VERSION, "command": "who" }));
    let given: Option<Ipv4Addr> = whom.parse().ok();
    let sessions = match (answer, given) {
        (Ok(answer), _) => found(&answer, whom),
        (Err(_), Some(_)) => Vec::new(),
        (Err(error), None) => return Err(error),
    };
    match (sessions.first(), given) {
        (Some((peer, _)), _) => {
            let ours = sessions.iter().filter(|(other, _)| other == peer);
            Ok((Some(*peer), ours.filter_map(|(_, inner)| *inner).collect()))
        }
        (None, Some(given)) => Ok((Some(given), Vec::new())),
        (None, None) => bail!("no session has the number or the user {whom:?}: see `gretel who`"),
    }
}

/// The addresses outside and inside of the sessions that are meant.
fn found(answer: &Value, whom: &str) -> Vec<(Ipv4Addr, Option<Ipv4Addr>)> {
    let sessions = answer["sessions"].as_array().into_iter().flatten();
    let addresses = sessions.filter_map(|session| {
        let (peer, _) = session["peer"].as_str()?.rsplit_once(':')?;
        let inner = session["address"].as_str();
        let user = session["user"].as_str();
        let number = session["session"].as_u64();
        let is_it = number.is_some() && whom.parse().ok() == number
            || [Some(peer), inner, user].contains(&Some(whom));
        is_it.then(|| Some((peer.parse().ok()?, inner.and_then(|inner| inner.parse().ok()))))?
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_found_by_number_user_and_both_addresses() {
        let answer = json!({ "sessions": [
            { "session": 3, "user": "anna", "peer": "192.0.2.7:4000", "address": "10.0.0.2" },
            { "session": 4, "user": null, "peer": "192.0.2.8:4000", "address": null },
            { "session": 5, "user": "bob", "peer": "nonsense", "address": "10.0.0.3" },
        ] });
        let anna = (Ipv4Addr::new(192, 0, 2, 7), Some(Ipv4Addr::new(10, 0, 0, 2)));
        for whom in ["3", "anna", "192.0.2.7", "10.0.0.2"] {
            assert_eq!(found(&answer, whom), [anna], "{whom}");
        }
        assert_eq!(found(&answer, "4"), [(Ipv4Addr::new(192, 0, 2, 8), None)]);
        assert!(found(&answer, "bob").is_empty() && found(&answer, "null").is_empty());
        assert!(found(&json!({}), "3").is_empty());
    }
}
