//! Where each field of a control message lies (RFC 2637 §2), with a different value in each.

use wire::control::*;

const NAME: usize = 64;

/// A message's bytes behind its header: hexadecimal, and `name` fields of 64 bytes that begin with a letter.
fn body(fields: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields.split(' ') {
        match field.strip_prefix("name:") {
            Some(letter) => {
                out.extend(letter.as_bytes());
                out.resize(out.len() + NAME - letter.len(), 0);
            }
            None => out.extend((0..field.len()).step_by(2).map(|at| {
                u8::from_str_radix(&field[at..at + 2], 16).unwrap_or_else(|_| panic!("{field}"))
            })),
        }
    }
    out
}

fn check(message: Message, kind: u8, length: u8, fields: &str) {
    let header = [0, length, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, kind, 0, 0];
    let bytes = [&header[..], &body(fields)].concat();
    assert_eq!(bytes.len(), usize::from(length));
    assert_eq!(&*message.emit(), bytes, "{message}");
    assert_eq!(Message::parse(&bytes), Ok(message));
    assert_eq!(message.kind(), u16::from(kind));
    // One byte less, and it is no such message.
    let mut short = bytes[..bytes.len() - 1].to_vec();
    short[1] -= 1;
    assert!(Message::parse(&short).is_err(), "{message}");
    // More is taken, as some peers state too much.
    if usize::from(length) < MAX_MESSAGE_LEN {
        let mut long = [&bytes[..], &[9]].concat();
        long[1] += 1;
        assert_eq!(Message::parse(&long), Ok(message));
    }
}

#[test]
fn messages_about_the_connection_have_the_layout_of_the_rfc() {
    let (host_name, vendor) = (Name::new(b"h"), Name::new(b"v"));
    check(
        Message::StartRequest(StartRequest {
            version: 0x0100,
            framing: 1,
            bearer: 2,
            max_channels: 3,
            firmware: 4,
            host_name,
            vendor,
        }),
        1,
        156,
        "0100 0000 00000001 00000002 0003 0004 name:h name:v",
    );
    check(
        Message::StartReply(StartReply {
            version: 0x0100,
            result: 1,
            error: 2,
            framing: 3,
            bearer: 4,
            max_channels: 5,
            firmware: 6,
            host_name,
            vendor,
        }),
        2,
        156,
        "0100 01 02 00000003 00000004 0005 0006 name:h name:v",
    );
    check(Message::StopRequest(StopRequest { reason: 3 }), 3, 16, "03 00 0000");
    check(Message::StopReply(StopReply { result: 1, error: 2 }), 4, 16, "01 02 0000");
    check(Message::EchoRequest(EchoRequest { identifier: 0x01020304 }), 5, 16, "01020304");
    check(
        Message::EchoReply(EchoReply { identifier: 0x01020304, result: 5, error: 6 }),
        6,
        20,
        "01020304 05 06 0000",
    );
}

#[test]
fn messages_about_outgoing_calls_have_the_layout_of_the_rfc() {
    check(
        Message::OutgoingCallRequest(OutgoingCallRequest {
            call_id: 1,
            serial: 2,
            minimum_bps: 3,
            maximum_bps: 4,
            bearer: 5,
            framing: 6,
            receive_window: 7,
            processing_delay: 8,
            phone_number_len: 9,
            phone_number: Name::new(b"p"),
            sub_address: Name::new(b"s"),
        }),
        7,
        168,
        "0001 0002 00000003 00000004 00000005 00000006 0007 0008 0009 0000 name:p name:s",
    );
    check(
        Message::OutgoingCallReply(OutgoingCallReply {
            call_id: 1,
            peer_call_id: 2,
            result: 3,
            error: 4,
            cause: 5,
            connect_speed: 6,
            receive_window: 7,
            processing_delay: 8,
            physical_channel: 9,
        }),
        8,
        32,
        "0001 0002 03 04 0005 00000006 0007 0008 00000009",
    );
    check(Message::CallClearRequest(CallClearRequest { call_id: 1 }), 12, 16, "0001 0000");
    let mut statistics = Statistics::default();
    statistics.0[0] = b'a';
    statistics.0[64] = b'b';
    check(
        Message::CallDisconnectNotify(CallDisconnectNotify {
            call_id: 1,
            result: 2,
            error: 3,
            cause: 4,
            statistics,
        }),
        13,
        148,
        "0001 02 03 0004 0000 name:a name:b",
    );
}

#[test]
fn messages_about_incoming_calls_and_the_line_have_the_layout_of_the_rfc() {
    check(
        Message::IncomingCallRequest(IncomingCallRequest {
            call_id: 1,
            serial: 2,
            bearer: 3,
            physical_channel: 4,
            dialed_number_len: 5,
            dialing_number_len: 6,
            dialed_number: Name::new(b"d"),
            dialing_number: Name::new(b"g"),
            sub_address: Name::new(b"s"),
        }),
        9,
        220,
        "0001 0002 00000003 00000004 0005 0006 name:d name:g name:s",
    );
    check(
        Message::IncomingCallReply(IncomingCallReply {
            call_id: 1,
            peer_call_id: 2,
            result: 3,
            error: 4,
            receive_window: 5,
            processing_delay: 6,
        }),
        10,
        24,
        "0001 0002 03 04 0005 0006 0000",
    );
    check(
        Message::IncomingCallConnected(IncomingCallConnected {
            peer_call_id: 1,
            connect_speed: 2,
            receive_window: 3,
            processing_delay: 4,
            framing: 5,
        }),
        11,
        28,
        "0001 0000 00000002 0003 0004 00000005",
    );
    check(
        Message::WanErrorNotify(WanErrorNotify {
            peer_call_id: 1,
            crc_errors: 2,
            framing_errors: 3,
            hardware_overruns: 4,
            buffer_overruns: 5,
            time_out_errors: 6,
            alignment_errors: 7,
        }),
        14,
        40,
        "0001 0000 00000002 00000003 00000004 00000005 00000006 00000007",
    );
    check(
        Message::SetLinkInfo(SetLinkInfo { peer_call_id: 1, send_accm: 2, receive_accm: 3 }),
        15,
        24,
        "0001 0000 00000002 00000003",
    );
}
