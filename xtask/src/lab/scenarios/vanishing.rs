//! Clients that go without a word, at every stage, and servers that end.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Scenario;
use crate::lab::{
    segment::{INNER, SERVER},
    server::{Files, wait_for_log},
    stranger::{call_request, start_request},
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a client that closes TCP at each stage before GRE leaves nothing",
        compared: true,
        run: closing_early,
    },
    Scenario {
        name: "a client whose processes are killed leaves nothing",
        compared: true,
        run: killed_client,
    },
    Scenario {
        name: "a client whose power is cut is noticed by echoes and leaves nothing",
        compared: true,
        run: power_cut,
    },
    Scenario {
        name: "a client whose GRE falls silent is noticed and leaves nothing",
        compared: true,
        run: silent_gre,
    },
    Scenario {
        name: "a client that says nothing delays nobody",
        compared: true,
        run: silent_client,
    },
    Scenario {
        name: "a server that gets SIGTERM ends the call properly and leaves nothing",
        compared: false,
        run: terminated_server,
    },
    Scenario {
        name: "a server that was killed clears up at its next start and serves again",
        compared: false,
        run: killed_server,
    },
];

/// How long lcp-echo-interval 1 and lcp-echo-failure 4 may take to end a session, and some.
const ECHOES: Duration = Duration::from_secs(20);

/// A shell script that sends bytes to the server and closes after `seconds`.
fn send(bytes: &[u8], seconds: f32) -> String {
    let text: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("exec 3<>/dev/tcp/{SERVER}/1723; printf '{text}' >&3; sleep {seconds}; exec 3>&-\n")
}

fn closing_early(world: &mut World) -> Result<()> {
    // After the call it is not said that GRE was missing: it was over too soon. Its system resets a connection whose answers nobody has read.
    world.make(["G-106", "G-109", "G-110", "G-111"]);
    world.serve(&Files::SHIPPED)?;
    let start = start_request();
    let call = [start.clone(), call_request()].concat();
    for bytes in [&[][..], &start[..1], &start[..9], &start, &call[..200], &call] {
        world.client()?.guest.sh(10, &send(bytes, 0.2))?;
    }
    world.check_released(ECHOES)?;
    world.call("require-mppe-128")?.address()?;
    world.end_and_check()
}

fn killed_client(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    world.call("require-mppe-128")?.address()?;
    world.client()?.guest.sh(10, "pkill -KILL -f '^(pppd|pptp)'")?;
    world.check_released(ECHOES)?;
    world.call("require-mppe-128")?.address()?;
    world.end_and_check()
}

fn power_cut(world: &mut World) -> Result<()> {
    world.make(["G-606"]);
    world.serve(&Files::SHIPPED)?;
    world.call("require-mppe-128")?.address()?;
    world.cut_clients_power();
    world.check_released(ECHOES)?;
    world.call("require-mppe-128")?.address()?;
    world.end_and_check()
}

fn silent_gre(world: &mut World) -> Result<()> {
    world.make(["G-606"]);
    world.serve(&Files::SHIPPED)?;
    world.call("require-mppe-128")?.address()?;
    // The relay between pppd and GRE stands still; TCP stays open.
    world.client()?.guest.sh(10, "pkill -STOP -f '^pptp'")?;
    let released = world.check_released(ECHOES);
    world.client()?.guest.sh(10, "pkill -KILL -f '^pptp'; true")?;
    released?;
    world.end_and_check()
}

/// pptpd is known to let a silent client hold all others up for stimeout, 10 s.
fn silent_client(world: &mut World) -> Result<()> {
    world.make(["G-109"]);
    world.serve(&Files::SHIPPED)?;
    let silent = format!("({}) >/dev/null 2>&1 &\nsleep 0.2", send(&[], 15.0));
    world.client()?.guest.sh(10, &silent)?;
    let call = world.call("require-mppe-128")?;
    call.address()?;
    if world.server.name() == "gretel" {
        ensure!(call.milliseconds < 5000, "{} ms to the tunnel", call.milliseconds);
    }
    world.end_and_check_in(Duration::from_secs(30))
}

fn terminated_server(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let call = world.call("require-mppe-128")?;
    call.address()?;
    world.server.stop()?;
    let log = world.client()?.guest.sh(
        10,
        "for try in $(seq 80); do [ -e /run/ppp.exit ] && break; sleep 0.05; done; cat /run/ppp.log",
    )?;
    ensure!(log.contains("rcvd [LCP TermReq"), "no Terminate-Request reached the client:\n{log}");
    world.check_released_without_server()
}

fn killed_server(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    world.call("require-mppe-128")?.address()?;
    world.server.kill()?;
    world.server.start(&Files::SHIPPED)?;
    world.check_released(ECHOES)?;
    wait_for_log(&mut *world.server, "MGR: Manager process started", ECHOES)?;
    world.call("require-mppe-128")?.address()?;
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()
}
