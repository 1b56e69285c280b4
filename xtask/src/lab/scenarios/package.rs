//! The Debian package, in the place of a `pptpd` that was in use.

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::{
    deb,
    lab::{
        pptpd::Pptpd,
        segment::{INNER, Segment},
        server::{Files, Server},
        world::World,
    },
};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "the package takes the place of an installed pptpd with nothing edited",
    compared: false,
    run: |world| with_guest(world, replace_pptpd),
}];

/// Runs a script in the guest's changeable copy of this system.
pub(super) fn inside(guest: &mut Pptpd, script: &str) -> Result<String> {
    let script = script.replace('\'', r"'\''");
    guest.sh(&format!("chroot /run/system bash -c '{script}' 2>&1"))
}

/// Runs something with a guest in the server's place, which has its addresses.
pub(super) fn with_guest(
    world: &mut World,
    run: fn(&mut World, &mut Pptpd) -> Result<()>,
) -> Result<()> {
    with_guest_of(world, Pptpd::new, run)
}

/// As [`with_guest`], with a guest of any kind.
pub(super) fn with_guest_of<G>(
    world: &mut World,
    start: fn(&Segment) -> Result<G>,
    run: fn(&mut World, &mut G) -> Result<()>,
) -> Result<()> {
    let links = "for link in eth0 eth1; do ip link set $link";
    world.server.sh(&format!("{links} down; done"))?;
    let result = start(&world.segment).and_then(|mut guest| {
        // The client may remember whose the server's address was.
        world.client()?.guest.sh(5, "ip neighbour flush all")?;
        run(world, &mut guest)
    });
    world.client()?.guest.sh(5, "ip neighbour flush all")?;
    world.server.sh(&format!("{links} up; done"))?;
    result
}

fn replace_pptpd(world: &mut World, guest: &mut Pptpd) -> Result<()> {
    prepare(guest)?;
    start(guest, "pptpd")?;
    let before = world.call("require-mppe-128")?.address()?.to_owned();
    world.client()?.ping_all_sizes(INNER)?;
    world.client()?.hang_up()?;
    stop(guest)?;

    let files =
        "cat /etc/pptpd.conf /etc/ppp/pptpd-options /etc/ppp/chap-secrets /etc/default/pptpd";
    let contents = inside(guest, files)?;
    let said = inside(guest, "dpkg -i /mnt/gretel.deb")?;
    let program = inside(guest, "readlink -f $(command -v pptpd); dpkg-query -S /usr/sbin/pptpd")?;
    ensure!(program.starts_with("/usr/sbin/gretel\ngretel:"), "{program}\ndpkg said:\n{said}");
    ensure!(inside(guest, files)? == contents, "the installation changed the files");
    inside(
        guest,
        "gretel check >/dev/null && zcat /usr/share/man/man8/pptpd.8.gz | grep -q GRETEL && zcat /usr/share/man/man5/pptpd.conf.5.gz | grep -q gretel",
    )?;
    // What the service runs.
    let unit = inside(guest, "grep ^ExecStart= /usr/lib/systemd/system/gretel.service")?;
    let command = unit.trim().strip_prefix("ExecStart=").context("the unit starts nothing")?;
    start(guest, command)?;
    let after = world.call("require-mppe-128")?.address()?.to_owned();
    world.client()?.ping_all_sizes(INNER)?;
    world.client()?.hang_up()?;
    stop(guest)?;
    ensure!(after == before, "the client had {before}, and has {after}");

    inside(guest, "dpkg --remove gretel")?;
    let left = inside(guest, "ls /usr/sbin/gretel /usr/sbin/pptpd 2>&1; true")?;
    ensure!(left.matches("cannot access").count() == 2, "left: {left}");
    ensure!(inside(guest, files)? == contents, "the removal changed the files");
    inside(guest, "dpkg --purge gretel")?;
    let known = inside(guest, "dpkg-query -W -f '${db:Status-Status}' gretel || true")?;
    ensure!(!known.contains("installed"), "{known}");
    ensure!(inside(guest, files)? == contents, "the purge changed the files");
    Ok(())
}

/// A copy of this system that takes changes, with the files of a `pptpd` in use.
pub(super) fn prepare(guest: &mut Pptpd) -> Result<()> {
    let files = Files::SHIPPED;
    guest.write("pptpd.conf", &files.pptpd_conf("/etc/ppp/pptpd-options"))?;
    guest.write("pptpd-options", &files.options())?;
    guest.write("chap-secrets", files.secrets)?;
    guest.copy("gretel.deb", &deb::path()?)?;
    guest.sh("kernel=/usr/lib/uml/modules/$(uname -r)/kernel
         insmod $kernel/fs/overlayfs/overlay.ko; insmod $kernel/drivers/net/tun.ko
         set -e
         mkdir -p /run/layer /run/system
         mount -t tmpfs tmpfs /run/layer; mkdir /run/layer/upper /run/layer/work
         mount -t overlay -o lowerdir=/,upperdir=/run/layer/upper,workdir=/run/layer/work overlay /run/system
         for folder in dev proc sys mnt; do mount --rbind /$folder /run/system/$folder; done
         mount -t tmpfs tmpfs /run/system/run
         mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
         cd /run/system/etc
         cp /mnt/pptpd.conf pptpd.conf
         cp /mnt/pptpd-options ppp/pptpd-options
         : >ppp/options
         rm -f ../var/lib/man-db/auto-update # else each installation reads all manual pages
         umask 077; cp /mnt/chap-secrets ppp/chap-secrets
         echo \"DAEMON_OPTS='--debug'\" >default/pptpd")?;
    Ok(())
}

/// Starts a server as its service does.
pub(super) fn start(guest: &mut Pptpd, command: &str) -> Result<()> {
    let command = if command == "pptpd" { "pptpd --fg $DAEMON_OPTS" } else { command };
    inside(
        guest,
        &format!(
            ". /etc/default/pptpd
             setsid {command} >/run/server.log 2>&1 </dev/null &
             for try in $(seq 100); do
                 ss -Hltn | grep -q :1723 && exit 0
                 sleep 0.1
             done
             cat /run/server.log; exit 1"
        ),
    )?;
    Ok(())
}

pub(super) fn stop(guest: &mut Pptpd) -> Result<()> {
    inside(
        guest,
        "pkill -TERM -x 'pptpd|pptpctrl|gretel'; pkill -TERM -x pppd
         for try in $(seq 100); do
             pgrep -r D,R,S -x 'pptpd|pptpctrl|pppd|gretel' >/dev/null || exit 0
             sleep 0.1
         done; exit 1",
    )?;
    Ok(())
}
