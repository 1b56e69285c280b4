//! The addresses column: which addresses a client may have.

use std::net::Ipv4Addr;

/// One word of the addresses column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// Whether it forbids (`!`).
    pub deny: bool,
    /// What it is about.
    pub what: AddressSet,
}

/// The addresses that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSet {
    /// `*`: any; ends the list.
    Any,
    /// `-`: none; ends the list.
    None,
    /// `HOST`, or `HOST/BITS`.
    Net {
        /// An address of it.
        host: Host,
        /// Length of the prefix in bits, 1 to 32; 32 is a single host.
        bits: u8,
        /// `HOST/BITS+`: only the address whose host part is the session's number plus one.
        by_unit: bool,
    },
}

/// An address, or a name for one that is looked up when a user logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(Ipv4Addr),
    /// A name.
    Name(String),
}

impl AddressRule {
    /// Reads a word.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word {
            "*" => return Ok(Self { deny: false, what: AddressSet::Any }),
            "-" => return Ok(Self { deny: false, what: AddressSet::None }),
            _ => {}
        }
        let (deny, rest) = match word.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let (host, bits) = rest.split_once('/').unwrap_or((rest, "32"));
        let (bits, by_unit) = match bits.strip_suffix('+') {
            Some(bits) => (bits, true),
            None => (bits, false),
        };
        let length = bits.parse().ok().filter(|bits| (1..=32).contains(bits));
        let Some(bits) = length else {
            return Err(format!("{bits:?} is no length of a network's prefix: 1 to 32"));
        };
        let what = AddressSet::Net { host: Host::parse(host)?, bits, by_unit };
        Ok(Self { deny, what })
    }

    /// Whether it allows a single address, which then is the client's own.
    pub(crate) fn is_single_host(&self) -> bool {
        let AddressSet::Net { bits, by_unit, .. } = &self.what else { return false };
        !self.deny && (*bits == 32 || *by_unit)
    }

    /// Whether it is about all addresses or none, so that what follows does not count.
    pub(crate) fn ends_list(&self) -> bool {
        matches!(self.what, AddressSet::Any | AddressSet::None)
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            && text.contains(|c: char| c.is_ascii_alphabetic());
        if is_name {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err(format!("{text:?} is neither an IPv4 address nor the name of a host"))
        }
    }
}

/// Which addresses a client may have, in the list's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules(pub Vec<AddressRule>);

impl AddressRules {
    /// The rules with addresses in place of hosts' names. A rule whose host is not found is left out, as pppd does.
    pub(super) fn resolved(&self, resolve: &dyn Fn(&str) -> Option<Ipv4Addr>) -> Self {
        let mut rules = Vec::with_capacity(self.0.len());
        for rule in &self.0 {
            let mut rule = rule.clone();
            if let AddressSet::Net { host, .. } = &mut rule.what
                && let Host::Name(name) = host
            {
                let Some(address) = resolve(name) else { continue };
                *host = Host::Address(address);
            }
            rules.push(rule);
        }
        Self(rules)
    }

    /// Puts more rules behind these (pppd's `allow-ip`). A rule whose host is not found is left out, as pppd does.
    pub fn append(&mut self, more: &[AddressRule], resolve: &dyn Fn(&str) -> Option<Ipv4Addr>) {
        self.0.extend(Self(more.to_vec()).resolved(resolve).0);
    }

    /// The client's address: `suggested` if the rules allow it, else the first single address of the list that they allow; `None` when
    /// they allow neither. `unit` is the session's number.
    pub fn choose_address(&self, suggested: Ipv4Addr, unit: u32) -> Option<Ipv4Addr> {
        if self.allows(suggested, unit) {
            return Some(suggested);
        }
        self.0
            .iter()
            .filter(|rule| !rule.deny)
            .filter_map(|rule| match rule.what {
                AddressSet::Net { host: Host::Address(first), bits, by_unit } => {
                    match net(first, bits, by_unit, unit)? {
                        (address, 32) => Some(address),
                        _ => None,
                    }
                }
                _ => None,
            })
            .find(|address| self.allows(*address, unit))
    }

    /// The first rule that is about the address decides; at the end of the list it is refused.
    fn allows(&self, address: Ipv4Addr, unit: u32) -> bool {
        let never = address.is_loopback() || address.is_multicast() || address.octets()[0] >= 240;
        if never || address.is_unspecified() {
            return false;
        }
        for rule in &self.0 {
            let hit = match rule.what {
                AddressSet::Any => true,
                AddressSet::None => return false,
                AddressSet::Net { host: Host::Name(_), .. } => false,
                AddressSet::Net { host: Host::Address(first), bits, by_unit } => {
                    net(first, bits, by_unit, unit).is_some_and(|(first, bits)| {
                        u32::from(address) & mask(bits) == u32::from(first) & mask(bits)
                    })
                }
            };
            if hit {
                return !rule.deny;
            }
        }
        false
    }
}

/// The network of a rule: with `+` the one address that the session's number makes, if the network has room for it.
fn net(first: Ipv4Addr, bits: u8, by_unit: bool, unit: u32) -> Option<(Ipv4Addr, u8)> {
    if !by_unit {
        return Some((first, bits));
    }
    let host = unit.checked_add(1).filter(|host| *host < !mask(bits))?;
    Some((Ipv4Addr::from((u32::from(first) & mask(bits)) | host), 32))
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(words: &str) -> AddressRules {
        AddressRules(
            words.split_whitespace().map(|word| AddressRule::parse(word).unwrap()).collect(),
        )
    }

    fn choose(words: &str, suggested: &str, unit: u32) -> Option<String> {
        let chosen = rules(words).choose_address(suggested.parse().unwrap(), unit);
        chosen.map(|address| address.to_string())
    }

    #[test]
    fn the_first_rule_about_an_address_decides() {
        assert_eq!(choose("!10.0.0.7 10.0.0.0/24", "10.0.0.8", 0).unwrap(), "10.0.0.8");
        assert_eq!(choose("!10.0.0.7 10.0.0.0/24", "10.0.0.7", 0), None);
        assert_eq!(choose("", "10.0.0.8", 0), None);
        assert_eq!(choose("-", "10.0.0.8", 0), None);
        assert_eq!(choose("- 10.0.0.8", "10.0.0.8", 0), None);
        assert_eq!(choose("*", "10.0.0.8", 0).unwrap(), "10.0.0.8");
    }

    #[test]
    fn loopback_multicast_and_class_e_are_never_allowed() {
        for address in ["127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "0.0.0.0"] {
            assert_eq!(choose("*", address, 0), None, "{address}");
        }
    }

    #[test]
    fn a_single_address_of_the_list_replaces_one_that_is_not_allowed() {
        assert_eq!(choose("10.1.0.9", "10.0.0.8", 0).unwrap(), "10.1.0.9");
        assert_eq!(choose("10.1.0.9/32", "10.0.0.8", 0).unwrap(), "10.1.0.9");
        assert_eq!(choose("10.2.0.0/24 10.1.0.9", "10.0.0.8", 0).unwrap(), "10.1.0.9");
        assert_eq!(choose("10.1.0.9", "0.0.0.0", 0).unwrap(), "10.1.0.9");
    }

    #[test]
    fn a_plus_makes_the_address_of_the_sessions_number_where_the_network_has_room() {
        assert_eq!(choose("10.2.0.0/24+", "10.0.0.8", 4).unwrap(), "10.2.0.5");
        assert_eq!(choose("10.2.0.0/24+", "10.2.0.9", 4).unwrap(), "10.2.0.5");
        assert_eq!(choose("10.2.0.0/24+", "10.0.0.8", 253).unwrap(), "10.2.0.254");
        assert_eq!(choose("10.2.0.0/24+", "10.0.0.8", 254), None);
        assert_eq!(choose("10.2.0.0/32+", "10.0.0.8", 0), None);
    }

    #[test]
    fn more_rules_count_where_the_first_ones_say_nothing() {
        let mut list = rules("!10.0.0.7 10.0.0.0/24");
        list.append(&rules("10.0.0.7 lost 10.1.0.9").0, &|_| None);
        assert_eq!(list.choose_address(Ipv4Addr::new(10, 0, 0, 7), 0), Some([10, 1, 0, 9].into()));
        assert_eq!(list.choose_address(Ipv4Addr::new(10, 0, 0, 8), 0), Some([10, 0, 0, 8].into()));
    }

    #[test]
    fn words_that_are_no_rules_are_refused() {
        for word in ["10.0.0.0/0", "10.0.0.0/33", "10.0.0.0/x", "!*", "!-", "10.0.0.256", "", "a b"]
        {
            assert!(AddressRule::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn names_are_looked_up_and_left_out_when_they_are_not_found() {
        let resolve = |name: &str| (name == "desk").then_some(Ipv4Addr::new(10, 0, 0, 4));
        let rules = rules("!lost desk").resolved(&resolve);
        assert_eq!(rules.0.len(), 1);
        assert_eq!(rules.choose_address(Ipv4Addr::UNSPECIFIED, 0), resolve("desk"));
    }
}
