//! What can be found out about a server and the way to it before anybody logs in: which sizes of packets come back.

use std::time::Duration;

use engine::Instant;
use engine::auth::Method;
use wire::lcp::LcpOption;
use wire::ppp::{self, Code, Packet, Protocol};

/// Lengths of the Echo-Requests, in bytes from LCP's code on; the MRU counts the same bytes.
const SIZES: [u16; 14] =
    [64, 300, 600, 900, 1100, 1200, 1260, 1300, 1340, 1380, 1400, 1420, 1436, 1450];
/// Before the LCP packet on the wire: IPv4 header 20, GRE header 16, address, control and protocol 4.
const OVERHEAD: u16 = 40;
/// How often a request without an answer is sent.
const ROUNDS: u8 = 3;
/// How long an answer may take.
const ROUND: Duration = Duration::from_millis(400);

/// What was found out, as far as the connection came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How the server last asked us to authenticate; `None`: it did not, or in a way that is not known here.
    pub asked: Option<Method>,
    /// Whether the server's last LCP request asked for authentication of any kind.
    pub asks: bool,
    /// The longest IP packet that came back from the server, in bytes; `None` when none was tried or none came.
    pub largest: Option<u16>,
    /// The shortest longer one that did not come back.
    pub lost: Option<u16>,
    /// The MPPE bits that the server asked for first, as in the option (RFC 3078 §2.1).
    pub mppe: Option<u32>,
    /// A GRE packet could not be sent: what this host's kernel said.
    pub not_sent: Option<String>,
}

impl Found {
    /// Notes what the server asks for.
    pub(super) fn note_request(&mut self, protocol: Protocol, options: &[u8]) {
        let options = ppp::options(options).map_while(Result::ok);
        if protocol == Protocol::LCP {
            let asked = options.map(LcpOption::parse).find_map(|option| match option {
                LcpOption::Authentication(protocol) => Some(protocol),
                _ => None,
            });
            self.asks = asked.is_some();
            self.asked =
                asked.and_then(|asked| METHODS.into_iter().find(|it| it.option() == asked));
        } else if protocol == Protocol::CCP {
            let bits = options.map(wire::ccp::CcpOption::parse).find_map(|option| match option {
                wire::ccp::CcpOption::Mppe(bits) => Some(bits.0),
                wire::ccp::CcpOption::Unknown { .. } => None,
            });
            self.mppe = self.mppe.or(bits);
        }
    }
}

/// All ways to authenticate, strongest first.
pub const METHODS: [Method; 4] = [Method::MsChapV2, Method::MsChapV1, Method::ChapMd5, Method::Pap];

/// Echo-Requests of rising length, and the answers.
#[derive(Debug)]
pub(super) struct Survey {
    sizes: Vec<u16>,
    answered: Vec<bool>,
    rounds: u8,
    next: Instant,
}

impl Survey {
    /// Sizes up to the server's MRU, to begin at once.
    pub(super) fn new(now: Instant, peer_mru: u16) -> Self {
        let sizes: Vec<u16> = SIZES.into_iter().filter(|size| *size <= peer_mru).collect();
        Self { answered: vec![false; sizes.len()], sizes, rounds: 0, next: now }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Instant {
        self.next
    }

    /// What is to be sent now; `None` when there is nothing more to wait for.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Vec<Vec<u8>>> {
        if self.answered.iter().all(|answered| *answered) {
            return None;
        }
        if now < self.next {
            return Some(Vec::new());
        }
        if self.rounds == ROUNDS {
            return None;
        }
        self.rounds += 1;
        self.next = now + ROUND;
        let open = (0..self.sizes.len()).filter(|index| !self.answered[*index]);
        Some(open.map(|index| request(index, self.sizes[index])).collect())
    }

    /// Takes a frame if it is an answer.
    pub(super) fn take(&mut self, frame: &[u8]) -> bool {
        let Ok((Protocol::LCP, information)) = ppp::split(frame) else { return false };
        let Ok(packet) = Packet::parse(information) else { return false };
        let index = usize::from(packet.id);
        // A server that shortens the answer shows that the request came, not that the size does.
        let whole = |size: &u16| packet.data.len() + Packet::HEADER_LEN == usize::from(*size);
        if packet.code != Code::ECHO_REPLY || !self.sizes.get(index).is_some_and(whole) {
            return false;
        }
        self.answered[index] = true;
        true
    }

    /// Writes down what came back.
    pub(super) fn report(&self, found: &mut Found) {
        let outer = |index: usize| self.sizes[index] + OVERHEAD;
        let largest = self.answered.iter().rposition(|answered| *answered);
        found.largest = largest.map(outer);
        let beyond = largest.map_or(0, |largest| largest + 1);
        found.lost = (beyond < self.sizes.len()).then(|| outer(beyond));
    }
}

/// An Echo-Request whose magic number is 0, that is none (RFC 1661 §5.8).
fn request(index: usize, size: u16) -> Vec<u8> {
    let data = vec![0; usize::from(size) - Packet::HEADER_LEN];
    let mut frame = vec![0xff, 0x03, 0xc0, 0x21];
    Packet { code: Code::ECHO_REQUEST, id: index as u8, data: &data }.emit(&mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(request: &[u8]) -> Vec<u8> {
        let mut reply = request.to_vec();
        reply[4] = Code::ECHO_REPLY.0;
        reply
    }

    #[test]
    fn the_largest_size_that_comes_back_is_found() {
        let mut survey = Survey::new(Instant::ZERO, 1400);
        let mut found = Found::default();
        let first = survey.handle_timeout(Instant::ZERO).unwrap();
        assert_eq!(first.len(), 11);
        assert_eq!(first[10].len(), 1404);
        for request in first.iter().filter(|request| request.len() < 1304) {
            assert!(survey.take(&reply(request)));
        }
        survey.report(&mut found);
        assert_eq!((found.largest, found.lost), (Some(1300), Some(1340)));
        assert_eq!(survey.handle_timeout(Instant::ZERO).unwrap().len(), 0);
        let second = survey.handle_timeout(Instant::ZERO + ROUND).unwrap();
        assert_eq!(second.len(), 4);
        for request in second {
            assert!(survey.take(&reply(&request)));
        }
        assert!(survey.handle_timeout(Instant::ZERO + ROUND).is_none());
        survey.report(&mut found);
        assert_eq!((found.largest, found.lost), (Some(1440), None));
    }

    #[test]
    fn silence_ends_after_three_rounds() {
        let mut survey = Survey::new(Instant::ZERO, 1450);
        let mut now = Instant::ZERO;
        for _ in 0..3 {
            assert!(!survey.handle_timeout(now).unwrap().is_empty());
            now = survey.deadline();
        }
        assert!(survey.handle_timeout(now).is_none());
        let mut found = Found::default();
        survey.report(&mut found);
        assert_eq!((found.largest, found.lost), (None, Some(104)));
    }

    #[test]
    fn what_is_no_whole_answer_is_not_taken() {
        let mut survey = Survey::new(Instant::ZERO, 1450);
        let request = survey.handle_timeout(Instant::ZERO).unwrap().remove(1);
        let mut short = reply(&request);
        short.truncate(100);
        short[6..8].copy_from_slice(&96u16.to_be_bytes());
        for frame in [&request[..], &short, &[], &[0xc0, 0x21, 10, 200, 0, 4], &[0xc2, 0x23]] {
            assert!(!survey.take(frame));
        }
    }

    #[test]
    fn what_the_server_asks_for_is_noted() {
        let mut found = Found::default();
        found.note_request(Protocol::LCP, &[3, 5, 0xc2, 0x23, 0x81, 5, 6, 1, 2, 3, 4]);
        assert_eq!((found.asks, found.asked), (true, Some(Method::MsChapV2)));
        found.note_request(Protocol::LCP, &[3, 4, 0xc2, 0x27]);
        assert_eq!((found.asks, found.asked), (true, None));
        found.note_request(Protocol::LCP, &[3]);
        assert_eq!((found.asks, found.asked), (false, None));
        found.note_request(Protocol::CCP, &[18, 6, 1, 0, 0, 0x40]);
        assert_eq!(found.mppe, Some(0x0100_0040));
    }
}
