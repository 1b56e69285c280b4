//! Looking at sessions and ending them, over the admin sockets.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use super::{Scenario, faults::attempt};
use crate::{
    lab::{
        caller::Caller,
        server::{Files, wait_for_log},
        stranger::{Stranger, connect},
        world::World,
    },
    workspace::{self, output},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "gretel who shows a session, gretel kick ends it and gretel history keeps it",
        compared: false,
        run: who_and_kick,
    },
    Scenario {
        name: "who guesses passwords is locked out, gretel locks shows it and gretel unlock lifts it",
        compared: false,
        run: locks,
    },
    Scenario {
        name: "three thousand failing attempts fill neither log nor history, and their number is told",
        compared: false,
        run: flood,
    },
    Scenario {
        name: "gretel trail shows attempts step by step, from the history and while they happen",
        compared: false,
        run: trail,
    },
];

/// Runs `gretel` beside the server.
pub(super) fn gretel(world: &World, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(workspace::gretel());
    command.args(arguments).arg("--state-dir").arg(state_dir(world)).stdin(Stdio::null());
    output(&mut command)
}

fn state_dir(world: &World) -> impl AsRef<Path> + AsRef<std::ffi::OsStr> {
    world.segment.folder.join("gretel/state")
}

fn who_and_kick(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    let who = gretel(world, &["who"])?;
    ensure!(who.lines().count() == 2, "{who}");
    for shown in ["anna", "10.99.0.9:", "192.168.77.10"] {
        ensure!(who.contains(shown), "no {shown} in:\n{who}");
    }
    ensure!(gretel(world, &["kick", "bert"]).is_err(), "bert has no session");
    gretel(world, &["kick", "anna", "--reason", "lunch\nforged line"])?;
    wait_for_log(
        &mut *world.server,
        r"Ended by an administrator (lunch\nforged line)",
        Duration::from_secs(5),
    )?;
    wait_for_log(&mut *world.server, "G-610", Duration::from_secs(5))?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let who = gretel(world, &["who"])?;
        match who.lines().count() {
            1 => break,
            _ if Instant::now() < deadline => thread::sleep(Duration::from_millis(50)),
            _ => bail!("the session is still there:\n{who}"),
        }
    }
    caller.kill();
    let history = gretel(world, &["history", "anna"])?;
    ensure!(history.contains("G-610") && history.contains("10.99.0.9"), "{history}");
    world.server.stop()?;
    world.serve(&Files::SHIPPED)?;
    let later = gretel(world, &["history", "anna"])?;
    ensure!(later == history, "the history did not outlive the server:\n{later}");
    world.end_and_check()
}

/// The lock is the address's; another address goes on.
fn locks(world: &mut World) -> Result<()> {
    world.make(["G-203", "G-210"]);
    let toml = world.segment.folder.join("gretel/gretel.toml");
    fs::write(&toml, "[limits]\nlogin-failures = 3\n")?;
    let served = world.serve(&Files::SHIPPED);
    // Other scenarios do without it.
    fs::remove_file(&toml)?;
    served?;
    let guesser = Caller::new(world, "guesser", "10.99.0.66")?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let is_let_in = |from: &Caller, password| -> Result<bool> {
        let mut check = from.command(password, &["--check", "--no-tun"])?;
        Ok(check.stdin(Stdio::null()).output()?.status.success())
    };
    for _ in 0..3 {
        ensure!(!is_let_in(&guesser, "guess")?, "a wrong password is let in");
    }
    ensure!(!is_let_in(&guesser, "secret")?, "a locked address is let in");
    wait_for_log(&mut *world.server, "G-210", Duration::from_secs(5))?;
    ensure!(is_let_in(&caller, "secret")?, "another address is locked too");
    let locks = gretel(world, &["locks"])?;
    ensure!(locks.contains("address 10.99.0.66") && locks.lines().count() == 2, "{locks}");
    ensure!(gretel(world, &["unlock", "10.99.0.9"]).is_err(), "10.99.0.9 is not locked");
    gretel(world, &["unlock", "10.99.0.66"])?;
    ensure!(is_let_in(&guesser, "secret")?, "the lock is not lifted");
    world.end_and_check()
}

/// Attempts of one address that come to nothing.
const FLOOD: usize = 3000;
/// What they may add to the log in bytes, and to the history in rows: some twenty are told, and who connects is told always.
const MOST_LOG: usize = 32 << 10;
const MOST_ROWS: usize = 25;
/// By how many bytes the files of the history may grow.
const MOST_HISTORY: u64 = 512 << 10;

fn flood(world: &mut World) -> Result<()> {
    world.spare(&["10.99.0.66"]);
    let history = |world: &World| -> Result<u64> {
        let mut count = Command::new("sh");
        count.args(["-c", "cat \"$1\"/history* | wc -c", "sh"]).arg(state_dir(world));
        Ok(output(&mut count)?.trim().parse()?)
    };
    world.serve(&Files::SHIPPED)?;
    let log_before = world.server.log()?.len();
    let rows_before = gretel(world, &["history", "10.99.0.66"])?.lines().count();
    let bytes_before = history(world)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    Stranger::new(world, "stranger", "10.99.0.66")?.inside(|| {
        for _ in 0..FLOOD {
            drop(connect()?);
        }
        Ok(())
    })?;
    caller.connect()?;
    caller.disconnect()?;
    let untold = "failing attempts are not in the log, as they are too many";
    wait_for_log(&mut *world.server, untold, Duration::from_secs(15))?;
    let log = world.server.log()?.len() - log_before;
    let rows = gretel(world, &["history", "10.99.0.66"])?.lines().count() - rows_before;
    let bytes = history(world)?.saturating_sub(bytes_before);
    println!("     {FLOOD} attempts: {log} bytes of log, {rows} rows and {bytes} bytes of history");
    ensure!(log <= MOST_LOG && rows <= MOST_ROWS && bytes <= MOST_HISTORY, "that is too much");
    let shown = gretel(world, &["history", "anna"])?;
    ensure!(shown.contains("10.99.0.9"), "who got through is missing in\n{shown}");
    world.end_and_check()
}

fn trail(world: &mut World) -> Result<()> {
    world.make(["G-203"]);
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    let show = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(workspace::gretel());
        command.arg("trail").args(arguments).arg("--state-dir").arg(state_dir(world));
        let shown = command.stdin(Stdio::null()).output()?;
        Ok((shown.status.code(), String::from_utf8_lossy(&shown.stdout).into_owned()))
    };
    ensure!(show(&["nobody"])?.0 == Some(2), "nobody has tried");
    let mut follower = Command::new(workspace::gretel());
    follower.args(["trail", "anna", "--follow", "--state-dir"]).arg(state_dir(world));
    let follower = follower.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    // It must wait before there is something to wait for.
    thread::sleep(Duration::from_millis(500));
    attempt(&caller, "anna", "wrong")?;
    let followed = follower.wait_with_output()?;
    let followed = (followed.status.code(), String::from_utf8_lossy(&followed.stdout).into_owned());
    let shown = show(&["10.99.0.9"])?;
    for (status, text) in [&followed, &shown] {
        ensure!(*status == Some(1), "{status:?}:\n{text}");
        // It may come before or after our first question.
        ensure!(text.contains("first GRE packet came"), "{text}");
        in_order(
            text,
            &[
                "Control connection",
                "Start-Control-Connection-Request",
                "Call and GRE",
                "Link (LCP)",
                "LCP: asks for",
                "LCP is up",
                "Login",
                "wants in as anna by MS-CHAPv2",
                "refuses: ",
                "missing: a login",
                "\nG-203",
            ],
        )?;
    }
    caller.connect()?;
    let (status, text) = show(&["anna"])?;
    ensure!(status == Some(0), "{status:?}:\n{text}");
    in_order(
        &text,
        &[
            "lets the client in",
            "Encryption and addresses",
            "CCP: asks for",
            "MPPE 128-bit",
            "the interface is up",
        ],
    )?;
    ensure!(show(&["anna", "--earlier", "1"])?.1.contains("G-203"), "the one before it failed");
    caller.disconnect()?;
    world.end_and_check()
}

/// Whether these stand in a text, one behind the other.
fn in_order(text: &str, wanted: &[&str]) -> Result<()> {
    let mut rest = text;
    for words in wanted {
        match rest.split_once(words) {
            Some((_, after)) => rest = after,
            None => bail!("no {words:?} where it should be in:\n{text}"),
        }
    }
    Ok(())
}
