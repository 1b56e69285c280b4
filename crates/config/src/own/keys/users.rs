//! `[users]` and `[encryption]`.

use toml_edit::Item;

use super::super::value::{Fault, fault, flag, numbers, path, text, texts};
use super::super::write;
use super::{Key, quoted};
use crate::options::PppOptions;

pub(super) const USERS: &[Key] = &[
    Key {
        path: "users.chap-secrets",
        default: "\"/etc/ppp/chap-secrets\"",
        meaning: "the file of users",
        names: &["chap-secrets"],
        set: |_, options, item, _| {
            options.chap_secrets = Some(path(item)?);
            Ok(())
        },
        get: |config| Some(quoted(&config.chap_secrets.display().to_string())),
    },
    Key {
        path: "users.pap-secrets",
        default: "\"/etc/ppp/pap-secrets\"",
        meaning: "the file of users of PAP",
        names: &["pap-secrets"],
        set: |_, options, item, _| {
            options.pap_secrets = Some(path(item)?);
            Ok(())
        },
        get: |config| Some(quoted(&config.pap_secrets.display().to_string())),
    },
    Key {
        path: "users.authentication",
        default: "[\"mschap-v2\"]",
        meaning: "how clients may authenticate: mschap-v2, mschap, chap, pap; an empty list lets anybody in",
        names: &[
            "require-mschap-v2",
            "require-mschap",
            "require-chap",
            "require-pap",
            "auth",
            "noauth",
        ],
        set: |_, options, item, _| methods(options, item),
        get: |config| Some(write::methods(config)),
    },
    Key {
        path: "users.strip-domain",
        default: "false",
        meaning: "whether DOMAIN\\ is left out when a user is looked up",
        names: &["chapms-strip-domain"],
        set: |_, options, item, _| {
            options.strip_domain = flag(item)?;
            Ok(())
        },
        get: |config| Some(config.options.strip_domain.to_string()),
    },
];

pub(super) const ENCRYPTION: &[Key] = &[
    Key {
        path: "encryption.mppe",
        default: "\"allowed\"",
        meaning: "required, allowed, or off",
        names: &[
            "require-mppe",
            "require-mppe-128",
            "require-mppe-40",
            "nomppe",
            "nomppe-128",
            "nomppe-40",
            "noccp",
        ],
        set: |_, options, item, _| mppe(options, item),
        get: |config| Some(quoted(write::need(config))),
    },
    Key {
        path: "encryption.bits",
        default: "[128]",
        meaning: "key lengths that will do where MPPE is required: 128, 40",
        names: &["require-mppe", "require-mppe-128", "require-mppe-40", "nomppe-128", "nomppe-40"],
        set: |_, options, item, _| bits(options, item),
        get: write::bits,
    },
    Key {
        path: "encryption.stateful",
        default: "false",
        meaning: "whether stateful MPPE is agreed to when the client asks for it",
        names: &["mppe-stateful", "nomppe-stateful"],
        set: |_, options, item, _| {
            options.mppe.stateful = flag(item)?;
            Ok(())
        },
        get: |config| Some(config.options.mppe.stateful.to_string()),
    },
];

fn methods(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let named = texts(item)?;
    options.auth = Some(!named.is_empty());
    (options.require_mschap_v2, options.require_mschap) = (false, false);
    (options.require_chap, options.require_pap) = (false, false);
    for (name, span) in named {
        *match name.as_str() {
            "mschap-v2" => &mut options.require_mschap_v2,
            "mschap" => &mut options.require_mschap,
            "chap" => &mut options.require_chap,
            "pap" => &mut options.require_pap,
            _ => {
                let message = format!("{name:?} is no way to authenticate");
                return Err(fault(span, message, "the ways are mschap-v2, mschap, chap, pap"));
            }
        } = true;
    }
    Ok(())
}

fn mppe(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let mppe = &mut options.mppe;
    match text(item)? {
        "required" => {
            mppe.bits128 |= !mppe.required();
            (mppe.given, mppe.no_ccp) = (true, false);
        }
        "allowed" => {
            (mppe.bits40, mppe.bits128) = (false, false);
            (mppe.given, mppe.no_ccp) = (false, false);
        }
        "off" => (mppe.given, mppe.bits40, mppe.bits128) = (true, false, false),
        other => {
            let message = format!("{other:?} is not known");
            return Err(fault(item.span(), message, "write required, allowed or off"));
        }
    }
    Ok(())
}

fn bits(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let lengths = numbers(item)?;
    if let Some((_, span)) = lengths.iter().find(|(bits, _)| !matches!(bits, 40 | 128)) {
        return Err(fault(span.clone(), "keys have 128 or 40 bits", "write [128]"));
    }
    if lengths.is_empty() || !options.mppe.required() {
        let message = "key lengths count where MPPE is required";
        return Err(fault(item.span(), message, "write mppe = \"required\" too, and bits = [128]"));
    }
    options.mppe.bits40 = lengths.iter().any(|(bits, _)| *bits == 40);
    options.mppe.bits128 = lengths.iter().any(|(bits, _)| *bits == 128);
    Ok(())
}
