//! Verdicts about what this host does, or does not.

use super::{VERDICT, Verdict};

pub(super) const ALL: &[&Verdict] = &[
    &NO_INTERFACE,
    &NO_PROXY_ARP,
    &SCRIPT_FAILED,
    &PORT_TAKEN,
    &NOT_FORWARDING,
    &FORWARD_RULE,
    &NOT_TRANSLATED,
    &ADDRESS_TAKEN,
    &NAME_SERVER_SILENT,
    &CLOCK_JUMPED,
];

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

const BEYOND_SEEN: &[&str] = &[
    "The connection is up; this server answers a ping, nothing behind it does",
    "With all traffic through the tunnel: no Internet while connected",
];

pub(super) const NOT_FORWARDING: Verdict = Verdict {
    code: "G-505",
    title: "This host does not pass packets on",
    sentence: "the client sends packets for others than this host, and this host does not pass packets on (ip_forward is off)",
    meaning: "Clients reach this host and nothing else: the kernel's forwarding is switched off.",
    seen: BEYOND_SEEN,
    evidence: "Packets for other hosts came through the tunnel again and again and were not answered; asked for their way, the kernel said that it does not forward, and \
               `net.ipv4.ip_forward` is not 1.",
    server: &[
        "`sysctl -w net.ipv4.ip_forward=1`, and for the next boot: `echo net.ipv4.ip_forward=1 >/etc/sysctl.d/90-gretel.conf`.",
        "Or let `gretel doctor --fix` do it.",
    ],
    ..VERDICT
};

pub(super) const FORWARD_RULE: Verdict = Verdict {
    code: "G-506",
    title: "A rule of this host drops the clients' packets",
    sentence: "the client sends packets for others, and a rule or policy of this host's own packet filter drops them or their answers",
    meaning: "Passing packets on is switched on, but nftables or iptables does not let those of the clients through. Docker and ufw set such a policy.",
    seen: BEYOND_SEEN,
    evidence: "Packets came through the tunnel again and again and were not answered; the rules of this host drop them whatever protocol they are of. The rule stands in brackets.",
    server: &[
        "Let them through: `nft insert rule inet filter forward iifname \"ppp*\" accept` and `nft insert rule inet filter forward oifname \"ppp*\" ct state established,related accept`; \
         or `iptables -I FORWARD -i ppp+ -j ACCEPT` and `iptables -I FORWARD -o ppp+ -j ACCEPT`.",
        "`gretel doctor` prints the command for the right chain.",
    ],
    ..VERDICT
};

pub(super) const NOT_TRANSLATED: Verdict = Verdict {
    code: "G-507",
    title: "The client's address is not known beyond this host",
    sentence: "the client sends packets for others and gets no answer; its address is of no network of this host, and nothing translates it: either the routers there have no route back, \
               or who was asked does not answer",
    meaning: "Whoever is asked has to know the way back. An address of the LAN is found by ARP, a translated one is this host's own; with any other the routers beyond need a route.",
    seen: BEYOND_SEEN,
    evidence: "Packets came through the tunnel again and again and were not answered; this host passes them on with the client's own address, which is of none of its networks. \
               `ping -I ADDRESS-OF-OURS DESTINATION` on the server tells the two apart: if that is answered, it is the route back.",
    server: &[
        "Translate: `gretel doctor --fix` adds the rule, or: `iptables -t nat -A POSTROUTING -s POOL -o INTERFACE -j MASQUERADE`.",
        "Or take `remoteip` from the LAN's own network and set `proxyarp`.",
    ],
    network: &["Or give the router there a route for the pool, to this host."],
    ..VERDICT
};

pub(super) const ADDRESS_TAKEN: Verdict = Verdict {
    code: "G-508",
    title: "Another host has the client's address",
    sentence: "another host on the local network has the address that the client was given: the two take each other's packets",
    meaning: "`remoteip` names addresses that something else uses: a DHCP server gives them away, or a device is set to one.",
    seen: &["The connection is up; things behind the server answer now and then, or not at all"],
    evidence: "When the client was given the address, the local network was asked who has it (ARP), and another host answered. Its hardware address stands in brackets.",
    server: &[
        "Take addresses for `remoteip` that nobody has: out of the DHCP server's range.",
        "Find the other host: `ip neighbour`, or the switch's table, by its hardware address.",
    ],
    network: &["Or make the DHCP server leave these addresses alone."],
    ..VERDICT
};

pub(super) const NAME_SERVER_SILENT: Verdict = Verdict {
    code: "G-509",
    title: "A name server that clients are told of does not answer",
    sentence: "the client asks a name server that it was told of, and that one answers neither the client nor this host",
    meaning: "Clients look up names at the servers of `ms-dns`. While one of them is silent, names are found slowly or not at all; addresses still work.",
    seen: &[
        "The connection is up; names are not found (\"DNS_PROBE_FINISHED_NO_INTERNET\", \"server not found\"), addresses can be reached",
    ],
    evidence: "The client's questions to the server were not answered; this host asked it then, twice within a second, and got no answer either.",
    server: &[
        "Put a name server that answers behind `ms-dns`: try it with `dig @ADDRESS example.com`.",
    ],
    ..VERDICT
};

pub(crate) const CLOCK_JUMPED: Verdict = Verdict {
    code: "G-510",
    title: "The clock of this host jumped",
    sentence: "times in the log and the history before this line do not go with those behind it; sessions, limits and locks go on by a clock that nobody sets",
    meaning: "Somebody or something set the clock while the server ran: a time service after the start, an administrator, a machine that slept or was moved. No session is harmed by it. \
              What compares times is: fail2ban and accounts that expire (PAM), and the history, which forgets what is older than `history-days`.",
    seen: &["Nothing; or, when PAM takes the account for expired: Windows: error 691"],
    evidence: "The system's clock went another way than the kernel's clock that nobody can set, by a minute or more between two looks.",
    server: &[
        "Keep the clock: `timedatectl set-ntp true`, or chrony. `gretel doctor` says whether somebody keeps it.",
        "A host without a clock that runs on: start the server after the time is known (`After=time-sync.target`).",
    ],
    ..VERDICT
};
