//! What this host's packet filter does with a packet, without sending it: the rules of nftables and iptables in one model.
//!
//! Judging has three values. A term that cannot be judged may hold or not; the answer is [`Verdict::Unclear`] when that matters.

mod iptables;
mod nft;
mod walk;

use std::net::Ipv4Addr;

pub use walk::{Blame, Verdict};

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IP protocol number of GRE.
pub const GRE: u8 = 47;

/// Where in the kernel a chain is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// As a packet comes in, before it is routed.
    Prerouting,
    /// To this host itself.
    Input,
    /// Through this host.
    Forward,
    /// From this host itself.
    Output,
    /// As a packet leaves.
    Postrouting,
}

/// A packet, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// IP protocol number.
    pub protocol: u8,
    /// Source port of TCP or UDP.
    pub source_port: Option<u16>,
    /// Destination port of TCP or UDP.
    pub destination_port: Option<u16>,
    /// Who sends it; `None`: anybody.
    pub source: Option<Ipv4Addr>,
    /// Whom it is for; `None`: anybody.
    pub destination: Option<Ipv4Addr>,
    /// The interface that it comes by; empty: none.
    pub input: String,
    /// The interface that it leaves by; empty: none.
    pub output: String,
    /// Whether it belongs to a connection that the kernel knows.
    pub established: bool,
    /// Whether a helper of the kernel's has announced it, as that for PPTP does with GRE.
    pub related: bool,
}

/// All rules of a kind of packet filter.
#[derive(Clone, Debug, Default)]
pub struct Ruleset {
    chains: Vec<Chain>,
}

#[derive(Clone, Debug)]
struct Chain {
    /// What tells its rules' tables apart: `inet filter`, `iptables filter`.
    table: String,
    name: String,
    base: Option<Base>,
    rules: Vec<Rule>,
}

/// Where a chain is called from outside of all chains.
#[derive(Clone, Copy, Debug)]
struct Base {
    hook: Hook,
    priority: i64,
    is_nat: bool,
    drops: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    /// As its program prints it.
    text: String,
    terms: Vec<Term>,
    action: Action,
}

/// What has to hold for a rule's action.
#[derive(Clone, Debug)]
enum Term {
    Is {
        field: Field,
        values: Vec<Value>,
        negated: bool,
    },
    /// It depends on what is not known here.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Protocol,
    SourcePort,
    DestinationPort,
    Source,
    Destination,
    Input,
    Output,
    State,
    /// `ipv4`, nftables' word for the family.
    Family,
    /// `ip`, nftables' word for the Ethernet protocol.
    EtherType,
}

/// Numbers, addresses as numbers, or a name; a name that ends in `*` stands for all that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Range(u32, u32),
    Name(String),
}

#[derive(Clone, Debug)]
enum Action {
    /// The next rule.
    Continue,
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
    /// The source address becomes one of this host's.
    Translate,
    /// It goes elsewhere, or is judged by a program.
    Unclear,
}

impl Ruleset {
    /// Reads what `nft -j list ruleset` prints; `listing` is what `nft -a list ruleset` prints, for rules' texts.
    ///
    /// # Errors
    ///
    /// When it is no JSON of that shape.
    pub fn from_nft(json: &str, listing: &str) -> Result<Self, String> {
        nft::read(json, listing)
    }

    /// Reads what `iptables-save` prints. What it cannot read counts as unclear.
    #[must_use]
    pub fn from_iptables(save: &str) -> Self {
        iptables::read(save)
    }

    /// Adds the rules of another kind of filter: a packet has to pass both.
    pub fn extend(&mut self, other: Self) {
        self.chains.extend(other.chains);
    }

    /// What becomes of a packet that meets these hooks, in order.
    #[must_use]
    pub fn judge(&self, packet: &Packet, hooks: &[Hook]) -> Verdict {
        walk::judge(&self.chains, packet, hooks)
    }

    /// Whether a rule gives a connection a helper.
    #[must_use]
    pub fn gives_helper(&self) -> bool {
        let mut rules = self.chains.iter().flat_map(|chain| &chain.rules);
        rules.any(|rule| rule.text.contains("helper"))
    }

    /// Whether the packet's source address is translated as it leaves. `None`: that cannot be judged.
    #[must_use]
    pub fn translates(&self, packet: &Packet) -> Option<bool> {
        walk::translates(&self.chains, packet)
    }
}

/// The addresses of a network.
fn network(address: Ipv4Addr, bits: u32) -> Value {
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    let first = u32::from(address) & mask;
    Value::Range(first, first | !mask)
}

#[cfg(test)]
mod tests;
