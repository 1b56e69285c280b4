//! Clients that must be turned away, each with one clear reason.

use std::{
    io::{Read, Write},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::{
    caller::Caller,
    client::Client,
    segment::SECOND_GUEST,
    server::{Files, wait_for_log},
    stranger::{Stranger, call_request, connect, start_request},
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a wrong password is refused and leaves nothing",
        compared: true,
        run: |world| {
            world.make(["G-203"]);
            refused(world, "anna", "wrong", "require-mppe-128", "failed CHAP authentication")
        },
    },
    Scenario {
        name: "a user who is not in the file is refused and leaves nothing",
        compared: true,
        run: |world| {
            world.make(["G-201"]);
            refused(
                world,
                "nobody",
                "secret",
                "require-mppe-128",
                "No CHAP secret found for authenticating",
            )
        },
    },
    Scenario {
        name: "a user with another server's name in the second column is refused",
        compared: true,
        run: |world| {
            world.make(["G-211"]);
            let files =
                Files { secrets: "anna l2tpd secret *\nbert pptpd other *\n", ..Files::SHIPPED };
            world.serve(&files)?;
            let call = world.call("require-mppe-128")?;
            call.ensure_refused()?;
            wait_for_log(&mut *world.server, "No CHAP secret found for authenticating", SOON)?;
            world.end_and_check()
        },
    },
    Scenario {
        name: "a client that refuses MPPE is turned away where it is required",
        compared: true,
        run: |world| {
            world.make(["G-303"]);
            refused(world, "anna", "secret", "nomppe", "MPPE required but peer")
        },
    },
    Scenario {
        name: "a client that knows only PAP is turned away where MS-CHAPv2 is required",
        compared: true,
        run: |world| {
            world.make(["G-213"]);
            world.serve(&Files::SHIPPED)?;
            let call = world.call("refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap")?;
            call.ensure_refused()?;
            world.end_and_check()
        },
    },
    Scenario {
        name: "a client that asks for an address it may not have gets another or none",
        compared: true,
        run: address_not_allowed,
    },
    Scenario {
        name: "the second of two clients is refused when there is one address",
        compared: true,
        run: no_free_address,
    },
    Scenario {
        name: "a call to a full server is refused with General Error and No-Resource, and a line in the log",
        compared: false,
        run: full,
    },
];

/// How long a log line may take to appear after the client knows.
const SOON: Duration = Duration::from_secs(5);

/// A call to a server with Debian's shipped options that fails, with `reason` in the server's log.
fn refused(
    world: &mut World,
    user: &str,
    password: &str,
    options: &str,
    reason: &str,
) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let call = world.call_as(user, password, options)?;
    call.ensure_refused()?;
    wait_for_log(&mut *world.server, reason, SOON)?;
    world.end_and_check()
}

fn address_not_allowed(world: &mut World) -> Result<()> {
    world.make(["G-402"]);
    let files = Files { secrets: "anna pptpd secret 192.168.77.50\n", ..Files::SHIPPED };
    world.serve(&files)?;
    let call = world.call("require-mppe-128 192.168.77.66:")?;
    let address = call.address.as_deref();
    ensure!(address.is_none() || address == Some("192.168.77.50"), "{}", call.log);
    world.end_and_check()
}

fn no_free_address(world: &mut World) -> Result<()> {
    world.make(["G-401"]);
    let files = Files { addresses: "192.168.77.100", ..Files::SHIPPED };
    world.serve(&files)?;
    world.call("require-mppe-128")?.address()?;
    {
        let mut second = Client::new("second", &world.segment, &SECOND_GUEST)?;
        let call = second.call("anna", "secret", "require-mppe-128")?;
        world.note("the second client's exit", &format!("{:?}", call.exit));
        call.ensure_refused()?;
    }
    // pptpd says so when its last slot is taken, and nothing when a call comes then: its child ends in silence.
    let told = wait_for_log(&mut *world.server, "no more clients can connect", SOON);
    world.note("the refusal in the log", if told.is_ok() { "yes" } else { "nothing" });
    if world.server.name() == "gretel" {
        told?;
    }
    world.client()?.ping_all_sizes(crate::lab::segment::INNER)?;
    world.end_and_check()?;
    // The address is free again.
    let call = world.call("require-mppe-128")?;
    ensure!(call.address()? == "192.168.77.100", "{:?}", call.address);
    world.end_and_check()
}

fn full(world: &mut World) -> Result<()> {
    world.make(["G-401"]);
    world.serve(&Files { addresses: "192.168.77.100", ..Files::SHIPPED })?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    let stranger = Stranger::new(world, "stranger", "10.99.0.66")?;
    let reply = stranger.inside(|| {
        let mut control = connect()?;
        control.write_all(&start_request())?;
        control.read_exact(&mut [0; 156]).context("no Start-Control-Connection-Reply")?;
        let mut replies = Vec::new();
        // The second shows that the control connection has outlived the refusal.
        for _ in 0..2 {
            control.write_all(&call_request())?;
            let mut reply = [0; 32];
            control.read_exact(&mut reply).context("no Outgoing-Call-Reply")?;
            replies.push(reply);
        }
        Ok(replies)
    })?;
    for reply in reply {
        // RFC 2637 §2.8: control message type, the peer's call id, result 2 (General Error), error 4 (No-Resource, §2.16).
        ensure!(reply[8..10] == [0, 8], "{reply:?}");
        ensure!(reply[14..16] == [0, 7] && reply[16..18] == [2, 4], "{reply:?}");
    }
    let told = "MGR: No free connection slots or IPs - no more clients can connect! Call from 10.99.0.66 refused";
    wait_for_log(&mut *world.server, told, SOON)?;
    caller.ping(crate::lab::segment::INNER, 1372, 3)?;
    caller.disconnect()?;
    world.end_and_check()
}
