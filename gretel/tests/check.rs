//! `gretel check` and `gretel config` as scripts call them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `gretel check` on files in a folder of their own.
fn check(options: &str, flags: &[&str]) -> Output {
    gretel(&["check"], options, flags)
}

/// Runs a command that reads files on some in a folder of their own.
fn gretel(command: &[&str], options: &str, flags: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let conf =
        format!("option {}\nlocalip 198.51.100.1\nremoteip 198.51.100.2-9\n", file("options"));
    fs::write(file("pptpd.conf"), conf).unwrap();
    fs::write(file("options"), options).unwrap();
    fs::write(file("chap-secrets"), "scott pptpd turquoise *\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(Path::new(&file("chap-secrets")), mode).unwrap();
    Command::new(env!("CARGO_BIN_EXE_gretel"))
        .args(command)
        .args(["--pptpd-conf", &file("pptpd.conf"), "--ppp-options", &file("none")])
        .args(["--chap-secrets", &file("chap-secrets"), "--gretel-toml", &file("gretel.toml")])
        .args(flags)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_good_configuration_is_fine_and_each_line_is_explained() {
    let output = check("name pptpd\nrequire-mschap-v2\nrequire-mppe-128\nnologfd\n", &["--strict"]);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("require-mppe-128") && text.contains("MPPE 128 required"), "{text}");
    assert!(text.contains("4  nologfd") && text.contains("harmless"), "{text}");
    assert!(text.contains("users          1") && text.ends_with("fine: 0 errors, 0 warnings\n"));
    assert!(!text.contains("turquoise"));
}

#[test]
fn an_error_has_its_caret_and_its_remedy_and_the_status_1() {
    let output = check("name pptpd\nrequire-mschap-v2\nrequier-mppe-128\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    assert!(text.contains("options:3:1") && text.contains("^^^^^^^^^^^^^^^^"), "{text}");
    assert!(text.contains("did you mean require-mppe-128?"), "{text}");
}

#[test]
fn what_is_unsafe_is_a_warning_and_strict_takes_it_for_an_error() {
    let options = "name pptpd\nrequire-pap\nrequire-mschap\n";
    assert!(check(options, &[]).status.success());
    assert_eq!(check(options, &["--strict"]).status.code(), Some(1));
    let text = text(&check(options, &[]));
    assert!(text.contains("PAP is allowed") && text.contains("MS-CHAP (version 1)"), "{text}");
}

#[test]
fn json_says_the_same() {
    let output = check("name pptpd\nrequire-mschap-v2\nmtuu 1400\n", &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["good"], &value["sessions"]), (&false.into(), &8.into()));
    let found = value["diagnostics"].as_array().unwrap();
    let error = found.iter().find(|found| found["severity"] == "error").unwrap();
    assert_eq!((&error["line"], &error["column"]), (&3.into(), &1.into()));
    assert!(error["remedy"].as_str().unwrap().contains("mtu"));
    let lines = value["lines"].as_array().unwrap();
    assert!(
        lines.iter().any(|line| line["name"] == "require-mschap-v2" && line["class"] == "honoured")
    );
}

#[test]
fn the_configuration_is_shown_and_converted_with_its_sources() {
    let options = "name pptpd\nrequire-mschap-v2\nidle 600\nlock\n";
    let shown = text(&gretel(&["config", "show"], options, &[]));
    let idle = shown.lines().find(|line| line.starts_with("idle = 600")).unwrap();
    assert!(idle.ends_with("options:3 idle 600"), "{shown}");
    let converted = text(&gretel(&["config", "convert"], options, &[]));
    assert!(converted.contains("[session]") && converted.contains("idle = 600"), "{converted}");
    assert!(converted.contains("options:4 lock: harmless"), "{converted}");
    let output = gretel(&["config", "convert"], "nonsense\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}

#[test]
fn options_of_pptpd_count_as_they_do_for_pptpd() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    fs::write(file("conf"), "localip 198.51.100.1\nremoteip 198.51.100.2-9\n").unwrap();
    fs::write(file("options"), "require-mschap-v2\nno-such-option\n").unwrap();
    let run = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gretel"));
        let output = command.args(["check", "--"]).args(options).output().unwrap();
        (output.status.code(), text(&output), String::from_utf8(output.stderr).unwrap())
    };
    let conf = file("conf");
    let (_, said, _) = run(&["--debug", "-c", &conf, "-C", "3"]);
    assert!(said.contains("sessions       3: 198.51.100.1 here"), "{said}");
    let (status, said, _) = run(&["--conf", &conf, "--option", &file("options")]);
    assert_eq!(status, Some(1));
    assert!(said.contains("no-such-option"), "{said}");
    let (status, _, said) = run(&["--no-such-flag"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("--no-such-flag"), "{said}");
}
