//! What stands behind an option.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// What is wrong with a value, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) remedy: String,
}

pub(crate) fn fault(message: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault { message: message.into(), remedy: remedy.into() }
}

/// The word behind an option; empty for an option without.
pub(crate) struct Value<'a> {
    pub(crate) bytes: &'a [u8],
    /// Finds a host's address.
    pub(crate) resolve: &'a dyn Fn(&str) -> Option<Ipv4Addr>,
    /// What is odd about the value, though it is understood.
    pub(crate) oddity: Option<Fault>,
}

impl Value<'_> {
    /// As text; bytes that are no text become `�`.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes).into_owned()
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        Some(PathBuf::from(self.text()))
    }

    /// A number as C writes them: decimal, `0x…` or `0…`. What stands behind the digits is passed over as pppd does, but not in silence.
    pub(crate) fn number(&mut self) -> Result<u32, Fault> {
        let text = self.text();
        let (base, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => (16, digits),
            None if text.starts_with('0') => (8, text.as_str()),
            None => (10, text.as_str()),
        };
        self.digits(&text, digits, base)
    }

    /// A hexadecimal number, with or without `0x`.
    pub(crate) fn hexadecimal(&mut self) -> Result<u32, Fault> {
        let text = self.text();
        self.digits(&text, text.strip_prefix("0x").unwrap_or(&text), 16)
    }

    fn digits(&mut self, text: &str, digits: &str, base: u32) -> Result<u32, Fault> {
        let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
        let number = u32::from_str_radix(&digits[..end], base)
            .ok()
            .filter(|number| i32::try_from(*number).is_ok() || base == 16)
            .ok_or_else(|| {
                let remedy = if base == 16 { "write it as 0 or a0000" } else { "write it as 30" };
                fault(format!("{text:?} is no number that fits"), remedy)
            })?;
        if end < digits.len() {
            self.oddity = Some(fault(
                format!("{text:?} counts as {number}, as with pppd"),
                "write the number alone",
            ));
        } else if base == 8 && number > 7 {
            self.oddity = Some(fault(
                format!("{text:?} counts as {number}: a number that begins with 0 is octal"),
                format!("write {number}, or leave the 0 out"),
            ));
        }
        Ok(number)
    }

    /// Bytes in a packet.
    pub(crate) fn size(&mut self) -> Result<u16, Fault> {
        let number = self.number()?;
        u16::try_from(number).ok().filter(|size| (128..=16_384).contains(size)).ok_or_else(|| {
            fault(
                format!("{:?} is no packet size", self.text()),
                "write a number of bytes from 128 to 16384, such as 1400",
            )
        })
    }

    /// An address, or the name of a host that has one.
    pub(crate) fn address(&self) -> Result<Ipv4Addr, Fault> {
        let text = self.text();
        text.parse().ok().or_else(|| (self.resolve)(&text)).ok_or_else(|| {
            fault(
                format!("{text:?} is neither an IPv4 address nor the name of a host that has one"),
                "write the address, such as 192.168.1.2",
            )
        })
    }

    /// The name of a network interface.
    pub(crate) fn interface(&self) -> Result<String, Fault> {
        let text = self.text();
        let good = !text.is_empty()
            && text.len() < 16
            && text != "."
            && text != ".."
            // The kernel's dev_alloc_name(): one %d, and no other %.
            && !text.replacen("%d", "", 1).contains('%')
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'));
        if good {
            Ok(text)
        } else {
            Err(fault(
                format!("{text:?} is no interface name"),
                "use up to 15 letters and digits; %d stands for a number",
            ))
        }
    }

    /// A name that becomes part of a file's name.
    pub(crate) fn file_name(&self) -> Result<String, Fault> {
        let text = self.text();
        if text.is_empty() || text.contains(['/', '\0']) {
            return Err(fault(format!("{text:?} is no name"), "use letters and digits"));
        }
        Ok(text)
    }

    /// `LOCAL,REMOTE`, each an interface identifier written as an IPv6 address with nothing in its upper half.
    pub(crate) fn identifiers(&self) -> Result<[Option<[u8; 8]>; 2], Fault> {
        let text = self.text();
        let (local, remote) = text.split_once(',').unwrap_or((&text, ""));
        let identifier = |text: &str| {
            if text.is_empty() {
                return Ok(None);
            }
            let octets = text.parse::<Ipv6Addr>().map_or([0; 16], |address| address.octets());
            let (high, low) = octets.split_at(8);
            match low.try_into() {
                Ok(low) if high == [0; 8] && low != [0; 8] => Ok(Some(low)),
                _ => Err(fault(
                    format!("{text:?} is no interface identifier"),
                    "write ::1:2:3:4, with nothing before the double colon",
                )),
            }
        };
        Ok([identifier(local)?, identifier(remote)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &str) -> Value<'_> {
        let resolve = &|name: &str| (name == "gate").then_some(Ipv4Addr::new(10, 0, 0, 1));
        Value { bytes: bytes.as_bytes(), resolve, oddity: None }
    }

    #[test]
    fn numbers_are_those_of_c() {
        let number = |text| value(text).number().ok();
        assert_eq!(number("30"), Some(30));
        assert_eq!(number("0x1e"), Some(30));
        assert_eq!(number("036"), Some(30));
        assert_eq!(number("0"), Some(0));
        assert_eq!(number(""), None);
        assert_eq!(number("-5"), None);
        assert_eq!(number("4294967296"), None);
        assert_eq!(number("2147483648"), None);
    }

    #[test]
    fn what_stands_behind_a_number_is_passed_over_but_not_in_silence() {
        let mut seconds = value("30s");
        assert_eq!(seconds.number(), Ok(30));
        assert!(seconds.oddity.unwrap().message.contains("counts as 30"));
        let mut octal = value("030");
        assert_eq!(octal.number(), Ok(24));
        assert!(octal.oddity.unwrap().message.contains("octal"));
    }

    #[test]
    fn sizes_addresses_and_names_have_their_bounds() {
        assert_eq!(value("1400").size(), Ok(1400));
        assert!(value("127").size().is_err() && value("16385").size().is_err());
        assert_eq!(value("gate").address(), Ok(Ipv4Addr::new(10, 0, 0, 1)));
        assert!(value("nobody").address().is_err());
        assert!(value("ppp%d").interface().is_ok());
        assert!(
            value("a/b").interface().is_err() && value("sixteen-letters-").interface().is_err()
        );
        assert!(value("../x").file_name().is_err());
    }

    #[test]
    fn interface_identifiers_have_an_empty_upper_half() {
        let low = |last| Some([0, 0, 0, 0, 0, 0, 0, last]);
        assert_eq!(value("::1,::2").identifiers(), Ok([low(1), low(2)]));
        assert_eq!(value("::1").identifiers(), Ok([low(1), None]));
        assert_eq!(value(",::2").identifiers(), Ok([None, low(2)]));
        assert!(value("fe80::1").identifiers().is_err() && value("::").identifiers().is_err());
    }
}
