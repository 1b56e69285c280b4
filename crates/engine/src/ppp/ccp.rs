//! CCP with MPPE as its only method (RFC 1962, RFC 3078 §2).

use alloc::vec::Vec;

use crypto::mppe::{Mode, Strength};
use wire::ccp::{CcpOption, MppeBits};
use wire::ppp::Protocol;

use super::config::{MppeNeed, MppePolicy, Stateful};
use super::control_protocol::{Judgement, Negotiation, Verdict, judge_each};
use crate::Random;

/// Refusals of our request with nothing acceptable in them before the peer counts as unwilling.
const MAX_DISAGREEMENTS: u32 = 5;

/// Strengths, best first, with their option bits.
const STRENGTHS: [(Strength, MppeBits); 3] = [
    (Strength::Bits128, MppeBits::BITS_128),
    (Strength::Bits56, MppeBits::BITS_56),
    (Strength::Bits40, MppeBits::BITS_40),
];

/// Both ends' MPPE wishes.
#[derive(Debug)]
pub(crate) struct Ccp {
    policy: MppePolicy,
    /// What we want to receive; `None`: no option is sent.
    wanted: Option<(Strength, Mode)>,
    /// Whether the peer has chosen among the strengths. Until then all that are allowed are offered: pppd gives up at the sight of a
    /// request for one that it may not use.
    chosen: bool,
    /// What the peer wants to receive, as acknowledged.
    granted: Option<(Strength, Mode)>,
    disagreements: u32,
    /// The peer was told that we prefer stateful mode.
    preference_told: bool,
}

impl Ccp {
    pub(crate) fn new(policy: MppePolicy) -> Self {
        Self {
            policy,
            wanted: best(&policy),
            chosen: false,
            granted: None,
            disagreements: 0,
            preference_told: false,
        }
    }

    /// MPPE for what we send and what we receive, once both ends agreed.
    pub(crate) fn agreed(&self) -> Option<((Strength, Mode), (Strength, Mode))> {
        Some((self.granted?, self.wanted?))
    }

    /// Whether the peer has shown that it will not do what is required.
    pub(crate) fn hopeless(&self) -> bool {
        self.policy.need == MppeNeed::Required
            && (self.wanted.is_none() || self.disagreements >= MAX_DISAGREEMENTS)
    }

    /// Whether the peer can acknowledge our request in one way alone.
    pub(crate) fn asks_for_one(&self) -> bool {
        let strengths = STRENGTHS.iter().filter(|(strength, _)| self.policy.allows(*strength));
        self.wanted.is_some() && (self.chosen || strengths.count() == 1)
    }

    /// The mode for a peer that does (not) offer stateless operation.
    fn mode(&self, offers_stateless: bool) -> Mode {
        match self.policy.stateful {
            Stateful::Never => Mode::Stateless,
            Stateful::Preferred if !self.preference_told => Mode::Stateful,
            Stateful::Allowed | Stateful::Preferred if offers_stateless => Mode::Stateless,
            Stateful::Allowed | Stateful::Preferred => Mode::Stateful,
        }
    }

    fn strongest(&self, offered: MppeBits) -> Option<Strength> {
        STRENGTHS
            .iter()
            .find(|(strength, bit)| offered.contains(*bit) && self.policy.allows(*strength))
            .map(|(strength, _)| *strength)
    }

    fn judge_mppe(&mut self, offered: MppeBits, nak: &mut Vec<u8>) -> Judgement {
        let Some((best, _)) = best(&self.policy) else { return Judgement::Reject };
        let strength = self.strongest(offered).unwrap_or(best);
        let mode = self.mode(offered.contains(MppeBits::STATELESS));
        let answer = bits(strength, mode);
        if answer == offered {
            self.granted = Some((strength, mode));
            return Judgement::Ack;
        }
        self.preference_told = true;
        CcpOption::Mppe(answer).emit(nak);
        Judgement::Nak
    }
}

impl Negotiation for Ccp {
    const PROTOCOL: Protocol = Protocol::CCP;

    fn request(&self, out: &mut Vec<u8>) {
        let Some((strength, mode)) = self.wanted else { return };
        let mut offer = bits(strength, mode);
        if !self.chosen {
            let allowed = STRENGTHS.iter().filter(|(strength, _)| self.policy.allows(*strength));
            offer.0 |= allowed.fold(0, |all, (_, bit)| all | bit.0);
        }
        CcpOption::Mppe(offer).emit(out);
    }

    fn judge(&mut self, options: &[u8], _random: &mut Random) -> Option<Verdict> {
        self.granted = None;
        let mut offered = false;
        let verdict = judge_each(options, |raw, nak| match CcpOption::parse(raw) {
            CcpOption::Mppe(bits) => {
                offered = true;
                self.judge_mppe(bits, nak)
            }
            CcpOption::Unknown { .. } => Judgement::Reject,
        })?;
        if verdict == Verdict::Ack && !offered && self.policy.need == MppeNeed::Required {
            let mut nak = Vec::new();
            if let Some((strength, mode)) = self.wanted {
                CcpOption::Mppe(bits(strength, mode)).emit(&mut nak);
            }
            return Some(Verdict::Nak(nak));
        }
        Some(verdict)
    }

    fn refused(&mut self, nak: bool, options: &[u8], _random: &mut Random) {
        for raw in wire::ppp::options(options).flatten() {
            let CcpOption::Mppe(offered) = CcpOption::parse(raw) else { continue };
            if !nak {
                self.wanted = None;
                return;
            }
            self.preference_told = true;
            let mode = self.mode(offered.contains(MppeBits::STATELESS));
            match self.strongest(offered) {
                Some(strength) => {
                    if self.chosen && self.wanted == Some((strength, mode)) {
                        self.disagreements += 1;
                    }
                    self.wanted = Some((strength, mode));
                    self.chosen = true;
                }
                None => self.disagreements += 1,
            }
        }
    }

    fn restart(&mut self) {
        self.wanted = best(&self.policy);
        self.chosen = false;
        self.granted = None;
        self.disagreements = 0;
        self.preference_told = false;
    }
}

/// The best that a policy allows.
fn best(policy: &MppePolicy) -> Option<(Strength, Mode)> {
    let mode =
        if policy.stateful == Stateful::Preferred { Mode::Stateful } else { Mode::Stateless };
    STRENGTHS
        .iter()
        .map(|(strength, _)| *strength)
        .find(|strength| policy.allows(*strength))
        .map(|strength| (strength, mode))
}

/// The one option value that means just this.
fn bits(strength: Strength, mode: Mode) -> MppeBits {
    let strength = match strength {
        Strength::Bits40 => MppeBits::BITS_40,
        Strength::Bits56 => MppeBits::BITS_56,
        Strength::Bits128 => MppeBits::BITS_128,
    };
    match mode {
        Mode::Stateless => MppeBits(strength.0 | MppeBits::STATELESS.0),
        Mode::Stateful => strength,
    }
}
