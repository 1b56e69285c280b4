//! The attacks, and what all of them need.

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use sys::raw::{GreSocket, SendBatch};

use super::{control, gre, session, tunnel};

/// The longest packet that is sent in one piece of a batch.
const PACKET_LEN: usize = 2048;

/// How often progress is printed.
const PROGRESS: Duration = Duration::from_millis(200);

/// The attacker's own address on the wan.
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 66);
/// Whose session is measured.
pub(super) const VICTIM: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 9);

/// What an attack is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The control connection.
    Control,
    /// The raw socket, by who has no call.
    Gre,
    /// The link, by who has a call and no password.
    Session,
    /// The packet path, by who has a password.
    Tunnel,
}

/// One attack.
pub(crate) struct Attack {
    pub(super) target: Target,
    /// What it is, as in "under …".
    pub(crate) name: &'static str,
    /// So many of its things a second: connections, bytes, packets.
    rate: u32,
    run: fn(&mut Strike) -> Result<()>,
}

/// All of them.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        target: Target::Control,
        name: "connections that say nothing",
        rate: 500,
        run: control::say_nothing,
    },
    Attack {
        target: Target::Control,
        name: "connections that stop after their start",
        rate: 500,
        run: control::only_start,
    },
    Attack {
        target: Target::Control,
        name: "calls that stay half open",
        rate: 200,
        run: control::only_call,
    },
    Attack {
        target: Target::Control,
        name: "senders of a byte a second",
        rate: 1000,
        run: control::slow_senders,
    },
    Attack {
        target: Target::Control,
        name: "connections that come and go",
        rate: 500,
        run: control::churn,
    },
    Attack {
        target: Target::Session,
        name: "guessed passwords",
        rate: 50,
        run: session::brute_force,
    },
    Attack {
        target: Target::Gre,
        name: "GRE with random call ids",
        rate: 30_000,
        run: gre::random_calls,
    },
    Attack {
        target: Target::Gre,
        name: "GRE from forged addresses",
        rate: 30_000,
        run: gre::forged_sources,
    },
    Attack {
        target: Target::Gre,
        name: "GRE from the client's own address",
        rate: 30_000,
        run: gre::victims_address,
    },
    Attack {
        target: Target::Gre,
        name: "GRE in fragments without an end",
        rate: 20_000,
        run: gre::fragments,
    },
    Attack { target: Target::Gre, name: "GRE of 60,000 bytes", rate: 500, run: gre::oversize },
    Attack {
        target: Target::Session,
        name: "an LCP echo flood",
        rate: 20_000,
        run: session::echoes,
    },
    Attack {
        target: Target::Session,
        name: "Configure-Requests full of options",
        rate: 10_000,
        run: session::option_bombs,
    },
    Attack {
        target: Target::Session,
        name: "endless Configure-Naks",
        rate: 10_000,
        run: session::endless_naks,
    },
    Attack {
        target: Target::Tunnel,
        name: "jumps of the sequence number",
        rate: 20_000,
        run: tunnel::jumps,
    },
    Attack {
        target: Target::Tunnel,
        name: "forged coherency counts",
        rate: 20_000,
        run: tunnel::forged_counts,
    },
    Attack {
        target: Target::Tunnel,
        name: "Reset-Requests of stateful MPPE",
        rate: 20_000,
        run: tunnel::resets,
    },
    Attack {
        target: Target::Tunnel,
        name: "forged sources in the tunnel",
        rate: 20_000,
        run: tunnel::spoofed_sources,
    },
    Attack {
        target: Target::Tunnel,
        name: "a broadcast storm in the tunnel",
        rate: 20_000,
        run: tunnel::broadcasts,
    },
];

impl Attack {
    /// Carries it out for this time, in the namespace of the caller.
    pub(super) fn run(&self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut strike = Strike {
            begun,
            until: begun + time,
            rate: self.rate,
            sent: 0,
            missed: 0,
            // Attacks repeat exactly.
            random: 0x9e37_79b9_7f4a_7c15,
            told: begun,
        };
        (self.run)(&mut strike)
    }
}

/// An attack that is being carried out.
pub(super) struct Strike {
    begun: Instant,
    until: Instant,
    rate: u32,
    sent: u64,
    /// What could not be sent in its time.
    missed: u64,
    random: u64,
    /// When its progress was last printed.
    told: Instant,
}

impl Strike {
    /// How many things may be sent now to keep the rate, some at least; waits for them. `None`: the attack is over.
    pub(super) fn due(&mut self) -> Option<u64> {
        loop {
            let now = Instant::now();
            if now >= self.until {
                return None;
            }
            if now - self.told >= PROGRESS {
                self.told = now;
                println!("{} {}", self.begun.elapsed().as_millis(), self.sent);
            }
            let elapsed = (now - self.begun).as_secs_f64();
            let due = (elapsed * f64::from(self.rate)) as u64 - self.sent - self.missed;
            if due > 0 {
                // What could not be sent in its time is not made up for: that would be a burst.
                let may = due.min(u64::from(self.rate / 100).max(1));
                self.missed += due - may;
                self.sent += may;
                return Some(may);
            }
            thread::sleep(Duration::from_micros(500));
        }
    }

    /// The next of a fixed sequence of numbers (xorshift64).
    pub(super) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// One of the addresses that are routed to the attacker's namespace.
    pub(super) fn some_source(&mut self) -> Ipv4Addr {
        let [_, _, c, d, ..] = self.random().to_be_bytes();
        Ipv4Addr::new(10, 96, c, d)
    }
}

/// A raw socket and what leaves by it.
pub(super) struct Gun {
    pub(super) socket: GreSocket,
    batch: SendBatch,
}

impl Gun {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { socket: GreSocket::open()?, batch: SendBatch::new(PACKET_LEN) })
    }

    /// Sends a GRE packet, from its flags on, to the server. Packets that a full queue refuses are lost, as on any network.
    pub(super) fn fire(&mut self, packet: &[u8], from: Ipv4Addr) {
        if self.batch.is_full() {
            self.flush();
        }
        self.batch.push_copy(packet, super::gre::SERVER_ADDRESS, from, 0);
    }

    pub(super) fn flush(&mut self) {
        self.batch.flush(&self.socket, |_| {});
    }
}
