//! `/etc/pptpd.conf`.
//!
//! As `pptpd` does: the first occurrence of a keyword counts, `#` is a comment in the first column. Where `pptpd` goes wrong in silence
//! (Windows line ends, comments behind values, unknown keywords, indented lines) the value is read as meant, with a warning.

use std::collections::HashMap;

use crate::diagnostic::{File, Place, nearest};

const KEYWORDS: [&str; 14] = [
    "ppp",
    "option",
    "debug",
    "stimeout",
    "noipparam",
    "logwtmp",
    "vrf",
    "bcrelay",
    "delegate",
    "connections",
    "localip",
    "remoteip",
    "listen",
    "pidfile",
];
/// Keywords that need no value.
const FLAGS: [&str; 4] = ["debug", "noipparam", "logwtmp", "delegate"];
/// Keywords that change nothing here.
const HARMLESS: [&str; 2] = ["ppp", "speed"];
/// Keywords that would change something and are not supported, with what to do.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("logwtmp", "logins are in the log; no wtmp records are written"),
    ("vrf", "run the server inside the VRF with `ip vrf exec`"),
    ("bcrelay", "broadcasts are not relayed; remove the line"),
    ("delegate", "addresses come from remoteip; give users static addresses in chap-secrets"),
];

/// The value of a keyword and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// The keywords with their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct PptpdConf(HashMap<&'static str, Value>);

impl PptpdConf {
    pub(crate) fn get(&self, keyword: &str) -> Option<&Value> {
        self.0.get(keyword)
    }

    pub(crate) fn has(&self, keyword: &str) -> bool {
        self.0.contains_key(keyword)
    }

    /// Reads the file's text.
    pub(crate) fn parse(text: &str, file: &mut File<'_>) -> Self {
        let mut conf = Self::default();
        let mut told_crlf = false;
        for (number, line) in text.split('\n').enumerate() {
            let bare = line.strip_suffix('\r').unwrap_or(line);
            let place = |span| Place { line: number + 1, span, text: bare.to_owned() };
            if bare.len() != line.len() && !std::mem::replace(&mut told_crlf, true) {
                let at = place(bare.len()..bare.len());
                file.warn(
                    &at,
                    "the file has Windows line ends",
                    "pptpd would take them for part of the values; convert it with dos2unix",
                );
            }
            if bare.is_empty() || bare.starts_with('#') || bare.trim().is_empty() {
                continue;
            }
            conf.take_line(bare, &place, file);
        }
        conf
    }

    fn take_line(
        &mut self,
        line: &str,
        place: &dyn Fn(std::ops::Range<usize>) -> Place,
        file: &mut File<'_>,
    ) {
        let start = line.len() - line.trim_start().len();
        let word_end = line[start..].find(char::is_whitespace).map_or(line.len(), |at| start + at);
        let word = &line[start..word_end];
        if start > 0 {
            file.warn(
                &place(0..start),
                "the line begins with blanks",
                "pptpd skips such a line; remove them",
            );
        }
        let known = KEYWORDS.iter().chain(&["speed"]).find(|keyword| **keyword == word);
        let Some(keyword) = known else {
            let remedy = match nearest(word, KEYWORDS.into_iter()) {
                Some(keyword) => format!("did you mean {keyword:?}?"),
                None => format!("the keywords are {}", KEYWORDS.join(", ")),
            };
            return file.warn(
                &place(start..word_end),
                format!("{word:?} is no keyword and is ignored"),
                remedy,
            );
        };
        let (text, span) = value(line, word_end, place, file);
        if self.0.contains_key(keyword) {
            let message = format!("{keyword} stands in the file twice; only the first counts");
            return file.warn(&place(start..word_end), message, "remove one of the two");
        }
        let place = place(if text.is_empty() { start..word_end } else { span });
        if text.is_empty() && !FLAGS.contains(keyword) {
            return file.error(
                &place,
                format!("{keyword} needs a value"),
                "write it behind the keyword",
            );
        }
        if let Some((_, remedy)) = UNSUPPORTED.iter().find(|(name, _)| name == keyword) {
            file.warn(&place, format!("{keyword} is not supported and is ignored"), *remedy);
        }
        if !HARMLESS.contains(keyword) {
            self.0.insert(keyword, Value { text, place });
        }
    }
}

/// The value behind a keyword, without a comment behind it.
fn value(
    line: &str,
    from: usize,
    place: &dyn Fn(std::ops::Range<usize>) -> Place,
    file: &mut File<'_>,
) -> (String, std::ops::Range<usize>) {
    let rest = &line[from..];
    let comment = rest.find('#').filter(|at| rest[..*at].ends_with(char::is_whitespace));
    if let Some(at) = comment {
        let remedy = "pptpd would take it for part of the value; give it a line of its own";
        file.warn(&place(from + at..line.len()), "a comment stands behind the value", remedy);
    }
    let rest = &rest[..comment.unwrap_or(rest.len())];
    let start = from + rest.len() - rest.trim_start().len();
    let text = rest.trim();
    (text.to_owned(), start..start + text.len())
}
