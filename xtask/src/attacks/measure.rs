//! A live session before an attack and during it.

use std::{
    env,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Attack, STRIKE};
use crate::lab::{Caller, Files, NEIGHBOUR, Stranger, World};

/// What the session moves each way, in Mbit/s.
const LOAD: u32 = 80;
/// Before the measurement begins the attack has had this long.
const WARM_UP: Duration = Duration::from_millis(700);
/// The least of its throughput that the session must keep.
const LEAST_KEPT: f64 = 0.9;
/// The most by which the server may grow, in KiB.
const MOST_GROWTH: u64 = 64 * 1024;
/// The longest that somebody new may take to get in.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// What an attack did.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Mbit/s of the session, both ways together.
    before: f64,
    during: f64,
    /// How long somebody new took to get in meanwhile; `None`: not at all.
    newcomer: Option<Duration>,
    /// By how much the server grew, in KiB.
    growth: u64,
    /// Processors that the server used, before and during.
    used: [f64; 2],
    /// What the attacker sent, a second.
    sent: f64,
}

impl Figures {
    pub(crate) const HEADINGS: &str = "| under | sent/s | Mbit/s before | during | kept | newcomer | server's growth | its processors before | during | |\n\
         |---|---|---|---|---|---|---|---|---|---|";

    /// A row of the table.
    pub(crate) fn row(&self, name: &str) -> String {
        let newcomer = self
            .newcomer
            .map_or("not let in".to_owned(), |time| format!("in after {} ms", time.as_millis()));
        format!(
            "| {name} | {:.0} | {:.1} | {:.1} | {:.0} % | {newcomer} | {} KiB | {:.2} | {:.2} | {} |",
            self.sent,
            self.before,
            self.during,
            self.kept() * 100.0,
            self.growth,
            self.used[0],
            self.used[1],
            self.trouble().unwrap_or("holds"),
        )
    }

    fn kept(&self) -> f64 {
        self.during / self.before
    }

    /// What is wrong, if something is.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        match self {
            _ if self.kept() < LEAST_KEPT => Some("the session lost throughput"),
            _ if self.growth > MOST_GROWTH => Some("the server grew"),
            Self { newcomer: Some(time), .. } if *time <= MOST_WAIT => None,
            _ => Some("nobody new got in"),
        }
    }
}

/// The server's files: no `debug`, which would log each frame of an attack, and room for calls.
const FILES: Files = Files {
    addresses: "192.168.77.100-199",
    secrets: "anna pptpd secret *\nbert pptpd secret *\nscott pptpd turquoise *\n",
    options: "refuse-pap\nrefuse-chap\nrefuse-mschap\nrequire-mschap-v2\nrequire-mppe-128\nmppe-stateful\n",
    ..Files::SHIPPED
};

/// Attacks a server for about `time` and measures a session of it. The server runs still.
pub(crate) fn measure(world: &mut World, attack: &Attack, time: Duration) -> Result<Figures> {
    let toml = world.segment.folder.join("gretel/gretel.toml");
    std::fs::write(&toml, "[server]\ndebug = false\n")?;
    let served = world.serve(&FILES);
    // Other scenarios do without it.
    std::fs::remove_file(&toml)?;
    served?;
    let stranger = Stranger::new(world, "stranger", "10.99.0.66")?;
    // Everybody in 10.96/16, and the client itself, as far as the attacker's kernel knows. It tells nobody so.
    stranger.sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1
         ip route add local 10.96.0.0/16 dev lo
         ip route add local 10.99.0.9/32 dev lo")?;
    world.server.sh("ip route replace 10.96.0.0/16 via 10.99.0.66")?;
    let figures = under(world, &stranger, attack, time);
    world.server.sh("ip route del 10.96.0.0/16 via 10.99.0.66")?;
    figures
}

fn under(
    world: &mut World,
    stranger: &Stranger,
    attack: &Attack,
    time: Duration,
) -> Result<Figures> {
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    let newcomer = Caller::new(world, "newcomer", "10.99.0.10")?;
    caller.connect()?;
    world.segment.measure()?;
    let (before, used_before) = throughput(world, &caller, time.min(Duration::from_secs(2)))?;
    let grown_from = resident(world)?;
    let lasts = WARM_UP + time + MOST_WAIT + Duration::from_secs(2);
    let mut strike = stranger
        .command("nice")
        .args(["-n", "10", "taskset", "-c", &last_processor()?.to_string()])
        .arg(env::current_exe()?)
        .args([STRIKE, attack.name, &lasts.as_millis().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the attacker")?;
    thread::sleep(WARM_UP);
    let measured = thread::scope(|scope| {
        let entering = scope.spawn(|| enter(&newcomer));
        let measured = throughput(world, &caller, time);
        let entered = entering.join().map_err(|_| anyhow::anyhow!("the newcomer panicked"))?;
        Ok::<_, anyhow::Error>((measured, entered))
    });
    let grown_to = resident(world);
    let still = strike.try_wait()?;
    strike.kill()?;
    let output = strike.wait_with_output()?;
    let (measured, entered) = measured?;
    if let Some(status) = still {
        bail!("the attacker gave up: {status}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let (during, used_during) = measured.context("the session did not survive")?;
    Ok(Figures {
        before,
        during,
        newcomer: entered,
        growth: grown_to?.saturating_sub(grown_from),
        used: [used_before, used_during],
        sent: rate(&String::from_utf8_lossy(&output.stdout))
            .context("the attacker sent nothing")?,
    })
}

/// What the attacker sent a second, by the last line of its progress.
fn rate(progress: &str) -> Option<f64> {
    let (millis, sent) = progress.lines().last()?.split_once(' ')?;
    Some(sent.parse::<f64>().ok()? * 1000.0 / millis.parse::<f64>().ok()?)
}

/// How long a client takes that was not there before; `None`: it does not get in.
fn enter(newcomer: &Caller) -> Option<Duration> {
    let begun = Instant::now();
    let mut check = newcomer.command_as("bert", "secret", &["--check", "--no-tun"]).ok()?;
    let output = check.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| begun.elapsed())
}

/// Mbit/s through the session, both ways together, and how many processors the server used meanwhile.
fn throughput(world: &World, caller: &Caller, time: Duration) -> Result<(f64, f64)> {
    let (begun, used) = (Instant::now(), used(world)?);
    let seconds = time.as_secs().max(1);
    let script = format!(
        "timeout {} iperf3 --client {NEIGHBOUR} --bidir --bitrate {LOAD}M --time {seconds} --json",
        seconds + 10
    );
    let result: Value = serde_json::from_str(&caller.namespace.sh(&script)?).context("iperf3")?;
    let used =
        self::used(world)?.saturating_sub(used).as_secs_f64() / begun.elapsed().as_secs_f64();
    let rate = |name: &str| {
        let bits = result.pointer(&format!("/end/{name}/bits_per_second")).and_then(Value::as_f64);
        bits.with_context(|| format!("iperf3 has no {name}: {result}"))
    };
    Ok(((rate("sum_received")? + rate("sum_received_bidir_reverse")?) / 1e6, used))
}

fn pid(world: &World) -> Result<u32> {
    world.server.pid().context("no server runs")
}

/// The server's resident memory, in KiB.
fn resident(world: &World) -> Result<u64> {
    let pid = pid(world)?;
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// The processor time that it has used.
fn used(world: &World) -> Result<Duration> {
    crate::bench::used(pid(world)?)
}

fn last_processor() -> Result<usize> {
    Ok(thread::available_parallelism()?.get() - 1)
}
