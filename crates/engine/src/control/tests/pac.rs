use super::*;

fn call_reply(outputs: &[Output]) -> control::OutgoingCallReply {
    match messages(outputs).as_slice() {
        [Message::OutgoingCallReply(reply)] => *reply,
        other => panic!("not one Outgoing-Call-Reply: {other:?}"),
    }
}

#[test]
fn a_start_request_is_answered_as_pptpd_does() {
    let mut connection = pac();
    feed(&mut connection, Instant::ZERO, &[start_request(0x0100)]);
    let outputs = drain(&mut connection);
    let Message::StartReply(reply) = message(&outputs) else { panic!() };
    assert_eq!((reply.version, reply.result, reply.error, reply.firmware), (0x0100, 1, 0, 1));
    assert_eq!((reply.host_name, reply.vendor), (Name::new(b"local"), Name::new(b"linux")));
    let Event::Started(peer) = event(&outputs) else { panic!() };
    assert_eq!(peer.vendor, Name::new(b"Microsoft"));
}

#[test]
fn an_unknown_protocol_version_is_refused_with_result_5_and_the_end() {
    let mut connection = pac();
    feed(&mut connection, Instant::ZERO, &[start_request(0x0200)]);
    let outputs = drain(&mut connection);
    let Message::StartReply(reply) = message(&outputs) else { panic!() };
    assert_eq!(reply.result, 5);
    assert_eq!(closed_with(&outputs), Some(Cause::VersionNotSupported(0x0200)));
}

#[test]
fn a_second_start_is_answered_with_result_3_and_the_call_stays() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[start_request(0x0100)]);
    let outputs = drain(&mut connection);
    let Message::StartReply(reply) = message(&outputs) else { panic!() };
    assert_eq!(reply.result, 3);
    assert_eq!(events(&outputs), [Event::Ignored(Trouble::AlreadyStarted)]);
    connection.disconnect_call(at(1), OUR_CALL, 3).unwrap();
}

#[test]
fn a_call_is_connected_with_the_peer_s_own_maximum_speed_and_a_wide_window() {
    let mut connection = started();
    feed(&mut connection, at(1), &[call_request(PEER_CALL)]);
    assert_eq!(
        events(&drain(&mut connection)),
        [Event::CallRequested(CallRequest {
            peer_call_id: PEER_CALL,
            serial: 1,
            minimum_bps: 300,
            maximum_bps: 100_000_000,
            window: 64,
        })]
    );
    connection.accept_call(PEER_CALL, OUR_CALL).unwrap();
    let outputs = drain(&mut connection);
    let reply = call_reply(&outputs);
    assert_eq!((reply.call_id, reply.peer_call_id, reply.result), (OUR_CALL, PEER_CALL, 1));
    assert_eq!((reply.connect_speed, reply.receive_window), (100_000_000, 16_384));
    // The call must be ready before the client hears of it.
    assert!(matches!(outputs[0], Output::Event(Event::CallConnected { window: 64, .. })));
    assert!(matches!(outputs.last(), Some(Output::Message(_))));
}

#[test]
fn call_id_0_of_windows_2000_and_pptp_linux_is_legal() {
    let mut connection = started();
    feed(&mut connection, at(1), &[call_request(0)]);
    connection.accept_call(0, OUR_CALL).unwrap();
    assert_eq!(call_reply(&drain(&mut connection)).peer_call_id, 0);
    feed(&mut connection, at(2), &[clear_request(0)]);
    assert_eq!(
        events(&drain(&mut connection)),
        [Event::CallEnded {
            our_call_id: Some(OUR_CALL),
            peer_call_id: Some(0),
            reason: CallEnd::ClearedByPeer,
        }]
    );
}

#[test]
fn the_sub_address_that_newer_windows_fills_with_a_guid_is_no_trouble() {
    let mut connection = started();
    let Message::OutgoingCallRequest(mut request) = call_request(PEER_CALL) else { panic!() };
    request.sub_address = Name::new(&[0x96, 0x15, 0x71, 0x21, 0xfd, 0xb7, 0x8f, 0x47, 0xb5]);
    feed(&mut connection, at(1), &[Message::OutgoingCallRequest(request)]);
    assert!(matches!(events(&drain(&mut connection))[..], [Event::CallRequested(_)]));
}

#[test]
fn start_and_call_request_in_one_segment_are_both_answered() {
    let mut connection = pac();
    let mut segment = start_request(0x0100).emit().to_vec();
    segment.extend(call_request(PEER_CALL).emit().to_vec());
    connection.handle_bytes(Instant::ZERO, &segment);
    let events = events(&drain(&mut connection));
    assert!(matches!(events[..], [Event::Started(_), Event::CallRequested(_)]), "{events:?}");
}

#[test]
fn messages_may_come_byte_by_byte() {
    let mut connection = pac();
    for byte in
        start_request(0x0100).emit().to_vec().iter().chain(&call_request(PEER_CALL).emit().to_vec())
    {
        connection.handle_bytes(Instant::ZERO, &[*byte]);
    }
    let events = events(&drain(&mut connection));
    assert!(matches!(events[..], [Event::Started(_), Event::CallRequested(_)]), "{events:?}");
}

#[test]
fn a_refused_call_gets_its_result_and_error_code() {
    let mut connection = started();
    feed(&mut connection, at(1), &[call_request(PEER_CALL)]);
    drain(&mut connection);
    connection.refuse_call(at(1), PEER_CALL, 2, 4).unwrap();
    let reply = call_reply(&drain(&mut connection));
    assert_eq!((reply.peer_call_id, reply.result, reply.error), (PEER_CALL, 2, 4));
    assert_eq!(connection.refuse_call(at(1), PEER_CALL, 2, 4), Err(NoSuchCall));
    assert_eq!(connection.accept_call(PEER_CALL, OUR_CALL), Err(NoSuchCall));
}

#[test]
fn a_call_request_before_the_start_is_refused_as_not_connected() {
    let mut connection = pac();
    feed(&mut connection, Instant::ZERO, &[call_request(PEER_CALL)]);
    let outputs = drain(&mut connection);
    let reply = call_reply(&outputs);
    assert_eq!((reply.result, reply.error), (2, 1));
    assert_eq!(events(&outputs), [Event::Ignored(Trouble::NotStarted)]);
}

#[test]
fn a_second_call_with_the_same_id_is_refused_and_the_first_stays() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[call_request(PEER_CALL)]);
    let outputs = drain(&mut connection);
    let reply = call_reply(&outputs);
    assert_eq!((reply.result, reply.error), (2, 5));
    assert_eq!(events(&outputs), [Event::Ignored(Trouble::DuplicateCall(PEER_CALL))]);
    assert_eq!(connection.disconnect_call(at(1), OUR_CALL, 3), Ok(()));
}

#[test]
fn several_calls_share_a_connection_and_one_too_many_is_busy() {
    let config = Config { max_calls: 2, ..Config::default() };
    let mut connection = Connection::new(Role::Pac, config, Instant::ZERO);
    feed(
        &mut connection,
        Instant::ZERO,
        &[start_request(0x0100), call_request(1), call_request(2)],
    );
    connection.accept_call(1, 101).unwrap();
    connection.accept_call(2, 102).unwrap();
    drain(&mut connection);
    feed(&mut connection, at(1), &[call_request(3)]);
    assert_eq!(call_reply(&drain(&mut connection)).result, 4);
    connection.disconnect_call(at(2), 101, 3).unwrap();
    feed(&mut connection, at(2), &[call_request(3)]);
    assert!(matches!(events(&drain(&mut connection)).last(), Some(Event::CallRequested(_))));
}

#[test]
fn clearing_a_call_leaves_the_connection_for_the_next() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[clear_request(PEER_CALL)]);
    let outputs = drain(&mut connection);
    let Message::CallDisconnectNotify(notify) = message(&outputs) else { panic!() };
    assert_eq!((notify.call_id, notify.result), (OUR_CALL, 4));
    assert_eq!(closed_with(&outputs), None);
    feed(&mut connection, at(2), &[call_request(PEER_CALL)]);
    assert!(matches!(events(&drain(&mut connection))[..], [Event::CallRequested(_)]));
}

#[test]
fn clear_request_and_disconnect_notify_merged_in_one_segment_end_the_call_once() {
    let mut connection = connected();
    let mut segment = clear_request(PEER_CALL).emit().to_vec();
    segment.extend(disconnect_notify(PEER_CALL).emit().to_vec());
    assert_eq!(segment.len(), 164);
    connection.handle_bytes(at(1), &segment);
    let events = events(&drain(&mut connection));
    assert!(
        matches!(
            events[..],
            [Event::CallEnded { .. }, Event::Ignored(Trouble::UnknownCall(PEER_CALL))]
        ),
        "{events:?}"
    );
}

#[test]
fn a_windows_teardown_ends_the_call_once_and_the_connection_cleanly() {
    let mut connection = connected();
    let stop = Message::StopRequest(control::StopRequest { reason: 1 });
    feed(&mut connection, at(1), &[link_info(OUR_CALL), clear_request(PEER_CALL), stop]);
    let outputs = drain(&mut connection);
    assert!(matches!(
        messages(&outputs)[..],
        [Message::CallDisconnectNotify(_), Message::StopReply(_)]
    ));
    assert_eq!(closed_with(&outputs), Some(Cause::PeerStopped { reason: 1 }));
    let ends =
        events(&outputs).into_iter().filter(|e| matches!(e, Event::CallEnded { .. })).count();
    assert_eq!(ends, 1);
    connection.handle_eof(at(1));
    assert_eq!(drain(&mut connection), []);
}

#[test]
fn pptp_linux_clears_its_call_and_closes_without_stop() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[clear_request(PEER_CALL)]);
    connection.handle_eof(at(1));
    let outputs = drain(&mut connection);
    assert!(matches!(message(&outputs), Message::CallDisconnectNotify(_)));
    assert_eq!(closed_with(&outputs), Some(Cause::PeerClosed));
}

#[test]
fn rras_s_disconnect_notify_with_result_0_ends_the_call() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[disconnect_notify(PEER_CALL)]);
    assert_eq!(
        events(&drain(&mut connection)),
        [Event::CallEnded {
            our_call_id: Some(OUR_CALL),
            peer_call_id: Some(PEER_CALL),
            reason: CallEnd::DisconnectedByPeer { result: 0, error: 0 },
        }]
    );
}

#[test]
fn a_call_cleared_before_our_answer_is_refused_and_ends() {
    let mut connection = started();
    feed(&mut connection, at(1), &[call_request(PEER_CALL), clear_request(PEER_CALL)]);
    let outputs = drain(&mut connection);
    assert_eq!(call_reply(&outputs).result, 7);
    assert!(matches!(
        events(&outputs)[..],
        [Event::CallRequested(_), Event::CallEnded { our_call_id: None, .. }]
    ));
    assert_eq!(connection.accept_call(PEER_CALL, OUR_CALL), Err(NoSuchCall));
}

#[test]
fn windows_set_link_info_is_taken_at_any_time_and_never_answered() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[link_info(OUR_CALL), link_info(OUR_CALL)]);
    let outputs = drain(&mut connection);
    let info =
        Event::LinkInfo { our_call_id: OUR_CALL, send_accm: u32::MAX, receive_accm: u32::MAX };
    assert_eq!(events(&outputs), [info.clone(), info]);
    assert_eq!(messages(&outputs), []);
}

#[test]
fn set_link_info_for_another_s_call_is_ignored_and_rras_s_reserved_garbage_is_no_trouble() {
    let mut connection = connected();
    let mut bytes = link_info(OUR_CALL).emit().to_vec();
    bytes[14..16].copy_from_slice(&[0xa1, 0x96]);
    connection.handle_bytes(at(1), &bytes);
    feed(&mut connection, at(1), &[link_info(0xffff)]);
    let events = events(&drain(&mut connection));
    assert!(
        matches!(
            events[..],
            [Event::LinkInfo { .. }, Event::Ignored(Trouble::UnknownCall(0xffff))]
        ),
        "{events:?}"
    );
}

#[test]
fn an_incoming_call_is_not_accepted() {
    let mut connection = started();
    let request = Message::IncomingCallRequest(control::IncomingCallRequest {
        call_id: 77,
        serial: 1,
        bearer: 1,
        physical_channel: 0,
        dialed_number_len: 0,
        dialing_number_len: 0,
        dialed_number: Name::new(b""),
        dialing_number: Name::new(b""),
        sub_address: Name::new(b""),
    });
    feed(&mut connection, at(1), &[request]);
    let Message::IncomingCallReply(reply) = message(&drain(&mut connection)) else { panic!() };
    assert_eq!((reply.peer_call_id, reply.result, reply.error), (77, 3, 0));
}

#[test]
fn wan_errors_are_reported() {
    let mut connection = connected();
    let notify = Message::WanErrorNotify(control::WanErrorNotify {
        peer_call_id: OUR_CALL,
        crc_errors: 1,
        framing_errors: 2,
        hardware_overruns: 3,
        buffer_overruns: 4,
        time_out_errors: 5,
        alignment_errors: 6,
    });
    feed(&mut connection, at(1), &[notify]);
    assert_eq!(
        events(&drain(&mut connection)),
        [Event::WanErrors {
            our_call_id: OUR_CALL,
            crc: 1,
            framing: 2,
            hardware_overruns: 3,
            buffer_overruns: 4,
            timeouts: 5,
            alignment: 6,
        }]
    );
}

#[test]
fn the_peer_s_stop_is_answered_and_ends_calls_and_connection() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[Message::StopRequest(control::StopRequest { reason: 1 })]);
    let outputs = drain(&mut connection);
    let Message::StopReply(reply) = message(&outputs) else { panic!() };
    assert_eq!(reply.result, 1);
    assert_eq!(closed_with(&outputs), Some(Cause::PeerStopped { reason: 1 }));
    assert!(events(&outputs).iter().any(|event| matches!(
        event,
        Event::CallEnded { our_call_id: Some(OUR_CALL), reason: CallEnd::ConnectionClosed, .. }
    )));
    assert_eq!(connection.poll_timeout(), None);
}

#[test]
fn our_stop_disconnects_the_calls_first_and_waits_for_the_reply() {
    let mut connection = connected();
    connection.stop(at(1), 3);
    let sent = messages(&drain(&mut connection));
    assert!(
        matches!(sent[..], [Message::CallDisconnectNotify(_), Message::StopRequest(_)]),
        "{sent:?}"
    );
    assert_eq!(connection.poll_timeout(), Some((at(6), Timer::StopReply)));
    feed(&mut connection, at(2), &[Message::StopReply(control::StopReply { result: 1, error: 0 })]);
    assert_eq!(closed_with(&drain(&mut connection)), Some(Cause::Stopped { reason: 3 }));
}

#[test]
fn a_stop_without_reply_ends_in_time_and_so_does_the_peer_s_close() {
    let mut unanswered = connected();
    unanswered.stop(at(1), 3);
    unanswered.handle_timeout(at(6));
    assert_eq!(closed_with(&drain(&mut unanswered)), Some(Cause::Stopped { reason: 3 }));
    let mut closed = connected();
    closed.stop(at(1), 3);
    closed.handle_eof(at(2));
    assert_eq!(closed_with(&drain(&mut closed)), Some(Cause::Stopped { reason: 3 }));
}

#[test]
fn android_which_just_closes_the_connection_ends_its_call() {
    let mut connection = connected();
    connection.handle_eof(at(1));
    let outputs = drain(&mut connection);
    assert_eq!(closed_with(&outputs), Some(Cause::PeerClosed));
    assert!(matches!(
        events(&outputs)[0],
        Event::CallEnded { reason: CallEnd::ConnectionClosed, .. }
    ));
    connection.handle_bytes(at(1), &start_request(0x0100).emit());
    connection.handle_eof(at(1));
    connection.stop(at(1), 1);
    assert_eq!(drain(&mut connection), []);
}

#[test]
fn a_silent_client_is_dropped_after_the_setup_time() {
    let mut connection = pac();
    assert_eq!(connection.poll_timeout(), Some((at(30), Timer::Setup)));
    connection.handle_timeout(at(29));
    assert_eq!(drain(&mut connection), []);
    connection.handle_timeout(at(30));
    assert_eq!(closed_with(&drain(&mut connection)), Some(Cause::SetupTimeout));
}

#[test]
fn a_connection_without_a_call_is_stopped() {
    let mut connection = started();
    assert_eq!(connection.poll_timeout(), Some((at(60), Timer::NoCall)));
    connection.handle_timeout(at(60));
    assert!(matches!(messages(&drain(&mut connection))[..], [Message::StopRequest(_)]));
    connection.handle_timeout(at(65));
    assert_eq!(closed_with(&drain(&mut connection)), Some(Cause::NoCall));
}

#[test]
fn the_wait_for_another_call_begins_when_the_last_one_ends() {
    let mut connection = connected();
    connection.disconnect_call(at(50), OUR_CALL, 1).unwrap();
    drain(&mut connection);
    connection.handle_timeout(at(109));
    assert!(
        !messages(&drain(&mut connection))
            .iter()
            .any(|message| matches!(message, Message::StopRequest(_)))
    );
    connection.handle_timeout(at(110));
    assert!(
        messages(&drain(&mut connection))
            .iter()
            .any(|message| matches!(message, Message::StopRequest(_)))
    );
}

#[test]
fn each_message_is_one_output() {
    let mut connection = connected();
    connection.stop(at(1), 3);
    for output in drain(&mut connection) {
        if let Output::Message(bytes) = output {
            assert_eq!(control::frame_len(&bytes), Ok(Some(bytes.len())));
        }
    }
}
