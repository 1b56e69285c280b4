//! `gretel connect`.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::packet_io::PacketArguments;
use anyhow::{Context, bail};
use server::connect::{self, Goal, Options, Progress};
use server::event::{Bus, Subscriber};
use server::{Method, MppeNeed, MppePolicy, Password, Stateful};

/// How to connect.
///
/// Exit status: 0 connected and left, or --check found a working tunnel; otherwise the stage that failed: 10 name, 11 TCP 1723, 12 control
/// connection, 13 call, 14 GRE, 15 LCP, 16 authentication, 17 encryption, 18 addresses, 19 interface, 20 the tunnel broke later.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The server: a host name or address, with :PORT if it is not 1723.
    host: String,
    /// Who to log in as; DOMAIN\user if the server wants a domain.
    #[arg(long)]
    user: String,
    /// A file with the password in its first line; without it the password is asked for.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Stop as soon as the tunnel is up, and say how long each stage took.
    #[arg(long)]
    check: bool,
    /// The interface's name; %d becomes a number.
    #[arg(long, value_name = "NAME", default_value = "ppp%d")]
    tun: String,
    /// Make no interface.
    #[arg(long, conflicts_with_all = ["tun", "route"])]
    no_tun: bool,
    /// A network to reach through the tunnel; may be repeated.
    #[arg(long, value_name = "ADDRESS/BITS", value_parser = network)]
    route: Vec<(Ipv4Addr, u8)>,
    /// Do not connect without 128-bit MPPE.
    #[arg(long, conflicts_with = "no_mppe")]
    require_mppe: bool,
    /// Connect without encryption.
    #[arg(long)]
    no_mppe: bool,
    /// Prefer stateful MPPE, as some old routers do.
    #[arg(long, conflicts_with = "no_mppe")]
    mppe_stateful: bool,
    /// Also use CHAP with MD5, MS-CHAP and PAP, which give the password away to anybody who listens.
    #[arg(long)]
    weak_authentication: bool,
    /// How long each stage may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    timeout: u64,
    /// Where changes to this host are noted until they are undone.
    #[arg(long, value_name = "DIR", default_value = "/run/gretel-connect")]
    state_dir: PathBuf,
    #[command(flatten)]
    packet_io: PacketArguments,
    /// Move packets one by one, as a yardstick for benchmarks.
    #[arg(long, hide = true)]
    naive_io: bool,
    /// Log every control message.
    #[arg(long)]
    debug: bool,
}

/// Connects, prints the stages, stays until told to leave.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = options(arguments)?;
    let mut subscribers: Vec<Box<dyn Subscriber>> = Vec::new();
    let log = || {
        crate::logging::start(
            crate::logging::Sink::StandardError,
            true,
            None,
            &server::Sandbox::off(),
        )
    };
    let _log = arguments.debug.then(log).transpose()?;
    if arguments.debug {
        subscribers.push(Box::new(server::log::Log));
    }
    let show = |progress: &Progress| {
        eprintln!(
            "{:8.3} s  {:<19} {}",
            progress.after.as_secs_f64(),
            progress.stage,
            progress.detail
        );
    };
    Ok(match connect::run(&options, &Bus::new(subscribers), show) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.stage.exit_code())
        }
    })
}

fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let mut methods = vec![Method::MsChapV2];
    if arguments.weak_authentication {
        methods.extend([Method::MsChapV1, Method::ChapMd5, Method::Pap]);
    }
    let need = match (arguments.require_mppe, arguments.no_mppe) {
        (_, true) => MppeNeed::Off,
        (true, false) => MppeNeed::Required,
        // The server's request decides: it is answered with what it asks for.
        (false, false) => MppeNeed::Allowed,
    };
    let stateful = if arguments.mppe_stateful { Stateful::Preferred } else { Stateful::Never };
    Ok(Options {
        server: arguments.host.clone(),
        user: arguments.user.clone().into_bytes(),
        password: password(&arguments.user, arguments.password_file.as_deref())?,
        methods,
        mppe: MppePolicy { need, stateful, ..MppePolicy::REQUIRE_128 },
        interface: (!arguments.no_tun).then(|| arguments.tun.clone()),
        routes: arguments.route.clone(),
        goal: if arguments.check { Goal::Tunnel } else { Goal::Stay },
        naive_io: arguments.naive_io,
        packets: arguments.packet_io.packets().unwrap_or_default(),
        patience: Duration::from_secs(arguments.timeout),
        state_dir: arguments.state_dir.clone(),
    })
}

/// The password in the first line of a file, or what is typed.
pub(crate) fn password(user: &str, file: Option<&Path>) -> anyhow::Result<Password> {
    let Some(path) = file else {
        let prompt = format!("Password for {user}: ");
        let typed = rpassword::prompt_password(prompt).context("cannot ask for the password")?;
        return Ok(Password::from(typed));
    };
    let text = std::fs::read(path)
        .map(Password::new)
        .with_context(|| format!("cannot read the password from {}", path.display()))?;
    let line = text.as_bytes().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        bail!("the first line of {} is empty: write the password there", path.display());
    }
    Ok(Password::new(line.to_vec()))
}

fn network(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let address = address.parse().map_err(|_| format!("{address:?} is no IPv4 address"))?;
    let bits = bits.parse().ok().filter(|bits| *bits <= 32);
    bits.map(|bits| (address, bits)).ok_or_else(|| "write ADDRESS/BITS, such as 10.0.0.0/8".into())
}
