//! The log: a view of the events, in the words that administrators of `pptpd` and `pppd` know and grep for.

mod summary;

use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use dataplane::First;
use engine::control::{self, Direction};
use engine::data::DropReason;
use engine::ppp::Party;
use tracing::Level;
use wire::Escaped;

use crate::clock::Jump;
use crate::event::{Event, Record, Subscriber, link_local};
use crate::flood::Untold;
use crate::locks::Subject;
use summary::{ended_lines, no_session_line};

/// What stands where the old programs name a terminal: there is none, and whoever reads it takes it for a label.
pub(crate) fn terminal(interface: &str) -> String {
    format!("/dev/pptp/{interface}")
}

/// Writes events to the log through `tracing`.
#[derive(Debug, Default)]
pub struct Log;

impl Subscriber for Log {
    fn take(&self, record: &Record) {
        if record.untold {
            return;
        }
        let peer = record.peer.map(|peer| *peer.ip());
        let shown = peer.map(|peer| peer.to_string()).unwrap_or_default();
        for line in lines(&shown, &record.event) {
            // The target of an event must be a constant, and says which program would have written the line.
            macro_rules! write_line {
                ($level:expr) => {
                    match line.ident {
                        PPPD => write_line!(PPPD, $level),
                        _ => write_line!(PPTPD, $level),
                    }
                };
                ($target:expr, $level:expr) => {
                    tracing::event!(
                        target: $target,
                        $level,
                        session = record.session,
                        peer = peer.map(tracing::field::display),
                        "{}",
                        line.text
                    )
                };
            }
            match line.level {
                Level::ERROR => write_line!(Level::ERROR),
                Level::WARN => write_line!(Level::WARN),
                Level::INFO => write_line!(Level::INFO),
                Level::DEBUG => write_line!(Level::DEBUG),
                Level::TRACE => write_line!(Level::TRACE),
            }
        }
    }
}

/// One line of the log.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    level: Level,
    /// Which of the two old programs would have written it.
    ident: &'static str,
    text: String,
}

/// Who would have written a line; also the target of its `tracing` event.
pub const PPTPD: &str = "pptpd";
/// See [`PPTPD`].
pub const PPPD: &str = "pppd";

fn line(level: Level, ident: &'static str, text: impl fmt::Display) -> Line {
    Line { level, ident, text: text.to_string() }
}

fn info(ident: &'static str, text: impl fmt::Display) -> Vec<Line> {
    vec![line(Level::INFO, ident, text)]
}

fn warn(ident: &'static str, text: impl fmt::Display) -> Vec<Line> {
    vec![line(Level::WARN, ident, text)]
}

fn debug(ident: &'static str, text: impl fmt::Display) -> Vec<Line> {
    vec![line(Level::DEBUG, ident, text)]
}

/// What the log says first of an event, if it says anything, at whichever level.
pub(crate) fn words(peer: Ipv4Addr, event: &Event) -> Option<String> {
    lines(&peer.to_string(), event).into_iter().next().map(|line| line.text)
}

fn lines(peer: &str, event: &Event) -> Vec<Line> {
    match event {
        Event::Control(event) => control_lines(peer, event),
        Event::Started { listening, connections } => {
            let mut lines = vec![
                line(Level::INFO, PPTPD, "MGR: Manager process started"),
                line(
                    Level::INFO,
                    PPTPD,
                    format!("MGR: Maximum of {connections} connections available"),
                ),
            ];
            for address in listening {
                lines.push(line(Level::INFO, PPTPD, format!("MGR: Listening on {address}")));
            }
            lines
        }
        Event::Stopping { sessions } => {
            info(PPTPD, format!("MGR: Stopping, {sessions} sessions to end"))
        }
        Event::Reloaded => info(PPTPD, "MGR: Options and secrets read again"),
        Event::ReloadFailed(text) => {
            vec![line(
                Level::ERROR,
                PPTPD,
                format!("MGR: Not reloaded, the old options stay: {text}"),
            )]
        }
        Event::Diagnostic(text) => warn(PPTPD, text),
        Event::PacketPath(text) => info(PPTPD, text),
        Event::LeftoverUndone(what) => {
            warn(PPTPD, format!("MGR: Undid what an earlier run left: {what}"))
        }
        Event::AcceptFailed(error) => {
            warn(PPTPD, format!("MGR: Cannot accept a connection: {error}"))
        }
        Event::ConnectionRefused { peer, limit, untold } => {
            let others = match untold {
                0 => String::new(),
                untold => format!(" (and {untold} others before it)"),
            };
            let (peer, verdict) = (peer.ip(), &crate::verdict::TOO_MANY);
            warn(
                PPTPD,
                format!(
                    "MGR: Connection from {peer} refused: {limit}{others}. {}: {}",
                    verdict.code, verdict.sentence
                ),
            )
        }
        Event::CaptureBegun { whom, user } => {
            info(PPTPD, format!("Capture of {} begins, by user id {user}", clients(*whom)))
        }
        Event::CaptureEnded { whom, figures } => {
            info(PPTPD, format!("Capture of {} ended: {figures}", clients(*whom)))
        }
        Event::AttemptsUntold(untold) => vec![untold_line(untold)],
        Event::ClockJumped(jump) => vec![clock_line(jump)],
        Event::Connected { .. } => {
            info(PPTPD, format!("CTRL: Client {peer} control connection started"))
        }
        Event::PeerNotReading => {
            warn(PPTPD, format!("CTRL: Client {peer} does not read our messages, closing"))
        }
        Event::TcpEnded(end) => {
            debug(PPTPD, format!("CTRL: The TCP connection of client {peer} {end}"))
        }
        Event::NoSession(attempt) => no_session_line(peer, attempt),
        Event::Disconnected => {
            info(PPTPD, format!("CTRL: Client {peer} control connection finished"))
        }
        Event::NoFreeSlot => warn(
            PPTPD,
            format!(
                "MGR: No free connection slots or IPs - no more clients can connect! Call from {peer} refused"
            ),
        ),
        Event::CallStarted { our_call_id, peer_call_id } => {
            let mut lines = info(PPTPD, "CTRL: Starting call (launching pppd, opening GRE)");
            lines.extend(debug(
                PPTPD,
                format!("CTRL: Our call id {our_call_id}, client's call id {peer_call_id}"),
            ));
            lines
        }
        Event::UnknownCall { from, call_id } => {
            debug(PPTPD, format!("GRE: packet from {from} for unknown call id {call_id}"))
        }
        Event::InformAnswered { routes } => {
            info(PPPD, format!("Told the client of {routes} routes, as it asked (DHCPINFORM)"))
        }
        Event::WrongPeer { from, call_id } => warn(
            PPTPD,
            format!(
                "GRE: packet for call id {call_id} came from {from} and not from the client, dropped"
            ),
        ),
        Event::GrePacket { seq, expected, dropped, untold } => {
            debug(PPTPD, gre_packet(*seq, *expected, *dropped, *untold))
        }
        Event::First(First::GreReceived) => debug(PPTPD, format!("GRE: first packet from {peer}")),
        event => session_lines(peer, event),
    }
}

/// A GRE packet in pptpd's words.
fn gre_packet(seq: u32, expected: Option<u32>, dropped: Option<DropReason>, untold: u64) -> String {
    let expecting = |expected| format!("(expecting #{expected}");
    let mut text = match (dropped, expected) {
        (Some(DropReason::Duplicate | DropReason::TooOld), Some(expected)) => {
            format!("GRE: discarding duplicate or old packet #{seq} {})", expecting(expected))
        }
        (Some(reason), _) => format!("GRE: discarding packet #{seq}: {}", reason.as_str()),
        (None, Some(expected)) if expected != seq => {
            format!("GRE: accepting packet #{seq} {}, lost or reordered)", expecting(expected))
        }
        (None, _) => format!("GRE: accepting packet #{seq}"),
    };
    if untold > 0 {
        let _ = write!(text, "; {untold} before it are not logged");
    }
    text
}

fn control_lines(peer: &str, event: &control::Event) -> Vec<Line> {
    match event {
        control::Event::Message { direction, message } => {
            let verb = match direction {
                Direction::Received => "Received",
                Direction::Sent => "Sent",
            };
            debug(PPTPD, format!("CTRL: {verb} {message}"))
        }
        control::Event::Started(about) => info(
            PPTPD,
            format!(
                "CTRL: Client {peer} is \"{}\" by \"{}\", firmware {}",
                about.host_name, about.vendor, about.firmware
            ),
        ),
        control::Event::CallEnded { reason, .. } => {
            debug(PPTPD, format!("CTRL: Call ended: {reason}"))
        }
        control::Event::CallRefused { result, error, .. } => {
            warn(PPTPD, format!("CTRL: Call refused: result {result}, error {error}"))
        }
        control::Event::EchoMissing => warn(
            PPTPD,
            format!("CTRL: Session timed out, ending call: {peer} does not answer Echo-Requests"),
        ),
        control::Event::Ignored(trouble) => {
            debug(PPTPD, format!("CTRL: Ignored a message: {trouble}"))
        }
        control::Event::Closed(control::Cause::PeerClosed) => {
            debug(PPTPD, "CTRL: EOF or bad error reading ctrl packet length.")
        }
        control::Event::Closed(control::Cause::SetupTimeout) => {
            warn(PPTPD, "MGR: dropped slow initial connection")
        }
        control::Event::Closed(
            cause @ (control::Cause::PeerStopped { .. } | control::Cause::Stopped { .. }),
        ) => debug(PPTPD, format!("CTRL: {cause}")),
        control::Event::Closed(cause) => warn(PPTPD, format!("CTRL: Client {peer}: {cause}")),
        control::Event::LinkInfo { send_accm, receive_accm, .. }
            if (*send_accm, *receive_accm) != (u32::MAX, u32::MAX) =>
        {
            // Nothing is escaped over GRE, so that there is nothing to follow.
            info(PPTPD, "CTRL: Ignored a SET LINK INFO packet with real ACCMs!")
        }
        control::Event::LinkInfo { .. }
        | control::Event::CallRequested(_)
        | control::Event::CallConnected { .. }
        | control::Event::WanErrors { .. }
        | control::Event::EchoAnswered(_) => Vec::new(),
    }
}

fn session_lines(peer: &str, event: &Event) -> Vec<Line> {
    match event {
        Event::Frame { from, frame } => {
            let verb = if *from == Party::Us { "sent" } else { "rcvd" };
            debug(PPPD, format!("{verb} {}", wire::ppp::describe(frame)))
        }
        Event::Identification(text) => debug(PPPD, format!("Peer is {}", Escaped(text))),
        Event::Authenticated { method: Some(method), name } => vec![
            line(Level::INFO, PPPD, format!("peer {} authenticated with {method}", Escaped(name))),
            line(Level::INFO, PPPD, format!("peer from calling number {peer} authorized")),
        ],
        Event::Authenticated { method: None, .. } => {
            warn(PPPD, format!("peer {peer} was not asked to authenticate"))
        }
        Event::AuthenticationFailed { method, name, reason, retry } => {
            failed_login_lines(peer, method, name, *reason, *retry)
        }
        Event::AddressNotAllowed { name, address } => warn(
            PPPD,
            format!("Peer {} is not authorized to use remote address {address}", Escaped(name)),
        ),
        Event::Encrypted { strength, mode } => {
            info(PPPD, format!("MPPE {strength} {mode} compression enabled"))
        }
        Event::Ipv4Up(ipv4) => vec![
            line(Level::INFO, PPPD, format!("local  IP address {}", ipv4.local)),
            line(Level::INFO, PPPD, format!("remote IP address {}", ipv4.remote)),
        ],
        Event::Ipv6Up(ipv6) => vec![
            line(Level::INFO, PPPD, format!("local  LL address {}", link_local(ipv6.local_id))),
            line(Level::INFO, PPPD, format!("remote LL address {}", link_local(ipv6.remote_id))),
        ],
        Event::SharedInterface { name, queues, unsteered } => {
            let how = match (queues, unsteered) {
                (1, _) => "one queue".to_owned(),
                (_, None) => format!("{queues} queues, steered by address"),
                (_, Some(why)) => format!(
                    "{queues} queues, between which workers hand packets over: no steering program ({why})"
                ),
            };
            info(PPTPD, format!("All sessions share interface {name}: {how}"))
        }
        Event::InterfaceMade { name } => vec![
            line(Level::INFO, PPPD, format!("Using interface {name}")),
            line(Level::INFO, PPPD, format!("Connect: {name} <--> {}", terminal(name))),
        ],
        Event::InterfaceUp { name, mtu } => {
            info(PPPD, format!("Interface {name} is up, MTU {mtu}"))
        }
        Event::SharesAddress { sessions } => {
            debug(PPTPD, format!("GRE: {sessions} other sessions from {peer} are up"))
        }
        Event::WireWatched(wire) => debug(PPTPD, format!("GRE: {wire}")),
        Event::Unanswered { destinations } => {
            let all: Vec<String> = destinations.iter().map(ToString::to_string).collect();
            debug(PPPD, format!("The peer gets no answer from {}", all.join(", ")))
        }
        Event::Beyond(beyond) => debug(PPPD, format!("The peer gets no answer: {beyond}")),
        Event::NotLooked { what, why } => debug(PPPD, format!("Cannot look {what}: {why}")),
        Event::AddressTaken { address, interface, by } => {
            let by: Vec<String> = by.iter().map(|byte| format!("{byte:02x}")).collect();
            debug(PPPD, format!("{address} belongs to {} on {interface} too", by.join(":")))
        }
        Event::ClientsNetwork { address } => {
            debug(PPPD, format!("The peer's own network has the address {address}"))
        }
        Event::SizesProbed { passes, lost, .. } => {
            debug(PPPD, format!("Packets of {passes} bytes pass, those of {lost} do not"))
        }
        Event::TooBig { count } => {
            debug(PPPD, format!("{count} packets were too large for a network behind the peer"))
        }
        Event::Noticed(remark) => warn(PPPD, remark),
        Event::NotWatched { why } => {
            debug(PPTPD, format!("GRE: this host's interfaces were not watched: {why}"))
        }
        Event::ProtocolRejected { protocol } => {
            debug(PPPD, format!("Peer does not know {protocol}"))
        }
        Event::ProxyArp { interface } => {
            info(PPPD, format!("found interface {interface} for proxy arp"))
        }
        Event::NoProxyArpInterface => warn(PPPD, "Cannot determine ethernet address for proxy ARP"),
        Event::HostFailed { what, error } => {
            vec![line(Level::ERROR, PPPD, format!("Cannot {what}: {error}"))]
        }
        Event::LinkClosed(cause) => debug(PPPD, format!("LCP has ended: {cause}")),
        Event::LoginTried { method, name } => {
            debug(PPPD, format!("peer {} wants in by {method}", Escaped(name)))
        }
        Event::ResetRequested { by: Party::Us } => {
            debug(PPPD, "MPPE has lost its place: asked for a fresh start")
        }
        Event::ResetRequested { by: Party::Peer } => {
            debug(PPPD, "MPPE of the client has lost its place: it asks for a fresh start")
        }
        Event::Quality(quality) => debug(PPPD, quality),
        Event::Dropped { reason, count } => {
            debug(PPPD, format!("{count} packets dropped so far ({})", reason.as_str()))
        }
        Event::EchoMissing(count) => info(PPPD, format!("No response to {count} echo-requests")),
        Event::Loopback => warn(PPPD, "appears to be looped back"),
        Event::Idle => info(PPPD, "Terminating connection due to lack of activity."),
        Event::TimeUp => info(PPPD, "Connect time expired"),
        Event::TrafficLimit => info(PPPD, "Traffic limit reached."),
        Event::CallerNotAllowed => {
            warn(PPPD, format!("calling number {peer} is not authorized (allow-number)"))
        }
        Event::Locked { subject, failures, time } => vec![locked_line(subject, *failures, *time)],
        Event::LoginLocked { subject, left } => warn(
            PPPD,
            format!(
                "Login from {peer} not looked at: {subject} is locked for {} s more (gretel locks)",
                left.as_secs() + 1
            ),
        ),
        Event::Unlocked(subject) => info(PPPD, format!("Unlocked by an administrator: {subject}")),
        Event::Displaced => {
            warn(PPTPD, format!("MGR: No free slot: {peer}, which has not logged in, gives way"))
        }
        Event::GaveWay => warn(
            PPTPD,
            format!("MGR: Too many unfinished connections: the oldest gives way, from {peer}"),
        ),
        Event::Kicked { reason } => {
            info(PPPD, format!("Ended by an administrator ({})", Escaped(reason.as_bytes())))
        }
        Event::Replaced { by, .. } => {
            info(PPPD, format!("The user logged in again from {by}: this older session ends"))
        }
        Event::ScriptStarted { script, pid } => {
            debug(PPPD, format!("Script {script} started (pid {pid})"))
        }
        Event::ScriptFinished { script, pid, status } => {
            vec![script_end_line(script, *pid, *status)]
        }
        Event::ScriptFailed { script, error } => {
            warn(PPPD, format!("Can't execute {script}: {error}"))
        }
        Event::SessionEnded(summary, attempt) => ended_lines(peer, summary, attempt),
        _ => Vec::new(),
    }
}

fn clients(whom: Option<Ipv4Addr>) -> String {
    whom.map_or("all clients".to_owned(), |address| address.to_string())
}

fn untold_line(untold: &Untold) -> Line {
    let attempts = untold.attempts;
    let most = match untold.most {
        Some((address, most)) => format!(", {most} of them from {address}"),
        None => String::new(),
    };
    let text =
        format!("MGR: {attempts} failing attempts are not in the log, as they are too many{most}");
    line(Level::WARN, PPTPD, text)
}

fn clock_line(jump: &Jump) -> Line {
    let way = if jump.forward { "forward" } else { "back" };
    let (by, verdict) = (summary::duration(jump.by), &crate::verdict::CLOCK_JUMPED);
    let text = format!(
        "MGR: This host's clock jumped {way} by {by}. {}: {}",
        verdict.code, verdict.sentence
    );
    line(Level::WARN, PPTPD, text)
}

fn locked_line(subject: &Subject, failures: u32, time: Duration) -> Line {
    let seconds = time.as_secs();
    let text = match subject {
        Subject::Address(address) => {
            format!("{failures} failed logins from {address}: locked for {seconds} s")
        }
        Subject::User(_) => format!(
            "{failures} failed logins as {subject}: locked for {seconds} s, but where the user has logged in before"
        ),
    };
    line(Level::WARN, PPPD, text)
}

/// pppd tells of a script's failure only when it debugs.
fn script_end_line(script: &str, pid: u32, status: ExitStatus) -> Line {
    let Some(code) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        let text = format!("Child process {script} (pid {pid}) terminated with signal {signal}");
        return line(Level::WARN, PPPD, text);
    };
    let level = if status.success() { Level::DEBUG } else { Level::WARN };
    line(level, PPPD, format!("Script {script} finished (pid {pid}), status = {code:#x}"))
}

fn failed_login_lines(
    peer: &str,
    method: &engine::auth::Method,
    name: &[u8],
    reason: Option<engine::auth::DenyReason>,
    retry: bool,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let name = Escaped(name);
    use engine::auth::DenyReason::{OtherServer, UnknownUser};
    if matches!(reason, Some(UnknownUser | OtherServer)) {
        lines.extend(warn(PPPD, format!("No CHAP secret found for authenticating {name}")));
    }
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let retry = if retry { ", may try again" } else { "" };
    let family = if *method == engine::auth::Method::Pap { "PAP" } else { "CHAP" };
    lines.extend(warn(
        PPPD,
        format!("Peer {name} failed {family} authentication ({method} from {peer}{why}{retry})"),
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::mppe::{Mode, Strength};

    fn texts(event: Event) -> Vec<String> {
        lines("192.0.2.7", &event).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn the_known_phrases_are_kept() {
        let local = "127.0.0.1:1723".parse().unwrap();
        assert_eq!(
            texts(Event::Connected { local }),
            ["CTRL: Client 192.0.2.7 control connection started"]
        );
        assert_eq!(
            texts(Event::Encrypted { strength: Strength::Bits128, mode: Mode::Stateless }),
            ["MPPE 128-bit stateless compression enabled"]
        );
        assert_eq!(
            texts(Event::InterfaceMade { name: "ppp0".into() }),
            ["Using interface ppp0", "Connect: ppp0 <--> /dev/pptp/ppp0"]
        );
        assert_eq!(
            texts(Event::ProxyArp { interface: "eth0".into() }),
            ["found interface eth0 for proxy arp"]
        );
    }

    #[test]
    fn a_failed_login_names_user_address_and_reason_and_nothing_can_forge_a_line() {
        let lines = texts(Event::AuthenticationFailed {
            method: engine::auth::Method::MsChapV2,
            name: b"evil\nroot".to_vec(),
            reason: Some(engine::auth::DenyReason::UnknownUser),
            retry: false,
        });
        assert_eq!(lines[0], r"No CHAP secret found for authenticating evil\nroot");
        assert!(
            lines[1].starts_with(
                r"Peer evil\nroot failed CHAP authentication (MS-CHAPv2 from 192.0.2.7"
            )
        );
    }

    #[test]
    fn packets_are_told_in_pptpds_words() {
        let told = |seq, expected, dropped, untold| gre_packet(seq, expected, dropped, untold);
        assert_eq!(told(0, None, None, 0), "GRE: accepting packet #0");
        assert_eq!(told(87, Some(87), None, 0), "GRE: accepting packet #87");
        assert_eq!(
            told(89, Some(87), None, 4),
            "GRE: accepting packet #89 (expecting #87, lost or reordered); 4 before it are not logged"
        );
        assert_eq!(
            told(5, Some(7), Some(DropReason::Duplicate), 0),
            "GRE: discarding duplicate or old packet #5 (expecting #7)"
        );
        let spoofed = told(9, Some(9), Some(DropReason::SpoofedSource), 0);
        assert_eq!(spoofed, "GRE: discarding packet #9: spoofed-source");
    }

    #[test]
    fn a_scripts_end_is_told_in_pppds_words_and_a_failure_is_a_warning() {
        let end = |status| script_end_line("/etc/ppp/ip-up", 7, ExitStatus::from_raw(status));
        let told = [0, 0x300, 9].map(end).map(|line| (line.level, line.text));
        let expected = [
            (Level::DEBUG, "Script /etc/ppp/ip-up finished (pid 7), status = 0x0"),
            (Level::WARN, "Script /etc/ppp/ip-up finished (pid 7), status = 0x3"),
            (Level::WARN, "Child process /etc/ppp/ip-up (pid 7) terminated with signal 9"),
        ];
        assert_eq!(told, expected.map(|(level, text)| (level, text.to_owned())));
    }
}
