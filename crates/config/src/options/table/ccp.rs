//! Options of pppd's `ccp.c` and `ecp.c`.

use crate::options::PppOption;

const NONE: &str = "no compression is ever agreed to, only encryption";
const REMOVE: &str = "packets are not compressed; remove it";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption::honoured(
        &["require-mppe", "+mppe"],
        None,
        "MPPE is required, with 128 or 40 bits",
        |o, _| {
            (o.mppe.given, o.mppe.bits40, o.mppe.bits128) = (true, true, true);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["require-mppe-128", "+mppe-128"],
        None,
        "MPPE is required, 128 bits will do",
        |o, _| {
            (o.mppe.given, o.mppe.bits128) = (true, true);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["require-mppe-40", "+mppe-40"],
        None,
        "MPPE is required, 40 bits will do",
        |o, _| {
            (o.mppe.given, o.mppe.bits40) = (true, true);
            Ok(())
        },
    ),
    PppOption::honoured(&["nomppe", "-mppe"], None, "no MPPE", |o, _| {
        (o.mppe.given, o.mppe.bits40, o.mppe.bits128) = (true, false, false);
        Ok(())
    }),
    PppOption::honoured(&["nomppe-128", "-mppe-128"], None, "128 bits will not do", |o, _| {
        (o.mppe.given, o.mppe.bits128) = (true, false);
        Ok(())
    }),
    PppOption::honoured(&["nomppe-40", "-mppe-40"], None, "40 bits will not do", |o, _| {
        (o.mppe.given, o.mppe.bits40) = (true, false);
        Ok(())
    }),
    PppOption::honoured(
        &["mppe-stateful"],
        None,
        "stateful MPPE is agreed to when the client asks for it",
        |o, _| {
            o.mppe.stateful = true;
            Ok(())
        },
    ),
    PppOption::honoured(&["nomppe-stateful"], None, "stateless MPPE alone is agreed to", |o, _| {
        o.mppe.stateful = false;
        Ok(())
    }),
    PppOption::honoured(&["noccp", "-ccp"], None, "no CCP, and so no MPPE", |o, _| {
        o.mppe.no_ccp = true;
        Ok(())
    }),
    PppOption::ignored(&["bsdcomp"], Some("BITS"), "BSD compression is asked for", REMOVE),
    PppOption::harmless(&["nobsdcomp", "-bsdcomp"], None, NONE),
    PppOption::ignored(&["deflate"], Some("BITS"), "Deflate is asked for", REMOVE),
    PppOption::harmless(&["nodeflate", "-deflate"], None, NONE),
    PppOption::harmless(&["nodeflatedraft"], None, NONE),
    PppOption::ignored(&["predictor1"], None, "Predictor-1 is asked for", REMOVE),
    PppOption::harmless(&["nopredictor1", "-predictor1"], None, NONE),
    PppOption::harmless(&["noecp", "-ecp"], None, "ECP is never spoken"),
];
