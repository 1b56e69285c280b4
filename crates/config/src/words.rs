//! The words of pppd's files: options files and secrets files share one syntax.
//!
//! Words are separated by white space. `#` begins a comment, right behind a word too. `"` and `'` quote, and may open in the middle of
//! a word. `\` escapes, inside quotes too: `\a \b \f \n \r \t`, `\s` (space), `\ooo`, `\xHH`, a line end (joined), anything else itself.

use zeroize::Zeroizing;

use crate::diagnostic::Place;

/// The longest word that pppd takes, in bytes.
pub(crate) const MAX_WORD: usize = 1023;

/// One word.
#[derive(Clone)]
pub(crate) struct Word {
    /// Its bytes, without quotes and escapes. It may be a secret, so it is wiped.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
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
    /// A quote that opens and does not close.
    Unclosed,
    /// More than [`MAX_WORD`] bytes.
    TooLong,
}

/// Reads words one after the other.
pub(crate) struct Words<'a> {
    input: &'a [u8],
    /// Whether a quote may close on a later line, as in pppd. In a secrets file that would let one line's fault swallow other users'.
    quotes_span_lines: bool,
    at: usize,
    line: usize,
    line_start: usize,
    at_line_start: bool,
}

impl<'a> Words<'a> {
    /// The words of an options file.
    pub(crate) fn of_options(input: &'a [u8]) -> Self {
        Self { input, quotes_span_lines: true, at: 0, line: 1, line_start: 0, at_line_start: true }
    }

    /// The words of a secrets file.
    pub(crate) fn of_secrets(input: &'a [u8]) -> Self {
        Self { quotes_span_lines: false, ..Self::of_options(input) }
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
                // At the end of the file there is nothing that it could escape.
                b'\\' if self.at + 1 == self.input.len() => self.at += 1,
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                byte if is_blank(byte) => self.at += 1,
                _ => return,
            }
        }
    }

    /// Room for the word that begins here, all at once: growing would leave copies of a secret behind.
    fn room(&self) -> Zeroizing<Vec<u8>> {
        let ahead = &self.input[self.at..];
        let ahead = &ahead[..ahead.len().min(MAX_WORD + 1)];
        let end = ahead.iter().position(|byte| is_blank(*byte)).unwrap_or(ahead.len());
        let plain = !ahead[..end].iter().any(|byte| matches!(byte, b'"' | b'\'' | b'\\'));
        Zeroizing::new(Vec::with_capacity(if plain { end } else { ahead.len() }))
    }

    /// One escape; the backslash has been read.
    fn escape(&mut self, word: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return };
        self.at += 1;
        let byte = match byte {
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
        };
        push(word, byte);
    }
}

/// C's `isspace`.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// What is longer than a word can be is not kept.
fn push(word: &mut Vec<u8>, byte: u8) {
    if word.len() <= MAX_WORD {
        word.push(byte);
    }
}

impl Iterator for Words<'_> {
    type Item = (Word, Option<BadWord>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blanks();
        self.peek()?;
        let (line, line_start, start) = (self.line, self.line_start, self.at);
        let first = std::mem::take(&mut self.at_line_start);
        let mut bytes = self.room();
        let mut quote = None;
        let mut bad = None;
        while let Some(byte) = self.peek() {
            match (byte, quote) {
                (b'\n', Some(_)) if self.quotes_span_lines => {
                    push(&mut bytes, byte);
                    self.at += 1;
                    self.newline();
                    continue;
                }
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
                (_, Some(_)) => push(&mut bytes, byte),
                (b'"' | b'\'', None) => quote = Some(byte),
                (b'#', None) => break,
                (_, None) if is_blank(byte) => break,
                (_, None) => push(&mut bytes, byte),
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
        let place = Place { line, line_start, start, end: self.at };
        Some((Word { bytes, place, first }, bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(input: &str) -> Vec<String> {
        Words::of_options(input.as_bytes()).map(|(word, _)| word.text()).collect()
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
        let read: Vec<_> = Words::of_secrets(b"a \"b c\nd").collect();
        assert_eq!(read[1].1, Some(BadWord::Unclosed));
        assert_eq!(read[2].0.text(), "d");
        assert!(read[2].0.first);
    }

    #[test]
    fn a_quote_in_an_options_file_may_span_lines_as_in_pppd() {
        assert_eq!(words("connect \"chat\n -v\" lock"), ["connect", "chat\n -v", "lock"]);
        let read: Vec<_> = Words::of_options(b"name \"a\nmtu 1400\n").collect();
        assert_eq!(read[1].1, Some(BadWord::Unclosed));
    }

    #[test]
    fn a_backslash_at_the_end_of_the_file_is_no_word() {
        assert_eq!(words("lock \\"), ["lock"]);
    }

    #[test]
    fn places_point_at_the_word() {
        let (word, _) = Words::of_options(b"\n  mtu\t1400").next().unwrap();
        assert_eq!(word.place, Place { line: 2, line_start: 1, start: 3, end: 6 });
    }
}
