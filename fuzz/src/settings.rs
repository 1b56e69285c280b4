//! The configuration files: nothing that can be written in them harms their readers, and every diagnostic can be shown.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::path::Path;

use config::{Config, Diagnostics, Paths, Secrets};

/// Between the files in the fuzzer's bytes; no file of text holds it.
const SEPARATOR: u8 = 0xff;
/// Files that one configuration may have read, those that name themselves included.
const MAX_READS: u32 = 1000;

/// Takes `bytes` as `pptpd.conf`, pppd's options, the options file that is named in the first (and all that it names), and
/// `chap-secrets` and `gretel.toml`, with `0xff` between them.
pub fn config(bytes: &[u8]) {
    let mut files = bytes.splitn(5, |byte| *byte == SEPARATOR);
    let mut next = || files.next().unwrap_or_default();
    let (conf, system, named, secrets, own) = (next(), next(), next(), next(), next());
    load(conf, system, named, own);
    let (secrets, diagnostics) = Secrets::parse(Path::new("/chap-secrets"), secrets);
    check(&diagnostics);
    assert!(diagnostics.0.iter().all(|diagnostic| diagnostic.text.is_none()), "a secret is shown");
    if let Some(entry) = secrets.find(b"scott", b"pptpd") {
        assert!(secrets.knows_client(b"scott") || secrets.knows_client(b"*"));
        let suggested = Ipv4Addr::new(192, 168, 1, 50);
        if let Some(chosen) = entry.addresses.choose_address(suggested, 0) {
            assert!(!chosen.is_unspecified() && !chosen.is_loopback() && !chosen.is_multicast());
        }
    }
}

fn load(conf: &[u8], system: &[u8], named: &[u8], own: &[u8]) {
    let paths = Paths::default();
    let reads = Cell::new(0);
    let read = |path: &Path| {
        reads.set(reads.get() + 1);
        assert!(reads.get() < MAX_READS, "files that name each other are read for ever");
        if (path == paths.pptpd_conf && conf.is_empty())
            || (path == paths.gretel_toml && own.is_empty())
        {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        }
        Ok(match path {
            _ if path == paths.pptpd_conf => conf.to_vec(),
            _ if path == paths.ppp_options => system.to_vec(),
            _ if path == paths.gretel_toml => own.to_vec(),
            _ => named.to_vec(),
        })
    };
    match Config::load_with(&paths, b"gate", &read, &resolve) {
        Ok((config, diagnostics)) => {
            check(&diagnostics);
            assert!(!diagnostics.has_errors());
            for (local, remote) in &config.slots {
                assert_ne!(local, remote, "both ends have one address");
            }
            convert(&config);
        }
        Err(diagnostics) => {
            check(&diagnostics);
            assert!(diagnostics.has_errors(), "refused for no reason");
        }
    }
}

/// A converted configuration alone means the same.
fn convert(config: &Config) {
    let paths = Paths::default();
    let text = config.convert();
    let read = |path: &Path| match path == paths.gretel_toml {
        true => Ok(text.clone().into_bytes()),
        false => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    match Config::load_with(&paths, b"gate", &read, &resolve) {
        Ok((again, _)) => {
            assert_eq!((&config.slots, &config.listen), (&again.slots, &again.listen), "{text}");
            assert_eq!(config.auth, again.auth, "{text}");
            assert_eq!(config.options.mppe.required(), again.options.mppe.required(), "{text}");
        }
        Err(diagnostics) => panic!("{text}\n{}", diagnostics.render()),
    }
}

fn resolve(name: &str) -> Option<Ipv4Addr> {
    (name == "gate").then_some(Ipv4Addr::new(192, 168, 1, 1))
}

fn check(diagnostics: &Diagnostics) {
    for diagnostic in &diagnostics.0 {
        assert!(diagnostic.span.start <= diagnostic.span.end);
        let line = diagnostic.to_string();
        assert!(!line.is_empty());
        assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
    }
    let rendered = diagnostics.render();
    assert_eq!(rendered.is_empty(), diagnostics.0.is_empty());
    assert!(
        !rendered.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n')),
        "{rendered:?}"
    );
}
