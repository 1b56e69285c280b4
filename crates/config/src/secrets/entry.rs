//! One line of a secrets file.

use std::fmt;
use std::fs::File as OsFile;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::addresses::AddressRules;
use crate::diagnostic::{Diagnostics, File};
use crate::options::{PppOptions, Reader};
use crate::words::{Word, Words};

/// The longest secret that pppd takes, in bytes (MAXSECRETLEN).
const MAX_SECRET: usize = 256;
/// Bytes of a file that holds one secret.
const MAX_SECRET_FILE: u64 = 64 * 1024;
/// What a secret that is an NT hash begins with, in any case; 32 hexadecimal digits follow. FreeRADIUS writes them the same way.
const NT_HASH: &[u8] = b"{nt}";

/// One line of a secrets file.
pub struct Entry {
    /// Whose secret; `*` is anybody's.
    pub client: Vec<u8>,
    /// For which server name; `*` is any.
    pub server: Vec<u8>,
    pub(super) secret: SecretSource,
    /// Which addresses the client may have.
    pub addresses: AddressRules,
    /// pppd options for this client, behind `--`.
    pub(super) options: Vec<Word>,
    /// Where it stands, counted from 1.
    pub line: usize,
}

/// What a client has to know.
pub enum EntrySecret {
    /// A password in clear: every method works.
    Password(Zeroizing<Vec<u8>>),
    /// `{nt}…`: the NT hash of a password. MS-CHAP works.
    NtHash(Zeroizing<[u8; 16]>),
    /// `@login`: what PAM knows. PAP works.
    System,
}

pub(super) enum SecretSource {
    Here(Zeroizing<Vec<u8>>),
    /// The first word of this file.
    File(PathBuf),
    /// What PAM knows.
    System,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("client", &self.client.escape_ascii().to_string())
            .field("server", &self.server.escape_ascii().to_string())
            .field("addresses", &self.addresses)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EntrySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(…)",
            Self::NtHash(_) => "NtHash(…)",
            Self::System => "System",
        })
    }
}

impl SecretSource {
    /// The third word of a line; `None`, and a diagnostic, when it cannot be a secret.
    pub(super) fn read(word: &Word, file: &mut File<'_>) -> Option<Self> {
        let bytes = &word.bytes[..];
        if bytes.len() > MAX_SECRET {
            let message = "the secret is too long; the line is ignored";
            file.error(&word.place, message, "pppd takes at most 256 bytes");
            return None;
        }
        if bytes == b"@login" {
            return Some(Self::System);
        }
        if let Some(path @ [b'/', ..]) = bytes.strip_prefix(b"@") {
            return Some(Self::File(PathBuf::from(String::from_utf8_lossy(path).into_owned())));
        }
        if bytes.is_empty() {
            let message = "the secret is empty: the client needs no password";
            file.warn(&word.place, message, "write one");
        }
        if is_nt_marked(bytes) && nt_hash(bytes).is_none() {
            let message =
                "the secret begins with {nt}, but is no NT hash, and counts as a password";
            file.warn(&word.place, message, "write {nt} and 32 hexadecimal digits");
        }
        Some(Self::Here(Zeroizing::new(bytes.to_vec())))
    }
}

fn is_nt_marked(secret: &[u8]) -> bool {
    secret.get(..NT_HASH.len()).is_some_and(|start| start.eq_ignore_ascii_case(NT_HASH))
}

fn nt_hash(secret: &[u8]) -> Option<Zeroizing<[u8; 16]>> {
    let digits = secret.get(NT_HASH.len()..).filter(|_| is_nt_marked(secret))?;
    let mut hash = Zeroizing::new([0; 16]);
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(hash)
}

impl Entry {
    /// The file that the secret is kept in, if it has one of its own (`@/path`).
    pub fn secret_file(&self) -> Option<&Path> {
        match &self.secret {
            SecretSource::File(path) => Some(path),
            SecretSource::Here(_) | SecretSource::System => None,
        }
    }

    /// The secret. One that is kept in a file of its own (`@/path`) is read now; `None` when that cannot be read or is empty, and
    /// `remarks` is told.
    pub fn secret(&self, remarks: &mut Vec<String>) -> Option<EntrySecret> {
        let secret = match &self.secret {
            SecretSource::Here(secret) => secret.clone(),
            SecretSource::System => return Some(EntrySecret::System),
            SecretSource::File(path) => match read_secret(path, remarks) {
                Ok(secret) => secret,
                Err(error) => {
                    let path = path.display();
                    remarks.push(format!("can't open indirect secret file {path}: {error}"));
                    return None;
                }
            },
        };
        Some(match nt_hash(&secret) {
            Some(hash) => EntrySecret::NtHash(hash),
            None => EntrySecret::Password(secret),
        })
    }

    /// Which addresses the client may have, with those of hosts looked up now. `remarks` is told when one is not found, but not its name:
    /// it may be the second word of a password that somebody forgot to quote.
    pub fn rules(
        &self,
        resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
        remarks: &mut Vec<String>,
    ) -> AddressRules {
        let rules = self.addresses.resolved(resolve);
        if rules.0.len() < self.addresses.0.len() {
            let line = self.line;
            remarks.push(format!("unknown host in auth. address list, in line {line}"));
        }
        rules
    }

    /// Whether the line has options of its own, behind `--`.
    pub fn has_options(&self) -> bool {
        !self.options.is_empty()
    }

    /// The words behind `--` that are text.
    pub(crate) fn option_words(&self) -> impl Iterator<Item = &str> {
        self.options.iter().filter_map(|word| std::str::from_utf8(&word.bytes).ok())
    }

    /// The options that this client's sessions follow: `base`, and what stands behind `--`, which counts more. `path` is the secrets
    /// file's name.
    ///
    /// [`PppOptions::local`] and [`remote`](PppOptions::remote) of `base` do not get in: here they are set only if the line itself says
    /// so, and then count more than addresses from anywhere else.
    pub fn options(
        &self,
        base: &PppOptions,
        path: &Path,
        resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
    ) -> (PppOptions, Diagnostics) {
        let base = PppOptions { local: None, remote: None, ..base.clone() };
        let mut diagnostics = Diagnostics::default();
        let read = |path: &Path| crate::read_file(path);
        let options = self.options_with(base, path, &[], &read, resolve, &mut diagnostics);
        (options, diagnostics)
    }

    fn options_with(
        &self,
        base: PppOptions,
        path: &Path,
        input: &[u8],
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
        diagnostics: &mut Diagnostics,
    ) -> PppOptions {
        let mut reader = Reader::new(base, read, resolve, "/etc/ppp/peers".into(), diagnostics);
        reader.take_words(path, input, true, self.options.iter().cloned());
        reader.options
    }

    /// Says what is wrong with the options. Hosts and other files are looked at when the client logs in.
    pub(super) fn check_options(&self, file: &mut File<'_>) {
        if self.options.is_empty() {
            return;
        }
        let read = |_: &Path| Ok(Vec::new());
        let (path, input) = (file.path, file.input);
        let resolve = |_: &str| Some(Ipv4Addr::UNSPECIFIED);
        self.options_with(PppOptions::default(), path, input, &read, &resolve, file.diagnostics);
    }
}

/// The first word of a file.
fn read_secret(path: &Path, remarks: &mut Vec<String>) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = OsFile::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.mode() & 0o077 != 0 {
        let path = path.display();
        remarks.push(format!("secret file {path} has world and/or group access: chmod 600 {path}"));
    }
    let size = usize::try_from(metadata.len().min(MAX_SECRET_FILE)).unwrap_or(0);
    let mut text = Zeroizing::new(Vec::with_capacity(size + 1));
    file.by_ref().take(MAX_SECRET_FILE).read_to_end(&mut text)?;
    match Words::of_secrets(&text).next() {
        None => Err(io::Error::other("it holds no word")),
        Some((_, Some(_))) => {
            Err(io::Error::other("its first word is too long, or a quote is not closed"))
        }
        Some((word, None)) if word.bytes.len() > MAX_SECRET => {
            Err(io::Error::other("the secret is too long: pppd takes at most 256 bytes"))
        }
        Some((word, None)) => Ok(word.bytes),
    }
}
