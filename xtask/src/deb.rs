//! The Debian package.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::workspace::{self, cargo, output, run as run_command};

/// Files of the package: where they come from (below the project's root), where they go, and their mode.
const FILES: [(&str, &str, u32); 11] = [
    ("packaging/gretel.service", "usr/lib/systemd/system/gretel.service", 0o644),
    ("packaging/gretel.sysusers", "usr/lib/sysusers.d/gretel.conf", 0o644),
    ("README.md", "usr/share/doc/gretel/README.md", 0o644),
    ("README.ja.md", "usr/share/doc/gretel/README.ja.md", 0o644),
    ("packaging/fail2ban/gretel.conf", "usr/share/doc/gretel/fail2ban/gretel.conf", 0o644),
    ("packaging/fail2ban/jail.conf", "usr/share/doc/gretel/fail2ban/jail.conf", 0o644),
    ("packaging/examples/pptpd.conf", "usr/share/doc/gretel/examples/pptpd.conf", 0o644),
    (
        "packaging/examples/unconfined-scripts.conf",
        "usr/share/doc/gretel/examples/unconfined-scripts.conf",
        0o644,
    ),
    ("packaging/examples/own-user.conf", "usr/share/doc/gretel/examples/own-user.conf", 0o644),
    ("packaging/examples/fast-path.conf", "usr/share/doc/gretel/examples/fast-path.conf", 0o644),
    ("packaging/examples/pptpd-options", "usr/share/doc/gretel/examples/pptpd-options", 0o644),
];
/// Where the pages go, so that README's links and their own lead somewhere.
const PAGES: &str = "usr/share/doc/gretel/docs";
/// Links of the package: what they point to, and where they are. `pptpd.service` is an alias that enabling the unit makes: as a file it
/// would go with the old package's, which has it under `/lib`.
const LINKS: [(&str, &str); 2] =
    [("gretel", "usr/sbin/pptpd"), ("gretel.8.gz", "usr/share/man/man8/pptpd.8.gz")];
/// Where shells look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/gretel"),
    ("zsh", "usr/share/zsh/vendor-completions/_gretel"),
    ("fish", "usr/share/fish/vendor_completions.d/gretel.fish"),
];
/// Scripts that dpkg runs.
const SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

/// Builds the package and gives its path.
pub(crate) fn build() -> Result<PathBuf> {
    workspace::build_gretel()?;
    let root = workspace::root();
    let tree = workspace::target().join("deb");
    if tree.exists() {
        fs::remove_dir_all(&tree).context("cannot empty target/deb")?;
    }
    for (from, to, mode) in FILES {
        install(&root.join(from), &tree.join(to), mode)?;
    }
    install_folder(&root.join("docs"), &tree.join(PAGES))?;
    let program = tree.join("usr/sbin/gretel");
    install(&workspace::gretel(), &program, 0o755)?;
    run_command(Command::new("strip").arg(&program))?;
    for (target, link) in LINKS {
        let link = tree.join(link);
        fs::create_dir_all(link.parent().context("a link without a directory")?)?;
        symlink(target, &link).with_context(|| link.display().to_string())?;
    }
    let page = tree.join("usr/share/man/man8/gretel.8");
    install(&root.join("packaging/man/gretel.8"), &page, 0o644)?;
    let keys = tree.join("usr/share/man/man5/gretel.toml.5");
    write(&keys, &manual_of_keys(&fs::read_to_string(root.join("docs/gretel.toml"))?))?;
    let keywords = tree.join("usr/share/man/man5/pptpd.conf.5");
    write(&keywords, &manual_of_keywords(&fs::read_to_string(root.join("docs/options.md"))?))?;
    run_command(Command::new("gzip").args(["-9n"]).args([&page, &keys, &keywords]))?;
    for (shell, file) in COMPLETIONS {
        let text = output(Command::new(workspace::gretel()).args(["completion", shell]))?;
        write(&tree.join(file), &text)?;
    }
    let package = path()?;
    let libc = output(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let control = fs::read_to_string(root.join("packaging/debian/control.in"))?
        .replace("@VERSION@", &version()?)
        .replace("@ARCHITECTURE@", &architecture()?)
        .replace("@LIBC@", libc.trim().trim_start_matches("glibc "));
    write(&tree.join("DEBIAN/control"), &control)?;
    for script in SCRIPTS {
        let from = root.join("packaging/debian").join(script);
        install(&from, &tree.join("DEBIAN").join(script), 0o755)?;
    }
    install(&root.join("packaging/debian/templates"), &tree.join("DEBIAN/templates"), 0o644)?;
    write_looker(&root.join("packaging/debian/config.in"), &program, &tree.join("DEBIAN/config"))?;
    let mut build = Command::new("dpkg-deb");
    run_command(build.args(["--root-owner-group", "--build"]).arg(&tree).arg(&package))?;
    println!("{}", package.display());
    Ok(package)
}

/// The script that looks the configuration over before anything is installed, with the program behind it.
fn write_looker(from: &Path, program: &Path, to: &Path) -> Result<()> {
    let script = fs::read_to_string(from).with_context(|| from.display().to_string())?;
    let first = script.lines().count() + 1;
    let pack = r#"gzip -9nc "$0" | base64"#;
    let program = output(Command::new("sh").args(["-c", pack]).arg(program))?;
    write(to, &(script.replace("@LINE@", &first.to_string()) + &program))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// gretel.toml(5): the documented file, as it stands.
fn manual_of_keys(file: &str) -> String {
    let mut page = String::from(
        ".TH GRETEL.TOML 5 \"\" \"gretel\" \"File formats\"\n.SH NAME\ngretel.toml \\- settings of the PPTP server gretel(8)\n\
         .SH DESCRIPTION\n.I /etc/gretel/gretel.toml\ncounts more than\n.I /etc/pptpd.conf\nand pppd's options files, and need not exist. \
         Every key follows, with its default. What the other files mean as keys is printed by\n.BR \"gretel config convert\" .\n\
         .SH KEYS\n.nf\n",
    );
    for line in file.lines() {
        page.push_str(&plain(line));
        page.push('\n');
    }
    page.push_str(".fi\n.SH SEE ALSO\n.BR gretel (8)\n");
    page
}

/// pptpd.conf(5): the keywords' table in the page of all options, and what the file looks like.
fn manual_of_keywords(options: &str) -> String {
    let mut page = String::from(
        ".TH PPTPD.CONF 5 \"\" \"gretel\" \"File formats\"\n.SH NAME\npptpd.conf \\- addresses of the PPTP server gretel(8)\n\
         .SH DESCRIPTION\n.I /etc/pptpd.conf\nhas a keyword and its value on each line, and comments behind a #. It is the file of pptpd(8), which \
         gretel takes the place of. Addresses are written as 192.168.1.200\\-220, in any part of the address, and after commas without \
         blanks; names of hosts will do.\n.PP\n.B gretel check\nsays what becomes of each line.\n.SH KEYWORDS\n",
    );
    let section = options.split("## `pptpd.conf`").nth(1).unwrap_or_default();
    let table = section.split("\n## ").next().unwrap_or_default();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        if let [keyword, class, meaning, ..] = cells[..] {
            let (keyword, meaning) = (keyword.replace('`', ""), meaning.replace('`', ""));
            let instead = cells.get(3).copied().unwrap_or_default().replace('`', "");
            page.push_str(&format!(".TP\n.B {}\n{} ({class})", plain(&keyword), plain(&meaning)));
            if !instead.is_empty() {
                page.push_str(&format!(": {}", plain(&instead)));
            }
            page.push('\n');
        }
    }
    page.push_str(
        ".SH EXAMPLE\n.nf\noption /etc/ppp/pptpd\\-options\nlocalip 192.168.1.1\nremoteip 192.168.1.200\\-220\n.fi\n\
         .SH SEE ALSO\n.BR gretel (8),\n.BR gretel.toml (5),\n.I /usr/share/doc/gretel/docs/options.md\n",
    );
    page
}

/// A line of text that roff takes for nothing else: a dot or a quote at the beginning would be a request of its.
fn plain(line: &str) -> String {
    format!("\\&{}", line.replace('\\', "\\e").replace('-', "\\-"))
}

/// Where the package is built.
pub(crate) fn path() -> Result<PathBuf> {
    Ok(workspace::target().join(format!("gretel_{}_{}.deb", version()?, architecture()?)))
}

fn architecture() -> Result<String> {
    let name = output(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(name.trim().to_owned())
}

/// The workspace's version, as `cargo metadata` tells it.
fn version() -> Result<String> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let gretel = packages.iter().find(|package| package["name"] == "gretel");
    let version = gretel.and_then(|package| package["version"].as_str());
    Ok(version.context("cargo metadata knows no gretel")?.to_owned())
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file without a directory")?)?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// As [`install`], for all files of a folder and the folders in it.
fn install_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => install_folder(&entry.path(), &to)?,
            false => install(&entry.path(), &to, 0o644)?,
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file without a directory")?)?;
    fs::write(path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_file_is_taken_for_a_request_of_the_page() {
        let page = manual_of_keys(".so /etc/passwd\n'x\na\\b-c\n");
        assert!(page.contains("\n\\&.so /etc/passwd\n\\&'x\n\\&a\\eb\\-c\n.fi\n"), "{page}");
    }

    /// All pages below a folder.
    fn pages(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        let here = files.into_iter().filter(|file| file.extension().is_some_and(|it| it == "md"));
        here.chain(folders.iter().flat_map(|folder| pages(folder))).collect()
    }

    #[test]
    fn links_of_the_pages_lead_to_what_the_package_has_too() {
        let root = workspace::root();
        let docs = root.join("docs").canonicalize().unwrap();
        let readmes = ["README.md", "README.ja.md"].map(|name| root.join(name));
        let mut links = 0;
        for page in pages(&docs).into_iter().chain(readmes.clone()) {
            let text = fs::read_to_string(&page).unwrap();
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for target in targets.filter(|it| !it.contains("://") && !it.starts_with('#')) {
                let file = target.split('#').next().unwrap();
                let found = page.parent().unwrap().join(file).canonicalize();
                let shipped = found.is_ok_and(|found| {
                    found.starts_with(&docs)
                        || readmes.iter().any(|it| it.canonicalize().unwrap() == found)
                });
                assert!(shipped, "{}: {target}", page.display());
                links += 1;
            }
        }
        assert!(links > 100, "only {links} links were found");
    }

    #[test]
    fn every_keyword_of_the_page_of_options_is_in_its_manual() {
        let options = fs::read_to_string(workspace::root().join("docs/options.md")).unwrap();
        let page = manual_of_keywords(&options);
        for keyword in ["option FILE", "localip ADDRESSES", "stimeout SECONDS", "bcrelay INTERFACE"]
        {
            assert!(page.contains(&format!("\n.TP\n.B \\&{keyword}\n")), "{keyword}\n{page}");
        }
        assert!(page.contains("may stand more than once (honoured)\n"), "{page}");
        assert!(!page.contains("require"), "the next table is another page's:\n{page}");
    }
}
