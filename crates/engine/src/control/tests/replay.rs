use super::*;
use crate::fixtures::{self, Captured};

/// The client's half of a captured control connection against our server; the call ids that were the old server's are replaced by ours.
fn replay(messages_of_client: &[&Captured], servers_call: Option<u16>) -> Vec<Output> {
    let mut connection = pac();
    let mut outputs = Vec::new();
    let mut ours = None;
    for captured in messages_of_client {
        let mut bytes = captured.bytes.clone();
        if let (Ok(Message::SetLinkInfo(mut info)), Some(ours)) = (Message::parse(&bytes), ours)
            && Some(info.peer_call_id) == servers_call
        {
            info.peer_call_id = ours;
            bytes = Message::SetLinkInfo(info).emit().to_vec();
        }
        connection.handle_bytes(Instant::ZERO, &bytes);
        let mut some = drain(&mut connection);
        for output in some.clone() {
            if let Output::Event(Event::CallRequested(request)) = output {
                connection.accept_call(request.peer_call_id, OUR_CALL).unwrap();
                ours = Some(OUR_CALL);
            }
        }
        some.extend(drain(&mut connection));
        outputs.extend(some);
    }
    connection.handle_eof(Instant::ZERO);
    outputs.extend(drain(&mut connection));
    outputs
}

#[test]
fn captured_clients_get_their_call() {
    for (name, capture) in fixtures::captures() {
        let (clients, servers): (Vec<_>, Vec<_>) =
            capture.iter().filter(|captured| captured.is_control).partition(|c| c.from_client);
        if clients.is_empty() {
            continue;
        }
        let servers_call =
            servers.iter().find_map(|captured| match Message::parse(&captured.bytes) {
                Ok(Message::OutgoingCallReply(reply)) => Some(reply.call_id),
                _ => None,
            });
        let outputs = replay(&clients, servers_call);
        let events = events(&outputs);
        let has = |wanted: fn(&Event) -> bool| events.iter().any(wanted);
        assert!(has(|event| matches!(event, Event::Started(_))), "{name}: {events:?}");
        assert!(has(|event| matches!(event, Event::CallConnected { .. })), "{name}: {events:?}");
        let ended = events.iter().filter(|event| matches!(event, Event::CallEnded { .. })).count();
        assert_eq!(ended, 1, "{name}: {events:?}");
        let infos = clients
            .iter()
            .filter(|captured| {
                matches!(Message::parse(&captured.bytes), Ok(Message::SetLinkInfo(_)))
            })
            .count();
        let reported =
            events.iter().filter(|event| matches!(event, Event::LinkInfo { .. })).count();
        assert_eq!(reported, infos, "{name}: {events:?}");
        assert!(!has(|event| matches!(event, Event::Closed(Cause::Malformed(_)))), "{name}");
    }
}

#[test]
fn captured_servers_connect_our_client() {
    for (name, capture) in fixtures::captures() {
        let servers: Vec<&Captured> = capture
            .iter()
            .filter(|captured| captured.is_control && !captured.from_client)
            .collect();
        let Some(call_id) =
            servers.iter().find_map(|captured| match Message::parse(&captured.bytes) {
                Ok(Message::OutgoingCallReply(reply)) => Some(reply.peer_call_id),
                _ => None,
            })
        else {
            continue;
        };
        let mut connection = Connection::new(Role::Pns, Config::windows_like(), Instant::ZERO);
        connection.place_call(Instant::ZERO, call_id).unwrap();
        for captured in servers {
            connection.handle_bytes(Instant::ZERO, &captured.bytes);
        }
        let events = events(&drain(&mut connection));
        assert!(
            events.iter().any(|event| matches!(event, Event::CallConnected { .. })),
            "{name}: {events:?}"
        );
    }
}
