//! An idle data plane sleeps. A program of its own: it looks at the threads of the whole process.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::thread;
use std::time::Duration;

use common::*;
use crypto::mppe::Mode;
use dataplane::Command;

/// How often this process's workers have gone to sleep.
fn sleeps() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let workers = tasks.filter(|task| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("gretel-data"))
    });
    workers
        .map(|task| {
            let status = fs::read_to_string(task.join("status")).unwrap();
            let line =
                status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum()
}

#[test]
fn an_idle_tunnel_wakes_nobody() {
    with_cable(|cable| {
        let stations = [0, 1].map(|end| cable.station(end, 1));
        for (end, station) in stations.iter().enumerate() {
            station.dataplane.add(call(end));
            station.dataplane.send(CALL[end], Command::Keys(keys(end, Mode::Stateless)));
            let command =
                Command::OpenNetwork { permit: permit(end, true), tun: Some(cable.tun(end)) };
            station.dataplane.send(CALL[end], command);
        }
        let sockets = [0, 1].map(|end| cable.udp(end));
        sockets[0].send_to(b"hello", (INNER[1], 5000)).unwrap();
        sockets[1].recv(&mut [0; 16]).unwrap();
        // The last acknowledgement.
        thread::sleep(Duration::from_millis(300));
        let before = sleeps();
        assert!(before >= 2, "the workers were not found");
        thread::sleep(Duration::from_secs(1));
        assert_eq!(sleeps(), before);
    });
}
