//! The package's service under a real systemd, which is the guest's first process.

use std::fs;

use anyhow::{Result, ensure};

use super::{Scenario, package::with_guest_of};
use crate::{
    deb,
    lab::{
        boot::System,
        guest::Guest,
        segment::{INNER, SERVER_GUEST, Segment},
        server::Files,
        world::World,
    },
};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "systemd runs the service in pptpd's place, under both names, and its journal has the old words",
    compared: false,
    run: |world| with_guest_of(world, start, serve),
}];

fn start(segment: &Segment) -> Result<Guest> {
    let mut guest =
        Guest::start("systemd", &segment.folder, &segment.switch, &SERVER_GUEST, System::Systemd)?;
    // All that a boot starts has been started then, whatever else this machine does.
    guest.sh(60, "systemctl is-system-running --wait | grep -qE 'running|degraded'")?;
    let folder = segment.folder.join("systemd");
    let files = Files::SHIPPED;
    fs::write(folder.join("pptpd.conf"), files.pptpd_conf("/etc/ppp/pptpd-options"))?;
    fs::write(folder.join("pptpd-options"), files.options())?;
    fs::write(folder.join("chap-secrets"), files.secrets)?;
    fs::copy(deb::path()?, folder.join("gretel.deb"))?;
    guest.sh(
        30,
        r#"set -e
        cp /mnt/pptpd.conf /etc; cp /mnt/pptpd-options /etc/ppp; : >/etc/ppp/options
        install -m 600 /mnt/chap-secrets /etc/ppp
        printf '%s\n' '#!/bin/sh' 'echo "$1 $6" >>/run/ups' >/etc/ppp/ip-up; chmod 755 /etc/ppp/ip-up
        echo "DAEMON_OPTS='--debug'" >/etc/default/pptpd
        systemctl daemon-reload
        systemctl start pptpd"#,
    )?;
    Ok(guest)
}

fn serve(world: &mut World, guest: &mut Guest) -> Result<()> {
    let before = call(world)?;
    world.client()?.hang_up()?;

    // The old service runs; nobody types more than this.
    let said = guest.sh(60, "dpkg -i /mnt/gretel.deb")?;
    is_gretel(guest).map_err(|error| error.context(said))?;
    ensure!(call(world)? == before, "the client has another address than with pptpd");
    let journal = guest.sh(10, "journalctl -u gretel -o short --no-pager")?;
    for words in [
        " pptpd[",
        " pppd[",
        "]: CTRL: Client 10.99.0.2 control connection started",
        "]: MPPE 128-bit stateless compression enabled",
        "]: rcvd [LCP ConfReq ",
    ] {
        ensure!(journal.contains(words), "the journal lacks {words:?}:\n{journal}");
    }
    ensure!(
        guest
            .sh(10, "journalctl -u gretel -t pppd GRETEL_PEER=10.99.0.2 -o cat --no-pager")?
            .contains("Using interface ppp0"),
        "the journal does not find the peer:\n{journal}"
    );
    ensure!(guest.sh(5, "tail -n 1 /run/ups")?.starts_with("ppp0 "), "ip-up was not run");

    keeps_calls_while_it_reads_files(world, guest)?;
    starts_again(world, guest)?;

    guest.sh(10, "systemctl stop pptpd; ! systemctl is-active gretel && ! ip link show ppp0")?;
    guest.sh(30, "dpkg --remove gretel")?;
    let left = guest.sh(
        10,
        "systemctl show -P LoadState gretel pptpd; cd /etc/systemd/system; ls gretel* pptpd* *.wants/gretel* 2>/dev/null; find /etc/init.d/pptpd -executable",
    )?;
    ensure!(left.split_whitespace().eq(["not-found", "not-found"]), "left: {left}");
    Ok(())
}

/// `systemctl reload`: a new secret counts, and the call that is up stays.
fn keeps_calls_while_it_reads_files(world: &mut World, guest: &mut Guest) -> Result<()> {
    let process = main_process(guest)?;
    guest.sh(
        10,
        "echo 'anna pptpd other *' >/etc/ppp/chap-secrets; echo 'listen 10.99.0.1' >>/etc/pptpd.conf; systemctl reload pptpd",
    )?;
    ensure!(main_process(guest)? == process, "a reload started it anew");
    world.client()?.ping_all_sizes(INNER)?;
    world.call("require-mppe-128")?.ensure_refused()?;
    guest.sh(10, "cp /mnt/chap-secrets /etc/ppp/chap-secrets; systemctl reload gretel")?;
    call(world)?;
    Ok(())
}

/// `restart` as pptpd's administrators type it, and after a crash: each is another process, and clients come in again.
fn starts_again(world: &mut World, guest: &mut Guest) -> Result<()> {
    for command in [
        "service pptpd restart",
        "/etc/init.d/pptpd restart",
        // Systemd starts it again after a tenth of a second.
        "kill -KILL $(systemctl show -P MainPID gretel); sleep 0.5",
    ] {
        let process = main_process(guest)?;
        let said = guest.sh(30, command)?;
        is_gretel(guest).map_err(|error| error.context(format!("{command}: {said}")))?;
        ensure!(main_process(guest)? != process, "{command} did not start it anew: {said}");
        world.call("require-mppe-128")?.address().map_err(|error| error.context(command))?;
    }
    Ok(())
}

/// Calls, and gives the address.
fn call(world: &mut World) -> Result<String> {
    let address = world.call("require-mppe-128")?.address()?.to_owned();
    world.client()?.ping_all_sizes(INNER)?;
    Ok(address)
}

fn main_process(guest: &mut Guest) -> Result<String> {
    guest.sh(5, "systemctl show -P MainPID gretel")
}

/// Both names are the same running service, which starts at the next boot too.
fn is_gretel(guest: &mut Guest) -> Result<()> {
    let state = guest.sh(
        20,
        "for try in $(seq 50); do systemctl -q is-active gretel && break; sleep 0.1; done
         systemctl is-active gretel pptpd; systemctl is-enabled gretel pptpd
         [ $(pgrep -x pptpd) = $(systemctl show -P MainPID pptpd) ]; echo $?
         readlink /proc/$(systemctl show -P MainPID pptpd)/exe
         systemctl status gretel --no-pager; journalctl -u gretel -n 20 --no-pager; true",
    )?;
    let states: Vec<&str> = state.lines().take(6).collect();
    // Its other name is an alias, and its process has the old name.
    let wanted = ["active", "active", "enabled", "alias", "0", "/usr/sbin/gretel"];
    ensure!(states == wanted, "{state}");
    Ok(())
}
