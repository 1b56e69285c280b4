//! IPV6CP's one option (RFC 5072 §4.1).

use alloc::vec::Vec;

use wire::ipv6cp::Ipv6cpOption;
use wire::ppp::Protocol;

use super::control_protocol::{Judgement, Negotiation, Verdict, judge_each};
use super::{InterfaceIds, Ipv6Agreed};
use crate::Random;

/// Both ends' interface identifiers.
#[derive(Debug)]
pub(crate) struct Ipv6cp {
    ours: [u8; 8],
    peer: [u8; 8],
    /// What the peer is to take, until it has been told so.
    wanted: Option<[u8; 8]>,
}

impl Ipv6cp {
    pub(crate) fn new(ids: InterfaceIds, random: &mut Random) -> Self {
        let ours = ids.ours.unwrap_or_else(|| identifier(random));
        Self { ours, peer: [0; 8], wanted: ids.peers }
    }

    /// The identifiers, once open; `None` while the peer has given none.
    pub(crate) fn agreed(&self) -> Option<Ipv6Agreed> {
        (self.peer != [0; 8]).then_some(Ipv6Agreed { local_id: self.ours, remote_id: self.peer })
    }
}

impl Negotiation for Ipv6cp {
    const PROTOCOL: Protocol = Protocol::IPV6CP;

    fn request(&self, out: &mut Vec<u8>) {
        Ipv6cpOption::InterfaceId(self.ours).emit(out);
    }

    fn judge(&mut self, options: &[u8], random: &mut Random) -> Option<Verdict> {
        self.peer = [0; 8];
        judge_each(options, |raw, nak| match Ipv6cpOption::parse(raw) {
            Ipv6cpOption::InterfaceId(id)
                if id == [0; 8]
                    || id == self.ours
                    || self.wanted.is_some_and(|wanted| wanted != id) =>
            {
                let proposed = self.wanted.take().filter(|wanted| *wanted != self.ours);
                Ipv6cpOption::InterfaceId(proposed.unwrap_or_else(|| identifier(random))).emit(nak);
                Judgement::Nak
            }
            Ipv6cpOption::InterfaceId(id) => {
                self.peer = id;
                Judgement::Ack
            }
            Ipv6cpOption::Unknown { .. } => Judgement::Reject,
        })
    }

    fn refused(&mut self, nak: bool, options: &[u8], random: &mut Random) {
        for raw in wire::ppp::options(options).flatten() {
            if let (true, Ipv6cpOption::InterfaceId(id)) = (nak, Ipv6cpOption::parse(raw)) {
                let usable = id != [0; 8] && id != self.peer;
                self.ours = if usable { id } else { identifier(random) };
            }
        }
    }
}

/// A random identifier: not zero, and without the universal bit (RFC 5072 §4.1).
fn identifier(random: &mut Random) -> [u8; 8] {
    let mut id = [0; 8];
    random.fill(&mut id);
    id[0] &= !0x02;
    id[7] |= 1;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_insists_on_its_interface_identifier_has_it() {
        let its_own = [2; 8];
        let mut ipv6cp = Ipv6cp::new(
            InterfaceIds { ours: None, peers: Some([0xb; 8]) },
            &mut Random::new([0; 32]),
        );
        let mut option = Vec::new();
        Ipv6cpOption::InterfaceId(its_own).emit(&mut option);
        let mut proposal = Vec::new();
        Ipv6cpOption::InterfaceId([0xb; 8]).emit(&mut proposal);
        let random = &mut Random::new([1; 32]);
        assert_eq!(ipv6cp.judge(&option, random), Some(Verdict::Nak(proposal)));
        assert_eq!(ipv6cp.judge(&option, random), Some(Verdict::Ack));
        assert_eq!(ipv6cp.agreed().unwrap().remote_id, its_own);
    }
}
