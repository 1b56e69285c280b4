//! Verdicts about logins.

use super::{VERDICT, Verdict};

pub(super) const ALL: &[&Verdict] = &[
    &UNKNOWN_USER,
    &UNKNOWN_WITH_DOMAIN,
    &WRONG_PASSWORD,
    &NO_COMMON_METHOD,
    &WOULD_NOT_LOG_IN,
    &NO_ANSWER,
    &NOT_ALLOWED,
    &UNUSABLE,
    &CALLER_NOT_ALLOWED,
    &LOCKED,
    &OTHER_SERVER,
    &NOT_ASCII,
    &OTHER_METHOD,
    &WANTS_OURS,
];

const DENIED_SEEN: &[&str] = &[
    "Windows: error 691 (\"access was denied because the username and/or password was invalid\")",
    "Linux (pppd): \"MS-CHAP authentication failed: E=691 Authentication failure\"",
];

pub(super) const UNKNOWN_USER: Verdict = Verdict {
    code: "G-201",
    title: "Unknown user",
    sentence: "this user is in no file",
    meaning: "No line of chap-secrets has this user in its first column.",
    seen: DENIED_SEEN,
    evidence: "The name that the client sent has no entry, whatever its second column says.",
    server: &[
        "`gretel check` shows lines that cannot be read.",
        "Add the user: `NAME pptpd PASSWORD *` in /etc/ppp/chap-secrets. It counts from the next login on.",
    ],
    client: &["See that the name is spelt as in the file: capitals count."],
    ..VERDICT
};

pub(super) const UNKNOWN_WITH_DOMAIN: Verdict = Verdict {
    code: "G-202",
    title: "Unknown user, with a domain in front",
    sentence: "no secret fits this user name; the client put a domain in front of it, which counts unless chapms-strip-domain is set",
    meaning: "Windows sends `DOMAIN\\user` when the domain field is filled in. The file has to say so too, or the domain has to be left out.",
    seen: DENIED_SEEN,
    evidence: "The name that the client sent has a backslash and no entry.",
    server: &[
        "Put `chapms-strip-domain` into the options file: what stands before the backslash then no longer counts.",
        "Or add the user with the domain: `\"DOMAIN\\\\user\" pptpd PASSWORD *`.",
    ],
    client: &["Leave the domain field empty."],
    ..VERDICT
};

pub(super) const WRONG_PASSWORD: Verdict = Verdict {
    code: "G-203",
    title: "Wrong password",
    sentence: "the password is not the one in chap-secrets",
    meaning: "The user is known, and the client's proof does not fit the password in the file.",
    seen: DENIED_SEEN,
    evidence: "The response was checked against the entry of this user and this server's name.",
    server: &[
        "Compare with the file; quote passwords with blanks, quotes, backslashes or `#` in them: `\"my \\\"word\\\"\"`. `gretel check` shows what it reads of a line.",
        "Passwords with letters beyond ASCII: write the file in UTF-8.",
    ],
    client: &["Type it again, with the keyboard's layout in mind."],
    ..VERDICT
};

pub(super) const NO_COMMON_METHOD: Verdict = Verdict {
    code: "G-204",
    title: "No common way to log in",
    sentence: "the client accepts none of the ways to log in that are allowed here",
    meaning: "The server asks for certain methods (MS-CHAPv2 by default), and the client refuses all of them.",
    seen: &[
        "Windows: error 732, 734 or 919",
        "Linux (pppd): \"peer refused to authenticate\" on one side, \"No auth is possible\" on the other",
    ],
    evidence: "The client refused each method asked for, and named instead none but those (G-213 is when it wants another one).",
    server: &[
        "A device that knows nothing better than PAP or CHAP: allow it, knowing that it cannot encrypt then: `require-pap`, `nomppe`. `gretel check` tells what that costs.",
    ],
    client: &[
        "Windows: properties of the connection, Security, \"Allow these protocols\", tick \"Microsoft CHAP Version 2\".",
        "Linux: do not set `refuse-mschap-v2`.",
    ],
    ..VERDICT
};

pub(super) const WOULD_NOT_LOG_IN: Verdict = Verdict {
    code: "G-205",
    title: "The client would not log in",
    sentence: "the client refuses to log in at all",
    meaning: "It rejected the demand for a login, as an access point or a server of its own would do.",
    seen: &["Linux (pppd): \"No auth is possible\""],
    evidence: "The client rejected the authentication option or its protocol.",
    client: &["It needs a user name and a password: set both."],
    ..VERDICT
};

pub(super) const NO_ANSWER: Verdict = Verdict {
    code: "G-206",
    title: "No answer to the demand for a login",
    sentence: "LCP came up, and the client never answered the demand for a login: its answers get lost, or it waits for its user",
    meaning: "The client agreed to log in and did not.",
    seen: &[
        "Windows: error 718 (\"the connection was terminated because the remote computer did not respond in a timely manner\")",
    ],
    evidence: "The challenge was sent several times and no response came.",
    network: &["A path that loses most packets looks like that: see the loss in the line before."],
    client: &["See whether it asks its user for a password, behind another window."],
    ..VERDICT
};

pub(super) const NOT_ALLOWED: Verdict = Verdict {
    code: "G-207",
    title: "The user may not come in",
    sentence: "the password is right, and the user may not come in",
    meaning: "A rule keeps this user out although the password fits: PAM says no, the user's entry allows no address here, or the address is in use.",
    seen: DENIED_SEEN,
    evidence: "The login succeeded; the reason in brackets came after it.",
    server: &[
        "The fourth column of chap-secrets lists the addresses that the user may have: `*` for any. Without it, none is allowed.",
        "With `login`: see what PAM says, `journalctl | grep ppp`; the account may have expired.",
    ],
    ..VERDICT
};

pub(super) const UNUSABLE: Verdict = Verdict {
    code: "G-208",
    title: "The response cannot be checked",
    sentence: "the client's response is of a form that cannot be checked here",
    meaning: "A damaged response, a LAN Manager response (refused: it can be broken in seconds), or a secret that is kept as a hash and a method that needs the password itself.",
    seen: DENIED_SEEN,
    evidence: "The response's form; the reason stands in brackets.",
    server: &[
        "A secret kept as an NT hash serves MS-CHAP only: for PAP and CHAP-MD5 write the password itself.",
    ],
    client: &["Windows 95 and NT 4: use a client that knows MS-CHAPv2."],
    ..VERDICT
};

pub(super) const CALLER_NOT_ALLOWED: Verdict = Verdict {
    code: "G-209",
    title: "Calls from this address are not allowed",
    sentence: "the call was refused: allow-number does not list this client's address",
    meaning: "The option `allow-number` restricts who may call by address, and this one is not listed.",
    seen: &[
        "Windows: error 619 or 678",
        "Linux (pptp): \"Received Outgoing Call Reply\" with result 7",
    ],
    evidence: "The client's address was compared with each `allow-number`.",
    server: &["Add `allow-number ADDRESS`, or remove the restriction."],
    ..VERDICT
};

pub(super) const LOCKED: Verdict = Verdict {
    code: "G-210",
    title: "Locked after failed logins",
    sentence: "too many logins have failed: for a time the server does not look at further ones from this address, or of this user",
    meaning: "Somebody at this address, or somebody who used this user's name, tried many wrong passwords. The lock ends by itself.",
    seen: &[
        "Windows: error 691, or 619 when the address is locked",
        "Linux: \"Received Outgoing Call Reply\" with result 7 (pptp), or \"Authentication failed\" (pppd)",
    ],
    evidence: "The failed logins were counted; the lock was on when this attempt came. Whether its password is right was not looked at.",
    server: &[
        "`gretel locks` shows who is locked and for how long, `gretel unlock ADDRESS` or `gretel unlock USER` lifts it.",
        "`gretel history USER` shows where the failures came from. A device with an old password, which tries again and again, looks like a guesser.",
        "`login-failures`, `login-failures-per-user`, `login-window` and `login-lock` in the section `[limits]` of gretel.toml say how many are too many.",
    ],
    client: &["Set the right password on every device behind this address, then wait."],
    ..VERDICT
};

pub(super) const OTHER_SERVER: Verdict = Verdict {
    code: "G-211",
    title: "The secret is another server's",
    sentence: "there is a secret for this user, but its second column names another server than this one",
    meaning: "The second column of chap-secrets says for which server a secret is: the name of this one (the option `name`, `pptpd` by custom) or `*`.",
    seen: DENIED_SEEN,
    evidence: "The name that the client sent has an entry, and none whose second column is this server's name or `*`.",
    server: &[
        "`gretel check` shows the name that counts. Write that, or `*`, into the second column of the user's line.",
    ],
    ..VERDICT
};

pub(super) const NOT_ASCII: Verdict = Verdict {
    code: "G-212",
    title: "Wrong password, perhaps for its letters beyond ASCII",
    sentence: "the password does not fit; the one in the file has letters beyond ASCII: either it was mistyped, or the two ends encode these letters differently",
    meaning: "MS-CHAP works on a password's letters, other methods on its bytes. A file in another encoding than UTF-8, or a client that sends another one, makes a right password wrong.",
    seen: DENIED_SEEN,
    evidence: "The response does not fit the secret, and the secret has bytes above 127. To tell the two apart: give the user a password of plain letters for one attempt.",
    server: &[
        "Write chap-secrets in UTF-8: `file /etc/ppp/chap-secrets` tells what it is, `iconv -f latin1 -t utf-8` changes it.",
    ],
    client: &["Type it again; or use a password of plain letters and digits."],
    ..VERDICT
};

pub(super) const OTHER_METHOD: Verdict = Verdict {
    code: "G-213",
    title: "The client insists on another way to log in",
    sentence: "the client insists on a way to log in that is refused here",
    meaning: "The server asks for certain methods (MS-CHAPv2 by default), and the client answered that it wants another one.",
    seen: &[
        "Windows: error 732, 734 or 919",
        "Linux (pppd): \"peer refused to authenticate\" on one side, \"No auth is possible\" on the other",
    ],
    evidence: "The client's Configure-Nak named a method; it stands in brackets.",
    server: &[
        "A device that knows nothing better than PAP or CHAP: allow it, knowing that it cannot encrypt then: `require-pap`, `nomppe`. `gretel check` tells what that costs.",
        "EAP is not spoken here.",
    ],
    client: &[
        "Windows: properties of the connection, Security, \"Allow these protocols\", tick \"Microsoft CHAP Version 2\".",
        "Linux: do not set `refuse-mschap-v2`.",
    ],
    ..VERDICT
};

pub(super) const WANTS_OURS: Verdict = Verdict {
    code: "G-214",
    title: "The client wants the server to log in",
    sentence: "the client demands that this server logs in to it, which no PPTP server does, and left",
    meaning: "PPP lets either end ask the other for a password. This client is set up as if it were the server: `auth`, or a `require-` option for logins, stands in its options.",
    seen: &[
        "Linux (pppd): \"peer refused to authenticate: terminating link\", or \"The remote system is required to authenticate itself\"",
    ],
    evidence: "The client's LCP request asked for a login of ours, we rejected that, and it ended the attempt.",
    client: &[
        "Linux (pppd): write `noauth` into the peers file, and no `require-mschap-v2`, `require-chap` or `require-pap`. With MS-CHAPv2 the server proves itself all the same.",
    ],
    ..VERDICT
};
