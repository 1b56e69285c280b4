//! Set-up and memory of a session at pptpd and at Gretel, each in a guest of its own.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    super::{
        peers::{Peer, Server},
        performance::shown,
    },
    bed::Load,
};
use crate::{
    lab::{Namespace, Segment},
    workspace,
};

pub(super) const EXPLANATION: &str = "The same `gretel load` (on the machine, `--flavour windows`) against servers in User-Mode Linux guests with the same kernel, memory and \
    network, one at a time. `pptpd`: Debian's, with its `pppd` for each session. Gretel has its shared interface. Memory is what the guest's `MemAvailable` fell by, the kernel's share included. \
    Bad line: 5 % loss, 2 % duplicates and 2 % out of order, each way, by the guest's netem; 40 sessions, ten at a time. System calls in a guest cost several times what they do elsewhere, so \
    that absolute figures say nothing about a machine of its own.";

/// Sessions one after the other, for the time.
const ONE_BY_ONE: u32 = 15;
/// Sessions together, for the rate and the memory.
const TOGETHER: u64 = 40;
/// Sessions on a bad line, and how many of them at a time.
const TRIES: u32 = 40;
const TRIED_AT_A_TIME: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(1200);
/// Where the guest's network is spoilt, each way: what it sends, and what comes in.
const SPOIL: &str = "modules=/usr/lib/uml/modules/$(uname -r)/kernel
    for module in drivers/net/ifb net/sched/sch_netem net/sched/sch_ingress net/sched/cls_matchall net/sched/act_mirred; do
        grep -q \"^$(basename $module) \" /proc/modules || insmod $modules/$module.ko || true
    done
    ip link show ifb0 >/dev/null 2>&1 || ip link add ifb0 type ifb
    ip link set ifb0 up
    bad='netem delay 10ms loss 5% duplicate 2% reorder 98%'
    wan=$(ip -o -4 address show | grep 10.99.0.1/ | cut -d' ' -f2)
    tc qdisc add dev $wan root $bad
    tc qdisc add dev $wan ingress
    tc filter add dev $wan ingress matchall action mirred egress redirect dev ifb0
    tc qdisc add dev ifb0 root $bad";

/// Figures of both.
pub(super) fn measure() -> Result<Value> {
    let folder = workspace::lab_directory().join("bench-scale-peers");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("password"), "secret")?;
    let segment = Segment::new(folder)?;
    let callers = segment.wan_host("callers", "10.99.0.9")?;
    let mut figures = json!({});
    for peer in [Peer::Gretel, Peer::Pptpd] {
        let measured = one(peer, &segment, &callers).with_context(|| peer.name())?;
        figures[peer.name()] = measured;
    }
    Ok(figures)
}

fn one(peer: Peer, segment: &Segment, callers: &Namespace) -> Result<Value> {
    let mut server = Server::start_for(peer, segment, "192.168.77.100-199", "shared")?;
    callers.sh("ip neighbour flush all")?;
    let load = |arguments: String| load(segment, callers, &arguments);
    let single = load(format!("--sessions 1 --total {ONE_BY_ONE} --hold 0"))?.finish(PATIENCE)?;
    let before = server.available()?;
    let mut together = load(format!("--sessions {TOGETHER} --hold 15 --timeout 60"))?;
    let up = together.wait_until_settled(TOGETHER, Duration::from_secs(120))?;
    // A peer may drop calls: the row says how many.
    let enough = if peer == Peer::Gretel { TOGETHER } else { 1 };
    ensure!(up >= enough, "{up} sessions of {TOGETHER} come up");
    thread::sleep(Duration::from_secs(5));
    let fall = (before - server.available()?) / up as f64;
    let together = together.finish(PATIENCE)?;
    server.sh(SPOIL)?;
    let bad =
        format!("--sessions {TRIED_AT_A_TIME} --total {TRIES} --hold 0 --timeout 30 --hang-up");
    let bad = load(bad)?.finish(PATIENCE)?;
    Ok(json!({ "single": single, "together": together, "memory_kib": fall, "bad": bad }))
}

fn load(segment: &Segment, callers: &Namespace, arguments: &str) -> Result<Load> {
    let folder = &segment.folder;
    let mut command = callers.command(workspace::gretel());
    command
        .args(["load", "10.99.0.1", "--user", "anna", "--json", "--password-file"])
        .arg(folder.join("password"))
        .args(arguments.split_whitespace());
    Load::start(command, folder, "load")
}

pub(super) fn table(figures: &Value) -> Result<String> {
    let rows: [(&str, &str, &str, bool); 7] = [
        ("set-up, one at a time, median", "ms", "/single/set_up/p50", false),
        ("set-ups, 40 at once", "a second", "/together/set_ups_per_second", true),
        ("sessions of 40 at once that came up", "", "/together/came_up", true),
        ("memory of a session, kernel included", "KiB", "/memory_kib", false),
        ("set-up on a bad line, median of those that came up", "ms", "/bad/set_up/p50", false),
        ("sessions of 40 that came up on a bad line", "", "/bad/came_up", true),
        ("sessions of 40 that failed on a bad line", "", "/bad/failed", false),
    ];
    let mut table =
        "| what | in | pptpd | Gretel | times better |\n|---|---|---|---|---|".to_owned();
    for (what, unit, path, more_is_better) in rows {
        let figure = |peer: Peer| {
            let path = format!("/{}{path}", peer.name());
            figures.pointer(&path).and_then(Value::as_f64).context(path)
        };
        let (pptpd, gretel) = (figure(Peer::Pptpd)?, figure(Peer::Gretel)?);
        let times = if more_is_better { gretel / pptpd } else { pptpd / gretel };
        let times = if times.is_finite() { shown(times) } else { String::new() };
        table.push_str(&format!(
            "\n| {what} | {unit} | {} | {} | {times} |",
            shown(pptpd),
            shown(gretel)
        ));
    }
    Ok(table)
}
