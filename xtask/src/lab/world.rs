//! What a scenario has at hand.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;

use super::{
    Kind,
    alarms::Reasons,
    carrying::Carrying,
    client::{Call, Client},
    gretel::Gretel,
    pptpd::Pptpd,
    segment::{CLIENT_GUEST, Segment},
    server::{Files, Server, Traces},
};
use crate::workspace;

/// How long a server may take to forget a session whose end it knows.
const PROMPTLY: Duration = Duration::from_secs(10);

/// The network, a server and a client.
///
/// Fields are dropped in order: the network last.
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) server: Box<dyn Server>,
    client: Option<Client>,
    before: Option<Traces>,
    notes: BTreeMap<String, String>,
    /// What the server may have verdicts about.
    reasons: Reasons,
    /// Logs of servers that are not [`server`](Self::server).
    logs: String,
    pub(in crate::lab) carrying: Carrying,
    pub(crate) segment: Segment,
}

impl World {
    pub(crate) fn new(kind: Kind) -> Result<Self> {
        let name = match kind {
            Kind::Gretel => "against-gretel",
            Kind::Pptpd => "against-pptpd",
            Kind::Shared => "against-shared",
        };
        let folder = workspace::lab_directory().join(name);
        std::fs::create_dir_all(&folder)?;
        let segment = Segment::new(folder)?;
        let server: Box<dyn Server> = match kind {
            Kind::Gretel => Box::new(Gretel::new(&segment, "")?),
            Kind::Shared => Box::new(Gretel::new(&segment, "interface.mode = \"shared\"\n")?),
            Kind::Pptpd => Box::new(Pptpd::new(&segment)?),
        };
        Ok(Self {
            kind,
            server,
            client: None,
            before: None,
            notes: BTreeMap::new(),
            reasons: Reasons::default(),
            logs: String::new(),
            carrying: Carrying::default(),
            segment,
        })
    }

    /// The client guest, started when first wanted.
    pub(crate) fn client(&mut self) -> Result<&mut Client> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::new("client", &self.segment, &CLIENT_GUEST)?,
        };
        Ok(self.client.insert(client))
    }

    /// The end of the client's system log, if there is a client.
    pub(crate) fn clients_log(&mut self) -> String {
        self.client.as_mut().and_then(|client| client.system_log().ok()).unwrap_or_default()
    }

    /// Takes the client guest away as a power cut does; [`Self::client`] starts a new one.
    pub(crate) fn cut_clients_power(&mut self) {
        if let Some(mut client) = self.client.take() {
            client.guest.cut_power();
        }
    }

    /// Has the servers and callers that are made from now on carry packets so.
    pub(crate) fn carry(&mut self, carrying: Carrying) {
        self.server.carry(&carrying);
        self.carrying = carrying;
    }

    /// The scenario makes what has these codes, so that the server may say so. Every other verdict about a fault is a false alarm.
    pub(crate) fn make<'a>(&mut self, codes: impl IntoIterator<Item = &'a str>) {
        self.reasons.made.extend(codes.into_iter().map(str::to_owned));
    }

    /// What the server says about peers with these addresses, or with addresses that begin so, is not looked at: they do what no client does.
    pub(crate) fn spare(&mut self, addresses: &[&'static str]) {
        self.reasons.spared.extend_from_slice(addresses);
    }

    /// Takes the log of another server than [`server`](Self::server) in among what may have no false alarm.
    pub(crate) fn logged(&mut self, log: &str) {
        self.logs.push_str(log);
        self.logs.push('\n');
    }

    /// Checks what the server has logged since the last time, and forgets what was made.
    pub(in crate::lab) fn ensure_no_false_alarm(&mut self) -> Result<()> {
        let logs = std::mem::take(&mut self.logs) + &self.server.take_logs()?;
        std::mem::take(&mut self.reasons).ensure_for(&logs)
    }

    /// Starts the server and remembers how its network looks without a session.
    pub(crate) fn serve(&mut self, files: &Files) -> Result<()> {
        self.server.start(files)?;
        self.before = Some(Traces::of(&mut *self.server)?);
        Ok(())
    }

    /// Calls with the user of [`Files::SHIPPED`].
    pub(crate) fn call(&mut self, options: &str) -> Result<Call> {
        self.call_as("anna", "secret", options)
    }

    pub(crate) fn call_as(&mut self, user: &str, password: &str, options: &str) -> Result<Call> {
        let call = self.client()?.call(user, password, options)?;
        match call.address.as_deref() {
            Some(address) => {
                self.note("outcome", &format!("tunnel, address {address}"));
                self.note("encryption", call.encryption());
                self.note("ms to the tunnel", &call.milliseconds.to_string());
            }
            None => self.note("outcome", &format!("refused, pppd exit {:?}", call.exit)),
        }
        Ok(call)
    }

    /// Hangs up, and checks that the server keeps nothing of the session.
    pub(crate) fn end_and_check(&mut self) -> Result<()> {
        if let Some(client) = &mut self.client {
            client.hang_up()?;
        }
        self.check_released(PROMPTLY)
    }

    /// As [`Self::end_and_check`], for a scenario whose last connections end later.
    pub(crate) fn end_and_check_in(&mut self, limit: Duration) -> Result<()> {
        self.client()?.hang_up()?;
        self.check_released(limit)
    }

    /// Checks that nothing is left of a server that has ended.
    pub(crate) fn check_released_without_server(&mut self) -> Result<()> {
        self.before = self.before.take().map(|before| before.without_server());
        self.check_released(PROMPTLY)
    }

    /// Checks that the server keeps nothing of any session.
    pub(crate) fn check_released(&mut self, limit: Duration) -> Result<()> {
        let Some(before) = self.before.clone() else { return Ok(()) };
        before.wait_until_gone(&mut *self.server, limit)
    }

    /// Remembers a fact for the table of differences.
    pub(crate) fn note(&mut self, name: &str, value: &str) {
        self.notes.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn take_notes(&mut self) -> BTreeMap<String, String> {
        if let Ok(log) = self.server.log() {
            let said: Vec<&str> =
                PHRASES.into_iter().filter(|phrase| log.contains(phrase)).collect();
            self.note("phrases", &said.join("\n"));
        }
        std::mem::take(&mut self.notes)
    }

    /// Ends what a scenario has started.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.before = None;
        if let Some(client) = &mut self.client {
            client.hang_up()?;
        }
        self.server.stop()
    }
}

/// What administrators search logs for.
const PHRASES: [&str; 26] = [
    "MGR: Manager process started",
    "MGR: Maximum of",
    "MGR: No free connection slots or IPs",
    "MGR: dropped slow initial connection",
    "control connection started",
    "CTRL: Starting call (launching pppd, opening GRE)",
    "CTRL: EOF or bad error reading ctrl packet length.",
    "CTRL: couldn't read packet header (exit)",
    "CTRL: Reaping child PPP",
    "control connection finished",
    "Using interface ppp0",
    "Connect: ppp0 <-->",
    "MPPE 128-bit stateless compression enabled",
    "MPPE 128-bit stateful compression enabled",
    "MPPE 40-bit stateless compression enabled",
    "found interface",
    "local  IP address",
    "remote IP address",
    "LCP terminated by peer",
    "Connect time",
    "Sent ",
    "Modem hangup",
    "Connection terminated.",
    "failed CHAP authentication",
    "No CHAP secret found for authenticating",
    "MPPE required but peer negotiation failed",
];
