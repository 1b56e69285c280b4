//! One control protocol at work: the [automaton](super::automaton) with its timer, identifiers and retransmission,
//! over the options of one [`Negotiation`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use sha1::{Digest, Sha1};
use wire::ppp::{Code, Packet, Protocol};

use super::automaton::{Action, Input, State, transition};
use super::config::Timers;
use crate::{Instant, Random};

/// Where doubling the wait for an answer ends, unless it began higher: the RFC's and pppd's interval.
const LAST_RESTART: Duration = Duration::from_secs(3);
/// Configure-Requests of one negotiation before it is called hopeless. Honest ones need fewer than ten.
const MAX_ROUNDS: u8 = 40;
/// How long after opening a repeated Configure-Request is taken for a retransmission.
const REPEAT_WINDOW: Duration = Duration::from_secs(10);
/// How many such repetitions are answered before the protocol is negotiated anew.
const MAX_REPEATS: u8 = 5;
/// An open layer that lived this long has a clean record.
const FORGIVE_AFTER: Duration = Duration::from_secs(60);

/// The options of one control protocol: what we ask for and what we think of the peer's wishes.
pub(crate) trait Negotiation {
    /// The PPP protocol number.
    const PROTOCOL: Protocol;

    /// Appends the options of our next Configure-Request.
    fn request(&self, out: &mut Vec<u8>);

    /// Judges the options of the peer's Configure-Request and keeps what is acceptable. `None`: the
    /// option list cannot be read and the packet is dropped.
    fn judge(&mut self, options: &[u8], random: &mut Random) -> Option<Verdict>;

    /// Our request was acknowledged.
    fn acknowledged(&mut self) {}

    /// Our request was refused by Configure-Nak (`nak`) or Configure-Reject: change the wishes.
    fn refused(&mut self, nak: bool, options: &[u8], random: &mut Random);

    /// A new negotiation begins: back to the first wishes.
    fn restart(&mut self) {}
}

/// What is to be answered to a Configure-Request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
    Ack,
    /// These options, with these values, would do.
    Nak(Vec<u8>),
    /// These options are not wanted in any form.
    Reject(Vec<u8>),
}

/// What a control protocol wants done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this packet (code, identifier, length, data) in the protocol.
    Send(Vec<u8>),
    /// The layer is open.
    Up,
    /// The layer has left Opened.
    Down,
    /// The layer is done and wants no more packets.
    Finished(Finish),
}

/// Why a layer is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It was closed by either side.
    Closed,
    /// The restart timer ran out.
    TimedOut,
    /// Too many rounds without agreement.
    NotConverging,
    /// The peer rejected the protocol or one of the essential codes.
    Rejected,
}

/// One control protocol of one link. Open, as it nearly always is, it keeps no [`Exchange`].
#[derive(Debug)]
pub(crate) struct ControlProtocol<N> {
    pub(crate) negotiation: N,
    pace: Pace,
    state: State,
    next_id: u8,
    request_id: u8,
    repeats: u8,
    rounds: u8,
    opened_at: Instant,
    /// A digest of the options that we acknowledged last: they are only ever compared.
    acknowledged: u64,
    exchange: Option<Box<Exchange>>,
}

/// How long is waited for answers, and how often. Small, as every protocol of every session keeps one.
#[derive(Debug)]
struct Pace {
    /// The first wait for an answer, in milliseconds.
    first_wait: u32,
    max_configure: u16,
    max_terminate: u16,
    max_failure: u16,
    /// Further waits are longer.
    doubles: bool,
}

impl Pace {
    fn new(timers: &Timers, first_wait: Duration) -> Self {
        let few = |count| u16::try_from(count).unwrap_or(u16::MAX);
        Self {
            first_wait: millis(timers.restart.unwrap_or(first_wait)),
            max_configure: few(timers.max_configure),
            max_terminate: few(timers.max_terminate),
            max_failure: few(timers.max_failure),
            doubles: timers.restart.is_none(),
        }
    }

    fn first_wait(&self) -> Duration {
        Duration::from_millis(self.first_wait.into())
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// What is needed while requests are under way.
#[derive(Debug)]
struct Exchange {
    transmissions_left: u32,
    interval: Duration,
    deadline: Option<Instant>,
    request: Vec<u8>,
    /// An answer to `request` is still welcome. Cleared by the first, so that a duplicate of it is not taken for a
    /// second one, which would reopen the negotiation (RFC 1661 §4.1, "crossed connection").
    unanswered: bool,
    /// The peer answered `request` with Terminate-Ack: it was not ready then, and will not answer it any more.
    unheard: bool,
    naks_sent: u32,
    finish: Finish,
    /// The reason sent in our Terminate-Request.
    goodbye: &'static str,
}

impl Exchange {
    fn new(pace: &Pace) -> Self {
        Self {
            transmissions_left: pace.max_configure.into(),
            interval: pace.first_wait(),
            deadline: None,
            request: Vec::new(),
            unanswered: false,
            unheard: false,
            naks_sent: 0,
            finish: Finish::Closed,
            goodbye: "",
        }
    }
}

/// A received packet's reply, prepared before the automaton decides whether to send it.
#[derive(Default)]
struct Reply<'a> {
    id: u8,
    /// Acknowledged options, refused options, echoed termination data, or a rejected packet.
    body: &'a [u8],
    refusal: Option<(Code, &'a [u8])>,
    retransmission: bool,
}

impl<N: Negotiation> ControlProtocol<N> {
    /// `first_wait` is how long the first transmission of a request waits for its answer when `timers` set no interval.
    pub(crate) fn new(negotiation: N, timers: Timers, first_wait: Duration) -> Self {
        Self {
            negotiation,
            pace: Pace::new(&timers, first_wait),
            state: State::Initial,
            next_id: 1,
            request_id: 0,
            repeats: 0,
            rounds: 0,
            opened_at: Instant::ZERO,
            acknowledged: 0,
            exchange: None,
        }
    }

    /// Another first wait, unless an interval is set. For before the first request.
    pub(crate) fn set_first_wait(&mut self, first_wait: Duration) {
        if self.pace.doubles {
            self.pace.first_wait = millis(first_wait);
        }
    }

    fn exchange(&mut self) -> &mut Exchange {
        self.exchange.get_or_insert_with(|| Box::new(Exchange::new(&self.pace)))
    }

    fn is_unanswered(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.unanswered)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Opened
    }

    /// Whether the protocol may still open or is open.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(
            self.state,
            State::Initial | State::Closed | State::Stopped | State::Closing | State::Stopping
        )
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.exchange.as_ref()?.deadline
    }

    /// An identifier for a packet outside the automaton (Echo-Request, Protocol-Reject, …).
    pub(crate) fn take_id(&mut self) -> u8 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    /// Opens the protocol with the lower layer up.
    pub(crate) fn open(&mut self, now: Instant, steps: &mut Vec<Step>) {
        self.apply(now, Input::Open, Reply::default(), steps);
        self.apply(now, Input::Up, Reply::default(), steps);
    }

    /// Opens the protocol without speaking first: it answers when the peer asks (RFC 1661 §4.2, Stopped).
    pub(crate) fn listen(&mut self) {
        self.state = State::Stopped;
    }

    /// Closes the protocol, telling the peer `why`.
    pub(crate) fn close(&mut self, now: Instant, why: &'static str, steps: &mut Vec<Step>) {
        let exchange = self.exchange();
        exchange.goodbye = why;
        exchange.finish = Finish::Closed;
        self.apply(now, Input::Close, Reply::default(), steps);
    }

    /// The peer does not know this protocol (Protocol-Reject, RFC 1661 §5.7).
    pub(crate) fn protocol_rejected(&mut self, now: Instant, steps: &mut Vec<Step>) {
        self.exchange().finish = Finish::Rejected;
        self.apply(now, Input::RejectFatal, Reply::default(), steps);
    }

    /// The peer shows that it is open, so that it has acknowledged our request, though we did not hear it say so. Only for requests
    /// that the peer could acknowledge in one way alone.
    pub(crate) fn assume_acknowledged(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if self.state == State::AckSent && self.is_unanswered() {
            self.exchange().unanswered = false;
            self.negotiation.acknowledged();
            self.apply(now, Input::Ack, Reply::default(), steps);
        }
    }

    /// Runs the restart timer. Does nothing before its time.
    pub(crate) fn handle_timeout(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let ends = matches!(self.state, State::Closing | State::Stopping);
        let exchange = self.exchange();
        exchange.deadline = None;
        let retransmission = Reply { retransmission: true, ..Reply::default() };
        if exchange.transmissions_left > 0 {
            self.apply(now, Input::TimeoutLeft, retransmission, steps);
        } else {
            if !ends {
                exchange.finish = Finish::TimedOut;
            }
            self.apply(now, Input::TimeoutLast, retransmission, steps);
        }
    }

    /// Handles one packet with a code of RFC 1661 §5 (1–7); any other is answered with a Code-Reject, so protocols with
    /// more codes take those out first.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) {
        let id = packet.id;
        let plain = Reply { id, body: packet.data, ..Reply::default() };
        match packet.code {
            Code::CONFIGURE_REQUEST => self.handle_request(now, packet, random, steps),
            Code::CONFIGURE_ACK => {
                if self.is_answer(packet) && packet.data == self.exchange().request {
                    self.exchange().unanswered = false;
                    self.negotiation.acknowledged();
                    self.apply(now, Input::Ack, plain, steps);
                }
            }
            Code::CONFIGURE_NAK | Code::CONFIGURE_REJECT => {
                if self.is_answer(packet) {
                    self.exchange().unanswered = false;
                    let nak = packet.code == Code::CONFIGURE_NAK;
                    self.negotiation.refused(nak, packet.data, random);
                    self.apply(now, Input::Refusal, plain, steps);
                }
            }
            Code::TERMINATE_REQUEST => {
                self.exchange().finish = Finish::Closed;
                self.apply(now, Input::TerminateRequest, plain, steps);
            }
            Code::TERMINATE_ACK => {
                // pppd answers an early IPCP request this way and acknowledges its repetition later; the
                // answer to a request that has been acknowledged since says nothing about the present.
                if !(self.is_open() && id == self.request_id) {
                    let is_ours = id == self.request_id;
                    let exchange = self.exchange();
                    exchange.unheard = exchange.unanswered && is_ours;
                    self.apply(now, Input::TerminateAck, plain, steps);
                }
            }
            Code::CODE_REJECT => {
                let essential = packet.data.first().is_some_and(|code| (1..=6).contains(code));
                self.exchange().finish = Finish::Rejected;
                let input = if essential { Input::RejectFatal } else { Input::RejectMinor };
                self.apply(now, input, plain, steps);
            }
            _ => {
                let mut whole = Vec::new();
                packet.emit(&mut whole);
                self.apply(now, Input::UnknownCode, Reply { body: &whole, ..plain }, steps);
            }
        }
    }

    fn handle_request(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) {
        let plain = Reply { id: packet.id, body: packet.data, ..Reply::default() };
        if matches!(self.state, State::Closed | State::Closing | State::Stopping) {
            return self.apply(now, Input::RequestBad, plain, steps);
        }
        if self.is_repetition(now, packet.data) {
            self.repeats += 1;
            return send(Code::CONFIGURE_ACK, packet.id, packet.data, steps);
        }
        if matches!(self.state, State::Opened | State::Stopped) {
            self.begin(now);
        }
        let Some(verdict) = self.negotiation.judge(packet.data, random) else { return };
        self.answer(now, packet, verdict, steps);
        // pppd is deaf to IPCP until CCP is open. Its own request shows that it has begun to listen: ours goes out again at once,
        // not when the timer says.
        let Some(exchange) = &mut self.exchange else { return };
        if core::mem::take(&mut exchange.unheard)
            && exchange.unanswered
            && exchange.transmissions_left > 0
        {
            self.send_request(now, true, steps);
        }
    }

    fn answer(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        verdict: Verdict,
        steps: &mut Vec<Step>,
    ) {
        let plain = Reply { id: packet.id, body: packet.data, ..Reply::default() };
        match self.soften(verdict, packet.data) {
            Verdict::Ack => {
                self.exchange().naks_sent = 0;
                self.acknowledged = digest(packet.data);
                self.apply(now, Input::RequestGood, plain, steps);
            }
            Verdict::Nak(options) => {
                self.exchange().naks_sent += 1;
                let refusal = Some((Code::CONFIGURE_NAK, &options[..]));
                self.apply(now, Input::RequestBad, Reply { refusal, ..plain }, steps);
            }
            Verdict::Reject(options) => {
                let refusal = Some((Code::CONFIGURE_REJECT, &options[..]));
                self.apply(now, Input::RequestBad, Reply { refusal, ..plain }, steps);
            }
        }
    }

    /// After too many Naks the same options are rejected instead, so that the peer stops asking (RFC 1661 §5.3).
    fn soften(&mut self, verdict: Verdict, asked: &[u8]) -> Verdict {
        let Verdict::Nak(naked) = verdict else { return verdict };
        if self.exchange().naks_sent < self.pace.max_failure.into() {
            return Verdict::Nak(naked);
        }
        let mut rejected = Vec::new();
        for option in wire::ppp::options(asked).flatten() {
            if wire::ppp::options(&naked).flatten().any(|nak| nak.kind == option.kind) {
                wire::ppp::push_option(&mut rejected, option.kind, option.data);
            }
        }
        if rejected.is_empty() { Verdict::Ack } else { Verdict::Reject(rejected) }
    }

    /// Whether the peer only repeats what we acknowledged, because the acknowledgement was lost or, as Windows 10 does
    /// with CCP, because an older answer made it ask again. Tearing an open layer down for it would cost the call.
    fn is_repetition(&self, now: Instant, options: &[u8]) -> bool {
        self.is_open()
            && digest(options) == self.acknowledged
            && now - self.opened_at < REPEAT_WINDOW
            && self.repeats < MAX_REPEATS
    }

    fn is_answer(&self, packet: &Packet<'_>) -> bool {
        self.is_unanswered() && packet.id == self.request_id
    }

    /// A new negotiation after an open or stopped layer: a long healthy life clears the count of rounds.
    fn begin(&mut self, now: Instant) {
        if now - self.opened_at > FORGIVE_AFTER {
            self.rounds = 0;
        }
        self.repeats = 0;
        self.exchange().naks_sent = 0;
        self.negotiation.restart();
    }

    fn apply(&mut self, now: Instant, input: Input, reply: Reply<'_>, steps: &mut Vec<Step>) {
        let (actions, next) = transition(self.state, input);
        self.state = next;
        for action in actions {
            self.act(now, *action, &reply, steps);
        }
        let has_timer = next.has_timer();
        if next == State::Opened {
            self.exchange = None;
        } else {
            let exchange = self.exchange();
            exchange.deadline =
                has_timer.then(|| exchange.deadline.unwrap_or(now + exchange.interval));
        }
        if self.rounds > MAX_ROUNDS && has_timer {
            self.state = State::Stopped;
            self.exchange().deadline = None;
            self.rounds = 0;
            steps.push(Step::Finished(Finish::NotConverging));
        }
    }

    fn act(&mut self, now: Instant, action: Action, reply: &Reply<'_>, steps: &mut Vec<Step>) {
        match action {
            Action::LayerUp => {
                self.opened_at = now;
                self.repeats = 0;
                steps.push(Step::Up);
            }
            Action::LayerDown => steps.push(Step::Down),
            Action::LayerStarted => {}
            Action::LayerFinished => steps.push(Step::Finished(self.exchange().finish)),
            Action::InitConfigureCount => self.init_count(self.pace.max_configure.into()),
            Action::InitTerminateCount => self.init_count(self.pace.max_terminate.into()),
            Action::ZeroCount => {
                let exchange = self.exchange();
                exchange.transmissions_left = 0;
                exchange.interval = Duration::from_secs(1);
                exchange.deadline = Some(now + exchange.interval);
            }
            Action::SendRequest => self.send_request(now, reply.retransmission, steps),
            Action::SendAck => send(Code::CONFIGURE_ACK, reply.id, reply.body, steps),
            Action::SendRefusal => {
                if let Some((code, options)) = reply.refusal {
                    send(code, reply.id, options, steps);
                }
            }
            Action::SendTerminate => {
                let id = self.take_id();
                let goodbye = self.exchange().goodbye;
                send(Code::TERMINATE_REQUEST, id, goodbye.as_bytes(), steps);
                self.count_transmission(now);
            }
            Action::SendTerminateAck => {
                send(Code::TERMINATE_ACK, reply.id, reply.body, steps);
            }
            Action::SendCodeReject => {
                let id = self.take_id();
                send(Code::CODE_REJECT, id, reply.body, steps);
            }
            // Echo is a matter of LCP alone, which answers before the automaton is asked.
            Action::SendEchoReply => {}
        }
    }

    fn init_count(&mut self, count: u32) {
        let first_wait = self.pace.first_wait();
        let exchange = self.exchange();
        exchange.transmissions_left = count;
        exchange.interval = first_wait;
    }

    /// Sends a Configure-Request: a repetition keeps identifier and options, so that an answer to any copy counts.
    fn send_request(&mut self, now: Instant, retransmission: bool, steps: &mut Vec<Step>) {
        if !retransmission {
            self.rounds += 1;
            self.request_id = self.take_id();
            let mut request = Vec::new();
            self.negotiation.request(&mut request);
            self.exchange().request = request;
        }
        let id = self.request_id;
        let exchange = self.exchange();
        exchange.unanswered = true;
        send(Code::CONFIGURE_REQUEST, id, &exchange.request, steps);
        self.count_transmission(now);
    }

    fn count_transmission(&mut self, now: Instant) {
        let longest = LAST_RESTART.max(self.pace.first_wait());
        let doubles = self.pace.doubles;
        let exchange = self.exchange();
        exchange.transmissions_left = exchange.transmissions_left.saturating_sub(1);
        exchange.deadline = Some(now + exchange.interval);
        if doubles {
            exchange.interval = (exchange.interval * 2).min(longest);
        }
    }
}

fn send(code: Code, id: u8, data: &[u8], steps: &mut Vec<Step>) {
    let mut packet = Vec::with_capacity(4 + data.len());
    Packet { code, id, data }.emit(&mut packet);
    steps.push(Step::Send(packet));
}

/// The same for the same options alone.
fn digest(options: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 20] = Sha1::digest(options).into();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What one option of a Configure-Request deserves.
pub(crate) enum Judgement {
    /// Fine.
    Ack,
    /// Another value would be, appended to the vector given to the judge.
    Nak,
    /// Not wanted in any form.
    Reject,
}

/// Judges every option on its own and sums up: a Reject goes before a Nak (RFC 1661 §5.4 wants one kind of refusal
/// at a time). `None` when the list cannot be read.
pub(crate) fn judge_each(
    options: &[u8],
    mut judge: impl FnMut(wire::ppp::RawOption<'_>, &mut Vec<u8>) -> Judgement,
) -> Option<Verdict> {
    let (mut naked, mut rejected) = (Vec::new(), Vec::new());
    for option in wire::ppp::options(options) {
        let option = option.ok()?;
        match judge(option, &mut naked) {
            Judgement::Ack | Judgement::Nak => {}
            Judgement::Reject => wire::ppp::push_option(&mut rejected, option.kind, option.data),
        }
    }
    Some(if !rejected.is_empty() {
        Verdict::Reject(rejected)
    } else if !naked.is_empty() {
        Verdict::Nak(naked)
    } else {
        Verdict::Ack
    })
}

#[cfg(test)]
mod tests;
