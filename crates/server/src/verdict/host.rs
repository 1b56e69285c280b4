//! Verdicts about what this host does, or does not.

use super::{VERDICT, Verdict};

pub(super) const ALL: &[&Verdict] = &[&NO_INTERFACE, &NO_PROXY_ARP, &SCRIPT_FAILED, &PORT_TAKEN];

pub(super) const NO_INTERFACE: Verdict = Verdict {
    code: "G-501",
    title: "This host could not set up the session's interface",
    sentence: "this host could not set up the session's interface; the line before has the reason",
    meaning: "The client did everything right. The kernel here refused a network interface, an address or a route.",
    seen: &["Windows: error 619 or 720", "Linux (pppd): \"LCP terminated by peer\""],
    evidence: "A change to this host failed.",
    server: &[
        "/dev/net/tun missing: `modprobe tun`; in a container it must be passed in.",
        "No rights: run as root or with CAP_NET_ADMIN.",
    ],
    ..VERDICT
};

pub(super) const NO_PROXY_ARP: Verdict = Verdict {
    code: "G-502",
    title: "Proxy ARP found no network",
    sentence: "proxyarp is set, but the client's address is in none of this host's networks: hosts of the LAN do not find the client",
    meaning: "With `proxyarp` the client's address must be one of the LAN's. This one is not, so that nobody there can answer the client.",
    seen: &["The connection is up; pings to the LAN get no answer"],
    evidence: "No Ethernet interface of this host has a network with the client's address in it.",
    server: &[
        "Take `remoteip` from the LAN's own network, outside of its DHCP range.",
        "Or route: give the LAN's router a route for `remoteip` to this host, and remove `proxyarp`.",
    ],
    ..VERDICT
};

pub(super) const SCRIPT_FAILED: Verdict = Verdict {
    code: "G-503",
    title: "A script failed",
    sentence: "a script of the session failed; a line before names it",
    meaning: "`ip-up` or one of its kin could not be run or ended with an error. What it should have set up (routes, firewall) may be missing.",
    seen: &["The connection is up; what the script should have done is missing"],
    evidence: "The script's exit status, or the kernel's words.",
    server: &[
        "Run it by hand with the arguments from the log (`debug` shows them). It needs a first line such as `#!/bin/sh` and `chmod +x`.",
    ],
    ..VERDICT
};

pub(crate) const PORT_TAKEN: Verdict = Verdict {
    code: "G-504",
    title: "The port is taken",
    sentence: "another program listens on the port",
    meaning: "Only one program can listen on TCP 1723 of an address. Another one does: an old `pptpd`, another PPTP server, or a second Gretel.",
    seen: &["The clients talk to the other program"],
    evidence: "The kernel refused the port to this server; `/proc` tells whose socket it is.",
    server: &[
        "Stop the other one: `systemctl disable --now pptpd`, or what the error names.",
        "Or give each an address of its own: `listen` in pptpd.conf.",
    ],
    ..VERDICT
};
