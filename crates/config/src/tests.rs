//! Whole configurations.

use std::net::Ipv4Addr;
use std::path::Path;

use super::*;

/// Loads configuration from texts by file name.
fn load(files: &[(&str, &str)]) -> Result<(Config, Diagnostics), Diagnostics> {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found
            .map(|(_, text)| text.as_bytes().to_vec())
            .ok_or(std::io::Error::from(std::io::ErrorKind::NotFound))
    };
    Config::load_with(&Paths::default(), b"gate", &read, &|_| None)
}

const CONF: (&str, &str) = (
    "/etc/pptpd.conf",
    "option /etc/ppp/pptpd-options\nlocalip 192.168.0.1\nremoteip 192.168.0.234-238,192.168.0.245\n",
);
const SYSTEM: (&str, &str) = (
    "/etc/ppp/options",
    "asyncmap 0\nauth\ncrtscts\nlock\nhide-password\nmodem\nlcp-echo-interval 30\nlcp-echo-failure 4\nnoipx\n",
);
const OPTIONS: (&str, &str) = (
    "/etc/ppp/pptpd-options",
    "name pptpd\nrefuse-pap\nrefuse-chap\nrefuse-mschap\nrequire-mschap-v2\nrequire-mppe-128\nms-dns 10.0.0.1\nms-dns 10.0.0.2\nproxyarp\nnodefaultroute\nlock\nnobsdcomp\nnovj\nnovjccomp\nnologfd\n",
);

#[test]
fn the_files_of_the_how_to_mean_what_they_always_meant() {
    let (config, diagnostics) = load(&[CONF, SYSTEM, OPTIONS]).unwrap();
    assert!(diagnostics.0.is_empty(), "{}", diagnostics.render());
    assert_eq!(config.slots.len(), 6);
    assert_eq!(config.slots[5], (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 245)));
    assert_eq!(config.name, b"pptpd");
    assert!(config.mschap_v2 && !config.mschap && !config.chap_md5 && !config.pap);
    assert!(config.options.mppe.bits128 && !config.options.mppe.bits40);
    assert!(config.options.mppe.required() && config.options.proxyarp);
    assert_eq!(config.options.lcp_echo_interval, Some(30));
    assert_eq!(config.options.dns.len(), 2);
}

#[test]
fn debians_own_files_are_taken_without_a_word() {
    let paths = ["/etc/pptpd.conf", "/etc/ppp/options", "/etc/ppp/pptpd-options"];
    let mut files = Vec::new();
    for path in paths {
        match std::fs::read_to_string(path) {
            Ok(text) => files.push((path, text)),
            Err(_) => return eprintln!("skipped: {path} is not installed here"),
        }
    }
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let (_, diagnostics) = load(&files).unwrap_or_else(|errors| panic!("{}", errors.render()));
    // The file that is shipped has all addresses behind a #.
    let said = |message: &str| message.starts_with("logwtmp") || message.starts_with("there is no");
    let unexpected: Vec<_> = diagnostics.0.iter().filter(|d| !said(&d.message)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn an_unknown_option_is_an_error_with_a_caret_and_the_nearest_known_one() {
    let errors =
        load(&[CONF, ("/etc/ppp/pptpd-options", "name pptpd\n  requier-mppe-128\n")]).unwrap_err();
    let said = errors.render();
    assert!(said.contains("/etc/ppp/pptpd-options:2:3"), "{said}");
    assert!(said.contains("^^^^^^^^^^^^^^^^"), "{said}");
    assert!(said.contains("did you mean require-mppe-128?"), "{said}");
}

#[test]
fn faults_in_pptpd_conf_are_pointed_at() {
    let conf = ("/etc/pptpd.conf", "localip 10.0.0.1\nremoteip 10.0.0.9-5\n");
    let errors = load(&[conf]).unwrap_err();
    assert!(errors.render().contains("/etc/pptpd.conf:2:17"), "{}", errors.render());
}

#[test]
fn an_address_of_ours_is_given_to_no_client() {
    let conf = ("/etc/pptpd.conf", "localip 10.0.0.1\nremoteip 10.0.0.1-5\n");
    let (config, diagnostics) = load(&[conf]).unwrap();
    assert_eq!(config.slots.len(), 4);
    assert!(diagnostics.render().contains("/etc/pptpd.conf:2:10"), "{}", diagnostics.render());
}

#[test]
fn windows_line_ends_comments_and_blanks_are_read_as_meant_with_a_warning() {
    let conf =
        ("/etc/pptpd.conf", "localip 10.0.0.1\r\n  remoteip 10.0.0.5-9 # five\r\nlocalpi 1\r\n");
    let (config, diagnostics) = load(&[conf]).unwrap();
    assert_eq!(config.slots.len(), 5);
    let messages: Vec<&str> = diagnostics.0.iter().map(|d| d.message.as_str()).collect();
    assert!(messages.iter().any(|m| m.contains("Windows line ends")), "{messages:?}");
    assert!(messages.iter().any(|m| m.contains("comment")), "{messages:?}");
    assert!(messages.iter().any(|m| m.contains("blanks")), "{messages:?}");
    assert!(diagnostics.0.iter().any(|d| d.remedy.contains("localip")), "{diagnostics:?}");
}

#[test]
fn fewer_addresses_than_connections_is_said_in_pptpds_words() {
    let conf = ("/etc/pptpd.conf", "connections 10\nlocalip 10.0.0.1\nremoteip 10.0.0.5-9\n");
    let (config, diagnostics) = load(&[conf]).unwrap();
    assert_eq!(config.slots.len(), 5);
    assert!(diagnostics.render().contains("Maximum of 10 connections reduced to 5"));
}

#[test]
fn encryption_without_a_method_that_makes_keys_is_an_error() {
    let options = ("/etc/ppp/pptpd-options", "require-pap require-mppe-128");
    assert!(load(&[CONF, options]).unwrap_err().render().contains("add require-mschap-v2"));
}

#[test]
fn a_line_with_a_password_is_not_shown() {
    let errors =
        load(&[CONF, ("/etc/ppp/pptpd-options", "password hunter2 mtuu 1400")]).unwrap_err();
    let said = errors.render();
    assert!(said.contains("pptpd-options:1:18: error") && !said.contains("hunter2"), "{said}");
}

#[test]
fn options_files_nest_but_not_in_circles() {
    let options = ("/etc/ppp/pptpd-options", "file /etc/ppp/more\n");
    let more = ("/etc/ppp/more", "mtu 1400\nfile /etc/ppp/pptpd-options\n");
    let errors = load(&[CONF, options, more]).unwrap_err();
    assert!(errors.render().contains("/etc/ppp/more:2:6"), "{}", errors.render());
}

/// A configuration whose options file says this.
fn options(text: &str) -> (Config, Diagnostics) {
    load(&[CONF, ("/etc/ppp/pptpd-options", text)]).unwrap_or_else(|e| panic!("{}", e.render()))
}

fn refused(text: &str) -> String {
    load(&[CONF, ("/etc/ppp/pptpd-options", text)]).unwrap_err().render()
}

#[test]
fn the_last_word_about_authentication_counts() {
    assert!(!options("require-mschap-v2 noauth").0.auth);
    let (config, said) = options("noauth require-mschap-v2");
    assert!(config.auth && config.mschap_v2 && said.0.is_empty());
    let (config, said) = options("proxyarp");
    assert!(config.auth && config.mschap_v2 && !config.pap && !config.mschap);
    assert!(said.render().contains("pppd would let anybody in"), "{}", said.render());
}

#[test]
fn what_pppd_refuses_as_a_client_does_not_limit_what_a_server_offers() {
    let (config, said) = options("refuse-mschap-v2 refuse-chap require-mschap-v2");
    assert!(config.mschap_v2 && said.0.is_empty());
}

#[test]
fn the_last_word_about_encryption_counts() {
    let mppe = |text: &str| options(&format!("require-mschap-v2 {text}")).0.options.mppe;
    assert!(mppe("nomppe require-mppe-128").required());
    assert!(mppe("require-mppe nomppe").off());
    let both = mppe("nomppe-40 require-mppe");
    assert!(both.bits40 && both.bits128);
    let long = mppe("require-mppe nomppe-40");
    assert!(!long.bits40 && long.bits128 && long.required());
    assert!(mppe("nomppe-40 nomppe-128").off());
    assert!(!mppe("").off() && !mppe("").required());
    assert!(!mppe("mppe-stateful nomppe-stateful").stateful);
    assert!(mppe("noccp").off());
    assert!(refused("require-mschap-v2 require-mppe noccp").contains("noccp"));
}

#[test]
fn our_name_is_pppds() {
    let name = |text: &str| String::from_utf8(options(text).0.name).unwrap();
    assert_eq!(name("auth"), "gate");
    assert_eq!(name("auth name pptpd domain example.net"), "pptpd");
    assert_eq!(name("auth domain example.net"), "gate.example.net");
    assert_eq!(name("auth domain .example.net"), "gate.example.net");
    assert_eq!(name("auth name pptpd usehostname"), "gate");
}

#[test]
fn an_interface_name_without_a_number_serves_one_session_only() {
    assert!(options("auth ifname vpn0").1.render().contains("only one session can be up"));
    assert!(!options("auth ifname vpn%d").1.render().contains("only one session"));
}

#[test]
fn methods_that_make_no_keys_are_told_beside_required_mppe() {
    let said = options("require-mschap-v2 require-pap require-mppe-128").1.render();
    assert!(said.contains("clients that use PAP or CHAP cannot connect"), "{said}");
}

#[test]
fn the_last_two_name_servers_count() {
    let dns = options("auth ms-dns 10.0.0.1 ms-dns 10.0.0.2 ms-dns 10.0.0.3").0.options.dns;
    assert_eq!(dns, [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)]);
}

#[test]
fn addresses_of_pptpd_conf_count_more_than_those_of_the_options() {
    let (config, _) = options("auth 10.9.9.1:10.9.9.2");
    assert_eq!(config.slots[0].0, Ipv4Addr::new(192, 168, 0, 1));
    assert_eq!(config.options.remote, Some(Ipv4Addr::new(10, 9, 9, 2)));
    assert!(refused("auth 127.0.0.1:").contains("127.0.0.1 cannot be our address"));
    assert!(refused("auth nowhere:").contains("neither an IPv4 address"));
}

#[test]
fn what_cannot_be_left_out_is_an_error_with_what_to_do() {
    for (text, remedy) in [
        ("plugin radius.so", "chap-secrets"),
        ("plugin /usr/lib/pppd/2.4.9/winbind.so", "NT hash"),
        ("plugin acct.so", "remove the line"),
        ("require-eap", "require-mschap-v2"),
        ("dryrun", "gretel check"),
    ] {
        let said = refused(&format!("auth\n{text}\n"));
        assert!(said.contains("pptpd-options:2:") && said.contains(remedy), "{said}");
    }
    let (config, said) = options("require-mschap-v2 plugin /usr/lib/pptpd/pptpd-logwtmp.so");
    assert!(config.logwtmp && said.0.is_empty());
}

#[test]
fn an_options_file_that_is_there_and_cannot_be_read_is_an_error() {
    let read = |path: &Path| match path.to_str() {
        Some("/etc/pptpd.conf") => Ok(CONF.1.as_bytes().to_vec()),
        _ => Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied)),
    };
    let said = Config::load_with(&Paths::default(), b"gate", &read, &|_| None).unwrap_err();
    assert!(said.render().contains("/etc/ppp/options"), "{}", said.render());
}

#[test]
fn an_options_file_that_nothing_names_is_not_read() {
    let conf = ("/etc/pptpd.conf", "localip 10.0.0.1\nremoteip 10.0.0.5-9\n");
    let unnamed = ("/etc/ppp/options.pptpd", "mtu 1300\n");
    let (config, said) = load(&[conf, unnamed]).unwrap();
    assert_eq!(config.options.mtu, None);
    assert!(said.render().contains("write option /etc/ppp/options.pptpd"), "{}", said.render());
}

#[test]
fn listen_may_stand_more_than_once_and_name_hosts() {
    let conf = (
        "/etc/pptpd.conf",
        "localip 10.0.0.1\nremoteip 10.0.0.5-9\nlisten 192.0.2.1\nlisten gate\nlisten 192.0.2.1\n",
    );
    let read = |path: &Path| match path == Path::new(conf.0) {
        true => Ok(conf.1.as_bytes().to_vec()),
        false => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let resolve = |name: &str| (name == "gate").then_some(Ipv4Addr::new(192, 0, 2, 2));
    let (config, said) = Config::load_with(&Paths::default(), b"x", &read, &resolve).unwrap();
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["192.0.2.1:1723", "192.0.2.2:1723"]);
    assert!(said.render().contains("listened on already"));
    let conf = ("/etc/pptpd.conf", "localip 10.0.0.1\nremoteip 10.0.0.5-9\nlisten nowhere\n");
    assert!(load(&[conf]).unwrap_err().render().contains("/etc/pptpd.conf:3:8"));
}

#[test]
fn the_command_line_counts_more_than_the_file() {
    let conf =
        ("/etc/pptpd.conf", "connections 3\nlocalip 10.0.0.1\nremoteip 10.0.0.5-9\nstimeout 20\n");
    let read = |path: &Path| match path == Path::new(conf.0) {
        true => Ok(conf.1.as_bytes().to_vec()),
        false => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let command_line = vec![("connections", "2".to_owned()), ("logwtmp", String::new())];
    let paths = Paths { command_line, ..Paths::default() };
    let (config, said) = Config::load_with(&paths, b"x", &read, &|_| None).unwrap();
    assert_eq!((config.slots.len(), config.setup_timeout.as_secs()), (2, 20));
    assert!(config.logwtmp);
    assert!(
        said.render().contains("connections of the command line counts more"),
        "{}",
        said.render()
    );
}

#[test]
fn delegate_takes_our_address_from_the_options_and_none_for_clients() {
    let conf = ("/etc/pptpd.conf", "option /o\ndelegate\nconnections 3\n");
    let (config, said) = load(&[conf, ("/o", "require-mschap-v2 10.8.0.100:")]).unwrap();
    assert_eq!(config.slots, [(Ipv4Addr::new(10, 8, 0, 100), Ipv4Addr::UNSPECIFIED); 3]);
    assert!(said.0.is_empty(), "{}", said.render());
    let (config, said) = load(&[conf, ("/o", "require-mschap-v2\n10.8.0.100\n")]).unwrap();
    assert_eq!(config.slots[0].0, Ipv4Addr::new(10, 8, 0, 100));
    assert!(said.render().contains("with a colon"), "{}", said.render());
    let said = load(&[conf, ("/o", "require-mschap-v2")]).unwrap_err();
    assert!(said.render().contains("/etc/pptpd.conf:2:1"), "{}", said.render());
    assert!(load(&[conf, ("/o", "noauth 10.8.0.100:")]).unwrap_err().render().contains("noauth"));
}

#[test]
fn numbers_are_read_as_pptpd_reads_them_but_not_in_silence() {
    let conf = ("/etc/pptpd.conf", "connections 5x\nlocalip 10.0.0.1\nremoteip 10.0.0.5-9\n");
    let (config, said) = load(&[conf]).unwrap();
    assert_eq!(config.slots.len(), 5);
    assert!(said.render().contains("counts as 5"));
    let conf = ("/etc/pptpd.conf", "connections many\nlocalip 10.0.0.1\nremoteip 10.0.0.5-9\n");
    assert!(load(&[conf]).unwrap_err().render().contains("/etc/pptpd.conf:1:13"));
}

#[test]
fn every_value_of_pptpd_conf_has_its_place() {
    let conf = (
        "/etc/pptpd.conf",
        "localip 10.0.0.1\nremoteip 10.0.0.5-9\nspeed 9600\nnoipparam\nlogwtmp\nbcrelay eth1\npidfile /run/x.pid\nstimeout 3\ndebug\nppp /usr/sbin/pppd\n",
    );
    let (config, _) = load(&[conf]).unwrap();
    assert_eq!((config.speed, config.no_ipparam, config.logwtmp), (9600, true, true));
    assert_eq!(config.bcrelay.as_deref(), Some("eth1"));
    assert_eq!(config.pidfile.as_deref(), Some(Path::new("/run/x.pid")));
    assert!(config.debug && config.setup_timeout.as_secs() == 3);
    let conf = ("/etc/pptpd.conf", "vrf red\n");
    assert_eq!(load(&[conf]).unwrap().0.vrf.as_deref(), Some("red"));
}

#[test]
fn options_are_read_into_their_fields() {
    let (config, _) = options(
        "require-mschap-v2 maxoctets 1000 mo-direction max mo-timeout 5 active-filter 'not icmp' unit 7 \
         linkname office set A=1 set B=2 unset A set B=3 ip-up-script /x ipv6 ::1,::2 pap-timeout 9 \
         netmask 255.255.255.0 allow-ip 10.0.0.1 allow-ip 10.0.0.2 logfile /l remotenumber 5 ipparam p",
    );
    let o = &config.options;
    assert_eq!((o.max_octets, o.octets_timeout, o.unit), (Some(1000), Some(5), Some(7)));
    assert_eq!(o.octets_direction, OctetsDirection::Max);
    assert_eq!(o.active_filter.as_deref(), Some("not icmp"));
    assert_eq!(o.linkname.as_deref(), Some("office"));
    let variables = [("A".to_owned(), None), ("B".to_owned(), Some("3".to_owned()))];
    assert_eq!(o.environment, variables);
    assert_eq!(o.scripts.ip_up.as_deref(), Some(Path::new("/x")));
    assert_eq!(o.ipv6_local.map(|id| id[7]), Some(1));
    assert_eq!(o.allow_ip[0], AddressRule::parse("10.0.0.2").unwrap());
    assert_eq!((o.pap_timeout, o.remote_number.as_deref()), (Some(9), Some("5")));
    assert_eq!((o.ipparam.as_deref(), o.logfile.as_deref()), (Some("p"), Some(Path::new("/l"))));
}

#[test]
fn files_that_name_each_other_are_not_read_without_end() {
    let many = "file /a file /b file /c file /d file /e file /f file /g file /h\n".repeat(10);
    let names = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/etc/ppp/pptpd-options"];
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (*name, many.as_str())).collect();
    files.push(CONF);
    assert!(load(&files).unwrap_err().render().contains("too deep"));
}

#[test]
fn what_was_called_is_kept_for_scripts_and_stays_in_its_folder() {
    let peers = ("/etc/ppp/peers/office", "mtu 1300");
    let (config, _) = load(&[CONF, ("/etc/ppp/pptpd-options", "auth call office"), peers]).unwrap();
    assert_eq!((config.options.call.as_deref(), config.options.mtu), (Some("office"), Some(1300)));
    assert!(refused("auth call ../../shadow").contains("cannot be called"));
}

/// In a time that grew with the square of the length, this would take minutes.
#[test]
fn long_files_of_faults_are_read_quickly_and_told_shortly() {
    for unit in
        ["nonsense ", "nonsense\n", "\"a ", "mtu 1x ", "\\\n", "'", "scott\n", "a b c -- q\n"]
    {
        let text = unit.repeat(256 * 1024 / unit.len());
        let bytes = text.as_bytes();
        let read = |_: &Path| Ok(bytes.to_vec());
        let said = match Config::load_with(&Paths::default(), b"gate", &read, &|_| None) {
            Ok((_, said)) | Err(said) => said,
        };
        let (_, more) = Secrets::parse(Path::new("secrets"), bytes);
        assert!(said.0.len() + more.0.len() < 500, "{unit:?}: {}", said.0.len());
        assert!(said.render().len() < 1_000_000, "{unit:?}");
    }
}

/// Pieces that TOML of this kind is made of, so that some of it is well formed.
fn toml_piece() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let pieces = [
        "[addresses]\n",
        "[session]\n",
        "[users]\n",
        "remote",
        "local",
        "idle",
        "authentication",
        " = ",
        "\"10.0.0.5-9\"",
        "\"10.0.0.1\"",
        "[",
        "]",
        ", ",
        "\n",
        "600",
        "true",
        "\"mschap-v2\"",
        "ppp-options",
        "\"mtu 1300\"",
        ".",
        "{",
        "}",
        "\u{85}",
        "\u{1b}",
        "é",
    ];
    prop_oneof![4 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => "(?s).{0,3}"]
}

proptest::proptest! {
    #[test]
    fn any_gretel_toml_is_read_or_refused_with_a_position(
        pieces in proptest::collection::vec(toml_piece(), 0..40)
    ) {
        let text = pieces.concat();
        let read = |path: &Path| match path.ends_with("gretel.toml") {
            true => Ok(text.clone().into_bytes()),
            false => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        match Config::load_with(&Paths::default(), b"gate", &read, &|_| None) {
            Ok((config, _)) => proptest::prop_assert!(!config.slots.is_empty()),
            Err(said) => {
                proptest::prop_assert!(said.has_errors());
                let shown = said.render();
                proptest::prop_assert!(!shown.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n')));
                let has_place = said.0.iter().any(|said| said.line > 0);
                proptest::prop_assert!(has_place || shown.contains("no address for any client"), "{}", shown);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_position(
        conf in "(?s).{0,200}", options in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)
    ) {
        let read = |path: &Path| Ok(if path.ends_with("pptpd.conf") {
            conf.clone().into_bytes()
        } else {
            options.clone()
        });
        let loaded = Config::load_with(&Paths::default(), b"gate", &read, &|_| None);
        let (refused, said) = match loaded { Ok((_, said)) => (false, said), Err(said) => (true, said) };
        proptest::prop_assert_eq!(refused, said.has_errors());
        let (secrets, more) = Secrets::parse(Path::new("s"), &options);
        proptest::prop_assert!(secrets.len() <= options.split(|byte| *byte == b'\n').count());
        for diagnostic in said.0.iter().chain(&more.0) {
            let shown = diagnostic.render();
            proptest::prop_assert!(!shown.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n')));
            proptest::prop_assert!(diagnostic.line == 0 || diagnostic.column > 0);
            proptest::prop_assert!(!diagnostic.message.is_empty());
        }
    }
}
