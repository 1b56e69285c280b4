//! What `pptpd.conf` says, as values: addresses, sessions, times.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::diagnostic::{File, Place};
use crate::iplist::{self, Duplicates};
use crate::own::Own;
use crate::pptpd_conf::{PptpdConf, Value};

/// `pptpd`'s defaults.
const DEFAULT_CONNECTIONS: u32 = 100;
const DEFAULT_LOCALIP: &str = "192.168.0.1-100";
const DEFAULT_REMOTEIP: &str = "192.168.1.1-100";
const DEFAULT_STIMEOUT: u32 = 10;
/// Bits per second; nothing but a label.
const DEFAULT_SPEED: u32 = 115_200;
/// More sessions than call ids there cannot be.
pub(crate) const MAX_CONNECTIONS: u32 = 65_535;
/// RFC 2637 §1.3.
pub(crate) const PORT: u16 = 1723;

/// Finds a host's address.
pub(crate) type Resolve<'a> = &'a dyn Fn(&str) -> Option<Ipv4Addr>;

/// Pairs local and remote addresses as `pptpd` does: one local address serves all sessions.
pub(crate) fn slots(
    conf: &PptpdConf,
    own: &Own,
    resolve: Resolve<'_>,
    file: &mut File<'_>,
) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let list = |keyword, own: &Option<Vec<Ipv4Addr>>, default, duplicates, file: &mut File<'_>| {
        if own.is_some() {
            return own.clone();
        }
        if !conf.has(keyword) {
            let message = format!("there is no {keyword}: pptpd's default {default} counts");
            file.warn(&Place::default(), message, format!("write {keyword} and addresses"));
        }
        addresses(conf.get(keyword), default, duplicates, resolve, file)
    };
    let local = list("localip", &own.local, DEFAULT_LOCALIP, Duplicates::Allowed, file);
    let remote = list("remoteip", &own.remote, DEFAULT_REMOTEIP, Duplicates::Refused, file);
    let wanted = connections(conf, own, file);
    let (Some(local), Some(mut remote), Some(wanted)) = (local, remote, wanted) else {
        return Vec::new();
    };
    leave_out_our_own(&place_of_addresses(conf, own), &local, &mut remote, file);
    let possible = if local.len() == 1 { remote.len() } else { remote.len().min(local.len()) };
    let count = wanted.min(possible);
    let place = place_of_addresses(conf, own);
    if possible < wanted && (conf.has("connections") || own.sessions.is_some()) {
        let message = format!(
            "MGR: Maximum of {wanted} connections reduced to {possible}, not enough IP addresses given"
        );
        file.warn(&place, message, "give more addresses, or lower connections");
    } else if remote.len() > count {
        let message = format!("{} of the addresses are never used", remote.len() - count);
        file.warn(&place, message, "raise connections, or give fewer addresses");
    }
    if count == 0 {
        file.error(&place, "there is no address for any client", "give more addresses");
    }
    let local = local.iter().cycle().take(if local.len() == 1 { count } else { local.len() });
    local.copied().zip(remote).take(count).collect()
}

/// The line to point at for what concerns both lists.
fn place_of_addresses(conf: &PptpdConf, own: &Own) -> Place {
    let value = conf.get("remoteip").or(conf.get("localip"));
    value.filter(|_| own.remote.is_none()).map_or(Place::default(), |value| value.place)
}

/// Sessions with `delegate`: our address, and none for the client.
pub(crate) fn delegated(
    conf: &PptpdConf,
    own: &Own,
    local: Option<Ipv4Addr>,
    file: &mut File<'_>,
) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let Some(local) = local else {
        let place = conf.get("delegate").map_or(Place::default(), |value| value.place);
        let message = "delegate: nothing says what our address in the tunnels is";
        file.error(
            &place,
            message,
            "write it in the options file, with a colon behind it: 10.8.0.100:",
        );
        return Vec::new();
    };
    for keyword in ["localip", "remoteip"] {
        if let Some(value) = conf.get(keyword) {
            let message = format!("{keyword} is ignored, as delegate is there");
            file.warn(&value.place, message, "remove one of the two");
        }
    }
    let count = connections(conf, own, file).unwrap_or(0);
    vec![(local, Ipv4Addr::UNSPECIFIED); count]
}

/// An address of ours would be of no use to a client.
fn leave_out_our_own(
    place: &Place,
    local: &[Ipv4Addr],
    remote: &mut Vec<Ipv4Addr>,
    file: &mut File<'_>,
) {
    let ours: std::collections::HashSet<_> = local.iter().collect();
    let Some(clash) = remote.iter().find(|address| ours.contains(address)).copied() else { return };
    remote.retain(|address| !ours.contains(address));
    let message = format!("{clash} is one of our addresses too, and is given to no client");
    let remedy = "take it out of remoteip or localip";
    file.warn(place, message, remedy);
}

fn addresses(
    value: Option<&Value>,
    default: &str,
    duplicates: Duplicates,
    resolve: Resolve<'_>,
    file: &mut File<'_>,
) -> Option<Vec<Ipv4Addr>> {
    let text = value.map_or(default, |value| value.text.as_str());
    match (iplist::parse(text, duplicates, resolve), value) {
        (Ok(addresses), _) => Some(addresses),
        (Err(bad), Some(value)) => {
            file.error(&part(value, bad.span), bad.message, bad.remedy);
            None
        }
        (Err(_), None) => None,
    }
}

/// A part of a value. Bytes that are no text are longer in the value's text than in the file, so it may point too far there.
fn part(value: &Value, span: Range<usize>) -> Place {
    let end = value.place.end;
    let at = |offset: usize| (value.place.start + offset).min(end);
    Place { start: at(span.start), end: at(span.end), ..value.place }
}

fn connections(conf: &PptpdConf, own: &Own, file: &mut File<'_>) -> Option<usize> {
    let number = match (own.sessions, conf.get("connections")) {
        (Some(number), _) => number,
        (None, None) => DEFAULT_CONNECTIONS,
        (None, Some(value)) => match number(value, file) {
            Some(number) if (1..=MAX_CONNECTIONS).contains(&number) => number,
            _ => {
                let message = "connections wants a number from 1 to 65535";
                file.error(&value.place, message, "write connections 100");
                return None;
            }
        },
    };
    usize::try_from(number).ok()
}

/// The number that a value begins with, as `atoi` reads it; what stands behind it is passed over, but not in silence.
fn number(value: &Value, file: &mut File<'_>) -> Option<u32> {
    let end = value.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.text.len());
    let number = value.text[..end].parse().ok()?;
    if end < value.text.len() {
        let message = format!("{:?} counts as {number}, as with pptpd", value.text);
        file.warn(&value.place, message, "write the number alone");
    }
    Some(number)
}

/// Where to listen.
pub(crate) fn listen(
    conf: &PptpdConf,
    resolve: Resolve<'_>,
    file: &mut File<'_>,
) -> Vec<SocketAddr> {
    let values = conf.all("listen");
    if values.is_empty() {
        return vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))];
    }
    let mut listen = Vec::new();
    for value in values {
        let Some(address) = value.text.parse().ok().or_else(|| resolve(&value.text)) else {
            let message = format!(
                "{:?} is neither an IPv4 address nor the name of a host that has one",
                value.text
            );
            file.error(&value.place, message, "write one of this host's IPv4 addresses");
            continue;
        };
        let address = SocketAddr::from((address, PORT));
        if listen.contains(&address) {
            let message = format!("{} is listened on already", address.ip());
            file.warn(&value.place, message, "remove the line");
        } else {
            listen.push(address);
        }
    }
    listen
}

/// How long a client may take to start its control connection.
pub(crate) fn setup_timeout(conf: &PptpdConf, file: &mut File<'_>) -> Duration {
    Duration::from_secs(u64::from(positive(conf, "stimeout", DEFAULT_STIMEOUT, file)))
}

/// The third argument of scripts.
pub(crate) fn speed(conf: &PptpdConf, file: &mut File<'_>) -> u32 {
    positive(conf, "speed", DEFAULT_SPEED, file)
}

fn positive(conf: &PptpdConf, keyword: &str, default: u32, file: &mut File<'_>) -> u32 {
    let Some(value) = conf.get(keyword) else { return default };
    match number(value, file) {
        Some(number) if number > 0 => number,
        _ => {
            let message = format!("{keyword} wants a number from 1 up; {default} counts");
            file.warn(&value.place, message, format!("write {keyword} {default}"));
            default
        }
    }
}
