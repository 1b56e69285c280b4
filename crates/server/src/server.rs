//! The server as a whole: its start, its signals, its end.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use dataplane::{Dataplane, Notice};
use sys::sandbox::{Role, Sandbox};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::admin;
use crate::auth::Users;
use crate::clock;
use crate::connections::Connections;
use crate::doctor::Process;
use crate::event::{Bus, Event};
use crate::helper::Helper;
use crate::host::{Host, SharedInterface};
use crate::listener::{self, Census};
use crate::open_files;
use crate::packet_path::{self, Choice};
use crate::relay::Relay;
use crate::scripts::Scripts;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::verdict::PORT_TAKEN;

/// Notices from workers that may wait; more are dropped and counted by the worker.
const NOTICES: usize = 65_536;
/// How often the sessions' figures are looked at, and what a flood left out is told.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Open files of a session: its control connection and its interface.
const FILES_PER_SESSION: u64 = 2;
/// And of everything else, unfinished connections among them.
const OTHER_FILES: u64 = 4096;

/// How a server is run, beside its [`Settings`].
#[derive(Debug)]
pub struct Options {
    /// Where changes to the host are noted until they are undone.
    pub state_dir: PathBuf,
    /// Worker threads for packets.
    pub workers: usize,
    /// Move packets one by one, as a yardstick for benchmarks.
    pub naive_io: bool,
    /// The past, for whoever asks over the admin sockets.
    pub past: Option<crate::history::Reader>,
    /// A sign of life for whoever watches this process.
    pub heartbeat: Option<Heartbeat>,
    /// What this process and its threads confine themselves to before they read from the network.
    pub sandbox: Sandbox,
    /// The process that does what this one then cannot ([`helper::start`](crate::helper::start)).
    pub helper: UnixStream,
}

/// Something to do again and again for as long as the server is well.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    /// How often.
    pub interval: Duration,
    /// What.
    pub beat: fn(),
}

/// Where settings and users come from; asked at the start and on reload.
pub trait Source {
    /// Reads everything. An `Err` is a rendered diagnostic; the old settings stay.
    fn load(&mut self) -> Result<(Settings, Box<dyn Users>), String>;
}

/// Runs a server until SIGTERM or SIGINT; SIGHUP reads options and secrets again.
///
/// # Errors
///
/// What keeps it from starting: a listening address in use, no raw sockets, no TUN. And what keeps it from going on: a worker gave up.
pub fn run(
    mut source: impl Source,
    settings: Settings,
    users: Box<dyn Users>,
    options: Options,
    bus: Bus,
) -> io::Result<()> {
    // Where fewer are allowed, `gretel doctor` says so.
    let sessions = settings.limits.connections.min(settings.slots.len()) as u64;
    open_files::allow(sessions * FILES_PER_SESSION + OTHER_FILES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let (notify, notices) = mpsc::channel(NOTICES);
        let choice = Choice::of(&settings.packets, settings.vrf.as_deref(), None);
        let workers = dataplane::Settings {
            workers: options.workers,
            device: settings.vrf.as_deref(),
            io: packet_path::io_mode(options.naive_io),
            path: choice.path(),
            sandbox: &options.sandbox,
        };
        let mut dataplane = Dataplane::start(workers, move |notice| {
            notify.try_send(notice).map_err(TrySendError::into_inner)
        })?;
        if let Some(line) = choice.line(dataplane.gre_path()) {
            bus.server(Event::PacketPath(line));
        }
        let mut listeners = Vec::new();
        for address in &settings.listen {
            let listener = listener::bind(*address, settings.vrf.as_deref())
                .map_err(|error| cannot_listen(*address, &error))?;
            listeners.push(listener);
        }
        // What is left there is a dead process's only when no other one lives.
        let _lock = lock(&options.state_dir)?;
        let host = Rc::new(Host::take_hold(&options.state_dir)?);
        let interface = share_interface(&host, &settings, &options, &mut dataplane, &bus)?;
        let relay = open_relay(settings.relay.as_deref(), &options.sandbox, &bus);
        let doors = open_doors(&options.state_dir, &bus);
        let mut signals = Signals::listen()?;
        let connections = Rc::new(Connections::new()?);
        // From here on nothing can be had that has not been opened. What the notes of an earlier process ask for is done without its rights, too.
        options.sandbox.enter(Role::Control).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot give up what is not needed: {error}"))
        })?;
        let helper = Helper::connect(options.helper)?;
        if settings.user.is_some() {
            host.mark_by(helper.clone(), bus.clone());
        }
        host.undo_leftovers(&bus)?;
        if let Some(interface) = &interface {
            interface.begin(&settings, &bus).map_err(cannot_share)?;
        }
        let scripts = Scripts::open(&options.state_dir, helper.clone(), &bus)?;
        if let Some(missing) = settings.wtmp.as_ref().filter(|wtmp| !wtmp.file.exists()) {
            bus.server(Event::Diagnostic(no_wtmp(&missing.file)));
        }
        let process = format!("{}\n", std::process::id());
        let pid_file = settings.pid_file.as_deref().map(|path| host.keep_file(path, &process));
        let pid_file = pid_file.transpose().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write the process id: {error}"))
        })?;
        let listening = listeners.iter().filter_map(|l| l.local_addr().ok()).collect();
        let slots = settings.slots.len();
        let mut shared = Shared::new(
            bus.clone(),
            dataplane,
            host,
            scripts.clone(),
            settings,
            users,
            sys::random_bytes()?,
        );
        shared.past = options.past;
        shared.interface = interface.map(Rc::new);
        let shared = Rc::new(shared);
        let mut routing = tokio::task::spawn_local(route_notices(shared.clone(), notices));

        let (stop, stopped) = watch::channel(false);
        let census = Census::default();
        let mut serving = {
            let (connections, shared, stopped) =
                (connections.clone(), shared.clone(), stopped.clone());
            tokio::task::spawn_local(async move { connections.run(&shared, stopped).await })
        };
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let (shared, census) = (shared.clone(), census.clone());
                let (connections, stopped) = (connections.clone(), stopped.clone());
                let work = listener::accept_all(listener, shared, census, connections, stopped);
                tokio::task::spawn_local(work)
            })
            .collect();
        let relay = relay.map(|relay| tokio::task::spawn_local(relay.run(shared.clone())));
        let heart = options.heartbeat.map(|heart| tokio::task::spawn_local(beat(heart)));
        let watch = tokio::task::spawn_local(watch(shared.clone()));
        let admin: Vec<_> = doors
            .into_iter()
            .map(|door| tokio::task::spawn_local(door.serve(shared.clone())))
            .collect();
        bus.server(Event::Started { listening, connections: slots });
        let failure = loop {
            tokio::select! {
                order = signals.next() => match order {
                    Order::Reload => reload(&mut source, &shared),
                    Order::Stop => break None,
                },
                // Its calls are dead and it takes no new ones: a fresh process serves better.
                failure = &mut routing => break failure.ok(),
                // It ends by itself for a fault only.
                _ = &mut serving => break Some(io::Error::other("a fault in the program")),
            }
        };
        bus.server(Event::Stopping { sessions: shared.session_count() });
        // Nobody left to hear it is as good as heard.
        let _ = stop.send(true);
        let serving = (!serving.is_finished()).then_some(serving);
        for task in accepting.into_iter().chain(serving) {
            let _ = task.await;
        }
        scripts.farewell().await;
        if let Some(interface) = &shared.interface {
            interface.take_back();
        }
        if let Some(change) = &pid_file {
            shared.host.undo(change);
        }
        helper.farewell().await;
        shared.bus.tell_untold();
        for task in [heart, relay, Some(watch)].into_iter().flatten().chain(admin) {
            task.abort();
        }
        failure.map_or(Ok(()), Err)
    })
}

/// Takes the state directory for this process, for as long as the file that is given is open.
pub(crate) fn lock(state_dir: &Path) -> io::Result<fs::File> {
    let in_use = |error: io::Error| {
        let dir = state_dir.display();
        let text = match error.kind() {
            io::ErrorKind::WouldBlock => {
                format!("another server uses {dir}: stop it, or give this one another --state-dir")
            }
            io::ErrorKind::PermissionDenied => {
                format!(
                    "cannot use {dir}: {error}: it is another user's; to have it back: chown -R $(id -u): {dir}"
                )
            }
            _ => format!("cannot use {dir}: {error}"),
        };
        io::Error::new(error.kind(), text)
    };
    fs::create_dir_all(state_dir).map_err(in_use)?;
    // What somebody else may write there could lead this process to others' files.
    if fs::metadata(state_dir).map_err(in_use)?.uid() != rustix::process::geteuid().as_raw() {
        return Err(in_use(io::ErrorKind::PermissionDenied.into()));
    }
    let file = fs::File::create(state_dir.join("lock")).map_err(in_use)?;
    file.try_lock().map_err(|error| in_use(error.into()))?;
    Ok(file)
}

const MODE_STAYS: &str = "interface.mode counts from the next start on: restart the server";
const USER_STAYS: &str = "server.user counts from the next start on: restart the server";

fn no_wtmp(file: &Path) -> String {
    let file = file.display();
    format!(
        "logwtmp: logins are not recorded, as there is no {file} and no database of wtmpdb's: `touch {file}` and read it with `last -f {file}`, or \
         remove logwtmp"
    )
}

fn cannot_listen(address: std::net::SocketAddr, error: &io::Error) -> io::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => port_taken(address),
        io::ErrorKind::AddrNotAvailable => "; this host does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "; run as root or with CAP_NET_BIND_SERVICE".to_owned(),
        _ => String::new(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{hint}"))
}

/// Who has it, and what to do.
fn port_taken(address: std::net::SocketAddr) -> String {
    let code = PORT_TAKEN.code;
    let process = crate::doctor::listener(address).and_then(|listener| listener.process);
    match process {
        Some(Process { id, name }) => format!(
            ". {code}: {} (process {id}) has it: stop it, or use another address",
            name.escape_debug()
        ),
        None => format!(
            ". {code}: another program has it, which cannot be seen from here: stop it, or use another address"
        ),
    }
}

/// The interface of all sessions, where that is wanted.
fn share_interface(
    host: &Rc<Host>,
    settings: &Settings,
    options: &Options,
    dataplane: &mut Dataplane,
    bus: &Bus,
) -> io::Result<Option<SharedInterface>> {
    if !settings.shared_interface {
        return Ok(None);
    }
    let opened = SharedInterface::open(host, settings, options.workers.max(1), bus);
    let shared = opened.and_then(|(interface, queues)| {
        dataplane.share(queues)?;
        Ok(interface)
    });
    shared.map(Some).map_err(cannot_share)
}

fn cannot_share(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot make the interface of all sessions: {error}"))
}

/// A relay that cannot be is told of, and keeps nobody from connecting.
fn open_relay(name: Option<&str>, sandbox: &Sandbox, bus: &Bus) -> Option<Relay> {
    let opened = Relay::open(name?, sandbox.clone());
    opened
        .map_err(|error| {
            let what = "relay broadcasts";
            bus.server(Event::HostFailed { what, error: error.to_string() });
        })
        .ok()
}

/// Sockets that cannot be are told of, and keep nobody from connecting.
fn open_doors(state_dir: &Path, bus: &Bus) -> Vec<admin::Door> {
    admin::open(state_dir).map(Vec::from).unwrap_or_else(|error| {
        let what = "open the admin sockets";
        bus.server(Event::HostFailed { what, error: error.to_string() });
        Vec::new()
    })
}

/// On the thread that everything else needs too: when that is stuck, so is the heart.
async fn beat(heart: Heartbeat) {
    let mut interval = tokio::time::interval(heart.interval);
    loop {
        interval.tick().await;
        (heart.beat)();
    }
}

/// Looks at the sessions' figures, at attempts that were left out and at the clock, again and again.
async fn watch(shared: Rc<Shared>) {
    let mut clock = clock::Watch::new(Instant::now(), SystemTime::now());
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    loop {
        interval.tick().await;
        shared.look_at_quality();
        shared.bus.tell_untold();
        if let Some(jump) = clock.look(Instant::now(), SystemTime::now()) {
            shared.bus.server(Event::ClockJumped(jump));
        }
    }
}

fn reload(source: &mut impl Source, shared: &Shared) {
    match source.load() {
        Ok((settings, users)) => {
            if let Some(interface) = &shared.interface
                && let Err(error) = interface.serve(&settings, &shared.bus)
            {
                let what = "serve other addresses";
                shared.bus.server(Event::HostFailed { what, error: error.to_string() });
            }
            if settings.shared_interface != shared.interface.is_some() {
                shared.bus.server(Event::Diagnostic(MODE_STAYS.to_owned()));
            }
            if settings.user != shared.settings().user {
                shared.bus.server(Event::Diagnostic(USER_STAYS.to_owned()));
            }
            shared.replace_settings(settings, users);
            shared.bus.server(Event::Reloaded);
        }
        Err(diagnostic) => shared.bus.server(Event::ReloadFailed(diagnostic)),
    }
}

/// Routes notices until a worker fails.
async fn route_notices(shared: Rc<Shared>, mut notices: mpsc::Receiver<Notice>) -> io::Error {
    while let Some(notice) = notices.recv().await {
        if let Notice::WorkerFailed { worker, error } = notice {
            let error = io::Error::new(error.kind(), format!("worker {worker} gave up: {error}"));
            let what = "carry packets";
            shared.bus.server(Event::HostFailed { what, error: error.to_string() });
            return error;
        }
        shared.route(notice);
    }
    io::Error::other("all workers are gone")
}

/// What a signal tells the server.
enum Order {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.hangup.recv() => Order::Reload,
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_names_who_has_it() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let error = std::net::TcpListener::bind(address).unwrap_err();
        let text = cannot_listen(address, &error).to_string();
        let us = format!("(process {}) has it", std::process::id());
        assert!(text.contains("G-504: ") && text.contains(&us), "{text}");
    }

    #[test]
    fn a_second_server_is_kept_off_the_state_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = lock(&state).unwrap();
        let error = lock(&state).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains("another server uses"), "{error}");
        drop(first);
        lock(&state).unwrap();
    }
}
