//! PPP frames in pppd's words: `[LCP ConfReq id=0x1 <mru 1400> <magic 0xc6f3548>]`.

use core::fmt;

use crate::Escaped;
use crate::ccp::CcpOption;
use crate::chap;
use crate::ipcp::IpcpOption;
use crate::ipv6cp::Ipv6cpOption;
use crate::lcp::{Hex, LcpOption, SpacedHex};
use crate::pap;
use crate::ppp::{Code, Packet, Protocol, RawOption, options, split};

/// Options shown before the rest is cut off.
const MAX_OPTIONS: usize = 12;

/// Shows a PPP frame on one line of bounded length: peer's text escaped, passwords hidden.
pub fn describe(frame: &[u8]) -> Description<'_> {
    Description(frame)
}

/// See [`describe`].
#[derive(Clone, Copy, Debug)]
pub struct Description<'a>(&'a [u8]);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, body) = match split(self.0) {
            Ok(parts) => parts,
            Err(malformed) => return write!(f, "[malformed PPP frame: {malformed}]"),
        };
        write!(f, "[{protocol}")?;
        match (protocol, Packet::parse(body)) {
            (Protocol::LCP | Protocol::CCP | Protocol::IPCP | Protocol::IPV6CP, Ok(packet)) => {
                show_control(f, protocol, &packet)?;
            }
            (Protocol::CHAP, Ok(packet)) => show_chap(f, body, &packet)?,
            (Protocol::PAP, Ok(packet)) => show_pap(f, body, &packet)?,
            (Protocol::EAP, Ok(packet)) => {
                write!(f, " code={} id={:#x}", packet.code.0, packet.id)?
            }
            (
                Protocol::LCP
                | Protocol::CCP
                | Protocol::IPCP
                | Protocol::IPV6CP
                | Protocol::CHAP
                | Protocol::PAP
                | Protocol::EAP,
                Err(_),
            ) => write!(f, " malformed packet, {} bytes", body.len())?,
            (_, _) => write!(f, " {} bytes", body.len())?,
        }
        f.write_str("]")
    }
}

fn show_control(
    f: &mut fmt::Formatter<'_>,
    protocol: Protocol,
    packet: &Packet<'_>,
) -> fmt::Result {
    write!(f, " {} id={:#x}", packet.code, packet.id)?;
    match packet.code {
        Code::CONFIGURE_REQUEST
        | Code::CONFIGURE_ACK
        | Code::CONFIGURE_NAK
        | Code::CONFIGURE_REJECT => show_options(f, protocol, packet.data),
        Code::TERMINATE_REQUEST | Code::TERMINATE_ACK if !packet.data.is_empty() => {
            write!(f, " \"{}\"", Escaped(packet.data))
        }
        Code::ECHO_REQUEST | Code::ECHO_REPLY | Code::DISCARD_REQUEST => {
            show_magic(f, packet.data).map(drop)
        }
        Code::IDENTIFICATION => {
            let text = show_magic(f, packet.data)?;
            write!(f, " \"{}\"", Escaped(text))
        }
        Code::PROTOCOL_REJECT => show_rejected(f, packet.data),
        _ => write!(f, "{}", SpacedHex(packet.data)),
    }
}

/// The protocol that a Protocol-Reject is about, and its packet. That may be a PAP request of ours or of a confused peer.
fn show_rejected(f: &mut fmt::Formatter<'_>, data: &[u8]) -> fmt::Result {
    let Some((protocol, packet)) = data.split_first_chunk::<2>() else {
        return write!(f, "{}", SpacedHex(data));
    };
    let protocol = Protocol(u16::from_be_bytes(*protocol));
    write!(f, " {protocol}")?;
    if protocol == Protocol::PAP {
        return f.write_str(" <hidden>");
    }
    write!(f, "{}", SpacedHex(packet))
}

fn show_magic<'a>(f: &mut fmt::Formatter<'_>, data: &'a [u8]) -> Result<&'a [u8], fmt::Error> {
    let Some((magic, rest)) = data.split_first_chunk::<4>() else { return Ok(&[]) };
    write!(f, " magic={:#x}", u32::from_be_bytes(*magic))?;
    Ok(rest)
}

/// Shows the options of a Configure packet, each behind a blank.
pub fn show_options(f: &mut fmt::Formatter<'_>, protocol: Protocol, data: &[u8]) -> fmt::Result {
    for (count, option) in options(data).enumerate() {
        if count == MAX_OPTIONS {
            return f.write_str(" …");
        }
        match option {
            Ok(raw) => show_option(f, protocol, raw)?,
            Err(_) => f.write_str(" <malformed option>")?,
        }
    }
    Ok(())
}

fn show_option(f: &mut fmt::Formatter<'_>, protocol: Protocol, raw: RawOption<'_>) -> fmt::Result {
    match protocol {
        Protocol::LCP => write!(f, " {}", LcpOption::parse(raw)),
        Protocol::CCP => write!(f, " {}", CcpOption::parse(raw)),
        Protocol::IPCP => write!(f, " {}", IpcpOption::parse(raw)),
        _ => write!(f, " {}", Ipv6cpOption::parse(raw)),
    }
}

fn show_chap(f: &mut fmt::Formatter<'_>, body: &[u8], packet: &Packet<'_>) -> fmt::Result {
    let id = packet.id;
    if let Ok(chap::Challenge { value, name, .. }) = chap::Challenge::parse(body) {
        return write!(f, " Challenge id={id:#x} <{}>, name = \"{}\"", Hex(value), Escaped(name));
    }
    if let Ok(chap::Response { value, name, .. }) = chap::Response::parse(body) {
        return write!(f, " Response id={id:#x} <{}>, name = \"{}\"", Hex(value), Escaped(name));
    }
    let name = match packet.code {
        chap::SUCCESS => "Success",
        chap::FAILURE => "Failure",
        code => return write!(f, " code={} id={id:#x}", code.0),
    };
    write!(f, " {name} id={id:#x} \"{}\"", Escaped(packet.data))
}

fn show_pap(f: &mut fmt::Formatter<'_>, body: &[u8], packet: &Packet<'_>) -> fmt::Result {
    let id = packet.id;
    if let Ok(request) = pap::AuthenticateRequest::parse(body) {
        let user = Escaped(request.peer_id);
        return write!(f, " AuthReq id={id:#x} user=\"{user}\" password=<hidden>");
    }
    let name = match packet.code {
        pap::ACK => "AuthAck",
        pap::NAK => "AuthNak",
        code => return write!(f, " code={} id={id:#x}", code.0),
    };
    write!(f, " {name} id={id:#x} \"{}\"", Escaped(pap::message(packet)))
}
