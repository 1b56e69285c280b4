//! Rules of iptables, from `iptables-save(8)`.

use std::net::Ipv4Addr;

use super::{Action, Base, Chain, Field, GRE, Hook, Rule, Ruleset, TCP, Term, UDP, Value};

pub(super) fn read(save: &str) -> Ruleset {
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = "";
    for line in save.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim();
        } else if let Some(chain) = line.strip_prefix(':') {
            chains.extend(self::chain(table, chain));
        } else if let Some(rest) = line.strip_prefix("-A ") {
            let words = words(rest);
            let (Some(name), options) = (words.first(), words.get(1..).unwrap_or_default()) else {
                continue;
            };
            let rule = Rule { text: line.to_owned(), ..rule(options) };
            let is_it = |it: &&mut Chain| it.table == table_name(table) && it.name == *name;
            if let Some(chain) = chains.iter_mut().find(is_it) {
                chain.rules.push(rule);
            }
        }
    }
    Ruleset { chains }
}

fn table_name(table: &str) -> String {
    format!("iptables {table}")
}

/// `INPUT DROP [0:0]`
fn chain(table: &str, line: &str) -> Option<Chain> {
    let mut words = line.split_whitespace();
    let (name, policy) = (words.next()?, words.next()?);
    let hook = match name {
        "PREROUTING" => Some(Hook::Prerouting),
        "INPUT" => Some(Hook::Input),
        "FORWARD" => Some(Hook::Forward),
        "OUTPUT" => Some(Hook::Output),
        "POSTROUTING" => Some(Hook::Postrouting),
        _ => None,
    };
    // The order of the tables at a hook (`linux/netfilter_ipv4.h`).
    let priority = match table {
        "raw" => -300,
        "mangle" => -150,
        "nat" => 100,
        "security" => 50,
        _ => 0,
    };
    let (is_nat, drops) = (table == "nat", policy == "DROP");
    let base = hook.map(|hook| Base { hook, priority, is_nat, drops });
    Some(Chain { table: table_name(table), name: name.into(), base, rules: Vec::new() })
}

/// A rule without its text.
fn rule(mut options: &[String]) -> Rule {
    let mut rule = Rule { text: String::new(), terms: Vec::new(), action: Action::Continue };
    let mut negated = false;
    while let [option, rest @ ..] = options {
        options = rest;
        if option == "!" {
            negated = true;
            continue;
        }
        let field = match option.as_str() {
            "-p" | "--protocol" => Some(Field::Protocol),
            "-s" | "--source" => Some(Field::Source),
            "-d" | "--destination" => Some(Field::Destination),
            "-i" | "--in-interface" => Some(Field::Input),
            "-o" | "--out-interface" => Some(Field::Output),
            "--dport" | "--dports" | "--destination-port" => Some(Field::DestinationPort),
            "--sport" | "--sports" | "--source-port" => Some(Field::SourcePort),
            "--state" | "--ctstate" => Some(Field::State),
            _ => None,
        };
        let argument = || rest.first().map(String::as_str).unwrap_or_default();
        if let Some(field) = field {
            let values: Option<Vec<Value>> =
                argument().split(',').map(|text| value(field, text)).collect();
            rule.terms.push(match values {
                Some(values) => Term::Is { field, values, negated },
                None => Term::Unclear,
            });
            options = rest.get(1..).unwrap_or_default();
        } else if let "-j" | "-g" | "--jump" | "--goto" = option.as_str() {
            rule.action = action(argument(), option.contains('g'));
            // What follows are the target's own options.
            break;
        } else if option == "-m" && is_judged(argument()) || option == "--comment" {
            options = rest.get(1..).unwrap_or_default();
        } else if option.starts_with('-') {
            rule.terms.push(Term::Unclear);
        }
        negated = false;
    }
    rule
}

/// Matches whose options are all read here.
fn is_judged(name: &str) -> bool {
    ["tcp", "udp", "state", "conntrack", "multiport", "comment"].contains(&name)
}

pub(super) fn action(target: &str, goes: bool) -> Action {
    match target {
        "ACCEPT" => Action::Accept,
        "DROP" | "REJECT" => Action::Drop,
        "RETURN" => Action::Return,
        "MASQUERADE" | "SNAT" => Action::Translate,
        "LOG" | "NFLOG" | "TCPMSS" | "MARK" | "CONNMARK" | "CT" | "NOTRACK" | "TRACE" | "TOS"
        | "DSCP" | "CLASSIFY" | "CHECKSUM" | "SET" | "TTL" => Action::Continue,
        // Chains of people are rarely all in capitals, targets always are.
        name if goes => Action::Goto(name.into()),
        name => Action::Jump(name.into()),
    }
}

fn value(field: Field, text: &str) -> Option<Value> {
    let number = |text: &str| text.parse::<u32>().ok();
    match field {
        Field::Protocol => Some(match text {
            "tcp" => Value::Range(TCP.into(), TCP.into()),
            "udp" => Value::Range(UDP.into(), UDP.into()),
            "gre" => Value::Range(GRE.into(), GRE.into()),
            "all" | "0" => Value::Range(0, u32::MAX),
            other => number(other).map_or(Value::Range(255, 255), |it| Value::Range(it, it)),
        }),
        Field::Source | Field::Destination => {
            let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
            let address: Ipv4Addr = address.parse().ok()?;
            let bits = match bits.parse::<Ipv4Addr>() {
                Ok(mask) => u32::from(mask).leading_ones(),
                Err(_) => number(bits).filter(|bits| *bits <= 32)?,
            };
            Some(super::network(address, bits))
        }
        Field::SourcePort | Field::DestinationPort => {
            let (low, high) = text.split_once(':').unwrap_or((text, text));
            Some(Value::Range(number(low)?, number(high)?))
        }
        Field::Input | Field::Output => {
            // A + at the end stands for any ending.
            let name = text.strip_suffix('+').map(|beginning| format!("{beginning}*"));
            Some(Value::Name(name.unwrap_or_else(|| text.to_owned())))
        }
        Field::State | Field::Family | Field::EtherType => Some(Value::Name(text.to_owned())),
    }
}

/// Words of a line; quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => word.extend(characters.next()),
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}
