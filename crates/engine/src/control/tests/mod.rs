mod echo;
mod hostile;
mod pac;
mod pns;
mod replay;

use alloc::vec::Vec;
use core::time::Duration;

use wire::control::{self, Message, Name};

use super::*;
use crate::Instant;

pub(super) const PEER_CALL: u16 = 0x1234;
pub(super) const OUR_CALL: u16 = 0x5678;

pub(super) fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

pub(super) fn pac() -> Connection {
    Connection::new(Role::Pac, Config::default(), Instant::ZERO)
}

/// A server with an established connection and nothing left to poll.
pub(super) fn started() -> Connection {
    let mut connection = pac();
    feed(&mut connection, Instant::ZERO, &[start_request(0x0100)]);
    drain(&mut connection);
    connection
}

/// A server with one call up.
pub(super) fn connected() -> Connection {
    let mut connection = started();
    feed(&mut connection, Instant::ZERO, &[call_request(PEER_CALL)]);
    connection.accept_call(PEER_CALL, OUR_CALL).unwrap();
    drain(&mut connection);
    connection
}

/// Each message in a piece of its own.
pub(super) fn feed(connection: &mut Connection, now: Instant, messages: &[Message]) {
    for message in messages {
        connection.handle_bytes(now, &message.emit());
    }
}

pub(super) fn drain(connection: &mut Connection) -> Vec<Output> {
    core::iter::from_fn(|| connection.poll_output()).collect()
}

pub(super) fn bytes_of(message: &Message) -> Vec<u8> {
    message.emit().to_vec()
}

/// What the peer would read.
pub(super) fn messages(outputs: &[Output]) -> Vec<Message> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Message(bytes) => Some(Message::parse(bytes).unwrap()),
            _ => None,
        })
        .collect()
}

/// The one message that the peer would read.
pub(super) fn message(outputs: &[Output]) -> Message {
    let messages = messages(outputs);
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0]
}

/// The one event.
pub(super) fn event(outputs: &[Output]) -> Event {
    let events = events(outputs);
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].clone()
}

/// Events but for the messages themselves.
pub(super) fn events(outputs: &[Output]) -> Vec<Event> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(Event::Message { .. }) => None,
            Output::Event(event) => Some(event.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn closed_with(outputs: &[Output]) -> Option<Cause> {
    let cause = events(outputs).into_iter().find_map(|event| match event {
        Event::Closed(cause) => Some(cause),
        _ => None,
    });
    assert_eq!(cause.is_some(), outputs.last() == Some(&Output::Close), "{outputs:?}");
    cause
}

pub(super) fn start_request(version: u16) -> Message {
    Message::StartRequest(control::StartRequest {
        version,
        framing: 1,
        bearer: 1,
        max_channels: 0,
        firmware: 0,
        host_name: Name::new(b""),
        vendor: Name::new(b"Microsoft"),
    })
}

pub(super) fn call_request(call_id: u16) -> Message {
    Message::OutgoingCallRequest(control::OutgoingCallRequest {
        call_id,
        serial: 1,
        minimum_bps: 300,
        maximum_bps: 100_000_000,
        bearer: 3,
        framing: 3,
        receive_window: 64,
        processing_delay: 0,
        phone_number_len: 0,
        phone_number: Name::new(b""),
        sub_address: Name::new(b""),
    })
}

pub(super) fn clear_request(call_id: u16) -> Message {
    Message::CallClearRequest(control::CallClearRequest { call_id })
}

pub(super) fn disconnect_notify(call_id: u16) -> Message {
    Message::CallDisconnectNotify(control::CallDisconnectNotify {
        call_id,
        result: 0,
        error: 0,
        cause: 0,
        statistics: Default::default(),
    })
}

pub(super) fn link_info(peer_call_id: u16) -> Message {
    Message::SetLinkInfo(control::SetLinkInfo {
        peer_call_id,
        send_accm: u32::MAX,
        receive_accm: u32::MAX,
    })
}
