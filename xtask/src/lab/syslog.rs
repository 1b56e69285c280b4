//! A system log for guests: what pptpd, pppd and pptp say goes to a file.

use std::{fs::OpenOptions, io::Write, os::unix::net::UnixDatagram, path::Path};

use anyhow::{Context, Result};

/// Where programs of the C library send log lines.
const SOCKET: &str = "/dev/log";

/// Appends every log line to the file named by the first argument, until it is killed.
pub(crate) fn write(arguments: &[String]) -> Result<bool> {
    let path = Path::new(arguments.first().context("no file named")?);
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let socket = UnixDatagram::bind(SOCKET).context(SOCKET)?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer)?;
        let line = String::from_utf8_lossy(&buffer[..length]);
        writeln!(file, "{}", without_header(line.trim_end_matches(['\n', '\0'])))?;
    }
}

/// Removes `<priority>Mmm dd hh:mm:ss ` (RFC 3164 §4.1): only the program and its words matter here. Some leave the time out.
fn without_header(line: &str) -> &str {
    let words = line.split_once('>').map_or(line, |(_, words)| words);
    let is_time = |time: &&[u8]| time[9] == b':' && time[12] == b':' && time[15] == b' ';
    match words.as_bytes().get(..16).filter(is_time) {
        Some(_) => words.get(16..).unwrap_or(words),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_program_and_words() {
        assert_eq!(
            without_header("<30>Nov 23 16:00:01 pppd[12]: local  IP address 10.0.0.1"),
            "pppd[12]: local  IP address 10.0.0.1"
        );
        let untimed = "<30>pptpd[12]: CTRL: Client 10.99.0.2 control connection started";
        assert!(without_header(untimed).starts_with("pptpd[12]: CTRL"));
        assert_eq!(without_header("odd"), "odd");
    }
}
