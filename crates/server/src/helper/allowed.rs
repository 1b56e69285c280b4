//! What a helper may be asked to run, and to write.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::host::{Mark, Wtmp};
use crate::scripts::Program;
use crate::settings::Settings;

/// Where programs may be named later, by a user's own options or a reload: who can write there is root.
const FOLDER: &str = "/etc/ppp";

/// Beginnings and names of variables that make the loader, a shell or an interpreter run what the script does not name.
const STEERING: [&str; 23] = [
    "LD_",
    "GLIBC_",
    "GCONV_",
    "LOCPATH",
    "NLSPATH",
    "BASH",
    "SHELLOPTS",
    "PYTHON",
    "PERL",
    "RUBY",
    "NODE_",
    "LUA_",
    "XTABLES_",
    "IPTABLES_",
    "EBTABLES_",
    "IP_LIB",
    "TC_LIB",
    "OPENSSL_",
    "JAVA_",
    "JDK_",
    "_JAVA_",
    "PHP",
    "TCL",
];
const STEERING_NAMES: [&str; 6] = ["PATH", "ENV", "IFS", "PS4", "CDPATH", "HOME"];

/// How interfaces are called when nobody says otherwise, and how files of links with a name begin.
const INTERFACE: &str = "ppp";
/// Bytes of a file that other tools look for: a process's number, and an interface's name.
const LONGEST_TEXT: usize = 64;

/// What the configuration named when the server started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// All in here.
    pub(crate) folder: PathBuf,
    /// Files of interfaces are in here.
    pub(crate) run_dir: PathBuf,
    /// Where logins are recorded.
    pub(crate) wtmp: PathBuf,
    pub(crate) pid_file: Option<PathBuf>,
    /// How the interfaces' names begin.
    pub(crate) interface: String,
    pub(crate) programs: Vec<PathBuf>,
    /// Variables that may have these values, whatever they do.
    pub(crate) variables: Vec<(String, OsString)>,
}

impl Allowed {
    /// What these settings name.
    pub(crate) fn by(settings: &Settings) -> Self {
        let scripts = &settings.scripts;
        let programs = [
            &scripts.auth_up,
            &scripts.auth_down,
            &scripts.ip_pre_up,
            &scripts.ip_up,
            &scripts.ip_down,
            &scripts.ipv6_up,
            &scripts.ipv6_down,
        ];
        let variables = settings.script_variables.iter();
        let system = Wtmp::of_this_system().file;
        let interface = settings.interface.split('%').next().unwrap_or_default();
        Self {
            folder: FOLDER.into(),
            run_dir: settings.run_dir.clone(),
            wtmp: settings.wtmp.as_ref().map_or(system, |wtmp| wtmp.file.clone()),
            pid_file: settings.pid_file.clone(),
            interface: interface.to_owned(),
            programs: programs.into_iter().cloned().collect(),
            variables: variables
                .filter_map(|(name, value)| Some((name.clone(), value.as_ref()?.into())))
                .collect(),
        }
    }

    /// Why a program may not be run.
    pub(super) fn objection(&self, program: &Program) -> Option<String> {
        if !self.names(&program.path) {
            return Some(format!(
                "it was not named when the server started: restart the server, or put it, or a link to it, into {}",
                self.folder.display()
            ));
        }
        let steering = program
            .environment
            .iter()
            .find(|variable| steers(&variable.0) && !self.variables.contains(variable));
        steering.map(|(name, _)| {
            format!(
                "its variable {} was not set so when the server started: restart the server",
                wire::Escaped(name.as_bytes())
            )
        })
    }

    /// Why a mark may not be made.
    pub(super) fn objection_to(&self, mark: &Mark) -> Option<String> {
        let is_named = match mark {
            Mark::Login { file, .. } => *file == self.wtmp,
            Mark::File { path, .. } => self.is_ours(path),
        };
        let is_plain = match mark {
            Mark::File { text: Some(text), .. } => {
                let plain = |byte: u8| byte.is_ascii_graphic() || byte == b'\n';
                text.len() <= LONGEST_TEXT && text.bytes().all(plain)
            }
            _ => true,
        };
        let why = match (is_named, is_plain) {
            (true, true) => return None,
            (true, false) => "that is no process id",
            (false, _) => "it was not named when the server started: restart the server",
        };
        let path = mark.path().display().to_string();
        Some(format!("{}: {why}", wire::Escaped(path.as_bytes())))
    }

    /// Whether a file is of the process ids that other tools look for.
    fn is_ours(&self, path: &Path) -> bool {
        let of_interface = path.parent() == Some(&self.run_dir)
            && path.extension().is_some_and(|extension| extension == "pid")
            && path.file_stem().and_then(|name| name.to_str()).is_some_and(|name| {
                name.starts_with(INTERFACE)
                    || (!self.interface.is_empty() && name.starts_with(&self.interface))
            });
        of_interface || self.pid_file.as_deref() == Some(path)
    }

    fn names(&self, path: &Path) -> bool {
        let plain = path.components().all(|part| part != Component::ParentDir);
        let inside = plain && path.starts_with(&self.folder);
        inside || self.programs.iter().any(|program| program == path)
    }
}

fn steers(name: &str) -> bool {
    STEERING_NAMES.contains(&name) || STEERING.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Allowed {
        Allowed {
            folder: FOLDER.into(),
            programs: vec!["/usr/local/sbin/up".into()],
            variables: vec![("PATH".into(), "/sbin:/bin".into())],
            ..Allowed::default()
        }
    }

    fn objection(path: &str, variable: (&str, &str)) -> Option<String> {
        let environment = vec![(variable.0.to_owned(), variable.1.into())];
        allowed().objection(&Program { path: path.into(), arguments: Vec::new(), environment })
    }

    #[test]
    fn what_was_named_at_the_start_and_what_is_in_the_folder_is_run() {
        let plain = ("PEERNAME", "scott");
        for path in ["/usr/local/sbin/up", "/etc/ppp/ip-up", "/etc/ppp/ip-up.d/0000usepeerdns"] {
            assert_eq!(objection(path, plain), None, "{path}");
        }
        for path in ["/bin/sh", "/etc/ppp/../../bin/sh", "/etc/pppx/ip-up", "etc/ppp/ip-up", ""] {
            assert!(objection(path, plain).unwrap().contains("named"), "{path}");
        }
    }

    #[test]
    fn variables_that_steer_a_shell_have_their_values_from_the_start_or_none() {
        let path = "/etc/ppp/ip-up";
        assert_eq!(objection(path, ("PATH", "/sbin:/bin")), None);
        for variable in
            [("PATH", "/run/gretel"), ("LD_PRELOAD", "/x"), ("BASH_ENV", "/x"), ("ENV", "/x")]
        {
            assert!(objection(path, variable).unwrap().contains(variable.0), "{variable:?}");
        }
    }
}
