//! `/etc/pptpd.conf`.
//!
//! As `pptpd` does: the first occurrence of a keyword counts, `#` is a comment in the first column. Where `pptpd` goes wrong in silence
//! (Windows line ends, comments behind values, unknown keywords, indented lines, long lines) the value is read as meant, with a warning.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use crate::diagnostic::{File, Place, nearest};
use crate::options::{Class, Origin};

/// The longest line that pptpd reads, in bytes.
const MAX_LINE: usize = 510;

/// A keyword of the file.
pub(crate) struct Keyword {
    pub(crate) name: &'static str,
    /// What stands behind it, if anything does.
    pub(crate) argument: Option<&'static str>,
    pub(crate) class: Class,
    pub(crate) meaning: &'static str,
}

const fn keyword(
    name: &'static str,
    argument: Option<&'static str>,
    class: Class,
    meaning: &'static str,
) -> Keyword {
    Keyword { name, argument, class, meaning }
}

/// All keywords of pptpd 1.4 and 1.5.
pub(crate) const KEYWORDS: [Keyword; 15] = [
    keyword(
        "option",
        Some("FILE"),
        Class::Honoured,
        "pppd's options, read after `/etc/ppp/options`",
    ),
    keyword(
        "localip",
        Some("ADDRESSES"),
        Class::Honoured,
        "our addresses in the tunnels; one will do for all",
    ),
    keyword("remoteip", Some("ADDRESSES"), Class::Honoured, "the clients' addresses"),
    keyword(
        "listen",
        Some("ADDRESS"),
        Class::Honoured,
        "where to listen; may stand more than once",
    ),
    keyword("connections", Some("NUMBER"), Class::Honoured, "how many sessions may be up at once"),
    keyword(
        "stimeout",
        Some("SECONDS"),
        Class::Honoured,
        "how long a client may take to start its control connection",
    ),
    keyword("debug", None, Class::Honoured, "control messages and PPP frames are logged"),
    keyword(
        "delegate",
        None,
        Class::Honoured,
        "clients' addresses come from the secrets file, and ours from `LOCAL:` of the options",
    ),
    keyword("noipparam", None, Class::Honoured, "scripts are not given the client's address"),
    keyword(
        "logwtmp",
        None,
        Class::Honoured,
        "logins are written to wtmpdb's database or `/var/log/wtmp`, where there is one",
    ),
    keyword(
        "bcrelay",
        Some("INTERFACE"),
        Class::Honoured,
        "broadcasts are relayed between this interface and the clients",
    ),
    keyword(
        "vrf",
        Some("NAME"),
        Class::Honoured,
        "control connections and GRE are in this VRF, or on this interface",
    ),
    keyword(
        "speed",
        Some("NUMBER"),
        Class::Honoured,
        "the third argument of scripts, which is a label: traffic has no such limit",
    ),
    keyword("pidfile", Some("FILE"), Class::Honoured, "where the process number is written"),
    keyword("ppp", Some("FILE"), Class::Harmless, "no pppd is run"),
];

/// A keyword that is given elsewhere than in the file, and counts more.
pub(crate) struct Given<'a> {
    /// By whom.
    pub(crate) source: &'a str,
    pub(crate) keyword: &'a str,
    pub(crate) value: &'a str,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Where it is given, if not in the file.
    pub(crate) source: Option<String>,
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// The keywords with their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct PptpdConf(HashMap<&'static str, Vec<Value>>);

impl PptpdConf {
    pub(crate) fn get(&self, keyword: &str) -> Option<&Value> {
        self.all(keyword).first()
    }

    /// All values of a keyword that may stand more than once.
    pub(crate) fn all(&self, keyword: &str) -> &[Value] {
        self.0.get(keyword).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn has(&self, keyword: &str) -> bool {
        self.0.contains_key(keyword)
    }

    /// What the file and the command line hold, in their order.
    pub(crate) fn origins(&self, path: &Path) -> Vec<Origin> {
        let file: Rc<Path> = path.into();
        let mut origins = Vec::new();
        for keyword in &KEYWORDS {
            for value in self.all(keyword.name) {
                let source = value.source.as_ref().map(|source| Path::new(source).into());
                origins.push(Origin {
                    name: keyword.name,
                    word: keyword.name.to_owned(),
                    argument: keyword.argument.map(|_| value.text.clone()),
                    file: source.unwrap_or_else(|| file.clone()),
                    line: value.place.line,
                    place: value.place,
                    class: keyword.class,
                    meaning: keyword.meaning,
                });
            }
        }
        origins.sort_by_key(|origin| origin.line);
        origins
    }

    /// Keywords that are given elsewhere, then the file's text, which counts less.
    pub(crate) fn parse(given: &[Given<'_>], file: &mut File<'_>) -> Self {
        let mut conf = Self::default();
        for Given { source, keyword, value } in given {
            let Some(keyword) = KEYWORDS.iter().find(|known| known.name == *keyword) else {
                continue;
            };
            let path = Path::new(source);
            let mut giver = File { path, input: b"", secret: false, diagnostics: file.diagnostics };
            Self::tell(keyword, &Place::default(), &mut giver);
            conf.0.entry(keyword.name).or_default().push(Value {
                source: Some((*source).to_owned()),
                text: (*value).to_owned(),
                place: Place::default(),
            });
        }
        let input = file.input;
        let mut told_crlf = false;
        let mut start = 0;
        for (number, line) in input.split(|byte| *byte == b'\n').enumerate() {
            let bare = line.strip_suffix(b"\r").unwrap_or(line);
            let whole =
                Place { line: number + 1, line_start: start, start, end: start + bare.len() };
            start += line.len() + 1;
            if bare.len() != line.len() && !std::mem::replace(&mut told_crlf, true) {
                let remedy =
                    "pptpd would take them for part of the values; convert it with dos2unix";
                file.warn(
                    &Place { start: whole.end, ..whole },
                    "the file has Windows line ends",
                    remedy,
                );
            }
            if bare.starts_with(b"#") || bare.iter().all(|byte| is_blank(*byte)) {
                continue;
            }
            conf.take_line(bare, whole, file);
        }
        conf
    }

    fn take_line(&mut self, line: &[u8], whole: Place, file: &mut File<'_>) {
        let at = |from: usize, to: usize| Place {
            start: whole.start + from,
            end: whole.start + to,
            ..whole
        };
        if line.len() > MAX_LINE {
            let message = format!("the line has more than {MAX_LINE} bytes");
            file.warn(&at(MAX_LINE, line.len()), message, "pptpd would skip it; shorten it");
        }
        let start = line.iter().take_while(|byte| is_blank(**byte)).count();
        let rest = &line[start..];
        let word_end = start + rest.iter().position(|byte| is_blank(*byte)).unwrap_or(rest.len());
        if start > 0 {
            let remedy = "pptpd skips such a line; remove them";
            file.warn(&at(0, start), "the line begins with blanks", remedy);
        }
        let word = String::from_utf8_lossy(&line[start..word_end]);
        let place = at(start, word_end);
        let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.name == word) else {
            return unknown(&word, &place, file);
        };
        let (from, to) = value(line, word_end, &at, file);
        let repeated = self.0.get(keyword.name).and_then(|values| values.first());
        if let Some(first) = repeated.filter(|_| keyword.name != "listen") {
            let remedy = "remove one of the two";
            match &first.source {
                None => {
                    let message = format!("{word} stands in the file twice; only the first counts");
                    file.warn(&place, message, remedy);
                }
                Some(source) => {
                    file.note(&place, format!("{word} of the {source} counts more"), "")
                }
            }
            return;
        }
        let place = if from == to { place } else { at(from, to) };
        if let (true, Some(what)) = (from == to, keyword.argument) {
            return file.error(
                &place,
                format!("{word} needs a value"),
                format!("write {word} {what}"),
            );
        }
        Self::tell(keyword, &place, file);
        let text = String::from_utf8_lossy(&line[from..to]).into_owned();
        self.0.entry(keyword.name).or_default().push(Value { source: None, text, place });
    }

    /// Says what becomes of a keyword that is not honoured.
    fn tell(keyword: &Keyword, place: &Place, file: &mut File<'_>) {
        let name = keyword.name;
        match keyword.class {
            Class::Honoured | Class::Harmless => {}
            Class::Ignored(remedy) => {
                file.warn(place, format!("{name} is not supported and is ignored"), remedy);
            }
            Class::Refused(remedy) => {
                let message = format!("{name} is not supported, and cannot be left out");
                file.error(place, message, remedy);
            }
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

fn unknown(word: &str, place: &Place, file: &mut File<'_>) {
    if file.diagnostics.is_enough(file.path) {
        return;
    }
    let remedy = match nearest(word, KEYWORDS.iter().map(|keyword| keyword.name)) {
        Some(keyword) => format!("did you mean {keyword:?}?"),
        None => {
            let names: Vec<&str> = KEYWORDS.iter().map(|keyword| keyword.name).collect();
            format!("the keywords are {}", names.join(", "))
        }
    };
    file.warn(place, format!("{word:?} is no keyword and is ignored"), remedy);
}

/// From where to where the value behind a keyword reaches, without a comment behind it.
fn value(
    line: &[u8],
    from: usize,
    at: &dyn Fn(usize, usize) -> Place,
    file: &mut File<'_>,
) -> (usize, usize) {
    let comment = (from + 1..line.len()).find(|at| line[*at] == b'#' && is_blank(line[*at - 1]));
    if let Some(start) = comment {
        let remedy = "pptpd would take it for part of the value; give it a line of its own";
        file.warn(&at(start, line.len()), "a comment stands behind the value", remedy);
    }
    let end = comment.unwrap_or(line.len());
    let Some(start) = (from..end).find(|at| !is_blank(line[*at])) else { return (from, from) };
    let blanks = line[start..end].iter().rev().take_while(|byte| is_blank(**byte)).count();
    (start, end - blanks)
}
