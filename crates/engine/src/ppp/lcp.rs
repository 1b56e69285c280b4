//! LCP's options (RFC 1661 §6).

use alloc::vec::Vec;

use wire::lcp::LcpOption;
use wire::ppp::Protocol;

use super::control_protocol::{Judgement, Negotiation, Verdict, judge_each};
use super::{Framing, LcpConfig};
use crate::Random;
use crate::auth::Method;

/// The MRU when no option says otherwise (RFC 1661 §6.1).
pub(crate) const DEFAULT_MRU: u16 = 1500;
/// The smallest MRU that a peer may ask for; pppd's limit.
const MIN_MRU: u16 = 128;
/// Own magic numbers seen in a row before the line counts as looped back.
const LOOPS: u32 = 5;

/// Both ends' LCP wishes.
#[derive(Debug)]
pub(crate) struct Lcp {
    ours: Wishes,
    first_wishes: Wishes,
    peer: PeerWishes,
    /// Methods by which we may authenticate ourselves (client side), best first.
    own_methods: Methods,
    loops: u32,
    /// The peer refused the authentication option as such.
    authentication_rejected: bool,
}

/// Some of the methods that there are, in an order.
#[derive(Clone, Copy, Debug)]
struct Methods([Option<Method>; 4]);

impl Methods {
    fn new(methods: &[Method]) -> Self {
        Self(core::array::from_fn(|at| methods.get(at).copied()))
    }

    fn first(&self) -> Option<Method> {
        self.0[0]
    }

    fn contains(&self, method: Method) -> bool {
        self.0.contains(&Some(method))
    }

    /// Leaves out the first. Then `preferred` is, if it is there.
    fn next(&mut self, preferred: Option<Method>) {
        let [_, rest @ ..] = self.0;
        let [a, b, c] = rest;
        self.0 = [a, b, c, None];
        if let Some(at) = rest.iter().position(|it| it.is_some() && *it == preferred) {
            self.0[..=at].rotate_right(1);
        }
    }
}

/// What we ask for.
#[derive(Clone, Copy, Debug)]
struct Wishes {
    mru: u16,
    accm: Option<u32>,
    /// Methods still to be tried on the peer, the present one first. Empty: none is asked for.
    methods: Methods,
    magic: Option<u32>,
    pfc: bool,
    acfc: bool,
}

/// What the peer asked for in its newest Configure-Request.
#[derive(Clone, Debug)]
struct PeerWishes {
    mru: u16,
    method: Option<Method>,
    pfc: bool,
    acfc: bool,
}

impl PeerWishes {
    const NONE: Self = Self { mru: DEFAULT_MRU, method: None, pfc: false, acfc: false };
}

impl Lcp {
    /// `methods`: how the peer must authenticate (server side); `own_methods`: how we can (client side).
    pub(crate) fn new(
        config: &LcpConfig,
        methods: &[Method],
        own_methods: &[Method],
        random: &mut Random,
    ) -> Self {
        let ours = Wishes {
            mru: config.mru,
            accm: config.accm,
            methods: Methods::new(methods),
            magic: config.magic.then(|| nonzero_magic(random)),
            pfc: config.pfc,
            acfc: config.acfc,
        };
        Self {
            first_wishes: ours,
            ours,
            peer: PeerWishes::NONE,
            own_methods: Methods::new(own_methods),
            loops: 0,
            authentication_rejected: false,
        }
    }

    /// Our magic number, 0 when none is in use (RFC 1661 §5.8).
    pub(crate) fn magic(&self) -> u32 {
        self.ours.magic.unwrap_or(0)
    }

    /// How the peer agreed to authenticate.
    pub(crate) fn peer_method(&self) -> Option<Method> {
        self.ours.methods.first()
    }

    /// How we agreed to authenticate ourselves.
    pub(crate) fn own_method(&self) -> Option<Method> {
        self.peer.method
    }

    pub(crate) fn framing(&self) -> Framing {
        Framing {
            acfc: self.peer.acfc,
            pfc: self.peer.pfc,
            peer_mru: self.peer.mru,
            our_mru: self.ours.mru,
        }
    }

    /// Whether our own packets come back to us.
    pub(crate) fn looped(&self) -> bool {
        self.loops >= LOOPS
    }

    /// Whether the peer rejected the authentication option.
    pub(crate) fn authentication_rejected(&self) -> bool {
        self.authentication_rejected
    }

    /// Whether the peer refused every method that may be used here.
    pub(crate) fn methods_exhausted(&self) -> bool {
        self.ours.methods.first().is_none() && self.first_wishes.methods.first().is_some()
    }

    fn judge_option(
        &mut self,
        option: LcpOption<'_>,
        nak: &mut Vec<u8>,
        random: &mut Random,
    ) -> Judgement {
        match option {
            LcpOption::Mru(mru) if mru < MIN_MRU => {
                LcpOption::Mru(MIN_MRU).emit(nak);
                return Judgement::Nak;
            }
            LcpOption::Mru(mru) => self.peer.mru = mru,
            LcpOption::Accm(_) => {}
            LcpOption::Authentication(wanted) => {
                match Method::from_option(&wanted).filter(|m| self.own_methods.contains(*m)) {
                    Some(method) => self.peer.method = Some(method),
                    None => {
                        let Some(best) = self.own_methods.first() else { return Judgement::Reject };
                        LcpOption::Authentication(best.option()).emit(nak);
                        return Judgement::Nak;
                    }
                }
            }
            LcpOption::Magic(0) => {
                LcpOption::Magic(nonzero_magic(random)).emit(nak);
                return Judgement::Nak;
            }
            LcpOption::Magic(_) => {}
            LcpOption::Pfc => self.peer.pfc = true,
            LcpOption::Acfc => self.peer.acfc = true,
            LcpOption::EndpointDiscriminator(_) => {}
            _ => return Judgement::Reject,
        }
        Judgement::Ack
    }

    fn nak(&mut self, option: LcpOption<'_>, random: &mut Random) {
        match option {
            LcpOption::Mru(mru) => self.ours.mru = mru.clamp(MIN_MRU, DEFAULT_MRU),
            LcpOption::Accm(accm) => self.ours.accm = self.ours.accm.map(|ours| ours | accm),
            LcpOption::Authentication(wanted) => self.next_method(Method::from_option(&wanted)),
            LcpOption::Magic(_) if self.ours.magic.is_some() => {
                self.ours.magic = Some(nonzero_magic(random));
            }
            _ => {}
        }
    }

    /// Whether a Configure-Request carries our magic number (RFC 1661 §6.4).
    fn is_our_own(&self, options: &[u8]) -> bool {
        self.ours.magic.is_some()
            && wire::ppp::options(options).flatten().any(|raw| match LcpOption::parse(raw) {
                LcpOption::Magic(magic) => Some(magic) == self.ours.magic,
                _ => false,
            })
    }

    /// The peer will not use the present method: take the one that it suggests if that is still allowed, else the next.
    fn next_method(&mut self, suggested: Option<Method>) {
        if suggested != self.peer_method() {
            self.ours.methods.next(suggested);
        }
    }

    fn reject(&mut self, option: LcpOption<'_>) {
        match option {
            LcpOption::Mru(_) => self.ours.mru = DEFAULT_MRU,
            LcpOption::Accm(_) => self.ours.accm = None,
            LcpOption::Authentication(_) => self.authentication_rejected = true,
            LcpOption::Magic(_) => self.ours.magic = None,
            LcpOption::Pfc => self.ours.pfc = false,
            LcpOption::Acfc => self.ours.acfc = false,
            _ => {}
        }
    }
}

impl Negotiation for Lcp {
    const PROTOCOL: Protocol = Protocol::LCP;

    fn request(&self, out: &mut Vec<u8>) {
        let ours = &self.ours;
        if ours.mru != DEFAULT_MRU {
            LcpOption::Mru(ours.mru).emit(out);
        }
        if let Some(accm) = ours.accm {
            LcpOption::Accm(accm).emit(out);
        }
        if let Some(method) = ours.methods.first() {
            LcpOption::Authentication(method.option()).emit(out);
        }
        if let Some(magic) = ours.magic {
            LcpOption::Magic(magic).emit(out);
        }
        if ours.pfc {
            LcpOption::Pfc.emit(out);
        }
        if ours.acfc {
            LcpOption::Acfc.emit(out);
        }
    }

    fn judge(&mut self, options: &[u8], random: &mut Random) -> Option<Verdict> {
        self.peer = PeerWishes::NONE;
        if self.is_our_own(options) {
            // A refusal of anything else would come back as the peer's refusal of our wishes.
            self.loops += 1;
            let mut nak = Vec::new();
            LcpOption::Magic(nonzero_magic(random)).emit(&mut nak);
            return Some(Verdict::Nak(nak));
        }
        self.loops = 0;
        // Windows 2000 offers multilink with an endpoint discriminator. Both go with the callback in one
        // Reject; a discriminator that comes alone is harmless (RFC 1990 §5.1.3) and is taken, as pppd does.
        let multilink = wire::ppp::options(options)
            .flatten()
            .any(|raw| matches!(LcpOption::parse(raw), LcpOption::Mrru(_)));
        judge_each(options, |raw, nak| match LcpOption::parse(raw) {
            LcpOption::EndpointDiscriminator(_) if multilink => Judgement::Reject,
            option => self.judge_option(option, nak, random),
        })
    }

    fn refused(&mut self, nak: bool, options: &[u8], random: &mut Random) {
        for raw in wire::ppp::options(options).flatten() {
            let option = LcpOption::parse(raw);
            if nak { self.nak(option, random) } else { self.reject(option) }
        }
    }

    fn restart(&mut self) {
        self.ours = Wishes { magic: self.ours.magic, ..self.first_wishes };
    }
}

fn nonzero_magic(random: &mut Random) -> u32 {
    random.u32().max(1)
}
