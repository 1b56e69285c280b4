//! Scripts as child processes that have nothing to do with this process's terminal, session or files.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::Mode;
use rustix::process::{setsid, umask};

/// A program that is to be started as pppd starts its scripts (`run_program` in pppd's `main.c`): with an empty environment, `/dev/null` as
/// standard input, output and error, `/` as the working directory, the file mode mask 077, and in a session and process group of its own,
/// whose id is the process's. Arguments and environment may be added.
#[must_use]
pub fn script(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/");
    // SAFETY: between fork and exec only calls that are safe in a signal handler are allowed. These two are system calls; neither
    // allocates or takes a lock, also not for the error.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            umask(Mode::RWXG | Mode::RWXO);
            Ok(())
        });
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_its_own_session_and_nothing_of_ours() {
        let file = std::env::temp_dir().join(format!("gretel-script-{}", std::process::id()));
        let text = format!(
            "{{ umask; pwd; env; readlink /proc/$$/fd/0 /proc/$$/fd/2; cut -d' ' -f5,6 /proc/$$/stat; }} > {}",
            file.display()
        );
        let mut child = script(Path::new("/bin/sh"))
            .args(["-c", &text])
            .env("PEERNAME", "scott")
            .spawn()
            .unwrap();
        let id = child.id();
        assert!(child.wait().unwrap().success());
        let told = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        // The shell adds these by itself.
        let own = |line: &&str| {
            !["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|it| line.starts_with(it))
        };
        let lines: Vec<&str> = told.lines().filter(own).collect();
        let id = format!("{id} {id}");
        assert_eq!(lines, ["0077", "/", "PEERNAME=scott", "/dev/null", "/dev/null", &id]);
    }
}
