//! Lists of addresses in `pptpd.conf`: `192.168.0.1,192.168.0.100-150,10.0.1-3.7,gate.example`.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::Range;

/// Addresses of one list at most: more than there can be calls.
pub(crate) const MAX_ADDRESSES: usize = 65_536;

/// What is wrong with a list, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadList {
    /// The bytes of the text that are at fault.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

/// Whether an address may stand in a list twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// As in `localip`.
    Allowed,
    /// As in `remoteip`.
    Refused,
}

/// Reads a list. Any octet may be a range; names go to `resolve`.
///
/// # Errors
///
/// An element that is neither, a range that runs backwards, an address that is there twice and may not, too many addresses.
pub fn parse(
    text: &str,
    duplicates: Duplicates,
    resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
) -> Result<Vec<Ipv4Addr>, BadList> {
    let mut addresses = Vec::new();
    let mut seen = HashSet::new();
    let mut start = 0;
    for element in text.split(',') {
        let blank = element.len() - element.trim_start().len();
        let trimmed = element.trim();
        let span = start + blank..start + blank + trimmed.len();
        for address in element_addresses(trimmed, &span, resolve)? {
            if !seen.insert(address) && duplicates == Duplicates::Refused {
                let message = format!("{address} is in the list twice");
                return Err(bad(&span, message, "leave one of the two out"));
            }
            if addresses.len() == MAX_ADDRESSES {
                let message = format!("the list has more than {MAX_ADDRESSES} addresses");
                return Err(bad(
                    &span,
                    message,
                    "that is more than there can be calls; shorten it",
                ));
            }
            addresses.push(address);
        }
        start += element.len() + 1;
    }
    Ok(addresses)
}

fn bad(span: &Range<usize>, message: impl Into<String>, remedy: impl Into<String>) -> BadList {
    BadList { span: span.clone(), message: message.into(), remedy: remedy.into() }
}

fn element_addresses(
    element: &str,
    span: &Range<usize>,
    resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
) -> Result<Vec<Ipv4Addr>, BadList> {
    const FORMS: &str = "write an address (192.168.0.234), a range in any octet (192.168.0.234-238), or a host name";
    if element.is_empty() {
        return Err(bad(span, "an element of the list is empty", FORMS));
    }
    let numeric = element.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    if !numeric {
        let found = resolve(element);
        let message =
            format!("{element:?} is neither an address nor a host name that can be found");
        return found.map(|address| vec![address]).ok_or_else(|| bad(span, message, FORMS));
    }
    let octets: Vec<&str> = element.split('.').collect();
    let [a, b, c, d] = octets[..] else {
        return Err(bad(span, format!("{element:?} has not four octets"), FORMS));
    };
    let mut ranges = Vec::with_capacity(4);
    let mut at = span.start;
    for octet in [a, b, c, d] {
        ranges.push(octet_range(octet, &(at..at + octet.len()))?);
        at += octet.len() + 1;
    }
    let count: usize = ranges.iter().map(|range| usize::from(range.1 - range.0) + 1).product();
    if count > MAX_ADDRESSES {
        let message = format!("{element:?} means {count} addresses");
        return Err(bad(span, message, "that is more than there can be calls; narrow the range"));
    }
    let mut addresses = Vec::with_capacity(count);
    for a in ranges[0].0..=ranges[0].1 {
        for b in ranges[1].0..=ranges[1].1 {
            for c in ranges[2].0..=ranges[2].1 {
                addresses.extend((ranges[3].0..=ranges[3].1).map(|d| Ipv4Addr::new(a, b, c, d)));
            }
        }
    }
    Ok(addresses)
}

fn octet_range(octet: &str, span: &Range<usize>) -> Result<(u8, u8), BadList> {
    let (low, high) = octet.split_once('-').unwrap_or((octet, octet));
    let number = |text: &str| {
        text.parse::<u8>().map_err(|_| {
            bad(
                span,
                format!("{text:?} is no octet"),
                "an octet is a number from 0 to 255, or a range of two",
            )
        })
    };
    let (low, high) = (number(low)?, number(high)?);
    if high < low {
        let message = format!("the range {octet} runs backwards");
        return Err(bad(span, message, format!("write {high}-{low}")));
    }
    Ok((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Vec<Ipv4Addr>, BadList> {
        parse(text, Duplicates::Refused, &|name| {
            (name == "gate").then_some(Ipv4Addr::new(10, 9, 9, 9))
        })
    }

    #[test]
    fn ranges_may_stand_in_any_octet() {
        let addresses = list("10.0.0.5-7,10.0.1-3.7,gate").unwrap();
        let text: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            ["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.1.7", "10.0.2.7", "10.0.3.7", "10.9.9.9"]
        );
    }

    #[test]
    fn faults_are_named_and_pointed_at() {
        let fault = list("10.0.0.1,10.0.0.9-5").unwrap_err();
        assert_eq!((fault.span, fault.remedy.as_str()), (16..19, "write 5-9"));
        assert!(list("10.0.0.1-3,10.0.0.2").unwrap_err().message.contains("twice"));
        assert!(list("10.0.0").is_err() && list("10.0.0.256").is_err() && list("").is_err());
        assert!(list("0-255.0-255.0-255.0-255").unwrap_err().message.contains("4294967296"));
    }
}
