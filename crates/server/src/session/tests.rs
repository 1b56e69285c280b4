//! Sessions with a real worker, interface and scripts, in a network namespace; the client is an engine whose frames skip GRE one way.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crypto::{Password, Secret};
use dataplane::{Bounds, Dataplane, FragmentPolicy, GrePath, IoMode, NewCall, TosPolicy};
use engine::auth::Method;
use engine::control::{self, Config, Role};
use engine::ppp::{ClientConfig, LcpConfig, LinkConfig, MppePolicy, Side, Timers};
use sys::raw::{GreSocket, RecvBatch};
use sys::sandbox::Sandbox;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::LocalSet;
use wire::control::Message;

use super::*;
use crate::auth::{AnyAddress, User, Users};
use crate::connections::Connections;
use crate::event::{Bus, Record, Subscriber};
use crate::helper::Helper;
use crate::host::{Host, Wtmp};
use crate::leases::{EVERYBODYS, Slot};
use crate::listener::{Census, accept_all};
use crate::mailbox::Mailbox;
use crate::scripts::{ScriptPaths, Scripts};
use crate::settings::Duplicate;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

const CALL: u16 = 7;
const PEER_CALL: u16 = 9;
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Everybody is welcome whose password is `secret`.
struct Everybody;

impl Users for Everybody {
    fn find(&mut self, _method: Method, _name: &[u8], _remarks: &mut Vec<String>) -> Option<User> {
        let secret = Secret::Password(Password::new(b"secret".to_vec()));
        Some(User {
            secret: Some(secret),
            addresses: Box::new(AnyAddress),
            pool: EVERYBODYS,
            own: None,
        })
    }
}

/// What the events say, as far as the tests ask.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<String>>>);

impl Subscriber for Told {
    fn take(&self, record: &Record) {
        match &record.event {
            Event::AuthenticationFailed { reason: Some(reason), .. } => {
                self.0.borrow_mut().push(reason.to_string());
            }
            Event::HostFailed { what, error } => {
                self.0.borrow_mut().push(format!("{what}: {error}"));
            }
            Event::TcpEnded(_) => panic!("a fault in what hears of it"),
            _ => {}
        }
    }
}

struct Bench {
    session: Session,
    mailbox: Mailbox,
    shared: Rc<Shared>,
    scripts: Scripts,
    socket: GreSocket,
    told: Told,
    /// PPP frames of both ways.
    frames: Vec<Vec<u8>>,
}

impl Bench {
    /// A call that has just been accepted. Scripts, state and records are below `dir`.
    fn new(dir: &Path) -> Self {
        let told = Told::default();
        let bus = Bus::new(vec![Box::new(told.clone())]);
        let slot = Slot {
            unit: 0,
            pool: EVERYBODYS,
            local: Ipv4Addr::new(10, 0, 0, 1),
            remote: Ipv4Addr::new(10, 0, 0, 2),
        };
        let settings = Settings {
            mppe: MppePolicy::OFF,
            ipv6: None,
            scripts: ScriptPaths::in_directory(dir),
            run_dir: dir.into(),
            wtmp: Some(Wtmp { file: dir.join("wtmp"), strip_domain: false }),
            ..Settings::new(vec![slot])
        };
        let workers = dataplane::Settings {
            workers: 1,
            device: None,
            io: IoMode::Batched,
            path: GrePath::Raw,
            sandbox: &Sandbox::off(),
        };
        let scripts = Scripts::open(dir, Helper::within(crate::scripts::LIMIT), &bus).unwrap();
        let shared = Rc::new(Shared::new(
            bus.clone(),
            Dataplane::start(workers, |_| Ok(())).unwrap(),
            Rc::new(Host::open(dir, &bus).unwrap()),
            scripts.clone(),
            settings,
            Box::new(Everybody),
            [1; 32],
        ));
        let source = bus.connection(SocketAddrV4::new(LOOPBACK, 4000)).new_session();
        let path = engine::data::Config {
            our_call_id: CALL,
            peer_call_id: PEER_CALL,
            check_source: true,
            clamp_mss: true,
        };
        let call = NewCall {
            generation: 1,
            peer: LOOPBACK,
            local: LOOPBACK,
            path,
            tos: TosPolicy::default(),
            fragments: FragmentPolicy::default(),
            bounds: Bounds::default(),
            trace: false,
        };
        let counters = shared.dataplane.add(call);
        let call = Call {
            our_call_id: CALL,
            peer_call_id: PEER_CALL,
            local: LOOPBACK,
            counters,
            seed: [2; 32],
            round_trip: Duration::ZERO,
        };
        let lease = shared.slots().take(None, 1).unwrap();
        let (figures, registered) = (call.counters.clone(), source.clone());
        let session = Session::new(shared.clone(), source, call, lease, shared.now());
        let mailbox = Mailbox::default();
        shared.register(CALL, &registered, figures, mailbox.clone());
        let socket = GreSocket::open().unwrap();
        Self { session, mailbox, shared, scripts, socket, told, frames: Vec::new() }
    }

    fn client(&self, name: &str) -> Link {
        let config = LinkConfig {
            side: Side::Client(ClientConfig {
                name: name.into(),
                password: Password::new(b"secret".to_vec()),
                methods: vec![Method::MsChapV2],
                address: Ipv4Addr::UNSPECIFIED,
            }),
            lcp: LcpConfig::default(),
            mppe: MppePolicy::OFF,
            ipv6: None,
            network_timers: Timers::default(),
            ipv6cp_timers: Timers::default(),
        };
        let seed = sys::random_bytes().unwrap();
        let mut link = Link::new(config, seed, self.shared.now());
        link.start(self.shared.now());
        link
    }

    /// Lets both ends work until the client has a network, or its link has closed. Whether it has one.
    async fn connect(&mut self, client: &mut Link) -> bool {
        let mut batch = RecvBatch::new(2048);
        let end = std::time::Instant::now() + Duration::from_secs(10);
        let mut up = None;
        while up.is_none() {
            assert!(std::time::Instant::now() < end, "{:?}", self.told.0.borrow());
            let now = self.shared.now();
            for index in 0..self.socket.recv_batch(&mut batch).unwrap() {
                let packet = batch.packet(index);
                let outer = wire::gre::Outer::parse(packet).unwrap();
                let (header, frame) = wire::gre::parse(&packet[outer.start..outer.end]).unwrap();
                if header.call_id == PEER_CALL && header.seq.is_some() {
                    self.frames.push(frame.to_vec());
                    client.handle_frame(now, frame);
                }
            }
            client.handle_timeout(now);
            while let Some(output) = client.poll_output() {
                match output {
                    Output::Frame(frame) => {
                        self.frames.push(frame.clone());
                        let notice = Notice::Frame { call: CALL, generation: 1, frame };
                        self.session.handle_notice(now, notice);
                    }
                    Output::Event(LinkEvent::NetworkUp(_)) => up = Some(true),
                    Output::Event(LinkEvent::Closed(_)) => up = Some(false),
                    Output::Event(_) => {}
                }
            }
            self.session.handle_timeout(now);
            self.work_mail();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        up == Some(true)
    }

    fn work_mail(&mut self) {
        let now = self.shared.now();
        while let Some(mail) = self.mailbox.take() {
            if let Mail::MayRise { .. } = mail {
                self.session.may_rise(now);
            }
        }
    }

    async fn end(self) {
        let now = self.shared.now();
        self.session.finish(now, Some(engine::control::CallEnd::ConnectionClosed));
        self.scripts.farewell().await;
    }
}

/// A script that writes its name and `more` into `log`.
fn script(dir: &Path, name: &str, more: &str) {
    let path = dir.join(name);
    let log = dir.join("log");
    let text = format!("#!/bin/sh\nexec >>{} 2>&1\n{more}\necho {name} $PEERNAME\n", log.display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn log(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn is_up(interface: &str) -> bool {
    let interfaces = sys::netlink::Netlink::open().unwrap().interfaces().unwrap();
    interfaces.iter().find(|it| it.name == interface).unwrap().is_up()
}

/// Runs a test in a network of its own, on the one thread that the server has.
fn in_namespace<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send) {
    let isolated = sys::namespace::run_in_new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, work());
    });
    if let Err(error) = isolated {
        eprintln!("skipped: no network namespace: {error}");
    }
}

#[test]
fn a_session_runs_its_scripts_and_leaves_nothing_but_records() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::write(dir.join("wtmp"), b"").unwrap();
        for name in ["auth-up", "ip-up", "ip-down", "auth-down"] {
            script(dir, name, "");
        }
        script(dir, "ip-pre-up", "sleep 0.3");
        let mut bench = Bench::new(dir);
        let mut client = bench.client("anna");
        assert!(bench.connect(&mut client).await);
        assert!(bench.session.preparing, "IPv4 waits for ip-pre-up");
        assert_eq!(fs::metadata(dir.join("wtmp")).unwrap().len(), 0);
        assert!(dir.join("ppp0.pid").exists());
        assert!(!is_up("ppp0"));
        while bench.session.preparing {
            tokio::time::sleep(Duration::from_millis(10)).await;
            bench.work_mail();
        }
        assert!(is_up("ppp0"));
        let record = fs::metadata(dir.join("wtmp")).unwrap().len();
        assert!(record > 0, "{:?}", bench.told.0.borrow());
        bench.end().await;
        let order = ["auth-up", "ip-pre-up", "ip-up", "ip-down", "auth-down"];
        assert_eq!(log(dir), order.map(|name| format!("{name} anna")));
        assert!(!dir.join("ppp0.pid").exists());
        assert_eq!(fs::metadata(dir.join("wtmp")).unwrap().len(), 2 * record);
        assert_eq!(fs::read_dir(dir.join("changes")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(dir.join("scripts")).unwrap().count(), 0);
    });
}

#[test]
fn a_session_stays_its_first_users_when_lcp_is_negotiated_anew() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for name in ["auth-up", "ip-up", "ip-down", "auth-down"] {
            script(dir, name, "");
        }
        let mut bench = Bench::new(dir);
        for (name, welcome) in [("anna", true), ("anna", true), ("bob", false)] {
            let mut client = bench.client(name);
            assert_eq!(bench.connect(&mut client).await, welcome, "{:?}", bench.told.0.borrow());
        }
        let told = bench.told.clone();
        bench.end().await;
        assert_eq!(log(dir), ["auth-up anna", "ip-up anna", "ip-down anna", "auth-down anna"]);
        assert!(told.0.borrow()[0].contains("the session is another user's"), "{:?}", told.0);
    });
}

/// So many failed logins from the client's address, in names that nobody has.
fn fail_before(bench: &Bench, failures: u32) {
    let (shared, limits) = (&bench.shared, bench.shared.settings().limits.logins);
    for _ in 0..failures {
        let _ = shared.locks.failed(shared.now(), &limits, LOOPBACK, b"nobody");
    }
}

#[test]
fn a_login_after_failures_waits_and_the_right_password_then_counts() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(dir.path());
        fail_before(&bench, 3);
        let (mut client, begun) = (bench.client("anna"), bench.shared.now());
        assert!(bench.connect(&mut client).await);
        let took = bench.shared.now() - begun;
        assert!(took >= Duration::from_millis(500), "{took:?}");
        bench.end().await;
    });
}

#[test]
fn a_locked_address_is_refused_whatever_its_password() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(dir.path());
        fail_before(&bench, 10);
        let mut client = bench.client("anna");
        assert!(!bench.connect(&mut client).await);
        assert!(bench.told.0.borrow()[0].contains("locked"), "{:?}", bench.told.0);
        bench.end().await;
    });
}

/// Asks over an admin socket.
async fn ask(socket: &Path, request: &str) -> serde_json::Value {
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    tokio::io::BufReader::new(stream).read_line(&mut line).await.unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn who_may_look_sees_a_session_and_who_may_act_ends_it() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut bench = Bench::new(dir);
        let mut client = bench.client("anna");
        assert!(bench.connect(&mut client).await);
        for door in crate::admin::open(dir).unwrap() {
            tokio::task::spawn_local(door.serve(bench.shared.clone()));
        }
        let (act, look) = (dir.join("admin.sock"), dir.join("monitor.sock"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&act), mode(&look)), (0o600, 0o660));
        let who = ask(&look, r#"{"v":1,"command":"who"}"#).await;
        assert_eq!(who["sessions"][0]["user"], "anna");
        assert_eq!(who["sessions"][0]["address"], "10.0.0.2");
        let kick = r#"{"v":1,"command":"kick","whom":"10.0.0.2","reason":"lunch"}"#;
        assert!(ask(&look, kick).await["error"].as_str().unwrap().contains("looking only"));
        assert_eq!(bench.mailbox.take().map(|_| ()), None);
        let long = "x".repeat(5000);
        assert!(ask(&act, &long).await["error"].as_str().unwrap().contains("4096"));
        assert_eq!(ask(&act, kick).await["kicked"][0], 1);
        let Some(Mail::Kicked { session: 1, reason }) = bench.mailbox.take() else {
            panic!("the session was not told")
        };
        fail_before(&bench, 10);
        let locks = ask(&look, r#"{"v":1,"command":"locks"}"#).await;
        assert_eq!(locks["locks"][0]["address"], "127.0.0.1", "{locks}");
        let unlock = r#"{"v":1,"command":"unlock","whom":"127.0.0.1"}"#;
        assert!(ask(&look, unlock).await["error"].as_str().unwrap().contains("looking only"));
        assert_eq!(ask(&act, unlock).await["unlocked"][0], "127.0.0.1");
        bench.session.kicked(bench.shared.now(), reason);
        assert_eq!(bench.session.ended(), None, "it says goodbye first");
        bench.end().await;
    });
}

#[test]
fn the_trail_of_a_login_is_small_and_holds_nothing_secret() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        for name in ["auth-up", "ip-up", "ip-down", "auth-down"] {
            script(dir.path(), name, "");
        }
        let mut bench = Bench::new(dir.path());
        let mut client = bench.client("anna");
        assert!(bench.connect(&mut client).await);
        let trail = bench.session.source.trail();
        let steps: Vec<String> =
            trail.show().unwrap().into_iter().map(|shown| shown.text).collect();
        assert!(steps.iter().any(|step| step == "wants in as anna by MS-CHAPv2"), "{steps:#?}");
        assert!(steps.iter().any(|step| step == "lets the client in"), "{steps:#?}");
        let bytes = trail.as_bytes();
        let cost = bench.session.source.trail_cost();
        eprintln!("{} steps in {} bytes, {cost} in memory", steps.len(), bytes.len());
        assert!(cost < 1024, "what an idle session keeps of its way");
        assert!(bytes.len() < 1024, "{} bytes: {steps:#?}", bytes.len());
        let holds = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!holds(b"secret"));
        let hash = crypto::NtHash::of(&Password::new(b"secret".to_vec()));
        assert!(!hash.as_bytes().windows(4).any(holds));
        let is_chap = |frame: &&Vec<u8>| {
            wire::ppp::split(frame).is_ok_and(|(protocol, _)| protocol == wire::ppp::Protocol::CHAP)
        };
        let chap: Vec<&Vec<u8>> = bench.frames.iter().filter(is_chap).collect();
        assert!(chap.len() >= 3, "Challenge, Response, Success");
        for frame in chap {
            // The name at its end is no secret.
            let values =
                frame.windows(6).filter(|bytes| !bytes.contains(&0) && !bytes.ends_with(b"anna"));
            assert!(values.into_iter().all(|value| !holds(value)), "{frame:x?}");
        }
        bench.end().await;
    });
}

#[test]
fn the_trail_can_be_asked_for_and_followed_from_before_the_attempt_to_its_end() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut bench = Bench::new(dir);
        for door in crate::admin::open(dir).unwrap() {
            tokio::task::spawn_local(door.serve(bench.shared.clone()));
        }
        let look = dir.join("monitor.sock");
        let follow = |whom: &str| {
            let request =
                serde_json::json!({ "v": 1, "command": "trail", "whom": whom, "follow": true });
            let stream = tokio::net::UnixStream::connect(look.clone());
            async move {
                let mut stream = stream.await.unwrap();
                stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
                tokio::io::BufReader::new(stream).lines()
            }
        };
        // An attempt that is over before anybody looks.
        let mut fast = follow("192.0.2.9").await;
        let line = fast.next_line().await.unwrap().unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["waiting"], true);
        let source = bench.shared.bus.connection("192.0.2.9:4000".parse().unwrap());
        bench.shared.connected(&source);
        bench.shared.disconnected(source.peer());
        source.disconnected();
        let line = fast.next_line().await.unwrap().unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let steps = told["steps"].as_array().unwrap();
        assert_eq!(steps[0]["text"], "missing: a call");
        assert_eq!(steps[1]["fine"], false, "{told}");
        assert_eq!(told["attempt"]["live"], false, "it is over");
        // One that works.
        let mut client = bench.client("anna");
        assert!(bench.connect(&mut client).await);
        for whom in ["anna", "1", "10.0.0.2", "127.0.0.1", ""] {
            let request =
                serde_json::json!({ "v": 1, "command": "trail", "whom": whom }).to_string();
            let answer = ask(&look, &request).await;
            assert_eq!(answer["attempt"]["user"], "anna", "{whom}: {answer}");
            assert_eq!(answer["attempt"]["fine"], true);
            assert!(answer["steps"].as_array().unwrap().len() > 10);
        }
        let nobody = ask(&look, r#"{"v":1,"command":"trail","whom":"bob"}"#).await;
        assert!(nobody["attempt"].is_null() && nobody["error"].is_null());
        let mut lines = follow("anna").await;
        let first = lines.next_line().await.unwrap().unwrap();
        assert!(first.contains("lets the client in"));
        bench.end().await;
        let last = lines.next_line().await.unwrap().unwrap();
        let last: serde_json::Value = serde_json::from_str(&last).unwrap();
        let verdict = last["steps"].as_array().unwrap().last().unwrap().clone();
        assert!(verdict["text"].as_str().unwrap().starts_with("G-"), "{verdict}");
        assert!(verdict["fine"].is_boolean());
    });
}

/// Settings under which a user may have so many sessions.
fn limited(bench: &Bench, duplicate: Duplicate) {
    let mut settings = (*bench.shared.settings()).clone();
    settings.limits.sessions_per_user = Some(2);
    settings.limits.duplicate = duplicate;
    bench.shared.replace_settings(settings, Box::new(Everybody));
}

#[test]
fn a_user_with_too_many_sessions_loses_the_oldest_or_is_refused() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path());
        let (shared, address) = (&bench.shared, Ipv4Addr::new(10, 0, 0, 9));
        let boxes: Vec<Mailbox> = (0..4).map(|_| Mailbox::default()).collect();
        let sources: Vec<Source> = (0..4)
            .map(|_| shared.bus.connection(SocketAddrV4::new(LOOPBACK, 1)).new_session())
            .collect();
        let numbers: Vec<u64> = sources.iter().filter_map(Source::session).collect();
        for (source, mailbox) in sources.iter().zip(&boxes) {
            let call = CALL + 1 + source.session().unwrap() as u16;
            shared.register(call, source, bench.session.counters.clone(), mailbox.clone());
        }
        let log_in = |session: u64| {
            shared.set_user(session, b"anna".as_slice().into(), address);
            shared.make_room_for_user(session, b"anna", LOOPBACK);
        };
        log_in(numbers[0]);
        limited(&bench, Duplicate::Deny);
        assert!(shared.may_have_session(numbers[1], b"anna"));
        log_in(numbers[1]);
        assert!(!shared.may_have_session(numbers[2], b"anna"));
        assert!(shared.may_have_session(numbers[1], b"anna"));
        assert!(shared.may_have_session(numbers[2], b"bob"));
        limited(&bench, Duplicate::Replace);
        assert!(shared.may_have_session(numbers[2], b"anna"));
        log_in(numbers[2]);
        let replaced = |mailbox: &Mailbox| match mailbox.take() {
            Some(Mail::Replaced { session, .. }) => Some(session),
            _ => None,
        };
        assert_eq!(
            boxes.iter().map(replaced).collect::<Vec<_>>(),
            [Some(numbers[0]), None, None, None]
        );
        shared.unregister(CALL + 1 + numbers[1] as u16, numbers[1]);
        log_in(numbers[3]);
        assert_eq!(boxes.iter().map(replaced).collect::<Vec<_>>(), [None; 4]);
        bench.end().await;
    });
}

#[test]
fn one_task_serves_all_connections_until_they_have_said_goodbye_and_a_fault_ends_one_alone() {
    in_namespace(|| async {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path());
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let connections = Rc::new(Connections::new().unwrap());
        let (shared, census) = (bench.shared.clone(), Census::default());
        let accepting = accept_all(listener, shared, census, connections.clone(), stopped.clone());
        let accepting = tokio::task::spawn_local(accepting);
        let shared = bench.shared.clone();
        let serving =
            tokio::task::spawn_local(async move { connections.run(&shared, stopped).await });
        let mut caller = control::Connection::new(Role::Pns, Config::default(), Instant::ZERO);
        let request = std::iter::from_fn(|| caller.poll_output()).find_map(|output| match output {
            control::Output::Message(message) => Some(message),
            _ => None,
        });
        let request = request.unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut answer = [0; 156];
        for client in &mut clients {
            let (first, rest) = request.split_at(5);
            client.write_all(first).await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(rest).await.unwrap();
            client.read_exact(&mut answer).await.unwrap();
            assert!(matches!(Message::parse(&answer), Ok(Message::StartReply(_))));
        }
        // One goes by itself, and what hears of it breaks.
        drop(clients.pop());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!serving.is_finished());
        stop.send(true).unwrap();
        for client in &mut clients {
            client.read_exact(&mut answer[..16]).await.unwrap();
            assert!(matches!(Message::parse(&answer[..16]), Ok(Message::StopRequest(_))));
        }
        assert!(!serving.is_finished());
        drop(clients);
        tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap();
        accepting.await.unwrap();
        bench.end().await;
    });
}
