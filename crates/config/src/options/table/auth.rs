//! Options of pppd's `auth.c`, `chap.c`, `upap.c` and `eap.c`.

use crate::options::PppOption;
use crate::secrets::AddressRule;

use super::super::value::fault;

const EAP: &str = "EAP is not offered";
const EAP_TLS: &str = "EAP-TLS is not supported; remove it, and use require-mschap-v2";
const AS_CLIENT: &str = "about what pppd answers as a client; a server is not asked";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption::honoured(
        &["name"],
        Some("NAME"),
        "our name, and the second column of the secrets files",
        |o, v| {
            o.name = Some(v.bytes.to_vec());
            Ok(())
        },
    ),
    PppOption::honoured(
        &["usehostname"],
        None,
        "the host's name is our name, whatever `name` says",
        |o, _| {
            o.use_host_name = true;
            Ok(())
        },
    ),
    PppOption::honoured(
        &["domain"],
        Some("NAME"),
        "appended to the host's name where that is our name",
        |o, v| {
            o.domain = Some(v.bytes.to_vec());
            Ok(())
        },
    ),
    PppOption::honoured(&["auth"], None, "clients must authenticate", |o, _| {
        o.auth = Some(true);
        Ok(())
    }),
    PppOption::honoured(
        &["noauth"],
        None,
        "clients need not authenticate, whatever stood before it",
        |o, _| {
            o.auth = Some(false);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["require-pap", "+pap"],
        None,
        "clients must authenticate; PAP is offered",
        |o, _| {
            (o.auth, o.require_pap) = (Some(true), true);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["require-chap", "+chap"],
        None,
        "clients must authenticate; CHAP with MD5 is offered",
        |o, _| {
            (o.auth, o.require_chap) = (Some(true), true);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["require-mschap", "+mschap"],
        None,
        "clients must authenticate; MS-CHAP version 1 is offered",
        |o, _| {
            (o.auth, o.require_mschap) = (Some(true), true);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["require-mschap-v2", "+mschap-v2"],
        None,
        "clients must authenticate; MS-CHAPv2 is offered",
        |o, _| {
            (o.auth, o.require_mschap_v2) = (Some(true), true);
            Ok(())
        },
    ),
    PppOption::refused(
        &["require-eap"],
        None,
        "clients must authenticate with EAP",
        "EAP is not supported; use require-mschap-v2",
    ),
    PppOption::harmless(&["refuse-pap", "-pap"], None, AS_CLIENT),
    PppOption::harmless(&["refuse-chap", "-chap"], None, AS_CLIENT),
    PppOption::harmless(&["refuse-mschap", "-mschap"], None, AS_CLIENT),
    PppOption::harmless(&["refuse-mschap-v2", "-mschap-v2"], None, AS_CLIENT),
    PppOption::harmless(&["refuse-eap"], None, AS_CLIENT),
    PppOption::harmless(&["user"], Some("NAME"), AS_CLIENT),
    PppOption::harmless(&["password"], Some("SECRET"), AS_CLIENT),
    PppOption::harmless(&["+ua"], Some("FILE"), AS_CLIENT),
    PppOption::ignored(
        &["remotename"],
        Some("NAME"),
        "every client counts as this user",
        "clients count as who they say they are; give them one name and password in chap-secrets",
    ),
    PppOption::honoured(
        &["login"],
        None,
        "as `enable-session`, and passwords of PAP are checked with PAM as well",
        |o, _| {
            (o.login, o.session) = (true, true);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["enable-session"],
        None,
        "PAM (service `ppp`) must let each user in, and opens a session",
        |o, _| {
            o.session = true;
            Ok(())
        },
    ),
    PppOption::refused(
        &["papcrypt"],
        None,
        "passwords in pap-secrets are hashed with crypt(3)",
        "keep clear passwords in pap-secrets, or use require-mschap-v2",
    ),
    PppOption::harmless(&["privgroup"], Some("GROUP"), "nobody but root gives options here"),
    PppOption::honoured(
        &["allow-ip"],
        Some("ADDRESSES"),
        "addresses that users may have besides those of the secrets files",
        |o, v| {
            let rule = AddressRule::parse(&v.text())
                .map_err(|message| fault(message, "write an address, net/bits or *"))?;
            o.allow_ip.insert(0, rule);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["allow-number"],
        Some("ADDRESS"),
        "only callers whose address begins so may connect",
        |o, v| {
            o.allow_number.push(v.text());
            Ok(())
        },
    ),
    PppOption::honoured(
        &["remotenumber"],
        Some("ADDRESS"),
        "counts as the caller's address",
        |o, v| {
            o.remote_number = Some(v.text());
            Ok(())
        },
    ),
    PppOption::honoured(
        &["chap-secrets"],
        Some("FILE"),
        "users, in place of `/etc/ppp/chap-secrets` (pppd 2.5)",
        |o, v| {
            o.chap_secrets = v.path();
            Ok(())
        },
    ),
    PppOption::honoured(
        &["pap-secrets"],
        Some("FILE"),
        "users of PAP, in place of `/etc/ppp/pap-secrets` (pppd 2.5)",
        |o, v| {
            o.pap_secrets = v.path();
            Ok(())
        },
    ),
    PppOption::honoured(
        &["chapms-strip-domain"],
        None,
        "`DOMAIN\\` is left out when a user is looked up",
        |o, _| {
            o.strip_domain = true;
            Ok(())
        },
    ),
    PppOption::honoured(
        &["chap-restart"],
        Some("SECONDS"),
        "time between unanswered Challenges",
        |o, v| {
            o.chap_restart = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["chap-max-challenge"],
        Some("NUMBER"),
        "how many Challenges are sent",
        |o, v| {
            o.chap_max_challenge = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["chap-interval"],
        Some("SECONDS"),
        "Challenges come again, this often",
        |o, v| {
            o.chap_interval = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::harmless(&["chap-timeout"], Some("SECONDS"), AS_CLIENT),
    PppOption::ignored(
        &["ms-lanman"],
        None,
        "the LAN Manager hash is used with MS-CHAP",
        "it is not supported, as in Debian's pppd; remove it",
    ),
    PppOption::harmless(&["pap-restart"], Some("SECONDS"), AS_CLIENT),
    PppOption::harmless(&["pap-max-authreq"], Some("NUMBER"), AS_CLIENT),
    PppOption::honoured(
        &["pap-timeout"],
        Some("SECONDS"),
        "how long the client's PAP request is waited for",
        |o, v| {
            o.pap_timeout = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::harmless(&["hide-password"], None, "passwords are never logged"),
    PppOption::ignored(
        &["show-password"],
        None,
        "passwords are logged",
        "passwords are never logged; remove it",
    ),
    PppOption::harmless(&["eap-restart"], Some("SECONDS"), EAP),
    PppOption::harmless(&["eap-max-sreq"], Some("NUMBER"), EAP),
    PppOption::harmless(&["eap-timeout"], Some("SECONDS"), EAP),
    PppOption::harmless(&["eap-max-rreq"], Some("NUMBER"), EAP),
    PppOption::harmless(&["eap-interval"], Some("SECONDS"), EAP),
    PppOption::harmless(&["srp-interval"], Some("SECONDS"), EAP),
    PppOption::harmless(&["srp-pn-secret"], Some("SECRET"), EAP),
    PppOption::harmless(&["srp-use-pseudonym"], None, EAP),
    PppOption::ignored(&["ca"], Some("FILE"), "EAP-TLS: authority", EAP_TLS),
    PppOption::ignored(&["capath"], Some("DIR"), "EAP-TLS: authorities", EAP_TLS),
    PppOption::ignored(&["cert"], Some("FILE"), "EAP-TLS: certificate", EAP_TLS),
    PppOption::ignored(&["key"], Some("FILE"), "EAP-TLS: private key", EAP_TLS),
    PppOption::ignored(&["pkcs12"], Some("FILE"), "EAP-TLS: certificate and key", EAP_TLS),
    PppOption::ignored(&["crl-dir"], Some("DIR"), "EAP-TLS: revoked certificates", EAP_TLS),
    PppOption::ignored(&["crl"], Some("FILE"), "EAP-TLS: revoked certificates", EAP_TLS),
    PppOption::ignored(&["max-tls-version"], Some("VERSION"), "EAP-TLS: newest version", EAP_TLS),
    PppOption::ignored(&["tls-verify-key-usage"], None, "EAP-TLS: key usage is checked", EAP_TLS),
    PppOption::ignored(
        &["tls-verify-method"],
        Some("METHOD"),
        "EAP-TLS: how names are checked",
        EAP_TLS,
    ),
    PppOption::ignored(
        &["need-peer-eap"],
        None,
        "EAP-TLS: the client asks us to authenticate",
        EAP_TLS,
    ),
];
