//! A packet's way through the chains.

use super::{Action, Base, Chain, Field, Hook, Packet, Rule, TCP, Term, UDP, Value};

/// The kernel allows jumps this deep (`NFT_JUMP_STACK_SIZE`).
const MAX_DEPTH: usize = 16;
/// Rules that are looked at for one packet; more could only come of a ruleset that was made to be slow.
const MAX_STEPS: usize = 200_000;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Pass,
    /// A rule or a policy drops it.
    Drop(Blame),
    /// A rule cannot be judged, and without it the packet might fare otherwise.
    Unclear(Blame),
}

/// Which rule it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// `inet filter`, `iptables filter`.
    pub table: String,
    /// The base chain in which the packet was, where a rule to let it pass has to stand.
    pub chain: String,
    /// The rule as its program prints it, or the policy.
    pub rule: String,
}

pub(super) fn judge(chains: &[Chain], packet: &Packet, hooks: &[Hook]) -> Verdict {
    let mut unclear = None;
    for hook in hooks {
        for (chain, base) in at(chains, *hook, false) {
            let policy = if base.drops { End::Drop } else { End::Accept };
            let fate = Walk { chains, packet, steps: 0 }.base_chain(chain, policy);
            let blame =
                |rule| Blame { table: chain.table.clone(), chain: chain.name.clone(), rule };
            match (fate.end, fate.doubt()) {
                (_, Some(rule)) => unclear = unclear.or(Some(blame(rule))),
                (End::Drop, None) => return Verdict::Drop(blame(fate.rule)),
                (End::Unclear, None) => unclear = unclear.or(Some(blame(fate.rule))),
                _ => {}
            }
        }
    }
    unclear.map_or(Verdict::Pass, Verdict::Unclear)
}

pub(super) fn translates(chains: &[Chain], packet: &Packet) -> Option<bool> {
    let mut answer = Some(false);
    for (chain, _) in at(chains, Hook::Postrouting, true) {
        let fate = Walk { chains, packet, steps: 0 }.base_chain(chain, End::Accept);
        match (fate.end, fate.doubt()) {
            (End::Translate, None) => return Some(true),
            (_, Some(_)) | (End::Unclear, _) => answer = None,
            _ => {}
        }
    }
    answer
}

/// The base chains at a hook, in the order in which the kernel calls them.
fn at(chains: &[Chain], hook: Hook, nat: bool) -> Vec<(&Chain, Base)> {
    let base = |chain: &'_ Chain| chain.base.filter(|it| it.hook == hook && it.is_nat == nat);
    let mut found: Vec<_> = chains.iter().filter_map(|chain| Some((chain, base(chain)?))).collect();
    found.sort_by_key(|(_, base)| base.priority);
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No rule decided.
    Fall,
    Accept,
    Drop,
    Translate,
    Unclear,
}

/// How a chain ends for a packet, by which rule, and how rules that may apply would have ended it; of each end the first rule.
struct Fate {
    end: End,
    rule: String,
    perhaps: Vec<(End, String)>,
}

impl Fate {
    fn add(&mut self, end: End, rule: &str) {
        if !self.perhaps.iter().any(|(known, _)| *known == end) {
            self.perhaps.push((end, rule.to_owned()));
        }
    }

    /// The rule that makes the end doubtful. One that may apply and leads to the same matters to nobody.
    fn doubt(&self) -> Option<String> {
        let other = self.perhaps.iter().find(|(end, _)| *end != self.end);
        other.map(|(_, rule)| rule.clone())
    }
}

struct Walk<'a> {
    chains: &'a [Chain],
    packet: &'a Packet,
    steps: usize,
}

impl Walk<'_> {
    /// A chain that ends without a decision leaves it to its policy.
    fn base_chain(&mut self, chain: &Chain, policy: End) -> Fate {
        let mut fate = self.chain(chain, 0);
        if fate.end == End::Fall {
            (fate.end, fate.rule) = (policy, format!("the policy of chain {}", chain.name));
        }
        for (end, _) in &mut fate.perhaps {
            if *end == End::Fall {
                *end = policy;
            }
        }
        fate
    }

    fn chain(&mut self, chain: &Chain, depth: usize) -> Fate {
        let mut fate = Fate { end: End::Fall, rule: String::new(), perhaps: Vec::new() };
        for rule in &chain.rules {
            self.steps += 1;
            if depth > MAX_DEPTH || self.steps > MAX_STEPS {
                (fate.end, fate.rule) = (End::Unclear, rule.text.clone());
                return fate;
            }
            let holds = holds(rule, self.packet);
            if holds == Some(false) {
                continue;
            }
            let (end, leaves) = self.act(chain, rule, depth, &mut fate);
            match holds {
                None if leaves => fate.add(end, &rule.text),
                Some(true) if leaves => {
                    (fate.end, fate.rule) = (end, rule.text.clone());
                    return fate;
                }
                _ => {}
            }
        }
        fate
    }

    /// What a rule's action leads to, and whether it ends the chain. Doubts on its way are added to `fate`.
    fn act(&mut self, chain: &Chain, rule: &Rule, depth: usize, fate: &mut Fate) -> (End, bool) {
        let (target, comes_back) = match &rule.action {
            Action::Continue => return (End::Fall, false),
            Action::Return => return (End::Fall, true),
            Action::Accept => return (End::Accept, true),
            Action::Drop => return (End::Drop, true),
            Action::Translate => return (End::Translate, true),
            Action::Unclear => return (End::Unclear, true),
            Action::Jump(target) => (target, true),
            Action::Goto(target) => (target, false),
        };
        let is_it = |it: &&Chain| it.table == chain.table && it.name == *target;
        let Some(called) = self.chains.iter().find(is_it) else { return (End::Unclear, true) };
        let inner = self.chain(called, depth + 1);
        for (end, rule) in &inner.perhaps {
            match end {
                // It would have come back here, and met rules that were not looked at.
                End::Fall if inner.end != End::Fall => fate.add(End::Unclear, rule),
                End::Fall => {}
                end => fate.add(*end, rule),
            }
        }
        (inner.end, inner.end != End::Fall || !comes_back)
    }
}

/// Whether all terms of a rule hold; `None`: perhaps.
fn holds(rule: &Rule, packet: &Packet) -> Option<bool> {
    let mut all = Some(true);
    for term in &rule.terms {
        match term_holds(term, packet) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => all = None,
        }
    }
    all
}

fn term_holds(term: &Term, packet: &Packet) -> Option<bool> {
    let Term::Is { field, values, negated } = term else { return None };
    let address = |address: Option<std::net::Ipv4Addr>| Known::number(address.map(u32::from));
    let port = |port: Option<u16>| match packet.protocol {
        TCP | UDP => Known::number(port.map(u32::from)),
        // A packet without ports fits no rule about ports, also not a negated one.
        _ => Known::Absent,
    };
    let known = match field {
        Field::Protocol => Known::Number(packet.protocol.into()),
        Field::SourcePort => port(packet.source_port),
        Field::DestinationPort => port(packet.destination_port),
        Field::Source => address(packet.source),
        Field::Destination => address(packet.destination),
        Field::Input => Known::Name(&packet.input),
        Field::Output => Known::Name(&packet.output),
        Field::State => Known::Name(match (packet.related, packet.established) {
            (true, _) => "related",
            (_, true) => "established",
            _ => "new",
        }),
        Field::Family => Known::Name("ipv4"),
        Field::EtherType => Known::Name("ip"),
    };
    let found = match known {
        Known::Absent => return Some(false),
        Known::Anything => everything(values).then_some(true),
        Known::Number(number) => Some(values.iter().any(
            |value| matches!(value, Value::Range(low, high) if (*low..=*high).contains(&number)),
        )),
        Known::Name(name) => Some(values.iter().any(|value| match value {
            Value::Name(pattern) => match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => pattern.eq_ignore_ascii_case(name),
            },
            Value::Range(..) => false,
        })),
    };
    found.map(|found| found != *negated)
}

enum Known<'a> {
    Number(u32),
    Name(&'a str),
    Anything,
    Absent,
}

impl Known<'_> {
    fn number(number: Option<u32>) -> Self {
        number.map_or(Self::Anything, Self::Number)
    }
}

fn everything(values: &[Value]) -> bool {
    values.contains(&Value::Range(0, u32::MAX))
}
