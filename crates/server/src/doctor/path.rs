//! The way to a PPTP server of any make, examined from a client's place.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use crypto::Password;
use engine::auth::Method;
use engine::ppp::{MppeNeed, MppePolicy, Stateful};
use wire::ccp::MppeBits;

use super::firewall::{GRE, Hook, Packet, Ruleset, TCP, Verdict};
use super::{Check, Outcome};
use crate::connect::{self, Failure, Found, Goal, METHODS, Options, Progress, Stage};
use crate::event::Bus;

/// What is to be examined.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host` or `host:port`.
    pub server: String,
    /// Who logs in, and with what; without it authentication is not tried.
    pub login: Option<(String, Password)>,
    /// How long each stage may take.
    pub patience: Duration,
    /// Where changes to this host are noted.
    pub state_dir: PathBuf,
}

/// Where the trouble lies, as far as that can be told from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
    ThisHost,
    /// A firewall or router between, or the server's own firewall: from here they look the same.
    Way,
    Server,
}

impl Hop {
    fn words(self) -> &'static str {
        match self {
            Self::ThisHost => "this host",
            Self::Way => "on the way, or the server's firewall",
            Self::Server => "the server",
        }
    }
}

/// A connection to the server, as far as it came.
struct Attempt {
    reached: Vec<Progress>,
    found: Found,
    failure: Option<Failure>,
}

/// Calls the server several times: once for each way to authenticate, without logging in, and once to log in, if `target` says who. `rules` are
/// those of this host's packet filter, if they are known.
#[must_use]
pub fn examine_path(target: &Target, rules: Option<&Ruleset>) -> Vec<Check> {
    let first = call(target, METHODS.to_vec(), Goal::Link { sizes: true });
    let mut checks = stages(target, &first, rules);
    if first.failure.is_some() {
        return checks;
    }
    checks.push(sizes(&first.found));
    checks.push(authentication(&first.found, |method| {
        call(target, vec![method], Goal::Link { sizes: false })
    }));
    match &target.login {
        Some(_) => {
            let last = call(target, METHODS.to_vec(), Goal::Tunnel);
            checks.extend(login(&last));
        }
        None => {
            let text = "not tried: it takes part in a login; say --user";
            checks.push(Check::unknown("encryption", "encryption is agreed on", text));
        }
    }
    checks
}

fn call(target: &Target, methods: Vec<Method>, goal: Goal) -> Attempt {
    let (user, password) = match &target.login {
        Some((user, password)) if goal == Goal::Tunnel => {
            (user.as_bytes().to_vec(), password.clone())
        }
        _ => (Vec::new(), Password::from(String::new())),
    };
    let options = Options {
        server: target.server.clone(),
        user,
        password,
        methods,
        mppe: MppePolicy {
            need: MppeNeed::Allowed,
            stateful: Stateful::Allowed,
            ..MppePolicy::REQUIRE_128
        },
        interface: None,
        routes: Vec::new(),
        naive_io: false,
        packets: config::Packets::default(),
        goal,
        patience: target.patience,
        state_dir: target.state_dir.clone(),
    };
    let (mut reached, mut found) = (Vec::new(), Found::default());
    let note = |progress: &Progress| reached.push(progress.clone());
    let failure = connect::examine(&options, &Bus::new(Vec::new()), note, &mut found).err();
    Attempt { reached, found, failure }
}

/// The stages up to LCP: id, title.
const STAGES: [(Stage, &str, &str); 6] = [
    (Stage::Name, "name", "the server's name has an address"),
    (Stage::Tcp, "tcp", "TCP reaches the server"),
    (Stage::Control, "control", "it speaks PPTP"),
    (Stage::Call, "call", "it takes a call"),
    (Stage::Gre, "gre", "GRE comes from the server"),
    (Stage::Lcp, "lcp", "GRE reaches the server, and PPP opens"),
];

fn stages(target: &Target, attempt: &Attempt, rules: Option<&Ruleset>) -> Vec<Check> {
    let mut checks = Vec::new();
    for (stage, id, title) in STAGES {
        if let Some(reached) = attempt.reached.iter().find(|progress| progress.stage == stage) {
            let milliseconds = reached.after.as_millis();
            let detail = match reached.detail.as_str() {
                "" => String::new(),
                detail => format!(": {detail}"),
            };
            checks.push(Check::fine(id, title, format!("after {milliseconds} ms{detail}")));
        } else if let Some(failure) = &attempt.failure {
            checks.push(trouble(id, title, failure, attempt, rules, &target.server));
            break;
        }
    }
    checks
}

fn trouble(
    id: &'static str,
    title: &'static str,
    failure: &Failure,
    attempt: &Attempt,
    rules: Option<&Ruleset>,
    server: &str,
) -> Check {
    let own = own_rules(failure.stage, attempt, rules);
    let hop = match &own {
        Some(_) => Hop::ThisHost,
        None => hop(failure, &attempt.found),
    };
    let mut text = format!("{}: {}", hop.words(), failure.message);
    if failure.stage == Stage::Lcp {
        text.push_str(": ours do not reach the server, or it does not answer them");
    }
    if let Some(rule) = own {
        text.push_str(&format!("; {rule}"));
    }
    if let Some(error) = &attempt.found.not_sent {
        text.push_str(&format!("; this host could not send GRE: {error}"));
    }
    Check::trouble(id, title, text, advice(failure.stage, hop, server))
}

/// A rule of this host's own that drops what was missing.
fn own_rules(stage: Stage, attempt: &Attempt, rules: Option<&Ruleset>) -> Option<String> {
    let rules = rules?;
    let server = attempt.reached.iter().find(|progress| progress.stage == Stage::Name)?;
    let (address, port) = server.detail.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let protocol = match stage {
        Stage::Tcp => TCP,
        Stage::Gre | Stage::Lcp => GRE,
        _ => return None,
    };
    let out = Packet {
        protocol,
        destination: Some(address),
        destination_port: port.parse().ok(),
        ..Packet::default()
    };
    let back = Packet {
        protocol,
        source: Some(address),
        source_port: port.parse().ok(),
        established: true,
        ..Packet::default()
    };
    let ways = [(out, [Hook::Output, Hook::Postrouting]), (back, [Hook::Prerouting, Hook::Input])];
    ways.iter().find_map(|(packet, hooks)| match rules.judge(packet, hooks) {
        Verdict::Drop(blame) => {
            Some(format!("dropped in table {} by: {}", blame.table, blame.rule))
        }
        _ => None,
    })
}

fn hop(failure: &Failure, found: &Found) -> Hop {
    let says = |words: &[&str]| words.iter().any(|word| failure.message.contains(word));
    match failure.stage {
        Stage::Name | Stage::Interface => Hop::ThisHost,
        _ if found.not_sent.is_some() => Hop::ThisHost,
        _ if says(&["raw GRE socket", "not permitted", "Network is unreachable"]) => Hop::ThisHost,
        Stage::Tcp if says(&["refuses"]) => Hop::Server,
        Stage::Tcp | Stage::Gre | Stage::Lcp => Hop::Way,
        _ => Hop::Server,
    }
}

fn advice(stage: Stage, hop: Hop, server: &str) -> String {
    let host = server.split(':').next().unwrap_or(server);
    match (stage, hop) {
        (Stage::Name, _) => format!("getent ahostsv4 {host}"),
        (Stage::Tcp | Stage::Control, Hop::ThisHost) => format!("ip route get {host}; nft list ruleset"),
        (_, Hop::ThisHost) => "nft list ruleset; run this as root".into(),
        (Stage::Tcp, Hop::Server) => "on the server: gretel doctor".into(),
        (Stage::Tcp, Hop::Way) => format!("traceroute -T -p 1723 {host}"),
        (Stage::Gre | Stage::Lcp, _) => {
            "on the server: tcpdump -ni any ip proto 47; what does not show there is lost on the way".into()
        }
        _ => "look at the server's log".into(),
    }
}

fn sizes(found: &Found) -> Check {
    const ID: &str = "mtu";
    const TITLE: &str = "long packets come through";
    match (found.largest, found.lost) {
        (Some(largest), None) => {
            let text = format!("packets of up to {largest} bytes came back");
            Check::fine(ID, TITLE, text)
        }
        (Some(largest), Some(lost)) => {
            let text = format!(
                "{}: packets of {largest} bytes came back, and those of {lost} and more did not",
                Hop::Way.words()
            );
            // What a full packet has before its payload.
            let mtu = largest.saturating_sub(40);
            Check::trouble(ID, TITLE, text, format!("on both ends: mtu {mtu} and mru {mtu}"))
        }
        (None, _) => Check::unknown(ID, TITLE, "the server answers no Echo-Request with data"),
    }
}

fn authentication(first: &Found, try_one: impl Fn(Method) -> Attempt) -> Check {
    const ID: &str = "authentication";
    const TITLE: &str = "a safe way to authenticate is offered";
    if !first.asks {
        let text = "the server lets anybody in: it asks for no authentication";
        return Check::trouble(ID, TITLE, text, "on the server: require-mschap-v2");
    }
    let offered: Vec<Method> = METHODS
        .into_iter()
        .filter(|method| {
            let attempt = try_one(*method);
            attempt.failure.is_none() && attempt.found.asked == Some(*method)
        })
        .collect();
    let names: Vec<String> = offered.iter().map(ToString::to_string).collect();
    let all = names.join(", ");
    match (offered.first(), offered.len()) {
        (Some(Method::MsChapV2), 1) => Check::fine(ID, TITLE, all),
        (Some(Method::MsChapV2), _) => {
            let text = format!("{all}: all but the first give the password away");
            let check = Check::fine(ID, TITLE, text);
            Check {
                command: Some("on the server: refuse-pap, refuse-chap, refuse-mschap".into()),
                ..check
            }
        }
        (Some(_), _) => Check::trouble(
            ID,
            TITLE,
            format!("{all} only: Windows refuses these, and they give the password away"),
            "on the server: require-mschap-v2",
        ),
        (None, _) => Check::unknown(
            ID,
            TITLE,
            "the server asks for a way that is not known here, such as EAP",
        ),
    }
}

/// What a login shows.
fn login(attempt: &Attempt) -> Vec<Check> {
    let reached = |stage: Stage| attempt.reached.iter().find(|progress| progress.stage == stage);
    let mut checks = Vec::new();
    let of = |stage, id, title| match (reached(stage), &attempt.failure) {
        (Some(progress), _) => Check::fine(id, title, progress.detail.clone()),
        (None, Some(failure)) if failure.stage == stage => {
            let hop = hop(failure, &attempt.found).words();
            let text = format!("{hop}: {}", failure.message);
            Check::trouble(id, title, text, "look at the server's log")
        }
        (None, _) => Check::unknown(id, title, "it did not come to that"),
    };
    checks.push(of(Stage::Authentication, "login", "the user is let in"));
    let mut encryption = of(Stage::Encryption, "encryption", "encryption is agreed on");
    if let Some(bits) = attempt.found.mppe {
        encryption.seen.push_str(&format!("; the server asks for {}", mppe(MppeBits(bits))));
    }
    if encryption.outcome == Outcome::Unknown && reached(Stage::Addresses).is_some() {
        let text = "the tunnel came up without encryption";
        encryption = Check::trouble(
            encryption.id,
            encryption.title,
            text,
            "on the server: require-mppe-128",
        );
    }
    checks.push(encryption);
    checks.push(of(Stage::Addresses, "addresses", "addresses are given"));
    checks
}

fn mppe(bits: MppeBits) -> String {
    let names = [
        (MppeBits::BITS_128, "128 bits"),
        (MppeBits::BITS_56, "56 bits"),
        (MppeBits::BITS_40, "40 bits"),
        (MppeBits::STATELESS, "stateless"),
        (MppeBits::MPPC, "compression"),
    ];
    let set = names.into_iter().filter(|(bit, _)| bits.contains(*bit));
    let set: Vec<&str> = set.map(|(_, name)| name).collect();
    if set.is_empty() { "nothing".into() } else { set.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stage: Stage, message: &str) -> Attempt {
        let before = STAGES.iter().filter(|(reached, ..)| *reached < stage);
        let progress = |(stage, ..): &(Stage, &str, &str)| Progress {
            stage: *stage,
            after: Duration::ZERO,
            detail: if *stage == Stage::Name { "192.0.2.1:1723".into() } else { String::new() },
        };
        let reached = before.map(progress).collect();
        let failure = Some(Failure { stage, message: message.into() });
        Attempt { reached, found: Found::default(), failure }
    }

    fn last(attempt: &Attempt, rules: Option<&Ruleset>) -> Check {
        let target = Target {
            server: "vpn.example".into(),
            login: None,
            patience: Duration::ZERO,
            state_dir: PathBuf::new(),
        };
        stages(&target, attempt, rules).pop().unwrap()
    }

    #[test]
    fn the_trouble_lies_where_the_evidence_says() {
        for (stage, message, place) in [
            (Stage::Name, "no such name", "this host"),
            (Stage::Tcp, "192.0.2.1:1723 refuses TCP: …", "the server"),
            (Stage::Tcp, "no answer", "on the way"),
            (Stage::Tcp, "Network is unreachable (os error 101)", "this host"),
            (Stage::Control, "silence", "the server"),
            (Stage::Gre, "cannot open a raw GRE socket: …", "this host"),
            (Stage::Gre, "no GRE packet came back", "on the way"),
        ] {
            let check = last(&failed(stage, message), None);
            assert_eq!(check.outcome, Outcome::Trouble);
            assert!(check.seen.starts_with(place), "{stage} {message}: {}", check.seen);
        }
    }

    #[test]
    fn a_rule_of_this_host_that_drops_gre_is_named() {
        let rules =
            Ruleset::from_iptables("*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p gre -j DROP\n");
        let check = last(&failed(Stage::Gre, "no GRE packet came back"), Some(&rules));
        assert!(
            check.seen.starts_with("this host: ") && check.seen.contains("-A OUTPUT -p gre"),
            "{check:?}"
        );
        let check = last(&failed(Stage::Tcp, "no answer"), Some(&rules));
        assert!(check.seen.starts_with("on the way"), "{check:?}");
    }

    #[test]
    fn what_is_offered_is_what_is_asked_for_when_only_that_will_do() {
        let asks = Found { asks: true, ..Found::default() };
        let server = |known: &'static [Method]| {
            move |method: Method| {
                let mut attempt = failed(Stage::Authentication, "");
                if known.contains(&method) {
                    attempt.failure = None;
                    attempt.found.asked = Some(method);
                }
                attempt
            }
        };
        let judged = |known| authentication(&asks, server(known));
        assert_eq!(judged(&[Method::MsChapV2]).outcome, Outcome::Fine);
        let both = judged(&[Method::Pap, Method::MsChapV2]);
        assert!(both.outcome == Outcome::Fine && both.command.is_some(), "{both:?}");
        assert_eq!(judged(&[Method::Pap]).outcome, Outcome::Trouble);
        assert_eq!(judged(&[]).outcome, Outcome::Unknown);
        let open = authentication(&Found::default(), server(&[]));
        assert_eq!(open.outcome, Outcome::Trouble);
    }

    #[test]
    fn a_hole_for_long_packets_is_told_with_both_sizes() {
        let found = Found { largest: Some(1240), lost: Some(1300), ..Found::default() };
        let check = sizes(&found);
        assert!(check.seen.contains("1240") && check.seen.contains("1300"));
        assert_eq!(check.command.as_deref(), Some("on both ends: mtu 1200 and mru 1200"));
        assert_eq!(sizes(&Found::default()).outcome, Outcome::Unknown);
        assert_eq!(mppe(MppeBits(0x0100_0040)), "128 bits, stateless");
    }
}
