//! Messages of every type, as the project writes them.

use std::net::Ipv4Addr;

use wire::ccp::{CcpOption, MppeBits};
use wire::control::*;
use wire::gre::Header;
use wire::ipcp::IpcpOption;
use wire::ipv6cp::Ipv6cpOption;
use wire::lcp::{AuthProtocol, LcpOption};
use wire::ppp::{Code, Packet, Protocol};
use wire::{chap, pap};

type Seeds = Vec<(String, Vec<u8>)>;

pub fn control() -> Seeds {
    let messages = control_messages();
    let mut seeds: Seeds = messages
        .iter()
        .map(|message| (format!("{:02}", message.kind()), message.emit().to_vec()))
        .collect();
    let conversation: Vec<u8> =
        messages.iter().flat_map(|message| message.emit().to_vec()).collect();
    seeds.push(("all".into(), conversation));
    seeds
}

/// A question as Windows asks it after IPCP, and what it is told: a domain, a name server and a route.
pub fn dhcp() -> Seeds {
    let mut message = vec![1, 8, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 192, 168, 77, 100];
    message.resize(236, 0);
    message.extend_from_slice(&[99, 130, 83, 99, 53, 1, 8, 61, 7, 8, 0, 0x53, 0x45, 0, 0, 0]);
    message.extend_from_slice(&[55, 7, 6, 44, 43, 1, 249, 121, 15, 255]);
    let udp_len = (8 + message.len() as u16).to_be_bytes();
    let len = (28 + message.len() as u16).to_be_bytes();
    let mut question = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 128, 17, 0, 0];
    question.extend_from_slice(&[192, 168, 77, 100, 255, 255, 255, 255]);
    question.extend_from_slice(&[0, 68, 0, 67, udp_len[0], udp_len[1], 0, 0]);
    question.extend_from_slice(&message);
    let told = [&[11][..], b"example.com", &[10, 0, 0, 53], &[11, 0, 0, 0, 8]].concat();
    vec![("windows".into(), [question.clone(), told].concat()), ("alone".into(), question)]
}

fn control_messages() -> Vec<Message> {
    let (host_name, vendor, none) = (Name::new(b"gate"), Name::new(b"gretel"), Name::new(b""));
    let (version, framing, bearer, max_channels, firmware) = (0x100, 3, 3, 0, 1);
    let (call_id, peer_call_id, serial, result, error) = (0x1234, 0x4321, 1, 1, 0);
    let (receive_window, processing_delay, connect_speed, physical_channel) =
        (64, 0, 10_000_000, 0);
    vec![
        Message::StartRequest(StartRequest {
            version,
            framing,
            bearer,
            max_channels,
            firmware,
            host_name,
            vendor,
        }),
        Message::StartReply(StartReply {
            version,
            result,
            error,
            framing,
            bearer,
            max_channels,
            firmware,
            host_name,
            vendor,
        }),
        Message::OutgoingCallRequest(OutgoingCallRequest {
            call_id,
            serial,
            minimum_bps: 300,
            maximum_bps: 100_000_000,
            bearer,
            framing,
            receive_window,
            processing_delay,
            phone_number_len: 0,
            phone_number: none,
            sub_address: none,
        }),
        Message::OutgoingCallReply(OutgoingCallReply {
            call_id,
            peer_call_id,
            result,
            error,
            cause: 0,
            connect_speed,
            receive_window,
            processing_delay,
            physical_channel,
        }),
        Message::IncomingCallRequest(IncomingCallRequest {
            call_id,
            serial,
            bearer,
            physical_channel,
            dialed_number_len: 0,
            dialing_number_len: 0,
            dialed_number: none,
            dialing_number: none,
            sub_address: none,
        }),
        Message::IncomingCallReply(IncomingCallReply {
            call_id,
            peer_call_id,
            result,
            error,
            receive_window,
            processing_delay,
        }),
        Message::IncomingCallConnected(IncomingCallConnected {
            peer_call_id,
            connect_speed,
            receive_window,
            processing_delay,
            framing,
        }),
        Message::SetLinkInfo(SetLinkInfo {
            peer_call_id,
            send_accm: u32::MAX,
            receive_accm: u32::MAX,
        }),
        Message::WanErrorNotify(WanErrorNotify {
            peer_call_id,
            crc_errors: 1,
            framing_errors: 2,
            hardware_overruns: 3,
            buffer_overruns: 4,
            time_out_errors: 5,
            alignment_errors: 6,
        }),
        Message::EchoRequest(EchoRequest { identifier: 7 }),
        Message::EchoReply(EchoReply { identifier: 7, result, error }),
        Message::CallClearRequest(CallClearRequest { call_id }),
        Message::CallDisconnectNotify(CallDisconnectNotify {
            call_id,
            result: 4,
            error,
            cause: 0,
            statistics: Statistics::default(),
        }),
        Message::StopRequest(StopRequest { reason: 1 }),
        Message::StopReply(StopReply { result, error }),
        Message::Unknown(Unknown { kind: 99 }),
    ]
}

pub fn gre() -> Seeds {
    let payload = [0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0];
    let packet = |seq: Option<u32>, ack: Option<u32>, payload: &[u8]| {
        let header = Header { call_id: 0x1234, seq, ack };
        let mut bytes = vec![0; header.wire_len()];
        header.emit(payload.len(), &mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    };
    let data = packet(Some(0), Some(u32::MAX), &payload);
    let total = 20 + data.len() as u8;
    let mut outer =
        vec![0x45, 0, 0, total, 0, 0, 0x40, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    outer.extend_from_slice(&data);
    vec![
        ("data".into(), packet(Some(1), None, &payload)),
        ("data-and-acknowledgement".into(), data),
        ("acknowledgement".into(), packet(None, Some(1), &[])),
        ("in-ipv4".into(), outer),
    ]
}

pub fn ppp() -> Seeds {
    let mut seeds: Seeds = requests();
    let mut add = |label: &str, protocol: Protocol, packet: &[u8]| {
        seeds.push((label.into(), framed(protocol, packet)));
    };
    for (label, code, data) in [
        ("terminate-request", Code::TERMINATE_REQUEST, &b"MPPE disabled"[..]),
        ("code-reject", Code::CODE_REJECT, &[99, 1, 0, 4]),
        ("protocol-reject", Code::PROTOCOL_REJECT, &[0x82, 0x35, 1, 1, 0, 4]),
        ("echo-request", Code::ECHO_REQUEST, &[0, 0, 0x10, 0x92]),
        ("identification", Code::IDENTIFICATION, b"\0\0\x10\x92MSRASV5.20"),
        ("time-remaining", Code::TIME_REMAINING, &[0, 0, 0x10, 0x92, 0, 0, 0, 60]),
    ] {
        add(label, Protocol::LCP, &packet(code, data));
    }
    add("ccp-reset-request", Protocol::CCP, &packet(Code::RESET_REQUEST, &[]));
    let mut out = Vec::new();
    chap::Challenge { id: 1, value: &[7; 16], name: b"pptpd" }.emit(&mut out);
    add("chap-challenge", Protocol::CHAP, &out);
    out.clear();
    chap::Response { id: 1, value: &[8; 49], name: b"scott" }.emit(&mut out);
    add("chap-response", Protocol::CHAP, &out);
    out.clear();
    chap::Failure { id: 1, message: b"E=691 R=1 C=00 V=3 M=Authentication failure" }.emit(&mut out);
    add("chap-failure", Protocol::CHAP, &out);
    out.clear();
    pap::AuthenticateRequest { id: 1, peer_id: b"scott", password: b"turquoise" }.emit(&mut out);
    add("pap-request", Protocol::PAP, &out);
    out.clear();
    pap::Ack { id: 1, message: b"" }.emit(&mut out);
    add("pap-ack", Protocol::PAP, &out);
    add("mppe", Protocol::COMPRESSED, &[0x90, 0, 1, 2, 3, 4]);
    seeds
}

fn requests() -> Seeds {
    let mut lcp = Vec::new();
    for option in [
        LcpOption::Mru(1400),
        LcpOption::Accm(0),
        LcpOption::Authentication(AuthProtocol::Chap(0x81)),
        LcpOption::Magic(0x1092),
        LcpOption::Pfc,
        LcpOption::Acfc,
        LcpOption::Callback(&[6]),
        LcpOption::Mrru(1614),
        LcpOption::ShortSequence,
        LcpOption::EndpointDiscriminator(&[3, 0, 12, 41, 1, 2, 3]),
    ] {
        option.emit(&mut lcp);
    }
    let (mut ccp, mut ipcp, mut ipv6cp) = (Vec::new(), Vec::new(), Vec::new());
    CcpOption::Mppe(MppeBits(0x0100_0040)).emit(&mut ccp);
    for option in [
        IpcpOption::Address(Ipv4Addr::UNSPECIFIED),
        IpcpOption::Compression(&[0, 0x2d, 15, 1]),
        IpcpOption::Dns1(Ipv4Addr::UNSPECIFIED),
        IpcpOption::Nbns1(Ipv4Addr::UNSPECIFIED),
        IpcpOption::Dns2(Ipv4Addr::UNSPECIFIED),
        IpcpOption::Nbns2(Ipv4Addr::UNSPECIFIED),
    ] {
        option.emit(&mut ipcp);
    }
    Ipv6cpOption::InterfaceId([1, 2, 3, 4, 5, 6, 7, 8]).emit(&mut ipv6cp);
    [
        ("lcp-request", Protocol::LCP, lcp),
        ("ccp-request", Protocol::CCP, ccp),
        ("ipcp-request", Protocol::IPCP, ipcp),
        ("ipv6cp-request", Protocol::IPV6CP, ipv6cp),
    ]
    .map(|(label, protocol, options)| {
        (label.to_string(), framed(protocol, &packet(Code::CONFIGURE_REQUEST, &options)))
    })
    .to_vec()
}

fn packet(code: Code, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Packet { code, id: 1, data }.emit(&mut out);
    out
}

fn framed(protocol: Protocol, packet: &[u8]) -> Vec<u8> {
    [&[0xff, 0x03], &protocol.0.to_be_bytes()[..], packet].concat()
}
