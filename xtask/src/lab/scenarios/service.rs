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

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "systemd runs the service in pptpd's place, under both names, and its journal has the old words",
        compared: false,
        run: |world| with_guest_of(world, start, serve),
    },
    Scenario {
        name: "what is wrong with the files is said while pptpd runs, and dpkg leaves it in its place",
        compared: false,
        run: |world| with_guest_of(world, start, say_first),
    },
];

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
        60,
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
    for words in [
        "gretel: /etc/pptpd.conf, and what it names, will work as they are",
        "do not purge the package pptpd",
        "/etc/ppp/ip-up runs within",
    ] {
        ensure!(said.contains(words), "the installation does not say {words:?}:\n{said}");
    }
    is_gretel(guest).map_err(|error| error.context(said))?;
    ensure!(call(world)? == before, "the client has another address than with pptpd");
    let journal = guest.sh(60, "journalctl -u gretel -o short --no-pager")?;
    world.logged(&journal);
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
    ensure!(guest.sh(60, "tail -n 1 /run/ups")?.starts_with("ppp0 "), "ip-up was not run");

    keeps_calls_while_it_reads_files(world, guest)?;
    starts_again(world, guest)?;
    scripts_have_limits_that_can_be_lifted(world, guest)?;
    serves_as_a_user_of_its_own(world, guest)?;

    guest.sh(60, "systemctl stop pptpd; ! systemctl is-active gretel && ! ip link show ppp0")?;
    guest.sh(60, "dpkg --remove gretel")?;
    let left = guest.sh(
        60,
        "systemctl show -P LoadState gretel pptpd; cd /etc/systemd/system; ls gretel* pptpd* *.wants/gretel* 2>/dev/null; find /etc/init.d/pptpd -executable",
    )?;
    ensure!(left.split_whitespace().eq(["not-found", "not-found"]), "left: {left}");
    Ok(())
}

/// Starts the service, and shows why where it does not.
const START: &str =
    "systemctl restart gretel || { journalctl -u gretel -n 20 --no-pager >&2; exit 1; }";

/// An option that pptpd's pppd takes at each call, and with which Gretel does not start.
const REFUSED: &str = "plugin radius.so";

fn say_first(world: &mut World, guest: &mut Guest) -> Result<()> {
    let spoil = format!("echo '{REFUSED}' >>/etc/ppp/pptpd-options");
    let mend = format!("sed -i '/{REFUSED}/d' /etc/ppp/pptpd-options");
    // What is disabled its package does not start again.
    let install = format!("systemctl -q enable pptpd; {spoil}; ! dpkg -i /mnt/gretel.deb 2>&1");
    let said = guest.sh(120, &install)?;
    for words in ["the plugin radius.so is not supported", "gretel: not installed", "pptpd stays"] {
        ensure!(said.contains(words), "dpkg does not say {words:?}:\n{said}");
    }
    let state = guest.sh(
        60,
        "dpkg-query -W -f '${db:Status-Status}\\n' pptpd gretel 2>/dev/null; systemctl is-active pptpd
         readlink /proc/$(systemctl show -P MainPID pptpd)/exe; ls /usr/sbin/gretel /var/lib/dpkg/info/gretel.* 2>/dev/null || true",
    )?;
    let states: Vec<&str> = state.split_whitespace().filter(|it| *it != "not-installed").collect();
    ensure!(states == ["installed", "active", "/usr/sbin/pptpd"], "{state}\n{said}");
    guest.sh(60, &mend)?;
    call(world)?;
    world.client()?.hang_up()?;

    // Each line that apt prints, with whether the old server lives once it has been read.
    let told = guest.sh(
        180,
        &format!(
            r#"{spoil}
            pid=$(systemctl show -P MainPID pptpd)
            DEBIAN_FRONTEND=noninteractive apt-get -y -q install /mnt/gretel.deb 2>&1 |
                while read -r line; do kill -0 $pid 2>/dev/null && echo "up $line" || echo "down $line"; done"#
        ),
    )?;
    let at = |words: &str| told.lines().position(|line| line.contains(words));
    let report = at("the plugin radius.so is not supported");
    ensure!(
        report.is_some_and(|line| told.lines().nth(line).is_some_and(|it| it.starts_with("up "))),
        "the report is not there before pptpd is stopped:\n{told}"
    );
    ensure!(report < at("Removing pptpd"), "the report comes after pptpd has gone:\n{told}");
    // It has been started in vain so often that systemd wants to be asked twice.
    guest.sh(60, &format!("{mend}; systemctl reset-failed gretel; {START}"))?;
    is_gretel(guest).map_err(|error| error.context(told))?;
    call(world)?;
    Ok(())
}

/// `systemctl reload`: a new secret counts, and the call that is up stays.
fn keeps_calls_while_it_reads_files(world: &mut World, guest: &mut Guest) -> Result<()> {
    let process = main_process(guest)?;
    guest.sh(
        60,
        "echo 'anna pptpd other *' >/etc/ppp/chap-secrets; echo 'listen 10.99.0.1' >>/etc/pptpd.conf; systemctl reload pptpd",
    )?;
    ensure!(main_process(guest)? == process, "a reload started it anew");
    world.client()?.ping_all_sizes(INNER)?;
    world.call("require-mppe-128")?.ensure_refused()?;
    guest.sh(60, "cp /mnt/chap-secrets /etc/ppp/chap-secrets; systemctl reload gretel")?;
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
        let said = guest.sh(60, command)?;
        is_gretel(guest).map_err(|error| error.context(format!("{command}: {said}")))?;
        ensure!(main_process(guest)? != process, "{command} did not start it anew: {said}");
        world.call("require-mppe-128")?.address().map_err(|error| error.context(command))?;
    }
    Ok(())
}

/// What a script of pppd's may do and the service's may not, until the example that the package brings is put in place.
fn scripts_have_limits_that_can_be_lifted(world: &mut World, guest: &mut Guest) -> Result<()> {
    let script = r#"#!/bin/sh
        {
            touch /var/lib/script-was-here && echo wrote
            echo 2 >/proc/sys/net/ipv4/conf/$1/rp_filter && echo set
            su -s /bin/sh -c 'id -un' nobody
            ip route replace 192.0.2.0/24 dev $1 && echo routed
        } >/run/script 2>/run/script.errors
        echo done >>/run/script"#;
    fs::write(world.segment.folder.join("systemd/ip-up"), script)?;
    guest.sh(60, "install -m 755 /mnt/ip-up /etc/ppp/ip-up")?;
    let wait = "for try in $(seq 50); do grep -q done /run/script && break; sleep 0.1; done; cat /run/script";
    world.call("require-mppe-128")?.address()?;
    let limited = guest.sh(60, wait)?;
    ensure!(limited == "routed\ndone\n", "within the service's limits: {limited}");
    guest.sh(
        60,
        "rm /run/script; mkdir /etc/systemd/system/gretel.service.d
         cp /usr/share/doc/gretel/examples/unconfined-scripts.conf /etc/systemd/system/gretel.service.d
         systemctl daemon-reload; systemctl restart gretel",
    )?;
    world.call("require-mppe-128")?.address()?;
    let free = guest.sh(60, wait)?;
    ensure!(free == "wrote\nset\nnobody\nrouted\ndone\n", "without limits: {free}");
    guest.sh(60, "rm -r /etc/systemd/system/gretel.service.d; systemctl daemon-reload")?;
    Ok(())
}

/// As the package's own user: by `server.user`, where the helper stays root, and by systemd's `User=`.
fn serves_as_a_user_of_its_own(world: &mut World, guest: &mut Guest) -> Result<()> {
    let refused = guest.sh(
        60,
        r#"mkdir -p /etc/gretel /etc/systemd/system/gretel.service.d
        printf '[server]\nuser = "gretel"\n' >/etc/gretel/gretel.toml
        printf '%s\n' '#!/bin/sh' 'echo "$(id -un) $1" >>/run/users' >/etc/ppp/ip-up
        cp /usr/share/doc/gretel/examples/own-user.conf /etc/systemd/system/gretel.service.d
        systemctl daemon-reload
        gretel check 2>&1; ! systemctl restart gretel 2>/dev/null
        systemctl reset-failed gretel"#,
    )?;
    let mends = "chgrp gretel /etc/ppp/chap-secrets && chmod 640 /etc/ppp/chap-secrets";
    ensure!(refused.contains(mends), "{refused}");
    // As udev has it on a machine with udev.
    let device = "chmod 666 /dev/net/tun";
    guest.sh(60, &format!("{mends}; {device}; gretel check >/dev/null; {START}"))?;
    for by in ["server.user", "User="] {
        is_gretel(guest).map_err(|error| error.context(by))?;
        call(world).map_err(|error| error.context(by))?;
        let seen = guest.sh(
            60,
            "stat -c %U /run/gretel /run/gretel/admin.sock /var/lib/gretel/history.db
             grep -h ^Uid: /proc/$(systemctl show -P MainPID gretel)/task/*/status | sort -u | tr '\\t' ' '
             id -u gretel; gretel who",
        )?;
        let words: Vec<&str> = seen.split_whitespace().collect();
        ensure!(words[..3] == ["gretel"; 3] && seen.contains("anna"), "{by}: {seen}");
        // One line for all threads: the real, effective, saved and file system's number.
        ensure!(words[3] == "Uid:" && words[4..8] == [words[8]; 4], "{by}: {seen}");
        guest
            .sh(60, "echo 'anna pptpd other *' >/etc/ppp/chap-secrets; systemctl reload gretel")?;
        world.call("require-mppe-128")?.ensure_refused()?;
        guest.sh(60, "cat /mnt/chap-secrets >/etc/ppp/chap-secrets")?;
        guest.sh(60, "kill -KILL $(systemctl show -P MainPID gretel); sleep 0.5")?;
        is_gretel(guest).map_err(|error| error.context(by))?;
        call(world).map_err(|error| error.context(by))?;
        let runs = guest
            .sh(60, "tail -n 1 /run/users; rm /run/users; ls /run/ppp0.pid 2>/dev/null || true")?;
        let wanted = match by {
            "server.user" => "root ppp0\n/run/ppp0.pid\n",
            _ => "gretel ppp0\n",
        };
        ensure!(runs == wanted, "{by}: {runs}");
        guest.sh(
            60,
            "printf '[Service]\nUser=gretel\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE\n' >/etc/systemd/system/gretel.service.d/own-user.conf
             install -m 666 /dev/null /run/users
             systemctl daemon-reload; systemctl restart gretel",
        )?;
    }
    guest.sh(
        60,
        "rm -r /etc/systemd/system/gretel.service.d /etc/gretel; systemctl daemon-reload; systemctl stop gretel
         chown -R root: /run/gretel /var/lib/gretel; systemctl start gretel",
    )?;
    is_gretel(guest)
}

/// Calls, and gives the address.
fn call(world: &mut World) -> Result<String> {
    let address = world.call("require-mppe-128")?.address()?.to_owned();
    world.client()?.ping_all_sizes(INNER)?;
    Ok(address)
}

fn main_process(guest: &mut Guest) -> Result<String> {
    guest.sh(60, "systemctl show -P MainPID gretel")
}

/// Both names are the same running service, which starts at the next boot too.
fn is_gretel(guest: &mut Guest) -> Result<()> {
    let state = guest.sh(
        60,
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
