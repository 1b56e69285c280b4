//! Test data that may or may not be there.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs;

use serde_json::Value;

/// One message of a capture: its frame number, whether it is of the control connection, its bytes.
pub struct Captured {
    pub frame: u64,
    pub is_control: bool,
    pub bytes: Vec<u8>,
}

/// The captures that have been put in order, by name. Empty, with a message, when they are not there.
pub fn captures() -> Vec<(String, Vec<Captured>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures/ordered");
    let Ok(entries) = fs::read_dir(folder) else {
        eprintln!("skipped: no captures in ../shared/captures/ordered");
        return Vec::new();
    };
    let captures: Vec<(String, Vec<Captured>)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, array(&fs::read_to_string(entry.path()).unwrap()).iter().map(captured).collect())
        })
        .collect();
    assert!(!captures.is_empty());
    captures
}

/// The published messages, by name. Empty, with a message, when they are not there.
pub fn vectors() -> Vec<(String, Vec<u8>)> {
    let lines = lines("vectors/control-and-gre.tsv");
    lines
        .lines()
        .map(|line| {
            let mut fields = line.split('\t').skip(1);
            (fields.next().unwrap().to_string(), hex(fields.next().unwrap()))
        })
        .collect()
}

/// Hostile inputs of one kind (`tcp`, `gre`, `ppp`), by name. Empty, with a message, when they are not there.
pub fn hostile(kind: &str) -> Vec<(String, Vec<Vec<u8>>)> {
    let text = lines("vectors/hostile.json");
    if text.is_empty() {
        return Vec::new();
    }
    array(&text)
        .iter()
        .filter(|input| input["kind"] == kind)
        .map(|input| {
            let messages = input["msgs"].as_array().unwrap();
            let messages = messages.iter().map(|message| hex(message.as_str().unwrap())).collect();
            (input["name"].as_str().unwrap().to_string(), messages)
        })
        .collect()
}

pub fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex: {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn lines(name: &str) -> String {
    let path = format!("{}/../../../shared/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap_or_else(|_| {
        eprintln!("skipped: no ../shared/{name}");
        String::new()
    })
}

fn array(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn captured(value: &Value) -> Captured {
    Captured {
        frame: value["frame"].as_u64().unwrap(),
        is_control: value["kind"] == "ctl",
        bytes: hex(value["hex"].as_str().unwrap()),
    }
}
