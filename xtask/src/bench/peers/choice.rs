//! What is measured, and how often.

use anyhow::{Context, Result, ensure};

use super::{LOADS, Load, Peer};

/// How often every server has its turn, and how long each load runs, in seconds.
const ROUNDS: usize = 3;
const SECONDS: u32 = 5;

/// Which servers, under which loads. [`default`](Self::default) is what the page shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) peers: Vec<Peer>,
    pub(super) loads: Vec<Load>,
    pub(super) rounds: usize,
    pub(super) seconds: u32,
}

impl Default for Choice {
    fn default() -> Self {
        Self { peers: Peer::ALL.to_vec(), loads: LOADS.to_vec(), rounds: ROUNDS, seconds: SECONDS }
    }
}

impl Choice {
    /// Understands names of servers, `--load WORDS` (loads whose names contain them), `--rounds NUMBER` and `--seconds NUMBER`.
    pub(super) fn parse(arguments: &[String]) -> Result<Self> {
        let mut choice = Self::default();
        let mut named = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} what?"));
            match argument.as_str() {
                "--load" => {
                    let words = value()?;
                    choice.loads.retain(|(what, ..)| what.contains(words));
                    ensure!(!choice.loads.is_empty(), "no load is called {words:?}");
                }
                "--rounds" => choice.rounds = value()?.parse().context("--rounds")?,
                "--seconds" => choice.seconds = value()?.parse().context("--seconds")?,
                name => {
                    let is_it = |peer: &Peer| peer.name().eq_ignore_ascii_case(name);
                    let peer = Peer::ALL.into_iter().find(is_it);
                    named.push(peer.with_context(|| format!("no server is called {name:?}"))?);
                }
            }
        }
        ensure!(choice.rounds > 0 && choice.seconds > 0, "that measures nothing");
        if !named.is_empty() {
            choice.peers = named;
        }
        Ok(choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Choice> {
        Choice::parse(&text.split_terminator(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn without_arguments_everything_is_measured() {
        assert_eq!(parsed("").expect("a choice"), Choice::default());
    }

    #[test]
    fn servers_loads_and_times_are_chosen() {
        let choice =
            parsed("kernel gretel --load itself --rounds 1 --seconds 2").expect("a choice");
        assert_eq!(choice.peers, [Peer::Kernel, Peer::Gretel]);
        assert_eq!(choice.loads, LOADS[2..]);
        assert_eq!((choice.rounds, choice.seconds), (1, 2));
        for wrong in ["windows", "--load sideways", "--rounds", "--rounds 0", "--seconds soon"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
