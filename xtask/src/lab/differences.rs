//! What Gretel and pptpd did differently on the same scenarios.

use std::{collections::BTreeMap, fmt::Write};

use super::Kind;

/// Facts that scenarios noted, by scenario.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    scenarios: BTreeMap<&'static str, [Option<BTreeMap<String, String>>; 2]>,
}

impl Differences {
    pub(crate) fn note(
        &mut self,
        kind: Kind,
        scenario: &'static str,
        facts: BTreeMap<String, String>,
    ) {
        self.scenarios.entry(scenario).or_default()[kind as usize] = Some(facts);
    }

    /// A Markdown table of the facts in which the servers differ; `None` unless both have run.
    pub(crate) fn table(&self) -> Option<String> {
        let mut table = String::from(
            "# Gretel beside pptpd\n\nThe same scenarios, the same client. Times are of one run; pptpd runs in a \
             guest, where system calls are slow.\n\n| scenario | fact | gretel | pptpd |\n|---|---|---|---|\n",
        );
        let mut compared = 0;
        for (name, sides) in &self.scenarios {
            let [Some(gretel), Some(pptpd)] = sides else { continue };
            compared += 1;
            for (fact, left, right) in differing(gretel, pptpd) {
                // Writing to a string does not fail.
                let _ = writeln!(table, "| {name} | {fact} | {left} | {right} |");
            }
        }
        (compared > 0).then(|| format!("{table}\n{compared} scenarios compared.\n"))
    }
}

/// Facts whose values differ. Of facts with several lines, only the lines that one side lacks.
fn differing(
    left: &BTreeMap<String, String>,
    right: &BTreeMap<String, String>,
) -> Vec<(String, String, String)> {
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort();
    names.dedup();
    let mut rows = Vec::new();
    for name in names {
        let lines = |side: &BTreeMap<String, String>| -> Vec<String> {
            side.get(name)
                .map(|value| value.lines().map(str::to_owned).collect())
                .unwrap_or_default()
        };
        let (left, right) = (lines(left), lines(right));
        let only = |these: &[String], those: &[String]| {
            let lines: Vec<&str> =
                these.iter().filter(|line| !those.contains(line)).map(String::as_str).collect();
            if lines.is_empty() { "–".to_owned() } else { lines.join("; ") }
        };
        if left != right {
            rows.push((name.clone(), only(&left, &right), only(&right, &left)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("phrases".to_owned(), value.to_owned())])
    }

    #[test]
    fn only_what_differs_is_in_the_table() {
        let mut differences = Differences::default();
        differences.note(Kind::Gretel, "one", facts("a\nb"));
        assert_eq!(differences.table(), None);
        differences.note(Kind::Pptpd, "one", facts("b\nc"));
        differences.note(Kind::Gretel, "two", facts("a"));
        differences.note(Kind::Pptpd, "two", facts("a"));
        let table = differences.table().unwrap();
        assert!(table.contains("| one | phrases | a | c |"), "{table}");
        assert!(!table.contains("| two"), "{table}");
        assert!(table.contains("2 scenarios compared"), "{table}");
    }
}
