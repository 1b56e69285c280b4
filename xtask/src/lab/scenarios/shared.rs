//! Sessions that share an interface (`mode = "shared"`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::{
    caller::Caller,
    client::megabits,
    segment::{INNER, NEIGHBOUR},
    server::{Files, wait_for_log},
    world::World,
};

/// Scenarios of other lists that every run of the lab has with a shared interface too.
pub(super) const ALSO: &[&str] = &[
    "gretel connect moves traffic both ways in whole packets of every size",
    "ten clients of one server reach it at the same time",
    "a client with 128-bit stateless MPPE moves traffic both ways",
    "a user with an address in chap-secrets gets it",
    super::addresses::POOLS,
    "with delegate a client has the address of its own line, and none without",
    "with bcrelay broadcasts pass between the lan and the clients",
    "a server that was killed clears up at its next start and serves again",
    "as a user of its own the server does what it does as root, and no thread is root's",
    "gretel capture of one client has its packets outside and inside, and nobody else's",
];

/// Scenarios to which a shared interface does not apply, and why. Those of the package are left out beside these: they bring a whole host's files.
const APPLIES_NOT: &[(&str, &str)] = &[
    ("IPv6 link-local addresses reach each other through the tunnel", "IPv6 is not negotiated"),
    (
        "unit, allow-ip and ipv6 give a session its number and addresses",
        "a session has no interface to number",
    ),
    ("fault G-501: the session's interface cannot be made", "a session makes none"),
    (
        "an interface that somebody removes ends its session and no other",
        "it is everybody's: the server ends, which has a scenario of its own",
    ),
    (
        "last shows the user with the client's address, and files the process",
        "lines of wtmp have the client's address where they have an interface otherwise",
    ),
    (
        "when the clock jumps sessions, locks and the lengths of things stay as they are",
        "the guest's server has files of its own",
    ),
    ("serve --quickstart needs no file, reaches the lan and undoes what it changed", OWN_FILES),
    ("called as pptpd it is a daemon with pptpd's command line and files", OWN_FILES),
    ("a server with broken files does not start, and says where they are broken", OWN_FILES),
    (super::flags::NAME, OWN_FILES),
];
const OWN_FILES: &str = "it is about a server with files of its own";

/// Whether the scenario of this name has nothing to say about a shared interface.
pub(super) fn applies_not(name: &str) -> bool {
    APPLIES_NOT.iter().any(|(other, _)| *other == name)
}

/// Those that are about it.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "two clients reach each other and the lan, each packet from its worker's queue",
        compared: false,
        run: |world| two_clients(world, &Files::SHIPPED, "32 queues, steered by address"),
    },
    Scenario {
        name: "two clients reach each other and the lan without a steering program",
        compared: false,
        run: |world| {
            // Nobody without these may load one.
            let within = &["setpriv", "--bounding-set", "-sys_admin,-bpf"];
            let files = Files { within, ..Files::SHIPPED };
            two_clients(world, &files, "hand packets over: no steering program")
        },
    },
    Scenario {
        name: "when somebody removes the interface the server ends, and the next one serves again",
        compared: false,
        run: removed,
    },
    Scenario {
        name: "a client that comes back meanwhile has its own address again",
        compared: false,
        run: coming_back,
    },
];

const SOON: Duration = Duration::from_secs(5);
const ROUTE: [&str; 2] = ["--route", "192.168.77.0/24"];

fn two_clients(world: &mut World, files: &Files, said: &str) -> Result<()> {
    world.carry(world.carrying.clone().with_workers(2));
    world.serve(files)?;
    wait_for_log(&mut *world.server, said, SOON)?;
    let mut one = Caller::new(world, "one", "10.99.0.9")?;
    one.connect()?;
    let mut two = Caller::new(world, "two", "10.99.0.10")?;
    two.connect()?;
    let links = world.server.sh("ip -o link")?;
    ensure!(links.contains("ppp0") && !links.contains("ppp1"), "{links}");
    let addresses = ["192.168.77.100", "192.168.77.101"];
    one.ping(addresses[1], 1372, 5)?;
    two.ping(addresses[0], 1372, 5)?;
    world.segment.measure()?;
    for address in addresses {
        let ping = format!("ping -n -q -c 3 -i 0.1 -W 1 {address}");
        world.segment.neighbour.sh(&ping).context("the neighbour does not find a client")?;
    }
    for option in ["", "--reverse"] {
        let iperf = format!("timeout 20 iperf3 -c {NEIGHBOUR} -t 2 -f m {option}");
        let rate = megabits(&two.namespace.sh(&iperf)?)?;
        ensure!(rate > 0.5, "{rate} Mbit/s {option}");
    }
    one.ping(INNER, 1372, 3)?;
    one.disconnect()?;
    two.ping(INNER, 1372, 3)?;
    two.disconnect()?;
    world.end_and_check()
}

fn removed(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    world.server.sh("ip link del ppp0")?;
    // The service manager's part.
    let ended = world.server.stop().err().context("the server does not end with an error")?;
    ensure!(!ended.to_string().contains("does not end"), "{ended}");
    caller.kill();
    world.serve(&Files::SHIPPED)?;
    caller.connect()?;
    caller.disconnect()?;
    world.end_and_check()
}

fn coming_back(world: &mut World) -> Result<()> {
    let secrets = "anna pptpd secret 192.168.77.50\nbert pptpd secret *\n";
    world.serve(&Files { secrets, ..Files::SHIPPED })?;
    let mut bert = Caller::new(world, "bert", "10.99.0.10")?;
    bert.connect_as("bert", "secret", &ROUTE, INNER)?;
    let mut anna = Caller::new(world, "anna", "10.99.0.9")?;
    for _ in 0..4 {
        anna.connect()?;
        anna.ping(NEIGHBOUR, 1372, 2)?;
        bert.ping("192.168.77.50", 1372, 2)?;
        let neighbour = &world.segment.neighbour;
        neighbour.sh("ping -n -q -c 2 -i 0.1 -W 1 192.168.77.50")?;
        // Without a word: the old session is up when the new one takes over.
        anna.kill();
    }
    anna.connect()?;
    let routes = world.server.sh("ip route show dev ppp0")?;
    ensure!(routes.matches("192.168.77.50").count() == 1, "{routes}");
    anna.disconnect()?;
    bert.disconnect()?;
    world.end_and_check()
}

#[cfg(test)]
mod tests {
    use crate::lab::{Kind, scenarios};

    use super::{ALSO, APPLIES_NOT};

    #[test]
    fn the_scenarios_that_hold_too_are_there() {
        let shared = |name: &str| {
            scenarios::all().any(|(kind, one)| kind == Kind::Shared && one.name == name)
        };
        for name in ALSO {
            assert!(shared(name), "{name:?} is the name of no scenario");
        }
        for (name, why) in APPLIES_NOT {
            let is_there = scenarios::all().any(|(_, one)| one.name == *name);
            assert!(is_there, "{name:?} is the name of no scenario ({why})");
        }
    }
}
