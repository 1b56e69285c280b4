use super::*;

fn client() -> Connection {
    Connection::new(Role::Pns, Config::windows_like(), Instant::ZERO)
}

fn start_reply(result: u8) -> Message {
    Message::StartReply(control::StartReply {
        version: 0x0100,
        result,
        error: 0,
        framing: 0,
        bearer: 0,
        max_channels: 1,
        firmware: 1,
        host_name: Name::new(b"local"),
        vendor: Name::new(b"linux"),
    })
}

fn call_reply(result: u8) -> Message {
    Message::OutgoingCallReply(control::OutgoingCallReply {
        call_id: PEER_CALL,
        peer_call_id: OUR_CALL,
        result,
        error: 4,
        cause: 0,
        connect_speed: 64_000,
        receive_window: 16,
        processing_delay: 0,
        physical_channel: 0,
    })
}

/// A client with a call up.
fn calling() -> Connection {
    let mut connection = client();
    connection.place_call(Instant::ZERO, OUR_CALL).unwrap();
    feed(&mut connection, Instant::ZERO, &[start_reply(1), call_reply(1)]);
    drain(&mut connection);
    connection
}

#[test]
fn the_start_request_leaves_at_once_and_looks_like_windows() {
    let sent = drain(&mut client());
    let Some(Output::Message(bytes)) = sent.last() else { panic!("{sent:?}") };
    let mut expected = [0u8; 156];
    expected[..24].copy_from_slice(&[
        0, 0x9c, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1,
    ]);
    expected[92..101].copy_from_slice(b"Microsoft");
    assert_eq!(bytes[..], expected[..]);
}

#[test]
fn a_call_is_placed_once_the_server_has_agreed_and_link_info_follows_its_reply() {
    let mut connection = client();
    connection.place_call(Instant::ZERO, OUR_CALL).unwrap();
    drain(&mut connection);
    feed(&mut connection, at(1), &[start_reply(1)]);
    let outputs = drain(&mut connection);
    assert!(matches!(events(&outputs)[..], [Event::Started(_)]));
    let Message::OutgoingCallRequest(request) = message(&outputs) else { panic!() };
    assert_eq!((request.call_id, request.serial, request.receive_window), (OUR_CALL, 1, 64));
    feed(&mut connection, at(1), &[call_reply(1)]);
    let outputs = drain(&mut connection);
    assert_eq!(
        events(&outputs),
        [Event::CallConnected {
            our_call_id: OUR_CALL,
            peer_call_id: PEER_CALL,
            window: 16,
            speed: 64_000,
        }]
    );
    assert_eq!(messages(&outputs), [link_info(PEER_CALL)]);
}

#[test]
fn a_start_reply_with_result_0_is_taken_for_a_yes_as_android_does() {
    let mut connection = client();
    feed(&mut connection, at(1), &[start_reply(0)]);
    assert!(matches!(events(&drain(&mut connection))[..], [Event::Started(_)]));
}

#[test]
fn a_refused_start_and_a_refused_call_are_named() {
    let mut refused = client();
    feed(&mut refused, at(1), &[start_reply(4)]);
    assert_eq!(
        closed_with(&drain(&mut refused)),
        Some(Cause::StartRefused { result: 4, error: 0 })
    );
    for result in [0, 2, 7] {
        let mut connection = client();
        connection.place_call(Instant::ZERO, OUR_CALL).unwrap();
        feed(&mut connection, at(1), &[start_reply(1), call_reply(result)]);
        assert_eq!(
            events(&drain(&mut connection)).last(),
            Some(&Event::CallRefused { our_call_id: OUR_CALL, result, error: 4 })
        );
    }
}

#[test]
fn a_server_that_does_not_answer_is_named_at_each_stage() {
    let mut start = client();
    start.handle_timeout(at(30));
    assert_eq!(closed_with(&drain(&mut start)), Some(Cause::SetupTimeout));
    let mut call = client();
    call.place_call(Instant::ZERO, OUR_CALL).unwrap();
    feed(&mut call, at(1), &[start_reply(1)]);
    drain(&mut call);
    assert_eq!(call.poll_timeout(), Some((at(61), Timer::CallReply)));
    call.handle_timeout(at(61));
    assert_eq!(
        events(&drain(&mut call)),
        [Event::CallEnded {
            our_call_id: Some(OUR_CALL),
            peer_call_id: None,
            reason: CallEnd::NoAnswer,
        }]
    );
}

#[test]
fn clearing_waits_for_the_server_s_disconnect_notify() {
    let mut connection = calling();
    connection.clear_call(at(1), OUR_CALL).unwrap();
    assert_eq!(messages(&drain(&mut connection)), [clear_request(OUR_CALL)]);
    feed(&mut connection, at(2), &[disconnect_notify(PEER_CALL)]);
    let ended = Event::CallEnded {
        our_call_id: Some(OUR_CALL),
        peer_call_id: Some(PEER_CALL),
        reason: CallEnd::ClearedByUs,
    };
    assert_eq!(event(&drain(&mut connection)), ended);
    let mut unanswered = calling();
    unanswered.clear_call(at(1), OUR_CALL).unwrap();
    drain(&mut unanswered);
    unanswered.handle_timeout(at(6));
    assert_eq!(event(&drain(&mut unanswered)), ended);
}

#[test]
fn a_call_cleared_while_it_is_placed_ends_with_the_late_replies() {
    let mut connection = client();
    connection.place_call(Instant::ZERO, OUR_CALL).unwrap();
    feed(&mut connection, at(1), &[start_reply(1)]);
    connection.clear_call(at(1), OUR_CALL).unwrap();
    drain(&mut connection);
    feed(&mut connection, at(2), &[call_reply(1), disconnect_notify(PEER_CALL)]);
    let events = events(&drain(&mut connection));
    assert!(
        matches!(events[..], [Event::CallEnded { reason: CallEnd::ClearedByUs, .. }]),
        "{events:?}"
    );
}

#[test]
fn a_call_that_the_server_ends_is_reported_with_its_result() {
    let mut connection = calling();
    feed(&mut connection, at(1), &[disconnect_notify(PEER_CALL)]);
    let events = events(&drain(&mut connection));
    assert!(
        matches!(
            events[..],
            [Event::CallEnded { reason: CallEnd::DisconnectedByPeer { result: 0, .. }, .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn the_server_s_own_requests_are_refused_or_ignored() {
    let mut connection = calling();
    feed(&mut connection, at(1), &[start_request(0x0100), call_request(9)]);
    let outputs = drain(&mut connection);
    let Message::OutgoingCallReply(reply) = message(&outputs) else { panic!() };
    assert_eq!((reply.peer_call_id, reply.result), (9, 7));
    assert_eq!(event(&outputs), Event::Ignored(Trouble::Unexpected));
    assert_eq!(connection.clear_call(at(1), OUR_CALL), Ok(()));
}

#[test]
fn rras_as_a_server_swaps_its_speed_sends_link_info_with_garbage_and_may_clear_the_call_itself() {
    let mut connection = client();
    connection.place_call(Instant::ZERO, OUR_CALL).unwrap();
    let Message::OutgoingCallReply(mut reply) = call_reply(1) else { panic!() };
    reply.connect_speed = 13_277_755;
    reply.receive_window = 16_384;
    feed(&mut connection, at(1), &[start_reply(1), Message::OutgoingCallReply(reply)]);
    drain(&mut connection);
    let mut info = link_info(OUR_CALL).emit().to_vec();
    info[14..16].copy_from_slice(&[0xa1, 0x96]);
    connection.handle_bytes(at(1), &info);
    assert!(matches!(event(&drain(&mut connection)), Event::LinkInfo { .. }));
    feed(&mut connection, at(2), &[clear_request(PEER_CALL)]);
    let outputs = drain(&mut connection);
    assert!(matches!(
        event(&outputs),
        Event::CallEnded { our_call_id: Some(OUR_CALL), reason: CallEnd::ClearedByPeer, .. }
    ));
    assert!(matches!(message(&outputs), Message::CallDisconnectNotify(_)));
}

#[test]
fn an_id_can_be_placed_once_and_not_on_a_dead_connection() {
    let mut connection = calling();
    assert_eq!(connection.place_call(at(1), OUR_CALL), Err(NoSuchCall));
    connection.handle_eof(at(1));
    assert_eq!(connection.place_call(at(1), 5), Err(NoSuchCall));
    assert_eq!(connection.clear_call(at(1), OUR_CALL), Err(NoSuchCall));
    assert_eq!(connection.set_link_info(OUR_CALL, 0, 0), Err(NoSuchCall));
}

#[test]
fn link_info_goes_to_the_server_s_call_id() {
    let mut connection = calling();
    connection.set_link_info(OUR_CALL, u32::MAX, u32::MAX).unwrap();
    assert_eq!(messages(&drain(&mut connection)), [link_info(PEER_CALL)]);
}

#[test]
fn two_engines_understand_each_other() {
    let mut client = client();
    let mut server = pac();
    client.place_call(Instant::ZERO, OUR_CALL).unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        for output in drain(&mut client) {
            match output {
                Output::Message(bytes) => server.handle_bytes(at(1), &bytes),
                Output::Event(event) => seen.push(event),
                Output::Close => panic!("closed"),
            }
        }
        for output in drain(&mut server) {
            match output {
                Output::Message(bytes) => client.handle_bytes(at(1), &bytes),
                Output::Event(Event::CallRequested(request)) => {
                    server.accept_call(request.peer_call_id, 42).unwrap();
                }
                Output::Event(_) => {}
                Output::Close => panic!("closed"),
            }
        }
    }
    assert!(seen.iter().any(|event| matches!(
        event,
        Event::CallConnected { our_call_id: OUR_CALL, peer_call_id: 42, .. }
    )));
}
