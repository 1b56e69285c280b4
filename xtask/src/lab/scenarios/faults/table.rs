//! The table of faults with the results of a run, which lives in `docs/verdicts/README.md`.

use std::{collections::HashMap, fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{lab::Kind, report::Report, workspace};

/// What the table begins with. What stands before it is made of the catalogue.
const HEADING: &str = "## The fault laboratory";

const INTRODUCTION: &str = "\n\n`cargo xtask faults` makes each of these faults with what a real one is made of, in network namespaces and guests, lets a client try, and waits for the \
     code in the server's log: within 10 s of what shows it, 15 s where that is silence. It writes this table.\n\n| verdict | what is made | result |\n|---|---|---|\n";

/// A fault's name without the code that it begins with, and the code.
fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("fault ")?.split_once(": ")
}

/// Where a run leaves its results for `write`.
fn results_file() -> PathBuf {
    workspace::lab_directory().join("faults")
}

fn page() -> PathBuf {
    workspace::root().join("docs/verdicts/README.md")
}

/// Leaves the results of the faults that were run.
pub(crate) fn keep(report: &Report, filter: &str) -> Result<()> {
    let mut lines = String::new();
    for scenario in super::all() {
        let title = scenario.title(Kind::Gretel);
        if split(scenario.name).is_some() && title.contains(filter) {
            let result = if report.has_failed(&title) { "WRONG" } else { "right" };
            lines.push_str(&format!("{result} {}\n", scenario.name));
        }
    }
    fs::write(results_file(), lines).context("cannot keep the results of the faults")
}

/// Writes the results of the last run into the page; of faults that were not run, those that it has. Gives the table.
pub(crate) fn write() -> Result<String> {
    let file = page();
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let (index, before) = text.split_once(HEADING).unwrap_or((&text, ""));
    let results = fs::read_to_string(results_file()).context("there are no results")?;
    let table = table(before, &results);
    fs::write(&file, format!("{}\n\n{HEADING}{INTRODUCTION}{table}", index.trim_end()))?;
    Ok(table)
}

fn table(before: &str, results: &str) -> String {
    let known = before.lines().filter_map(|line| {
        let mut cells = line.trim_matches('|').split(" | ");
        let (_, name, result) = (cells.next()?, cells.next()?, cells.next()?);
        Some((name.trim(), result.trim()))
    });
    let new = results.lines().filter_map(|line| {
        let (result, name) = line.split_once(' ')?;
        Some((split(name)?.1, result))
    });
    let results: HashMap<&str, &str> = known.chain(new).collect();
    let faults = super::all().filter_map(|scenario| split(scenario.name));
    let mut rows: Vec<(&str, String)> = faults
        .map(|(code, name)| {
            let result = results.get(name).copied().unwrap_or("not run");
            (code, format!("| [{code}]({code}.md) | {name} | {result} |\n"))
        })
        .collect();
    rows.sort_by_key(|(code, _)| *code);
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_of_what_was_not_run_again() {
        let first = table("", "right fault G-101: GRE is dropped on its way to the server\n");
        assert!(first.contains("| GRE is dropped on its way to the server | right |\n"));
        assert!(first.contains(" | not run |\n"));
        let second = table(&first, "WRONG fault G-102: GRE is dropped on its way back\n");
        assert!(second.contains("| GRE is dropped on its way to the server | right |\n"));
        assert!(second.contains("| GRE is dropped on its way back | WRONG |\n"));
    }

    #[test]
    fn the_page_has_a_row_for_each_fault_and_no_other() {
        let text = fs::read_to_string(page()).unwrap();
        let (_, written) = text.split_once(HEADING).expect("no table: cargo xtask faults");
        let rows: Vec<&str> = written.lines().filter(|line| line.starts_with("| [")).collect();
        assert_eq!(rows.len(), table("", "").lines().count(), "renew it: cargo xtask faults");
        for fault in super::super::all().filter_map(|scenario| split(scenario.name)) {
            let cells = format!("| [{0}]({0}.md) | {1} |", fault.0, fault.1);
            assert!(rows.iter().any(|row| row.starts_with(&cells)), "{cells}");
        }
    }
}
