//! What cannot be, or should not be, though each line of it is well formed.

use std::path::Path;

use crate::config::Config;
use crate::diagnostic::{Diagnostics, File, Place, Severity};
use crate::options::Texts;

/// Something that does not fit together.
struct Contradiction {
    /// Whether it is so.
    is_so: bool,
    severity: Severity,
    /// The options, keywords and keys that make it; the one that was read last is pointed at.
    names: &'static [&'static str],
    message: &'static str,
    remedy: &'static str,
}

const MPPE: &[&str] = &["require-mppe", "require-mppe-40", "require-mppe-128", "encryption.mppe"];
const SHORT: &[&str] = &["require-mppe", "require-mppe-40", "encryption.bits"];
const NOBODY: &[&str] = &["noauth", "users.authentication"];

impl Config {
    fn contradictions(&self) -> Vec<Contradiction> {
        let mppe = &self.options.mppe;
        let row = |is_so, severity, names, message, remedy| Contradiction {
            is_so,
            severity,
            names,
            message,
            remedy,
        };
        let makes_keys = self.mschap || self.mschap_v2;
        vec![
            row(
                mppe.required() && !makes_keys,
                Severity::Error,
                MPPE,
                "MPPE is required, but no authentication method that makes its keys is",
                "add require-mschap-v2",
            ),
            row(
                mppe.required() && mppe.no_ccp,
                Severity::Error,
                &["noccp"],
                "MPPE is required, and CCP that negotiates it is forbidden",
                "remove noccp, or require-mppe*",
            ),
            row(
                mppe.required() && makes_keys && (self.pap || self.chap_md5),
                Severity::Warning,
                &["require-pap", "require-chap", "users.authentication"],
                "clients that use PAP or CHAP cannot connect: MPPE is required, and neither makes its keys",
                "remove require-pap and require-chap",
            ),
            row(
                self.delegate && !self.auth,
                Severity::Error,
                NOBODY,
                "delegate takes addresses from the secrets file, and noauth looks nobody up there",
                "remove one of the two",
            ),
            row(
                self.options.auth.is_none(),
                Severity::Warning,
                &[],
                "nothing says whether clients must authenticate: pppd would let anybody in, here they must, with MS-CHAPv2",
                "add require-mschap-v2 to the options file",
            ),
            row(
                !self.auth,
                Severity::Warning,
                NOBODY,
                "clients are not asked to authenticate: anybody may connect",
                "remove noauth, and add require-mschap-v2",
            ),
            row(
                !self.auth && !self.pools.is_empty(),
                Severity::Warning,
                &["pools"],
                "pools do nothing: nobody says who they are",
                "remove noauth, or the pools",
            ),
            row(
                self.pap,
                Severity::Warning,
                &["require-pap", "users.authentication"],
                "PAP is allowed: it gives passwords away to anybody who listens",
                "allow require-mschap-v2 alone",
            ),
            row(
                self.mschap,
                Severity::Warning,
                &["require-mschap", "users.authentication"],
                "MS-CHAP (version 1) is allowed: it gives passwords away to anybody who listens",
                "allow require-mschap-v2 alone",
            ),
            row(
                mppe.bits40,
                Severity::Warning,
                SHORT,
                "40-bit MPPE is allowed: it can be broken by trying all keys",
                "use require-mppe-128",
            ),
            row(
                self.shared_interface && self.options.ipv6 == Some(true),
                Severity::Warning,
                &["+ipv6", "ipv6", "interface.ipv6"],
                "IPv6 is not negotiated: on a shared interface link-local addresses do not tell sessions apart",
                "remove it, or give each session an interface of its own: mode = \"session\"",
            ),
            row(
                !self.shared_interface
                    && self.all_slots().count() > 1
                    && self.options.ifname.as_ref().is_some_and(|name| !name.contains("%d")),
                Severity::Warning,
                &["ifname", "interface.name"],
                "only one session can be up: a second interface cannot have the same name",
                "put %d where the interface's number shall be, as in ppp%d",
            ),
        ]
    }

    /// Says what does not fit together. `system` is the file that is named where no line is to blame.
    pub(crate) fn look_for_contradictions(
        &self,
        system: &Path,
        texts: &Texts,
        diagnostics: &mut Diagnostics,
    ) {
        for found in self.contradictions().iter().filter(|found| found.is_so) {
            let blamed =
                self.origins.iter().rev().find(|origin| found.names.contains(&origin.name));
            let path = blamed.map_or(system, |origin| &origin.file);
            let place = blamed.map_or(Place::default(), |origin| origin.place);
            let input = texts.get(path).map_or(&b""[..], |text| text);
            let mut file = File { path, input, secret: false, diagnostics };
            file.say(found.severity, &place, found.message, found.remedy);
        }
    }
}
