//! Verdicts as pages: for `gretel explain`, and for `docs/verdicts`.

use std::fmt::{self, Write as _};

use super::{Verdict, catalogue};

/// The whole text, as Markdown that reads well on a terminal too.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}: {}\n\n{}", self.code, self.title, self.meaning)?;
        list(f, "What the client's user sees", self.seen)?;
        writeln!(f, "\n## How Gretel knows\n\n{}", self.evidence)?;
        list(f, "What to do on the server", self.server)?;
        list(f, "What to do on the network", self.network)?;
        list(f, "What to do on the client", self.client)
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, items: &[&str]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n## {title}\n")?;
    items.iter().try_for_each(|item| writeln!(f, "* {item}"))
}

impl Verdict {
    /// One line for each verdict.
    #[must_use]
    pub fn list() -> String {
        let mut text = String::new();
        for verdict in catalogue() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}  {}", verdict.code, verdict.title);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    const RENEW: &str = "GRETEL_WRITE_DOCS=1 cargo test -p gretel-server up_to_date";

    /// What the page of the index goes on with; the laboratory writes that.
    const LABORATORY: &str = "\n## The fault laboratory";

    fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verdicts")
    }

    /// What the laboratory has written.
    fn laboratory() -> String {
        let page = fs::read_to_string(directory().join("README.md")).unwrap_or_default();
        page.find(LABORATORY).map(|at| page[at..].to_owned()).unwrap_or_default()
    }

    fn index() -> String {
        let laboratory = laboratory();
        let mut page = String::from(
            "# Verdicts\n\nEach attempt to connect ends with a line in the log that has one of these codes; `gretel explain CODE` prints its page. A verdict marked \
             *made* has a scenario of the laboratory in which the fault is really made and a real client tries; where no client that can be had does it, \
             one is *played*, packet by packet.\n\n| code | | proof |\n|---|---|---|\n",
        );
        for verdict in catalogue() {
            let (code, title) = (verdict.code, verdict.title);
            let proof = proof(&laboratory, code);
            let _ = writeln!(page, "| [{code}]({code}.md) | {title} | {proof} |");
        }
        page + &laboratory
    }

    /// How the laboratory makes what has this code: by its rows.
    fn proof(laboratory: &str, code: &str) -> &'static str {
        let row = format!("| [{code}]");
        let rows = || laboratory.lines().filter(|line| line.starts_with(&row));
        match rows().count() {
            0 => "by its events",
            _ if rows().all(|line| line.contains("| a played client")) => "played",
            _ => "made",
        }
    }

    #[test]
    fn every_verdict_is_made_or_played_in_the_laboratory() {
        let laboratory = laboratory();
        for verdict in catalogue() {
            assert_ne!(proof(&laboratory, verdict.code), "by its events", "{}", verdict.code);
        }
    }

    #[test]
    fn the_pages_are_up_to_date() {
        let pages =
            catalogue().map(|verdict| (format!("{}.md", verdict.code), verdict.to_string()));
        let mut expected: Vec<_> = pages.chain([("README.md".to_owned(), index())]).collect();
        expected.sort();
        if std::env::var_os("GRETEL_WRITE_DOCS").is_some() {
            fs::create_dir_all(directory()).unwrap();
            for (name, page) in &expected {
                fs::write(directory().join(name), page).unwrap();
            }
        }
        for (name, page) in &expected {
            let written = fs::read_to_string(directory().join(name)).unwrap_or_default();
            assert!(written == *page, "docs/verdicts/{name} is not up to date: {RENEW}");
        }
        let files = fs::read_dir(directory()).unwrap().count();
        assert_eq!(files, expected.len(), "a page without a verdict");
    }
}
