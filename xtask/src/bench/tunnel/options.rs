//! Which part of the measurement is wanted.

use anyhow::{Context, Result, bail, ensure};

use super::ways::WAYS;

/// How often every way has its turn.
const ROUNDS: usize = 3;

/// `[WAY]... [--rounds NUMBER] [--one-stream]`; without any it is the whole.
#[derive(Debug)]
pub(super) struct Options {
    /// Beginnings of names; none means all.
    ways: Vec<String>,
    pub(super) rounds: usize,
    /// Only what one TCP stream shows.
    pub(super) one_stream: bool,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { ways: Vec::new(), rounds: ROUNDS, one_stream: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--one-stream" => options.one_stream = true,
                "--rounds" => {
                    let number = arguments.next().context("--rounds wants a number")?;
                    options.rounds = number.parse().with_context(|| format!("{number:?}"))?;
                    ensure!(options.rounds > 0, "without a round nothing is measured");
                }
                option if option.starts_with('-') => bail!("no option {option:?}"),
                way => {
                    let is_known = WAYS.iter().any(|(name, _)| name.starts_with(way));
                    ensure!(is_known, "no way's name begins with {way:?}");
                    options.ways.push(way.to_owned());
                }
            }
        }
        Ok(options)
    }

    pub(super) fn wants(&self, way: &str) -> bool {
        self.ways.is_empty() || self.ways.iter().any(|wanted| way.starts_with(wanted.as_str()))
    }

    /// Whether the result is one to keep.
    pub(super) fn is_whole(&self) -> bool {
        self.ways.is_empty() && !self.one_stream && self.rounds >= ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_part_is_not_kept() -> Result<()> {
        assert!(parse(&[])?.is_whole());
        assert!(!parse(&["--one-stream"])?.is_whole());
        assert!(!parse(&["--rounds", "1"])?.is_whole());
        let some = parse(&["naive", "AF_XDP"])?;
        assert!(!some.is_whole() && some.wants("AF_XDP, 1 worker") && !some.wants("bare veth"));
        Ok(())
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for wrong in [&["AF_XPD"][..], &["--rounds"], &["--rounds", "0"], &["--once"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
