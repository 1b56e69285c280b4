use super::*;

fn echo_request(identifier: u32) -> Message {
    Message::EchoRequest(control::EchoRequest { identifier })
}

fn echo_reply(identifier: u32) -> Message {
    Message::EchoReply(control::EchoReply { identifier, result: 1, error: 0 })
}

#[test]
fn the_peer_s_echo_request_is_answered_with_its_identifier() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[echo_request(0xdead_beef)]);
    assert_eq!(messages(&drain(&mut connection)), [echo_reply(0xdead_beef)]);
}

#[test]
fn after_a_minute_of_silence_we_ask_and_the_answer_is_timed() {
    let mut connection = connected();
    assert_eq!(connection.poll_timeout(), Some((at(60), Timer::Echo)));
    connection.handle_timeout(at(60));
    let Message::EchoRequest(request) = message(&drain(&mut connection)) else { panic!() };
    feed(&mut connection, at(62), &[echo_reply(request.identifier)]);
    assert_eq!(events(&drain(&mut connection)), [Event::EchoAnswered(Duration::from_secs(2))]);
    assert_eq!(connection.poll_timeout(), Some((at(122), Timer::Echo)));
}

#[test]
fn any_message_from_the_peer_postpones_our_echo_request() {
    let mut connection = connected();
    feed(&mut connection, at(45), &[echo_request(1)]);
    assert_eq!(connection.poll_timeout(), Some((at(105), Timer::Echo)));
}

#[test]
fn a_missing_answer_ends_the_connection_after_another_minute() {
    let mut connection = connected();
    connection.handle_timeout(at(60));
    drain(&mut connection);
    assert_eq!(connection.poll_timeout(), Some((at(120), Timer::EchoReply)));
    connection.handle_timeout(at(120));
    let outputs = drain(&mut connection);
    assert_eq!(events(&outputs)[0], Event::EchoMissing);
    assert_eq!(closed_with(&outputs), Some(Cause::EchoTimeout));
}

#[test]
fn an_answer_to_nothing_is_ignored() {
    let mut connection = connected();
    feed(&mut connection, at(1), &[echo_reply(0)]);
    connection.handle_timeout(at(61));
    feed(&mut connection, at(62), &[echo_reply(999)]);
    let ignored = Event::Ignored(Trouble::Unexpected);
    assert_eq!(events(&drain(&mut connection)), [ignored.clone(), ignored]);
}

#[test]
fn macos_which_takes_nothing_else_before_the_call_reply_gets_no_echo_request_and_no_link_info() {
    let config = Config { call_timeout: Duration::from_secs(3600), ..Config::default() };
    let mut connection = Connection::new(Role::Pac, config, Instant::ZERO);
    feed(&mut connection, Instant::ZERO, &[start_request(0x0100)]);
    drain(&mut connection);
    connection.handle_timeout(at(600));
    assert_eq!(drain(&mut connection), []);
    feed(&mut connection, at(600), &[call_request(PEER_CALL)]);
    connection.handle_timeout(at(900));
    assert_eq!(messages(&drain(&mut connection)), []);
    connection.accept_call(PEER_CALL, OUR_CALL).unwrap();
    let sent = messages(&drain(&mut connection));
    assert!(matches!(sent[..], [Message::OutgoingCallReply(_)]), "{sent:?}");
}
