//! Verdicts in a server's log that nobody has given it a reason for.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

/// Verdicts of sessions that nothing went wrong with: the client left or its system hung up, a limit, another login of the user, the server's end, an administrator.
const FINE: [&str; 7] = ["G-112", "G-601", "G-602", "G-603", "G-604", "G-605", "G-610"];

/// What a scenario does that the server may have verdicts about.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    /// Codes of the faults that it makes.
    pub(crate) made: BTreeSet<String>,
    /// Addresses, or what they begin with, of peers that do what no client does.
    pub(crate) spared: Vec<&'static str>,
}

impl Reasons {
    /// Fails where a log has a verdict about a fault for which there is no reason.
    pub(crate) fn ensure_for(&self, log: &str) -> Result<()> {
        let lines: Vec<&str> = log.lines().filter(|line| self.is_missing_for(line)).collect();
        ensure!(lines.is_empty(), "a false alarm; made was {:?}:\n{}", self.made, lines.join("\n"));
        Ok(())
    }

    fn is_missing_for(&self, line: &str) -> bool {
        let is_fault = |code: &str| !FINE.contains(&code) && !self.made.contains(code);
        codes(line).any(is_fault) && !self.spared.iter().any(|address| mentions(line, address))
    }
}

/// Whether a text has an address, or one that begins so where that ends with a full stop.
fn mentions(text: &str, address: &str) -> bool {
    text.match_indices(address).any(|(at, _)| {
        let is_number = |char: char| char.is_ascii_digit() || char == '.';
        let rest = &text[at + address.len()..];
        let ends = address.ends_with('.') || !rest.starts_with(|char: char| char.is_ascii_digit());
        ends && !text[..at].ends_with(is_number)
    })
}

/// All codes in a text: `G-101` where that is not part of a longer word.
pub(crate) fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("G-").filter_map(|(at, _)| {
        let code = text.get(at..at + 5)?;
        let is_alone = !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric());
        let is_number = code[2..].bytes().all(|byte| byte.is_ascii_digit());
        (is_alone && is_number).then_some(code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_without_a_reason_is_a_false_alarm() {
        let log = "a. G-601: left\nb 10.99.0.66. G-601: left; also G-609: loss\nMSG-201 G-20";
        assert_eq!(codes(log).collect::<Vec<_>>(), ["G-601", "G-601", "G-609"]);
        let said = Reasons::default().ensure_for(log).unwrap_err().to_string();
        assert!(said.contains("b 10.99") && !said.contains("a. G"), "{said}");
        let made = BTreeSet::from(["G-609".to_owned()]);
        assert!(Reasons { made, ..Reasons::default() }.ensure_for(log).is_ok());
        let spared = |address| Reasons { spared: vec![address], ..Reasons::default() };
        assert!(spared("10.99.0.66").ensure_for(log).is_ok());
        assert!(spared("10.99.").ensure_for(log).is_ok());
        assert!(spared("10.99.0.6").ensure_for(log).is_err());
    }
}
