//! Messages of real clients and servers, published messages and hostile ones.
#![allow(clippy::unwrap_used)]

#[allow(unreachable_pub)]
mod common;

use common::{captures, hex, hostile, vectors};
use wire::chap::{Challenge, Response};
use wire::control::{self, Message};
use wire::ppp::{self, Packet, Protocol};
use wire::{gre, pap};

#[test]
fn every_captured_message_is_read() {
    for (name, capture) in captures() {
        for captured in capture {
            let place = format!("{name}, frame {}", captured.frame);
            if captured.is_control {
                read_stream(&place, &captured.bytes);
            } else {
                read_gre(&place, &captured.bytes);
            }
        }
    }
}

/// The messages of one TCP segment, written again as they were.
fn read_stream(place: &str, mut stream: &[u8]) {
    while !stream.is_empty() {
        let length = control::frame_len(stream).unwrap().expect(place);
        let (bytes, rest) = stream.split_at(length);
        let message = Message::parse(bytes).expect(place);
        assert!(!matches!(message, Message::Unknown(_)), "{place}: {message}");
        assert_eq!(&*message.emit(), bytes, "{place}: {message}");
        stream = rest;
    }
}

fn read_gre(place: &str, packet: &[u8]) {
    let (header, payload) = gre::parse(packet).expect(place);
    let mut written = vec![0; header.wire_len()];
    header.emit(payload.len(), &mut written);
    written.extend_from_slice(payload);
    assert_eq!(written, packet[..written.len()], "{place}");
    if payload.is_empty() {
        return assert!(header.ack.is_some(), "{place}: neither payload nor acknowledgement");
    }
    let (protocol, body) = ppp::split(payload).expect(place);
    assert!(!protocol.to_string().starts_with("proto="), "{place}: {protocol}");
    if matches!(protocol, Protocol::COMPRESSED | Protocol::IPV4) {
        return;
    }
    let control = Packet::parse(body).expect(place);
    let mut written = Vec::new();
    control.emit(&mut written);
    assert_eq!(written, body[..written.len()], "{place}");
    let is_configure = (1..=4).contains(&control.code.0);
    match protocol {
        Protocol::LCP | Protocol::CCP | Protocol::IPCP | Protocol::IPV6CP if is_configure => {
            assert!(ppp::options(control.data).all(|option| option.is_ok()), "{place}");
        }
        Protocol::CHAP if control.code.0 == 1 => assert!(Challenge::parse(body).is_ok(), "{place}"),
        Protocol::CHAP if control.code.0 == 2 => assert!(Response::parse(body).is_ok(), "{place}"),
        Protocol::PAP if control.code.0 == 1 => {
            assert!(pap::AuthenticateRequest::parse(body).is_ok(), "{place}");
        }
        _ => {}
    }
    let line = ppp::describe(payload).to_string();
    assert!(!line.contains("malformed"), "{place}: {line}");
}

#[test]
fn every_published_message_is_read() {
    for (name, bytes) in vectors() {
        match bytes[..] {
            // An IP packet with plain GRE, as RFC 2784 has it.
            [0x45, ..] if bytes.len() == 24 => assert!(gre::parse(&bytes[20..]).is_err()),
            [0x45, ..] => {
                let outer = gre::Outer::parse(&bytes).expect(&name);
                read_gre(&name, &bytes[outer.start..outer.end]);
            }
            // Its length field says 148, and 24 bytes follow.
            _ if name == "incoming_call_reply_ref_data" => {
                assert_eq!(control::frame_len(&bytes), Ok(None));
                assert!(Message::parse(&bytes).is_err());
                let corrected = [&[0, 24], &bytes[2..]].concat();
                read_stream(&name, &corrected);
            }
            [0x00, ..] => {
                read_stream(&name, &bytes);
                assert_eq!(Message::parse(&bytes).unwrap().to_string(), published(&name), "{name}");
            }
            [0xc0 | 0xc2, 0x21 | 0x23, ..] => {
                let (_, body) = ppp::split(&bytes).expect(&name);
                let packet = Packet::parse(body).expect(&name);
                assert_eq!(packet.data.len() + Packet::HEADER_LEN, body.len(), "{name}");
                let line = ppp::describe(&bytes).to_string();
                assert!(!line.contains("malformed") && !line.contains("bytes"), "{name}: {line}");
            }
            // A single option.
            _ => {
                let options: Vec<_> = ppp::options(&bytes).collect();
                assert!(
                    matches!(options[..], [Ok(option)] if option.data.len() + 2 == bytes.len())
                );
            }
        }
    }
}

/// What the published control messages say.
fn published(name: &str) -> &'static str {
    match name {
        "start_control_connection_ref_data" => {
            "Start-Control-Connection-Request version=0x0100 framing=1 bearer=2 max_channels=42 \
             firmware=47 host_name=\"test host name\" vendor=\"test vendor string\""
        }
        "start_control_connection_reply_ref_data" => {
            "Start-Control-Connection-Reply version=0x0100 result=2 error=1 framing=2 bearer=1 \
             max_channels=65535 firmware=256 host_name=\"linux\" vendor=\"vendor\""
        }
        "stop_control_connection_ref_data" => "Stop-Control-Connection-Request reason=3",
        "stop_control_connection_reply_ref_data" => {
            "Stop-Control-Connection-Reply result=2 error=6"
        }
        "echo_request_ref_data" => "Echo-Request identifier=42",
        "echo_reply_ref_data" => "Echo-Reply identifier=42 result=1 error=0",
        "outgoing_call_ref_data" => {
            "Outgoing-Call-Request call_id=4242 serial=47 minimum_bps=1000 maximum_bps=10000 \
             bearer=2 framing=3 receive_window=16"
        }
        "outgoing_call_reply_ref_data" => {
            "Outgoing-Call-Reply call_id=4243 peer_call_id=4242 result=4 error=4 \
             connect_speed=5000 receive_window=32"
        }
        "incoming_call_ref_data" => "Incoming-Call-Request call_id=4242 serial=47 bearer=2",
        "incoming_call_connected_ref_data" => {
            "Incoming-Call-Connected peer_call_id=4242 connect_speed=47474747 receive_window=16 \
             framing=3"
        }
        "call_clear_request_ref_data" => "Call-Clear-Request call_id=4242",
        "call_disconnect_notify_ref_data" => "Call-Disconnect-Notify call_id=4242 result=3 error=0",
        "wan_error_notify_ref_data" => {
            "WAN-Error-Notify peer_call_id=4242 crc_errors=1 framing_errors=2 \
             hardware_overruns=3 buffer_overruns=4 time_out_errors=5 alignment_errors=6"
        }
        "set_link_info_ref_data" => {
            "Set-Link-Info peer_call_id=4242 send_accm=0x0f0f0f0f receive_accm=0xf0f0f0f0"
        }
        _ => panic!("{name} is new: say here what it means"),
    }
}

#[test]
fn hostile_control_messages_end_where_they_show() {
    for (name, messages) in hostile("tcp") {
        let stream = messages.concat();
        match name.as_str() {
            "len0_1500A" | "len2_valid_cookie" | "len9_valid_cookie" | "len11_valid_cookie"
            | "bad_cookie" | "winnt_garbage" => {
                // At the length already, or at the cookie.
                let shows = if name == "bad_cookie" { 8 } else { 2 };
                assert_eq!(control::frame_len(&stream[..shows - 1]), Ok(None), "{name}");
                assert!(control::frame_len(&stream[..shows]).is_err(), "{name}");
            }
            "len12_type1" => {
                assert_eq!(control::frame_len(&stream), Ok(Some(12)));
                assert!(Message::parse(&stream).is_err());
            }
            "len157_type1" => {
                assert_eq!(control::frame_len(&stream), Ok(Some(157)));
                assert!(matches!(Message::parse(&stream), Ok(Message::StartRequest(_))));
            }
            _ => {
                let mut rest = &stream[..];
                while let Some(length) = control::frame_len(rest).expect(&name) {
                    let line = Message::parse(&rest[..length]).expect(&name).to_string();
                    assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
                    rest = &rest[length..];
                }
                assert!(rest.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn hostile_gre_packets_are_refused_or_harmless() {
    for (name, messages) in hostile("gre") {
        let [packet] = &messages[..] else { panic!("{name}: one packet was expected") };
        let read = gre::parse(packet);
        match name.as_str() {
            "gre_plen_0_seq" => assert!(read.unwrap().1.is_empty()),
            "gre_ack_minus1" => assert_eq!(read.unwrap().0.ack, Some(u32::MAX)),
            "gre_wrong_call" => assert_eq!(read.unwrap().0.call_id, 0xfffe),
            _ => assert!(read.is_err(), "{name}: {read:?}"),
        }
    }
}

#[test]
fn hostile_frames_are_refused_or_harmless() {
    for (name, messages) in hostile("ppp") {
        let [frame] = &messages[..] else { panic!("{name}: one frame was expected") };
        let line = ppp::describe(frame).to_string();
        let expected = match name.as_str() {
            "one_byte" => "[malformed PPP frame: PPP address without control field (at byte 0)]",
            "proto_odd_one" => "[IP 0 bytes]",
            "lcp_len0" => "[LCP malformed packet, 4 bytes]",
            "lcp_len_gt" => "[LCP malformed packet, 6 bytes]",
            "lcp_opt_len1" => "[LCP ConfReq id=0x1 <malformed option>]",
            "lcp_mru_short" => "[LCP ConfReq id=0x1 < 01 03 00>]",
            "lcp_chap_noalg" => "[LCP ConfReq id=0x1 <auth 0xc223>]",
            "lcp_epdisc_empty" => "[LCP ConfReq id=0x1 < 13 02>]",
            "code_rej_of_code_rej" => "[LCP CodeRej id=0x1 07 02 00 04]",
            "protrej_lcp" => "[LCP ProtRej id=0x1 LCP]",
            "echo_short" => "[LCP EchoReq id=0x1]",
            "ident_short" => "[LCP Ident id=0x1 \"\"]",
            "chap_len3" => "[CHAP malformed packet, 4 bytes]",
            "pap_len_gt" | "pap_len4" => "[PAP code=1 id=0x1]",
            "ccp_mppe_len2" => "[CCP ConfReq id=0x1 < 12 02>]",
            "ccp_mppe_all" => "[CCP ConfReq id=0x1 <mppe +H +M +S +L +D +C>]",
            "ccp_deflate_short" => "[CCP malformed packet, 7 bytes]",
            "acsp_8235" => "[ACSCP 16 bytes]",
            _ => &line,
        };
        assert_eq!(line, expected, "{name}");
        assert!(line.chars().count() < 1200, "{name}: {line}");
        assert!(!line.contains(|c: char| c.is_control()), "{name}: {line:?}");
    }
}

#[test]
fn frames_are_shown_as_pppd_shows_them() {
    let windows = "ff03c02101000015 01040578 050606f35480 0702 0802 0d0306";
    let w2000 = "c0210100002c 050600001092 0702 0802 0d0306 1104064e \
         1317 01 00112233445566778899aabbccddeeff 00000001";
    for (frame, line) in [
        (
            windows,
            "[LCP ConfReq id=0x0 <mru 1400> <magic 0x6f35480> <pcomp> <accomp> <callback CBCP>]",
        ),
        (
            w2000,
            "[LCP ConfReq id=0x0 <magic 0x1092> <pcomp> <accomp> <callback CBCP> <mrru 1614> \
             <endpoint [local:00.11.22.33.44.55.66.77.88.99.aa.bb.cc.dd.ee.ff.00.00.00.01]>]",
        ),
        (
            "c02101010015 020600000000 0305c22381 0506a1b2c3d4",
            "[LCP ConfReq id=0x1 <asyncmap 0x0> <auth chap MS-v2> <magic 0xa1b2c3d4>]",
        ),
        (
            "c0210c02001200001092 4d53524153 56352e3230",
            "[LCP Ident id=0x2 magic=0x1092 \"MSRASV5.20\"]",
        ),
        ("c02105020011 4d505045 20 64697361626c6564", "[LCP TermReq id=0x2 \"MPPE disabled\"]"),
        ("80fd0104000a120601000040", "[CCP ConfReq id=0x4 <mppe +H -M +S -L -D -C>]"),
        (
            "802101070022 0306 00000000 8106 00000000 8206 00000000 8306 00000000 8406 00000000",
            "[IPCP ConfReq id=0x7 <addr 0.0.0.0> <ms-dns1 0.0.0.0> <ms-wins 0.0.0.0> \
             <ms-dns2 0.0.0.0> <ms-wins 0.0.0.0>]",
        ),
        ("80210105000a 0206002d0f01", "[IPCP ConfReq id=0x5 <compress VJ 0f01>]"),
        (
            "80570105000e 010a0123456789abcdef",
            "[IPV6CP ConfReq id=0x5 <addr fe80::0123:4567:89ab:cdef>]",
        ),
        (
            "c2230117001a10000102030405060708090a0b0c0d0e0f7070747064",
            "[CHAP Challenge id=0x17 <000102030405060708090a0b0c0d0e0f>, name = \"pptpd\"]",
        ),
        ("c0230200000500", "[PAP AuthAck id=0x0 \"\"]"),
        ("c02302000004", "[PAP AuthAck id=0x0 \"\"]"),
        (
            "c0230101000f 0573636f7474 0473656372",
            "[PAP AuthReq id=0x1 user=\"scott\" password=<hidden>]",
        ),
        ("c02108020008 80570105", "[LCP ProtRej id=0x2 IPV6CP 01 05]"),
    ] {
        assert_eq!(ppp::describe(&hex(&frame.replace(' ', ""))).to_string(), line);
    }
}

#[test]
fn a_windows_client_says_who_it_is() {
    let bytes = hex(&format!(
        "009c00011a2b3c4d00010000010000000000000100000001 00000000{:0128}{:0<128}",
        0, "4d6963726f736f6674"
    )
    .replace(' ', ""));
    let Ok(Message::StartRequest(request)) = Message::parse(&bytes) else {
        panic!("not a Start-Control-Connection-Request");
    };
    assert_eq!((request.version, request.framing, request.bearer), (0x100, 1, 1));
    assert_eq!((request.max_channels, request.firmware), (0, 0));
    assert_eq!(
        (request.host_name.as_bytes(), request.vendor.as_bytes()),
        (&b""[..], &b"Microsoft"[..])
    );
}

#[test]
fn a_published_outgoing_call_request_keeps_number_and_sub_address() {
    let vectors = vectors();
    let Some((_, bytes)) = vectors.iter().find(|(name, _)| name == "outgoing_call_ref_data") else {
        return assert!(vectors.is_empty());
    };
    let Ok(Message::OutgoingCallRequest(request)) = Message::parse(bytes) else {
        panic!("not an Outgoing-Call-Request");
    };
    assert_eq!(request.processing_delay, 1);
    assert_eq!(request.phone_number_len, 9);
    assert_eq!(request.phone_number.as_bytes(), b"123456789");
    assert_eq!(request.sub_address.as_bytes(), b"test");
}
