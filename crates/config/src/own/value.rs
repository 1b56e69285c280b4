//! Values of `gretel.toml`.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::Range;
use std::path::PathBuf;

use toml_edit::{Item, Value};

use crate::iplist::{self, Duplicates};
use crate::slots::{PORT, Resolve};

/// What is wrong with a value, where in the file, and what to write instead.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// Elements of a list with their places.
type Elements<T> = Vec<(T, Option<Range<usize>>)>;

pub(super) fn fault(
    span: Option<Range<usize>>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Fault {
    Fault { span, message: message.into(), remedy: remedy.into() }
}

pub(super) fn text(item: &Item) -> Result<&str, Fault> {
    let remedy = "write text in quotes";
    item.as_str().ok_or_else(|| fault(item.span(), "this is no text", remedy))
}

pub(super) fn path(item: &Item) -> Result<PathBuf, Fault> {
    text(item).map(PathBuf::from)
}

pub(super) fn flag(item: &Item) -> Result<bool, Fault> {
    let remedy = "write true or false, without quotes";
    item.as_bool().ok_or_else(|| fault(item.span(), "this is neither true nor false", remedy))
}

/// A number within bounds.
pub(super) fn number(item: &Item, from: u32, to: u32) -> Result<u32, Fault> {
    let number = item.as_integer().and_then(|number| u32::try_from(number).ok());
    number.filter(|number| (from..=to).contains(number)).ok_or_else(|| {
        let message = format!("this is no number from {from} to {to}");
        fault(
            item.span(),
            message,
            format!("write one, without quotes, such as {}", from.max(30).min(to)),
        )
    })
}

/// A packet size.
pub(super) fn size(item: &Item) -> Result<u16, Fault> {
    number(item, 128, 16_384).map(|size| size as u16)
}

/// Texts with their places; one text will do where one is meant.
pub(super) fn texts(item: &Item) -> Result<Elements<String>, Fault> {
    if let Some(text) = item.as_str() {
        return Ok(vec![(text.to_owned(), item.span())]);
    }
    let bad = |span| fault(span, "this is no list of texts", "write [\"…\", \"…\"]");
    let array = item.as_array().ok_or_else(|| bad(item.span()))?;
    let one = |value: &Value| match value.as_str() {
        Some(text) => Ok((text.to_owned(), value.span())),
        None => Err(bad(value.span())),
    };
    array.iter().map(one).collect()
}

/// Numbers with their places.
pub(super) fn numbers(item: &Item) -> Result<Elements<i64>, Fault> {
    let bad = |span| fault(span, "this is no list of numbers", "write [128]");
    let array = item.as_array().ok_or_else(|| bad(item.span()))?;
    let one = |value: &Value| match value.as_integer() {
        Some(number) => Ok((number, value.span())),
        None => Err(bad(value.span())),
    };
    array.iter().map(one).collect()
}

/// Two addresses at most.
pub(super) fn servers(item: &Item, resolve: Resolve<'_>) -> Result<Vec<Ipv4Addr>, Fault> {
    let texts = texts(item)?;
    if texts.len() > 2 {
        return Err(fault(
            item.span(),
            "a client takes two servers at most",
            "leave the others out",
        ));
    }
    texts.into_iter().map(|(text, span)| address(&text, span, resolve)).collect()
}

/// Networks that an answer to a DHCPINFORM has room for.
const MAX_NETWORKS: usize = 16;

/// Networks as `ADDRESS/BITS`.
pub(super) fn networks(item: &Item) -> Result<Vec<(Ipv4Addr, u8)>, Fault> {
    let mut networks = Vec::new();
    for (text, span) in texts(item)? {
        let parsed = text.split_once('/').and_then(|(address, bits)| {
            let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
            Some((address.parse::<Ipv4Addr>().ok()?, bits))
        });
        let Some((address, bits)) = parsed else {
            let message = format!("{text:?} is no network");
            return Err(fault(span, message, "write ADDRESS/BITS, such as 192.168.1.0/24"));
        };
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let first = Ipv4Addr::from(u32::from(address) & mask);
        if first != address {
            let message = format!("{address} is not the first address of a network of {bits} bits");
            return Err(fault(span, message, format!("write {first}/{bits}")));
        }
        networks.push((address, bits));
    }
    if networks.len() > MAX_NETWORKS {
        let message = format!("clients take {MAX_NETWORKS} networks at most");
        return Err(fault(item.span(), message, "join neighbouring networks into larger ones"));
    }
    Ok(networks)
}

/// A domain name, or nothing.
pub(super) fn domain(item: &Item) -> Result<String, Fault> {
    let name = text(item)?;
    let label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(fits)
    };
    if name.is_empty() || name.len() <= 64 && name.split('.').all(label) {
        return Ok(name.to_owned());
    }
    let message = format!("{name:?} is no domain name of at most 64 characters");
    Err(fault(item.span(), message, "write it without a dot at its end, such as example.com"))
}

fn address(
    text: &str,
    span: Option<Range<usize>>,
    resolve: Resolve<'_>,
) -> Result<Ipv4Addr, Fault> {
    text.parse().ok().or_else(|| resolve(text)).ok_or_else(|| {
        let message =
            format!("{text:?} is neither an IPv4 address nor the name of a host that has one");
        fault(span, message, "write an address such as 192.168.1.2")
    })
}

/// Where to listen: `ADDRESS` or `ADDRESS:PORT`.
pub(super) fn listen(item: &Item, resolve: Resolve<'_>) -> Result<Vec<SocketAddr>, Fault> {
    let mut listen = Vec::new();
    for (text, span) in texts(item)? {
        let found = match text.parse::<SocketAddrV4>() {
            Ok(address) => SocketAddr::V4(address),
            Err(_) => SocketAddr::from((address(&text, span.clone(), resolve)?, PORT)),
        };
        if listen.contains(&found) {
            return Err(fault(
                span,
                format!("{found} stands there twice"),
                "leave one of the two out",
            ));
        }
        listen.push(found);
    }
    if listen.is_empty() {
        return Err(fault(
            item.span(),
            "the list is empty",
            "write an address, or leave the key out",
        ));
    }
    Ok(listen)
}

/// Addresses as in `localip` and `remoteip`.
pub(super) fn addresses(
    item: &Item,
    duplicates: Duplicates,
    resolve: Resolve<'_>,
) -> Result<Vec<Ipv4Addr>, Fault> {
    Ok(address_lists(item, duplicates, resolve)?.into_iter().flat_map(|(list, _)| list).collect())
}

/// As [`addresses`], each text by itself.
pub(super) fn address_lists(
    item: &Item,
    duplicates: Duplicates,
    resolve: Resolve<'_>,
) -> Result<Elements<Vec<Ipv4Addr>>, Fault> {
    let mut lists = Vec::new();
    let mut all = HashSet::new();
    let mut count = 0;
    for (text, span) in texts(item)? {
        let list = iplist::parse(&text, duplicates, resolve).map_err(|bad| {
            // Behind the opening quote. A text with escapes is longer in the file; no address has any.
            let inside = span.as_ref().map(|span| span.start + 1);
            let at = inside.map(|start| start + bad.span.start..start + bad.span.end);
            fault(at.or(span.clone()), bad.message, bad.remedy)
        })?;
        if duplicates == Duplicates::Refused
            && let Some(twice) = list.iter().find(|address| all.contains(*address))
        {
            return Err(fault(
                span.clone(),
                format!("{twice} is in the list twice"),
                "leave one of the two out",
            ));
        }
        all.extend(list.iter().copied());
        count += list.len();
        if count > iplist::MAX_ADDRESSES {
            return Err(fault(
                item.span(),
                "these are more addresses than there can be calls",
                "shorten the list",
            ));
        }
        lists.push((list, span));
    }
    Ok(lists)
}
