//! Baselines of a running server: set-up time and rate, throughput, memory of a session.
//!
//! Server and clients are `gretel` in namespaces of one machine, so that they share its processors. The server logs every
//! frame, as in the lab.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    lab::{Caller, Files, INNER, Kind, NEIGHBOUR, World, furnish, megabits},
    workspace,
};

/// How the benchmark names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-inside";

/// Clients, one after the other, for the set-up time.
const ONE_BY_ONE: usize = 21;
/// Client processes at a time, and how long, for the set-up rate.
const AT_A_TIME: usize = 8;
const RATE_TIME: Duration = Duration::from_secs(10);
/// Sessions that stay, for the memory.
const STAYING: usize = 60;

/// Builds gretel and measures; the table is printed and written to `target/lab/bench.md`.
pub(crate) fn run() -> Result<bool> {
    super::run_in_sandbox(INSIDE, &[])
}

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside() -> Result<bool> {
    furnish()?;
    let mut world = World::new(Kind::Gretel)?;
    world.serve(&Files { addresses: "192.168.77.100-199", ..Files::SHIPPED })?;
    let mut caller = Caller::new(&world, "caller", "10.99.0.9")?;
    let mut rows = vec![set_up_time(&caller)?, set_up_rate(&caller)?];
    rows.extend(throughput(&world, &mut caller)?);
    rows.push(memory(&mut world, &caller)?);
    let mut table = String::from("| what | figure |\n|---|---|\n");
    for (what, figure) in rows {
        table.push_str(&format!("| {what} | {figure} |\n"));
    }
    println!("\n{table}");
    fs::write(workspace::lab_directory().join("bench.md"), &table)?;
    Ok(true)
}

/// From the start of `gretel connect --check` to its last stage, which it prints itself.
fn set_up_time(caller: &Caller) -> Result<(String, String)> {
    let mut times = Vec::new();
    for _ in 0..ONE_BY_ONE {
        let output = caller.command("secret", &["--check", "--no-tun"])?.output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{text}");
        let last = text.lines().rfind(|line| line.contains("addresses")).context(text.clone())?;
        times.push(last.split_whitespace().next().context("no time")?.parse::<f64>()? * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    let figure = format!("{median:.0} ms (median of {ONE_BY_ONE}; {least:.0} to {most:.0})");
    Ok(("set-up, from TCP connect to IPCP open".into(), figure))
}

/// Sessions that separate client processes set up and leave, together.
fn set_up_rate(caller: &Caller) -> Result<(String, String)> {
    let start = Instant::now();
    let mut done = 0;
    let mut running = Vec::new();
    while start.elapsed() < RATE_TIME {
        while running.len() < AT_A_TIME {
            let mut command = caller.command("secret", &["--check", "--no-tun"])?;
            running.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        }
        let mut still = Vec::new();
        for mut child in running {
            match child.try_wait()? {
                Some(status) => {
                    ensure!(status.success(), "a client failed: {status}");
                    done += 1;
                }
                None => still.push(child),
            }
        }
        running = still;
        thread::sleep(Duration::from_millis(1));
    }
    let elapsed = start.elapsed().as_secs_f64();
    for mut child in running {
        child.wait()?;
    }
    let figure = format!("{:.0} a second", f64::from(done) / elapsed);
    Ok((format!("set-ups and tear-downs by {AT_A_TIME} client processes at a time"), figure))
}

fn throughput(world: &World, caller: &mut Caller) -> Result<Vec<(String, String)>> {
    caller.connect()?;
    let mut rows = Vec::new();
    let ping = caller.namespace.sh(&format!("ping -n -q -c 50 -i 0.02 {INNER} | tail -1"))?;
    rows.push(("ping through the tunnel".into(), ping.trim().replace("rtt ", "")));
    world.segment.measure()?;
    for streams in [1, 4] {
        for (way, option) in [("client to server", ""), ("server to client", "--reverse")] {
            let iperf = format!("timeout 30 iperf3 -c {NEIGHBOUR} -t 5 -P {streams} -f m {option}");
            let rate = megabits(&caller.namespace.sh(&iperf)?)?;
            rows.push((
                format!("TCP, {streams} streams, {way}, MPPE-128"),
                format!("{rate:.0} Mbit/s"),
            ));
        }
    }
    caller.disconnect()?;
    Ok(rows)
}

/// How much the server's resident memory grows with sessions that stay, each with an interface of its own.
fn memory(world: &mut World, caller: &Caller) -> Result<(String, String)> {
    let before = resident(world)?;
    let mut running = Vec::new();
    for _ in 0..STAYING {
        let mut command = caller.command("secret", &["--no-tun"])?;
        running.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let up = "ip -o link | grep -c ppp || true";
    while world.server.sh(up)?.trim() != STAYING.to_string() {
        ensure!(Instant::now() < deadline, "not all sessions came up");
        thread::sleep(Duration::from_millis(200));
    }
    let after = resident(world)?;
    for child in &mut running {
        child.kill()?;
        child.wait()?;
    }
    let each = after.saturating_sub(before) as f64 / STAYING as f64;
    Ok(("resident memory of the server for a session".into(), format!("{each:.1} KiB")))
}

/// The server's resident memory, in KiB.
fn resident(world: &mut World) -> Result<u64> {
    let text = world.server.sh("cat /proc/$(pgrep -x -f '.*gretel serve.*' | head -1)/status")?;
    let line = text.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}
