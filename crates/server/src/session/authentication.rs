//! Letting a session's user in.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use engine::Instant;
use engine::auth::{Denied, DenyReason, Request};
use zeroize::Zeroizing;

use super::{Session, grant};
use crate::auth::{Rules, Verdict, Welcome, judge, without_domain};
use crate::event::Event;
use crate::helper::{Answer, Helper, Login, Order};
use crate::leases::PoolId;
use crate::locks::{Gate, Subject};
use crate::mailbox::Mail;
use crate::settings::Duplicate;

/// A login that PAM is asked about.
#[derive(Debug)]
pub(super) struct Asking {
    /// Told apart from earlier ones by this.
    number: u64,
    request: Request,
    welcome: Welcome,
}

/// A login that is judged later.
#[derive(Debug)]
pub(super) struct Delayed {
    pub(super) until: Instant,
    pub(super) request: Request,
}

/// What PAM said about a login: an open session or, where it does not let the user in, whether that was the password's fault, and its words.
pub(crate) type PamAnswer = Result<PamSession, (bool, String)>;

/// A user's session with PAM, which the helper has. Dropping it has it closed.
pub(crate) struct PamSession {
    helper: Helper,
    number: u64,
}

impl Drop for PamSession {
    fn drop(&mut self) {
        self.helper.close(self.number);
    }
}

impl std::fmt::Debug for PamSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PamSession").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Has the helper ask PAM.
async fn ask(helper: &Helper, login: Login) -> PamAnswer {
    let failed = |error: String| Err((false, error));
    let (number, mut answers) = match helper.begin(Order::Ask(login)) {
        Ok(begun) => begun,
        Err(error) => return failed(error.to_string()),
    };
    match answers.recv().await {
        Some(Answer::Admitted) => Ok(PamSession { helper: helper.clone(), number }),
        Some(Answer::Refused { password, reason }) => Err((password, reason)),
        _ => failed("the process that asks PAM is gone: restart the server".into()),
    }
}

/// The name that failures count for: PAM leaves out a domain whatever the options say, so that one user has no more names than one.
fn counted(name: &[u8]) -> &[u8] {
    without_domain(name)
}

impl Session {
    pub(super) fn authenticate(&mut self, now: Instant, request: Request) {
        // LCP can be negotiated anew at any time. What the session has then is its first user's: address, scripts, records.
        if self.user.as_deref().is_some_and(|user| user != request.name()) {
            let denied = DenyReason::NotAllowed("the session is another user's");
            return self.link.deny(now, request.name(), request.refuse(denied));
        }
        match self.gate(now, &request) {
            Gate::Open => self.decide(now, request),
            Gate::Wait(time) => {
                self.delayed = Some(Box::new(Delayed { until: now + time, request }));
            }
            Gate::Locked(subject, left) => self.refuse_locked(now, &request, subject, left),
        }
    }

    /// The wait of a login is over.
    pub(super) fn authenticate_delayed(&mut self, now: Instant, request: Request) {
        match self.gate(now, &request) {
            Gate::Open | Gate::Wait(_) => self.decide(now, request),
            Gate::Locked(subject, left) => self.refuse_locked(now, &request, subject, left),
        }
    }

    /// What earlier failures mean for this login.
    fn gate(&self, now: Instant, request: &Request) -> Gate {
        let (address, user) = (*self.source.peer().ip(), counted(request.name()));
        self.shared.locks.gate(now, &self.settings.limits.logins, address, user)
    }

    fn refuse_locked(&mut self, now: Instant, request: &Request, subject: Subject, left: Duration) {
        self.source.publish(Event::LoginLocked { subject, left });
        self.link.deny(now, request.name(), request.refuse(DenyReason::Locked));
    }

    fn decide(&mut self, now: Instant, request: Request) {
        let mut verdict = self.judge(&request);
        match verdict.pool().map_or(Ok(false), |pool| self.move_to_pool(pool)) {
            Ok(false) => {}
            Ok(true) => verdict = self.judge(&request),
            Err(denied) => return self.link.deny(now, request.name(), request.refuse(denied)),
        }
        if let Verdict::Welcome(welcome) | Verdict::AskPam(welcome, _) = &verdict
            && self.exchange_lease(welcome.address, request.name())
        {
            verdict = self.judge(&request);
        }
        match verdict {
            Verdict::Welcome(welcome) => self.let_in(now, &request, welcome),
            // PAM has let the user in already: LCP was negotiated anew.
            Verdict::AskPam(welcome, None) if self.pam.is_some() => {
                self.let_in(now, &request, welcome);
            }
            Verdict::AskPam(welcome, password) => self.ask_pam(request, welcome, password),
            Verdict::NoAddress(denied, _) => {
                self.source.publish(Event::AddressNotAllowed {
                    name: request.name().to_vec(),
                    address: self.lease.slot().remote,
                });
                self.link.deny(now, request.name(), denied);
            }
            Verdict::Refused(denied) => self.refuse(now, &request, denied),
        }
    }

    /// Refuses a login, and counts it if it was a guess.
    fn refuse(&mut self, now: Instant, request: &Request, denied: Denied) {
        if matches!(
            denied.reason,
            DenyReason::UnknownUser
                | DenyReason::OtherServer
                | DenyReason::WrongPassword
                | DenyReason::NotAscii
                | DenyReason::Malformed
        ) {
            let limits = self.settings.limits.logins;
            let (address, user) = (*self.source.peer().ip(), counted(request.name()));
            for (subject, failures) in self.shared.locks.failed(now, &limits, address, user) {
                self.source.publish(Event::Locked { subject, failures, time: limits.lock });
            }
        }
        self.link.deny(now, request.name(), denied);
    }

    fn rules(&self) -> Rules {
        let slot = self.lease.slot();
        Rules {
            strip_domain: self.settings.strip_domain,
            pam: self.settings.pam,
            suggested: slot.remote,
            unit: slot.unit,
        }
    }

    fn judge(&self, request: &Request) -> Verdict {
        let mut remarks = Vec::new();
        let verdict = judge(self.shared.users().as_mut(), request, self.rules(), &mut remarks);
        for remark in remarks {
            self.source.publish(Event::Diagnostic(remark));
        }
        verdict
    }

    /// Has PAM asked, which may take seconds. At most a few are asked about at once; the others wait.
    fn ask_pam(
        &mut self,
        request: Request,
        welcome: Welcome,
        password: Option<Zeroizing<Vec<u8>>>,
    ) {
        // pppd leaves out what stands before the first backslash.
        let name = request.name();
        let bare = name.iter().position(|byte| *byte == b'\\').map_or(name, |at| &name[at + 1..]);
        let (user, client) = (bare.to_vec(), self.source.peer().ip().to_string());
        let (shared, session, source) = (self.shared.clone(), self.number, self.source.clone());
        let (address, limits) = (*self.source.peer().ip(), self.settings.limits.logins);
        let counted = counted(name).to_vec();
        let number = shared.next_question();
        self.asking = Some(Box::new(Asking { number, request, welcome }));
        self.source.publish(Event::PamAsked);
        tokio::task::spawn_local(async move {
            // It is closed by nobody.
            let _permit = shared.pam.acquire().await;
            // Nobody is asked about who has hung up.
            if !shared.has_session(session) {
                return;
            }
            let answer = match shared.locks.gate(shared.now(), &limits, address, &counted) {
                Gate::Locked(..) => {
                    Err((false, "too many logins have failed meanwhile".to_owned()))
                }
                Gate::Open | Gate::Wait(_) => {
                    ask(shared.scripts.helper(), Login { user, password, client }).await
                }
            };
            // It was a guess, also when nobody waits for the answer any more.
            if let Err((true, _)) = &answer {
                for (subject, failures) in
                    shared.locks.failed(shared.now(), &limits, address, &counted)
                {
                    source.publish(Event::Locked { subject, failures, time: limits.lock });
                }
            }
            shared
                .post_to_session(session, Mail::PamAnswered { session, question: number, answer });
        });
    }

    /// PAM has answered. An answer about an earlier login than the newest does not count.
    pub(crate) fn pam_answered(&mut self, now: Instant, question: u64, answer: PamAnswer) {
        let asking = self.asking.take_if(|asking| asking.number == question);
        let Some(asking) = asking else { return };
        let Asking { request, welcome, .. } = *asking;
        match answer {
            Ok(opened) => {
                self.pam = Some(opened);
                self.let_in(now, &request, welcome);
            }
            Err((password, reason)) => {
                self.source.publish(Event::Diagnostic(format!("PAM: {reason}")));
                let denied = match password {
                    true => DenyReason::WrongPassword,
                    false => DenyReason::NotAllowed("PAM does not let the user in"),
                };
                // It has been counted.
                self.link.deny(now, request.name(), request.refuse(denied));
            }
        }
        self.pump(now);
    }

    fn let_in(&mut self, now: Instant, request: &Request, welcome: Welcome) {
        let Welcome { authenticated, address, own, .. } = welcome;
        self.shared.locks.succeeded(now, *self.source.peer().ip(), counted(request.name()));
        if !self.lease.confirm() {
            let denied = DenyReason::NotAllowed("its address went to a caller who was quicker");
            return self.link.deny(now, request.name(), request.refuse(denied));
        }
        if let Some(denied) = self.use_address(address, request.name()) {
            self.source
                .publish(Event::AddressNotAllowed { name: request.name().to_vec(), address });
            return self.link.deny(now, request.name(), request.refuse(denied));
        }
        let local = own.as_ref().and_then(|own| own.local);
        if let Some(own) = own {
            self.settings = own.settings;
        }
        let local = local.unwrap_or(self.lease.slot().local);
        let grant = grant(&self.settings, local, address);
        self.link.authenticated(now, authenticated, grant);
    }

    /// Exchanges the slot of a caller who has not been let in for one of the user's pool. Whether it did; an `Err` when all of those are users'.
    fn move_to_pool(&mut self, pool: PoolId) -> Result<bool, DenyReason> {
        if self.is_authenticated() || self.shared.slots().is_of(self.lease.slot(), pool) {
            return Ok(false);
        }
        let lease = self.shared.take_slot(Some(pool), self.number);
        self.lease =
            lease.ok_or(DenyReason::NotAllowed("all addresses of the user's pool are in use"))?;
        Ok(true)
    }

    /// Exchanges the slot when its address has become another user's since it was taken: an address of that user's own. Whether it did.
    fn exchange_lease(&mut self, address: Ipv4Addr, name: &[u8]) -> bool {
        let name = self.rules().user(name);
        let slots = self.shared.slots();
        let Some(other) = slots.user_of(address).filter(|other| *other != self.number) else {
            return false;
        };
        if address != self.lease.slot().remote
            || self.shared.user_of(other).as_deref() == Some(name)
        {
            return false;
        }
        let Some(lease) = slots.take(Some(self.lease.slot().pool), self.number) else {
            return false;
        };
        self.lease = lease;
        true
    }

    /// Takes the address for this session; a session of the same user that has it gives it up, as a client that lost its
    /// connection without our notice comes back that way. Another user's keeps it: the reason is given.
    pub(super) fn use_address(&mut self, address: Ipv4Addr, name: &[u8]) -> Option<DenyReason> {
        if self.address.as_ref().is_some_and(|used| used.address() == address) {
            return None;
        }
        let by = *self.source.peer().ip();
        let (given, name) = (name, self.rules().user(name));
        if !self.shared.may_have_session(self.number, name) {
            return Some(DenyReason::NotAllowed(
                "the user has as many sessions as a user may have",
            ));
        }
        let slots = self.shared.slots();
        self.address = Some(match slots.use_address(address, self.number) {
            Ok(used) => used,
            Err(_) if self.shared.settings().limits.duplicate == Duplicate::Deny => {
                return Some(DenyReason::NotAllowed("another session has the user's address"));
            }
            Err(other) => {
                if self.shared.user_of(other).as_deref() != Some(name) {
                    return Some(DenyReason::NotAllowed(
                        "the address belongs to another user's session",
                    ));
                }
                let used = slots.take_over(address, self.number);
                self.shared.forget_user(other);
                self.shared.post_to_session(other, Mail::Replaced { session: other, by });
                used
            }
        });
        let user: Rc<[u8]> = given.into();
        self.user = Some(user.clone());
        let counted = if name == given { user } else { name.into() };
        self.shared.set_user(self.number, counted, address);
        self.shared.make_room_for_user(self.number, name, by);
        None
    }
}
