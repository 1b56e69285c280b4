//! Answers to clients that ask for routes in their tunnel (DHCPINFORM), as Windows does after IPCP.

use engine::ppp::Ipv4Agreed;
use wire::dhcp::{Configuration, Inform};

use crate::settings::Settings;

/// The answer to a packet of a client with these addresses, and how many routes are in it. `None`: it is no such question, or there is nothing to
/// tell; then whoever else listens on the interface may answer.
pub(crate) fn answer(
    packet: &[u8],
    settings: &Settings,
    agreed: Ipv4Agreed,
) -> Option<(Vec<u8>, usize)> {
    if settings.routes.is_empty() && settings.domain.is_empty() {
        return None;
    }
    let inform = Inform::parse(packet).ok()?;
    let configuration = Configuration {
        routes: settings.routes.clone(),
        name_servers: settings.dns.iter().flatten().copied().collect(),
        domain: settings.domain.clone().into_bytes(),
    };
    Some(inform.answer(agreed.local, agreed.remote, &configuration))
}
