//! Verdicts about the way between client and server.

use super::{VERDICT, Verdict};

pub(super) const ALL: &[&Verdict] = &[
    &GRE_NEVER_CAME,
    &OURS_LOST,
    &GRE_FROM_ELSEWHERE,
    &OTHER_CALL_ID,
    &NOT_SENT,
    &CUT,
    &CONTROL_SILENT,
    &NOT_PPTP,
    &NO_START,
    &NO_CALL,
    &GAVE_UP,
    &CLOSED,
    &SHARED_ADDRESS,
    &TOO_MANY,
    &OWN_FIREWALL,
    &REVERSE_PATH,
    &OTHER_WAY_OUT,
];

const GRE_BLOCKED_SEEN: &[&str] = &[
    "Windows Vista and later: error 806 (\"the VPN connection … could not be completed … GRE\"), older ones: 721 or 619",
    "Linux (pppd): \"LCP: timeout sending Config-Requests\"",
    "macOS: \"The PPTP-VPN server did not respond\"",
];

pub(super) const GRE_NEVER_CAME: Verdict = Verdict {
    code: "G-101",
    title: "GRE never arrives from the client",
    sentence: "TCP 1723 gets through from this client, but no GRE packet ever came: a firewall or router on its way does not let IP protocol 47 through",
    meaning: "PPTP needs two things: a TCP connection to port 1723 and packets of IP protocol 47 (GRE). The first works, the second does not arrive. Protocol 47 \
              is not port 47: a rule for TCP or UDP does not help.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "The control connection and the call were set up, and not one GRE packet came for the call, from whatever address. After one and a half seconds of that, this \
               host's interfaces were watched in front of its own firewall for up to three seconds, and no GRE of this client came by. Where the line says in brackets that nobody \
               watched, it may be this host's own firewall as well (G-115).",
    server: &[
        "Nobody watched? See whether packets reach this host: `tcpdump -n -i any proto 47` while the client tries. If they show, this host drops them: `gretel doctor`.",
    ],
    network: &[
        "A router in front of this server must forward protocol 47 as well as TCP 1723 to it. Many call it \"PPTP pass-through\" or \"VPN server\".",
        "On a Linux router: `modprobe nf_nat_pptp` and `sysctl net.netfilter.nf_conntrack_helper=1`, or a rule that gives TCP 1723 the helper `pptp`.",
        "Some providers and most mobile networks do not carry GRE at all: no setting helps, try from another network.",
    ],
    client: &[
        "The client's own router needs \"PPTP pass-through\" switched on.",
        "Switch the client's firewall or security suite off for one attempt, to see whether it is the cause.",
    ],
    ..VERDICT
};

pub(super) const OURS_LOST: Verdict = Verdict {
    code: "G-102",
    title: "Our GRE packets do not reach the client",
    sentence: "GRE packets come from this client, but it never heard ours: a firewall or router on the way back does not let IP protocol 47 through to it",
    meaning: "Packets of IP protocol 47 (GRE) come in from the client, and what we send back does not get there: the client repeats its first question and \
              never answers ours.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "The client sent its LCP Configure-Request again and again, and never acknowledged or refused one of ours.",
    server: &[
        "See what leaves: `tcpdump -n -i any proto 47`. If our packets leave by another interface or with another source address than the client called, mend the \
         route: `ip route get CLIENT from SERVER`.",
        "See that this host's firewall lets GRE out: `nft list ruleset`, chain `output`.",
    ],
    network: &[
        "A router in front of this server that translates addresses needs its PPTP helper (`modprobe nf_nat_pptp` on Linux).",
        "The client's router must let GRE in as an answer: \"PPTP pass-through\".",
    ],
    client: &["Switch the client's firewall off for one attempt, to see whether it is the cause."],
    ..VERDICT
};

pub(super) const GRE_FROM_ELSEWHERE: Verdict = Verdict {
    code: "G-103",
    title: "GRE comes from another address than the control connection",
    sentence: "GRE packets for this call come from another address than its control connection: a router on the client's side sends TCP and GRE out by different \
               ways, or translates only one of them",
    meaning: "The client's TCP connection comes from one address and its GRE packets come from another. They are not taken: anybody could send them.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "GRE packets with this call's id came, and their source was not the address that placed the call.",
    network: &[
        "On the client's side: a router with two lines must send TCP 1723 and GRE by the same one, and translate both to the same address.",
        "A Linux router: `modprobe nf_nat_pptp`, so that it knows that both belong together.",
    ],
    client: &[
        "A client with several addresses or lines: bind the connection to one, or take the default route through the line that it calls by.",
    ],
    ..VERDICT
};

pub(super) const OTHER_CALL_ID: Verdict = Verdict {
    code: "G-104",
    title: "GRE comes with a call id that is not this call's",
    sentence: "GRE packets come from this client's address with a call id that belongs to no call: its router does not translate call ids, or they are those of \
               another client behind it",
    meaning: "Several clients behind one router share its address, and GRE has no ports: call ids must tell them apart. This router does not take care of them, so \
              that one client gets through and the next one does not.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "No GRE packet came for this call, while packets from the same address came with a call id that no call here has.",
    network: &[
        "The router on the client's side needs a PPTP helper: `modprobe nf_nat_pptp` on Linux, \"PPTP ALG\" elsewhere. Where there is none, one client at a time is all it can do.",
    ],
    client: &[
        "Disconnect the other client behind the same router and try again: if it works then, the router is the cause.",
    ],
    ..VERDICT
};

pub(super) const NOT_SENT: Verdict = Verdict {
    code: "G-105",
    title: "This host does not let our GRE packets out",
    sentence: "this host did not send our GRE packets: its own firewall or routing refuses them",
    meaning: "The kernel of this very host refused to send IP protocol 47 to the client.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "Sending a GRE packet failed; the line before tells the kernel's words. \"Operation not permitted\" is a firewall rule, \"Network is unreachable\" a missing route.",
    server: &[
        "A firewall rule: `nft list ruleset` (chain `output`), or `iptables -L OUTPUT -v -n`; let it out: `nft insert rule inet filter output ip protocol gre accept`.",
        "A route: `ip route get CLIENT`.",
    ],
    ..VERDICT
};

pub(super) const CUT: Verdict = Verdict {
    code: "G-106",
    title: "The control connection was reset",
    sentence: "the control connection was reset in the middle: by the client's system, or by a router between that forgot the connection",
    meaning: "The TCP connection to port 1723 ended with a reset and not with a goodbye. A session cannot live without it.",
    seen: &[
        "Windows: error 619, or 629 later",
        "Linux: \"CTRL: EOF or bad error reading ctrl packet\" or \"Modem hangup\"",
    ],
    evidence: "The kernel reported a reset of the TCP connection; no Call-Clear-Request, no Stop-Control-Connection-Request and no end of PPP came before.",
    network: &[
        "Routers forget connections that are quiet for long: let the server's echoes be (`lcp-echo-interval 30`), or raise the router's time limit for TCP.",
    ],
    client: &["The client's program may have crashed or been killed: look into its log."],
    ..VERDICT
};

pub(super) const CONTROL_SILENT: Verdict = Verdict {
    code: "G-107",
    title: "The control connection went silent",
    sentence: "the client no longer answers on the control connection: it lost power or its network, or a router between forgot the connection",
    meaning: "For a minute nothing came on TCP 1723, not even an answer to our Echo-Request; or the kernel gave up, as nothing that we sent was acknowledged.",
    seen: &[
        "The client's user sees nothing, or that the network is gone",
        "Windows: error 629 or 628",
    ],
    evidence: "An Echo-Request on the control connection stayed unanswered for a minute, or the kernel reported that TCP timed out or that there is no way to the client.",
    network: &[
        "If it happens to clients that are there: a router between forgets TCP connections too early.",
    ],
    client: &["Nothing, when it lost power or its network."],
    ..VERDICT
};

pub(super) const NOT_PPTP: Verdict = Verdict {
    code: "G-108",
    title: "It did not speak PPTP",
    sentence: "what came on TCP 1723 is no PPTP: a port scanner, or a program of another kind",
    meaning: "Somebody connected to the port and sent something that no PPTP client sends.",
    seen: &["Nothing: it is no PPTP client"],
    evidence: "The first bytes were no control message of RFC 2637.",
    server: &[
        "Nothing. If the address is a client's of yours, see which program it runs. Strangers may be kept out by a firewall.",
    ],
    ..VERDICT
};

pub(super) const NO_START: Verdict = Verdict {
    code: "G-109",
    title: "It connected and said nothing",
    sentence: "the TCP connection came and no start message on it: a port check, or a client whose packets get lost",
    meaning: "TCP 1723 was opened and nothing was asked for.",
    seen: &["Windows: error 800 or 619, when it was a client", "Nothing, when it was a port check"],
    evidence: "The connection ended, or its time was up, before a Start-Control-Connection-Request came.",
    network: &["If it was a client: a path that loses its larger packets; try with a smaller MTU."],
    ..VERDICT
};

pub(super) const NO_CALL: Verdict = Verdict {
    code: "G-110",
    title: "It started and placed no call",
    sentence: "the control connection was set up and ended without a call",
    meaning: "The client said who it is and went away before it asked for a connection.",
    seen: &["Windows: error 619 or 800"],
    evidence: "The start messages were exchanged; no Outgoing-Call-Request came.",
    client: &["Try again; if it stays so, the client's log has the reason: it left by itself."],
    ..VERDICT
};

pub(super) const GAVE_UP: Verdict = Verdict {
    code: "G-111",
    title: "The client gave up",
    sentence: "the client ended the attempt by itself",
    meaning: "The client hung up before the connection was ready: its user cancelled, its time was up, or it did not like what it was offered and did not say so.",
    seen: &[
        "Windows: the number depends on the stage: 619, 628, 718, 720, 734",
        "Linux: see the client's log",
    ],
    evidence: "A Call-Clear-Request, the end of PPP or of the control connection came from the client before the session was up.",
    server: &[
        "Let the client try once more with `debug` in the options file: the log then shows what it asked for last.",
    ],
    client: &[
        "Its own log tells why it left: `journalctl -t pppd` on Linux, the event log (RasClient) on Windows.",
    ],
    ..VERDICT
};

pub(super) const CLOSED: Verdict = Verdict {
    code: "G-112",
    title: "The control connection was closed without a goodbye",
    sentence: "the client's system closed the control connection without a goodbye: Android hangs up that way, and so does a program that was ended",
    meaning: "The TCP connection to port 1723 ended in good order (FIN), but neither PPP nor PPTP said goodbye before. A session ends with it.",
    evidence: "A FIN came; no end of PPP, no Call-Clear-Request and no Stop-Control-Connection-Request before it.",
    client: &["Not hung up by its user? Its program may have crashed: look into its log."],
    is_fine: true,
    ..VERDICT
};

pub(super) const SHARED_ADDRESS: Verdict = Verdict {
    code: "G-113",
    title: "Another client behind the same router has the way",
    sentence: "another client calls from the same address and got through; this one's GRE does not: the router that both are behind serves one PPTP client at a time",
    meaning: "Several clients behind one router share its address, and GRE has no ports: the router has to look into call ids to tell them apart. This one does not, so that \
              what we send goes to one of them, mostly the one that was there first.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "While this client's GRE was missing, or ours did not reach it, another session from the same address was up.",
    network: &[
        "The router on the clients' side needs a PPTP helper: `modprobe nf_nat_pptp` on Linux and `nf_conntrack_helper=1` or a rule with `helper pptp`; \"PPTP ALG\" or \
         \"PPTP pass-through\" elsewhere.",
        "Where there is none: connect the router itself to this server, for all behind it.",
    ],
    client: &["Disconnect the other client and try again: if it works then, it is this."],
    ..VERDICT
};

pub(crate) const TOO_MANY: Verdict = Verdict {
    code: "G-114",
    title: "Too many connections",
    sentence: "the connection was closed before it began: a limit of this server is reached",
    meaning: "The server bounds how many control connections there may be, in all and from one address, so that nobody can take all of it.",
    seen: &["Windows: error 800 or 619", "Linux (pptp): \"Could not open control connection\""],
    evidence: "The count of connections when this one came; the line tells which limit it was.",
    server: &[
        "See who holds them: `gretel who`, and `ss -tn sport = :1723` for those that have not logged in.",
        "Raise the limit, if these are your users: `[limits]` in gretel.toml.",
    ],
    ..VERDICT
};

pub(super) const OWN_FIREWALL: Verdict = Verdict {
    code: "G-115",
    title: "This host drops GRE from the client",
    sentence: "GRE packets of this client reach this host, and its own firewall drops them",
    meaning: "IP protocol 47 (GRE) arrives at this host's interface and never at this server. A rule of nftables or iptables stands between.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "No GRE packet came for the call, while a look at this host's interfaces, in front of the firewall, saw them come. In brackets stands the rule that drops them; where \
               none could be found, something else of this host does it.",
    server: &[
        "Let it in: `nft insert rule inet filter input ip protocol gre accept`, or `iptables -I INPUT -p gre -j ACCEPT`. Take the table and chain of the rule in brackets.",
        "`gretel doctor` examines all rules, and prints the command for the right chain.",
    ],
    ..VERDICT
};

pub(super) const REVERSE_PATH: Verdict = Verdict {
    code: "G-116",
    title: "The reverse path filter drops GRE",
    sentence: "GRE packets of this client reach this host by another interface than answers would leave by, and rp_filter drops them",
    meaning: "With `rp_filter` the kernel takes packets only from the interface through which it would answer. This client's GRE comes by another one.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "No GRE packet came for the call, while a look at this host's interfaces saw them come, and the kernel's answer to whether it takes a packet of the client's from that \
               interface was no (or its counter of reverse path drops rose meanwhile).",
    server: &[
        "Make the filter loose on that interface: `sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2`.",
        "Or give answers the same way back: `ip route get CLIENT` shows the way that they take now.",
    ],
    ..VERDICT
};

pub(super) const OTHER_WAY_OUT: Verdict = Verdict {
    code: "G-117",
    title: "Our answers leave by another way",
    sentence: "our GRE packets leave this host by another interface or with another source address than the client called: routers on the way, or the client, do not take them",
    meaning: "The client called one address of this host. What goes back has to come from that address, and on many networks by the same line.",
    seen: GRE_BLOCKED_SEEN,
    evidence: "The client never heard our packets, and a look at this host's interfaces saw them leave by an interface through which the client's do not come, or with another source address \
               than the one that was called; the line says in brackets which.",
    server: &[
        "Another interface: route by source address: `ip route add default via GATEWAY dev INTERFACE table 100` and `ip rule add from ADDRESS table 100`.",
        "Another address: a rule of this host's own translates it: `nft list ruleset`, chains of type nat; leave protocol 47 out there.",
    ],
    ..VERDICT
};
