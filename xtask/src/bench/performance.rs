//! `docs/performance.md`: a section for each measurement, written here and nowhere else.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::picture;
use crate::workspace;

const HEAD: &str = "# Performance\n\nWritten by the commands that it names, on the machine and day that each section names. Ratios within a table come from one run; \
                    absolute figures depend on the machine and on what else it does.\n";

/// What one command has measured.
pub(crate) struct Section<'a> {
    pub(crate) name: &'a str,
    /// How to repeat it.
    pub(crate) command: &'a str,
    /// What the table shows.
    pub(crate) explanation: &'a str,
    pub(crate) table: &'a str,
}

impl Section<'_> {
    /// Writes the section, in place of an older one of this name, and draws its picture.
    pub(crate) fn keep(&self) -> Result<()> {
        let page = page();
        let old = fs::read_to_string(&page).unwrap_or_else(|_| HEAD.to_owned());
        fs::write(&page, self.insert(&old, &machine()?))
            .with_context(|| format!("cannot write {}", page.display()))?;
        draw_pictures()
    }

    fn insert(&self, page: &str, machine: &str) -> String {
        let title = format!("\n## {}\n", self.name);
        let picture =
            picture::link(self.name).map(|link| format!("{link}\n\n")).unwrap_or_default();
        let text = format!(
            "{title}\n{}\n\n`{}`, {machine}\n\n{picture}{}\n",
            self.explanation,
            self.command,
            self.table.trim()
        );
        let Some(old) = section(page, self.name) else { return format!("{page}{text}") };
        page.replacen(old, &text, 1)
    }
}

/// A section of the page, from the line end before its title to the one before the next.
pub(super) fn section<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let title = format!("\n## {name}\n");
    let start = page.find(&title)?;
    let after = start + title.len();
    let end = page[after..].find("\n## ").map_or(page.len(), |next| after + next);
    Some(&page[start..end])
}

/// Draws the pictures of the page's tables anew.
pub(super) fn draw_pictures() -> Result<()> {
    let page = page();
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    picture::draw(&text, &page.with_extension(""))
}

/// What else the machine did, as a sentence.
pub(crate) fn load_average() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    Ok(format!("The machine's load average at the end was {}.", averages.join(", ")))
}

/// A figure with three digits that say something.
pub(super) fn shown(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// The middle one; `None` of none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn page() -> PathBuf {
    workspace::root().join("docs/performance.md")
}

/// The processor, the kernel and the day.
fn machine() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let processors = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let day = Command::new("date").arg("+%Y-%m-%d").output()?.stdout;
    let model = model.trim_start_matches([' ', '\t', ':']);
    let day = String::from_utf8_lossy(&day).trim().to_owned();
    Ok(format!("{processors} × {model}, Linux {}, {day}", kernel.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_the_one_of_its_name_only() {
        let section = |name, table| Section { name, command: "c", explanation: "e", table };
        let page = section("One", "1\n").insert(HEAD, "m");
        let page = section("Two", "2\n").insert(&page, "m");
        let page = section("One", "3\n").insert(&page, "m");
        assert_eq!(
            page,
            format!("{HEAD}\n## One\n\ne\n\n`c`, m\n\n3\n\n## Two\n\ne\n\n`c`, m\n\n2\n")
        );
    }

    #[test]
    fn figures_are_shown_with_three_digits() {
        assert_eq!([1234.5, 12.345, 0.1234].map(shown), ["1234", "12.3", "0.12"]);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
