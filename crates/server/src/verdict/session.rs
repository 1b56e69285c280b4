//! Verdicts about sessions that were up.

use super::{VERDICT, Verdict};

pub(super) const ALL: &[&Verdict] = &[
    &LEFT,
    &IDLE,
    &LIMIT,
    &REPLACED,
    &STOPPED,
    &VANISHED,
    &NOTHING_CAME,
    &OTHER_SOURCE,
    &LOSS,
    &KICKED,
    &DUPLICATE,
    &REORDERED,
    &OWN_ROUTES,
    &NO_ROUTE,
    &NO_INTERNET,
    &BLACK_HOLE,
    &TOO_LARGE,
];

pub(super) const LEFT: Verdict = Verdict {
    code: "G-601",
    title: "The client left",
    sentence: "the client hung up",
    meaning: "An ordinary end.",
    evidence: "PPP, the call or the control connection was ended by the client.",
    is_fine: true,
    ..VERDICT
};

pub(super) const IDLE: Verdict = Verdict {
    code: "G-602",
    title: "Idle for too long",
    sentence: "no traffic for as long as `idle` allows",
    meaning: "The option `idle` ends sessions without traffic.",
    seen: &[
        "Windows: error 628 or 829",
        "Linux (pppd): \"LCP terminated by peer (Link inactive)\"",
    ],
    evidence: "No packet went either way for that time.",
    server: &["Raise `idle`, or remove it."],
    is_fine: true,
    ..VERDICT
};

pub(super) const LIMIT: Verdict = Verdict {
    code: "G-603",
    title: "A limit of time or traffic was reached",
    sentence: "`maxconnect` or `maxoctets` was reached",
    meaning: "The options `maxconnect` and `maxoctets` end sessions that last, or carry, too much.",
    seen: &["Windows: error 628 or 829"],
    evidence: "The session's own clock or counters.",
    server: &["Raise the limit, or remove it."],
    is_fine: true,
    ..VERDICT
};

pub(super) const REPLACED: Verdict = Verdict {
    code: "G-604",
    title: "The user logged in again",
    sentence: "the same user logged in again and took the address over",
    meaning: "A client whose connection broke comes back, and its old session makes way.",
    seen: &["Nothing, or that the connection broke for a moment"],
    evidence: "A later session of the same user asked for the same address, from the same place.",
    is_fine: true,
    ..VERDICT
};

pub(super) const STOPPED: Verdict = Verdict {
    code: "G-605",
    title: "The server stopped",
    sentence: "the server was stopped",
    meaning: "The service was stopped or restarted. A reload ends no session.",
    evidence: "A signal told the server to stop.",
    is_fine: true,
    ..VERDICT
};

pub(super) const VANISHED: Verdict = Verdict {
    code: "G-606",
    title: "The client vanished",
    sentence: "the client no longer answers: it lost power or its network, or something between stopped letting GRE through",
    meaning: "LCP Echo-Requests stayed unanswered for as long as `lcp-echo-failure` allows.",
    seen: &["The client's user sees nothing, or that the network is gone"],
    evidence: "The last Echo-Requests got no Echo-Reply, and no goodbye came. If the control connection still answers then, GRE alone is cut; if the client comes back by itself within \
               minutes, it was its network.",
    network: &[
        "If it happens again and again after the same quiet time: a router forgets GRE; make echoes more frequent than that (`lcp-echo-interval`).",
    ],
    client: &["Nothing, when it lost power or its network."],
    ..VERDICT
};

pub(super) const NOTHING_CAME: Verdict = Verdict {
    code: "G-607",
    title: "Connected, and nothing came through the tunnel",
    sentence: "the session was up, but not one packet came through it: the client has no route that leads there (\"use default gateway on remote network\" not ticked), or nothing to say",
    meaning: "Everything is set up, and the client sends nothing at all into the tunnel. Either it has no route that leads there, or its user has not used it.",
    seen: &["The connection shows as connected; the LAN behind the server cannot be reached"],
    evidence: "For a minute or more no IP packet came. A ping from the client to the server's address in the tunnel tells the two apart: if that is answered, it is the client's routes.",
    client: &[
        "Windows: properties of the connection, Networking, TCP/IPv4, Advanced: tick \"Use default gateway on remote network\", or add a route: `Add-VpnConnectionRoute`.",
        "Linux: `defaultroute`, or a route to the LAN in ip-up.",
    ],
    ..VERDICT
};

pub(super) const OTHER_SOURCE: Verdict = Verdict {
    code: "G-608",
    title: "Packets come from addresses that are not the client's",
    sentence: "packets came through the tunnel from addresses that are not the client's, and were dropped",
    meaning: "The client forwards packets of its own network, or of another interface, into the tunnel. Only the address that it was given may speak.",
    seen: &["The connection is up; some or all things behind the client get no answer"],
    evidence: "Packets dropped as `spoofed-source`, more than came from the right address.",
    client: &["A router as a client: let it translate (masquerade) what it sends into the tunnel."],
    ..VERDICT
};

pub(super) const LOSS: Verdict = Verdict {
    code: "G-609",
    title: "Many packets are lost on the way",
    sentence: "many of the client's GRE packets are lost on the way to us",
    meaning: "The line between loses packets: everything through the tunnel is slow or stalls.",
    seen: &["The connection is up and slow"],
    evidence: "Gaps in the sequence numbers of the client's GRE packets: more than one in twenty is missing.",
    network: &[
        "Look for a bad line, weak radio or a full one: `mtr` to the client's address.",
        "A shaper or firewall that treats protocol 47 worse than TCP.",
    ],
    ..VERDICT
};

pub(super) const KICKED: Verdict = Verdict {
    code: "G-610",
    title: "An administrator ended the session",
    sentence: "an administrator ended the session",
    meaning: "Somebody on the server typed `gretel kick`.",
    seen: &[
        "Windows: error 628 or 829",
        "Linux (pppd): \"LCP terminated by peer (Ended by an administrator)\"",
    ],
    evidence: "The command came over the admin socket; the log has its reason.",
    is_fine: true,
    ..VERDICT
};

pub(super) const DUPLICATE: Verdict = Verdict {
    code: "G-611",
    title: "The user logged in from another place",
    sentence: "the same user logged in from another place and took the address over: one client that moved, or two that use one user",
    meaning: "Two sessions of one user want the same address, and the newer one gets it. A client whose network changed (Wi-Fi to mobile) comes back that way; two devices with one user and one \
              fixed address throw each other out.",
    seen: &["Windows: error 628 or 829, on the device that was there first"],
    evidence: "A later session of the same user asked for the same address, and called from another one. If this verdict comes again and again in turn from two addresses, it is two devices: \
               `gretel history USER`.",
    server: &["Two devices: give each a user of its own, or `*` in place of the fixed address."],
    ..VERDICT
};

pub(super) const REORDERED: Verdict = Verdict {
    code: "G-612",
    title: "Many packets overtake each other on the way",
    sentence: "many of the client's GRE packets come out of order: something between sends them by several ways",
    meaning: "The line between changes the order of packets. What comes late is used where encryption is stateless; TCP in the tunnel takes it for loss all the same, and is slow.",
    seen: &["The connection is up and slow"],
    evidence: "More than one in twenty of the client's GRE packets came after a later one, by their sequence numbers.",
    network: &[
        "Two lines that packets are dealt out to one by one (per-packet load balancing, bonding): have flows stay on one line.",
        "A shaper that treats small and large packets differently: keep protocol 47 in one class.",
    ],
    server: &["Stateful MPPE suffers most: leave it stateless (`nomppe-stateful`)."],
    ..VERDICT
};

pub(super) const OWN_ROUTES: Verdict = Verdict {
    code: "G-613",
    title: "The client keeps its own routes",
    sentence: "the tunnel works, but the client sends nothing into it but broadcasts: \"use default gateway on remote network\" is not ticked, and it has no other route that leads here",
    meaning: "The client's system greets everybody on its new interface, so that packets do come through. Its user's packets go another way: no route of the client's leads into the tunnel.",
    seen: &[
        "The connection shows as connected; the LAN behind the server cannot be reached, the Internet can",
    ],
    evidence: "The client is Windows; for a minute or more broadcasts and multicasts came, and not one packet for a single address: Windows with its default route in the tunnel sends those \
               within seconds.",
    server: &[
        "Tell clients the routes: `routes` in the section `[client]` of gretel.toml. Windows asks for them when it comes up, with the box unticked (see split-tunnel.md).",
    ],
    client: &[
        "Windows: properties of the connection, Networking, TCP/IPv4, Advanced: tick \"Use default gateway on remote network\"; or add a route: `Add-VpnConnectionRoute`.",
        "Linux: `defaultroute`, or a route to the LAN in ip-up.",
    ],
    ..VERDICT
};

pub(super) const NO_ROUTE: Verdict = Verdict {
    code: "G-614",
    title: "The client asks for networks that this host has no route to",
    sentence: "the client sends packets for a network to which this host has no route",
    meaning: "The client was told, or believes, that a network is behind this server. This host does not know the way there.",
    seen: &[
        "The connection is up; some things cannot be reached: \"destination host unreachable\"",
    ],
    evidence: "Packets came through the tunnel again and again and were not answered; asked for their way, the kernel said that there is none. The destination stands in brackets.",
    server: &[
        "The network is there: add a route, `ip route add NETWORK via GATEWAY`.",
        "It is not: take it out of `routes` in gretel.toml, if it is there.",
    ],
    client: &[
        "Remove a route that leads into the tunnel for no reason; a box that sends everything there is one.",
    ],
    ..VERDICT
};

pub(super) const NO_INTERNET: Verdict = Verdict {
    code: "G-615",
    title: "Everything goes through the tunnel, and this host has no way to the Internet",
    sentence: "the client sends its Internet traffic through the tunnel (\"use default gateway on remote network\" is ticked), and this host has no route to the Internet",
    meaning: "This server serves a network without the Internet. Clients that send everything through the tunnel are cut off from it while they are connected.",
    seen: &["No Internet while connected"],
    evidence: "Packets for addresses of the Internet came through the tunnel and were not answered, and this host has no default route.",
    server: &[
        "Give this host a default route, or tell clients only the routes that are here: `routes` in the section `[client]` of gretel.toml.",
    ],
    client: &[
        "Windows: properties of the connection, Networking, TCP/IPv4, Advanced: untick \"Use default gateway on remote network\".",
        "Linux: no `defaultroute`; a route to the LAN in ip-up.",
    ],
    ..VERDICT
};

pub(super) const BLACK_HOLE: Verdict = Verdict {
    code: "G-616",
    title: "Large packets vanish on the way",
    sentence: "small packets pass through the tunnel and large ones vanish: something on the way drops packets above a size, or their fragments",
    meaning: "A path whose MTU is smaller than both ends believe, and a router that does not say so (or is not heard), swallows full packets. Pings and logins work, pages and files stop.",
    seen: &[
        "The connection is up; pages load half, copying files stalls, remote desktops stay black",
    ],
    evidence: "Several large packets went out and none was acknowledged by its own number. LCP Echo-Requests were sent then: small ones with data were answered, large ones not, three times \
               each. In brackets stands whether a router told of its limit (ICMP fragmentation needed), so far as this host's kernel heard of it.",
    server: &[
        "Smaller packets: write into the options file `mtu SIZE` and `mru SIZE`, with a size that passes; `gretel doctor HOST` from the client's side finds the largest.",
        "Let ICMP of type 3 in: a firewall that drops it makes such holes.",
    ],
    network: &[
        "A router on the way that drops fragments or ICMP of type 3, or a line (PPPoE, another tunnel) whose MTU its router does not know.",
    ],
    ..VERDICT
};

pub(super) const TOO_LARGE: Verdict = Verdict {
    code: "G-617",
    title: "Our packets are too large for a network behind the client",
    sentence: "a router behind the client keeps saying that packets from the tunnel are too large for it: nobody lowers the MSS of the connections there",
    meaning: "This server lowers the MSS of all TCP connections to what fits the tunnel. Behind the client is a network with a smaller MTU still, and who sends does not take notice.",
    seen: &["The connection is up; some devices behind the client load pages half, or stall"],
    evidence: "ICMP fragmentation-needed messages came through the tunnel three times or more.",
    network: &[
        "On the client's router: lower the MSS to its own MTU: `nft add rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu`, or `iptables -t mangle -A FORWARD -p tcp \
         --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`.",
    ],
    server: &["Or smaller packets for everybody: `mtu` in the options file."],
    ..VERDICT
};
