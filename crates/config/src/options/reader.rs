//! Reading options files.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::table::{OBSOLETE, PLUGINS};
use super::value::{Fault, Value, fault};
use super::values::PppOptions;
use super::{Action, Class, PppOption, all, find};
use crate::diagnostic::{Diagnostics, File, Place, nearest};
use crate::words::{BadWord, Word, Words};

/// How deep `file` and `call` may nest.
const MAX_DEPTH: usize = 8;
/// How many files `file` and `call` may read in all: those that name each other would otherwise be read without end.
const MAX_FILES: usize = 100;
/// What `LOCAL:REMOTE` means.
const ADDRESSES: &str = "our address and the client's; those of pptpd.conf count more";
/// Bytes of an options file.
const MAX_FILE: usize = 1024 * 1024;

/// A keyword or option that a file holds, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its own name; empty for addresses and speeds, which have none.
    pub name: &'static str,
    /// As it was written: an alias, an address.
    pub word: String,
    /// What stands behind it, if it takes anything. A password is not shown.
    pub argument: Option<String>,
    /// The file.
    pub file: Rc<Path>,
    /// The line, counted from 1; 0 is the command line.
    pub line: usize,
    pub(crate) place: Place,
    /// What becomes of it.
    pub class: Class,
    /// What it means, in a line.
    pub meaning: &'static str,
}

/// The files that were read.
pub(crate) type Texts = HashMap<Rc<Path>, Vec<u8>>;

/// Where the reader is.
#[derive(Clone, Copy)]
struct Context<'a> {
    path: &'a Path,
    input: &'a [u8],
    /// Whether lines of the file may be shown.
    secret: bool,
}

/// Reads options files into [`PppOptions`].
pub(crate) struct Reader<'a> {
    pub(crate) options: PppOptions,
    /// What was read, in its order.
    pub(crate) origins: Vec<Origin>,
    pub(crate) texts: Texts,
    /// Gives the bytes of a file.
    read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    resolve: &'a dyn Fn(&str) -> Option<Ipv4Addr>,
    /// The directory of `call`.
    peers: PathBuf,
    pub(crate) diagnostics: &'a mut Diagnostics,
    open: Vec<PathBuf>,
    files: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        options: PppOptions,
        read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
        resolve: &'a dyn Fn(&str) -> Option<Ipv4Addr>,
        peers: PathBuf,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        let (origins, texts, open) = (Vec::new(), Texts::new(), Vec::new());
        Self { options, origins, texts, read, resolve, peers, diagnostics, open, files: 0 }
    }

    /// Reads one file's text; what comes later counts more.
    pub(crate) fn take(&mut self, path: &Path, input: Vec<u8>) {
        if input.len() > MAX_FILE {
            let mut file = self.file(Context { path, input: &[], secret: false });
            let message = format!("the file is longer than {MAX_FILE} bytes");
            return file.error(&Place::default(), message, "that is no options file; name another");
        }
        self.open.push(path.to_owned());
        let context = Context { path, input: &input, secret: false };
        self.words(context, Words::of_options(&input));
        self.open.pop();
        self.texts.insert(path.into(), input);
    }

    /// Reads options that stand in a file of another kind, whose lines may be shown unless it is `secret`.
    pub(crate) fn take_words(
        &mut self,
        path: &Path,
        input: &[u8],
        secret: bool,
        words: impl Iterator<Item = Word>,
    ) {
        let context = Context { path, input, secret };
        self.words(context, words.map(|word| (word, None)));
    }

    fn words(
        &mut self,
        context: Context<'_>,
        mut words: impl Iterator<Item = (Word, Option<BadWord>)>,
    ) {
        let path: Rc<Path> = context.path.into();
        while let Some((word, bad)) = words.next() {
            if self.is_bad(context, &word, bad) {
                continue;
            }
            let name = word.text();
            let Some(option) = find(&name) else {
                self.without_name(context, &path, &word, &name);
                continue;
            };
            let argument = option.argument.and_then(|_| words.next());
            if let Some((argument, bad)) = &argument
                && self.is_bad(context, argument, *bad)
            {
                continue;
            }
            let argument = argument.map(|(argument, _)| argument);
            if let (Some(what), None) = (option.argument, &argument) {
                let remedy = format!("write {name} {what}");
                self.file(context).error(&word.place, format!("{name} needs a value"), remedy);
                continue;
            }
            self.origin(&path, option, &word, argument.as_ref());
            self.option(context, option, &word, argument.as_ref());
        }
    }

    fn is_bad(&mut self, context: Context<'_>, word: &Word, bad: Option<BadWord>) -> bool {
        let (message, remedy) = match bad {
            None => return false,
            Some(BadWord::Unclosed) => {
                ("a quote is opened here and not closed", "write it once more where it shall end")
            }
            Some(BadWord::TooLong) => ("the word is too long", "pppd takes at most 1023 bytes"),
        };
        self.file(context).error(&word.place, message, remedy);
        true
    }

    fn origin(
        &mut self,
        path: &Rc<Path>,
        option: &PppOption,
        word: &Word,
        argument: Option<&Word>,
    ) {
        let hidden = matches!(option.names[0], "password" | "srp-pn-secret");
        let shown = |argument: &Word| if hidden { "…".into() } else { argument.text() };
        let mut class = option.class;
        if let (Action::Plugin, Some(argument)) = (option.action, argument) {
            class = plugin_class(&argument.text());
        }
        self.origins.push(Origin {
            name: option.names[0],
            word: word.text(),
            argument: argument.map(shown),
            file: path.clone(),
            line: word.place.line,
            place: word.place,
            class,
            meaning: option.meaning,
        });
    }

    fn option(
        &mut self,
        context: Context<'_>,
        option: &PppOption,
        word: &Word,
        argument: Option<&Word>,
    ) {
        let done = match (option.action, argument) {
            (Action::Nothing, _) => Ok(()),
            (Action::Set(set), _) => self.set(context, set, argument),
            (Action::File, Some(argument)) => self.nested(PathBuf::from(argument.text())),
            (Action::Call, Some(argument)) => self.call(&argument.text()),
            (Action::Plugin, Some(argument)) => {
                return self.plugin(context, argument);
            }
            (Action::File | Action::Call | Action::Plugin, None) => Ok(()),
        };
        if let Err(fault) = done {
            let place = argument.map_or(word.place, |argument| argument.place);
            return self.file(context).error(&place, fault.message, fault.remedy);
        }
        let name = word.text();
        match option.class {
            Class::Honoured | Class::Harmless => {}
            Class::Ignored(remedy) => {
                let message = format!("{name} is not supported and is ignored");
                self.file(context).warn(&word.place, message, remedy);
            }
            Class::Refused(remedy) => {
                let message =
                    format!("{name} is not supported ({}), and cannot be left out", option.meaning);
                self.file(context).error(&word.place, message, remedy);
            }
        }
    }

    fn set(
        &mut self,
        context: Context<'_>,
        set: super::Set,
        argument: Option<&Word>,
    ) -> Result<(), Fault> {
        let bytes = argument.map_or(&b""[..], |argument| &argument.bytes[..]);
        let mut value = Value { bytes, resolve: self.resolve, oddity: None };
        set(&mut self.options, &mut value)?;
        if let (Some(oddity), Some(argument)) = (value.oddity, argument) {
            self.file(context).warn(&argument.place, oddity.message, oddity.remedy);
        }
        Ok(())
    }

    fn plugin(&mut self, context: Context<'_>, argument: &Word) {
        let text = argument.text();
        let message = format!("the plugin {text} is not supported");
        match plugin_class(&text) {
            Class::Honoured | Class::Harmless => self.options.logwtmp = true,
            Class::Ignored(remedy) => self.file(context).warn(&argument.place, message, remedy),
            Class::Refused(remedy) => self.file(context).error(&argument.place, message, remedy),
        }
    }

    /// Words that pppd knows by their look: `LOCAL:REMOTE`, a speed, a device.
    fn without_name(&mut self, context: Context<'_>, path: &Rc<Path>, word: &Word, name: &str) {
        let (class, meaning) = if name.contains(':') {
            if let Err(fault) = self.addresses(name) {
                return self.file(context).error(&word.place, fault.message, fault.remedy);
            }
            (Class::Honoured, ADDRESSES)
        } else if let Ok(address) = name.parse::<Ipv4Addr>() {
            self.options.local = Some(address);
            let remedy = format!("pppd would refuse it: write {address}: with a colon");
            let message = format!("{address} is taken for our address");
            self.file(context).warn(&word.place, message, remedy);
            (Class::Honoured, ADDRESSES)
        } else if name.starts_with("/dev/") || name.starts_with("tty") {
            let message = format!("{name:?} names a serial line and is ignored");
            let remedy = "there is none with PPTP; remove it";
            self.file(context).warn(&word.place, message, remedy);
            (Class::Ignored(remedy), "a serial line")
        } else if name.parse::<u32>().is_ok_and(|speed| speed > 0) {
            if !word.first {
                let message = format!("{name} counts as a serial line's speed, as with pppd");
                let remedy = "remove it; the option before it takes no value";
                self.file(context).warn(&word.place, message, remedy);
            }
            (Class::Harmless, "a serial line's speed")
        } else {
            return self.unknown(context, word, name);
        };
        self.origins.push(Origin {
            name: "",
            word: name.to_owned(),
            argument: None,
            file: path.clone(),
            line: word.place.line,
            place: word.place,
            class,
            meaning,
        });
    }

    fn unknown(&mut self, context: Context<'_>, word: &Word, name: &str) {
        if self.diagnostics.is_enough(context.path) {
            return;
        }
        let known = all().flat_map(|option| option.names.iter().copied());
        let obsolete = OBSOLETE.iter().find(|(old, _)| *old == name);
        let remedy = match (obsolete, nearest(name, known)) {
            (Some((_, today)), _) => format!("old, patched pppds knew it; {today}"),
            (None, Some(known)) => format!("did you mean {known}?"),
            (None, None) => "remove it, or see pppd(8) for the options".into(),
        };
        let message = format!("{name:?} is no option that pppd or its plugins know");
        self.file(context).error(&word.place, message, remedy);
    }

    fn addresses(&mut self, text: &str) -> Result<(), Fault> {
        let (local, remote) = text.split_once(':').unwrap_or((text, ""));
        let side = |text: &str, whose: &str| {
            if text.is_empty() {
                return Ok(None);
            }
            let value = Value { bytes: text.as_bytes(), resolve: self.resolve, oddity: None };
            let address = value.address()?;
            // pppd's bad_ip_adrs().
            let never =
                address.is_loopback() || address.is_multicast() || address.octets()[0] >= 240;
            if never {
                let message = format!("{address} cannot be {whose} address");
                return Err(fault(message, "write an address that a host can have"));
            }
            Ok((!address.is_unspecified()).then_some(address))
        };
        let (local, remote) = (side(local, "our")?, side(remote, "the client's")?);
        self.options.local = local.or(self.options.local);
        self.options.remote = remote.or(self.options.remote);
        Ok(())
    }

    fn call(&mut self, name: &str) -> Result<(), Fault> {
        if name.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..") {
            let message = format!("{name:?} cannot be called");
            return Err(fault(message, "name a file in /etc/ppp/peers, without .. in it"));
        }
        self.options.call = Some(name.to_owned());
        self.nested(self.peers.join(name))
    }

    fn nested(&mut self, path: PathBuf) -> Result<(), Fault> {
        if self.open.contains(&path) || self.open.len() >= MAX_DEPTH || self.files >= MAX_FILES {
            let message = format!("{} is being read already, or too deep", path.display());
            return Err(fault(message, "remove the line"));
        }
        self.files += 1;
        let text = (self.read)(&path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            fault(message, "make it readable, or remove the line")
        })?;
        self.take(&path, text);
        Ok(())
    }

    fn file<'b>(&'b mut self, context: Context<'b>) -> File<'b> {
        let Context { path, input, secret } = context;
        File { path, input, secret, diagnostics: self.diagnostics }
    }
}

/// What becomes of a plugin.
fn plugin_class(plugin: &str) -> Class {
    let file = plugin.rsplit('/').next().unwrap_or_default();
    if file == "pptpd-logwtmp.so" {
        return Class::Honoured;
    }
    match PLUGINS.iter().find(|(known, _)| *known == file) {
        Some((_, class)) => *class,
        None => Class::Refused("pppd's plugins cannot be loaded; remove the line"),
    }
}
