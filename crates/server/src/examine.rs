//! The configuration as `gretel check` sees it: files, users and this host's networks together.

use std::net::IpAddr;

use config::{Config, Diagnostics, Network, Secrets, SecretsFile};
use sys::netlink::Netlink;
use sys::user::User;

use crate::files::Files;
use crate::filters::filters;
use crate::own_user;

/// What was found.
#[derive(Debug)]
pub struct Examined {
    /// What the files say, faults and all; `None` without a `pptpd.conf`.
    pub config: Option<Config>,
    /// How many users there are.
    pub users: usize,
    /// What there is to say.
    pub diagnostics: Diagnostics,
}

impl Files {
    /// Reads everything and looks at it beside this host. Changes nothing, and needs no rights but those to read the files.
    pub fn examine(&self) -> Examined {
        let (config, mut diagnostics) = Config::examine(&self.paths, &self.host_name);
        let mut users = 0;
        if let Some(config) = &config {
            let user = own_user::named(config, &mut diagnostics);
            let group = user.as_ref().map(User::gid);
            let mut chap = SecretsFile::new(&config.chap_secrets).for_group(group);
            let mut pap = SecretsFile::new(&config.pap_secrets).for_group(group);
            if config.auth {
                users += look_at(config, &mut chap, &mut diagnostics);
            }
            // PAP users may be in chap-secrets too, so the other file need not be there.
            if config.pap && config.pap_secrets.exists() {
                users += look_at(config, &mut pap, &mut diagnostics);
            }
            if let Some(user) = &user {
                let files = self.files(config, chap.known().entries());
                diagnostics.0.extend(own_user::objections(config, user, &files).0);
            }
            if let Err(fault) = filters(&config.options) {
                diagnostics.0.push(fault.diagnostic(config));
            }
            let found = config.review_addresses(&self.paths.pptpd_conf, &networks());
            diagnostics.0.extend(found.0);
        }
        Examined { config, users, diagnostics }
    }
}

/// Adds what there is to say about a secrets file; gives the number of its users.
fn look_at(config: &Config, file: &mut SecretsFile, diagnostics: &mut Diagnostics) -> usize {
    let path = file.path().to_owned();
    match file.refresh() {
        Ok((secrets, found)) => {
            diagnostics.0.extend(found.0);
            diagnostics.0.extend(config.review_users(&path, secrets).0);
            secrets.len()
        }
        Err(error) => {
            let nobody = config.review_users(&path, &Secrets::default());
            diagnostics.0.extend(nobody.0.into_iter().map(|mut diagnostic| {
                diagnostic.message = format!("{}: {error}", diagnostic.message);
                diagnostic
            }));
            0
        }
    }
}

/// The networks of this host that have room for others; none where they cannot be read.
fn networks() -> Vec<Network> {
    let Ok(interfaces) = Netlink::open().and_then(|mut netlink| {
        netlink.interfaces().map_err(|error| std::io::Error::other(error.to_string()))
    }) else {
        return Vec::new();
    };
    let mut networks = Vec::new();
    for interface in interfaces {
        for address in interface.addresses.iter().filter(|address| address.peer.is_none()) {
            if let IpAddr::V4(local) = address.local
                && !local.is_loopback()
            {
                let interface = interface.name.clone();
                networks.push(Network { interface, address: local, bits: address.prefix_len });
            }
        }
    }
    networks
}

#[cfg(test)]
mod tests {
    use config::Paths;

    use super::*;

    #[test]
    fn users_are_counted_and_a_missing_file_of_users_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let options = file("options");
        std::fs::write(&options, "name pptpd\nrequire-mschap-v2\n").unwrap();
        let conf = format!(
            "option {}\nlocalip 198.51.100.1\nremoteip 198.51.100.2-9\n",
            options.display()
        );
        std::fs::write(file("pptpd.conf"), conf).unwrap();
        let files = Files {
            paths: Paths {
                pptpd_conf: file("pptpd.conf"),
                ppp_options: file("none"),
                chap_secrets: file("chap-secrets"),
                ..Paths::default()
            },
            host_name: b"gate".to_vec(),
            listen: None,
            prefer_stateful_mppe: false,
            packet_io: None,
            debug: false,
        };
        let examined = files.examine();
        assert_eq!(examined.users, 0);
        let said = examined.diagnostics.render();
        assert!(said.contains("nobody can log in") && said.contains("No such file"), "{said}");
        std::fs::write(file("chap-secrets"), "scott pptpd turquoise *\n").unwrap();
        assert_eq!(files.examine().users, 1);
        assert!(!files.examine().diagnostics.has_errors());
    }
}
