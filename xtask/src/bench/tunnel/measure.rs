//! What is measured through a tunnel, or beside it.

use std::{
    fs,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;

use super::bed::{Bed, HOLD, Tunnel};
use crate::{
    bench::iperf::{megabits, number, run},
    lab::Namespace,
};

/// How long each load runs.
pub(super) const SECONDS: u32 = 2;
/// What processor time is counted for.
const UNIT_BYTES: f64 = 1400.0;

/// The figures of one way, in the order of [`NAMES`]; `None` where a way has no such figure.
pub(super) type Figures = [Option<f64>; NAMES.len()];

/// What is measured, and in what.
pub(super) const NAMES: [(&str, &str); 18] = [
    ("TCP, 1 stream, to the server", "Mbit/s"),
    ("TCP, 1 stream, to the client", "Mbit/s"),
    ("TCP, 4 streams, to the server", "Mbit/s"),
    ("TCP, 4 streams, to the client", "Mbit/s"),
    ("TCP, both ways at once, sum", "Mbit/s"),
    ("UDP, 64 bytes, received", "kpackets/s"),
    ("processor, 1 stream to the server: client", "us/1400 B"),
    ("processor, 1 stream to the server: server", "us/1400 B"),
    ("processor, 1 stream to the server: iperf3, both ends", "us/1400 B"),
    ("processor, 1 stream to the server: all", "us/1400 B"),
    ("processor, 1 stream to the server: whole machine", "us/1400 B"),
    ("ping, idle, mean", "ms"),
    ("ping, idle, 99th percentile", "ms"),
    ("ping of another session under 1 stream, 99th percentile", "ms"),
    ("ping of another session under 4 streams to the client, 99th percentile", "ms"),
    ("ping of the same session under 1 stream, 99th percentile", "ms"),
    ("100 sessions, long echoes, received on average", "Mbit/s"),
    ("processor, 100 sessions: server, for an echo and its answer", "us/1400 B"),
];

/// Rows of processor time that a stand-in of the kernel's has too.
pub(super) const COMPARED: [usize; 2] = [ALL, ALL + 1];
/// The row of all processor time of the processes.
const ALL: usize = 9;

/// Measures between `near` and a server address, through a tunnel if there is one.
pub(super) fn measure(bed: &Bed, address: &str, tunnel: Option<&Tunnel>) -> Result<Figures> {
    let server = bed.iperf_server()?;
    let iperf = |options: &str| run(&bed.near, address, SECONDS, options);
    let received = |result: &Value| megabits(result, "sum_received");
    let mut figures = one_stream(bed, address, tunnel)?;
    let both = iperf("--bidir")?;
    let both = megabits(&both, "sum_received")? + megabits(&both, "sum_received_bidir_reverse")?;
    figures[2..6].copy_from_slice(&[
        Some(received(&iperf("--parallel 4")?)?),
        Some(received(&iperf("--parallel 4 --reverse")?)?),
        Some(both),
        Some(datagrams(&iperf("--udp --bitrate 0 --length 64")?)? / 1000.0),
    ]);
    let idle = ping(&bed.near, address, 200)?;
    figures[11..13].copy_from_slice(&[Some(idle.mean), Some(idle.worst_of_hundred)]);
    if tunnel.is_some() {
        figures[13..16].copy_from_slice(&[
            Some(under_load(bed, &bed.other, address, "")?.worst_of_hundred),
            Some(under_load(bed, &bed.other, address, "--parallel 4 --reverse")?.worst_of_hundred),
            Some(under_load(bed, &bed.near, address, "")?.worst_of_hundred),
        ]);
    }
    drop(server);
    if let Some(tunnel) = tunnel {
        figures[16..].copy_from_slice(&hundred_sessions(bed, tunnel)?.map(Some));
    }
    Ok(figures)
}

/// What [`measure`] measures with one TCP stream; `iperf3` must be there.
pub(super) fn one_stream(bed: &Bed, address: &str, tunnel: Option<&Tunnel>) -> Result<Figures> {
    let (before, machine_before) = (tunnel.map(Tunnel::used).transpose()?, machine_used()?);
    let one = run(&bed.near, address, SECONDS, "")?;
    let (after, machine_after) = (tunnel.map(Tunnel::used).transpose()?, machine_used()?);
    let units = number(&one, "/end/sum_received/bytes")? / UNIT_BYTES;
    let used = before.zip(after).map(|(before, after)| {
        [0, 1].map(|end: usize| micros(after[end].saturating_sub(before[end])) / units)
    });
    let iperf_used = processor(&one)? / units;
    let back = run(&bed.near, address, SECONDS, "--reverse")?;
    let mut figures = [None; NAMES.len()];
    figures[0] = Some(megabits(&one, "sum_received")?);
    figures[1] = Some(megabits(&back, "sum_received")?);
    figures[6..=ALL + 1].copy_from_slice(&[
        used.map(|used| used[0]),
        used.map(|used| used[1]),
        Some(iperf_used),
        Some(used.map_or(0.0, |used| used[0] + used[1]) + iperf_used),
        Some(micros(machine_after.saturating_sub(machine_before)) / units),
    ]);
    Ok(figures)
}

/// For how long the machine's processors have worked, on whatever it was: softirqs in nobody's context too.
fn machine_used() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u64> = text
        .split_whitespace()
        .skip(1)
        .take(7)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context("/proc/stat")?;
    let [user, nice, system, _idle, _waiting, hard, soft] = ticks[..] else {
        bail!("/proc/stat has no seven figures");
    };
    // In hundredths of a second, whatever the kernel's own clock is (USER_HZ).
    Ok(Duration::from_millis((user + nice + system + hard + soft) * 10))
}

/// Echoes as long as the tunnel takes them, of 100 sessions at once: Mbit/s that come back, and the server's work for one both ways.
fn hundred_sessions(bed: &Bed, tunnel: &Tunnel) -> Result<[f64; 2]> {
    let [_, before] = tunnel.used()?;
    let report: Value = serde_json::from_str(&bed.load(100)?).context("gretel load")?;
    let [_, after] = tunnel.used()?;
    ensure!(number(&report, "/came_up")? == 100.0, "not all sessions came up: {report}");
    let received = number(&report, "/received_bytes")?;
    let megabits = received * 8.0 / 1e6 / f64::from(HOLD);
    Ok([megabits, micros(after.saturating_sub(before)) / (received / UNIT_BYTES)])
}

/// Pings from `from` while iperf3 fills the tunnel of `near`.
pub(super) fn under_load(
    bed: &Bed,
    from: &Namespace,
    address: &str,
    options: &str,
) -> Result<Pings> {
    let script = format!("timeout 30 iperf3 --client {address} --time {} {options}", SECONDS + 1);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| bed.near.sh(&script));
        // The first moments are those of slow start.
        std::thread::sleep(Duration::from_millis(700));
        let pings = ping(from, address, 200);
        load.join().map_err(|_| anyhow::anyhow!("the load failed"))??;
        pings
    })
}

/// Times of pings, in milliseconds. A lost one counts as a second.
pub(super) struct Pings {
    mean: f64,
    pub(super) worst_of_hundred: f64,
    /// The most that each of ten pings in a row has taken, which are those of 100 ms: CoDel's own measure of a queue that does not go away
    /// (RFC 8289 §3.2).
    pub(super) standing: f64,
}

/// How many round trips [`sleepers`] makes, as far from each other as [`ping`]s.
const ROUND_TRIPS: u32 = 100;
const PING_INTERVAL: Duration = Duration::from_millis(10);

fn ping(from: &Namespace, address: &str, count: usize) -> Result<Pings> {
    let interval = PING_INTERVAL.as_secs_f64();
    let text = from.sh(&format!("ping -n -c {count} -i {interval} -W 1 {address} || true"))?;
    let mut times = vec![1000.0; count];
    let answers = text.split("icmp_seq=").skip(1).filter_map(|rest| {
        let (number, rest) = rest.split_once(' ')?;
        let (_, rest) = rest.split_once("time=")?;
        let time: f64 = rest.split(' ').next()?.parse().ok()?;
        Some((number.parse::<usize>().ok()?.checked_sub(1)?, time))
    });
    let mut came_back = 0;
    for (at, time) in answers.filter(|(at, _)| *at < count) {
        times[at] = time;
        came_back += 1;
    }
    ensure!(came_back > 0, "no ping came back:\n{text}");
    let least = |window: &[f64]| window.iter().copied().fold(f64::MAX, f64::min);
    let standing = times.windows(10).map(least).fold(0.0, f64::max);
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / count as f64;
    Ok(Pings { mean, worst_of_hundred: times[count * 99 / 100 - 1], standing })
}

/// How long a round trip between two processors takes that sleep before, in milliseconds: two programs wake each other. `None`: there is one only.
pub(super) fn sleepers() -> Result<Option<f64>> {
    let all = sched_getaffinity(None)?;
    let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
    let (Some(here), Some(there)) = (usable.next(), usable.next()) else { return Ok(None) };
    let on = |cpu| {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only)
    };
    let ((mut asked, mut ask), (mut answered, mut answer)) = (io::pipe()?, io::pipe()?);
    std::thread::scope(|scope| {
        scope.spawn(move || -> io::Result<()> {
            on(there)?;
            let mut byte = [0];
            while asked.read(&mut byte)? > 0 {
                answer.write_all(&byte)?;
            }
            Ok(())
        });
        let asking = scope.spawn(move || -> io::Result<Duration> {
            on(here)?;
            let mut waited = Duration::ZERO;
            for _ in 0..ROUND_TRIPS {
                std::thread::sleep(PING_INTERVAL);
                let since = Instant::now();
                ask.write_all(&[0])?;
                answered.read_exact(&mut [0])?;
                waited += since.elapsed();
            }
            Ok(waited / ROUND_TRIPS)
        });
        let mean = asking.join().map_err(|_| anyhow::anyhow!("waking failed"))??;
        Ok(Some(mean.as_secs_f64() * 1e3))
    })
}

/// Datagrams that arrived, each second.
fn datagrams(result: &Value) -> Result<f64> {
    let sent = number(result, "/end/sum/packets")?;
    let lost = number(result, "/end/sum/lost_packets")?;
    Ok((sent - lost) / number(result, "/end/sum/seconds")?)
}

/// The processor time of both ends of iperf3, in microseconds.
fn processor(result: &Value) -> Result<f64> {
    let percent = number(result, "/end/cpu_utilization_percent/host_total")?
        + number(result, "/end/cpu_utilization_percent/remote_total")?;
    Ok(percent / 100.0 * number(result, "/end/sum_sent/seconds")? * 1e6)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
