//! What the fuzzers run: one function for each target, which takes any bytes and panics when a promise is broken.
//!
//! A new target is a function here, a file of three lines in `fuzz_targets`, a `[[bin]]` in `Cargo.toml` and its seeds in
//! `tests/corpus.rs`. The functions need no fuzzer: `cargo test` replays every corpus on a stable compiler.
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo fuzz run control -- -max_total_time=20
//! GRETEL_WRITE_SEEDS=1 cargo test --manifest-path fuzz/Cargo.toml
//! ```

mod dhcp;
mod input;
mod link;
mod messages;
mod offload;
mod sequencer;
mod settings;

pub use dhcp::dhcp;
pub use link::link;
pub use messages::{control, gre, ppp};
pub use offload::{join, split};
pub use sequencer::sequencer;
pub use settings::config;
pub use sim::fuzz::{connection, data_path as datapath};

/// A target's function.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("control", control),
    ("gre", gre),
    ("sequencer", sequencer),
    ("dhcp", dhcp),
    ("ppp", ppp),
    ("connection", connection),
    ("link", link),
    ("datapath", datapath),
    ("config", config),
    ("split", split),
    ("join", join),
];
