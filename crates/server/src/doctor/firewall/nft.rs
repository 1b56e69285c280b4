//! Rules of nftables, from its JSON (`libnftables-json(5)`).

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde_json::Value as Json;

use super::{
    Action, Base, Chain, Field, GRE, Hook, Rule, Ruleset, TCP, Term, UDP, Value, iptables,
};

/// Families whose rules IPv4 packets meet.
const FAMILIES: [&str; 2] = ["ip", "inet"];

pub(super) fn read(json: &str, listing: &str) -> Result<Ruleset, String> {
    let json: Json = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let objects = json["nftables"].as_array().ok_or("no list \"nftables\"")?;
    let mut reader = Reader { sets: HashMap::new(), texts: texts(listing), chains: Vec::new() };
    // Chains and rules refer to sets, and rules to chains, whatever the order in which they come.
    for object in objects {
        for kind in ["set", "map"] {
            reader.set(&object[kind]);
        }
        reader.chain(&object["chain"]);
    }
    for object in objects {
        reader.rule(&object["rule"]);
    }
    Ok(Ruleset { chains: reader.chains })
}

struct Reader {
    /// Elements of named sets, by table and name.
    sets: HashMap<(String, String), Vec<Json>>,
    /// Rules' texts, by table and handle.
    texts: HashMap<(String, String), String>,
    chains: Vec<Chain>,
}

impl Reader {
    fn set(&mut self, set: &Json) {
        if let (Some(table), Some(name)) = (table(set), set["name"].as_str()) {
            let elements = set["elem"].as_array().cloned().unwrap_or_default();
            self.sets.insert((table, name.to_owned()), elements);
        }
    }

    fn chain(&mut self, chain: &Json) {
        let (Some(table), Some(name)) = (table(chain), chain["name"].as_str()) else { return };
        let hook = match chain["hook"].as_str() {
            Some("prerouting") => Some(Hook::Prerouting),
            Some("input") => Some(Hook::Input),
            Some("forward") => Some(Hook::Forward),
            Some("output") => Some(Hook::Output),
            Some("postrouting") => Some(Hook::Postrouting),
            _ => None,
        };
        let base = hook.map(|hook| Base {
            hook,
            priority: chain["prio"].as_i64().unwrap_or(0),
            is_nat: chain["type"] == "nat",
            drops: chain["policy"] == "drop",
        });
        self.chains.push(Chain { table, name: name.to_owned(), base, rules: Vec::new() });
    }

    fn rule(&mut self, rule: &Json) {
        let (Some(table), Some(name)) = (table(rule), rule["chain"].as_str()) else { return };
        let handle = rule["handle"].to_string();
        let known = self.texts.get(&(table.clone(), handle.clone())).cloned();
        let text = known.unwrap_or_else(|| format!("the rule with handle {handle}"));
        let empty = Vec::new();
        let statements = rule["expr"].as_array().unwrap_or(&empty);
        let rules = self.rules(&table, &text, statements);
        let is_it = |it: &&mut Chain| it.table == table && it.name == name;
        if let Some(chain) = self.chains.iter_mut().find(is_it) {
            chain.rules.extend(rules);
        }
    }

    /// A rule as one or, with a verdict map, as several.
    fn rules(&self, table: &str, text: &str, statements: &[Json]) -> Vec<Rule> {
        let mut terms = Vec::new();
        let rule =
            |terms: &[Term], action| Rule { text: text.to_owned(), terms: terms.to_vec(), action };
        for (place, statement) in statements.iter().enumerate() {
            let Some((kind, body)) = statement.as_object().and_then(|it| it.iter().next()) else {
                continue;
            };
            match kind.as_str() {
                "match" => self.matches(table, body, &mut terms),
                "vmap" => {
                    return self
                        .verdict_map(table, body)
                        .into_iter()
                        .map(|(term, action)| rule(&[&terms[..], &[term]].concat(), action))
                        .collect();
                }
                "xt" => match (body["type"].as_str(), body["name"].as_str()) {
                    (Some("target"), Some(name)) => {
                        return vec![rule(&terms, iptables::action(name, false))];
                    }
                    // Older programs do not say what it is; a target is the last.
                    (None, _) if place + 1 == statements.len() => {
                        return vec![rule(&terms, Action::Unclear)];
                    }
                    _ => terms.push(Term::Unclear),
                },
                "limit" | "quota" | "connlimit" | "ct count" => terms.push(Term::Unclear),
                // They change or tell something, and the next statement follows.
                "counter" | "log" | "mangle" | "notrack" | "set" | "comment" | "ct helper"
                | "ct timeout" | "ct expectation" | "flow" | "last" | "meter" => {}
                _ => return vec![rule(&terms, action(kind, body))],
            }
        }
        vec![rule(&terms, Action::Continue)]
    }

    fn matches(&self, table: &str, body: &Json, terms: &mut Vec<Term>) {
        terms.extend(dependency(&body["left"]));
        let negated = match body["op"].as_str() {
            Some("==" | "in") => false,
            Some("!=") => true,
            _ => return terms.push(Term::Unclear),
        };
        let (Some(field), Some(values)) =
            (field(&body["left"]), self.values(table, &body["right"]))
        else {
            return terms.push(Term::Unclear);
        };
        // A translated destination is a state that our packets are not in; of others nothing is known.
        let translated =
            |value: &Value| matches!(value, Value::Name(name) if name.ends_with("nat"));
        if body["left"]["ct"]["key"] == "status" && !values.iter().all(translated) {
            return terms.push(Term::Unclear);
        }
        terms.push(Term::Is { field, values, negated });
    }

    fn verdict_map(&self, table: &str, body: &Json) -> Vec<(Term, Action)> {
        let unclear = || vec![(Term::Unclear, Action::Unclear)];
        let elements = match &body["data"] {
            Json::String(name) => self.named(table, name),
            data => data["set"].as_array(),
        };
        let (Some(field), None, Some(elements)) =
            (field(&body["key"]), dependency(&body["key"]), elements)
        else {
            return unclear();
        };
        let mut map = Vec::new();
        for element in elements {
            let verdict = element[1].as_object().and_then(|it| it.iter().next());
            let Some((kind, body)) = verdict else { return unclear() };
            let action = action(kind, body);
            map.push(match self.values(table, &element[0]) {
                Some(values) => (Term::Is { field, values, negated: false }, action),
                None => (Term::Unclear, action),
            });
        }
        map
    }

    fn named(&self, table: &str, name: &str) -> Option<&Vec<Json>> {
        self.sets.get(&(table.to_owned(), name.strip_prefix('@')?.to_owned()))
    }

    fn values(&self, table: &str, json: &Json) -> Option<Vec<Value>> {
        if let Some(name) = json.as_str().filter(|text| text.starts_with('@')) {
            let elements = self.named(table, name)?;
            return elements.iter().map(value).collect();
        }
        match json.as_array().or(json["set"].as_array()) {
            Some(elements) => elements.iter().map(value).collect(),
            None => Some(vec![value(json)?]),
        }
    }
}

fn table(object: &Json) -> Option<String> {
    let (family, table) = (object["family"].as_str()?, object["table"].as_str()?);
    FAMILIES.contains(&family).then(|| format!("{family} {table}"))
}

/// What an expression about a protocol's own header asks of the packet by itself.
fn dependency(left: &Json) -> Option<Term> {
    let number = match left["payload"]["protocol"].as_str()? {
        "tcp" => Some(TCP),
        "udp" => Some(UDP),
        "icmp" => Some(1),
        "igmp" => Some(2),
        "dccp" => Some(33),
        "esp" => Some(50),
        "ah" => Some(51),
        "icmpv6" => Some(58),
        "sctp" => Some(132),
        "udplite" => Some(136),
        // Packets here are IPv4.
        "ip6" | "arp" => None,
        _ => return None,
    };
    let values = number.map(|number| Value::Range(number.into(), number.into()));
    let values = values.into_iter().collect();
    Some(Term::Is { field: Field::Protocol, values, negated: false })
}

/// The field that an expression reads.
fn field(left: &Json) -> Option<Field> {
    if let Some(key) = left["meta"]["key"].as_str() {
        return match key {
            "l4proto" => Some(Field::Protocol),
            "iifname" | "iif" => Some(Field::Input),
            "oifname" | "oif" => Some(Field::Output),
            "nfproto" => Some(Field::Family),
            "protocol" => Some(Field::EtherType),
            _ => None,
        };
    }
    if let Some("state" | "status") = left["ct"]["key"].as_str() {
        return Some(Field::State);
    }
    let payload = &left["payload"];
    match (payload["protocol"].as_str()?, payload["field"].as_str()?) {
        ("ip", "protocol") => Some(Field::Protocol),
        ("ip", "saddr") => Some(Field::Source),
        ("ip", "daddr") => Some(Field::Destination),
        ("th" | "tcp" | "udp", "dport") => Some(Field::DestinationPort),
        ("th" | "tcp" | "udp", "sport") => Some(Field::SourcePort),
        _ => None,
    }
}

fn value(json: &Json) -> Option<Value> {
    if let Some(number) = json.as_u64() {
        let number = u32::try_from(number).ok()?;
        return Some(Value::Range(number, number));
    }
    if let Some(range) = json["range"].as_array() {
        return match (value(range.first()?)?, value(range.get(1)?)?) {
            (Value::Range(low, _), Value::Range(high, _)) => Some(Value::Range(low, high)),
            _ => None,
        };
    }
    if !json["prefix"].is_null() {
        let address: Ipv4Addr = json["prefix"]["addr"].as_str()?.parse().ok()?;
        let bits = u32::try_from(json["prefix"]["len"].as_u64()?).ok().filter(|it| *it <= 32)?;
        return Some(super::network(address, bits));
    }
    // An element with a comment, a timeout or a counter.
    if !json["elem"].is_null() {
        return value(&json["elem"]["val"]);
    }
    let text = json.as_str()?;
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Value::Range(address.into(), address.into()));
    }
    Some(match text {
        "tcp" => Value::Range(TCP.into(), TCP.into()),
        "udp" => Value::Range(UDP.into(), UDP.into()),
        "gre" => Value::Range(GRE.into(), GRE.into()),
        // Whatever else it is called, it is none of these three.
        "icmp" | "esp" | "ah" | "sctp" | "icmpv6" | "ipv6-icmp" | "udplite" | "dccp" | "igmp" => {
            Value::Range(255, 255)
        }
        name => Value::Name(name.to_owned()),
    })
}

fn action(kind: &str, body: &Json) -> Action {
    let target = || body["target"].as_str().unwrap_or_default().to_owned();
    match kind {
        "accept" => Action::Accept,
        "drop" | "reject" => Action::Drop,
        "return" => Action::Return,
        "continue" => Action::Continue,
        "jump" => Action::Jump(target()),
        "goto" => Action::Goto(target()),
        "masquerade" | "snat" => Action::Translate,
        _ => Action::Unclear,
    }
}

/// Rules' texts by table and handle.
fn texts(listing: &str) -> HashMap<(String, String), String> {
    let mut texts = HashMap::new();
    let mut table = String::new();
    for line in listing.lines() {
        let Some((text, handle)) = line.trim().rsplit_once(" # handle ") else { continue };
        match text.strip_prefix("table ") {
            Some(name) => table = name.trim_end_matches('{').trim().to_owned(),
            None if !text.ends_with('{') => {
                texts.insert((table.clone(), handle.to_owned()), text.to_owned());
            }
            None => {}
        }
    }
    texts
}
