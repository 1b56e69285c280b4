//! What all connections of the server share. One thread, so plain cells.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::time;

use dataplane::{Counters, Dataplane, Notice, Snapshot};
use engine::control::{self, CallIds};
use engine::ppp::LinkConfig;
use engine::{Instant, Random};
use tokio::sync::{Semaphore, broadcast};

use crate::admission::Admission;
use crate::auth::Users;
use crate::event::{Bus, Event, Source};
use crate::history;
use crate::host::{Host, SharedInterface};
use crate::leases::{Lease, PoolId, Slots};
use crate::locks::Locks;
use crate::look::Looks;
use crate::mailbox::{Mail, Mailbox};
use crate::quality::Told;
use crate::relay::Clients;
use crate::scripts::Scripts;
use crate::settings::{Duplicate, Settings};
use crate::verdict::Stage;

/// How long a call id rests after use: late GRE packets of the old call must not reach a new one.
const CALL_ID_QUARANTINE: time::Duration = time::Duration::from_secs(300);

/// About how many logins PAM is asked at once; each takes a thread, and seconds after a wrong password.
const MOST_PAM: usize = 16;

/// So many seconds' control messages may come at once.
const MESSAGE_BURST: u32 = 5;

/// Control connections that begin between two looks of whoever waits for one; of more the oldest are missed.
const MOST_NEWCOMERS: usize = 64;

/// A session as others see it.
struct Entry {
    mailbox: Mailbox,
    call: u16,
    source: Source,
    counters: Arc<Counters>,
    since: time::SystemTime,
    /// The same by the clock that nobody sets.
    began: Instant,
    /// In the tunnel.
    address: Option<Ipv4Addr>,
    /// Who logged in.
    user: Option<Rc<[u8]>>,
    /// What has been told of its figures.
    told: Told,
}

/// A session that has not ended, as administrators see it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) number: u64,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) peer: SocketAddrV4,
    /// In the tunnel.
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) client: Option<String>,
    pub(crate) stage: Stage,
    pub(crate) since: time::SystemTime,
    pub(crate) uptime: time::Duration,
    pub(crate) figures: Snapshot,
}

/// An attempt that has not ended.
#[derive(Clone)]
pub(crate) struct Ongoing {
    pub(crate) source: Source,
    /// Who logged in, or tries to.
    pub(crate) user: Option<Vec<u8>>,
    /// In the tunnel.
    pub(crate) address: Option<Ipv4Addr>,
}

impl Ongoing {
    /// A control connection, with whatever calls it will have.
    pub(crate) fn of_connection(source: &Source) -> Self {
        Self { source: source.clone(), user: source.evidence().name(), address: None }
    }
}

fn control_config(settings: &Settings) -> Arc<control::Config> {
    let defaults = control::Config::default();
    let messages_per_second = settings.limits.control_messages;
    Arc::new(control::Config {
        setup_timeout: settings.setup_timeout,
        message_burst: messages_per_second.saturating_mul(MESSAGE_BURST),
        messages_per_second,
        ..defaults
    })
}

pub(crate) struct Shared {
    pub(crate) bus: Bus,
    pub(crate) dataplane: Dataplane,
    pub(crate) host: Rc<Host>,
    /// The interface of all sessions, where they have none of their own.
    pub(crate) interface: Option<Rc<SharedInterface>>,
    pub(crate) scripts: Scripts,
    pub(crate) clients: Clients,
    pub(crate) locks: Locks,
    /// Looks at this host that run now.
    pub(crate) looks: Looks,
    /// The past, where it is kept.
    pub(crate) past: Option<history::Reader>,
    /// Whose turn it is to be set up.
    pub(crate) admission: Admission,
    settings: RefCell<Rc<Settings>>,
    control: RefCell<Arc<control::Config>>,
    /// That of links whose peers have to authenticate.
    link: RefCell<Arc<LinkConfig>>,
    users: RefCell<Box<dyn Users>>,
    slots: Slots,
    call_ids: RefCell<CallIds>,
    /// Which task carries a call, by our call id.
    routes: RefCell<HashMap<u16, Mailbox>>,
    /// Sessions by their number.
    sessions: RefCell<HashMap<u64, Box<Entry>>>,
    /// Control connections that have had no call yet.
    calling: RefCell<HashMap<SocketAddrV4, Source>>,
    /// Control connections as they begin, for whoever waits for one.
    pub(crate) newcomers: broadcast::Sender<Source>,
    /// Those of each user, the oldest first, where their number is limited.
    by_user: RefCell<HashMap<Vec<u8>, Vec<u64>>>,
    /// How many more logins PAM may be asked about now.
    pub(crate) pam: Semaphore,
    questions: Cell<u64>,
    start: time::Instant,
}

impl Shared {
    pub(crate) fn new(
        bus: Bus,
        dataplane: Dataplane,
        host: Rc<Host>,
        scripts: Scripts,
        settings: Settings,
        users: Box<dyn Users>,
        seed: [u8; 32],
    ) -> Self {
        let slots = Slots::new(settings.slots.iter().copied());
        let random = Random::new(seed);
        Self {
            bus,
            dataplane,
            host,
            interface: None,
            scripts,
            clients: Clients::default(),
            locks: Locks::default(),
            looks: Looks::default(),
            past: None,
            admission: Admission::default(),
            control: RefCell::new(control_config(&settings)),
            link: RefCell::new(Arc::new(settings.link(None))),
            settings: RefCell::new(Rc::new(settings)),
            users: RefCell::new(users),
            slots,
            call_ids: RefCell::new(CallIds::new(random, CALL_ID_QUARANTINE)),
            routes: RefCell::default(),
            sessions: RefCell::default(),
            calling: RefCell::default(),
            newcomers: broadcast::Sender::new(MOST_NEWCOMERS),
            by_user: RefCell::default(),
            pam: Semaphore::new(MOST_PAM),
            questions: Cell::new(0),
            start: time::Instant::now(),
        }
    }

    /// A number for a question to PAM.
    pub(crate) fn next_question(&self) -> u64 {
        self.questions.set(self.questions.get() + 1);
        self.questions.get()
    }

    /// The engines' clock.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// The engines' time as the runtime's.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + (instant - Instant::ZERO))
    }

    pub(crate) fn settings(&self) -> Rc<Settings> {
        self.settings.borrow().clone()
    }

    /// New sessions follow these settings; those that are up keep theirs. Slots in use stay with their sessions.
    pub(crate) fn replace_settings(&self, settings: Settings, users: Box<dyn Users>) {
        if settings.slots != self.settings.borrow().slots {
            self.slots.replace(settings.slots.iter().copied());
        }
        *self.control.borrow_mut() = control_config(&settings);
        *self.link.borrow_mut() = Arc::new(settings.link(None));
        *self.settings.borrow_mut() = Rc::new(settings);
        *self.users.borrow_mut() = users;
        self.count_sessions_of_users();
    }

    /// Counts each user's sessions anew: the limit may be new, too.
    fn count_sessions_of_users(&self) {
        let mut by_user: HashMap<Vec<u8>, Vec<u64>> = HashMap::new();
        if self.settings.borrow().limits.sessions_per_user.is_some() {
            for (number, entry) in self.sessions.borrow().iter() {
                if let Some(user) = &entry.user {
                    by_user.entry(user.to_vec()).or_default().push(*number);
                }
            }
            by_user.values_mut().for_each(|sessions| sessions.sort_unstable());
        }
        *self.by_user.borrow_mut() = by_user;
    }

    /// What new control connections are told.
    pub(crate) fn control_config(&self) -> Arc<control::Config> {
        self.control.borrow().clone()
    }

    /// What the links of new sessions are told, where their peers have to authenticate.
    pub(crate) fn link_config(&self) -> Arc<LinkConfig> {
        self.link.borrow().clone()
    }

    pub(crate) fn users(&self) -> RefMut<'_, Box<dyn Users>> {
        self.users.borrow_mut()
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// A slot for a session, of this pool or of any: a free one, or that of the caller who has been slowest to log in.
    pub(crate) fn take_slot(&self, pool: Option<PoolId>, session: u64) -> Option<Lease> {
        self.slots.take(pool, session).or_else(|| {
            let (lease, displaced) = self.slots.displace(pool, session)?;
            self.post_to_session(displaced, Mail::Displaced { session: displaced });
            Some(lease)
        })
    }

    /// A call id for a session that is likely to have this address.
    pub(crate) fn allocate_call_id(&self, address: Ipv4Addr) -> Option<u16> {
        let now = self.now();
        let fits = |call_id| self.dataplane.fits(call_id, address);
        self.call_ids.borrow_mut().allocate_where(now, fits)
    }

    /// A control connection begins.
    pub(crate) fn connected(&self, source: &Source) {
        self.calling.borrow_mut().insert(source.peer(), source.clone());
        // Nobody need be waiting.
        let _ = self.newcomers.send(source.clone());
    }

    /// It is over.
    pub(crate) fn disconnected(&self, peer: SocketAddrV4) {
        self.calling.borrow_mut().remove(&peer);
    }

    /// A session begins: its call's notices and its own letters go to `mailbox`.
    pub(crate) fn register(
        &self,
        call: u16,
        source: &Source,
        counters: Arc<Counters>,
        mailbox: Mailbox,
    ) {
        self.routes.borrow_mut().insert(call, mailbox.clone());
        self.calling.borrow_mut().remove(&source.peer());
        let entry = Box::new(Entry {
            mailbox,
            call,
            source: source.clone(),
            counters,
            since: time::SystemTime::now(),
            began: self.now(),
            address: None,
            user: None,
            told: Told::default(),
        });
        self.sessions.borrow_mut().insert(source.session().unwrap_or_default(), entry);
    }

    /// A session has ended.
    pub(crate) fn unregister(&self, call_id: u16, session: u64) {
        let now = self.now();
        self.routes.borrow_mut().remove(&call_id);
        self.forget_user(session);
        self.sessions.borrow_mut().remove(&session);
        self.call_ids.borrow_mut().release(now, call_id);
    }

    pub(crate) fn has_session(&self, session: u64) -> bool {
        self.sessions.borrow().contains_key(&session)
    }

    pub(crate) fn session_count(&self) -> usize {
        self.sessions.borrow().len()
    }

    pub(crate) fn set_user(&self, session: u64, name: Rc<[u8]>, address: Ipv4Addr) {
        if let Some(entry) = self.sessions.borrow_mut().get_mut(&session) {
            entry.user = Some(name);
            entry.address = Some(address);
        }
    }

    /// Whether a login of this user need not be refused for the user's other sessions.
    pub(crate) fn may_have_session(&self, session: u64, name: &[u8]) -> bool {
        let limits = self.settings.borrow().limits;
        let (Some(most), Duplicate::Deny) = (limits.sessions_per_user, limits.duplicate) else {
            return true;
        };
        let by_user = self.by_user.borrow();
        by_user.get(name).is_none_or(|theirs| theirs.len() < most || theirs.contains(&session))
    }

    /// Counts a session as its user's; the user's oldest ends where there are more than there may be.
    pub(crate) fn make_room_for_user(&self, session: u64, name: &[u8], by: Ipv4Addr) {
        let Some(most) = self.settings.borrow().limits.sessions_per_user else { return };
        let mut by_user = self.by_user.borrow_mut();
        let theirs = by_user.entry(name.to_vec()).or_default();
        if !theirs.contains(&session) {
            theirs.push(session);
        }
        let excess = theirs.len().saturating_sub(most);
        for oldest in theirs.drain(..excess) {
            self.post_to_session(oldest, Mail::Replaced { session: oldest, by });
        }
    }

    /// A session no longer counts as one of its user's.
    pub(crate) fn forget_user(&self, session: u64) {
        let mut by_user = self.by_user.borrow_mut();
        let sessions = self.sessions.borrow();
        let Some(name) = sessions.get(&session).and_then(|entry| entry.user.as_deref()) else {
            return;
        };
        if let Some(theirs) = by_user.get_mut(name) {
            theirs.retain(|other| *other != session);
            if theirs.is_empty() {
                by_user.remove(name);
            }
        }
    }

    pub(crate) fn user_of(&self, session: u64) -> Option<Rc<[u8]>> {
        self.sessions.borrow().get(&session).and_then(|entry| entry.user.clone())
    }

    /// How many other sessions from this address are up.
    pub(crate) fn others_from(&self, peer: Ipv4Addr, session: u64) -> usize {
        let sessions = self.sessions.borrow();
        let others = sessions.iter().filter(|(number, _)| **number != session);
        let theirs = others.filter(|(_, entry)| *entry.source.peer().ip() == peer);
        theirs.filter(|(_, entry)| entry.source.evidence().stage() == Stage::Network).count()
    }

    /// The sessions that there are, the oldest first.
    pub(crate) fn live(&self) -> Vec<Live> {
        let sessions = self.sessions.borrow();
        let mut live: Vec<Live> = sessions
            .iter()
            .map(|(number, entry)| Live {
                number: *number,
                user: entry.user.as_deref().map(<[u8]>::to_vec),
                peer: entry.source.peer(),
                address: entry.address,
                client: entry.source.evidence().client(),
                stage: entry.source.evidence().stage(),
                since: entry.since,
                uptime: self.now() - entry.began,
                figures: entry.counters.snapshot(),
            })
            .collect();
        live.sort_by_key(|live| live.number);
        live
    }

    /// What goes on now and is meant, the newest first: sessions, and control connections that have had no call yet.
    pub(crate) fn attempts(&self, is_meant: impl Fn(&Ongoing) -> bool) -> Vec<Ongoing> {
        let of_session = |entry: &Entry| Ongoing {
            source: entry.source.clone(),
            user: entry
                .user
                .as_deref()
                .map(<[u8]>::to_vec)
                .or_else(|| entry.source.evidence().name()),
            address: entry.address,
        };
        let (sessions, calling) = (self.sessions.borrow(), self.calling.borrow());
        let sessions = sessions.values().map(|entry| of_session(entry));
        let ongoing = sessions.chain(calling.values().map(Ongoing::of_connection));
        let mut ongoing: Vec<Ongoing> = ongoing.filter(is_meant).collect();
        ongoing.sort_by_key(|ongoing| {
            std::cmp::Reverse((ongoing.source.began(), ongoing.source.session()))
        });
        ongoing
    }

    /// Tells of each session whose packets come noticeably better or worse than was told before.
    pub(crate) fn look_at_quality(&self) {
        for entry in self.sessions.borrow_mut().values_mut() {
            for event in entry.told.look(&entry.counters.snapshot()) {
                entry.source.publish(event);
            }
        }
    }

    pub(crate) fn post_to_session(&self, session: u64, mail: Mail) {
        if let Some(entry) = self.sessions.borrow().get(&session) {
            entry.mailbox.post(mail);
        }
    }

    /// Passes a worker's notice on to the task that carries the call.
    pub(crate) fn route(&self, notice: Notice) {
        let call = match &notice {
            Notice::UnknownCall { from, call_id, suppressed } => {
                return self.unknown_call(*from, *call_id, *suppressed);
            }
            // The server's, which ends for it.
            Notice::WorkerFailed { .. } => return,
            Notice::Frame { call, .. }
            | Notice::First { call, .. }
            | Notice::Packet { call, .. }
            | Notice::ResetNeeded { call, .. }
            | Notice::DhcpRequest { call, .. }
            | Notice::Traffic { call, .. }
            | Notice::WrongPeer { call, .. }
            | Notice::NotSent { call, .. }
            | Notice::InterfaceGone { call, .. }
            | Notice::Removed { call, .. } => *call,
        };
        if let Some(mailbox) = self.routes.borrow().get(&call) {
            mailbox.post(Mail::Notice { call, notice });
        }
    }

    /// A packet for no call here, from an address whose sessions may want to know: theirs may be what is missing.
    fn unknown_call(&self, from: Ipv4Addr, call_id: u16, suppressed: u64) {
        let sessions = self.sessions.borrow();
        let mut heard = false;
        for entry in sessions.values().filter(|entry| *entry.source.peer().ip() == from) {
            let notice = Notice::UnknownCall { from, call_id, suppressed };
            entry.mailbox.post(Mail::Notice { call: entry.call, notice });
            heard = true;
        }
        if !heard {
            self.bus.server(Event::UnknownCall { from, call_id });
        }
    }
}
