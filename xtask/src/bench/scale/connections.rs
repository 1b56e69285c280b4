//! What one end of an idle TCP connection costs the kernel: two programs that hold connections with each other, and nothing else.

use std::{
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use sys::event::Epoll;

use super::bed::{Bed, available, open_files, resident, wait_for};

/// How the two programs name themselves.
pub(crate) const COMMAND: &str = "bench-scale-connections";

const PORT: u16 = 1724;
const PATIENCE: Duration = Duration::from_secs(60);

/// What `MemAvailable` falls by for one end of a connection that is waited for with epoll, in KiB.
pub(super) fn one_end(bed: &Bed, connections: usize) -> Result<f64> {
    let before = available()?;
    let (listener, caller) = bed.hold_connections(COMMAND, connections)?;
    let holds = |pid| Ok(open_files(pid)? >= connections);
    for process in [&listener, &caller] {
        wait_for("connections", PATIENCE, || holds(process.pid()))?;
    }
    thread::sleep(Duration::from_secs(3));
    let fall = before - available()?;
    let own = resident(listener.pid())? + resident(caller.pid())?;
    Ok((fall - own) / 2.0 / connections as f64)
}

/// One of the two programs: `listen COUNT` or `ADDRESS COUNT`. It holds its connections until it is killed.
pub(crate) fn hold(arguments: &[String]) -> Result<bool> {
    let [end, count] = arguments else { bail!("{COMMAND} wants an end and a number") };
    let count = count.parse()?;
    let epoll = Epoll::new()?;
    let mut held: Vec<TcpStream> = Vec::with_capacity(count);
    let listener = match end.as_str() {
        "listen" => Some(TcpListener::bind(("0.0.0.0", PORT))?),
        _ => None,
    };
    while held.len() < count {
        let connection = match &listener {
            Some(listener) => listener.accept()?.0,
            None => connect(end)?,
        };
        epoll.add(&connection, held.len() as u64)?;
        held.push(connection);
    }
    loop {
        thread::park();
    }
}

/// Connects; the other program may only just be starting.
fn connect(address: &str) -> Result<TcpStream> {
    for _ in 0..100 {
        if let Ok(connection) = TcpStream::connect((address, PORT)) {
            return Ok(connection);
        }
        thread::sleep(Duration::from_millis(50));
    }
    TcpStream::connect((address, PORT)).context("the other program does not listen")
}
