//! Captures and hostile inputs that lie beside the project. They are used where they are and never copied into it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// What is sent to a server, in order.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) messages: Vec<Vec<u8>>,
}

/// Where an [`Input`]'s messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On a control connection of its own.
    Tcp,
    /// GRE packets of a call; the call id is put in.
    Gre,
    /// PPP frames of a call.
    Ppp,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared")
}

/// The collected hostile inputs; none, with a message, where they are absent.
pub(crate) fn hostile() -> Result<Vec<Input>> {
    let Ok(text) = fs::read_to_string(folder().join("vectors/hostile.json")) else {
        println!("skipped: no ../shared/vectors/hostile.json");
        return Ok(Vec::new());
    };
    let values: Vec<Value> = serde_json::from_str(&text)?;
    let inputs = values.iter().map(input).collect::<Result<Vec<_>>>()?;
    ensure!(!inputs.is_empty(), "hostile.json holds no input");
    Ok(inputs)
}

/// What a fuzzer can start from beside its own corpus: whole messages of captures and hostile inputs. Only the parsers take those as they are.
pub(crate) fn seeds(target: &str) -> Result<Vec<Vec<u8>>> {
    let kind = match target {
        "control" => Kind::Tcp,
        "gre" => Kind::Gre,
        "ppp" => Kind::Ppp,
        _ => return Ok(Vec::new()),
    };
    let hostile = hostile()?.into_iter().filter(|input| input.kind == kind);
    let mut seeds: Vec<Vec<u8>> = hostile.flat_map(|input| input.messages).collect();
    let Ok(captures) = fs::read_dir(folder().join("captures/ordered")) else {
        println!("skipped: no captures in ../shared/captures/ordered");
        return Ok(seeds);
    };
    for capture in captures {
        let messages: Vec<Value> = serde_json::from_str(&fs::read_to_string(capture?.path())?)?;
        for message in &messages {
            let is_control = message["kind"] == "ctl";
            if (kind == Kind::Tcp && is_control) || (kind == Kind::Gre && !is_control) {
                seeds.push(unhex(message["hex"].as_str().context("hex: no text")?)?);
            }
        }
    }
    Ok(seeds)
}

fn input(value: &Value) -> Result<Input> {
    let text = |key: &str| value[key].as_str().with_context(|| format!("{key}: no text"));
    let kind = match text("kind")? {
        "tcp" => Kind::Tcp,
        "gre" => Kind::Gre,
        "ppp" => Kind::Ppp,
        other => bail!("an input of kind {other}"),
    };
    let messages = value["msgs"].as_array().context("msgs: no list")?;
    let messages = messages.iter().map(|message| unhex(message.as_str().unwrap_or_default()));
    Ok(Input { name: text("name")?.to_owned(), kind, messages: messages.collect::<Result<_>>()? })
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(text.len().is_multiple_of(2) && text.is_ascii(), "no hexadecimal bytes");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).context("no hexadecimal bytes"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_and_anything_else_is_refused() {
        assert_eq!(unhex("ff03").unwrap(), [0xff, 0x03]);
        assert!(unhex("ff0").is_err() && unhex("fg").is_err() && unhex("é").is_err());
    }
}
