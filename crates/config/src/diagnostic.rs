//! What is to be said about a file: where, what, and what to write instead.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It works, but hardly as meant.
    Warning,
    /// It cannot work.
    Error,
}

/// One thing to be said about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 when it concerns the file as a whole.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The line's text, or what is around the fault when it is a long one; `None` where it must not be shown, as it holds secrets.
    pub text: Option<String>,
    /// The bytes of `text` that it concerns.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Diagnostic {
    /// The diagnostic with the line that it concerns and a caret under the fault, several lines long.
    pub fn render(&self) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let Some(text) = self.text.as_deref().filter(|_| self.line > 0) else {
            return self.to_string();
        };
        let end = self.span.end.min(text.len());
        let start = self.span.start.min(end);
        let path = harmless(&self.file.display().to_string());
        let snippet = Snippet::source(text)
            .line_start(self.line)
            .path(path)
            .annotation(AnnotationKind::Primary.span(start..end));
        let mut report = level.primary_title(self.message.as_str()).element(snippet);
        if !self.remedy.is_empty() {
            report = report.element(Level::HELP.message(&self.remedy));
        }
        Renderer::plain().render(&[report])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", harmless(&self.file.display().to_string()))?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(f, " {severity}: {}", self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

/// Diagnostics as they are found.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether so much has been said about a file that nothing more will be.
    pub(crate) fn is_enough(&self, path: &Path) -> bool {
        self.0.iter().filter(|said| said.file == path).count() > MAX_DIAGNOSTICS
    }

    /// All of them, rendered.
    pub fn render(&self) -> String {
        self.0.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
    }
}

/// What is said about one file at most; what follows is counted only.
const MAX_DIAGNOSTICS: usize = 100;
/// Bytes of a line that are shown on either side of where a fault begins.
const WINDOW: usize = 120;
/// Characters of a message or remedy at most: both may quote the file.
const MAX_MESSAGE: usize = 400;

/// A file that is being read, for saying things about it.
pub(crate) struct File<'a> {
    pub(crate) path: &'a Path,
    /// All of it.
    pub(crate) input: &'a [u8],
    /// Whether its lines may be shown.
    pub(crate) secret: bool,
    pub(crate) diagnostics: &'a mut Diagnostics,
}

/// A place in a file: bytes of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Counted from 1; 0 is the file as a whole.
    pub(crate) line: usize,
    /// Where the line begins in the file.
    pub(crate) line_start: usize,
    /// From where in the file to where it reaches.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl File<'_> {
    pub(crate) fn say(
        &mut self,
        severity: Severity,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let said = self.diagnostics.0.iter().filter(|said| said.file == self.path).count();
        if said > MAX_DIAGNOSTICS {
            return;
        }
        let (column, text, span) = self.show(place);
        let too_many = said == MAX_DIAGNOSTICS;
        self.diagnostics.0.push(Diagnostic {
            // What is not told may be an error.
            severity: if too_many { Severity::Error } else { severity },
            file: self.path.to_owned(),
            line: place.line,
            column,
            // An options file may hold `password`.
            text: (!self.secret && place.line > 0 && !text.contains("password")).then_some(text),
            span,
            message: if too_many {
                "there is more to say about this file".into()
            } else {
                bounded(&harmless(&message.into()))
            },
            remedy: if too_many {
                "see to what is said above first".into()
            } else {
                bounded(&harmless(&remedy.into()))
            },
        });
    }

    /// The column, the text to show and the bytes of it that the place covers.
    fn show(&self, place: &Place) -> (usize, String, Range<usize>) {
        let line = &self.input[place.line_start.min(self.input.len())..];
        let length = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
        let line = line[..length].strip_suffix(b"\r").unwrap_or(&line[..length]);
        let start = (place.start - place.line_start).min(line.len());
        let end = (place.end - place.line_start).clamp(start, line.len());
        let column = line[..start].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        let (from, to) = (start.saturating_sub(WINDOW), (start + WINDOW).min(line.len()));
        let end = end.min(to);
        // Bytes that are no text change length when shown, so the parts are turned into text one by one.
        let part = |bytes| harmless(&String::from_utf8_lossy(bytes));
        let mut text = part(&line[from..start]);
        let span_start = text.len();
        text.push_str(&part(&line[start..end]));
        let span = span_start..text.len();
        text.push_str(&part(&line[end..to]));
        (column, text, span)
    }

    pub(crate) fn error(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.say(Severity::Error, place, message, remedy);
    }

    pub(crate) fn warn(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.say(Severity::Warning, place, message, remedy);
    }

    pub(crate) fn note(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.say(Severity::Note, place, message, remedy);
    }
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text without anything that could change a terminal: control characters but the tab become `.`, each of them one byte long or as
/// many, so that positions stay right.
pub(crate) fn harmless(text: &str) -> String {
    let dots = |c: char| {
        if c.is_control() && c != '\t' { ".".repeat(c.len_utf8()) } else { c.to_string() }
    };
    text.chars().map(dots).collect()
}

/// The word of `known` that is most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, of the first 64 bytes.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(64)], &b.as_bytes()[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
