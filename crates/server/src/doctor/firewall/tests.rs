use proptest::prelude::*;

use super::*;

const IN: [Hook; 2] = [Hook::Prerouting, Hook::Input];

fn tcp(port: u16) -> Packet {
    let input = "eth0".to_owned();
    Packet { protocol: TCP, destination_port: Some(port), input, ..Packet::default() }
}

fn gre() -> Packet {
    Packet { protocol: GRE, input: "eth0".into(), ..Packet::default() }
}

fn iptables(rules: &str) -> Ruleset {
    let chains =
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:mine - [0:0]\n";
    Ruleset::from_iptables(&format!("{chains}{rules}\nCOMMIT\n"))
}

/// `p`, `d` or `u` for TCP 1723 and GRE of an unknown client.
fn letters(rules: &Ruleset) -> String {
    let letter = |verdict| match verdict {
        Verdict::Pass => 'p',
        Verdict::Drop(_) => 'd',
        Verdict::Unclear(_) => 'u',
    };
    [tcp(1723), gre()].iter().map(|packet| letter(rules.judge(packet, &IN))).collect()
}

#[test]
fn iptables_rules_are_followed_as_the_kernel_does() {
    for (rules, wanted) in [
        ("", "dd"),
        ("-A INPUT -p tcp -m tcp --dport 1723 -j ACCEPT", "pd"),
        ("-A INPUT -p gre -j ACCEPT", "dp"),
        (
            "-A INPUT -p 47 -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 22,1700:1730 -j ACCEPT",
            "pp",
        ),
        ("-A INPUT -j ACCEPT", "pp"),
        ("-A INPUT -i eth+ -j ACCEPT", "pp"),
        ("-A INPUT ! -i eth0 -j ACCEPT", "dd"),
        ("-A INPUT -i eth1 -j ACCEPT", "dd"),
        ("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "dd"),
        ("-A INPUT -m state --state NEW -j ACCEPT", "pp"),
        // Some clients pass.
        ("-A INPUT -s 10.0.0.0/8 -j ACCEPT", "uu"),
        ("-A INPUT -s 0.0.0.0/0 -j ACCEPT", "pp"),
        ("-A INPUT -m limit --limit 5/min -j ACCEPT", "uu"),
        // What may apply and leads to the same is no matter.
        ("-A INPUT -m limit --limit 5/min -j ACCEPT\n-A INPUT -j ACCEPT", "pp"),
        ("-A INPUT -s 10.0.0.0/8 -j DROP", "dd"),
        ("-A INPUT -s 10.0.0.0/8 -j LOG\n-A INPUT -p gre -j ACCEPT", "dp"),
        ("-A INPUT -j mine\n-A mine -p gre -j RETURN\n-A mine -j ACCEPT", "pd"),
        ("-A INPUT -g mine\n-A INPUT -j ACCEPT\n-A mine -p gre -j ACCEPT", "dp"),
        (
            "-A INPUT -j mine\n-A INPUT -j ACCEPT\n-A mine -s 10.0.0.0/8 -j RETURN\n-A mine -j DROP",
            "uu",
        ),
        ("-A INPUT -j NFQUEUE --queue-num 1", "uu"),
        ("-A INPUT -j nowhere", "uu"),
        ("-A INPUT -p tcp -m comment --comment \"a -p gre \\\" b\" -j ACCEPT", "pd"),
        ("-A INPUT -j mine\n-A mine -j mine", "uu"),
    ] {
        assert_eq!(letters(&iptables(rules)), wanted, "{rules}");
    }
}

#[test]
fn what_drops_is_named() {
    let rules = iptables("-A INPUT -p gre -j DROP\n-A INPUT -j ACCEPT");
    let Verdict::Drop(blame) = rules.judge(&gre(), &IN) else { panic!("it passes") };
    assert_eq!((&*blame.table, &*blame.chain), ("iptables filter", "INPUT"));
    assert_eq!(blame.rule, "-A INPUT -p gre -j DROP");
    let Verdict::Drop(blame) = iptables("").judge(&gre(), &IN) else { panic!("it passes") };
    assert_eq!(blame.rule, "the policy of chain INPUT");
}

#[test]
fn several_filters_have_to_be_passed() {
    let mut rules = iptables("-A INPUT -j ACCEPT");
    rules.extend(Ruleset::from_iptables(
        "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p gre -j DROP\n",
    ));
    assert_eq!(letters(&rules), "pd");
}

#[test]
fn text_of_any_kind_is_read_without_a_panic() {
    for text in
        ["", "*", ":", "-A", "-A ", "-A INPUT", "*x\n:\n:a\n:a b\n-A a -p\n-A a ! -s /33 -j"]
    {
        letters(&Ruleset::from_iptables(text));
    }
    assert!(Ruleset::from_nft("", "").is_err());
    assert!(Ruleset::from_nft("{}", "").is_err());
    let odd = r#"{"nftables":[1,{"rule":{"family":"ip","table":"t","chain":"c","expr":[{"match":{"op":"==","right":{"range":[]}}},3]}}]}"#;
    assert_eq!(letters(&Ruleset::from_nft(odd, "table ip t { # handle\n").unwrap()), "pp");
}

#[test]
fn what_iptables_keeps_in_nftables_is_judged_or_unclear() {
    let rule = |xt: &str| {
        let json = format!(
            r#"{{"nftables":[{{"chain":{{"family":"ip","table":"filter","name":"INPUT","hook":"input","prio":0,"policy":"accept"}}}},
            {{"rule":{{"family":"ip","table":"filter","chain":"INPUT","handle":1,"expr":[{xt}]}}}}]}}"#
        );
        letters(&Ruleset::from_nft(&json, "").unwrap())
    };
    assert_eq!(rule(r#"{"xt":{"type":"target","name":"REJECT"}}"#), "dd");
    assert_eq!(rule(r#"{"xt":{"type":"match","name":"comment"}},{"drop":null}"#), "uu");
    assert_eq!(rule(r#"{"xt":null},{"drop":null}"#), "uu");
    assert_eq!(rule(r#"{"xt":null}"#), "uu");
    assert_eq!(rule(r#"{"xt":{"type":"target","name":"LOG"}}"#), "pp");
}

/// Lets the real `nft` make the rules and print them.
fn nft(chain: &str) -> Option<Ruleset> {
    let script = format!(
        "table inet t {{\n set lan {{ type ipv4_addr; flags interval; elements = {{ 10.0.0.0/8, 192.0.2.7 }} }}\n chain mine {{\n }}\n chain in {{\n type filter hook input priority 0; policy drop;\n {chain}\n }}\n \
         chain out {{\n type nat hook postrouting priority srcnat;\n oifname \"eth0\" ip saddr @lan masquerade\n }}\n}}\n"
    );
    let made = sys::namespace::run_in_new(|| {
        sys::nft::apply(&script).unwrap_or_else(|error| panic!("{chain}: {error}"));
        (sys::nft::list_json().unwrap(), sys::nft::list().unwrap())
    });
    let (json, listing) = match made {
        Ok(made) => made,
        Err(error) => {
            eprintln!("skipped: no network namespace: {error}");
            return None;
        }
    };
    Some(Ruleset::from_nft(&json, &listing).unwrap())
}

#[test]
fn nftables_rules_are_followed_as_nft_prints_them() {
    for (chain, wanted) in [
        ("", "dd"),
        ("tcp dport { 22, 1723 } accept", "pd"),
        ("tcp dport 1700-1730 accept", "pd"),
        ("meta l4proto gre accept", "dp"),
        ("ip protocol { tcp, gre } counter accept", "pp"),
        ("ip protocol != gre accept", "pd"),
        (
            "ct state vmap { established : accept, related : accept, invalid : drop }\nip protocol gre accept",
            "dp",
        ),
        ("ct state new accept", "pp"),
        ("ct state established,related accept", "dd"),
        ("iifname \"eth*\" accept", "pp"),
        ("iifname vmap { lo : accept, eth0 : jump mine }", "dd"),
        ("ip saddr @lan accept", "uu"),
        ("ip saddr 10.0.0.0/8 drop\naccept", "uu"),
        ("ip protocol gre limit rate 5/second accept", "du"),
        ("meta mark 7 accept", "uu"),
        ("udp dport 1723 accept", "dd"),
        ("th dport 1723 accept", "pd"),
        ("icmp type echo-request accept\nicmpv6 type nd-neighbor-solicit accept", "dd"),
        ("meta nfproto ipv4 tcp dport 1723 accept", "pd"),
        ("meta nfproto ipv6 drop\naccept", "pp"),
        ("ip6 nexthdr tcp accept", "dd"),
        ("ct status dnat accept", "dd"),
        ("ct status assured accept", "uu"),
        ("tcp flags syn accept", "ud"),
        ("fib daddr type local accept", "uu"),
        ("log prefix \"in \" accept", "pp"),
    ] {
        let Some(rules) = nft(chain) else { return };
        assert_eq!(letters(&rules), wanted, "{chain}");
    }
    let Some(rules) = nft("meta mark 7 accept") else { return };
    let Verdict::Unclear(blame) = rules.judge(&gre(), &IN) else { panic!("it is clear") };
    assert_eq!((&*blame.table, &*blame.chain), ("inet t", "in"));
    assert!(blame.rule.starts_with("meta mark 0x"), "{blame:?}");
}

#[test]
fn translation_is_seen_for_the_addresses_it_is_for() {
    let Some(rules) = nft("accept") else { return };
    let from = |source: [u8; 4], output: &str| Packet {
        protocol: TCP,
        source: Some(source.into()),
        output: output.into(),
        ..Packet::default()
    };
    assert_eq!(rules.translates(&from([10, 1, 2, 3], "eth0")), Some(true));
    assert_eq!(rules.translates(&from([10, 1, 2, 3], "eth1")), Some(false));
    assert_eq!(rules.translates(&from([192, 0, 2, 8], "eth0")), Some(false));
    assert_eq!(iptables("").translates(&from([10, 1, 2, 3], "eth0")), Some(false));
}

/// Words that rules are made of, in any order, with some that no rule has.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "-[ApsdijmgDI]|--dport|--ctstate|! |-P|COMMIT|:INPUT|\\*filter|\\*nat|ACCEPT|DROP|INPUT|mine",
        "[0-9]{1,6}(:[0-9]{0,6})?|[0-9.]{1,16}(/[0-9]{1,3})?",
        "\\PC{0,12}",
        Just("\n".to_owned()),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn whatever_stands_in_rules_they_are_read_and_judge(rules in words()) {
        for text in [rules.clone(), format!("*filter\n:INPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n")] {
            letters(&Ruleset::from_iptables(&text));
        }
        let json = serde_json::json!({"nftables": [{"rule": {"family": "ip", "table": "t", "chain": rules, "expr": [{"match": rules}]}}]});
        for json in [rules.clone(), json.to_string()] {
            if let Ok(rules) = Ruleset::from_nft(&json, &rules) {
                letters(&rules);
            }
        }
    }
}
