//! `/etc/gretel/gretel.toml`: what the Debian files cannot say, or all that they say. It counts more than they do.
//!
//! [`keys::keys`] has one row for each key. Reading, `gretel config show` and `gretel config convert` follow it, and so does `docs/gretel.toml`.

mod keys;
mod pools;
mod value;
mod write;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml_edit::{Document, Item, TableLike};

use crate::diagnostic::{Diagnostics, File, Place, nearest};
use crate::options::{Class, Origin, Reader};
use crate::slots::Resolve;
use crate::words::{Word, Words};

pub use pools::Pool;
pub use write::{Setting, sample};

use keys::{Key, keys};
use pools::{OwnPool, POOLS};
use value::{Fault, texts};

/// Bytes of the file.
const MAX_FILE: usize = 1024 * 1024;
/// The key whose texts are options in pppd's words.
const PPP_OPTIONS: &str = "ppp-options";
/// The key whose texts are lines of `pptpd.conf`.
const PPTPD_CONF: &str = "pptpd-conf";

/// Bounds on what clients may take, where the file sets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Control connections in all.
    pub connections: Option<usize>,
    /// Control connections from one address that have no authenticated session.
    pub unfinished_per_address: Option<usize>,
    /// Control connections without an authenticated session in all.
    pub unfinished: Option<usize>,
    /// How long they may take to log in before the oldest of them gives way.
    pub time_to_log_in: Option<Duration>,
    /// Control messages that a connection may send in a second.
    pub control_messages: Option<u32>,
    /// Control frames of a call that are taken in a second.
    pub control_frames: Option<u32>,
    /// Encrypted packets of a session that are tried in a second though they claim to be hundreds of keys ahead.
    pub far_packets: Option<u32>,
    /// Set-ups that are carried on at once.
    pub set_ups: Option<usize>,
    /// Sessions that a user may have at once; 0: any number.
    pub sessions_per_user: Option<usize>,
    /// Whether a login beyond that is refused; else the user's oldest session ends.
    pub denies_duplicates: Option<bool>,
    /// Bytes waiting for a client that does not read.
    pub unsent: Option<usize>,
    /// Failed logins that lock an address; 0: none do.
    pub login_failures: Option<u32>,
    /// Failed logins in a user's name, from addresses where the user has not logged in, that lock it there; 0: none do.
    pub login_failures_per_user: Option<u32>,
    /// How long failed logins count.
    pub login_window: Option<Duration>,
    /// How long a lock holds.
    pub login_lock: Option<Duration>,
}

/// How packets are carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// How GRE packets leave and come.
    pub io: PacketIo,
    /// The interfaces for [`PacketIo::Xdp`]; without any, that of the default route.
    pub interfaces: Vec<String>,
    /// Whether they may be fragmented on their way.
    pub fragments: Fragments,
    /// What they show of the packets inside.
    pub tos: Tos,
}

/// How GRE packets leave and come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketIo {
    /// By raw sockets.
    #[default]
    Raw,
    /// They leave by AF_PACKET.
    Packet,
    /// They leave and come by AF_XDP.
    Xdp,
}

/// What packets around those of the tunnels show of the TOS (traffic class) inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tos {
    /// Nothing.
    #[default]
    Clear,
    /// Whether congestion can be marked (ECN).
    Ecn,
    /// That, and the priority (DSCP).
    All,
}

/// Whether packets around those of the tunnels may be fragmented on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    /// They may.
    #[default]
    Allowed,
    /// They may not.
    Forbidden,
    /// As the packet inside says.
    Copied,
}

/// What is kept of attempts that have ended, where the file sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The directory of the history.
    pub directory: Option<PathBuf>,
    /// Attempts kept.
    pub attempts: Option<u32>,
    /// Days that they are kept.
    pub days: Option<u32>,
    /// The largest size of the history, in MiB.
    pub megabytes: Option<u32>,
}

/// What the file says beyond pppd's options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    pub(crate) listen: Option<Vec<SocketAddr>>,
    pub(crate) local: Option<Vec<Ipv4Addr>>,
    pub(crate) remote: Option<Vec<Ipv4Addr>>,
    pub(crate) sessions: Option<u32>,
    pub(crate) delegate: Option<bool>,
    pub(crate) setup_timeout: Option<Duration>,
    pub(crate) debug: Option<bool>,
    pub(crate) sandbox: Option<bool>,
    pub(crate) user: Option<String>,
    pub(crate) routes: Vec<(Ipv4Addr, u8)>,
    pub(crate) domain: String,
    pub(crate) shared_interface: bool,
    pub(crate) limits: Limits,
    pub(crate) logwtmp: Option<bool>,
    pub(crate) records: Records,
    pub(crate) packets: Packets,
    pub(crate) pools: Vec<OwnPool>,
}

/// The file, parsed.
pub(crate) struct OwnFile<'a> {
    path: &'a Path,
    text: &'a str,
    /// Where its lines begin.
    lines: Vec<usize>,
    document: Document<&'a str>,
}

impl<'a> OwnFile<'a> {
    /// Parses the file. `None`, and a diagnostic, when it is no TOML.
    pub(crate) fn parse(
        path: &'a Path,
        input: &'a [u8],
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let mut file = File { path, input, secret: false, diagnostics };
        if input.len() > MAX_FILE {
            let message = format!("the file is longer than {MAX_FILE} bytes");
            file.error(&Place::default(), message, "that is no configuration; name another file");
            return None;
        }
        let newlines = input.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let lines: Vec<usize> = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        let text = match std::str::from_utf8(input) {
            Ok(text) => text,
            Err(error) => {
                let place = place(&lines, error.valid_up_to()..error.valid_up_to() + 1);
                file.error(&place, "this is no UTF-8", "save the file as UTF-8");
                return None;
            }
        };
        match Document::parse(text) {
            Ok(document) => Some(Self { path, text, lines, document }),
            Err(error) => {
                let place = place(&lines, error.span().unwrap_or(0..0));
                file.error(&place, error.message(), "write it as TOML wants it: key = value");
                None
            }
        }
    }

    /// The file's text.
    pub(crate) fn text(&self) -> &str {
        self.text
    }

    /// Lines of `pptpd.conf` that the file has in it, as keywords and values.
    pub(crate) fn keywords(&self) -> Vec<(String, String)> {
        let lines = self.document.as_table().get(PPTPD_CONF).and_then(|item| texts(item).ok());
        lines.unwrap_or_default().into_iter().map(|(line, _)| split(&line)).collect()
    }

    /// Reads all keys: `reader` takes pppd's options, the rest is returned.
    pub(crate) fn apply(&self, reader: &mut Reader<'_>, resolve: Resolve<'_>) -> Own {
        let mut own = Own::default();
        let mut found = Vec::new();
        self.collect(self.document.as_table(), "", &mut found, reader.diagnostics);
        // The options in pppd's words come first, so that a key of its own counts more.
        found.sort_by_key(|(key, ..)| key.path != PPP_OPTIONS);
        for (key, span, item) in found {
            if key.path == PPP_OPTIONS {
                self.options(item, reader);
            }
            match (key.set)(&mut own, &mut reader.options, item, resolve) {
                Ok(()) => self.note(key, span, item, reader),
                Err(fault) => self.refuse(key, fault, item, reader.diagnostics),
            }
        }
        own.pools = self.read_pools(reader, resolve);
        own
    }

    /// All keys that are known, in the file's order; the others are told.
    fn collect<'b>(
        &self,
        table: &'b dyn TableLike,
        prefix: &str,
        found: &mut Vec<(&'static Key, Range<usize>, &'b Item)>,
        diagnostics: &mut Diagnostics,
    ) {
        for (name, item) in table.iter() {
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            let span = table.key(name).and_then(|key| key.span()).or(item.span()).unwrap_or(0..0);
            // Their names are the file's.
            if path == POOLS {
                continue;
            }
            if let Some(key) = keys().find(|key| key.path == path) {
                found.push((key, span, item));
                continue;
            }
            let section = keys().any(|key| key.section() == path);
            match item.as_table_like() {
                Some(inner) if section => self.collect(inner, &path, found, diagnostics),
                _ => self.unknown(&path, span, diagnostics),
            }
        }
    }

    fn unknown(&self, path: &str, span: Range<usize>, diagnostics: &mut Diagnostics) {
        if diagnostics.is_enough(self.path) {
            return;
        }
        let known = keys().map(|key| key.path).chain(keys().map(Key::section)).chain([POOLS]);
        let bare = path.rsplit('.').next().unwrap_or(path);
        let by_name = keys().find(|key| key.name() == bare).map(|key| key.path);
        let remedy = match by_name.or_else(|| nearest(path, known.filter(|name| !name.is_empty())))
        {
            Some(known) => format!("did you mean {known}?"),
            None => "see `gretel config sample` for the keys".into(),
        };
        let place = place(&self.lines, span);
        self.file(diagnostics).error(&place, format!("there is no key {path}"), remedy);
    }

    /// Options in pppd's words.
    fn options(&self, item: &Item, reader: &mut Reader<'_>) {
        for (text, span) in texts(item).unwrap_or_default() {
            let place = place(&self.lines, span.unwrap_or(0..0));
            let mut words: Vec<Word> = Vec::new();
            for (number, (word, bad)) in Words::of_secrets(text.as_bytes()).enumerate() {
                if bad.is_some() {
                    let message = "a quote in the option is not closed, or a word is too long";
                    self.file(reader.diagnostics).error(&place, message, "close it");
                    return;
                }
                words.push(Word { place, first: number == 0, ..word });
            }
            reader.take_words(self.path, self.text.as_bytes(), false, words.into_iter());
        }
    }

    fn note(&self, key: &'static Key, span: Range<usize>, item: &Item, reader: &mut Reader<'_>) {
        // Their texts have origins of their own.
        if key.path == PPP_OPTIONS || key.path == PPTPD_CONF {
            return;
        }
        let place = place(&self.lines, span);
        let value = item.span().and_then(|span| self.text.get(span)).unwrap_or_default();
        reader.origins.push(Origin {
            name: key.path,
            word: key.path.to_owned(),
            argument: Some(format!("= {value}")),
            file: self.path.into(),
            line: place.line,
            place,
            class: Class::Honoured,
            meaning: key.meaning,
        });
    }

    fn refuse(&self, key: &Key, fault: Fault, item: &Item, diagnostics: &mut Diagnostics) {
        let place = place(&self.lines, fault.span.or(item.span()).unwrap_or(0..0));
        let message = format!("{}: {}", key.path, fault.message);
        self.file(diagnostics).error(&place, message, fault.remedy);
    }

    fn file<'b>(&'b self, diagnostics: &'b mut Diagnostics) -> File<'b> {
        File { path: self.path, input: self.text.as_bytes(), secret: false, diagnostics }
    }
}

/// A keyword of `pptpd.conf` and its value.
fn split(line: &str) -> (String, String) {
    let (keyword, value) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    (keyword.to_owned(), value.trim().to_owned())
}

/// Where a range of the file is; what spans lines is cut at the end of its first by whoever shows it.
fn place(lines: &[usize], span: Range<usize>) -> Place {
    let line = lines.partition_point(|start| *start <= span.start).max(1);
    Place { line, line_start: lines[line - 1], start: span.start, end: span.end }
}

#[cfg(test)]
mod tests;
