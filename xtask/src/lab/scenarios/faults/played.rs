//! What no client that can be had does: one is played, packet by packet.

use std::time::Duration;

use anyhow::Result;

use super::{ADDRESS, SOON, fault, serve, told};
use crate::lab::{
    scenarios::Scenario,
    server::{Files, wait_for_log},
    stranger::{HandMadeCall, Stranger, start_request, windows_start_request},
    world::World,
};

/// PPP's numbers of the protocols that are played.
const LCP: u16 = 0xc021;
const IPCP: u16 = 0x8021;
/// Codes of RFC 1661 §5.
const CONFIGURE_REQUEST: u8 = 1;
const CONFIGURE_ACK: u8 = 2;
const CONFIGURE_NAK: u8 = 3;
const TERMINATE_REQUEST: u8 = 5;
/// LCP's options for CHAP with MS-CHAPv2 and with MD5.
const MS_CHAP_V2: [u8; 5] = [3, 5, 0xc2, 0x23, 0x81];
const CHAP_MD5: [u8; 5] = [3, 5, 0xc2, 0x23, 0x05];

/// A server that lets everybody in, so that what comes after the login can be played without one.
const OPEN: Files =
    Files { options: "noauth\nnomppe\nnoipv6\nipcp-max-configure 4\n", ..Files::SHIPPED };

pub(crate) const SCENARIOS: &[Scenario] = &[
    fault("fault G-111: a played client hangs up before it logs in", |world| {
        play(world, &Files::SHIPPED, "G-111", |call| {
            call.open_lcp()?;
            call.send_packet(LCP, TERMINATE_REQUEST, 9, b"")
        })
    }),
    fault("fault G-204: a played client refuses each way to log in for the other", |world| {
        let options = "refuse-pap\nrequire-chap\nrefuse-mschap\nrequire-mschap-v2\nnomppe\n";
        play(world, &Files { options, ..Files::SHIPPED }, "G-204", |call| {
            call.send_packet(LCP, CONFIGURE_REQUEST, 1, b"")?;
            call.keep_up(SOON, |call, frame| {
                let Some([0xc0, 0x21, CONFIGURE_REQUEST, id]) = frame.get(..4) else {
                    return Ok(());
                };
                let asks_v2 = frame.windows(5).any(|option| option == MS_CHAP_V2);
                let other = if asks_v2 { CHAP_MD5 } else { MS_CHAP_V2 };
                call.send_packet(LCP, CONFIGURE_NAK, *id, &other)
            })
        })
    }),
    fault("fault G-301: a played client is content with no size of packets", |world| {
        play(world, &Files::SHIPPED, "G-301", |call| {
            call.send_packet(LCP, CONFIGURE_REQUEST, 1, b"")?;
            refuse_all(call, LCP, &[1, 4, 5, 0])
        })
    }),
    fault("fault G-405: a played client wants an option that the server does not", |world| {
        play(world, &OPEN, "G-405", |call| {
            call.open_lcp()?;
            // A name server, for the server.
            refuse_all(call, IPCP, &[129, 6, 10, 9, 9, 9])
        })
    }),
    fault("fault G-406: a played client says nothing about addresses", |world| {
        play(world, &OPEN, "G-406", |call| {
            call.open_lcp()?;
            call.keep_up(Duration::from_secs(30), |_, _| Ok(()))
        })
    }),
    fault("fault G-613: a played client, a Windows, sends nothing but broadcasts", |world| {
        serve(world, &OPEN)?;
        let stranger = Stranger::new(world, "caller", ADDRESS)?;
        stranger.inside(|| {
            let mut call = HandMadeCall::place_with(&windows_start_request())?;
            call.open_lcp()?;
            speak_to_all(&mut call)?;
            call.send_packet(LCP, TERMINATE_REQUEST, 9, b"")
        })?;
        // A minute of that shows it; what is up is looked at each ten seconds.
        wait_for_log(&mut *world.server, "G-613: ", Duration::ZERO)?;
        told(world, ADDRESS, "also G-613")
    }),
];

/// A call that is placed and then goes on as `rest` says.
fn play(
    world: &mut World,
    files: &Files,
    code: &str,
    rest: impl FnOnce(&mut HandMadeCall) -> Result<()> + Send,
) -> Result<()> {
    serve(world, files)?;
    let stranger = Stranger::new(world, "caller", ADDRESS)?;
    stranger.inside(|| {
        let mut call = HandMadeCall::place_with(&start_request())?;
        rest(&mut call)?;
        // Its end would be a reason of its own.
        call.keep_up(Duration::from_secs(1), |_, _| Ok(()))
    })?;
    told(world, ADDRESS, code)
}

/// Answers each request of the protocol with a Configure-Nak of these options.
fn refuse_all(call: &mut HandMadeCall, protocol: u16, options: &[u8]) -> Result<()> {
    let [high, low] = protocol.to_be_bytes();
    call.keep_up(SOON, |call, frame| match frame {
        [first, second, CONFIGURE_REQUEST, id, ..] if [*first, *second] == [high, low] => {
            call.send_packet(protocol, CONFIGURE_NAK, *id, options)
        }
        _ => Ok(()),
    })
}

/// Negotiates addresses, and then sends broadcasts for somewhat more than a minute.
fn speak_to_all(call: &mut HandMadeCall) -> Result<()> {
    let mut address = [0; 4];
    call.send_packet(IPCP, CONFIGURE_REQUEST, 1, &[3, 6, 0, 0, 0, 0])?;
    call.keep_up(Duration::from_secs(2), |call, frame| match frame {
        [0x80, 0x21, CONFIGURE_REQUEST, id, _, _, options @ ..] => {
            call.send_packet(IPCP, CONFIGURE_ACK, *id, options)
        }
        [0x80, 0x21, CONFIGURE_NAK, _, _, _, 3, 6, given @ ..] if given.len() == 4 => {
            address.copy_from_slice(given);
            call.send_packet(IPCP, CONFIGURE_REQUEST, 2, &[&[3, 6], given].concat())
        }
        _ => Ok(()),
    })?;
    for _ in 0..14 {
        call.send_frame(&[&[0xff, 0x03, 0x00, 0x21], &broadcast(address)[..]].concat())?;
        call.keep_up(Duration::from_secs(5), |_, _| Ok(()))?;
    }
    Ok(())
}

/// An IPv4 packet without contents to 255.255.255.255 (protocol 253, RFC 3692 §2.1).
fn broadcast(from: [u8; 4]) -> [u8; 20] {
    let mut packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 1, 253, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
    packet[12..16].copy_from_slice(&from);
    let words = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_has_a_right_checksum() {
        let packet = broadcast([192, 168, 77, 100]);
        let words = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
