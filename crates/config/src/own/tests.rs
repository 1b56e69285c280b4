//! Gretel's own file.

use std::io;
use std::path::Path;

use super::*;
use crate::{Config, Paths};

/// What `gretel.toml` alone makes, or all that is wrong with it.
fn alone(text: &str) -> Result<(Config, Diagnostics), String> {
    with(&[], text)
}

fn with(files: &[(&str, &str)], toml: &str) -> Result<(Config, Diagnostics), String> {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        let own = ("/etc/gretel/gretel.toml", toml);
        let own = Some(&own).filter(|(name, _)| Path::new(name) == path);
        let found = found.or(own).map(|(_, text)| text.as_bytes().to_vec());
        found.ok_or(io::Error::from(io::ErrorKind::NotFound))
    };
    let resolve = |name: &str| (name == "ns").then_some(Ipv4Addr::new(10, 0, 0, 53));
    Config::load_with(&Paths::default(), b"gate", &read, &resolve).map_err(|said| said.render())
}

const BASE: &str = "[addresses]\nlocal = \"10.0.0.1\"\nremote = [\"10.0.0.5-9\", \"10.0.0.20\"]\n";

#[test]
fn it_may_stand_alone() {
    let text = format!(
        "{BASE}dns = [\"ns\", \"10.0.0.2\"]\nproxy-arp = true\nsessions = 3\n\
         [server]\nlisten = [\"192.0.2.1\", \"192.0.2.2:1724\"]\nname = \"office\"\nsetup-timeout = 5\n\
         [users]\nauthentication = [\"mschap-v2\"]\nchap-secrets = \"/s\"\n\
         [encryption]\nmppe = \"required\"\nbits = [128, 40]\n\
         [session]\nidle = 600\n[limits]\nunfinished-per-address = 8\nlogin-failures = 0\n\
         login-lock = 60\n"
    );
    let (config, said) = alone(&text).unwrap();
    assert_eq!(config.slots.len(), 3);
    assert_eq!(config.listen[1], "192.0.2.2:1724".parse().unwrap());
    assert_eq!((&config.name[..], config.setup_timeout.as_secs()), (&b"office"[..], 5));
    assert_eq!(config.options.dns[0], Ipv4Addr::new(10, 0, 0, 53));
    assert!(config.mschap_v2 && !config.chap_md5 && config.options.mppe.bits40);
    assert_eq!(config.limits.unfinished_per_address, Some(8));
    assert_eq!(config.limits.login_failures, Some(0));
    assert_eq!(config.limits.login_lock, Some(Duration::from_secs(60)));
    assert_eq!(config.chap_secrets, Path::new("/s"));
    let said: Vec<&str> = said.0.iter().map(|said| said.message.as_str()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("reduced") || said[0].contains("never used"), "{said:?}");
}

#[test]
fn it_counts_more_than_the_debian_files() {
    let files = [
        ("/etc/pptpd.conf", "option /o\nlocalip 10.1.0.1\nremoteip 10.1.0.5-9\nconnections 2\n"),
        ("/o", "name pptpd\nrequire-mschap-v2\nrequire-mppe-128\nidle 5\nmtu 1300\n"),
    ];
    let (config, _) = with(&files, "[addresses]\nsessions = 4\n[session]\nidle = 60\n").unwrap();
    assert_eq!((config.slots.len(), config.slots[0].1), (4, Ipv4Addr::new(10, 1, 0, 5)));
    assert_eq!((config.options.idle, config.options.mtu), (Some(60), Some(1300)));
    let settings = config.settings();
    let origin = |name: &str| {
        let setting = settings.iter().find(|setting| setting.name == name).unwrap();
        setting.origin.map(|origin| format!("{}:{}", origin.file.display(), origin.line))
    };
    assert_eq!(origin("idle").unwrap(), "/etc/gretel/gretel.toml:4");
    assert_eq!(origin("mtu").unwrap(), "/o:5");
    assert_eq!(origin("remote").unwrap(), "/etc/pptpd.conf:3");
    assert_eq!(origin("wins"), None);
    let (config, _) = with(&files, "[encryption]\nmppe = \"off\"\n").unwrap();
    assert!(config.options.mppe.off());
}

#[test]
fn options_in_pppds_words_and_lines_of_pptpd_conf_may_stand_in_it() {
    let text =
        format!("ppp-options = [\"lcp-restart 7\", \"idle 9\"]\npptpd-conf = [\"debug\"]\n{BASE}");
    let (config, _) = alone(&text).unwrap();
    assert_eq!((config.options.lcp.restart, config.options.idle), (Some(7), Some(9)));
    assert!(config.debug);
    let text = format!("ppp-options = [\"idle 9\"]\n{BASE}[session]\nidle = 1\n");
    assert_eq!(alone(&text).unwrap().0.options.idle, Some(1));
    let said = alone(&format!("ppp-options = [\n \"mtuu 7\",\n]\n{BASE}")).unwrap_err();
    assert!(said.contains("gretel.toml:2:2") && said.contains("did you mean mtu?"), "{said}");
    let said = alone(&format!("pptpd-conf = [\"debugg\"]\n{BASE}")).unwrap_err();
    assert!(said.contains("gretel.toml:1:15"), "{said}");
}

#[test]
fn unknown_keys_are_refused_with_a_caret_and_the_nearest_key() {
    for (text, place, remedy) in [
        ("[session]\nidel = 3\n", ":2:1", "session.idle"),
        ("[sesion]\nidle = 3\n", ":1:2", "session"),
        ("idle = 3\n", ":1:1", "session.idle"),
        ("[session.deep]\nx = 1\n", ":1:10", "session.idle"),
        ("zzz = 1\n", ":1:1", "gretel config sample"),
    ] {
        let said = alone(text).unwrap_err();
        assert!(said.contains(&format!("gretel.toml{place}")), "{said}");
        assert!(said.contains('^') && said.contains(remedy), "{said}");
    }
}

#[test]
fn bad_values_are_pointed_at() {
    for (text, place, message) in [
        ("[session]\nidle = \"3\"\n", ":2:8", "no number from 0"),
        ("[session]\nidle = -1\n", ":2:8", "no number from 0"),
        ("[interface]\nmtu = 99999\n", ":2:7", "no number from 128 to 16384"),
        ("[interface]\nmode = \"both\"\n", ":2:8", "\"both\" is not known"),
        ("[interface]\nname = \"a/b\"\n", ":2:8", "no interface name"),
        ("[addresses]\nremote = [\"10.0.0.1\", \"10.0.0.9-5\"]\n", ":2:31", "runs backwards"),
        ("[addresses]\nremote = [\"10.0.0.1\", \"10.0.0.1\"]\n", ":2:23", "twice"),
        ("[addresses]\ndns = [\"10.0.0.1\", \"10.0.0.2\", \"10.0.0.3\"]\n", ":2:7", "two servers"),
        ("[server]\nlisten = []\n", ":2:10", "empty"),
        ("[addresses]\nroutes = [\"10.0.0.0/33\"]\n", ":2:11", "no network"),
        ("[addresses]\nroutes = [\"10.0.0.1/8\"]\n", ":2:11", "not the first address"),
        ("[addresses]\ndomain = \"a..b\"\n", ":2:10", "no domain name"),
        ("[users]\nauthentication = [\"eap\"]\n", ":2:19", "no way to authenticate"),
        ("[encryption]\nbits = [128]\n", ":2:8", "count where MPPE is required"),
        ("[encryption]\nmppe = \"required\"\nbits = [56]\n", ":3:9", "128 or 40"),
        ("[server\n", ":1:8", ""),
        ("[server]\nname = 1\nname = 2\n", ":3:1", ""),
    ] {
        let said = alone(text).unwrap_err();
        assert!(said.contains(&format!("gretel.toml{place}")), "{text}{said}");
        assert!(said.contains(message), "{text}{said}");
    }
}

#[test]
fn contradictions_are_pointed_at_in_it_too() {
    let text =
        format!("{BASE}[users]\nauthentication = [\"pap\"]\n[encryption]\nmppe = \"required\"\n");
    let said = alone(&text).unwrap_err();
    assert!(said.contains("gretel.toml:7:1") && said.contains("makes its keys"), "{said}");
    assert!(said.contains("gretel.toml:5:1") && said.contains("PAP is allowed"), "{said}");
}

#[test]
fn what_a_shared_interface_cannot_do_is_told() {
    let shared = "[interface]\nmode = \"shared\"\n";
    let (config, said) = alone(&format!("{BASE}{shared}ipv6 = true\n")).unwrap();
    let said = said.render();
    assert!(config.shared_interface && said.contains("IPv6 is not negotiated"), "{said}");
    let (config, said) = alone(&format!("{BASE}{shared}name = \"vpn0\"\n")).unwrap();
    assert!(!said.render().contains("only one session"), "{}", said.render());
    let secrets = b"anna * good * -- unit 7\nbert * good *\n";
    let (secrets, _) = crate::Secrets::parse(Path::new("s"), secrets);
    let said = config.review_users(Path::new("s"), &secrets).render();
    assert!(said.contains("s:1:1") && said.contains("anna's unit does nothing"), "{said}");
    assert!(!said.contains("bert"), "{said}");
}

#[test]
fn bytes_that_are_no_text_and_long_files_are_refused() {
    let read = |path: &Path| match path.ends_with("gretel.toml") {
        true => Ok(b"a = \"\xff\"".to_vec()),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let said = Config::load_with(&Paths::default(), b"x", &read, &|_| None).unwrap_err();
    assert!(said.render().contains("gretel.toml:1:6"), "{}", said.render());
    let long = format!("# {}\n", "x".repeat(MAX_FILE));
    assert!(alone(&long).unwrap_err().contains("longer than"));
}

#[test]
fn the_sample_has_every_key_and_its_defaults_can_be_read() {
    let text = sample();
    let bare: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.contains(" = ") || rest.starts_with('[') => rest,
            _ => line,
        })
        .filter(|line| !line.starts_with("# ") && !line.starts_with("bits"))
        .fold(String::new(), |text, line| text + line + "\n");
    let (config, said) = alone(&bare).unwrap_or_else(|said| panic!("{bare}{said}"));
    assert_eq!(config.slots.len(), 100);
    assert!(!said.has_errors());
    assert_eq!(config.pools[0].slots.len(), 50);
    for key in keys() {
        assert!(text.contains(&format!("#{} = ", key.name())), "{}", key.path);
    }
}

#[test]
fn what_is_kept_can_be_said_and_counts_more_than_the_debian_files() {
    let text = format!("{BASE}[records]\nlogins = false\nhistory = \"/srv\"\nhistory-days = 7\n");
    let conf = ("/etc/pptpd.conf", "localip 10.0.0.1\nremoteip 10.0.0.5-9\nlogwtmp\n");
    let (config, _) = with(&[conf], &text).unwrap();
    assert!(!config.logwtmp);
    let records = &config.records;
    assert_eq!((records.directory.as_deref(), records.days), (Some(Path::new("/srv")), Some(7)));
    assert_eq!((records.attempts, records.megabytes), (None, None));
}

const POOLS_OF_TWO: &str = "[pools.office]\nusers = [\"anna\", \"*@shop\"]\nremote = \"10.0.1.5-9\"\nlocal = \"10.0.1.1\"\n\
     dns = \"ns\"\nroutes = [\"10.0.0.0/8\"]\ndomain = \"office.example\"\n\
     [pools.rest]\nusers = \"*\"\nremote = [\"10.0.2.5\", \"10.0.3.7-8\"]\ndns = []\n";

#[test]
fn pools_give_their_users_addresses_of_their_own_and_what_they_leave_out_is_everybodys() {
    let (config, said) = alone(&format!("{BASE}{POOLS_OF_TWO}")).unwrap();
    let [office, rest] = config.pools.as_slice() else { panic!("{:?}", config.pools) };
    assert!(office.has(b"anna") && office.has(b"x@shop") && !office.has(b"bert"));
    assert!(rest.has(b"bert"));
    assert_eq!(office.slots[4], ([10, 0, 1, 1].into(), [10, 0, 1, 9].into()));
    assert_eq!(rest.slots[1], ([10, 0, 0, 1].into(), [10, 0, 3, 7].into()));
    assert_eq!(office.dns.as_deref(), Some(&[Ipv4Addr::new(10, 0, 0, 53)][..]));
    assert_eq!((rest.dns.as_deref(), &rest.domain), (Some(&[][..]), &None));
    assert_eq!(config.all_slots().count(), 6 + 5 + 3);
    assert!(!said.render().contains("pools"), "{}", said.render());
}

#[test]
fn pools_are_shown_with_their_lines_and_converted() {
    let (config, _) = alone(&format!("{BASE}{POOLS_OF_TWO}")).unwrap();
    let shown = config.show();
    assert!(
        shown.contains(
            "\n[pools.office]\nusers = [\"anna\", \"*@shop\"]  # /etc/gretel/gretel.toml:5"
        )
    );
    assert!(shown.contains("remote = [\"10.0.2.5\", \"10.0.3.7-8\"]  # "), "{shown}");
    assert!(shown.contains("#domain  # as in [addresses]"), "{shown}");
    let converted = config.convert();
    let (again, _) = alone(&converted).unwrap_or_else(|said| panic!("{converted}{said}"));
    assert_eq!(again.pools, config.pools);
    assert!(again.options == config.options && !converted.contains("ppp-options"), "{converted}");
}

#[test]
fn what_is_wrong_with_a_pool_is_pointed_at() {
    for (text, place, message) in [
        ("remote = \"10.0.9.1\"\n", ":4:8", "pools.x has no users"),
        ("users = \"a\"\n", ":4:8", "pools.x has no remote"),
        ("users = []\nremote = \"10.0.9.1\"\n", ":5:9", "empty"),
        ("users = \"a\"\nremot = \"10.0.9.1\"\n", ":6:1", "did you mean remote?"),
        ("users = \"a\"\nremote = \"10.0.9.9-1\"\n", ":6:18", "runs backwards"),
        (
            "users = \"a\"\nremote = [\"10.0.9.1\", \"10.0.0.8-12\"]\n",
            ":6:23",
            "10.0.0.8 is in [addresses] too",
        ),
        ("users = \"a\"\nremote = \"10.0.0.1\"\n", ":6:10", "one of our addresses"),
        (
            "users = \"a\"\nremote = \"10.0.9.1\"\n[pools.y]\nusers = \"b\"\nremote = \"10.0.9.0-3\"\n",
            ":9:10",
            "10.0.9.1 is in pools.x too",
        ),
    ] {
        let said = alone(&format!("{BASE}[pools.x]\n{text}")).unwrap_err();
        assert!(said.contains(&format!("gretel.toml{place}")), "{text}{said}");
        assert!(said.contains(message) && said.contains('^'), "{text}{said}");
    }
    let said = alone(&format!("pools = 3\n{BASE}")).unwrap_err();
    assert!(said.contains(":1:9") && said.contains("write [pools.NAME]"), "{said}");
    let said = alone(&format!("{BASE}[pools]\n\"a b\" = {{}}\n")).unwrap_err();
    assert!(said.contains(":5:1") && said.contains("a pool's name"), "{said}");
}
