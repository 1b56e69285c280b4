//! Questions of clients to DHCP servers, and our answers to them.

use std::net::Ipv4Addr;

use wire::dhcp::{Configuration, Inform};

use crate::input::Input;

/// The longest answer that every client takes, in bytes: 548 (RFC 2131 §2) and the headers of IPv4 and UDP.
const LONGEST: usize = 548 + 28;
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

/// Takes the beginning of `bytes` as an IPv4 packet, as long as it says, and what is behind it as what a client is to be told.
pub fn dhcp(bytes: &[u8]) {
    let Ok(inform) = Inform::parse(bytes) else { return };
    let said = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    let mut input = Input::new(&bytes[said..]);
    let mut configuration = Configuration { domain: input.some().to_vec(), ..Default::default() };
    while !input.is_empty() {
        let mut address = || Ipv4Addr::from([0; 4].map(|_: u8| input.byte()));
        match address() {
            server if server.octets()[0] & 1 == 0 => configuration.name_servers.push(server),
            network => configuration.routes.push((network, input.byte())),
        }
    }
    let client = inform.source;
    let (answer, routes) = inform.answer(SERVER, client, &configuration);
    assert!(answer.len() <= LONGEST, "{} bytes", answer.len());
    assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])), answer.len());
    assert_eq!((&answer[12..16], &answer[16..20]), (&SERVER.octets()[..], &client.octets()[..]));
    assert!(routes <= configuration.routes.len());
    assert_eq!(answer[32..36], inform.transaction.to_be_bytes());
    // It is no question: two servers never talk to each other.
    assert!(Inform::parse(&answer).is_err());
}
