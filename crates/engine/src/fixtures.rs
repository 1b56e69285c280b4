//! Captured messages of real peers and collected hostile inputs, which tests read when they are there.

use std::string::{String, ToString};
use std::vec::Vec;
use std::{eprintln, format, fs};

use serde_json::Value;

/// One message of a capture.
pub(crate) struct Captured {
    /// Frame number in the capture.
    pub(crate) frame: u64,
    pub(crate) from_client: bool,
    /// On the control connection; otherwise a GRE packet.
    pub(crate) is_control: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A hostile input: messages in order.
pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) expect: String,
}

/// The captures that have been put in order, by name. Empty, with a message, when they are not there.
pub(crate) fn captures() -> Vec<(String, Vec<Captured>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures/ordered");
    let Ok(entries) = fs::read_dir(folder) else {
        eprintln!("skipped: no captures in ../shared/captures/ordered");
        return Vec::new();
    };
    let mut captures: Vec<(String, Vec<Captured>)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let values = parse(&fs::read_to_string(entry.path()).unwrap());
            (name, values.iter().map(captured).collect())
        })
        .collect();
    captures.sort_by(|(one, _), (other, _)| one.cmp(other));
    captures
}

/// The hostile inputs of one kind: `tcp`, `gre` or `ppp`. Empty, with a message, when they are not there.
pub(crate) fn hostile(kind: &str) -> Vec<Hostile> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/hostile.json");
    let Ok(text) = fs::read_to_string(path) else {
        eprintln!("skipped: no ../shared/vectors/hostile.json");
        return Vec::new();
    };
    let inputs: Vec<Hostile> = parse(&text).iter().map(hostile_input).collect();
    let inputs: Vec<Hostile> = inputs.into_iter().filter(|input| input.kind == kind).collect();
    assert!(!inputs.is_empty());
    inputs
}

fn parse(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn captured(value: &Value) -> Captured {
    Captured {
        frame: value["frame"].as_u64().unwrap(),
        from_client: value["dir"] == "c2s",
        is_control: value["kind"] == "ctl",
        bytes: hex(value["hex"].as_str().unwrap()),
    }
}

fn hostile_input(value: &Value) -> Hostile {
    let text = |key: &str| value[key].as_str().unwrap().to_string();
    let messages = value["msgs"].as_array().unwrap();
    Hostile {
        name: text("name"),
        kind: text("kind"),
        messages: messages.iter().map(|message| hex(message.as_str().unwrap())).collect(),
        expect: text("expect"),
    }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{}", format!("odd hex: {text}"));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
