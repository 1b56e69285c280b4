//! The pictures of `docs/performance.md`. They are drawn from the page's own tables, so that both show the same figures.

mod svg;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::performance::section;
use svg::{Bar, Chart, Group, Panel};

/// A section's picture.
pub(super) struct Picture {
    section: &'static str,
    /// Below `docs/performance/`.
    file: &'static str,
    title: &'static str,
    draw: fn(&Table) -> Vec<Panel>,
}

/// All of them.
const PICTURES: [Picture; 3] = [
    Picture {
        section: "Cryptography",
        file: "crypto.svg",
        title: "One packet, encrypted or decrypted",
        draw: |table| {
            vec![panel("cycles: less is better", by_first_column(table, "way", "cycles"))]
        },
    },
    Picture {
        section: "Tunnel",
        file: "tunnel.svg",
        title: "Throughput of a tunnel",
        draw: |table| vec![panel("Mbit/s: more is better", by_row(table, "Mbit/s"))],
    },
    Picture {
        section: "Peers",
        file: "peers.svg",
        title: "Servers in guests, one TCP stream",
        draw: |table| {
            vec![
                panel("Mbit/s: more is better", by_row(table, "Mbit/s")),
                panel(
                    "the guest's processor seconds for each GiB: less is better",
                    by_row(table, "s/GiB"),
                ),
            ]
        },
    },
];

/// The line of a section that shows its picture.
pub(super) fn link(section: &str) -> Option<String> {
    let picture = PICTURES.iter().find(|picture| picture.section == section)?;
    Some(format!("![{}](performance/{})", picture.title, picture.file))
}

/// Draws every picture whose section the page has, into `folder`.
pub(super) fn draw(page: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (file, svg) in pictures(page) {
        let path = folder.join(file);
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// File names and contents.
fn pictures(page: &str) -> Vec<(&'static str, String)> {
    let drawn = PICTURES.iter().filter_map(|picture| {
        let table = Table::parse(section(page, picture.section)?);
        let panels = (picture.draw)(&table);
        Some((picture.file, Chart { title: picture.title.to_owned(), panels }.svg()))
    });
    drawn.collect()
}

fn panel(title: &str, groups: Vec<Group>) -> Panel {
    Panel { title: title.to_owned(), groups }
}

/// A Markdown table.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// The table in a section; empty when there is none.
    fn parse(section: &str) -> Self {
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let mut lines = section.lines().filter(|line| line.starts_with('|'));
        let head = lines.next().map(cells).unwrap_or_default();
        // The second line separates.
        Self { head, rows: lines.skip(1).map(cells).collect() }
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.head.iter().position(|head| head == name)
    }
}

/// A bar, if the cell holds a figure.
fn bar(label: &str, cell: &str, kind: usize) -> Option<Bar> {
    let value = cell.parse().ok()?;
    Some(Bar { label: label.to_owned(), value, shown: cell.to_owned(), kind })
}

/// What has no tunnel at all is so much faster that nothing could be told from the others' bars.
const BESIDE: &str = "bare veth";

/// A group for each row in this unit, a bar for each column of figures, but those of [`BESIDE`] and of ratios (`times …` or `…, times …`).
fn by_row(table: &Table, unit: &str) -> Vec<Group> {
    let Some(units) = table.column("in") else { return Vec::new() };
    let rows = table.rows.iter().filter(|row| row.get(units).is_some_and(|cell| cell == unit));
    let group = |row: &Vec<String>| {
        let cells = table.head.iter().zip(row).skip(units + 1).enumerate();
        let figures = cells.filter(|(_, (head, _))| *head != BESIDE && !head.contains("times "));
        let bars = figures.filter_map(|(kind, (head, cell))| bar(head, cell, kind)).collect();
        Group { name: row[0].clone(), bars }
    };
    rows.map(group).collect()
}

/// A group for each value of the first column, which names it; a bar for each of its rows.
fn by_first_column(table: &Table, label: &str, value: &str) -> Vec<Group> {
    let (Some(label), Some(value)) = (table.column(label), table.column(value)) else {
        return Vec::new();
    };
    let mut groups: Vec<Group> = Vec::new();
    for row in &table.rows {
        let name = format!("{} {} bytes", table.head[0], row[0]);
        if groups.last().is_none_or(|group| group.name != name) {
            groups.push(Group { name, bars: Vec::new() });
        }
        if let Some(group) = groups.last_mut() {
            group.bars.extend(bar(&row[label], &row[value], group.bars.len()));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    const PAGE: &str = "# P\n\n## Tunnel\n\nText.\n\n| what | in | slow | fast | bare veth | fast, times slow |\n|---|---|---|---|---|---|\n\
                        | up | Mbit/s | 10 | 20 | 99 | 2.00 |\n| ping | ms | 1 | 2 | 1 | 2.00 |\n| down | Mbit/s |  | 30 | 99 |  |\n";

    #[test]
    fn rows_become_groups_and_columns_bars_without_the_ratios() {
        let groups = by_row(&Table::parse(PAGE), "Mbit/s");
        let shape: Vec<_> = groups
            .iter()
            .map(|group| {
                let bars = group.bars.iter().map(|bar| (bar.label.as_str(), bar.value));
                (group.name.as_str(), bars.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            shape,
            [("up", vec![("slow", 10.0), ("fast", 20.0)]), ("down", vec![("fast", 30.0)])]
        );
    }

    #[test]
    fn rows_of_one_size_become_a_group() {
        let table = "| packet | way | ns | cycles |\n|---|---|---|---|\n| 64 | a | 1 | 2 |\n| 64 | b | 3 | 4 |\n| 256 | a | 5 | 6 |\n";
        let groups = by_first_column(&Table::parse(table), "way", "cycles");
        let names: Vec<_> =
            groups.iter().map(|group| (group.name.as_str(), group.bars.len())).collect();
        assert_eq!(names, [("packet 64 bytes", 2), ("packet 256 bytes", 1)]);
    }

    #[test]
    fn the_pictures_show_the_figures_of_the_page() -> Result<()> {
        let docs = workspace::root().join("docs");
        let page = fs::read_to_string(docs.join("performance.md"))?;
        for (file, svg) in pictures(&page) {
            let kept = fs::read_to_string(docs.join("performance").join(file)).context(file)?;
            assert_eq!(kept, svg, "{file}: `cargo xtask bench pictures` draws it again");
        }
        Ok(())
    }
}
