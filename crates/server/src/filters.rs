//! pppd's packet filters: expressions of libpcap's, compiled when the files are read.

use std::fmt;
use std::sync::Arc;

use config::{Config, Diagnostic, PppOptions};
use engine::data::filter::{Filters, Instruction, Program};
use sys::pcap::{self, Error};

/// Why a filter cannot be.
#[derive(Debug)]
pub(crate) struct Fault {
    option: &'static str,
    message: String,
    remedy: &'static str,
}

impl Fault {
    /// As an error about the option.
    pub(crate) fn diagnostic(&self, config: &Config) -> Diagnostic {
        let message = format!("{}: {}", self.option, self.message);
        config.blame(self.option, message, self.remedy.to_owned())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.option, self.message, self.remedy)
    }
}

/// What packets must match by `pass-filter` and `active-filter`; `None` where there is neither.
pub(crate) fn filters(options: &PppOptions) -> Result<Option<Arc<Filters>>, Fault> {
    let program = |option, expression: &Option<String>| {
        expression.as_deref().map(|expression| compile(option, expression)).transpose()
    };
    let filters = Filters {
        pass: program("pass-filter", &options.pass_filter)?,
        active: program("active-filter", &options.active_filter)?,
    };
    Ok((filters != Filters::default()).then(|| Arc::new(filters)))
}

fn compile(option: &'static str, expression: &str) -> Result<Program, Fault> {
    let fault = |message, remedy| Fault { option, message, remedy };
    let instructions = pcap::compile(expression).map_err(|error| match error {
        Error::Expression(words) => fault(
            format!("{expression:?} is no filter: {words}"),
            "write an expression of pcap-filter(7), in quotes",
        ),
        Error::NoCompiler(why) => fault(
            format!("libpcap, which compiles the filter, cannot be used: {why}"),
            "run: apt install libpcap0.8; or filter with nftables on the ppp interfaces, and remove the option",
        ),
    })?;
    let instructions: Vec<Instruction> = instructions
        .into_iter()
        .map(|pcap::Instruction { code, if_true, if_false, k }| Instruction {
            code,
            if_true,
            if_false,
            k,
        })
        .collect();
    Program::new(&instructions).ok_or_else(|| {
        fault(format!("{expression:?} makes a filter that is too large"), "write a shorter one")
    })
}

#[cfg(test)]
mod tests {
    use engine::data::filter::Direction;
    use wire::ppp::Protocol;

    use super::*;

    /// The filters, unless this machine has no libpcap.
    fn made(
        pass: Option<&str>,
        active: Option<&str>,
    ) -> Option<Result<Option<Arc<Filters>>, Fault>> {
        let options = PppOptions {
            pass_filter: pass.map(str::to_owned),
            active_filter: active.map(str::to_owned),
            ..PppOptions::default()
        };
        let made = filters(&options);
        if let Err(fault) = &made
            && fault.message.contains("cannot be used")
        {
            println!("skipped: {fault}");
            return None;
        }
        Some(made)
    }

    /// UDP from 10.0.0.1 to a port of 10.0.0.2.
    fn udp(port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend_from_slice(&1024_u16.to_be_bytes());
        packet.extend_from_slice(&port.to_be_bytes());
        packet.extend_from_slice(&[0, 8, 0, 0]);
        packet
    }

    #[test]
    fn expressions_mean_what_they_mean_to_tcpdump() {
        let cases = [
            ("udp dst port 53", true, true, false),
            ("inbound and udp", true, false, true),
            ("outbound", false, true, false),
            ("not host 10.0.0.2", false, false, false),
            ("len <= 32", true, true, true),
            ("ip[8] = 64 and udp[2:2] & 1 = 1", true, true, false),
        ];
        for (expression, in_53, out_53, in_54) in cases {
            let Some(made) = made(Some(expression), None) else { return };
            let filters = made.unwrap().unwrap();
            let program = filters.pass.as_ref().unwrap();
            let matches = |direction, port| program.matches(direction, Protocol::IPV4, &udp(port));
            assert_eq!(matches(Direction::In, 53), in_53, "{expression} in 53");
            assert_eq!(matches(Direction::Out, 53), out_53, "{expression} out 53");
            assert_eq!(matches(Direction::In, 54), in_54, "{expression} in 54");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_with_the_option() {
        let Some(made) = made(None, Some("tcp prot 80")) else { return };
        let said = made.unwrap_err().to_string();
        assert!(said.starts_with("active-filter: \"tcp prot 80\" is no filter: "), "{said}");
    }

    #[test]
    fn without_filters_there_is_nothing_to_match() {
        assert!(filters(&PppOptions::default()).unwrap().is_none());
    }
}
