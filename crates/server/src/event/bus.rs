//! Where events come from and where they go.

use std::cell::{Cell, RefCell};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use super::{Attempt, Event, Record, Subscriber, Summary};
use crate::flood::Flood;
use crate::trail::{Packed, Samples, Shown, Trail};
use crate::verdict::{Evidence, Judgement};

/// Where events go.
#[derive(Clone)]
pub struct Bus(Rc<Inner>);

struct Inner {
    subscribers: Vec<Box<dyn Subscriber>>,
    sessions: Cell<u64>,
    flood: RefCell<Flood>,
    samples: RefCell<Samples>,
}

impl Bus {
    /// A bus with these subscribers.
    pub fn new(subscribers: Vec<Box<dyn Subscriber>>) -> Self {
        let flood = RefCell::new(Flood::new(Instant::now()));
        let (sessions, samples) = (Cell::new(0), RefCell::default());
        Self(Rc::new(Inner { subscribers, sessions, flood, samples }))
    }

    /// Tells every subscriber about something that concerns the server as a whole.
    pub fn server(&self, event: Event) {
        self.publish(Record::new(None, None, false, event));
    }

    /// A source of events of one control connection.
    pub fn connection(&self, peer: SocketAddrV4) -> Source {
        let told = self.0.flood.borrow_mut().begin(*peer.ip(), Instant::now());
        let attempt = Rc::new(OfAttempt { trail: RefCell::default(), told: Cell::new(told) });
        let evidence = Evidence::default();
        Source(Rc::new(Of { bus: self.clone(), peer, session: None, call: 0, evidence, attempt }))
    }

    /// Tells how many attempts were left out since the last time, if there were any.
    pub(crate) fn tell_untold(&self) {
        let untold = self.0.flood.borrow_mut().take_untold();
        if let Some(untold) = untold {
            self.server(Event::AttemptsUntold(untold));
        }
    }

    fn publish(&self, record: Record) {
        for subscriber in &self.0.subscribers {
            subscriber.take(&record);
        }
    }
}

impl Record {
    fn new(peer: Option<SocketAddrV4>, session: Option<u64>, untold: bool, event: Event) -> Self {
        Self { at: SystemTime::now(), peer, session, untold, event }
    }
}

/// A control connection or session as a source of events.
#[derive(Clone)]
pub struct Source(Rc<Of>);

/// Whose events they are.
struct Of {
    bus: Bus,
    peer: SocketAddrV4,
    session: Option<u64>,
    /// Which call of its connection it is; 0: the connection.
    call: u8,
    evidence: Evidence,
    attempt: Rc<OfAttempt>,
}

/// What a control connection and its calls share.
struct OfAttempt {
    trail: RefCell<Trail>,
    /// Whether log and history hear of it.
    told: Cell<bool>,
}

impl Source {
    /// A new session on this connection.
    pub fn new_session(&self) -> Self {
        let of = &*self.0;
        let number = of.bus.0.sessions.get() + 1;
        of.bus.0.sessions.set(number);
        let call = of.attempt.trail.borrow_mut().new_call();
        Self(Rc::new(Of {
            bus: of.bus.clone(),
            peer: of.peer,
            session: Some(number),
            call,
            evidence: of.evidence.of_call(),
            attempt: of.attempt.clone(),
        }))
    }

    /// The session's number, unless this is a whole connection's source.
    pub fn session(&self) -> Option<u64> {
        self.0.session
    }

    /// What its events have shown.
    pub(crate) fn evidence(&self) -> &Evidence {
        &self.0.evidence
    }

    /// When its control connection began.
    pub(crate) fn began(&self) -> SystemTime {
        self.0.attempt.trail.borrow().began()
    }

    /// What has happened so far.
    pub(crate) fn trail(&self) -> Packed {
        self.0.attempt.trail.borrow().packed(self.0.call)
    }

    /// The session is up: what has happened so far may take its time to be read.
    pub(crate) fn settle(&self) {
        self.0.attempt.trail.borrow_mut().settle(&mut self.0.bus.0.samples.borrow_mut());
    }

    /// Bytes that its connection's trail takes in memory now.
    #[cfg(test)]
    pub(crate) fn trail_cost(&self) -> usize {
        self.0.attempt.trail.borrow().cost()
    }

    /// What has happened behind so many steps, and how many there are now.
    pub(crate) fn steps_since(&self, seen: u32) -> (Vec<Shown>, u32) {
        self.0.attempt.trail.borrow().since(self.0.call, seen)
    }

    /// The peer's address.
    pub fn peer(&self) -> SocketAddrV4 {
        self.0.peer
    }

    /// Tells every subscriber about something that concerns this connection or session.
    pub fn publish(&self, event: Event) {
        self.0.evidence.observe(&event);
        self.0.attempt.trail.borrow_mut().note(self.0.call, *self.0.peer.ip(), &event);
        if let Event::Authenticated { .. } = &event
            && self.0.attempt.told.replace(true)
        {
            self.0.bus.0.flood.borrow_mut().give_back(*self.0.peer.ip());
        }
        let untold = !self.0.attempt.told.get();
        self.0.bus.publish(Record::new(Some(self.0.peer), self.0.session, untold, event));
    }

    /// Tells every subscriber that the session is over, and why by the evidence of its events.
    pub fn session_ended(&self, summary: Summary) {
        let attempt = self.attempt(self.0.evidence.judge(&summary));
        self.publish(Event::SessionEnded(summary, attempt));
    }

    /// Tells every subscriber that the control connection is over; and why, when it has seen no session.
    pub fn disconnected(&self) {
        if let Some(judgement) = self.0.evidence.judge_connection() {
            self.publish(Event::NoSession(self.attempt(judgement)));
        }
        self.publish(Event::Disconnected);
    }

    fn attempt(&self, judgement: Judgement) -> Attempt {
        self.0.attempt.trail.borrow_mut().note_end(
            self.0.call,
            self.0.evidence.stage(),
            &judgement,
        );
        Attempt {
            client: self.0.evidence.client(),
            stage: self.0.evidence.stage(),
            judgement,
            name: self.0.evidence.name(),
            lasted: self.0.attempt.trail.borrow().age(),
            trail: self.trail(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Whether each record was marked as one of a flood.
    #[derive(Clone, Default)]
    struct Untold(Rc<RefCell<Vec<bool>>>);

    impl Subscriber for Untold {
        fn take(&self, record: &Record) {
            self.0.borrow_mut().push(record.untold);
        }
    }

    #[test]
    fn an_attempt_of_a_flood_is_told_from_its_login_on() {
        let untold = Untold::default();
        let bus = Bus::new(vec![Box::new(untold.clone())]);
        let peer = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 4000);
        let attempts: Vec<Source> = (0..30).map(|_| bus.connection(peer)).collect();
        let (first, last) = (&attempts[0], &attempts[29]);
        first.publish(Event::NoFreeSlot);
        last.publish(Event::NoFreeSlot);
        last.publish(Event::Authenticated { method: None, name: b"anna".to_vec() });
        last.new_session().publish(Event::Idle);
        assert_eq!(*untold.0.borrow(), [false, true, false, false]);
    }
}
