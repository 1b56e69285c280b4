//! Real connections, recorded: the authentication must verify and every MPPE packet must open.
//!
//! The recordings are not part of this repository; without them the tests say so and end.

use std::fs;

use crypto::mppe::{Mode, OpenError, Opener, Strength};
use crypto::mschap::v2;
use crypto::{NtHash, Password};

/// A GRE packet of a recording, from its flags word on.
struct Packet {
    frame: u64,
    from_client: bool,
    bytes: Vec<u8>,
}

fn recording(name: &str) -> Option<Vec<Packet>> {
    let path = format!(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures/ordered/{}.json"),
        name
    );
    let Ok(text) = fs::read_to_string(&path) else {
        eprintln!("skipped: no recording at {path}");
        return None;
    };
    let messages: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let messages = messages.as_array().expect("a list of messages");
    let gre = messages.iter().filter(|message| message["kind"] == "gre");
    let packets = gre.map(|message| Packet {
        frame: message["frame"].as_u64().expect("a frame number"),
        from_client: message["dir"] == "c2s",
        bytes: hex(message["hex"].as_str().expect("bytes")),
    });
    Some(packets.collect())
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

impl Packet {
    /// Sequence number and PPP frame without address and control; `None` for a bare acknowledgement.
    fn frame(&self) -> Option<(u32, &[u8])> {
        let has_ack = self.bytes[1] & 0x80 != 0;
        if self.bytes[0] & 0x10 == 0 {
            return None;
        }
        let seq = u32::from_be_bytes(self.bytes[8..12].try_into().expect("4 bytes"));
        let len = usize::from(u16::from_be_bytes([self.bytes[4], self.bytes[5]]));
        let frame = &self.bytes[if has_ack { 16 } else { 12 }..][..len];
        Some((seq, frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame)))
    }

    /// The value of a CHAP packet, with what follows it; for Success the message only.
    fn chap(&self, code: u8) -> Option<(&[u8], &[u8])> {
        let (_, frame) = self.frame()?;
        let chap = frame.strip_prefix(&[0xc2, 0x23]).filter(|chap| chap[0] == code)?;
        match code {
            1 | 2 => Some(chap[5..].split_at(usize::from(chap[4]))),
            _ => Some((&chap[4..], &[])),
        }
    }
}

/// IPv4 with a right header checksum behind the protocol field 0021.
fn is_ipv4(text: &[u8]) -> bool {
    let Some(ip) = text.strip_prefix(&[0x00, 0x21]) else { return false };
    let header_len = usize::from(ip.first().copied().unwrap_or(0) & 15) * 4;
    if header_len < 20 || ip.len() < header_len || ip[0] >> 4 != 4 {
        return false;
    }
    let (words, _) = ip[..header_len].as_chunks::<2>();
    let sum: u32 = words.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// Verifies the authentication from both ends and opens all packets: gives (opened, duplicates).
fn replay(name: &str, user: &str, password: &str) -> Option<(usize, usize)> {
    let packets = recording(name)?;
    let find = |code| packets.iter().find_map(|packet| packet.chap(code));
    let (challenge, _) = find(1).expect("a Challenge");
    let (value, peer_name) = find(2).expect("a Response");
    let (message, _) = find(3).expect("a Success");
    assert_eq!(peer_name, user.as_bytes());
    let challenge = challenge.try_into().expect("16 bytes");
    let hash = NtHash::of(&Password::from(password));

    let verified = v2::verify(&hash, peer_name, challenge, value).expect("the Response is right");
    assert_eq!(verified.authenticator_response, message[..42]);
    let response = v2::Response::parse(value).expect("49 bytes");
    let client_keys = response
        .check_success(&hash, peer_name, challenge, message)
        .expect("the server's proof is right");

    let to_server = verified.keys.start_keys(true, Strength::Bits128).receive;
    let to_client = client_keys.start_keys(false, Strength::Bits128).receive;
    let mut openers =
        [to_client, to_server].map(|key| Opener::new(key, Strength::Bits128, Mode::Stateless));
    let mut newest = [None; 2];
    let (mut opened, mut duplicates) = (0, 0);
    for packet in &packets {
        let Some((seq, frame)) = packet.frame() else { continue };
        let Some(sealed) = frame.strip_prefix(&[0xfd]).or(frame.strip_prefix(&[0x00, 0xfd])) else {
            continue;
        };
        let side = usize::from(packet.from_client);
        let distance = newest[side].map_or(1, |newest: u32| seq.saturating_sub(newest));
        let header = u16::from_be_bytes([sealed[0], sealed[1]]);
        let mut body = sealed[2..].to_vec();
        match openers[side].open(header, distance, &mut body, is_ipv4) {
            Ok(()) => opened += 1,
            Err(OpenError::TooOld) if newest[side] == Some(seq) => duplicates += 1,
            Err(error) => panic!("frame {}: {error}", packet.frame),
        }
        newest[side] = newest[side].max(Some(seq));
    }
    Some((opened, duplicates))
}

#[test]
fn windows_7_and_poptop() {
    if let Some(counts) = replay("win_lulu_pw_password", "lulu", "password") {
        assert_eq!(counts, (25, 0));
    }
}

#[test]
fn windows_2000_and_poptop() {
    if let Some(counts) = replay("win2000_scott_pw_turquoise", "scott", "turquoise") {
        assert_eq!(counts, (18, 2), "the radio link repeated two");
    }
}

#[test]
fn linux_and_poptop_authentication_only() {
    let name = "linux_moxie_chap_only_pw_bPCFyF2uL1p5Lg5yrKmqmY";
    if let Some(counts) = replay(name, "moxie", "bPCFyF2uL1p5Lg5yrKmqmY") {
        assert_eq!(counts, (0, 0));
    }
}
