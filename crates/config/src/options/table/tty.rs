//! Options of pppd's `tty.c`.

use crate::options::PppOption;

const NO_LINE: &str = "there is no serial line";
const REMOVE: &str = "there is no serial line; remove it";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption::harmless(&["lock"], None, NO_LINE),
    PppOption::harmless(&["nolock"], None, NO_LINE),
    PppOption::harmless(&["crtscts"], None, NO_LINE),
    PppOption::harmless(&["cdtrcts"], None, NO_LINE),
    PppOption::harmless(&["nocrtscts", "-crtscts", "nocdtrcts"], None, NO_LINE),
    PppOption::harmless(&["xonxoff"], None, NO_LINE),
    PppOption::harmless(&["stop-bits"], Some("NUMBER"), NO_LINE),
    PppOption::harmless(&["modem"], None, NO_LINE),
    PppOption::harmless(&["local"], None, NO_LINE),
    PppOption::harmless(&["sync"], None, NO_LINE),
    PppOption::harmless(&["datarate"], Some("BYTES"), NO_LINE),
    PppOption::harmless(&["escape"], Some("CHARACTERS"), NO_LINE),
    PppOption::ignored(&["init"], Some("COMMAND"), "run before the line is used", REMOVE),
    PppOption::ignored(&["connect"], Some("COMMAND"), "makes the connection", REMOVE),
    PppOption::ignored(&["disconnect"], Some("COMMAND"), "run when the line is given up", REMOVE),
    PppOption::ignored(&["welcome"], Some("COMMAND"), "run before PPP begins", REMOVE),
    PppOption::ignored(&["pty"], Some("COMMAND"), "carries the line", REMOVE),
    PppOption::ignored(&["notty"], None, "standard input and output are the line", REMOVE),
    PppOption::ignored(&["socket"], Some("ADDRESS"), "a TCP connection is the line", REMOVE),
    PppOption::ignored(
        &["record"],
        Some("FILE"),
        "what is sent and received is written there",
        "capture with tcpdump(8) in its place",
    ),
];
