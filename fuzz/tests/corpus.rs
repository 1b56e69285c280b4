//! Every corpus against its target, without a fuzzer; and the seeds, which the project's own writers make.

mod seeds;

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

#[test]
fn every_corpus_runs_without_a_broken_promise() {
    for (name, target) in TARGETS {
        let files = files(&folder("corpus", name));
        assert!(!files.is_empty(), "{name} has no corpus");
        // Inputs that once broke a promise, when a fuzzer has left some here.
        for file in files.into_iter().chain(self::files(&folder("artifacts", name))) {
            // Shown by the test command when the target panics.
            eprintln!("{}", file.display());
            target(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn the_seeds_in_the_corpora_are_what_the_project_writes() {
    let is_writing = std::env::var_os("GRETEL_WRITE_SEEDS").is_some();
    for (name, _) in TARGETS {
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for (label, bytes) in seeds {
            let path = folder("corpus", name).join(format!("seed-{label}"));
            if is_writing {
                fs::create_dir_all(folder("corpus", name)).unwrap();
                fs::write(&path, bytes).unwrap();
            } else {
                let written = fs::read(&path).unwrap_or_default();
                assert_eq!(written, bytes, "{}: run with GRETEL_WRITE_SEEDS=1", path.display());
            }
        }
    }
}

#[test]
fn random_bytes_break_no_promise() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as u8
    };
    for (_, target) in TARGETS {
        for _ in 0..300 {
            let length = usize::from(byte()) * 4;
            let bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
            target(&bytes);
        }
    }
}

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
