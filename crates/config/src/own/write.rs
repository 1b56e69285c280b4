//! A configuration as `gretel.toml`.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::keys::{Key, keys, list};
use super::pools::{POOL_KEYS, POOLS, Pool};
use super::{PPP_OPTIONS, PPTPD_CONF};
use crate::config::Config;
use crate::diagnostic::harmless;
use crate::options::{Class, Origin};

/// A key of `gretel.toml`, its value, and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Its section, `""` for none.
    pub section: Cow<'static, str>,
    /// Its name.
    pub name: &'static str,
    /// Its value as TOML; `None` where nothing is said and the default counts.
    pub value: Option<String>,
    /// Its default; of a pool's key, an example.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// The line that says so; `None` for a default.
    pub origin: Option<&'a Origin>,
}

impl Config {
    /// The whole configuration in the words of `gretel.toml`.
    pub fn settings(&self) -> Vec<Setting<'_>> {
        let settings = keys().map(|key| {
            let (value, origin) = match key.path {
                PPP_OPTIONS => self.words(false),
                PPTPD_CONF => self.words(true),
                _ => ((key.get)(self), self.origin(key)),
            };
            Setting {
                section: key.section().into(),
                name: key.name(),
                value,
                default: key.default,
                meaning: key.meaning,
                origin,
            }
        });
        settings.chain(self.pools.iter().flat_map(|pool| self.settings_of(pool))).collect()
    }

    fn settings_of<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = Setting<'a>> {
        POOL_KEYS.iter().map(move |key| {
            let section = format!("{POOLS}.{}", pool.name);
            let path = format!("{section}.{}", key.name);
            Setting {
                section: section.into(),
                name: key.name,
                value: (key.get)(pool),
                default: key.example,
                meaning: key.meaning,
                origin: self.origins.iter().rev().find(|origin| origin.word == path),
            }
        })
    }

    /// The whole configuration as `gretel.toml`, with where each value came from; what nobody set is behind a `#`.
    pub fn show(&self) -> String {
        let mut text = String::new();
        for (section, settings) in &sections(self.settings()) {
            header(&mut text, section);
            for setting in settings {
                let line = match (&setting.value, setting.origin) {
                    (Some(value), Some(origin)) => {
                        format!("{} = {value}  # {}", setting.name, place(origin))
                    }
                    (Some(value), None) => format!("{} = {value}  # no file says so", setting.name),
                    (None, _) if setting.section.starts_with(POOLS) => {
                        format!("#{}  # as in [addresses]", setting.name)
                    }
                    (None, _) => format!("#{} = {}  # default", setting.name, setting.default),
                };
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    /// A `gretel.toml` that says what the files say, with a comment for each choice. What counts for nothing stands at its end, with why.
    pub fn convert(&self) -> String {
        let mut text = String::from("# What these files said when this was written:\n");
        let mut files: Vec<String> = self.origins.iter().map(name).collect();
        files.dedup();
        files.iter().for_each(|file| text.push_str(&format!("#   {file}\n")));
        for (section, mut settings) in sections(self.settings()) {
            settings.retain(|setting| setting.is_said());
            if settings.is_empty() {
                continue;
            }
            header(&mut text, &section);
            for setting in settings {
                let Setting { name, value, meaning, .. } = &setting;
                text.push_str(&format!("# {meaning}\n"));
                if let Some(origin) = setting.origin {
                    text.push_str(&format!("# from {}\n", place(origin)));
                }
                text.push_str(&format!("{name} = {}\n", value.as_deref().unwrap_or("[]")));
            }
        }
        text.push_str("\n# Left out:\n");
        for origin in self.origins.iter().filter(|origin| origin.class != Class::Honoured) {
            let why = origin.class.remedy().unwrap_or(origin.meaning);
            let class = origin.class.word();
            text.push_str(&format!("#   {}: {class}: {why}\n", place(origin)));
        }
        text
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
        let covered = |name: &str| keys().any(|key| key.path == name || key.names.contains(&name));
        let keyword =
            |name: &str| crate::pptpd_conf::KEYWORDS.iter().any(|known| known.name == name);
        let wanted: Vec<&Origin> = self
            .origins
            .iter()
            .filter(|origin| origin.class == Class::Honoured && !covered(origin.name))
            .filter(|origin| !matches!(origin.name, "" | "file" | "call" | "option" | POOLS))
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

impl Setting<'_> {
    /// Whether somebody said so, or it is a path of the command line.
    fn is_said(&self) -> bool {
        let is_path = self.name.ends_with("-secrets");
        self.value.is_some()
            && (self.origin.is_some() || (is_path && self.value.as_deref() != Some(self.default)))
    }
}

/// Settings by section, in their order.
fn sections(settings: Vec<Setting<'_>>) -> Vec<(Cow<'static, str>, Vec<Setting<'_>>)> {
    let mut sections: Vec<(Cow<'static, str>, Vec<Setting<'_>>)> = Vec::new();
    for setting in settings {
        match sections.last_mut() {
            Some((section, settings)) if *section == setting.section => settings.push(setting),
            _ => sections.push((setting.section.clone(), vec![setting])),
        }
    }
    sections
}

fn header(text: &mut String, section: &str) {
    if !section.is_empty() {
        text.push_str(&format!("\n[{section}]\n"));
    }
}

/// The file's name.
fn name(origin: &Origin) -> String {
    harmless(&origin.file.display().to_string())
}

/// `FILE:LINE word argument`, for a comment.
fn place(origin: &Origin) -> String {
    let argument = origin.argument.as_ref().map(|text| format!(" {text}")).unwrap_or_default();
    let line = if origin.line > 0 { format!(":{}", origin.line) } else { String::new() };
    format!("{}{line} {}", name(origin), harmless(&format!("{}{argument}", origin.word)))
}

/// A word as pppd's files write it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+=%@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\{:03o}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// The file with every key, its meaning and its default, all behind a `#`.
pub fn sample() -> String {
    let mut text = String::from(
        "# /etc/gretel/gretel.toml: what pptpd.conf and pppd's options cannot say, or all that they say; this file counts more.\n\
         # Without a pptpd.conf it stands alone, and /etc/ppp/options is not read. Every key with its default:\n",
    );
    let mut section = "";
    for key in keys() {
        if key.section() != section {
            section = key.section();
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!("\n# {}.\n#{} = {}\n", key.meaning, key.name(), key.default));
    }
    text.push_str(
        "\n# Addresses for some users; as many such sections as are wanted. What a pool leaves out is as in [addresses].\n#[pools.office]\n",
    );
    for key in POOL_KEYS {
        text.push_str(&format!("\n# {}.\n#{} = {}\n", key.meaning, key.name, key.example));
    }
    text
}

/// Our addresses in the tunnels: one where it serves all sessions.
pub(super) fn locals(slots: &[(Ipv4Addr, Ipv4Addr)]) -> String {
    let local = || slots.iter().map(|(local, _)| *local);
    match local().next() {
        Some(first) if local().all(|address| address == first) => ranges([first].into_iter()),
        _ => ranges(local()),
    }
}

/// Networks as `ADDRESS/BITS`.
pub(super) fn networks(networks: &[(Ipv4Addr, u8)]) -> String {
    list(networks.iter().map(|(address, bits)| format!("{address}/{bits}")))
}

/// Addresses as ranges in the last part.
pub(super) fn ranges(addresses: impl Iterator<Item = Ipv4Addr>) -> String {
    let mut ranges: Vec<(Ipv4Addr, u8)> = Vec::new();
    for address in addresses {
        let [a, b, c, d] = address.octets();
        match ranges.last_mut() {
            Some((first, last))
                if first.octets()[..3] == [a, b, c] && last.checked_add(1) == Some(d) =>
            {
                *last = d;
            }
            _ => ranges.push((address, d)),
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
