//! The real Linux client: `pptp-linux` and `pppd` on the kernel's PPP and MPPE, in a guest.

use anyhow::{Context, Result, ensure};

use super::{
    boot::System,
    guest::{Guest, Interface},
    segment::{SERVER, Segment},
};

/// A guest that calls.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) guest: Guest,
}

/// How a call went.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The address that the client was given, when the tunnel is up.
    pub(crate) address: Option<String>,
    /// pppd's exit status, when it gave up.
    pub(crate) exit: Option<u8>,
    /// Milliseconds from the start of pppd to either.
    pub(crate) milliseconds: u64,
    /// pppd's log, with every PPP message.
    pub(crate) log: String,
}

impl Client {
    pub(crate) fn new(
        name: &'static str,
        segment: &Segment,
        interfaces: &[Interface],
    ) -> Result<Self> {
        let mut guest =
            Guest::start(name, &segment.folder, &segment.switch, interfaces, System::Shell)?;
        // The state of a call that has ended; every call leaves one.
        guest.sh(5, "echo 0 >/run/ppp.exit")?;
        Ok(Self { guest })
    }

    /// Calls the server with these options of pppd, and waits until the tunnel is up or pppd gives up.
    pub(crate) fn call(&mut self, user: &str, password: &str, options: &str) -> Result<Call> {
        self.hang_up()?;
        let script = format!(
            r#"umask 077
echo "'{user}' * '{password}' *" >/etc/ppp/chap-secrets
cp /etc/ppp/chap-secrets /etc/ppp/pap-secrets
: >/etc/ppp/options
rm -f /run/ppp.exit
: >/run/ppp.log # before the loop below reads it
start=$(date +%s%3N)
(
    pppd pty "pptp {SERVER} --nolaunchpppd --loglevel 0" nodetach debug noauth nodefaultroute \
        nobsdcomp nodeflate user '{user}' remotename pptpd {options} >/run/ppp.log 2>&1 </dev/null
    echo $? >/run/ppp.exit.new
    mv /run/ppp.exit.new /run/ppp.exit
) &
while :; do
    now=$(($(date +%s%3N) - start))
    [ -e /run/ppp.exit ] && break
    grep -q 'remote IP address' /run/ppp.log && break
    [ $now -gt 45000 ] && break
    sleep 0.02
done
echo "milliseconds=$now"
echo "exit=$(cat /run/ppp.exit 2>/dev/null)"
[ -e /run/ppp.exit ] || ip route replace 192.168.77.0/24 dev ppp0
echo "address=$(ip -4 -o address show dev ppp0 2>/dev/null | sed -n 's/.*inet \([0-9.]*\).*/\1/p')"
echo log=
cat /run/ppp.log
"#
        );
        let output = self.guest.sh(60, &script)?;
        let (facts, log) = output.split_once("log=\n").context("no log from the client")?;
        let fact = |name: &str| {
            let line = facts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(str::trim).filter(|value| !value.is_empty())
        };
        Ok(Call {
            address: fact("address").map(str::to_owned),
            exit: fact("exit").and_then(|value| value.parse().ok()),
            milliseconds: fact("milliseconds").and_then(|value| value.parse().ok()).unwrap_or(0),
            log: log.to_owned(),
        })
    }

    /// Ends the call, if there is one, as a user does, and waits for its end.
    pub(crate) fn hang_up(&mut self) -> Result<()> {
        // The limit is a time and no number of tries: on a busy machine one try takes a guest a quarter of a second.
        self.guest.sh(
            40,
            "pkill -TERM -x pppd
             end=$((SECONDS + 8))
             while [ $SECONDS -lt $end ]; do
                 pgrep -r D,R,S -f '^(pppd|pptp)' >/dev/null || [ ! -e /run/ppp.exit ] || exit 0
                 sleep 0.05
             done
             echo still there:; ls -l /run/ppp.exit; ps -eo pid,ppid,stat,etimes,args
             pkill -KILL -f '^(pppd|pptp)'; sleep 0.2; true",
        )?;
        Ok(())
    }

    /// The end of the guest's system log.
    pub(crate) fn system_log(&mut self) -> Result<String> {
        self.guest.sh(10, "tail -n 15 /run/syslog")
    }

    /// Pings through the tunnel with whole packets of every size from 56 to 1372 bytes of data.
    pub(crate) fn ping_all_sizes(&mut self, address: &str) -> Result<()> {
        self.guest.sh(
            30,
            &format!(
                "for size in 56 57 128 511 512 1000 1300 1371 1372; do
                     ping -n -q -M do -c 2 -i 0.01 -W 2 -s $size {address} || exit 1
                 done"
            ),
        )?;
        Ok(())
    }

    /// Megabits per second of one TCP stream through the tunnel, up (`true`) or down.
    pub(crate) fn iperf(&mut self, address: &str, up: bool, seconds: u32) -> Result<f64> {
        let direction = if up { "" } else { "--reverse" };
        let text = self.guest.sh(
            seconds + 25,
            &format!("timeout {} iperf3 -c {address} -t {seconds} {direction} -f m", seconds + 20),
        )?;
        megabits(&text)
    }
}

/// The receiver's figure of `iperf3 -f m`.
pub(crate) fn megabits(text: &str) -> Result<f64> {
    let line = text.lines().rev().find(|line| line.contains("receiver"));
    let line = line.with_context(|| format!("iperf3 printed no result:\n{text}"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let unit = words.iter().position(|word| *word == "Mbits/sec");
    let value = unit.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok());
    value.with_context(|| format!("iperf3's result is not read: {line}"))
}

impl Call {
    /// The address, or pppd's log when there is none.
    pub(crate) fn address(&self) -> Result<&str> {
        let address = self.address.as_deref();
        address.with_context(|| {
            format!(
                "no tunnel after {} ms (pppd's exit status {:?}):\n{}",
                self.milliseconds, self.exit, self.log
            )
        })
    }

    /// What pppd says about encryption, or that it says nothing.
    pub(crate) fn encryption(&self) -> &str {
        let line = self.log.lines().find(|line| line.starts_with("MPPE "));
        line.and_then(|line| line.strip_suffix(" compression enabled")).unwrap_or("none")
    }

    pub(crate) fn ensure_refused(&self) -> Result<()> {
        ensure!(self.address.is_none(), "a tunnel with {:?}:\n{}", self.address, self.log);
        ensure!(self.exit.is_some(), "pppd is still trying after 45 s:\n{}", self.log);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receivers_figure_counts() {
        let text = "[  5]   0.00-2.00   sec  10.0 MBytes  41.9 Mbits/sec    0             sender\n\
                    [  5]   0.00-2.04   sec  9.50 MBytes  39.1 Mbits/sec                  receiver\n";
        assert_eq!(megabits(text).unwrap(), 39.1);
        assert!(megabits("nothing").is_err());
    }
}
