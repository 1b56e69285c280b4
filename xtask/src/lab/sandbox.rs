//! The lab's own namespaces, around everything it starts.
//!
//! The lab runs itself again as the first process of new mount, network and process namespaces. When
//! that process ends, for whatever reason, the kernel ends every process and removes every interface
//! and mount that the lab made: nothing is left to clean up, even after a `kill -9`.

use std::{env, fs, os::unix::fs::PermissionsExt, process::Command};

use anyhow::{Context, Result};

use crate::workspace::{as_root, output};

/// Runs `arguments` of this program inside new namespaces; `true` when they succeed.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let status = as_root("setpriv")?
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid"])
        .args(["--fork", "--kill-child", "--mount-proc"])
        .arg(env::current_exe()?)
        .args(arguments)
        .status()
        .context("cannot start the lab's namespaces with setpriv and unshare")?;
    Ok(status.success())
}

/// Covers what the lab's programs write, so that nothing reaches the machine's own files. Scripts of the package `ppp` are in `/etc/ppp/debian`.
pub(crate) fn furnish() -> Result<()> {
    let script = "set -e
        mkdir -p /dev/net
        scripts=$(tar -c -C /etc/ppp ip-up ip-down ipv6-up ipv6-down | base64)
        for directory in /run /etc/ppp /var/log /tmp; do mount -t tmpfs tmpfs $directory; done
        mkdir -p /run/netns /run/lock /etc/ppp/debian
        echo \"$scripts\" | base64 -d | tar -x -C /etc/ppp/debian
        # As udev has it: whoever has CAP_NET_ADMIN may make interfaces.
        mount -t tmpfs tmpfs /dev/net; mknod -m 666 /dev/net/tun c 10 200
        ip link set lo up";
    // The build and its results may lie below a covered directory.
    let keep = env::current_exe()?;
    let covered = keep.starts_with("/tmp") || crate::workspace::root().starts_with("/tmp");
    let script = if covered { script.replace(" /tmp;", ";") } else { script.to_owned() };
    output(Command::new("sh").args(["-c", &script]))?;
    open_the_way()
}

/// Lets everybody come to this source tree, as servers do that are not root: it may lie in root's own directory.
fn open_the_way() -> Result<()> {
    // Another directory stands in for one that is closed, with all that is in it.
    let script = "set -e
        mkdir -p /run/behind
        mount --rbind \"$1\" /run/behind
        mount -t tmpfs -o mode=755 tmpfs \"$1\"
        for path in /run/behind/* /run/behind/.[!.]*; do
            if [ -L \"$path\" ]; then cp -P \"$path\" \"$1\"; continue; fi
            [ -e \"$path\" ] || continue
            name=\"$1/${path##*/}\"
            if [ -d \"$path\" ]; then mkdir \"$name\"; else : >\"$name\"; fi
            mount --rbind \"$path\" \"$name\"
        done
        umount -l /run/behind";
    let root = crate::workspace::root();
    let mut above: Vec<_> = root.ancestors().skip(1).collect();
    above.reverse();
    for directory in above {
        if fs::metadata(directory)?.permissions().mode() & 0o001 == 0 {
            output(Command::new("sh").args(["-c", script, "sh"]).arg(directory))?;
        }
    }
    Ok(())
}
