//! `gretel capture`: packets of clients as a file for Wireshark.

use std::fs::File;
use std::io::BufWriter;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use server::capture::{self, Options};

/// What to capture.
///
/// The file has three interfaces: outer (TCP 1723 and GRE), ppp (the frames in GRE) and inner (decrypted, as on the sessions' interfaces).
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The client, by its address outside the tunnel [default: all clients].
    address: Option<Ipv4Addr>,
    /// The file, in the pcapng format.
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// The client's address inside the tunnel, for a session that is up already; that of one which begins meanwhile is seen. May be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    inner: Vec<Ipv4Addr>,
    /// Names of the sessions' interfaces begin so.
    #[arg(long, value_name = "NAME", default_value = "ppp")]
    interface: String,
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
    // What people send is in it, and what their passwords can be found with.
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = file.with_context(|| {
        format!("cannot make {}: name a file that is not there yet", path.display())
    })?;
    let options = Options {
        address: arguments.address,
        inner: arguments.inner.clone(),
        interface: arguments.interface.clone(),
        port: arguments.port,
        time: Duration::from_secs(arguments.seconds),
        bytes: arguments.megabytes.saturating_mul(1_000_000),
    };
    let _log = crate::logging::start(crate::logging::Sink::Syslog, false, None)?;
    let whom = arguments.address.map_or("all clients".to_owned(), |address| address.to_string());
    let who = rustix::process::getuid().as_raw();
    let begun = || {
        tracing::info!(target: "pptpd", "Capture of {whom} begins, by user id {who}");
        eprintln!("capturing {whom}; Ctrl-C ends it");
    };
    let figures = capture::run(&options, BufWriter::new(file), begun)
        .context("cannot capture: that takes CAP_NET_RAW, run it as root")?;
    let text = format!(
        "{} outer packets, {} PPP frames, {} inner packets, {} lost, {} bytes",
        figures.outer, figures.frames, figures.inner, figures.lost, figures.bytes
    );
    tracing::info!(target: "pptpd", "Capture of {whom} ended: {text}");
    eprintln!("{text}");
    Ok(ExitCode::SUCCESS)
}
