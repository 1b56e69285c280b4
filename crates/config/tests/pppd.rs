//! The table of options beside Debian's pppd, where that is installed: it reads a file of each option and says which it knows.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const PPPD: &str = "/usr/sbin/pppd";
/// pppd's exit status for options that it does not take (pppd(8)).
const OPTION_ERROR: i32 = 2;

/// Whether pppd takes this options file, without doing anything else; what it says.
fn takes(options: &str) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(options.as_bytes()).unwrap();
    let output = Command::new(PPPD)
        .args(["nodetach", "notty", "dryrun", "noauth", "file"])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code() != Some(OPTION_ERROR), said)
}

#[test]
fn pppd_knows_the_options_of_the_table_with_the_arguments_that_it_says() {
    if !Path::new(PPPD).exists() {
        return eprintln!("skipped: {PPPD} is not installed");
    }
    let (mut known, mut unknown) = (0, Vec::new());
    for (name, argument) in config::option_names() {
        if matches!(
            name,
            "--version" | "--help" | "-h" | "-v" | "dryrun" | "plugin" | "file" | "call"
        ) {
            continue;
        }
        let value = argument.map(|what| sample(name, what)).unwrap_or_default();
        // An option with one argument more or less than the table says makes the second word one that pppd does not know, or none.
        let (taken, said) = takes(&format!("{name} {value}\nlock\n"));
        if said.contains("unrecognized option") {
            assert!(said.contains(&format!("'{name}'")), "{name}: {said}");
            unknown.push(name);
            continue;
        }
        let too_few = takes(&format!("{name}\n")).1.contains("too few parameters");
        assert_eq!(too_few, argument.is_some(), "{name} takes an argument: {too_few}");
        assert!(taken || is_refused_for_its_value(&said), "{name} {value}: {said}");
        known += 1;
    }
    assert!(known > 200, "{known} options are known to pppd; not {unknown:?}");
}

/// Texts of the program that could be an option's name, as they lie there.
fn words_of_the_program() -> BTreeSet<String> {
    let program = fs::read(PPPD).unwrap();
    let fits =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-+".contains(byte);
    program
        .split(|byte| *byte == 0)
        .filter(|word| (1..=28).contains(&word.len()) && word.iter().all(fits))
        .filter(|word| word.iter().any(u8::is_ascii_lowercase))
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

#[test]
fn the_table_has_every_option_that_pppd_knows() {
    if !Path::new(PPPD).exists() {
        return eprintln!("skipped: {PPPD} is not installed");
    }
    let table: BTreeSet<&str> = config::option_names().map(|(name, _)| name).collect();
    let words = words_of_the_program();
    assert!(words.contains("lcp-echo-interval") && words.contains("chapms-strip-domain"));
    for word in words.iter().filter(|word| !table.contains(word.as_str())) {
        // The name of a device is taken too.
        if Path::new("/dev").join(word).exists() {
            continue;
        }
        let (_, said) = takes(&format!("{word} 9\nlock\n"));
        assert!(said.contains(&format!("unrecognized option '{word}'")), "{word}: {said}");
    }
}

fn sample(name: &str, what: &str) -> &'static str {
    match (name, what) {
        ("ipv6", _) => "::1,::2",
        ("vj-max-slots", _) => "8",
        ("stop-bits", _) => "1",
        ("netmask", _) => "255.255.255.0",
        (_, "ADDRESS" | "ADDRESSES" | "MASK") => "192.0.2.1",
        (_, "NAME=VALUE" | "ATTRIBUTE=VALUE") => "A=b",
        (_, "FILTER") => "tcp",
        (_, "HEX" | "CHARACTERS") => "11",
        (_, "DISCRIMINATOR") => "local:1.2.3",
        (_, "FILE" | "DIR") => "/dev/null",
        (_, "BYTES") => "1400",
        (_, "BITS") => "12",
        (_, "NODES") => "1:2",
        (_, "GROUP") => "root",
        _ => "9",
    }
}

/// Complaints about values that have nothing to do with what an option takes: files that are not there.
fn is_refused_for_its_value(said: &str) -> bool {
    ["open", "unable to read"].iter().any(|complaint| said.contains(complaint))
}
