//! The keys of `gretel.toml`.

mod packets;
mod records;
mod server;
mod sessions;
mod users;

use std::time::Duration;

use toml_edit::Item;

use super::Own;
use super::value::{Fault, fault, number, text};
use crate::config::Config;
use crate::options::PppOptions;
use crate::slots::Resolve;

/// A key of the file.
pub(super) struct Key {
    /// Its section and name: `session.idle`.
    pub(super) path: &'static str,
    /// Its value when nothing is said, as TOML.
    pub(super) default: &'static str,
    /// What it means, in a line.
    pub(super) meaning: &'static str,
    /// The keywords of `pptpd.conf` and options of pppd that say the same.
    pub(super) names: &'static [&'static str],
    pub(super) set: Set,
    /// Its value in a configuration, as TOML; `None` where nothing is said.
    pub(super) get: fn(&Config) -> Option<String>,
}

type Set = fn(&mut Own, &mut PppOptions, &Item, Resolve<'_>) -> Result<(), Fault>;

impl Key {
    /// Its section, `""` for a key that is in none.
    pub(super) fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within the section.
    pub(super) fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }
}

const MOST: u32 = i32::MAX as u32;

/// The keys of all sections, those without a section first, as TOML wants it.
const SECTIONS: [&[Key]; 10] = [
    server::GENERAL,
    server::SERVER,
    server::ADDRESSES,
    users::USERS,
    users::ENCRYPTION,
    packets::INTERFACE,
    sessions::SESSION,
    packets::DATAPLANE,
    sessions::LIMITS,
    records::RECORDS,
];

/// All keys, section by section.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> + Clone {
    SECTIONS.into_iter().flatten()
}

/// A time from a second to a day.
fn time(item: &Item) -> Result<Duration, Fault> {
    Ok(Duration::from_secs(u64::from(number(item, 1, 86_400)?)))
}

/// One of a few words.
fn one_of<T: Copy>(item: &Item, words: &[(&str, T)]) -> Result<T, Fault> {
    let given = text(item)?;
    let found = words.iter().find(|(word, _)| *word == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        fault(
            item.span(),
            format!("{given:?} is not known"),
            format!("write one of {}", known.join(", ")),
        )
    })
}

/// The word for a value, as TOML writes it.
fn name_of<T: Copy + PartialEq>(value: T, words: &[(&str, T)]) -> String {
    words
        .iter()
        .find(|(_, other)| *other == value)
        .map_or_else(String::new, |(word, _)| quoted(word))
}

/// Text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Texts as TOML writes them.
pub(super) fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| quoted(&text)).collect();
    format!("[{}]", texts.join(", "))
}
