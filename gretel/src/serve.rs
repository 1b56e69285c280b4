//! `gretel serve`.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use server::event::{Bus, Event, Record, Subscriber};
use server::history::History;
use server::log::Log;
use server::quickstart::{Fixed, Quickstart, StateDirectory};
use server::{Files, Options, Settings};

use crate::logging::Sink;
use crate::packet_io::PacketArguments;
use crate::supervisor::Supervisor;

/// Where changes to this host are noted.
const STATE_DIR: &str = "/run/gretel";

/// Which files to read.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FileArguments {
    /// pptpd's file: addresses, connections, which options file.
    #[arg(long, value_name = "FILE", default_value = "/etc/pptpd.conf")]
    pptpd_conf: PathBuf,
    /// pppd's system-wide options, read first.
    #[arg(long, value_name = "FILE", default_value = "/etc/ppp/options")]
    ppp_options: PathBuf,
    /// Users.
    #[arg(long, value_name = "FILE", default_value = "/etc/ppp/chap-secrets")]
    chap_secrets: PathBuf,
    /// Users of PAP.
    #[arg(long, value_name = "FILE", default_value = "/etc/ppp/pap-secrets")]
    pap_secrets: PathBuf,
    /// Gretel's own file, which counts more than the others.
    #[arg(long, value_name = "FILE", default_value = "/etc/gretel/gretel.toml")]
    gretel_toml: PathBuf,
}

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: FileArguments,
    /// Where changes to this host are noted until they are undone.
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    state_dir: PathBuf,
    /// Threads that carry packets [default: one for each processor].
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,
    #[command(flatten)]
    packet_io: PacketArguments,
    /// Move packets one by one, as a yardstick for benchmarks.
    #[arg(long, hide = true)]
    naive_io: bool,
    /// Listen here in place of where the files say.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Serve without any configuration: makes up a user, a password and a network, and prints what to type into clients.
    #[arg(long, conflicts_with_all = ["ppp_options", "chap_secrets", "pap_secrets"])]
    quickstart: bool,
    /// Prefer stateful MPPE where the options allow it (mppe-stateful): less work for each packet, but a lost one holds up those behind it.
    #[arg(long, conflicts_with = "quickstart")]
    prefer_stateful_mppe: bool,
    /// Keep all rights of root while serving.
    #[arg(long, hide = true)]
    no_sandbox: bool,
    /// Log every control message and PPP frame.
    #[arg(long)]
    debug: bool,
}

impl FileArguments {
    /// The files as a source of settings.
    pub(crate) fn files(&self, listen: Option<SocketAddr>) -> Files {
        let host_name = rustix::system::uname().nodename().to_bytes().to_vec();
        let paths = config::Paths {
            pptpd_conf: self.pptpd_conf.clone(),
            ppp_options: self.ppp_options.clone(),
            chap_secrets: self.chap_secrets.clone(),
            pap_secrets: self.pap_secrets.clone(),
            gretel_toml: self.gretel_toml.clone(),
            command_line: Vec::new(),
        };
        Files {
            paths,
            host_name,
            listen,
            prefer_stateful_mppe: false,
            packet_io: None,
            debug: false,
        }
    }
}

/// How a service runs, beside its files.
pub(crate) struct Service {
    pub(crate) sink: Sink,
    /// Called once when the server serves.
    pub(crate) ready: Option<fn()>,
    /// Where the process id is written when the files do not say.
    pub(crate) pid_file: Option<PathBuf>,
}

/// The files behind a `pptpd.conf`, where the old programs have theirs.
pub(crate) fn files(pptpd_conf: &Path, command_line: Vec<(&'static str, String)>) -> Served {
    let paths = FileArguments {
        pptpd_conf: pptpd_conf.to_owned(),
        ppp_options: "/etc/ppp/options".into(),
        chap_secrets: "/etc/ppp/chap-secrets".into(),
        pap_secrets: "/etc/ppp/pap-secrets".into(),
        gretel_toml: "/etc/gretel/gretel.toml".into(),
    };
    let mut files = paths.files(None);
    files.paths.command_line = command_line;
    let manner = Manner {
        state_dir: STATE_DIR.into(),
        passing: false,
        workers: None,
        naive_io: false,
        sandbox: true,
    };
    Served { files, manner }
}

/// What is served.
pub(crate) struct Served {
    files: Files,
    manner: Manner,
}

/// How, beside what the files say.
struct Manner {
    state_dir: PathBuf,
    /// Whether that is removed at the end.
    passing: bool,
    workers: Option<usize>,
    naive_io: bool,
    sandbox: bool,
}

/// Serves until told to stop.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.quickstart {
        return quickstart(arguments);
    }
    let mut files = arguments.files.files(arguments.listen);
    files.prefer_stateful_mppe = arguments.prefer_stateful_mppe;
    files.packet_io = arguments.packet_io.packets();
    files.debug = arguments.debug;
    run_files(
        Served { files, manner: arguments.manner() },
        &Service { sink: Sink::StandardError, ready: None, pid_file: None },
    )
}

/// Serves what the files say until told to stop.
pub(crate) fn run_files(served: Served, service: &Service) -> anyhow::Result<ExitCode> {
    let Served { files, manner } = served;
    // Scripts inherit it, as from pppd; what we write is nobody else's either.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let (mut settings, users, diagnostics) = match files.read() {
        Ok(read) => read,
        Err(diagnostics) => {
            eprintln!("{}", diagnostics.render());
            return Ok(ExitCode::FAILURE);
        }
    };
    settings.pid_file = settings.pid_file.or_else(|| service.pid_file.clone());
    let file = settings.log_file.as_deref().map(log_file).transpose()?;
    let mut options = manner.options(&mut settings)?;
    StateDirectory::keep(&options.state_dir).context("cannot use the state directory")?;
    let _log = crate::logging::start(service.sink, settings.debug, file, &options.sandbox)?;
    let bus = bus(service.ready, &settings, &mut options);
    tell_of_rights(&settings, &options, &bus);
    for diagnostic in &diagnostics.0 {
        bus.server(Event::Diagnostic(diagnostic.to_string()));
    }
    server::run(files, settings, users, options, bus).context("cannot serve")?;
    Ok(ExitCode::SUCCESS)
}

/// The file that log lines go to as well (pppd's `logfile`).
fn log_file(path: &Path) -> anyhow::Result<File> {
    let opened = File::options().create(true).append(true).open(path);
    opened.with_context(|| format!("cannot write the log file {}", path.display()))
}

/// Who hears of events. Without a history the server serves all the same.
fn bus(ready: Option<fn()>, settings: &Settings, options: &mut Options) -> Bus {
    let mut subscribers: Vec<Box<dyn Subscriber>> = vec![Box::new(Log), Box::new(Supervisor)];
    if let Some(ready) = ready {
        subscribers.push(Box::new(Ready(ready)));
    }
    let directory = history_directory(settings, &options.state_dir);
    let history = History::open(&directory, settings.history, options.sandbox.clone());
    let trouble = match history {
        Ok(history) => {
            options.past = Some(history.reader());
            subscribers.push(Box::new(history));
            None
        }
        Err(error) => Some(error),
    };
    let bus = Bus::new(subscribers);
    if let Some(error) = trouble {
        let what = "keep a history in the state directory";
        bus.server(Event::HostFailed { what, error: error.to_string() });
    }
    bus
}

/// What the configuration says counts most; then systemd's `StateDirectory`, which outlives a boot.
fn history_directory(settings: &Settings, state_dir: &Path) -> PathBuf {
    let by_systemd = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    let said = settings.history_directory.clone().or_else(by_systemd);
    said.unwrap_or_else(|| state_dir.to_owned())
}

/// Calls a function when the server serves.
struct Ready(fn());

impl Subscriber for Ready {
    fn take(&self, record: &Record) {
        if let Event::Started { .. } = record.event {
            (self.0)();
        }
    }
}

/// Serves without any file. Refuses where there is a configuration, so that nobody wonders why it is not followed.
fn quickstart(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let conf = &arguments.files.pptpd_conf;
    if conf.exists() {
        bail!("{} exists: run `gretel serve` to follow it, or move it away", conf.display());
    }
    let state = StateDirectory::take(&arguments.state_dir)?;
    let served = quickstart_in(&state, arguments);
    // What went wrong before counts more.
    let removed = state.remove();
    served?;
    removed?;
    Ok(ExitCode::SUCCESS)
}

fn quickstart_in(state: &StateDirectory, arguments: &Arguments) -> anyhow::Result<()> {
    let mut options = arguments.manner().options(&mut Settings::new(Vec::new()))?;
    let sink = Sink::StandardError;
    let _log = crate::logging::start(sink, arguments.debug, None, &options.sandbox)?;
    let bus = bus(None, &Settings::new(Vec::new()), &mut options);
    let quickstart = Quickstart::prepare(state, &bus).context("cannot prepare")?;
    eprintln!("{quickstart}");
    let mut settings = quickstart.settings();
    settings.debug = arguments.debug;
    settings.sandbox = !arguments.no_sandbox;
    tell_of_rights(&settings, &options, &bus);
    if let Some(listen) = arguments.listen {
        settings.listen = vec![listen];
    }
    let source = Fixed::from(&quickstart);
    server::run(source, settings, quickstart.users(), options, bus).context("cannot serve")
}

impl Arguments {
    fn manner(&self) -> Manner {
        Manner {
            state_dir: self.state_dir.clone(),
            passing: self.quickstart,
            workers: self.workers,
            naive_io: self.naive_io,
            sandbox: !self.no_sandbox,
        }
    }
}

impl Manner {
    /// Starts the helper, while this process has all its rights and no other thread, becomes the user that the settings name, and prepares what it
    /// will be confined to.
    fn options(self, settings: &mut Settings) -> anyhow::Result<Options> {
        settings.sandbox &= self.sandbox;
        let helper = server::helper::start(settings).context("cannot start a helper process")?;
        let history = history_directory(settings, &self.state_dir);
        if let Some(user) = &settings.user {
            // A directory that the configuration names may be others' too: it is the administrator's to give.
            let ours = settings.history_directory.is_none().then_some(history.as_path());
            let own: Vec<&Path> = std::iter::once(self.state_dir.as_path()).chain(ours).collect();
            server::become_user(user, &own)?;
        }
        let state_dir = std::path::absolute(&self.state_dir)?;
        let mut own: Vec<&Path> = vec![&state_dir, &history];
        // To remove a directory is to write to the one that it is in.
        own.extend(state_dir.parent().filter(|_| self.passing));
        let sandbox = server::sandbox(settings, &own).context("cannot prepare")?;
        let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Options {
            state_dir: self.state_dir,
            workers: self.workers.unwrap_or_else(processors).max(1),
            naive_io: self.naive_io,
            past: None,
            heartbeat: crate::supervisor::heartbeat(),
            sandbox,
            helper,
        })
    }
}

/// Says what this process keeps that it does not need, if anything.
fn tell_of_rights(settings: &Settings, options: &Options, bus: &Bus) {
    if !settings.sandbox {
        let rights = match &settings.user {
            Some(user) => format!("its capabilities, as {},", user.name()),
            None => "all rights of root".to_owned(),
        };
        let text = format!(
            "the server keeps {rights} while it reads from the network: \
             remove `sandbox = false` from gretel.toml, and --no-sandbox"
        );
        bus.server(Event::Diagnostic(text));
    }
    for lacking in options.sandbox.lacking() {
        let text = format!("this kernel has no {lacking}: the server does without");
        bus.server(Event::Diagnostic(text));
    }
}
