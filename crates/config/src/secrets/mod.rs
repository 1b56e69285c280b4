//! `chap-secrets` and `pap-secrets`: who knows what, and may have which address.

mod addresses;
mod entry;
mod file;

use std::collections::HashMap;
use std::path::Path;

pub use addresses::{AddressRule, AddressRules, AddressSet, Host};
pub use entry::{Entry, EntrySecret};
pub use file::SecretsFile;

use crate::diagnostic::{Diagnostics, File, Severity};
use crate::words::{BadWord, Word, Words};
use entry::SecretSource;

/// How many lines of one client are compared with a new one of the same client.
const MAX_COMPARED: usize = 16;

/// A secrets file, indexed by client.
#[derive(Debug, Default)]
pub struct Secrets {
    entries: Vec<Entry>,
    by_client: HashMap<Vec<u8>, Vec<usize>>,
}

impl Secrets {
    /// Reads a file's text. A broken line is a warning and harms only itself. No diagnostic shows a line's text.
    pub fn parse(path: &Path, text: &[u8]) -> (Self, Diagnostics) {
        let mut diagnostics = Diagnostics::default();
        let mut file = File { path, input: text, secret: true, diagnostics: &mut diagnostics };
        let mut secrets = Self::default();
        let mut line: Vec<(Word, Option<BadWord>)> = Vec::new();
        for word in Words::of_secrets(text) {
            if word.0.first && !line.is_empty() {
                secrets.take_line(std::mem::take(&mut line), &mut file);
            }
            line.push(word);
        }
        if !line.is_empty() {
            secrets.take_line(line, &mut file);
        }
        // A fault of one user's line keeps no server from starting.
        for diagnostic in &mut diagnostics.0 {
            diagnostic.severity = diagnostic.severity.min(Severity::Warning);
        }
        (secrets, diagnostics)
    }

    fn take_line(&mut self, line: Vec<(Word, Option<BadWord>)>, file: &mut File<'_>) {
        if let Some((word, bad)) = line.iter().find(|(_, bad)| bad.is_some()) {
            let (message, remedy) = match bad {
                Some(BadWord::TooLong) => {
                    ("a word is too long; the line is ignored", "pppd takes at most 1023 bytes")
                }
                _ => (
                    "a quote is not closed on its line, which is ignored",
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
            return file.error(
                &client.place,
                "the line has fewer than three words, and is ignored",
                remedy,
            );
        };
        let Some(source) = SecretSource::read(&secret, file) else { return };
        let addresses = addresses(&mut words, file);
        let options: Vec<Word> = words.collect();
        if self.has_line(&client.bytes, &server.bytes) {
            let message = "there is a line for this client and server already";
            file.warn(&client.place, message, "the first counts; remove one of the two");
        }
        let entry = Entry {
            client: client.bytes.to_vec(),
            server: server.bytes.to_vec(),
            secret: source,
            addresses: AddressRules(addresses),
            options,
            line: client.place.line,
        };
        entry.check_options(file);
        self.by_client.entry(entry.client.clone()).or_default().push(self.entries.len());
        self.entries.push(entry);
    }

    /// Whether there is a line for this client and server already. Among very many lines of one client it may be missed, so that
    /// such a file is still read quickly.
    fn has_line(&self, client: &[u8], server: &[u8]) -> bool {
        let lines = self.by_client.get(client).map_or(&[][..], Vec::as_slice);
        lines.iter().rev().take(MAX_COMPARED).any(|index| self.entries[*index].server == server)
    }

    /// The entry for a client and a server: a client's own counts more than a server's own, both more than `*`; of equals the first.
    pub fn find(&self, client: &[u8], server: &[u8]) -> Option<&Entry> {
        self.matches(client, server).into_iter().next()
    }

    /// The entry as [`find`](Self::find) gives it, and its secret. As pppd does, one whose secret is in a file that cannot be read is
    /// passed over for the next best; `remarks` is told.
    pub fn lookup(
        &self,
        client: &[u8],
        server: &[u8],
        remarks: &mut Vec<String>,
    ) -> Option<(&Entry, EntrySecret)> {
        self.matches(client, server)
            .into_iter()
            .find_map(|entry| Some((entry, entry.secret(remarks)?)))
    }

    /// All entries for a client and a server, the best first.
    fn matches(&self, client: &[u8], server: &[u8]) -> Vec<&Entry> {
        let mut found: Vec<(u8, &Entry)> = Vec::new();
        for (key, client_score) in [(client, 2), (&b"*"[..], 0)] {
            for index in self.by_client.get(key).into_iter().flatten() {
                let entry = &self.entries[*index];
                match &entry.server[..] {
                    name if name == server => found.push((client_score + 1, entry)),
                    b"*" => found.push((client_score, entry)),
                    _ => {}
                }
            }
        }
        // Stable, so that of equals the first stays first.
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Whether there is a line for this client, whatever the server column says.
    pub fn knows_client(&self, client: &[u8]) -> bool {
        self.by_client.contains_key(client)
    }

    /// All lines that have been understood, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
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

/// The addresses column, up to the end of the line or `--`.
fn addresses(words: &mut dyn Iterator<Item = Word>, file: &mut File<'_>) -> Vec<AddressRule> {
    let mut rules: Vec<AddressRule> = Vec::new();
    for word in words {
        if &word.bytes[..] == b"--" {
            break;
        }
        match AddressRule::parse(&word.text()) {
            // As in pppd, what follows * or - does not count.
            Ok(_) if rules.last().is_some_and(AddressRule::ends_list) => {}
            Ok(rule) => rules.push(rule),
            // The word is not shown: it may be the second of a password that somebody forgot to quote.
            Err(_) => {
                let message = "a word behind the secret is no address, and is ignored";
                let remedy = "write an address, a host name, net/bits, * or -, with ! before what is forbidden; quote a secret with blanks";
                file.warn(&word.place, message, remedy);
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests;
