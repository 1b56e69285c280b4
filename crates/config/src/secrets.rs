//! `chap-secrets` and `pap-secrets`: who knows what, and may have which address.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::diagnostic::{Diagnostics, File, Place};
use crate::words::{BadWord, Word, Words};

/// The longest secret that pppd takes, in bytes.
const MAX_SECRET: usize = 255;

/// One line of a secrets file.
pub struct Entry {
    /// Whose secret; `*` is anybody's.
    pub client: Vec<u8>,
    /// For which server name; `*` is any.
    pub server: Vec<u8>,
    secret: SecretSource,
    /// Which addresses the client may have, in the file's order.
    pub addresses: Vec<AddressRule>,
    /// pppd options for this client, behind `--`.
    pub options: Vec<Vec<u8>>,
    /// Where it stands, counted from 1.
    pub line: usize,
}

enum SecretSource {
    Here(Zeroizing<Vec<u8>>),
    /// The first word of this file.
    File(PathBuf),
}

/// One word of the addresses column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// Whether it forbids (`!`).
    pub deny: bool,
    /// What it is about.
    pub what: AddressSet,
}

/// The addresses that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSet {
    /// `*`.
    Any,
    /// `-`: none; ends the list.
    None,
    /// One address, or a host's name.
    Host(Ipv4Addr),
    /// `net/bits`; with `+`, the client's own address in it is the session's number plus one.
    Net {
        /// Its first address.
        first: Ipv4Addr,
        /// Length of the prefix, in bits.
        bits: u8,
        /// Whether the session's number makes the address.
        by_unit: bool,
    },
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

impl Entry {
    /// The secret. One that is kept in a file of its own (`@/path`) is read now; an `Err` says why it cannot be.
    ///
    /// # Errors
    ///
    /// When that file cannot be read or is empty.
    pub fn secret(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let path = match &self.secret {
            SecretSource::Here(secret) => return Ok(secret.clone()),
            SecretSource::File(path) => path,
        };
        let text = std::fs::read(path).map(Zeroizing::new).map_err(|error| {
            format!("can't open indirect secret file {}: {error}", path.display())
        })?;
        let word = Words::new(&text).next();
        word.map(|(word, _)| Zeroizing::new(word.bytes))
            .ok_or_else(|| format!("indirect secret file {} is empty", path.display()))
    }

    /// The rules of the entry without its secret.
    pub fn rules(&self) -> AddressRules {
        AddressRules(self.addresses.clone())
    }
}

/// Which addresses a client may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRules(pub Vec<AddressRule>);

impl AddressRules {
    /// The client's address: `suggested` if the rules allow it, else the first single address that they allow; `None` when they
    /// allow neither. `unit` is the session's number.
    pub fn choose_address(&self, suggested: Ipv4Addr, unit: u32) -> Option<Ipv4Addr> {
        if self.allows(suggested, unit) {
            return Some(suggested);
        }
        self.0
            .iter()
            .filter(|rule| !rule.deny)
            .filter_map(|rule| match &rule.what {
                AddressSet::Host(address) => Some(*address),
                AddressSet::Net { first, bits, by_unit: true } => unit_address(*first, *bits, unit),
                _ => None,
            })
            .find(|address| self.allows(*address, unit))
    }

    /// The first rule that is about the address decides; at the end of the list it is refused.
    fn allows(&self, address: Ipv4Addr, unit: u32) -> bool {
        let never = address.is_loopback() || address.is_multicast() || address.octets()[0] >= 240;
        if never || address.is_unspecified() {
            return false;
        }
        for rule in &self.0 {
            let hit = match &rule.what {
                AddressSet::Any => true,
                AddressSet::None => return false,
                AddressSet::Host(host) => *host == address,
                AddressSet::Net { first, bits, by_unit: true } => {
                    unit_address(*first, *bits, unit) == Some(address)
                }
                AddressSet::Net { first, bits, by_unit: false } => {
                    u32::from(address) & mask(*bits) == u32::from(*first) & mask(*bits)
                }
            };
            if hit {
                return !rule.deny;
            }
        }
        false
    }
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

/// `net/bits+`: the host part is the session's number plus one.
fn unit_address(first: Ipv4Addr, bits: u8, unit: u32) -> Option<Ipv4Addr> {
    let host = unit.checked_add(1)?;
    (host & mask(bits) == 0).then(|| Ipv4Addr::from((u32::from(first) & mask(bits)) | host))
}

/// A secrets file, indexed by client.
#[derive(Debug, Default)]
pub struct Secrets {
    entries: Vec<Entry>,
    by_client: HashMap<Vec<u8>, Vec<usize>>,
}

impl Secrets {
    /// Reads a file's text. A broken line is a diagnostic and harms only itself. No diagnostic shows a line's text.
    pub fn parse(
        path: &Path,
        text: &[u8],
        resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
    ) -> (Self, Diagnostics) {
        let mut diagnostics = Diagnostics::default();
        let mut file = File { path, secret: true, diagnostics: &mut diagnostics };
        let mut secrets = Self::default();
        let mut line: Vec<(Word, Option<BadWord>)> = Vec::new();
        for word in Words::new(text) {
            if word.0.first && !line.is_empty() {
                secrets.take_line(std::mem::take(&mut line), resolve, &mut file);
            }
            line.push(word);
        }
        if !line.is_empty() {
            secrets.take_line(line, resolve, &mut file);
        }
        (secrets, diagnostics)
    }

    fn take_line(
        &mut self,
        line: Vec<(Word, Option<BadWord>)>,
        resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
        file: &mut File<'_>,
    ) {
        if let Some((word, bad)) = line.iter().find(|(_, bad)| bad.is_some()) {
            let (message, remedy) = match bad {
                Some(BadWord::TooLong) => ("a word is too long", "pppd takes at most 1023 bytes"),
                _ => (
                    "a quote is not closed on its line",
                    "close it; write \\\" for a quote in a password",
                ),
            };
            return file.error(&word.place, message, remedy);
        }
        let mut words = line.into_iter().map(|(word, _)| word);
        let (Some(client), server, secret) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let (Some(server), Some(secret)) = (server, secret) else {
            let remedy = "write client, server, secret and addresses: scott pptpd turquoise *";
            return file.error(&client.place, "the line has fewer than three words", remedy);
        };
        if secret.bytes.len() > MAX_SECRET {
            let message = "the secret is too long";
            return file.error(&secret.place, message, "pppd takes at most 255 bytes");
        }
        let mut addresses = Vec::new();
        let mut options = Vec::new();
        while let Some(word) = words.next() {
            if word.bytes == b"--" {
                options.extend(words.by_ref().map(|word| word.bytes));
                file.warn(
                    &word.place,
                    "options behind -- are not supported and are ignored",
                    "remove them",
                );
                break;
            }
            match address_rule(&word.text(), resolve) {
                Some(rule) => addresses.push(rule),
                None => {
                    let remedy = "write an address, a host name, net/bits, * or -, with ! before what is forbidden";
                    let message = format!("{:?} in the addresses column is ignored", word.text());
                    file.warn(&word.place, message, remedy);
                }
            }
        }
        let source = match secret.bytes.strip_prefix(b"@") {
            Some(path @ [b'/', ..]) => {
                SecretSource::File(PathBuf::from(String::from_utf8_lossy(path).into_owned()))
            }
            _ => SecretSource::Here(Zeroizing::new(secret.bytes)),
        };
        self.by_client.entry(client.bytes.clone()).or_default().push(self.entries.len());
        self.entries.push(Entry {
            client: client.bytes,
            server: server.bytes,
            secret: source,
            addresses,
            options,
            line: client.place.line,
        });
    }

    /// The entry for a client and a server: a client's own counts more than a server's own, both more than `*`; of equals the first.
    pub fn find(&self, client: &[u8], server: &[u8]) -> Option<&Entry> {
        let mut best: Option<(u8, &Entry)> = None;
        for (key, client_score) in [(client, 2), (&b"*"[..], 0)] {
            for index in self.by_client.get(key).into_iter().flatten() {
                let entry = &self.entries[*index];
                let server_score = match &entry.server[..] {
                    name if name == server => 1,
                    b"*" => 0,
                    _ => continue,
                };
                let score = client_score + server_score;
                if best.is_none_or(|(other, _)| score > other) {
                    best = Some((score, entry));
                }
            }
        }
        best.map(|(_, entry)| entry)
    }

    /// Whether there is a line for this client, whatever the server column says.
    pub fn knows_client(&self, client: &[u8]) -> bool {
        self.by_client.contains_key(client)
    }

    /// How many lines have been understood.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no line has been understood.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn address_rule(text: &str, resolve: &dyn Fn(&str) -> Option<Ipv4Addr>) -> Option<AddressRule> {
    let (deny, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let what = match text {
        "*" => AddressSet::Any,
        "-" => AddressSet::None,
        _ => match text.split_once('/') {
            Some((net, bits)) => {
                let (bits, by_unit) = match bits.strip_suffix('+') {
                    Some(bits) => (bits, true),
                    None => (bits, false),
                };
                let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
                AddressSet::Net { first: host(net, resolve)?, bits, by_unit }
            }
            None => AddressSet::Host(host(text, resolve)?),
        },
    };
    Some(AddressRule { deny, what })
}

fn host(text: &str, resolve: &dyn Fn(&str) -> Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    text.parse().ok().or_else(|| resolve(text))
}

/// A secrets file that is read again when it has changed.
#[derive(Debug)]
pub struct SecretsFile {
    path: PathBuf,
    seen: Option<Version>,
    secrets: Secrets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl SecretsFile {
    /// A file that has not been read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), seen: None, secrets: Secrets::default() }
    }

    /// The secrets as the file has them now, and what there is to say about it if it was read anew.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn refresh(
        &mut self,
        resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
    ) -> Result<(&Secrets, Diagnostics), String> {
        use std::os::unix::fs::MetadataExt;
        let failed = |error| format!("cannot read {}: {error}", self.path.display());
        let metadata = std::fs::metadata(&self.path).map_err(failed)?;
        let version = Version {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        let mut diagnostics = Diagnostics::default();
        if self.seen != Some(version) {
            let text = std::fs::read(&self.path).map(Zeroizing::new).map_err(failed)?;
            (self.secrets, diagnostics) = Secrets::parse(&self.path, &text, resolve);
            self.seen = Some(version);
            if metadata.mode() & 0o077 != 0 {
                let place = Place { line: 0, span: 0..0, text: String::new() };
                let path = self.path.clone();
                let mut file = File { path: &path, secret: true, diagnostics: &mut diagnostics };
                let message = "others than its owner may read the file";
                file.warn(&place, message, format!("chmod 600 {}", path.display()));
            }
        }
        Ok((&self.secrets, diagnostics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Secrets, Diagnostics) {
        Secrets::parse(Path::new("chap-secrets"), text.as_bytes(), &|_| None)
    }

    fn secret_of(secrets: &Secrets, client: &str, server: &str) -> Option<String> {
        let entry = secrets.find(client.as_bytes(), server.as_bytes())?;
        Some(String::from_utf8(entry.secret().unwrap().to_vec()).unwrap())
    }

    #[test]
    fn the_best_match_wins_and_of_equals_the_first() {
        let (secrets, _) =
            parse("* * any *\nscott * s1 *\n* pptpd s2 *\nscott pptpd s3 *\nscott pptpd s4 *\n");
        assert_eq!(secret_of(&secrets, "scott", "pptpd").unwrap(), "s3");
        assert_eq!(secret_of(&secrets, "scott", "other").unwrap(), "s1");
        assert_eq!(secret_of(&secrets, "lulu", "pptpd").unwrap(), "s2");
        assert_eq!(secret_of(&secrets, "lulu", "other").unwrap(), "any");
        assert!(secrets.find(b"Scott", b"pptpd").unwrap().client == b"*");
    }

    #[test]
    fn a_broken_line_harms_only_itself_and_shows_no_secret() {
        let (secrets, diagnostics) = parse("scott pptpd \"hidden\nlulu pptpd good *\nshort line\n");
        assert_eq!(secret_of(&secrets, "lulu", "pptpd").unwrap(), "good");
        assert_eq!(secrets.len(), 1);
        let said = diagnostics.render();
        assert_eq!(diagnostics.0.len(), 2);
        assert!(said.contains("chap-secrets:1:") && said.contains("chap-secrets:3:"), "{said}");
        assert!(!said.contains("hidden"));
        assert!(!format!("{secrets:?}").contains("good"));
    }

    #[test]
    fn the_first_rule_about_an_address_decides() {
        let (secrets, _) = parse(
            "a * x !10.0.0.7 10.0.0.0/24\nb * x 10.1.0.9\nc * x\nd * x -\ne * x *\nf * x 10.2.0.0/24+\n",
        );
        let choose = |client: &str, suggested: &str, unit| {
            let entry = secrets.find(client.as_bytes(), b"s").unwrap();
            entry.rules().choose_address(suggested.parse().unwrap(), unit).map(|a| a.to_string())
        };
        assert_eq!(choose("a", "10.0.0.8", 0).unwrap(), "10.0.0.8");
        assert_eq!(choose("a", "10.0.0.7", 0), None);
        assert_eq!(choose("b", "10.0.0.8", 0).unwrap(), "10.1.0.9");
        assert_eq!(choose("c", "10.0.0.8", 0), None);
        assert_eq!(choose("d", "10.0.0.8", 0), None);
        assert_eq!(choose("e", "10.0.0.8", 0).unwrap(), "10.0.0.8");
        assert_eq!(choose("e", "127.0.0.1", 0), None);
        assert_eq!(choose("f", "10.0.0.8", 4).unwrap(), "10.2.0.5");
    }

    #[test]
    fn a_login_among_a_hundred_thousand_users_looks_at_its_own_lines_only() {
        let mut text = String::new();
        for user in 0..100_000 {
            text.push_str(&format!("user{user} pptpd secret{user} *\n"));
        }
        let (secrets, diagnostics) = parse(&text);
        assert!(diagnostics.0.is_empty());
        assert_eq!(secrets.len(), 100_000);
        assert_eq!(secrets.by_client[&b"user99999"[..]].len(), 1);
        assert_eq!(secret_of(&secrets, "user99999", "pptpd").unwrap(), "secret99999");
    }

    #[test]
    fn an_indirect_secret_is_the_first_word_of_its_file() {
        let dir = std::env::temp_dir().join(format!("gretel-secret-{}", std::process::id()));
        std::fs::write(&dir, "turquoise and more\n").unwrap();
        let (secrets, _) = parse(&format!("scott pptpd @{} *\n", dir.display()));
        assert_eq!(secret_of(&secrets, "scott", "pptpd").unwrap(), "turquoise");
        std::fs::remove_file(&dir).unwrap();
        assert!(
            secrets.find(b"scott", b"pptpd").unwrap().secret().unwrap_err().contains("indirect")
        );
    }
}
