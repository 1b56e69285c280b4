//! Real scripts, in a directory of their own.

use std::cell::RefCell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use tempfile::TempDir;
use tokio::task::LocalSet;

use super::*;
use crate::event::{Record, Source, Subscriber};
use crate::settings::Settings;

const LOCAL: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 1);
const REMOTE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 2);

/// What was told, shortly.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<String>>>);

impl Subscriber for Told {
    fn take(&self, record: &Record) {
        let text = match &record.event {
            Event::ScriptStarted { script, .. } => format!("started {script}"),
            Event::ScriptFinished { script, status, .. } => {
                format!("finished {script} {}", status.code().unwrap_or(-1))
            }
            Event::ScriptFailed { script, error } => format!("failed {script}: {error}"),
            other => format!("{other:?}"),
        };
        self.0.borrow_mut().push(text);
    }
}

/// A directory with scripts that write what they see into `log`.
struct Lab {
    dir: TempDir,
    told: Told,
    bus: Bus,
}

impl Lab {
    fn new() -> Self {
        let told = Told::default();
        let bus = Bus::new(vec![Box::new(told.clone())]);
        Self { dir: tempfile::tempdir().unwrap(), told, bus }
    }

    /// A script; `LOG` in its body stands for the log.
    fn script(&self, name: &str, body: &str) {
        let path = self.dir.path().join(name);
        let log = self.dir.path().join("log");
        let body = body.replace("LOG", &log.display().to_string());
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn told(&self) -> Vec<String> {
        let dir = format!("{}/", self.dir.path().display());
        self.told.0.borrow().iter().map(|line| line.replace(&dir, "")).collect()
    }

    fn scripts(&self) -> Scripts {
        self.scripts_within(LIMIT)
    }

    fn scripts_within(&self, limit: Duration) -> Scripts {
        Scripts::open(self.dir.path(), Helper::within(limit), &self.bus).unwrap()
    }

    fn settings(&self) -> Rc<Settings> {
        let scripts = ScriptPaths::in_directory(self.dir.path());
        Rc::new(Settings { scripts, ..Settings::new(Vec::new()) })
    }

    fn session(&self, scripts: &Scripts, interface: &str) -> SessionScripts {
        self.session_of(scripts, interface, None)
    }

    /// `address`: that of a session of a shared interface.
    fn session_of(
        &self,
        scripts: &Scripts,
        interface: &str,
        address: Option<Ipv4Addr>,
    ) -> SessionScripts {
        let identity = Identity {
            client: "192.0.2.7".parse().unwrap(),
            user: b"OFFICE\\scott".to_vec(),
            interface: interface.into(),
            address,
        };
        SessionScripts::begin(scripts.clone(), self.settings(), self.source(), identity)
    }

    /// One session, from its beginning to the end of its scripts.
    fn come_and_go(&self) {
        block_on(async {
            let scripts = self.scripts();
            let mut session = self.session(&scripts, "ppp0");
            session.ipv4_up(LOCAL, REMOTE);
            session.end(TRAFFIC);
            scripts.farewell().await;
        });
    }

    /// One session of a process that ends without a word: the session's end is never told.
    fn come_and_crash(&self) {
        block_on(async {
            let scripts = self.scripts();
            let mut session = self.session(&scripts, "ppp0");
            session.ipv4_up(LOCAL, REMOTE);
            std::mem::forget(session);
            scripts.farewell().await;
        });
    }

    fn source(&self) -> Source {
        self.bus.connection(SocketAddrV4::new("192.0.2.7".parse().unwrap(), 4000)).new_session()
    }
}

/// Runs on the one thread that the server has.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, work)
}

const TRAFFIC: Traffic = Traffic { connected: Duration::from_secs(61), sent: 1000, received: 2000 };

#[test]
fn scripts_get_pppds_arguments_and_environment_and_nothing_else() {
    let lab = Lab::new();
    for name in ["auth-up", "ip-up", "ipv6-up", "ip-down", "auth-down"] {
        lab.script(name, &format!("echo {name} \"$@\" >>LOG; env | sort >>LOG; pwd >>LOG"));
    }
    block_on(async {
        let scripts = lab.scripts();
        let mut session = lab.session(&scripts, "ppp3");
        assert!(!session.before_ipv4(LOCAL, REMOTE, || ()));
        session.ipv4_up(LOCAL, REMOTE);
        session.ipv4_up(LOCAL, REMOTE);
        session.ipv6_up("fe80::0000:0000:0000:0001", "fe80::0000:0000:0000:0002");
        session.end(TRAFFIC);
        scripts.farewell().await;
    });
    let log = lab.log();
    let place = |line: &str| {
        log.iter().position(|it| it == line).unwrap_or_else(|| panic!("{line}: {log:#?}"))
    };
    let order = [
        "auth-up ppp3 OFFICE\\scott root /dev/pptp/ppp3 115200",
        "ip-up ppp3 /dev/pptp/ppp3 115200 10.0.0.1 10.0.0.2 192.0.2.7",
        "ipv6-up ppp3 /dev/pptp/ppp3 115200 fe80::0000:0000:0000:0001 fe80::0000:0000:0000:0002 192.0.2.7",
        "ip-down ppp3 /dev/pptp/ppp3 115200 10.0.0.1 10.0.0.2 192.0.2.7",
        "auth-down ppp3 OFFICE\\scott root /dev/pptp/ppp3 115200",
    ]
    .map(place);
    assert!(order.is_sorted(), "{log:#?}");
    assert_eq!(log.iter().filter(|line| line.starts_with("ip-up ")).count(), 1);
    // What sh itself adds is left out.
    let environment = |from: usize, to: usize| {
        let lines = log[from + 1..to].iter().filter(|line| line.contains('='));
        let own = |line: &&String| {
            !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|it| line.starts_with(it))
        };
        lines.filter(own).cloned().collect::<Vec<_>>()
    };
    let up = [
        "DEVICE=/dev/pptp/ppp3",
        "IFNAME=ppp3",
        "IPLOCAL=10.0.0.1",
        "IPREMOTE=10.0.0.2",
        "ORIG_UID=0",
        "PEERNAME=OFFICE\\scott",
        &format!("PPPD_PID={}", std::process::id()),
        "PPPLOGNAME=root",
        "REMOTENUMBER=192.0.2.7",
        "SPEED=115200",
        "UNIT=3",
    ];
    assert_eq!(environment(order[1], order[2]), up);
    let down = environment(order[3], order[4]);
    for line in ["CONNECT_TIME=61", "BYTES_SENT=1000", "BYTES_RCVD=2000"] {
        assert!(down.contains(&line.to_owned()), "{down:?}");
    }
    assert_eq!(log[order[2] - 1], "/");
}

#[test]
fn a_session_never_runs_two_scripts_at_once_and_ip_down_waits_for_ip_up() {
    let lab = Lab::new();
    lab.script("ip-up", "echo up begins >>LOG; sleep 0.3; echo up ends >>LOG");
    lab.script("ip-down", "echo down >>LOG");
    lab.come_and_go();
    assert_eq!(lab.log(), ["up begins", "up ends", "down"]);
    assert_eq!(
        lab.told(),
        ["started ip-up", "finished ip-up 0", "started ip-down", "finished ip-down 0"]
    );
}

#[test]
fn hooks_that_hang_keep_no_new_session_from_its_ip_pre_up() {
    let lab = Lab::new();
    lab.script("ip-up", "sleep 2");
    block_on(async {
        let scripts = lab.scripts();
        for number in 0..MAX_RUNNING + 1 {
            let mut session = lab.session(&scripts, &format!("ppp{number}"));
            session.ipv4_up(LOCAL, REMOTE);
            session.end(TRAFFIC);
        }
        lab.script("ip-pre-up", "true");
        let begun = Instant::now();
        let mut session = lab.session(&scripts, "new0");
        let (tell, told) = tokio::sync::oneshot::channel();
        assert!(session.before_ipv4(LOCAL, REMOTE, move || tell.send(()).unwrap()));
        told.await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
        session.end(TRAFFIC);
        scripts.farewell().await;
    });
}

#[test]
fn the_next_session_on_an_interface_waits_for_the_scripts_of_the_one_before() {
    let lab = Lab::new();
    lab.script("ip-up", "echo up >>LOG");
    lab.script("ip-down", "sleep 0.3; echo down >>LOG");
    block_on(async {
        let scripts = lab.scripts();
        for _ in 0..3 {
            let mut session = lab.session(&scripts, "ppp0");
            session.ipv4_up(LOCAL, REMOTE);
            session.end(TRAFFIC);
        }
        scripts.farewell().await;
    });
    assert_eq!(lab.log(), ["up", "down", "up", "down", "up", "down"]);
}

#[test]
fn on_a_shared_interface_only_sessions_of_one_address_wait_for_each_other() {
    let lab = Lab::new();
    let body = "echo $5 begins >>LOG; [ $5 = 10.0.0.3 ] || sleep 0.4; echo $5 ends >>LOG";
    lab.script("ip-up", body);
    block_on(async {
        let scripts = lab.scripts();
        for last in [2, 2, 3] {
            let address = Ipv4Addr::new(10, 0, 0, last);
            let mut session = lab.session_of(&scripts, "ppp0", Some(address));
            session.ipv4_up(LOCAL, address);
            session.end(TRAFFIC);
        }
        scripts.farewell().await;
        assert!(scripts.0.lines.borrow().keys().all(|line| line == "ppp0"));
    });
    let log = lab.log();
    let of = |address: &str| -> Vec<&String> {
        log.iter().filter(|line| line.starts_with(address)).collect()
    };
    let [slow, quick] = ["10.0.0.2", "10.0.0.3"].map(of);
    let steps = ["10.0.0.2 begins", "10.0.0.2 ends", "10.0.0.2 begins", "10.0.0.2 ends"];
    assert_eq!(slow, steps);
    let at = |line: &str| log.iter().position(|it| it == line);
    assert!(quick.len() == 2 && at("10.0.0.3 ends") < at("10.0.0.2 ends"), "{log:?}");
}

#[test]
fn what_a_crash_left_undone_comes_before_a_new_session_on_the_interface() {
    let lab = Lab::new();
    lab.script("ip-up", "echo up >>LOG");
    lab.script("ip-down", "sleep 0.2; echo down >>LOG");
    lab.come_and_crash();
    lab.come_and_go();
    assert_eq!(lab.log(), ["up", "down", "up", "down"]);
}

#[test]
fn ip_pre_up_ends_before_the_session_goes_on() {
    let lab = Lab::new();
    lab.script("ip-pre-up", "sleep 0.1; echo pre $4 $5 >>LOG");
    block_on(async {
        let scripts = lab.scripts();
        let mut session = lab.session(&scripts, "ppp0");
        let log = lab.dir.path().join("log");
        let (tell, told) = tokio::sync::oneshot::channel();
        let then = move || tell.send(fs::read_to_string(log).unwrap()).unwrap();
        assert!(session.before_ipv4(LOCAL, REMOTE, then));
        assert!(!session.before_ipv4(LOCAL, REMOTE, || panic!("it runs once")));
        assert_eq!(told.await.unwrap(), "pre 10.0.0.1 10.0.0.2\n");
        session.end(TRAFFIC);
        scripts.farewell().await;
    });
}

#[test]
fn what_a_crash_left_undone_is_run_at_the_next_start() {
    let lab = Lab::new();
    lab.script("ip-up", "echo up >>LOG");
    lab.script("ip-down", "echo down $1 $PEERNAME >>LOG");
    lab.script("auth-down", "echo auth-down $1 >>LOG");
    lab.come_and_crash();
    assert_eq!(lab.log(), ["up"]);
    block_on(async {
        lab.scripts().farewell().await;
        // Paid is paid.
        lab.scripts().farewell().await;
    });
    assert_eq!(lab.log(), ["up", "down ppp0 OFFICE\\scott", "auth-down ppp0"]);
}

#[test]
fn a_script_that_does_not_end_is_ended_with_all_that_it_started() {
    let lab = Lab::new();
    lab.script("ip-up", "(sleep 1; echo survived >>LOG) & sleep 60");
    lab.script("ip-down", "echo down >>LOG");
    let begun = Instant::now();
    block_on(async {
        let scripts = lab.scripts_within(Duration::from_millis(300));
        let mut session = lab.session(&scripts, "ppp0");
        session.ipv4_up(LOCAL, REMOTE);
        session.end(TRAFFIC);
        scripts.farewell().await;
    });
    assert!(begun.elapsed() < Duration::from_secs(10));
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(lab.log(), ["down"]);
    assert!(lab.told()[1].starts_with("failed ip-up: it ran for more than"), "{:?}", lab.told());
}

#[test]
fn a_script_that_cannot_be_run_is_told_and_stops_nothing() {
    let lab = Lab::new();
    fs::write(lab.dir.path().join("ip-up"), "not executable").unwrap();
    lab.script("ip-down", "exit 3");
    lab.come_and_go();
    let told = lab.told();
    assert_eq!(told[0], "failed ip-up: it is not executable: chmod +x it, or remove it");
    assert_eq!(told[1..], ["started ip-down", "finished ip-down 3"]);
}

#[test]
fn two_hundred_sessions_run_their_scripts_a_few_at_a_time() {
    let lab = Lab::new();
    lab.script("ip-up", "echo + >>LOG; sleep 0.02; echo - >>LOG");
    block_on(async {
        let scripts = lab.scripts();
        for number in 0..200 {
            let mut session = lab.session(&scripts, &format!("ppp{number}"));
            session.ipv4_up(LOCAL, REMOTE);
            session.end(TRAFFIC);
        }
        scripts.farewell().await;
    });
    let mut running = 0_i32;
    let mut most = 0;
    for line in lab.log() {
        running += if line == "+" { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!((lab.log().len(), running), (400, 0));
    assert!(most > 1 && most as usize <= MAX_RUNNING, "{most} at once");
}
