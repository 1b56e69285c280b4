//! A live session before an attack and during it.

use std::{
    env, fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Attack, STRIKE};
use crate::bench::performance::median;
use crate::lab::{Caller, Files, NEIGHBOUR, Stranger, World};

/// What the session moves each way, in Mbit/s.
const LOAD: u32 = 80;
/// The least that it moves in all where nothing disturbs it.
const LEAST_LOAD: f64 = 2.0 * LOAD as f64 * LEAST_KEPT;
/// Before the measurement begins the attack has had this long.
const WARM_UP: Duration = Duration::from_millis(700);
/// What the attacker goes on beyond that.
const SLACK: Duration = Duration::from_secs(4);
/// The least of its throughput that the session must keep.
const LEAST_KEPT: f64 = 0.9;
/// Windows that may be thrown away for each that counts, as the machine did other things.
const PATIENCE: usize = 3;
/// The most by which the server may grow, in KiB.
const MOST_GROWTH: u64 = 64 * 1024;
/// The longest that somebody new may take to get in.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// Mbit/s through the session, both ways together, and how many processors the server used meanwhile.
type Throughput = (f64, f64);

/// What an attack did: medians of its windows.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Mbit/s of the session, both ways together, on average of the calm before and after.
    before: f64,
    during: f64,
    /// `during` as a part of `before`.
    kept: f64,
    /// How long somebody new took to get in meanwhile, the longest; `None`: not at all.
    newcomer: Option<Duration>,
    /// By how much the server grew in all, in KiB.
    growth: u64,
    /// Processors that the server used, before and during.
    used: [f64; 2],
    /// What the attacker sent, a second.
    sent: f64,
}

/// One window: an attack between two calm times.
struct Window {
    before: f64,
    during: f64,
    newcomer: Option<Duration>,
    used: [f64; 2],
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
            self.kept * 100.0,
            self.growth,
            self.used[0],
            self.used[1],
            self.trouble().unwrap_or("holds"),
        )
    }

    fn of(windows: &[Window], growth: u64) -> Option<Self> {
        let middle = |of: fn(&Window) -> f64| median(windows.iter().map(of).collect());
        // Each window has its own yardstick: what the machine gives changes from one to the next.
        Some(Self {
            before: middle(|window| window.before)?,
            during: middle(|window| window.during)?,
            kept: middle(|window| window.during / window.before)?,
            newcomer: windows
                .iter()
                .map(|window| window.newcomer)
                .try_fold(Duration::ZERO, |longest, newcomer| Some(longest.max(newcomer?))),
            growth,
            used: [middle(|window| window.used[0])?, middle(|window| window.used[1])?],
            sent: middle(|window| window.sent)?,
        })
    }

    /// What is wrong, if something is.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        match self {
            _ if self.kept < LEAST_KEPT => Some("the session lost throughput"),
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

/// A server with a live session, an attacker and somebody new.
pub(crate) struct Bed<'a> {
    world: &'a mut World,
    stranger: Stranger,
    caller: Caller,
    newcomer: Caller,
}

impl<'a> Bed<'a> {
    pub(crate) fn new(world: &'a mut World) -> Result<Self> {
        let toml = world.segment.folder.join("gretel/gretel.toml");
        fs::write(&toml, "[server]\ndebug = false\n")?;
        let served = world.serve(&FILES);
        // Other scenarios do without it.
        fs::remove_file(&toml)?;
        served?;
        let stranger = Stranger::new(world, "stranger", "10.99.0.66")?;
        // Everybody in 10.96/16, and the client itself, as far as the attacker's kernel knows. It tells nobody so.
        stranger.sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
             ip route add local 10.96.0.0/16 dev lo
             ip route add local 10.99.0.9/32 dev lo")?;
        // The addresses on the wan were other interfaces' a moment ago.
        world.server.sh("ip neighbour flush all; ip route replace 10.96.0.0/16 via 10.99.0.66")?;
        let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
        let newcomer = Caller::new(world, "newcomer", "10.99.0.10")?;
        caller.connect()?;
        world.segment.measure()?;
        Ok(Self { world, stranger, caller, newcomer })
    }

    /// Ends the session, and what is not the server's own.
    pub(crate) fn end(mut self) -> Result<()> {
        self.world.server.sh("ip route del 10.96.0.0/16 via 10.99.0.66")?;
        self.caller.disconnect()
    }

    /// Attacks the server in so many windows of this time, and measures the session in them and in between. A window counts only where the
    /// session had its whole load before and after it: otherwise the machine was busy with something else, and the window is made again.
    pub(crate) fn under(&self, attack: &Attack, time: Duration, windows: usize) -> Result<Figures> {
        let grown_from = resident(self.world)?;
        let mut counted = Vec::new();
        let mut before = self.throughput(time)?;
        for _ in 0..windows * PATIENCE {
            let (during, newcomer, sent) = self.attacked(attack, time)?;
            let after = self.throughput(time)?;
            if before.0.min(after.0) >= LEAST_LOAD {
                let used = [(before.1 + after.1) / 2.0, during.1];
                let (before, during) = ((before.0 + after.0) / 2.0, during.0);
                counted.push(Window { before, during, newcomer, used, sent });
            }
            if counted.len() == windows {
                let growth = resident(self.world)?.saturating_sub(grown_from);
                return Figures::of(&counted, growth).context("no window");
            }
            before = after;
        }
        bail!("without an attack the session does not have its load: is the machine busy?")
    }

    /// The session's throughput under an attack, when somebody new was let in meanwhile, and what the attacker sent a second.
    fn attacked(
        &self,
        attack: &Attack,
        time: Duration,
    ) -> Result<(Throughput, Option<Duration>, f64)> {
        let mut strike = self.strike(attack, WARM_UP + time + MOST_WAIT + SLACK)?;
        thread::sleep(WARM_UP);
        let newcomer = &self.newcomer;
        let (measured, entered) = thread::scope(|scope| {
            let entering = scope.spawn(|| enter(newcomer));
            let measured = self.throughput(time);
            (measured, entering.join())
        });
        let still = strike.try_wait()?;
        strike.kill()?;
        let output = strike.wait_with_output()?;
        let during = measured.context("the session did not survive")?;
        if let Some(status) = still {
            bail!("the attacker gave up: {status}\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let sent = rate(&String::from_utf8_lossy(&output.stdout)).context("nothing was sent")?;
        Ok((during, entered.unwrap_or_default(), sent))
    }

    /// The attacker's process.
    fn strike(&self, attack: &Attack, time: Duration) -> Result<Child> {
        let last = thread::available_parallelism()?.get() - 1;
        let mut strike = self.stranger.command("nice");
        strike
            .args(["-n", "10", "taskset", "-c", &last.to_string()])
            .arg(env::current_exe()?)
            .args([STRIKE, attack.name, &time.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        strike.spawn().context("the attacker")
    }

    fn throughput(&self, time: Duration) -> Result<Throughput> {
        let (begun, used) = (Instant::now(), used(self.world)?);
        let seconds = time.as_secs().max(1);
        let script = format!(
            "timeout {} iperf3 --client {NEIGHBOUR} --bidir --bitrate {LOAD}M --time {seconds} --json || true",
            seconds + 5
        );
        let text = self.caller.namespace.sh(&script)?;
        let result: Value = serde_json::from_str(&text).context("iperf3 did not end")?;
        let used = self::used(self.world)?.saturating_sub(used);
        let rate = |name: &str| {
            let bits = result.pointer(&format!("/end/{name}/bits_per_second"));
            let bits = bits.and_then(Value::as_f64);
            bits.with_context(|| format!("iperf3 has no {name}: {}", result["error"]))
        };
        let bits = rate("sum_received")? + rate("sum_received_bidir_reverse")?;
        Ok((bits / 1e6, used.as_secs_f64() / begun.elapsed().as_secs_f64()))
    }
}

/// How long a client takes that was not there before; `None`: it does not get in.
fn enter(newcomer: &Caller) -> Option<Duration> {
    let begun = Instant::now();
    let mut check = newcomer.command_as("bert", "secret", &["--check", "--no-tun"]).ok()?;
    let output = check.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| begun.elapsed())
}

/// What the attacker sent a second, by the last line of its progress.
fn rate(progress: &str) -> Option<f64> {
    let (millis, sent) = progress.lines().last()?.split_once(' ')?;
    Some(sent.parse::<f64>().ok()? * 1000.0 / millis.parse::<f64>().ok()?)
}

fn pid(world: &World) -> Result<u32> {
    world.server.pid().context("no server runs")
}

/// The server's resident memory, in KiB.
fn resident(world: &World) -> Result<u64> {
    let pid = pid(world)?;
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// The processor time that it has used.
fn used(world: &World) -> Result<Duration> {
    crate::bench::used(pid(world)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(before: f64, during: f64, newcomer: Option<Duration>) -> Window {
        Window { before, during, newcomer, used: [0.5, 0.6], sent: 1000.0 }
    }

    #[test]
    fn one_window_that_others_disturbed_decides_nothing_and_two_do() {
        let soon = Some(Duration::from_millis(50));
        let good = || window(160.0, 158.0, soon);
        let bad = || window(160.0, 120.0, soon);
        let trouble = |windows: [Window; 3]| Figures::of(&windows, 0).unwrap().trouble();
        assert_eq!(trouble([good(), bad(), good()]), None);
        assert_eq!(trouble([bad(), bad(), good()]), Some("the session lost throughput"));
    }

    #[test]
    fn a_newcomer_who_was_once_kept_out_and_a_server_that_grew_are_told() {
        let soon = Some(Duration::from_millis(50));
        let windows = [window(160.0, 160.0, soon), window(160.0, 160.0, None)];
        assert_eq!(Figures::of(&windows, 0).unwrap().trouble(), Some("nobody new got in"));
        let grown = Figures::of(&windows[..1], MOST_GROWTH + 1).unwrap();
        assert_eq!(grown.trouble(), Some("the server grew"));
        assert!(Figures::of(&[], 0).is_none());
    }
}
