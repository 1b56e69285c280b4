//! Readers and writers of `wire`: what can be read is written as it was, and shown on one harmless line.

use wire::ccp::CcpOption;
use wire::control::{self, Message};
use wire::gre::{self, Outer};
use wire::ipcp::IpcpOption;
use wire::ipv6cp::Ipv6cpOption;
use wire::lcp::{AuthProtocol, LcpOption};
use wire::ppp::{self, Packet, RawOption};
use wire::{chap, pap};

/// The longest line that a message or frame may make, in characters.
const MAX_LINE: usize = 1200;

/// Takes `bytes` as the stream of a control connection.
pub fn control(bytes: &[u8]) {
    let _ = Message::parse(bytes);
    let mut stream = bytes;
    while let Ok(Some(length)) = control::frame_len(stream) {
        assert!((control::HEADER_LEN..=control::MAX_MESSAGE_LEN).contains(&length));
        let (message, rest) = stream.split_at(length);
        for end in 0..length {
            assert_eq!(control::frame_len(&message[..end]), Ok(None), "a message before its end");
        }
        if let Ok(read) = Message::parse(message) {
            let written = read.emit();
            assert!(written.len() <= length);
            assert_eq!(control::frame_len(&written), Ok(Some(written.len())));
            assert_eq!(Message::parse(&written), Ok(read));
            assert_harmless(&read.to_string());
        }
        stream = rest;
    }
}

/// Takes `bytes` as an IP packet and as a GRE packet.
pub fn gre(bytes: &[u8]) {
    if let Ok(outer) = Outer::parse(bytes) {
        assert!(20 <= outer.start && outer.start <= outer.end && outer.end <= bytes.len());
        gre_packet(&bytes[outer.start..outer.end]);
    }
    gre_packet(bytes);
}

fn gre_packet(bytes: &[u8]) {
    let Ok((header, payload)) = gre::parse(bytes) else { return };
    let mut written = vec![0; header.wire_len()];
    assert_eq!(header.emit(payload.len(), &mut written), header.wire_len());
    written.extend_from_slice(payload);
    assert_eq!(written, bytes[..written.len()]);
}

/// Takes `bytes` as a PPP frame.
pub fn ppp(bytes: &[u8]) {
    assert_harmless(&ppp::describe(bytes).to_string());
    let Ok((_, body)) = ppp::split(bytes) else { return };
    let Ok(packet) = Packet::parse(body) else { return };
    let body = &body[..Packet::HEADER_LEN + packet.data.len()];
    assert_eq!(written(|out| packet.emit(out)), body);
    assert!(pap::message(&packet).len() <= packet.data.len());
    if let Ok(challenge) = chap::Challenge::parse(body) {
        assert_eq!(written(|out| challenge.emit(out)), body);
    }
    if let Ok(response) = chap::Response::parse(body) {
        assert_eq!(written(|out| response.emit(out)), body);
    }
    if let Ok(request) = pap::AuthenticateRequest::parse(body) {
        let written = written(|out| request.emit(out));
        assert_eq!(pap::AuthenticateRequest::parse(&written), Ok(request));
    }
    options(packet.data);
}

/// Takes `bytes` as the options of a Configure packet.
pub fn options(bytes: &[u8]) {
    let mut written = Vec::new();
    for raw in ppp::options(bytes) {
        let Ok(raw) = raw else {
            assert!(written.len() < bytes.len());
            break;
        };
        ppp::push_option(&mut written, raw.kind, raw.data);
        option(raw);
    }
    assert!(bytes.starts_with(&written));
}

/// Every protocol writes the option as it was.
fn option(raw: RawOption<'_>) {
    let bytes = written(|out| ppp::push_option(out, raw.kind, raw.data));
    let lcp = LcpOption::parse(raw);
    // What follows an unknown authentication protocol's number is not kept.
    if !matches!(lcp, LcpOption::Authentication(AuthProtocol::Other(_))) {
        assert_eq!(written(|out| lcp.emit(out)), bytes);
    }
    assert_eq!(written(|out| CcpOption::parse(raw).emit(out)), bytes);
    assert_eq!(written(|out| IpcpOption::parse(raw).emit(out)), bytes);
    assert_eq!(written(|out| Ipv6cpOption::parse(raw).emit(out)), bytes);
}

fn written(emit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    emit(&mut out);
    out
}

/// One line that can be shown on any terminal and written to any log.
fn assert_harmless(line: &str) {
    assert!(line.chars().count() <= MAX_LINE, "{line}");
    assert!(line.chars().all(|c| c == ' ' || c == '…' || c.is_ascii_graphic()), "{line:?}");
}
