//! `pptpd`: the old program's command line (pptpd(8), version 1.4.0).

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, bail};

use crate::logging::Sink;
use crate::serve::{self, Service};

/// Tells a process that it is the daemon, which its parent started and waits for.
const DAEMON: &str = "GRETEL_DAEMON";

/// Serve clients as pptpd does: the same files, the same options.
#[derive(Debug, clap::Parser)]
#[command(name = "pptpd", version, disable_version_flag = true, about)]
pub(crate) struct Arguments {
    /// Relay broadcasts between this interface and the clients.
    #[arg(short, long, value_name = "INTERFACE")]
    bcrelay: Option<String>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "/etc/pptpd.conf")]
    conf: PathBuf,
    /// Clients at once.
    #[arg(short = 'C', long, value_name = "NUMBER")]
    connections: Option<u32>,
    /// Log control messages and PPP frames.
    #[arg(short, long)]
    debug: bool,
    /// Leave clients' addresses to the secrets file.
    #[arg(short = 'D', long)]
    delegate: bool,
    /// pppd's program: there is none, and the option is accepted for the sake of old scripts.
    #[arg(short = 'e', long, value_name = "FILE")]
    ppp: Option<PathBuf>,
    /// Stay in the foreground.
    #[arg(short, long)]
    fg: bool,
    /// Do not give scripts the client's address.
    #[arg(short = 'i', long)]
    noipparam: bool,
    /// Listen on this address of the host.
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The file with pppd's options.
    #[arg(short, long, value_name = "FILE")]
    option: Option<PathBuf>,
    /// Where the process id is written.
    #[arg(short, long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// The line speed that scripts are told.
    #[arg(short, long, value_name = "NUMBER")]
    speed: Option<u32>,
    /// How long a client may take to start its control connection.
    #[arg(short = 't', long, value_name = "SECONDS")]
    stimeout: Option<u32>,
    /// The VRF of the control connections.
    #[arg(short = 'V', long, value_name = "NAME")]
    vrf: Option<String>,
    /// Write logins to wtmp.
    #[arg(short = 'w', long)]
    logwtmp: bool,
    /// Print the version.
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// Words that belong to no option.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Reads this process's command line. One that is wrong ends it with status 1, as pptpd's does; clap's would be 2.
pub(crate) fn arguments() -> Arguments {
    <Arguments as clap::Parser>::try_parse().unwrap_or_else(|error| {
        // There is nobody else to tell.
        let _ = error.print();
        std::process::exit(i32::from(error.use_stderr()))
    })
}

/// Serves, in the foreground or as a daemon.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let is_daemon = std::env::var_os(DAEMON).is_some();
    if let (false, [first, ..]) = (is_daemon, arguments.rest.as_slice()) {
        eprintln!("pptpd: {first:?} belongs to no option and is passed over, as pptpd does");
    }
    if !arguments.fg && !is_daemon {
        return start_daemon();
    }
    if is_daemon {
        prepare_to_leave();
    }
    // Monitors, `pidof` and the old init script look for a process of this name. Without it they are the only ones who miss it.
    let _ = rustix::thread::set_name(c"pptpd");
    let service = Service {
        sink: if is_daemon { Sink::Syslog } else { Sink::StandardError },
        ready: is_daemon.then_some(leave_the_terminal as fn()),
        pid_file: Some("/run/pptpd.pid".into()),
    };
    serve::run_files(serve::files(&arguments.conf, arguments.keywords()), &service)
}

impl Arguments {
    /// Has the files say what this command line says in their place.
    pub(crate) fn apply(&self, paths: &mut config::Paths) {
        paths.pptpd_conf.clone_from(&self.conf);
        paths.command_line = self.keywords();
    }

    /// The command line as keywords of `pptpd.conf`.
    fn keywords(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let flag = |is_set: bool| is_set.then(String::new);
        [
            ("bcrelay", self.bcrelay.clone()),
            ("connections", number(self.connections)),
            ("debug", flag(self.debug)),
            ("delegate", flag(self.delegate)),
            ("listen", self.listen.clone()),
            ("logwtmp", flag(self.logwtmp)),
            ("noipparam", flag(self.noipparam)),
            ("option", path(&self.option)),
            ("pidfile", path(&self.pidfile)),
            ("ppp", path(&self.ppp)),
            ("speed", number(self.speed)),
            ("stimeout", number(self.stimeout)),
            ("vrf", self.vrf.clone()),
        ]
        .into_iter()
        .filter_map(|(keyword, value)| Some((keyword, value?)))
        .collect()
    }
}

/// Starts the daemon, and waits until it serves or says why it cannot.
fn start_daemon() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut daemon = Command::new(program)
        .args(std::iter::once("pptpd".into()).chain(arguments_after_the_name()))
        .env(DAEMON, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the daemon")?;
    let mut word = Vec::new();
    if let Some(mut ready) = daemon.stdout.take() {
        ready.read_to_end(&mut word).context("cannot hear the daemon")?;
    }
    if word == READY {
        return Ok(ExitCode::SUCCESS);
    }
    match daemon.wait()?.code() {
        // It has said why.
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!("the daemon was ended by a signal"),
    }
}

/// What the daemon tells its parent.
const READY: &[u8] = b"ready";

/// This command line without what selected pptpd: the program's name, and `pptpd` where that was a subcommand.
fn arguments_after_the_name() -> impl Iterator<Item = std::ffi::OsString> {
    let skip = if crate::called_as_pptpd() { 1 } else { 2 };
    std::env::args_os().skip(skip)
}

/// `/dev/null`, open from the start: later the server may open no such file any more.
static NOWHERE: OnceLock<File> = OnceLock::new();

/// The daemon belongs to no terminal any more, but can still write to it.
fn prepare_to_leave() {
    let _ = rustix::process::setsid();
    if let Ok(nowhere) = File::options().read(true).write(true).open("/dev/null") {
        let _ = NOWHERE.set(nowhere);
    }
}

/// The daemon serves: its parent may go.
fn leave_the_terminal() {
    let mut stdout = std::io::stdout();
    // A parent that is gone need not be told.
    let _ = stdout.write_all(READY).and_then(|()| stdout.flush());
    if let Some(nowhere) = NOWHERE.get() {
        let _ = rustix::stdio::dup2_stdout(nowhere);
        let _ = rustix::stdio::dup2_stderr(nowhere);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn every_flag_of_pptpd_is_taken_short_and_long() {
        let short = "pptpd -b eth0 -c /c -C 7 -d -D -e /usr/sbin/pppd -f -i -l 192.0.2.1 -o /o -p /p -s 9600 -t 5 -V red -w";
        let long = "pptpd --bcrelay eth0 --conf /c --connections 7 --debug --delegate --ppp /usr/sbin/pppd --fg --noipparam \
                    --listen 192.0.2.1 --option /o --pidfile /p --speed 9600 --stimeout 5 --vrf red --logwtmp";
        let short = Arguments::try_parse_from(short.split(' ')).unwrap();
        let long = Arguments::try_parse_from(long.split_whitespace()).unwrap();
        assert_eq!(format!("{short:?}"), format!("{long:?}"));
        let keywords = short.keywords();
        assert_eq!(keywords.len(), 13);
        assert!(keywords.contains(&("stimeout", "5".into())));
        assert!(short.fg);
        assert_eq!(short.conf.to_str(), Some("/c"));
    }

    #[test]
    fn without_flags_the_files_decide() {
        let none = Arguments::try_parse_from(["pptpd"]).unwrap();
        assert!(none.keywords().is_empty());
        assert_eq!(none.conf, PathBuf::from("/etc/pptpd.conf"));
    }

    #[test]
    fn words_that_belong_to_no_option_are_passed_over_as_pptpd_does() {
        let words = Arguments::try_parse_from(["pptpd", "restart", "-d", "now"]).unwrap();
        assert!(words.debug && words.rest == ["restart", "now"]);
        assert!(Arguments::try_parse_from(["pptpd", "--nosuch"]).unwrap_err().use_stderr());
        assert!(!Arguments::try_parse_from(["pptpd", "--help"]).unwrap_err().use_stderr());
    }
}
