//! Users who are known to the system (PAM).

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::{
    lab::{
        segment::INNER,
        server::{Files, wait_for_log},
        world::World,
    },
    workspace,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "with login the system's own passwords count",
        compared: true,
        run: |world| {
            let options = "require-pap\nnomppe\nlogin\n";
            let secrets = "anna pptpd \"\" *\n";
            with_accounts(world, &Files { options, secrets, ..Files::SHIPPED }, login)
        },
    },
    Scenario {
        name: "with enable-session the system's accounts must let a user in",
        compared: true,
        run: |world| {
            let options = "require-mschap-v2\nrequire-mppe-128\nenable-session\n";
            let secrets = "anna pptpd secret *\nbert pptpd secret *\n";
            with_accounts(world, &Files { options, secrets, ..Files::SHIPPED }, enable_session)
        },
    },
];

/// `turquoise`, as crypt(3) has it.
const HASH: &str = "$6$gretel$mTHjsa.mPm3XybOfOcAO8059nvRiZ5WagDO/XOzJbrNZ9albOa.IHyyLkt0HPsI9xNKlbuMSHsTKYSf6f9Ia.1";

/// Runs a scenario with a server whose system has accounts for `anna`, and for `bert` one that has expired. The mounts that gretel sees are
/// those of the lab when it starts; pptpd's guest has its own.
fn with_accounts(
    world: &mut World,
    files: &Files,
    run: fn(&mut World) -> Result<()>,
) -> Result<()> {
    let mount = format!(
        "cat /etc/passwd - >/run/passwd <<'END'
anna:x:4711:4711::/:/usr/sbin/nologin
bert:x:4712:4712::/:/usr/sbin/nologin
END
         cat /etc/shadow - >/run/shadow <<'END'
anna:{HASH}:19000:0:99999:7:::
bert:{HASH}:19000:0:99999:7::19001:
END
         for file in passwd shadow; do mount --bind /run/$file /etc/$file; done"
    );
    let umount = "umount --lazy /etc/passwd /etc/shadow";
    let is_gretel = world.server.name() == "gretel";
    let in_lab = |script: &str| workspace::run(Command::new("sh").args(["-ec", script]));
    if is_gretel {
        in_lab(&mount)?;
        world.serve(files)?;
    } else {
        world.serve(files)?;
        world.server.sh(&mount)?;
    }
    let result = run(world);
    if is_gretel {
        in_lab(umount)?;
    } else {
        world.server.sh(umount)?;
    }
    result
}

const PAP: &str = "refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap";
/// How long a log line may take to appear after the client knows.
const SOON: Duration = Duration::from_secs(5);

fn login(world: &mut World) -> Result<()> {
    world.make(["G-203", "G-207"]);
    world.call_as("anna", "beige", PAP)?.ensure_refused()?;
    world.call_as("anna", "turquoise", PAP)?.address()?;
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()
}

fn enable_session(world: &mut World) -> Result<()> {
    world.make(["G-207"]);
    world.call_as("bert", "secret", "require-mppe-128")?.ensure_refused()?;
    if world.server.name() == "gretel" {
        wait_for_log(&mut *world.server, "PAM: Authentication failure", SOON)?;
    }
    let call = world.call("require-mppe-128")?;
    ensure!(call.encryption() == "MPPE 128-bit stateless", "{}", call.log);
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()
}
