//! The words of pppd's files: options files and secrets files share one syntax.
//!
//! Words are separated by white space. `#` begins a comment, right behind a word too. `"` and `'` quote, and may open in the middle of
//! a word. `\` escapes: `\a \b \f \n \r \t`, `\s` (space), `\ooo`, `\xHH`, a line end (joined), anything else itself.

use crate::diagnostic::Place;

/// The longest word that pppd takes, in bytes.
pub(crate) const MAX_WORD: usize = 1023;

/// One word.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    /// Its bytes, without quotes and escapes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) place: Place,
    /// Whether it is the first word of its line.
    pub(crate) first: bool,
}

impl Word {
    /// As text, where only text can be meant; other bytes are shown as `�`.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What is wrong with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadWord {
    /// A quote that opens and does not close on its line.
    Unclosed,
    /// More than [`MAX_WORD`] bytes.
    TooLong,
}

/// Reads words one after the other.
pub(crate) struct Words<'a> {
    input: &'a [u8],
    at: usize,
    line: usize,
    line_start: usize,
    at_line_start: bool,
}

impl<'a> Words<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0, line: 1, line_start: 0, at_line_start: true }
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn newline(&mut self) {
        self.line += 1;
        self.line_start = self.at;
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.newline();
                    self.at_line_start = true;
                }
                b'\\' if self.input.get(self.at + 1) == Some(&b'\n') => {
                    self.at += 2;
                    self.newline();
                }
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                byte if byte.is_ascii_whitespace() || byte == 0x0b => self.at += 1,
                _ => return,
            }
        }
    }

    fn place(&self, line: usize, line_start: usize, start: usize) -> Place {
        let rest = &self.input[line_start..];
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let last = (self.at - line_start).min(end);
        // Bytes that are no text change length when shown, so the parts are turned into text one by one.
        let mut text = String::from_utf8_lossy(&rest[..start - line_start]).into_owned();
        let from = text.len();
        text.push_str(&String::from_utf8_lossy(&rest[start - line_start..last]));
        let to = text.len();
        text.push_str(&String::from_utf8_lossy(&rest[last..end]));
        Place { line, span: from..to, text }
    }

    /// One escape; the backslash has been read.
    fn escape(&mut self, word: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return };
        self.at += 1;
        word.push(match byte {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b's' => b' ',
            b't' => b'\t',
            b'\n' => return self.newline(),
            b'0'..=b'7' => {
                let mut value = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.peek() else { break };
                    value = value * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                value as u8
            }
            b'x' => {
                let mut value = 0_u32;
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16))
                    else {
                        break;
                    };
                    value = value * 16 + digit;
                    self.at += 1;
                }
                value as u8
            }
            byte => byte,
        });
    }
}

impl Iterator for Words<'_> {
    type Item = (Word, Option<BadWord>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blanks();
        self.peek()?;
        let (line, line_start, start) = (self.line, self.line_start, self.at);
        let first = std::mem::take(&mut self.at_line_start);
        let mut bytes = Vec::new();
        let mut quote = None;
        let mut bad = None;
        while let Some(byte) = self.peek() {
            match (byte, quote) {
                (b'\n', Some(_)) => {
                    bad = Some(BadWord::Unclosed);
                    quote = None;
                    break;
                }
                (b'\\', _) => {
                    self.at += 1;
                    self.escape(&mut bytes);
                    continue;
                }
                (_, Some(open)) if byte == open => quote = None,
                (_, Some(_)) => bytes.push(byte),
                (b'"' | b'\'', None) => quote = Some(byte),
                (b'#', None) => break,
                (_, None) if byte.is_ascii_whitespace() || byte == 0x0b => break,
                (_, None) => bytes.push(byte),
            }
            self.at += 1;
        }
        if quote.is_some() {
            bad = Some(BadWord::Unclosed);
        }
        if bytes.len() > MAX_WORD {
            bytes.truncate(MAX_WORD);
            bad = Some(BadWord::TooLong);
        }
        let place = self.place(line, line_start, start);
        Some((Word { bytes, place, first }, bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(input: &str) -> Vec<String> {
        Words::new(input.as_bytes()).map(|(word, _)| word.text()).collect()
    }

    #[test]
    fn quotes_open_in_the_middle_and_comments_end_words() {
        assert_eq!(words(r#"a"b c"d 'x y'#note"#), ["ab cd", "x y"]);
        assert_eq!(words("one#two\n# three\nfour"), ["one", "four"]);
    }

    #[test]
    fn escapes_are_those_of_pppd() {
        assert_eq!(words(r"a\sb \x41\102 \\ \q"), ["a b", "AB", "\\", "q"]);
        assert_eq!(words("long\\\ner word"), ["longer", "word"]);
    }

    #[test]
    fn a_quote_that_does_not_close_harms_its_own_line_only() {
        let read: Vec<_> = Words::new(b"a \"b c\nd").collect();
        assert_eq!(read[1].1, Some(BadWord::Unclosed));
        assert_eq!(read[2].0.text(), "d");
        assert!(read[2].0.first);
    }

    #[test]
    fn places_point_at_the_word() {
        let (word, _) = Words::new(b"\n  mtu\t1400").next().unwrap();
        assert_eq!((word.place.line, word.place.span.clone()), (2, 2..5));
        assert_eq!(word.place.text, "  mtu\t1400");
    }
}
