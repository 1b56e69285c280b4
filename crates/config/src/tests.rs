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
fn options_files_nest_but_not_in_circles() {
    let options = ("/etc/ppp/pptpd-options", "file /etc/ppp/more\n");
    let more = ("/etc/ppp/more", "mtu 1400\nfile /etc/ppp/pptpd-options\n");
    let errors = load(&[CONF, options, more]).unwrap_err();
    assert!(errors.render().contains("/etc/ppp/more:2:6"), "{}", errors.render());
}

proptest::proptest! {
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
        let diagnostics = match loaded { Ok((_, d)) | Err(d) => d };
        let _ = diagnostics.render();
        let _ = Secrets::parse(Path::new("s"), &options);
    }
}
