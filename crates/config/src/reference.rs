//! `docs/options.md`: what becomes of each keyword and option, from the tables that the readers follow.

use std::fmt::Write;

use crate::options::{self, Class};
use crate::pptpd_conf;

const HEAD: &str = "# Keywords and options

What becomes of each keyword of `pptpd.conf` (pptpd 1.4 and 1.5) and each option of pppd (2.4.9 and 2.5), written from the tables that
Gretel's readers follow; do not edit this page. `gretel check` says the same of your files, with line and column.

* **honoured**: the server does as it says.
* **harmless**: accepted without a word; nobody would see a difference.
* **ignored**: accepted with a warning; what to do instead stands beside it.
* **refused**: the server does not start, as without the option it would let in or through what the option keeps out.

The values of some options that are ignored are checked all the same.
";

/// The page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    heading(&mut page, "`pptpd.conf`");
    for keyword in &pptpd_conf::KEYWORDS {
        row(&mut page, &[keyword.name], keyword.argument, keyword.class, keyword.meaning);
    }
    page.push_str("\nOf a keyword that stands there twice the first counts; `listen` may stand there more than once.\n");
    for (title, options) in options::sections() {
        heading(&mut page, title);
        for option in *options {
            row(&mut page, option.names, option.argument, option.class, option.meaning);
        }
        if options.iter().any(|option| option.names == ["plugin"]) {
            plugins(&mut page);
        }
    }
    page.push_str("\nWithout a name: `LOCAL:REMOTE` (our address and the client's; those of `pptpd.conf` count more, unless it says `delegate`)\nis honoured, a number (a line's speed) is harmless, a device (`/dev/…`, `tty…`) is ignored.\n");
    page
}

fn heading(page: &mut String, title: &str) {
    let _ = write!(page, "\n## {title}\n\n| | | meaning | instead |\n|---|---|---|---|\n");
}

fn row(page: &mut String, names: &[&str], argument: Option<&str>, class: Class, meaning: &str) {
    let (class, remedy) = words(class);
    let argument = argument.map(|argument| format!(" {argument}")).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| format!("`{name}{argument}`")).collect();
    let _ = writeln!(page, "| {} | {class} | {meaning} | {remedy} |", names.join(", "));
}

fn words(class: Class) -> (&'static str, &'static str) {
    (class.word(), class.remedy().unwrap_or_default())
}

fn plugins(page: &mut String) {
    page.push_str("\n| plugin | | instead |\n|---|---|---|\n| `pptpd-logwtmp.so` | as `logwtmp` in `pptpd.conf` | |\n");
    for (name, class) in options::PLUGINS {
        let (class, remedy) = words(*class);
        let _ = writeln!(page, "| `{name}` | {class} | {remedy} |");
    }
    page.push_str("| any other | refused | remove the line |\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares a page with what it should be, or writes it.
    fn check(name: &str, page: &str) {
        let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("GRETEL_WRITE_DOCS").is_some() {
            std::fs::write(&path, page).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let renew = "GRETEL_WRITE_DOCS=1 cargo test -p gretel-config up_to_date";
        assert!(found == page, "docs/{name} is stale; renew it: {renew}");
    }

    #[test]
    fn the_options_page_is_up_to_date() {
        check("options.md", &reference());
    }

    #[test]
    fn the_sample_of_gretel_toml_is_up_to_date() {
        check("gretel.toml", &crate::sample());
    }
}
