//! The real `pptpd` and `pppd`, in a guest.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{
    boot::System,
    guest::Guest,
    segment::{SERVER_GUEST, Segment},
    server::{Files, Server, wait_for_log},
};

/// A guest that runs `pptpd`.
#[derive(Debug)]
pub(crate) struct Pptpd {
    guest: Guest,
    folder: std::path::PathBuf,
}

impl Pptpd {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        let guest =
            Guest::start("pptpd", &segment.folder, &segment.switch, &SERVER_GUEST, System::Shell)?;
        let mut pptpd = Self { guest, folder: segment.folder.join("pptpd") };
        pptpd.sh("echo 1 >/proc/sys/net/ipv4/ip_forward")?;
        Ok(pptpd)
    }

    /// Puts a file into the guest's `/mnt`.
    pub(crate) fn write(&mut self, name: &str, text: &str) -> Result<()> {
        fs::write(self.folder.join(name), text).context(name.to_owned())
    }

    /// Copies a file into the guest's `/mnt`.
    pub(crate) fn copy(&mut self, name: &str, from: &Path) -> Result<()> {
        fs::copy(from, self.folder.join(name)).with_context(|| from.display().to_string())?;
        Ok(())
    }
}

impl Server for Pptpd {
    fn name(&self) -> &'static str {
        "pptpd"
    }

    fn start(&mut self, files: &Files) -> Result<()> {
        fs::write(self.folder.join("pptpd.conf"), files.pptpd_conf("/etc/ppp/pptpd-options"))?;
        fs::write(self.folder.join("options"), files.options())?;
        fs::write(self.folder.join("secrets"), files.secrets)?;
        self.sh("cp /mnt/options /etc/ppp/pptpd-options
             : >/etc/ppp/options
             umask 077
             cp /mnt/secrets /etc/ppp/chap-secrets
             cp /mnt/secrets /etc/ppp/pap-secrets
             : >/run/syslog
             setsid pptpd --fg --debug --conf /mnt/pptpd.conf >/run/pptpd.log 2>&1 &
             echo $! >/run/pptpd.process")?;
        wait_for_log(self, "MGR: Manager process started", Duration::from_secs(10))
    }

    fn stop(&mut self) -> Result<()> {
        // pptpd leaves its calls running when it ends; the next case wants none.
        self.sh("kill -TERM $(cat /run/pptpd.process); pkill -TERM -x 'pptpctrl|pppd'
             for try in $(seq 100); do
                 pgrep -r D,R,S -x 'pptpd|pptpctrl|pppd' >/dev/null || exit 0
                 sleep 0.1
             done
             pkill -KILL -x 'pptpd|pptpctrl|pppd'; sleep 0.2; true")?;
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.sh("pkill -KILL -x 'pptpd|pptpctrl|pppd'; sleep 0.2; true")?;
        Ok(())
    }

    fn write_secrets(&mut self, secrets: &str) -> Result<()> {
        fs::write(self.folder.join("secrets-changed"), secrets)?;
        self.sh("cat /mnt/secrets-changed >/etc/ppp/chap-secrets")?;
        Ok(())
    }

    fn log(&mut self) -> Result<String> {
        self.sh("cat /run/syslog")
    }

    fn sh(&mut self, script: &str) -> Result<String> {
        self.guest.sh(30, script)
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    fn open_files(&mut self) -> Result<Option<usize>> {
        Ok(None)
    }
}
