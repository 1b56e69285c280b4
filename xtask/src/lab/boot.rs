//! How a guest starts: the scripts that are its first process.

use std::path::Path;

use super::guest::Interface;

/// What runs in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// The lab's shell alone, on the machine's own files, with a system log.
    Shell,
    /// systemd and what it starts, on a copy of the machine's files that takes changes; of the machine's own services only those that belong to
    /// systemd. The lab's shell is one of its units.
    Systemd,
}

/// The guest's first process; it ends as the lab's shell, or as systemd.
pub(crate) fn script(folder: &Path, interfaces: &[Interface], system: System) -> String {
    let addresses: String = interfaces
        .iter()
        .enumerate()
        .map(|(index, interface)| {
            let address = interface.address;
            format!("ip address add {address} dev vec{index}; ip link set vec{index} up\n")
        })
        .collect();
    let folder = folder.display();
    let rest = match system {
        System::Shell => shell(),
        System::Systemd => systemd(),
    };
    format!(
        r#"#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
stty -echo
mount -t hostfs -o {folder} none /mnt
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
kernel=/usr/lib/uml/modules/$(uname -r)/kernel
for module in {MODULES}; do insmod $kernel/$module.ko; done
[ -e /dev/ppp ] || mknod /dev/ppp c 108 0
ip link set lo up
{addresses}
{rest}"#
    )
}

/// Takes work from the console until that is closed.
const TAKE_WORK: &str = r#"echo LAB-READY
while read -r number seconds; do
    timeout -k 1 $seconds bash /mnt/$number.sh >/mnt/$number.out 2>&1 </dev/null
    echo "LAB-DONE $number $?"
done
echo o >/proc/sysrq-trigger
sleep 5
"#;

fn shell() -> String {
    let xtask = std::env::current_exe().unwrap_or_default();
    let (xtask, syslog) = (xtask.display(), super::SYSLOG);
    format!(
        r#"mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
{xtask} {syslog} /run/syslog & # before a covered /tmp can hide it
until [ -S /dev/log ]; do sleep 0.01; done
for directory in /tmp /etc/ppp /var/log; do mount -t tmpfs tmpfs $directory; done
mkdir -p /run/lock
{TAKE_WORK}"#
    )
}

fn systemd() -> String {
    format!(
        r#"insmod $kernel/fs/overlayfs/overlay.ko; insmod $kernel/drivers/net/tun.ko
mkdir -p /run/layer /run/system
mount -t tmpfs tmpfs /run/layer; mkdir /run/layer/upper /run/layer/work
mount -t overlay -o lowerdir=/,upperdir=/run/layer/upper,workdir=/run/layer/work overlay /run/system
cd /run/system
mount --move /mnt mnt
mount -t devtmpfs devtmpfs dev
mkdir -p dev/net
[ -e dev/net/tun ] || mknod dev/net/tun c 10 200
[ -e dev/ppp ] || mknod dev/ppp c 108 0
: >etc/fstab
rm -rf etc/systemd/system/*.wants usr/sbin/policy-rc.d var/log/journal usr/lib/systemd/system-generators/postgresql-generator var/lib/man-db/auto-update
cat >usr/local/sbin/lab <<'END'
exec </dev/tty0 >/dev/tty0
stty -echo
{TAKE_WORK}END
cat >etc/systemd/system/lab.service <<'END'
[Service]
ExecStart=/bin/bash /usr/local/sbin/lab
KillMode=process
END
cat >etc/systemd/system/lab.target <<'END'
[Unit]
Requires=basic.target lab.service
After=basic.target
END
exec switch_root /run/system /lib/systemd/systemd --unit=lab.target
"#
    )
}

/// Kernel modules of a guest, each after those it needs.
const MODULES: &str = "lib/crypto/libarc4 crypto/arc4 lib/crc-ccitt drivers/net/slip/slhc \
    drivers/net/ppp/ppp_generic drivers/net/ppp/ppp_mppe drivers/net/ppp/ppp_async \
    drivers/net/ppp/ppp_synctty drivers/net/ppp/pppox net/ipv4/gre drivers/net/ppp/pptp \
    net/sched/sch_netem net/sched/sch_ingress net/sched/cls_matchall net/sched/act_mirred \
    drivers/net/ifb net/ipv6/ipv6";
