//! Configurations as they are found in the wild, with what Gretel makes of them; see `corpus/README.md`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use config::{Config, Diagnostics, Paths, Secrets};

const RENEW: &str = "GRETEL_WRITE_DOCS=1 cargo test -p gretel-config --test corpus";

/// The folder's file that stands for one of `/etc`.
fn file_in(folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let name = path.strip_prefix("/etc/ppp").or_else(|_| path.strip_prefix("/etc"));
    match name {
        Ok(name) if name.components().count() == 1 => fs::read(folder.join(name)),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

/// Host names are not looked up: what is expected must not depend on the network.
fn resolve(_: &str) -> Option<Ipv4Addr> {
    None
}

/// What Gretel makes of a folder.
fn made_of(folder: &Path) -> String {
    let read = |path: &Path| {
        let kind = |error: io::Error| io::Error::from(error.kind());
        file_in(folder, path).map_err(kind)
    };
    let (config, mut said) = Config::examine_with(&Paths::default(), b"gate", &read, &resolve);
    let config = config.unwrap();
    let mut users = 0;
    if let Ok(text) = read(&config.chap_secrets) {
        let (secrets, found) = Secrets::parse(&config.chap_secrets, &text);
        users = secrets.len();
        said.0.extend(found.0);
        said.0.extend(config.review_users(&config.chap_secrets, &secrets).0);
    }
    let mut made = String::new();
    summary(&mut made, &config, users);
    verdict(&mut made, &said);
    made
}

fn summary(made: &mut String, config: &Config, users: usize) {
    let mut line = |name: &str, value: String| writeln!(made, "{name:<10} {value}").unwrap();
    line("listen", format!("{:?}", config.listen));
    let ends: Vec<String> = [config.slots.first(), config.slots.last()]
        .into_iter()
        .flatten()
        .map(|(local, remote)| format!("{local}:{remote}"))
        .collect();
    line("sessions", format!("{} {}", config.slots.len(), ends.join(" … ")));
    line("name", String::from_utf8_lossy(&config.name).into_owned());
    let methods = [
        (config.mschap_v2, "mschap-v2"),
        (config.mschap, "mschap"),
        (config.chap_md5, "chap"),
        (config.pap, "pap"),
    ];
    let methods: Vec<&str> = methods.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    line("methods", methods.join(" "));
    line("mppe", format!("{:?}", config.options.mppe));
    line("servers", format!("{:?} {:?}", config.options.dns, config.options.nbns));
    let others = [
        (config.debug, "debug"),
        (config.logwtmp, "logwtmp"),
        (config.delegate, "delegate"),
        (config.options.proxyarp, "proxyarp"),
        (config.options.strip_domain, "strip-domain"),
    ];
    let others: Vec<&str> = others.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    line("others", others.join(" "));
    line("users", users.to_string());
}

fn verdict(made: &mut String, said: &Diagnostics) {
    let verdict = if said.has_errors() { "refused" } else { "served" };
    writeln!(made, "{:<10} {verdict}\n", "verdict").unwrap();
    for diagnostic in &said.0 {
        writeln!(made, "{diagnostic}").unwrap();
    }
}

fn folders() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut folders: Vec<PathBuf> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn each_configuration_means_what_is_expected() {
    let mut wrong = Vec::new();
    assert!(folders().len() > 8);
    for folder in folders() {
        let made = made_of(&folder);
        let expected = folder.join("expected");
        if std::env::var_os("GRETEL_WRITE_DOCS").is_some() {
            fs::write(&expected, &made).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != made {
            wrong.push(format!("{}:\n{made}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected ({RENEW}):\n{}", wrong.join("\n"));
}

/// The values of all keys of `gretel.toml`.
fn values(config: &Config) -> Vec<(&'static str, Option<String>)> {
    config.settings().into_iter().map(|setting| (setting.name, setting.value)).collect()
}

#[test]
fn a_converted_configuration_means_the_same_alone() {
    for folder in folders() {
        let read =
            |path: &Path| file_in(&folder, path).map_err(|error| io::Error::from(error.kind()));
        let loaded = Config::load_with(&Paths::default(), b"gate", &read, &resolve);
        let Ok((config, _)) = loaded else { continue };
        let converted = config.convert();
        let read = |path: &Path| match path == Paths::default().gretel_toml {
            true => Ok(converted.clone().into_bytes()),
            false => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let (again, _) = Config::load_with(&Paths::default(), b"gate", &read, &resolve)
            .unwrap_or_else(|said| panic!("{converted}\n{}", said.render()));
        assert_eq!(values(&config), values(&again), "{converted}");
        assert_eq!((&config.slots, &config.listen), (&again.slots, &again.listen), "{converted}");
        assert_eq!(config.options.mppe.required(), again.options.mppe.required());
        let shown = again.show();
        let parsed: Vec<&str> = shown.lines().filter(|line| line.contains("gretel.toml")).collect();
        assert!(!parsed.is_empty(), "{shown}");
    }
}

/// Configurations that pppd takes and Gretel refuses, for what it says then.
const REFUSED_HERE: [&str; 1] = ["radius"];

#[test]
fn what_pppd_takes_is_taken_here_and_what_it_refuses_is_told() {
    const PPPD: &str = "/usr/sbin/pppd";
    if !Path::new(PPPD).exists() {
        return eprintln!("skipped: {PPPD} is not installed");
    }
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let Some(options) = ["pptpd-options", "options.pptpd"]
            .map(|name| folder.join(name))
            .into_iter()
            .find(|path| path.exists())
        else {
            continue;
        };
        let output = Command::new(PPPD)
            .args(["nodetach", "notty", "dryrun", "noauth", "file"])
            .arg(&options)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // 2 is pppd's exit status for options that it does not take (pppd(8)).
        let takes = output.status.code() != Some(2);
        let said = fs::read_to_string(folder.join("expected")).unwrap();
        let told = said.lines().any(|line| {
            line.starts_with("/etc/ppp/") && line.contains("options") && line.contains(": error:")
        });
        let expected = !takes || REFUSED_HERE.contains(&name);
        assert_eq!(told, expected, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
