//! A configuration as `gretel.toml`.

use std::net::Ipv4Addr;

use super::keys::{KEYS, Key, list};
use super::{PPP_OPTIONS, PPTPD_CONF};
use crate::config::Config;
use crate::options::{Class, Origin};

/// A key of `gretel.toml`, its value, and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Its section, `""` for none.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its value as TOML; `None` where nothing is said and the default counts.
    pub value: Option<String>,
    /// Its default.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// The line that says so; `None` for a default.
    pub origin: Option<&'a Origin>,
}

impl Config {
    /// The whole configuration in the words of `gretel.toml`.
    pub fn settings(&self) -> Vec<Setting<'_>> {
        KEYS.iter()
            .map(|key| {
                let (value, origin) = match key.path {
                    PPP_OPTIONS => self.words(false),
                    PPTPD_CONF => self.words(true),
                    _ => ((key.get)(self), self.origin(key)),
                };
                Setting {
                    section: key.section(),
                    name: key.name(),
                    value,
                    default: key.default,
                    meaning: key.meaning,
                    origin,
                }
            })
            .collect()
    }

    /// The last line that says what a key says; `gretel.toml` was read last.
    fn origin(&self, key: &Key) -> Option<&Origin> {
        let same = |origin: &&Origin| origin.name == key.path || key.names.contains(&origin.name);
        let delegated = |origin: &&Origin| {
            key.path == "addresses.local" && self.delegate && origin.name.is_empty()
        };
        self.origins.iter().rev().find(|origin| same(origin) || delegated(origin))
    }

    /// What is honoured and has no key of its own, in the words of pppd or of `pptpd.conf`.
    fn words(&self, of_pptpd_conf: bool) -> (Option<String>, Option<&Origin>) {
        let covered =
            |name: &str| KEYS.iter().any(|key| key.path == name || key.names.contains(&name));
        let keyword =
            |name: &str| crate::pptpd_conf::KEYWORDS.iter().any(|known| known.name == name);
        let wanted: Vec<&Origin> = self
            .origins
            .iter()
            .filter(|origin| origin.class == Class::Honoured && !covered(origin.name))
            .filter(|origin| !matches!(origin.name, "" | "file" | "call" | "option"))
            .filter(|origin| keyword(origin.name) == of_pptpd_conf)
            .collect();
        let words = wanted.iter().map(|origin| match &origin.argument {
            Some(argument) if of_pptpd_conf => format!("{} {argument}", origin.name),
            Some(argument) => format!("{} {}", origin.name, word(argument)),
            None => origin.name.to_owned(),
        });
        let value = (!wanted.is_empty()).then(|| list(words));
        (value, wanted.last().copied())
    }
}

/// A word as pppd's files write it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+=%@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The file with every key, its meaning and its default, all behind a `#`.
pub fn sample() -> String {
    let mut text = String::from(
        "# /etc/gretel/gretel.toml: what pptpd.conf and pppd's options cannot say, or all that they say; this file counts more.\n\
         # Without a pptpd.conf it stands alone, and /etc/ppp/options is not read. Every key with its default:\n",
    );
    let mut section = "";
    for key in KEYS {
        if key.section() != section {
            section = key.section();
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!("\n# {}.\n#{} = {}\n", key.meaning, key.name(), key.default));
    }
    text
}

/// `addresses.local`.
pub(super) fn local(config: &Config) -> String {
    let local: Vec<Ipv4Addr> = config.slots.iter().map(|(local, _)| *local).collect();
    match local.split_first() {
        Some((first, rest)) if rest.iter().all(|address| address == first) => ranges(&[*first]),
        _ => ranges(&local),
    }
}

/// `addresses.remote`.
pub(super) fn remote(config: &Config) -> String {
    ranges(&config.slots.iter().map(|(_, remote)| *remote).collect::<Vec<_>>())
}

/// Addresses as ranges in the last part.
fn ranges(addresses: &[Ipv4Addr]) -> String {
    let mut ranges: Vec<(Ipv4Addr, u8)> = Vec::new();
    for address in addresses {
        let [a, b, c, d] = address.octets();
        match ranges.last_mut() {
            Some((first, last))
                if first.octets()[..3] == [a, b, c] && last.checked_add(1) == Some(d) =>
            {
                *last = d;
            }
            _ => ranges.push((*address, d)),
        }
    }
    list(ranges.into_iter().map(|(first, last)| match first.octets()[3] == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }))
}

/// `users.authentication`.
pub(super) fn methods(config: &Config) -> String {
    let methods = [
        (config.mschap_v2, "mschap-v2"),
        (config.mschap, "mschap"),
        (config.chap_md5, "chap"),
        (config.pap, "pap"),
    ];
    list(methods.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned()))
}

/// `encryption.mppe`.
pub(super) fn need(config: &Config) -> &'static str {
    match (config.options.mppe.off(), config.options.mppe.required()) {
        (true, _) => "off",
        (false, true) => "required",
        (false, false) => "allowed",
    }
}

/// `encryption.bits`.
pub(super) fn bits(config: &Config) -> Option<String> {
    let mppe = &config.options.mppe;
    let lengths = [(mppe.bits128, "128"), (mppe.bits40, "40")];
    let lengths: Vec<&str> =
        lengths.into_iter().filter(|(on, _)| *on).map(|(_, bits)| bits).collect();
    mppe.required().then(|| format!("[{}]", lengths.join(", ")))
}
