//! pppd's options files.
//!
//! [`table`] has one row for each option that pppd knows: its names, its argument, what becomes of it here, and what it sets. The
//! [`Reader`] follows the table, and `docs/options.md` is written from it.

mod reader;
mod table;
mod value;
mod values;

pub use reader::Origin;
pub(crate) use reader::{Reader, Texts};
pub(crate) use table::PLUGINS;
pub use values::{MppeOptions, OctetsDirection, PppOptions, ScriptOptions, TimerOptions};

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use value::Value;

use value::Fault;

/// One option of pppd.
pub(crate) struct PppOption {
    /// pppd's own name for it, then its aliases.
    pub(crate) names: &'static [&'static str],
    /// What stands behind it, if anything does.
    pub(crate) argument: Option<&'static str>,
    pub(crate) class: Class,
    /// What it means to a server, in a line.
    pub(crate) meaning: &'static str,
    action: Action,
}

/// What becomes of a keyword of `pptpd.conf` or an option of pppd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The server does as it says.
    Honoured,
    /// Nobody would see a difference.
    Harmless,
    /// Ignored with a warning, which says what to do instead.
    Ignored(&'static str),
    /// The server does not start: without the option it would let in or through what the option keeps out. What to do instead.
    Refused(&'static str),
}

impl Class {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Harmless => "harmless",
            Self::Ignored(_) => "ignored",
            Self::Refused(_) => "refused",
        }
    }

    /// What to do instead, where it does not count.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Honoured | Self::Harmless => None,
            Self::Ignored(remedy) | Self::Refused(remedy) => Some(remedy),
        }
    }
}

/// What reading an option does.
#[derive(Clone, Copy)]
enum Action {
    Nothing,
    Set(fn(&mut PppOptions, &mut Value<'_>) -> Result<(), Fault>),
    /// `file`: reads another file.
    File,
    /// `call`: reads a file in `/etc/ppp/peers`.
    Call,
    /// `plugin`: what becomes of it depends on which.
    Plugin,
}

type Set = fn(&mut PppOptions, &mut Value<'_>) -> Result<(), Fault>;
type Names = &'static [&'static str];
type Text = &'static str;

impl PppOption {
    const fn honoured(names: Names, argument: Option<Text>, meaning: Text, set: Set) -> Self {
        Self { names, argument, class: Class::Honoured, meaning, action: Action::Set(set) }
    }

    const fn harmless(names: Names, argument: Option<Text>, meaning: Text) -> Self {
        Self { names, argument, class: Class::Harmless, meaning, action: Action::Nothing }
    }

    const fn ignored(names: Names, argument: Option<Text>, meaning: Text, remedy: Text) -> Self {
        let class = Class::Ignored(remedy);
        Self { names, argument, class, meaning, action: Action::Nothing }
    }

    const fn refused(names: Names, argument: Option<Text>, meaning: Text, remedy: Text) -> Self {
        let class = Class::Refused(remedy);
        Self { names, argument, class, meaning, action: Action::Nothing }
    }

    /// Its value is read all the same, and a malformed one is an error.
    const fn read(mut self, set: Set) -> Self {
        self.action = Action::Set(set);
        self
    }
}

/// All options, in the order of the pages that describe them.
pub(crate) fn all() -> impl Iterator<Item = &'static PppOption> {
    table::SECTIONS.iter().flat_map(|(_, options)| options.iter())
}

/// The sections of the table with their headings.
pub(crate) fn sections() -> &'static [(&'static str, &'static [PppOption])] {
    table::SECTIONS
}

/// Every name of every option, with what stands behind it.
pub fn option_names() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    all().flat_map(|option| option.names.iter().map(|name| (*name, option.argument)))
}

/// The option of this name.
pub(crate) fn find(name: &str) -> Option<&'static PppOption> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static PppOption>> = LazyLock::new(|| {
        all().flat_map(|option| option.names.iter().map(move |name| (*name, option))).collect()
    });
    BY_NAME.get(name).copied()
}
