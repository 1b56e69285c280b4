//! Every reader against any bytes, and every writer against its reader: what the fuzzers run, with proptest's inputs.
#![allow(clippy::unwrap_used)]

#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/messages.rs"]
mod messages;

use proptest::collection::vec;
use proptest::prelude::*;
use wire::ccp::{CcpOption, MppeBits};
use wire::control::{MAGIC_COOKIE, MAX_MESSAGE_LEN, Message, Name};
use wire::gre::Header;
use wire::ipcp::IpcpOption;
use wire::ipv6cp::Ipv6cpOption;
use wire::lcp::{AuthProtocol, LcpOption};
use wire::ppp::{Code, Packet, RawOption};
use wire::{chap, gre, pap, ppp};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..400)
}

/// A control message with a right header.
fn control_message() -> impl Strategy<Value = Vec<u8>> {
    (0_u16..18, 12..=MAX_MESSAGE_LEN, vec(any::<u8>(), MAX_MESSAGE_LEN)).prop_map(
        |(kind, length, mut bytes)| {
            bytes.truncate(length);
            bytes[..2].copy_from_slice(&(length as u16).to_be_bytes());
            bytes[2..4].copy_from_slice(&[0, 1]);
            bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            bytes[8..10].copy_from_slice(&kind.to_be_bytes());
            bytes
        },
    )
}

fn ipv4() -> impl Strategy<Value = std::net::Ipv4Addr> {
    any::<u32>().prop_map(Into::into)
}

fn lcp_option() -> impl Strategy<Value = Vec<u8>> {
    let auth = prop_oneof![
        Just(AuthProtocol::Pap),
        any::<u8>().prop_map(AuthProtocol::Chap),
        Just(AuthProtocol::Eap)
    ];
    prop_oneof![
        any::<u16>().prop_map(LcpOption::Mru),
        any::<u32>().prop_map(LcpOption::Accm),
        auth.prop_map(LcpOption::Authentication),
        any::<u32>().prop_map(LcpOption::Magic),
        Just(LcpOption::Pfc),
        Just(LcpOption::Acfc),
        any::<u16>().prop_map(LcpOption::Mrru),
        Just(LcpOption::ShortSequence),
        Just(LcpOption::Callback(&[6])),
        Just(LcpOption::EndpointDiscriminator(&[3, 0, 12, 41, 1, 2, 3])),
    ]
    .prop_map(|option| {
        let mut out = Vec::new();
        option.emit(&mut out);
        assert_eq!(LcpOption::parse(only(&out)), option);
        out
    })
}

/// The one option in `bytes`.
fn only(bytes: &[u8]) -> RawOption<'_> {
    let options: Vec<_> = ppp::options(bytes).collect();
    assert_eq!(options.len(), 1);
    options[0].unwrap()
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_harm(bytes in bytes()) {
        messages::control(&bytes);
        messages::gre(&bytes);
        messages::ppp(&bytes);
        messages::options(&bytes);
    }

    #[test]
    fn every_control_message_is_read_as_it_was_written(messages in vec(control_message(), 1..4)) {
        messages::control(&messages.concat());
    }

    #[test]
    fn frames_of_every_protocol_are_taken_without_harm(
        protocol in prop_oneof![
            Just(0xc021_u16), Just(0x80fd), Just(0x8021), Just(0x8057), Just(0xc223), Just(0xc023),
            Just(0xc227), any::<u16>(),
        ],
        code in 0_u8..17,
        data in bytes(),
        padding in vec(any::<u8>(), 0..4),
    ) {
        let mut frame = vec![0xff, 0x03];
        frame.extend(protocol.to_be_bytes());
        Packet { code: Code(code), id: 1, data: &data }.emit(&mut frame);
        frame.extend(padding);
        messages::ppp(&frame);
    }

    #[test]
    fn options_are_read_as_they_were_written(options in vec(lcp_option(), 0..8)) {
        let bytes = options.concat();
        prop_assert_eq!(ppp::options(&bytes).count(), options.len());
        messages::options(&bytes);
    }

    #[test]
    fn options_of_any_kind_and_length_come_back_the_same(
        kind in any::<u8>(), data in vec(any::<u8>(), 0..=253)
    ) {
        let mut bytes = Vec::new();
        ppp::push_option(&mut bytes, kind, &data);
        prop_assert_eq!(only(&bytes), RawOption { kind, data: &data });
        messages::options(&bytes);
    }

    #[test]
    fn network_options_are_read_as_they_were_written(
        address in ipv4(), bits in any::<u32>(), id in any::<[u8; 8]>()
    ) {
        type Make = fn(std::net::Ipv4Addr) -> IpcpOption<'static>;
        let kinds: [Make; 5] = [
            IpcpOption::Address, IpcpOption::Dns1, IpcpOption::Nbns1, IpcpOption::Dns2,
            IpcpOption::Nbns2,
        ];
        for make in kinds {
            let mut out = Vec::new();
            make(address).emit(&mut out);
            prop_assert_eq!(IpcpOption::parse(only(&out)), make(address));
        }
        let mut out = Vec::new();
        CcpOption::Mppe(MppeBits(bits)).emit(&mut out);
        prop_assert_eq!(CcpOption::parse(only(&out)), CcpOption::Mppe(MppeBits(bits)));
        out.clear();
        Ipv6cpOption::InterfaceId(id).emit(&mut out);
        prop_assert_eq!(Ipv6cpOption::parse(only(&out)), Ipv6cpOption::InterfaceId(id));
    }

    #[test]
    fn gre_packets_are_read_as_they_were_written(
        call_id in any::<u16>(), seq in any::<Option<u32>>(), ack in any::<Option<u32>>(),
        payload in bytes(), padding in vec(any::<u8>(), 0..20)
    ) {
        let header = Header { call_id, seq, ack };
        let payload = if seq.is_some() { &payload[..] } else { &[] };
        let mut packet = vec![0; header.wire_len()];
        prop_assert_eq!(header.emit(payload.len(), &mut packet), packet.len());
        packet.extend(payload);
        packet.extend(padding);
        prop_assert_eq!(gre::parse(&packet), Ok((header, payload)));
    }

    #[test]
    fn authentication_packets_are_read_as_they_were_written(
        id in any::<u8>(), value in vec(any::<u8>(), 0..=255), name in vec(any::<u8>(), 0..=255)
    ) {
        let mut out = Vec::new();
        let challenge = chap::Challenge { id, value: &value, name: &name };
        challenge.emit(&mut out);
        prop_assert_eq!(chap::Challenge::parse(&out), Ok(challenge));
        out.clear();
        let response = chap::Response { id, value: &value, name: &name };
        response.emit(&mut out);
        prop_assert_eq!(chap::Response::parse(&out), Ok(response));
        out.clear();
        let request = pap::AuthenticateRequest { id, peer_id: &value, password: &name };
        request.emit(&mut out);
        prop_assert_eq!(pap::AuthenticateRequest::parse(&out), Ok(request));
        out.clear();
        pap::Nak { id, message: &name }.emit(&mut out);
        let packet = Packet::parse(&out).unwrap();
        prop_assert_eq!((packet.code, packet.id, pap::message(&packet)), (pap::NAK, id, &name[..]));
        out.clear();
        chap::Failure { id, message: &name }.emit(&mut out);
        prop_assert_eq!(Packet::parse(&out), Ok(Packet { code: chap::FAILURE, id, data: &name }));
    }

    #[test]
    fn names_keep_their_bytes_up_to_the_first_zero(text in vec(any::<u8>(), 0..80)) {
        let name = Name::new(&text);
        let cut = &text[..text.len().min(64)];
        let end = cut.iter().position(|byte| *byte == 0).unwrap_or(cut.len());
        prop_assert_eq!(name.as_bytes(), &cut[..end]);
    }

    #[test]
    fn no_part_of_a_password_is_ever_shown(password in "[G-Z]{8,40}", code in 0_u8..4) {
        let mut packet = Vec::new();
        pap::AuthenticateRequest { id: 1, peer_id: b"scott", password: password.as_bytes() }
            .emit(&mut packet);
        packet[0] = if code == 0 { 1 } else { code };
        let frame = [&[0xc0, 0x23], &packet[..]].concat();
        let rejection = Packet { code: Code::PROTOCOL_REJECT, id: 9, data: &frame };
        let mut rejected = vec![0xc0, 0x21];
        rejection.emit(&mut rejected);
        let in_hex: String = password.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut lines = vec![ppp::describe(&rejected).to_string()];
        if packet[0] == 1 {
            lines.push(ppp::describe(&frame).to_string());
            lines.push(format!("{:?}", pap::AuthenticateRequest::parse(&packet).unwrap()));
            // Cut off at any byte.
            lines.extend((0..frame.len()).map(|end| ppp::describe(&frame[..end]).to_string()));
        }
        for line in lines {
            let squeezed = line.replace(' ', "");
            prop_assert!(!line.contains(&password[..4]) && !squeezed.contains(&in_hex[..8]), "{}", line);
        }
    }
}

#[test]
fn an_unknown_message_keeps_its_type() {
    let message = Message::Unknown(wire::control::Unknown { kind: 0xffff });
    assert_eq!(Message::parse(&message.emit()), Ok(message));
}
