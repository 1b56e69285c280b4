use super::*;
use crate::fixtures;

/// What a server does with an input: the outputs of all its messages.
fn serve(messages: &[Vec<u8>]) -> Vec<Output> {
    let mut connection = pac();
    let mut outputs = Vec::new();
    for message in messages {
        connection.handle_bytes(Instant::ZERO, message);
        loop {
            let some = drain(&mut connection);
            if some.is_empty() {
                break;
            }
            for output in &some {
                if let Output::Event(Event::CallRequested(request)) = output {
                    let id = request.peer_call_id.wrapping_add(1000);
                    connection.accept_call(request.peer_call_id, id).unwrap();
                }
            }
            outputs.extend(some);
        }
    }
    outputs
}

fn assert_serves_a_fresh_connection() {
    let outputs = serve(&[start_request(0x0100).emit().to_vec(), call_request(7).emit().to_vec()]);
    assert!(events(&outputs).iter().any(|event| matches!(event, Event::CallConnected { .. })));
}

#[test]
fn collected_hostile_inputs_do_no_harm_and_end_as_expected() {
    for input in fixtures::hostile("tcp") {
        let outputs = serve(&input.messages);
        let closed = closed_with(&outputs).is_some();
        let (name, expect) = (&input.name, &input.expect);
        let replies = messages(&outputs);
        match expect.as_str() {
            "close" | "close; never read(length-2)" | "close (or skip), no underflow, no spin" => {
                assert!(closed, "{name}: {expect}: {outputs:?}");
            }
            "handle both" | "log escaped, bounded" | "ignore" | "bounded; OCRP busy result 4/7" => {
                assert!(!closed, "{name}: {expect}: {outputs:?}");
                assert!(matches!(replies[0], Message::StartReply(_)), "{name}");
            }
            "SCCRP result 3 (channel exists) or close" => {
                let Message::StartReply(reply) = &replies[1] else { panic!("{name}") };
                assert_eq!(reply.result, 3, "{name}");
            }
            "ignore/close" | "either, but framing by Length" => {}
            other => panic!("{name}: an expectation that this test does not know: {other}"),
        }
        assert_serves_a_fresh_connection();
    }
}

#[test]
fn names_without_end_and_with_escape_sequences_are_shown_escaped() {
    let mut bytes = start_request(0x0100).emit().to_vec();
    bytes[28..92].fill(b'B');
    bytes[28..33].copy_from_slice(b"A\n\x1b[1");
    bytes[92..].fill(0xff);
    let outputs = serve(&[bytes]);
    let Event::Started(peer) = event(&outputs) else { panic!() };
    let shown = std::format!("{} {}", peer.host_name, peer.vendor);
    assert!(shown.chars().all(|character| !character.is_control()), "{shown:?}");
    assert!(shown.len() <= 4 * 128 + 1, "{shown:?}");
}

#[test]
fn a_flood_of_messages_ends_the_connection_and_its_outputs_are_bounded() {
    let mut connection = connected();
    let echo = Message::EchoRequest(control::EchoRequest { identifier: 1 }).emit().to_vec();
    let flood: Vec<u8> = echo.iter().copied().cycle().take(echo.len() * 4096).collect();
    connection.handle_bytes(at(1), &flood);
    let outputs = drain(&mut connection);
    assert_eq!(closed_with(&outputs), Some(Cause::TooManyMessages));
    assert!(outputs.len() < 500, "{}", outputs.len());
}

#[test]
fn a_steady_peer_within_the_rate_is_served_for_hours() {
    let mut connection = connected();
    for second in 1..7200 {
        for identifier in 0..10 {
            feed(
                &mut connection,
                at(second),
                &[Message::EchoRequest(control::EchoRequest { identifier })],
            );
        }
        connection.handle_timeout(at(second));
        assert_eq!(closed_with(&drain(&mut connection)), None);
    }
}

/// CVE-2021-42870: start, call, clear, again and again.
#[test]
fn calls_placed_and_cleared_again_and_again_leave_nothing_behind() {
    let mut connection = started();
    for round in 0..50 {
        feed(&mut connection, at(round), &[call_request(0xe60c)]);
        connection.accept_call(0xe60c, 1 + round as u16).unwrap();
        feed(&mut connection, at(round), &[clear_request(0xe60c)]);
        let events = events(&drain(&mut connection));
        assert!(matches!(events.last(), Some(Event::CallEnded { .. })), "{events:?}");
    }
    assert!(connection.calls.is_empty());
}

/// CVE-2022-23253: an incoming call connected twice.
#[test]
fn incoming_call_connected_twice_is_ignored_twice() {
    let mut connection = started();
    let connected = Message::IncomingCallConnected(control::IncomingCallConnected {
        peer_call_id: 3,
        connect_speed: 64,
        receive_window: 64,
        processing_delay: 0,
        framing: 1,
    });
    feed(&mut connection, at(1), &[connected, connected]);
    let ignored = Event::Ignored(Trouble::Unexpected);
    assert_eq!(events(&drain(&mut connection)), [ignored.clone(), ignored]);
}

/// CVE-2022-21972: the end at every half-received message.
#[test]
fn the_connection_may_end_within_any_message() {
    let stream: Vec<u8> = [start_request(0x0100), call_request(1), link_info(1), clear_request(1)]
        .iter()
        .flat_map(bytes_of)
        .collect();
    for len in 0..=stream.len() {
        let mut connection = pac();
        connection.handle_bytes(Instant::ZERO, &stream[..len]);
        connection.handle_eof(Instant::ZERO);
        assert_eq!(closed_with(&drain(&mut connection)), Some(Cause::PeerClosed));
    }
}

#[test]
fn every_field_of_every_message_may_hold_anything() {
    let streams = [start_request(0x0100), call_request(1), link_info(1), clear_request(1)];
    for (number, message) in streams.iter().enumerate() {
        let bytes = message.emit().to_vec();
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut mutated = bytes.clone();
                mutated[at] = value;
                let mut sent: Vec<Vec<u8>> = streams[..number].iter().map(bytes_of).collect();
                sent.push(mutated);
                sent.extend(streams[number..].iter().map(bytes_of));
                serve(&sent);
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_in_any_role_are_taken_without_a_panic(
        bytes: Vec<Vec<u8>>,
        is_client: bool,
    ) {
        let role = if is_client { Role::Pns } else { Role::Pac };
        let mut connection = Connection::new(role, Config::default(), Instant::ZERO);
        if !is_client {
            feed(&mut connection, Instant::ZERO, &[start_request(0x0100)]);
        }
        for bytes in bytes {
            connection.handle_bytes(Instant::ZERO, &bytes);
        }
        connection.handle_timeout(at(1000));
        drain(&mut connection);
    }
}
