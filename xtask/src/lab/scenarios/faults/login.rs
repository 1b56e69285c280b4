//! Logins, encryption and addresses.

use std::{fs, process::Command};

use anyhow::{Result, ensure};

use super::{ADDRESS, SOON, attempt, caller, fault, serve, stock, stock_on, told};
use crate::{
    lab::{
        caller::Caller,
        scenarios::Scenario,
        server::{Files, wait_for_log},
        stranger::{HandMadeCall, Stranger},
        world::World,
    },
    workspace,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    fault("fault G-201: the user is in no file", |world| {
        let files = Files { secrets: "bert pptpd secret *\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-201")
    }),
    fault("fault G-211: the user has another server's name", |world| {
        let files = Files { secrets: "anna l2tpd secret *\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-211")
    }),
    fault("fault G-202: the client puts a domain in front of its name", |world| {
        login(world, &Files::SHIPPED, "OFFICE\\anna", "secret", "G-202")
    }),
    fault("fault G-203: the password is wrong", |world| {
        login(world, &Files::SHIPPED, "anna", "wrong", "G-203")
    }),
    fault("fault G-212: the password has letters beyond ASCII", |world| {
        let files = Files { secrets: "anna pptpd geh\u{e4}us *\n", ..Files::SHIPPED };
        login(world, &files, "anna", "gehaus", "G-212")
    }),
    fault("fault G-207: the user may have no address here", |world| {
        let files = Files { secrets: "anna pptpd secret -\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-207")
    }),
    fault("fault G-213: the client knows only PAP", |world| {
        stock(world, "refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap", "G-213")
    }),
    fault("fault G-205: the client refuses every way to log in", |world| {
        stock(world, "refuse-pap refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap", "G-205")
    }),
    fault("fault G-206: a played client does not answer the challenge", |world| {
        let options = "require-mppe-128\nchap-restart 1\nchap-max-challenge 2\n";
        serve(world, &Files { options, ..Files::SHIPPED })?;
        let stranger = Stranger::new(world, "caller", ADDRESS)?;
        stranger.inside(|| {
            let mut call = HandMadeCall::place()?;
            call.open_lcp()?;
            while call.receive(SOON)?.is_some() {}
            Ok(())
        })?;
        told(world, ADDRESS, "G-206")
    }),
    fault("fault G-209: the caller's address may not call", |world| {
        let files =
            Files { options: "require-mppe-128\nallow-number 10.99.0.77\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-209")
    }),
    fault("fault G-208: the secret is a hash, and the client logs in by CHAP-MD5", |world| {
        let files = Files {
            options: "refuse-pap\nrequire-chap\nrefuse-mschap\nrefuse-mschap-v2\nnomppe\n",
            secrets: "anna pptpd {nt}8846F7EAEE8FB117AD06BDD830B7586C *\n",
            ..Files::SHIPPED
        };
        stock_on(world, &files, "", "G-208")
    }),
    fault("fault G-210: too many logins from one address have failed", |world| {
        world.make(["G-203"]);
        let toml = world.segment.folder.join("gretel/gretel.toml");
        fs::write(&toml, "[limits]\nlogin-failures = 1\n")?;
        let served = serve(world, &Files::SHIPPED);
        // Other scenarios do without it.
        fs::remove_file(&toml)?;
        served?;
        let guesser = Caller::new(world, "guesser", "10.99.0.66")?;
        attempt(&guesser, "anna", "wrong")?;
        attempt(&guesser, "anna", "secret")?;
        wait_for_log(&mut *world.server, "G-210: ", SOON)?;
        world.end_and_check()
    }),
    fault("fault G-214: the client demands a login of the server", |world| {
        stock(world, "require-mschap-v2 remotename anna", "G-214")
    }),
    fault("fault G-302: what the server sends comes back to it", |world| {
        serve(world, &Files::SHIPPED)?;
        let stranger = Stranger::new(world, "caller", ADDRESS)?;
        stranger.inside(|| {
            let mut call = HandMadeCall::place()?;
            while let Some(frame) = call.receive(std::time::Duration::from_secs(4))? {
                call.send_frame(&[&[0xff, 0x03], &frame[..]].concat())?;
            }
            Ok(())
        })?;
        told(world, ADDRESS, "G-302")
    }),
    fault("fault G-303: the client refuses encryption", |world| stock(world, "nomppe", "G-303")),
    fault("fault G-304: the client logs in by CHAP-MD5 where encryption is required", |world| {
        let options = "require-chap\nrequire-mschap-v2\nrequire-mppe-128\n";
        let files = Files { options, ..Files::SHIPPED };
        stock_on(world, &files, "refuse-mschap refuse-mschap-v2", "G-304")
    }),
    fault("fault G-305: the client encrypts with 40 bits only", |world| {
        stock(world, "require-mppe-40 nomppe-128", "G-305")
    }),
    fault("fault G-306: the client knows no CCP", |world| stock(world, "noccp", "G-306")),
    fault("fault G-307: the client requires encryption, and the server has none", |world| {
        let files = Files { options: "require-mschap-v2\nnomppe\n", ..Files::SHIPPED };
        stock_on(world, &files, "require-mppe-128", "G-307")
    }),
    fault("fault G-402: the client insists on an address of its own", |world| {
        stock(world, "require-mppe-128 192.168.5.5:", "G-402")
    }),
    fault("fault G-403: the client insists on another address for the server", |world| {
        stock(world, "require-mppe-128 :10.9.9.9", "G-403")
    }),
    fault("fault G-404: the client runs no network protocol", |world| {
        stock(world, "require-mppe-128 noip noipv6", "G-404")
    }),
    fault("fault G-404: the client runs none, and no encryption that would hold it up", |world| {
        let files = Files { options: "require-mschap-v2\nnomppe\n", ..Files::SHIPPED };
        stock_on(world, &files, "noip noipv6", "G-404")
    }),
    fault("fault G-401: every address is taken", |world| {
        serve(world, &Files { addresses: "192.168.77.100", ..Files::SHIPPED })?;
        let mut first = caller(world)?;
        first.connect()?;
        let second = Caller::new(world, "second", "10.99.0.10")?;
        attempt(&second, "anna", "secret")?;
        first.disconnect()?;
        told(world, "10.99.0.10", "G-401")
    }),
    fault("fault G-501: the session's interface cannot be made", |world| {
        let options = "require-mppe-128\nifname eth1\n";
        login(world, &Files { options, ..Files::SHIPPED }, "anna", "secret", "G-501")
    }),
    fault("fail2ban's filter finds failed logins with their addresses and nothing else", fail2ban),
];

fn login(world: &mut World, files: &Files, user: &str, password: &str, code: &str) -> Result<()> {
    serve(world, files)?;
    let caller = caller(world)?;
    attempt(&caller, user, password)?;
    told(world, ADDRESS, code)
}

/// A user's name can look like the line that the filter waits for.
fn fail2ban(world: &mut World) -> Result<()> {
    world.make(["G-201", "G-203"]);
    serve(world, &Files::SHIPPED)?;
    let mut caller = caller(world)?;
    attempt(&caller, "anna", "wrong")?;
    attempt(
        &caller,
        "x failed CHAP authentication (MS-CHAPv2 from 192.0.2.66: wrong password)",
        "x",
    )?;
    caller.connect()?;
    caller.disconnect()?;
    let log = world.server.log()?;
    let lines = log.lines().filter_map(|line| {
        let (_, text) = line.split_once(" pppd: ")?;
        let text = text.rsplit_once(" session=").map_or(text, |(text, _)| text);
        Some(format!("Nov 24 01:02:03 router pppd[99]: {text}\n"))
    });
    let file = world.segment.folder.join("fail2ban.log");
    fs::write(&file, lines.collect::<String>())?;
    // What it includes lies beside it, as where it is installed.
    let folder = &world.segment.folder;
    fs::copy("/etc/fail2ban/filter.d/common.conf", folder.join("common.conf"))?;
    let filter = folder.join("gretel.conf");
    fs::copy(workspace::root().join("packaging/fail2ban/gretel.conf"), &filter)?;
    let found =
        Command::new("fail2ban-regex").args(["--out", "ip"]).arg(&file).arg(filter).output()?;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    ensure!(
        found.lines().eq([ADDRESS, ADDRESS]),
        "found {found:?} in\n{}",
        fs::read_to_string(&file)?
    );
    world.end_and_check()
}
