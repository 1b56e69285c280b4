//! What is odd about a configuration though every file of it is well formed: beside its users, and beside the host's networks.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Diagnostics, File, Place, Severity, harmless};
use crate::options::{Class, Origin};
use crate::secrets::{AddressSet, Entry, Secrets};

/// A network of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The interface.
    pub interface: String,
    /// This host's address in it.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits.
    pub bits: u8,
}

impl Network {
    fn holds(&self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.bits.min(32))).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.address) & mask
    }
}

impl Config {
    /// All that is in effect, with where it is said, as notes (`dump`).
    pub fn in_effect(&self) -> Diagnostics {
        let honoured = self.origins.iter().filter(|origin| origin.class == Class::Honoured);
        let note = |origin: &Origin| {
            let argument = origin.argument.as_deref().unwrap_or_default();
            Diagnostic {
                severity: Severity::Note,
                file: origin.file.to_path_buf(),
                line: origin.line,
                column: 1,
                text: None,
                span: 0..0,
                message: harmless(&format!("in effect: {} {argument}", origin.word)),
                remedy: String::new(),
            }
        };
        Diagnostics(honoured.map(note).collect())
    }

    /// An error about an option, where it was said last.
    pub fn blame(&self, option: &str, message: String, remedy: String) -> Diagnostic {
        let said = self.origins.iter().rev().find(|origin| origin.name == option);
        let column = |origin: &Origin| origin.place.start - origin.place.line_start + 1;
        Diagnostic {
            severity: Severity::Error,
            file: said.map(|origin| origin.file.to_path_buf()).unwrap_or_default(),
            line: said.map_or(0, |origin| origin.line),
            column: said.map_or(1, column),
            text: None,
            span: 0..0,
            message: harmless(&message),
            remedy,
        }
    }

    /// What is odd about the users in `chap-secrets`: nobody can log in, or somebody who may have no address.
    pub fn review_users(&self, path: &Path, secrets: &Secrets) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        let mut file = File { path, input: b"", secret: true, diagnostics: &mut diagnostics };
        let name = String::from_utf8_lossy(&self.name);
        let ours = |server: &[u8]| server == b"*" || server == self.name;
        let mut usable = 0;
        for entry in secrets.entries().iter().filter(|entry| ours(&entry.server)) {
            usable += 1;
            let place = Place { line: entry.line, ..Place::default() };
            let client = String::from_utf8_lossy(&entry.client);
            let refuses = |what: &AddressSet, deny: bool| deny || *what == AddressSet::None;
            if entry.addresses.0.iter().all(|rule| refuses(&rule.what, rule.deny)) {
                let message = format!("{client} may have no address, and so cannot connect");
                file.warn(&place, message, "write * or an address in the fourth column");
            } else if self.delegate && !entry.addresses.0.iter().any(|rule| rule.is_single_host()) {
                let message = format!("{client} has no address of its own, which delegate needs");
                file.warn(&place, message, "write it in the fourth column");
            }
            if let Some(option) = self.own_interface_option(entry) {
                let message =
                    format!("{client}'s {option} does nothing: all sessions share an interface");
                let remedy = "remove it, or write mode = \"session\" in gretel.toml, [interface]";
                file.warn(&place, message, remedy);
            }
        }
        if usable == 0 && self.auth {
            let message = format!("nobody can log in: no line is for this server, {name}");
            let remedy = format!("write a user, with {name} or * in the second column");
            file.warn(&Place::default(), message, remedy);
        }
        diagnostics
    }

    /// An option of a user's that only an interface of the session's own could follow, where there is none.
    fn own_interface_option<'a>(&self, entry: &'a Entry) -> Option<&'a str> {
        const NEED_ONE: [&str; 4] = ["unit", "ifname", "linkname", "+ipv6"];
        let mut words = entry.option_words();
        words.find(|word| self.shared_interface && NEED_ONE.contains(word))
    }

    /// What is odd about the addresses beside the host's own networks. `path` is the file that the addresses are in.
    pub fn review_addresses(&self, path: &Path, networks: &[Network]) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        let mut file = File { path, input: b"", secret: false, diagnostics: &mut diagnostics };
        let mut warn =
            |message: String, remedy: &str| file.warn(&Place::default(), message, remedy);
        let remote = || self.all_slots().map(|(_, remote)| *remote).filter(|a| !a.is_unspecified());
        let mine = |address: &Ipv4Addr| networks.iter().find(|network| network.address == *address);
        if let Some(network) = remote().find_map(|address| mine(&address)) {
            let Network { interface, address, .. } = network;
            warn(
                format!("clients may be given {address}, which is this host's on {interface}"),
                "take it out of remoteip",
            );
        }
        let lan = |address: Ipv4Addr| {
            networks.iter().find(|network| network.bits < 31 && network.holds(address))
        };
        let on_lan = remote().find_map(|address| Some((address, lan(address)?)));
        let off_lan = remote().find(|address| lan(*address).is_none());
        match (self.options.proxyarp, on_lan, off_lan) {
            (false, Some((address, network)), _) => warn(
                format!(
                    "{address} is in the network of {}, whose hosts will not find clients there",
                    network.interface
                ),
                "add proxyarp to the options file, or give clients addresses of a network of their own",
            ),
            (true, _, Some(address)) if !networks.is_empty() => warn(
                format!(
                    "proxyarp does nothing for {address}: no interface here has a network with it"
                ),
                "give clients addresses of the LAN, or remove proxyarp",
            ),
            _ => {}
        }
        diagnostics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Paths;

    fn config(remote: &str, options: &str) -> Config {
        let read = |path: &Path| {
            Ok(match path.to_str() {
                Some("/etc/pptpd.conf") => {
                    format!("option /o\nlocalip 192.168.1.1\nremoteip {remote}\n").into_bytes()
                }
                Some("/o") => format!("name pptpd\nrequire-mschap-v2\n{options}\n").into_bytes(),
                _ => Vec::new(),
            })
        };
        Config::load_with(&Paths::default(), b"gate", &read, &|_| None).unwrap().0
    }

    fn around(remote: &str, options: &str) -> String {
        let network = |interface: &str, address: [u8; 4], bits| Network {
            interface: interface.into(),
            address: address.into(),
            bits,
        };
        let networks =
            [network("eth0", [192, 168, 1, 1], 24), network("eth1", [192, 168, 1, 9], 32)];
        config(remote, options).review_addresses(Path::new("/etc/pptpd.conf"), &networks).render()
    }

    #[test]
    fn what_is_in_effect_is_told_with_its_line() {
        let said = config("10.0.0.2-9", "idle 60\nlock\ndump").in_effect().render();
        assert!(said.contains("/o:3:1: note: in effect: idle 60"), "{said}");
        assert!(said.contains("/etc/pptpd.conf:3:1: note: in effect: remoteip 10.0.0.2-9"));
        assert!(!said.contains("lock"));
    }

    #[test]
    fn addresses_on_the_lan_need_proxyarp_and_others_do_not() {
        assert_eq!(around("192.168.1.200-210", "proxyarp"), "");
        assert_eq!(around("10.0.0.2-9", ""), "");
        assert!(around("192.168.1.200-210", "").contains("add proxyarp"));
        assert!(around("10.0.0.2-9", "proxyarp").contains("does nothing for 10.0.0.2"));
    }

    #[test]
    fn an_address_of_this_host_is_none_for_clients() {
        let said = around("192.168.1.5-10", "proxyarp");
        assert!(said.contains("192.168.1.9, which is this host's on eth1"), "{said}");
    }

    #[test]
    fn users_who_cannot_connect_are_named_with_their_line() {
        let config = config("10.0.0.2-9", "");
        let review = |text: &str| {
            let (secrets, _) = Secrets::parse(Path::new("s"), text.as_bytes());
            config.review_users(Path::new("s"), &secrets).render()
        };
        assert_eq!(review("scott pptpd turquoise *\n"), "");
        let said = review("# x\nscott pptpd turquoise\nlulu * good 10.0.0.3\nmoe other x\n");
        assert!(said.contains("s:2:1: warning: scott may have no address"), "{said}");
        assert!(!said.contains("lulu") && !said.contains("moe") && !said.contains("turquoise"));
        assert!(review("scott other turquoise *\n").contains("no line is for this server, pptpd"));
    }
}
