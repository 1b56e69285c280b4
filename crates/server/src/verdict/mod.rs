//! Why an attempt ended as it did: a catalogue of causes, and the judge that finds the one that the evidence shows.
//!
//! [`Evidence`] is what the events of an attempt have shown; [`Evidence::judge`] gives a [`Judgement`]. Nothing is guessed: where two causes look
//! the same from here, the verdict says so, and how to tell them apart.

mod evidence;
mod host;
mod judge;
mod link;
mod login;
mod page;
mod reach;
mod remarks;
mod session;

pub(crate) use evidence::SENDING;
pub use evidence::{Evidence, Stage};
pub(crate) use host::{CLOCK_JUMPED, PORT_TAKEN};
pub use judge::Judgement;
pub(crate) use reach::TOO_MANY;
pub use remarks::Remark;

/// A cause.
#[derive(Debug)]
pub struct Verdict {
    /// Its number: `G-1..` reaching the server, `G-2..` login, `G-3..` PPP and encryption, `G-4..` addresses, `G-5..` this host, `G-6..` sessions
    /// that were up.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// One sentence for the log, without its full stop.
    pub sentence: &'static str,
    /// What it means, in plain words.
    pub meaning: &'static str,
    /// What the client's user sees: Windows' number and text, Linux's words.
    pub seen: &'static [&'static str],
    /// What Gretel has seen that shows it.
    pub evidence: &'static str,
    /// What to do on the server.
    pub server: &'static [&'static str],
    /// What to do on the network between.
    pub network: &'static [&'static str],
    /// What to do on the client.
    pub client: &'static [&'static str],
    /// Whether nothing went wrong.
    pub is_fine: bool,
}

impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

/// What is left out says nothing.
const VERDICT: Verdict = Verdict {
    code: "",
    title: "",
    sentence: "",
    meaning: "",
    seen: &[],
    evidence: "",
    server: &[],
    network: &[],
    client: &[],
    is_fine: false,
};

/// All verdicts, by code.
pub fn catalogue() -> impl Iterator<Item = &'static Verdict> {
    [reach::ALL, login::ALL, link::ALL, host::ALL, session::ALL].into_iter().flatten().copied()
}

/// The verdict with a code, written as `G-101`, `g101` or `101`.
#[must_use]
pub fn find(code: &str) -> Option<&'static Verdict> {
    let number = code.trim_start_matches(['G', 'g']).trim_start_matches('-');
    catalogue().find(|verdict| verdict.code.trim_start_matches("G-") == number)
}

#[cfg(test)]
mod tests;
