//! Verdicts about PPP, encryption and addresses.

use super::{VERDICT, Verdict};

pub(super) const ALL: &[&Verdict] = &[
    &NOT_CONVERGING,
    &LOOPED,
    &NO_ENCRYPTION,
    &NO_KEYS,
    &WEAKER_ENCRYPTION,
    &NO_CCP,
    &OURS_NOT_ENCRYPTED,
    &NO_FREE_ADDRESS,
    &ADDRESS_REFUSED,
    &OUR_ADDRESS_REFUSED,
    &NO_NETWORK_PROTOCOL,
    &ADDRESSES_NOT_CONVERGING,
    &NO_IPCP,
    &OVERLAP,
];

const ENCRYPTION_SEEN: &[&str] = &[
    "Windows: error 742 (\"the remote computer does not support the required data encryption type\"), 741 or 734",
    "Linux (pppd): \"MPPE required but peer negotiation failed\", \"LCP terminated by peer (MPPE required but not available)\"",
];

const ENCRYPTION_CLIENT: &[&str] = &[
    "Windows: properties of the connection, Security, Data encryption: \"Require encryption\" or \"Maximum strength\".",
    "Linux (pppd): `require-mppe-128`. NetworkManager: Advanced, \"Use Point-to-Point encryption (MPPE)\".",
    "RouterOS: a profile with `use-encryption=required`.",
];

pub(super) const NOT_CONVERGING: Verdict = Verdict {
    code: "G-301",
    title: "PPP does not come to terms",
    sentence: "both sides kept refusing each other's PPP options",
    meaning: "The first stage of PPP (LCP) went back and forth without an end.",
    seen: &["Windows: error 732 or 734"],
    evidence: "Configure-Requests went both ways until the limit, and neither side accepted.",
    server: &[
        "Let the client try once more with `debug` in the options file: the log then shows which option is refused. `nopcomp`, `noaccomp` and `default-asyncmap` help with odd devices.",
    ],
    ..VERDICT
};

pub(super) const LOOPED: Verdict = Verdict {
    code: "G-302",
    title: "Our packets come back to us",
    sentence: "what we send comes back to us: something between reflects GRE",
    meaning: "Our own magic number came back. The other end is a mirror, or this server called itself.",
    seen: &["Linux (pppd): \"Serial line is looped back\""],
    evidence: "LCP packets came with the magic number that we had sent.",
    network: &[
        "A router that reflects packets for its own outer address (\"hairpin\") without translating them: test from outside.",
    ],
    ..VERDICT
};

pub(super) const NO_ENCRYPTION: Verdict = Verdict {
    code: "G-303",
    title: "The client does not encrypt",
    sentence: "encryption is required here, and the client refuses it",
    meaning: "The server requires MPPE (`require-mppe-128` in Debian's options) and the client is set up without encryption.",
    seen: ENCRYPTION_SEEN,
    evidence: "The client rejected CCP or MPPE, or never agreed to it.",
    server: &[
        "Only for a device that cannot encrypt, on a line that nobody listens to: remove `require-mppe-128`. Everything is in clear then.",
    ],
    client: ENCRYPTION_CLIENT,
    ..VERDICT
};

pub(super) const NO_KEYS: Verdict = Verdict {
    code: "G-304",
    title: "The login makes no keys",
    sentence: "encryption is required here, and the way the client logged in makes no keys",
    meaning: "MPPE's keys come out of MS-CHAP. After PAP, CHAP-MD5 or no login there are none.",
    seen: ENCRYPTION_SEEN,
    evidence: "The client logged in by a method other than MS-CHAP.",
    server: &[
        "`require-mschap-v2`, and `refuse-pap`, `refuse-chap`, so that the client is asked for the right one.",
    ],
    client: &["Allow MS-CHAPv2."],
    ..VERDICT
};

pub(super) const WEAKER_ENCRYPTION: Verdict = Verdict {
    code: "G-305",
    title: "The client offers weaker encryption only",
    sentence: "128-bit encryption is required here, and the client offers 40 or 56 bits only",
    meaning: "An old client, or one without its \"high encryption pack\".",
    seen: ENCRYPTION_SEEN,
    evidence: "The client's CCP request named MPPE without 128 bits.",
    server: &[
        "`require-mppe-40` would let it in. 40 bits are broken in seconds: do so only where nobody listens.",
    ],
    client: ENCRYPTION_CLIENT,
    ..VERDICT
};

pub(super) const NO_CCP: Verdict = Verdict {
    code: "G-306",
    title: "The client does not know CCP",
    sentence: "encryption is required here, and the client rejected the whole protocol that agrees on it (CCP)",
    meaning: "CCP is how PPP agrees on MPPE. This client answered that it does not know such a protocol: encryption is switched off in it, or its kernel has no MPPE.",
    seen: ENCRYPTION_SEEN,
    evidence: "The client sent an LCP Protocol-Reject for CCP (80fd).",
    server: &[
        "Only for a device that cannot encrypt, on a line that nobody listens to: remove `require-mppe-128`. Everything is in clear then.",
    ],
    client: &[
        "Windows: properties of the connection, Security, Data encryption: anything but \"No encryption allowed\".",
        "Linux: `modprobe ppp_mppe`, `require-mppe-128`, and no `noccp`.",
    ],
    ..VERDICT
};

pub(super) const OURS_NOT_ENCRYPTED: Verdict = Verdict {
    code: "G-307",
    title: "This server does not encrypt",
    sentence: "the client asks for encryption, this server is set up without it, and the client left",
    meaning: "The client is set up to connect with encryption only, and the server's options leave MPPE out (`nomppe`, or no way to log in that makes keys).",
    seen: ENCRYPTION_SEEN,
    evidence: "The client's CCP request named MPPE, we rejected it, and the client ended the attempt.",
    server: &[
        "Write `require-mschap-v2` and `require-mppe-128` into the options file and remove `nomppe`; `gretel check` shows which line counts.",
    ],
    client: &[
        "Windows, only on a line that nobody listens to: properties of the connection, Security, Data encryption: \"Optional encryption\". Everything is in clear then.",
    ],
    ..VERDICT
};

pub(super) const NO_FREE_ADDRESS: Verdict = Verdict {
    code: "G-401",
    title: "No free address",
    sentence: "the call was refused: every address of remoteip is in use, or `connections` is reached",
    meaning: "Each client needs an address of its own, and all are taken.",
    seen: &["Windows: error 619 or 678", "Linux (pptp): a Call-Reply with result 2, error 4"],
    evidence: "No slot was free when the call came.",
    server: &[
        "Give more addresses: `remoteip` in /etc/pptpd.conf, and `connections` not below their number.",
        "Sessions of clients that are gone keep theirs until their echoes fail: `lcp-echo-interval 30`, `lcp-echo-failure 4`.",
    ],
    ..VERDICT
};

pub(super) const ADDRESS_REFUSED: Verdict = Verdict {
    code: "G-402",
    title: "The client refuses the address",
    sentence: "the client does not take the address that it is given",
    meaning: "The client is set to an address of its own, and it is not the one that the server may give.",
    seen: &[
        "Windows: error 720 (\"no PPP control protocols configured\")",
        "Linux (pppd): \"Could not determine local IP address\"",
    ],
    evidence: "The client's IPCP request insisted on another address, or on none.",
    server: &[
        "To give it that address: put it into the fourth column of the user's line in chap-secrets.",
    ],
    client: &[
        "Windows: properties of the connection, Networking, TCP/IPv4: \"Obtain an IP address automatically\".",
        "Windows, when it is set so: its WAN Miniport is broken; uninstall \"WAN Miniport (IP)\" in the device manager and scan for hardware changes.",
    ],
    ..VERDICT
};

pub(super) const OUR_ADDRESS_REFUSED: Verdict = Verdict {
    code: "G-403",
    title: "The client refuses our address",
    sentence: "the client does not accept this server's address in the tunnel",
    meaning: "The client wants another address at this end than `localip`.",
    seen: &["Windows: error 720", "Linux (pppd): \"Peer is not authorized to use remote address\""],
    evidence: "The client refused the address in our IPCP request.",
    server: &[
        "Set `localip` to what the client expects; it must not be in the client's own network.",
    ],
    client: &["Do not set a remote address: Linux `:ADDRESS` in its options."],
    ..VERDICT
};

pub(super) const NO_NETWORK_PROTOCOL: Verdict = Verdict {
    code: "G-404",
    title: "The client wants no IP",
    sentence: "the client refused every network protocol that is offered",
    meaning: "Neither IPv4 nor IPv6 was accepted by the client.",
    seen: &["Windows: error 720", "Linux (pppd): \"No network protocols running\""],
    evidence: "The client rejected IPCP and IPV6CP, or left with the words that it runs no network protocol.",
    client: &[
        "Windows: properties of the connection, Networking: tick \"Internet Protocol Version 4\".",
        "Linux (pppd): no `noip`.",
    ],
    ..VERDICT
};

pub(super) const ADDRESSES_NOT_CONVERGING: Verdict = Verdict {
    code: "G-405",
    title: "The addresses do not come to terms",
    sentence: "the talk about addresses went round in circles",
    meaning: "IPCP went back and forth without an end: each end refused what the other asked for.",
    seen: &["Windows: error 720"],
    evidence: "IPCP requests and refusals were exchanged until the limit.",
    server: &[
        "Let the client try once more with `debug` in the options file: the log then shows what it asks for.",
    ],
    client: &["Let it take what the server gives: no fixed address, no fixed DNS server."],
    ..VERDICT
};

pub(super) const NO_IPCP: Verdict = Verdict {
    code: "G-406",
    title: "The client does not talk about addresses",
    sentence: "the client is logged in, and never said a word about addresses (IPCP)",
    meaning: "After the login both ends ask for addresses. From this client nothing of that came: IPv4 is switched off in it, or everything that it sends after the login is lost.",
    seen: &["Windows: error 720", "Linux (pppd): \"IPCP: timeout sending Config-Requests\""],
    evidence: "Our IPCP requests went out until the limit, and no IPCP packet came. If the line tells of much loss, it is the line; else it is the client.",
    network: &["A path that loses most packets looks like that: see the loss in the line before."],
    client: &[
        "Windows: properties of the connection, Networking: tick \"Internet Protocol Version 4\"; still 720: uninstall \"WAN Miniport (IP)\" in the device manager and scan \
         for hardware changes.",
        "Linux (pppd): no `noip`.",
    ],
    ..VERDICT
};

pub(super) const OVERLAP: Verdict = Verdict {
    code: "G-407",
    title: "The client's own network has the same addresses",
    sentence: "the client's own network has the same addresses as the one in the tunnel: it does not know which of the two a packet is for",
    meaning: "Home routers and offices often use the same private networks (192.168.0.0/24, 192.168.1.0/24). A client whose own network is numbered as the one behind this server sends packets \
              for it to its own neighbours.",
    seen: &[
        "The connection is up; some or all things behind the server cannot be reached, from some places only",
    ],
    evidence: "The client's address outside of the tunnel, or the source of packets that it sent into it, is private and has the first three numbers in common with an address in the tunnel. \
               If the client calls from the network behind this server itself, that is as it must be.",
    server: &[
        "Give the network behind this server, and `remoteip`, a range that homes do not use: one of 10.0.0.0/8 drawn by lot.",
    ],
    client: &[
        "Send everything through the tunnel: Windows \"Use default gateway on remote network\". What is in its own network stays out of reach then.",
    ],
    ..VERDICT
};
