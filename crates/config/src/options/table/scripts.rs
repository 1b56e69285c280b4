//! Options about the scripts that pppd runs, and their environment.

use crate::options::PppOption;

use super::super::value::{Fault, fault};
use super::super::values::PppOptions;

const NO_NET: &str = "write an ip-pre-up or ip-down script in its place";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption::honoured(
        &["ip-pre-up-script"],
        Some("FILE"),
        "in place of `/etc/ppp/ip-pre-up` (pppd 2.5)",
        |o, v| {
            o.scripts.ip_pre_up = v.path();
            Ok(())
        },
    ),
    PppOption::honoured(&["ip-up-script"], Some("FILE"), "in place of `/etc/ppp/ip-up`", |o, v| {
        o.scripts.ip_up = v.path();
        Ok(())
    }),
    PppOption::honoured(
        &["ip-down-script"],
        Some("FILE"),
        "in place of `/etc/ppp/ip-down`",
        |o, v| {
            o.scripts.ip_down = v.path();
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ipv6-up-script"],
        Some("FILE"),
        "in place of `/etc/ppp/ipv6-up` (pppd 2.5)",
        |o, v| {
            o.scripts.ipv6_up = v.path();
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ipv6-down-script"],
        Some("FILE"),
        "in place of `/etc/ppp/ipv6-down` (pppd 2.5)",
        |o, v| {
            o.scripts.ipv6_down = v.path();
            Ok(())
        },
    ),
    PppOption::honoured(
        &["auth-up-script"],
        Some("FILE"),
        "in place of `/etc/ppp/auth-up` (pppd 2.5)",
        |o, v| {
            o.scripts.auth_up = v.path();
            Ok(())
        },
    ),
    PppOption::honoured(
        &["auth-down-script"],
        Some("FILE"),
        "in place of `/etc/ppp/auth-down` (pppd 2.5)",
        |o, v| {
            o.scripts.auth_down = v.path();
            Ok(())
        },
    ),
    PppOption::ignored(
        &["net-init-script"],
        Some("FILE"),
        "run when the interface is made (pppd 2.5)",
        NO_NET,
    ),
    PppOption::ignored(
        &["net-pre-up-script"],
        Some("FILE"),
        "run before the network is up (pppd 2.5)",
        NO_NET,
    ),
    PppOption::ignored(
        &["net-down-script"],
        Some("FILE"),
        "run when the network is down (pppd 2.5)",
        NO_NET,
    ),
    PppOption::honoured(&["set"], Some("NAME=VALUE"), "a variable for scripts", |o, v| {
        let text = v.text();
        match text.split_once('=') {
            Some((name, value)) => variable(o, name, Some(value.to_owned())),
            None => Err(fault(format!("{text:?} is no NAME=VALUE"), "write set NAME=VALUE")),
        }
    }),
    PppOption::honoured(
        &["unset"],
        Some("NAME"),
        "scripts are run without this variable",
        |o, v| {
            let name = v.text();
            if name.contains('=') {
                return Err(fault(format!("{name:?} has a = in it"), "write unset NAME"));
            }
            variable(o, &name, None)
        },
    ),
];

/// The last word about a variable counts.
fn variable(options: &mut PppOptions, name: &str, value: Option<String>) -> Result<(), Fault> {
    let text = value.as_deref().unwrap_or_default();
    if name.is_empty() || name.contains('\0') || text.contains('\0') {
        return Err(fault(
            "the variable has no name, or a zero byte in it",
            "write set NAME=VALUE",
        ));
    }
    match options.environment.iter_mut().find(|(known, _)| known == name) {
        Some(entry) => entry.1 = value,
        None => options.environment.push((name.to_owned(), value)),
    }
    Ok(())
}
