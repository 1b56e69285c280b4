//! Attacks by who places calls, without a password.

use std::net::Ipv4Addr;

use anyhow::Result;
use engine::ppp::MppePolicy;

use super::{
    attack::{Gun, OWN, Strike},
    gre::packet,
    tunnel::Client,
};
use crate::lab::HandMadeCall;

/// Clients that guess at the same time.
const GUESSERS: usize = 16;

/// Wrong passwords, as fast as the server takes them.
pub(super) fn brute_force(strike: &mut Strike) -> Result<()> {
    let mut guessers: Vec<Client> = Vec::new();
    while let Some(due) = strike.due() {
        for guesser in &mut guessers {
            guesser.step()?;
        }
        guessers.retain(|guesser| !guesser.is_over());
        for _ in 0..due {
            if guessers.len() < GUESSERS {
                guessers.extend(Client::place(OWN, MppePolicy::REQUIRE_128, "wrong").ok());
            }
        }
    }
    Ok(())
}

/// Sends the frames that `make` makes on a call, as fast as the rate allows, and calls again when the server has hung up.
fn flood(
    strike: &mut Strike,
    open: bool,
    mut make: impl FnMut(&mut Strike) -> Vec<u8>,
) -> Result<()> {
    let mut gun = Gun::new()?;
    while let Some(due) = strike.due() {
        let Ok(mut call) = HandMadeCall::place() else { continue };
        if open && call.open_lcp().is_err() {
            continue;
        }
        let mut sequence = 100;
        let mut due = Some(due);
        while let Some(now) = due {
            for _ in 0..now {
                sequence += 1;
                gun.fire(&packet(call.call_id, sequence, &make(strike)), Ipv4Addr::UNSPECIFIED);
            }
            gun.flush();
            if call.is_over() {
                break;
            }
            due = strike.due();
        }
    }
    Ok(())
}

/// LCP Echo-Requests (RFC 1661 §5.8).
pub(super) fn echoes(strike: &mut Strike) -> Result<()> {
    flood(strike, true, |_| vec![0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4])
}

/// LCP Configure-Requests with as many options as fit, none of which is known.
pub(super) fn option_bombs(strike: &mut Strike) -> Result<()> {
    flood(strike, false, |strike| {
        let options: Vec<u8> = [0xe0, 2].repeat(700);
        let id = strike.random() as u8;
        let mut frame = vec![0xff, 3, 0xc0, 0x21, 1, id];
        frame.extend((options.len() as u16 + 4).to_be_bytes());
        frame.extend(options);
        frame
    })
}

/// Configure-Naks for every request that there could be, which ask for yet another MRU.
pub(super) fn endless_naks(strike: &mut Strike) -> Result<()> {
    flood(strike, false, |strike| {
        let [id, high, low, ..] = strike.random().to_be_bytes();
        vec![0xff, 3, 0xc0, 0x21, 3, id, 0, 8, 1, 4, high | 2, low]
    })
}
