//! A live session while the server is attacked: the short form of `cargo xtask attacks`.

use super::Scenario;
use crate::attacks::{Target, withstand};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a live session keeps its throughput under attacks on the control connection",
        compared: false,
        run: |world| withstand(world, Target::Control),
    },
    Scenario {
        name: "a live session keeps its throughput under floods of GRE",
        compared: false,
        run: |world| withstand(world, Target::Gre),
    },
    Scenario {
        name: "a live session keeps its throughput under attacks of callers without a password",
        compared: false,
        run: |world| withstand(world, Target::Session),
    },
    Scenario {
        name: "a live session keeps its throughput under attacks out of a tunnel",
        compared: false,
        run: |world| withstand(world, Target::Tunnel),
    },
];
