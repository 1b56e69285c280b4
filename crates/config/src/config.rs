//! What the files say together.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::{Diagnostics, File, Place};
use crate::options::{Origin, PppOptions, Reader};
use crate::own::{Limits, Own, OwnFile, Packets, Pool, Records};
use crate::pptpd_conf::{Given, PptpdConf};
use crate::slots::{self, Resolve};
use crate::{read_file, resolve_host};

/// Where the files are, and what the command line says in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `pptpd`'s own file.
    pub pptpd_conf: PathBuf,
    /// pppd's system-wide options, read first; may be absent.
    pub ppp_options: PathBuf,
    /// Users.
    pub chap_secrets: PathBuf,
    /// Users of PAP.
    pub pap_secrets: PathBuf,
    /// Gretel's own file; may be absent.
    pub gretel_toml: PathBuf,
    /// Keywords of `pptpd.conf` that the command line gives, with their values; they count more than the file's.
    pub command_line: Vec<(&'static str, String)>,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            pptpd_conf: "/etc/pptpd.conf".into(),
            ppp_options: "/etc/ppp/options".into(),
            chap_secrets: "/etc/ppp/chap-secrets".into(),
            pap_secrets: "/etc/ppp/pap-secrets".into(),
            gretel_toml: "/etc/gretel/gretel.toml".into(),
            command_line: Vec::new(),
        }
    }
}

/// What the files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Local and remote address of each session that may be up at once. With `delegate` the remote ones are unspecified.
    pub slots: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Addresses for some users, beside those in [`slots`](Self::slots).
    pub pools: Vec<Pool>,
    /// How long a client may take to start its control connection.
    pub setup_timeout: Duration,
    /// Where users are.
    pub chap_secrets: PathBuf,
    /// Where users of PAP are.
    pub pap_secrets: PathBuf,
    /// `noipparam`: scripts are not given the client's address as `ipparam`.
    pub no_ipparam: bool,
    /// `logwtmp`, here or as plugin in an options file: wtmp records are wanted.
    pub logwtmp: bool,
    /// `delegate`: clients' addresses come from the secrets file alone.
    pub delegate: bool,
    /// Whether all sessions share one interface.
    pub shared_interface: bool,
    /// `bcrelay`: the interface whose broadcasts are relayed to clients, and theirs to it.
    pub bcrelay: Option<String>,
    /// `vrf`: the VRF device that the control connections are in.
    pub vrf: Option<String>,
    /// `speed`: the third argument of scripts.
    pub speed: u32,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// The name of this server in `chap-secrets` and towards clients.
    pub name: Vec<u8>,
    /// Whether clients must authenticate.
    pub auth: bool,
    /// Whether PAP is asked for.
    pub pap: bool,
    /// Whether CHAP with MD5 is asked for.
    pub chap_md5: bool,
    /// Whether MS-CHAP is asked for.
    pub mschap: bool,
    /// Whether MS-CHAPv2 is asked for.
    pub mschap_v2: bool,
    /// Log every PPP frame.
    pub debug: bool,
    /// Whether the server confines itself.
    pub sandbox: bool,
    /// The user that the server is once it has started; `None`: whoever starts it.
    pub user: Option<String>,
    /// Bounds on what clients may take.
    pub limits: Limits,
    /// What is kept of attempts that have ended.
    pub records: Records,
    /// How packets are carried.
    pub packets: Packets,
    /// Networks that clients reach through the tunnel, told to those that ask: address and length of the prefix.
    pub routes: Vec<(Ipv4Addr, u8)>,
    /// The domain in which clients look up short names; empty for none.
    pub domain: String,
    /// All that the options files say.
    pub options: PppOptions,
    /// Where it is said: in `pptpd.conf`, then in the options files, then in `gretel.toml`, in the order in which they were read.
    pub origins: Vec<Origin>,
}

impl Config {
    /// Reads the files. `host_name` is the server's name when no option gives one.
    ///
    /// # Errors
    ///
    /// When a diagnostic is an error. The diagnostics hold all that was found, errors or not.
    pub fn load(paths: &Paths, host_name: &[u8]) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::load_with(paths, host_name, &read_file, &resolve_host)
    }

    /// As [`load`](Self::load), with files and host names from elsewhere.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with(
        paths: &Paths,
        host_name: &[u8],
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        resolve: Resolve<'_>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        match Self::examine_with(paths, host_name, read, resolve) {
            (Some(config), diagnostics) if !diagnostics.has_errors() => Ok((config, diagnostics)),
            (_, diagnostics) => Err(diagnostics),
        }
    }

    /// What the files say, faults and all, unless there is no `pptpd.conf`; and what there is to say about them. Nothing may be served
    /// with it when a diagnostic is an error.
    pub fn examine(paths: &Paths, host_name: &[u8]) -> (Option<Self>, Diagnostics) {
        Self::examine_with(paths, host_name, &read_file, &resolve_host)
    }

    /// As [`examine`](Self::examine), with files and host names from elsewhere.
    pub fn examine_with(
        paths: &Paths,
        host_name: &[u8],
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        resolve: Resolve<'_>,
    ) -> (Option<Self>, Diagnostics) {
        let mut diagnostics = Diagnostics::default();
        let own_text = match read(&paths.gretel_toml) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                cannot_read(&paths.gretel_toml, &error, "make it readable", &mut diagnostics);
                None
            }
            Ok(text) => Some(text),
        };
        let own_file = own_text
            .as_deref()
            .and_then(|text| OwnFile::parse(&paths.gretel_toml, text, &mut diagnostics));
        let text = match read(&paths.pptpd_conf) {
            Ok(text) => Some(text),
            // Gretel's own file may stand alone.
            Err(error) if error.kind() == io::ErrorKind::NotFound && own_text.is_some() => None,
            Err(error) => {
                let remedy =
                    "write one with localip and remoteip, or run `gretel serve --quickstart`";
                cannot_read(&paths.pptpd_conf, &error, remedy, &mut diagnostics);
                return (None, diagnostics);
            }
        };
        let files = Files { paths, host_name, read, resolve, stands_alone: text.is_none() };
        let config = files.config(text.as_deref(), own_file.as_ref(), &mut diagnostics);
        (Some(config), diagnostics)
    }

    /// Local and remote address of each session, those of all pools.
    pub fn all_slots(&self) -> impl Iterator<Item = &(Ipv4Addr, Ipv4Addr)> {
        self.slots.iter().chain(self.pools.iter().flat_map(|pool| &pool.slots))
    }

    fn merge(
        paths: &Paths,
        host_name: &[u8],
        conf: &PptpdConf,
        own: &Own,
        options: PppOptions,
    ) -> Self {
        // pppd asks nobody who they are unless an option says so. Here somebody has to say that it is not wanted.
        let auth = options.auth.unwrap_or(true);
        let asked = options.require_pap
            || options.require_chap
            || options.require_mschap
            || options.require_mschap_v2;
        // Where nothing is asked for by name, pppd offers everything. PAP and MS-CHAP give the password away to anybody who
        // listens, so here they have to be asked for.
        let by_default = auth && !asked;
        let path = |value: Option<&PathBuf>, default: &PathBuf| value.unwrap_or(default).clone();
        Self {
            listen: Vec::new(),
            slots: Vec::new(),
            pools: Vec::new(),
            setup_timeout: Duration::ZERO,
            speed: 0,
            origins: Vec::new(),
            chap_secrets: path(options.chap_secrets.as_ref(), &paths.chap_secrets),
            pap_secrets: path(options.pap_secrets.as_ref(), &paths.pap_secrets),
            no_ipparam: conf.has("noipparam"),
            logwtmp: own.logwtmp.unwrap_or(conf.has("logwtmp") || options.logwtmp),
            delegate: own.delegate.unwrap_or(conf.has("delegate")),
            shared_interface: own.shared_interface,
            sandbox: own.sandbox.unwrap_or(true),
            user: own.user.clone(),
            limits: own.limits,
            records: own.records.clone(),
            packets: own.packets.clone(),
            routes: own.routes.clone(),
            domain: own.domain.clone(),
            bcrelay: conf.get("bcrelay").map(|value| value.text.clone()),
            vrf: conf.get("vrf").map(|value| value.text.clone()),
            pidfile: conf.get("pidfile").map(|value| PathBuf::from(&value.text)),
            name: name(&options, host_name),
            auth,
            pap: auth && options.require_pap,
            chap_md5: auth && (options.require_chap || (by_default && !options.mppe.required())),
            mschap: auth && options.require_mschap,
            mschap_v2: auth && (options.require_mschap_v2 || by_default),
            debug: own.debug.unwrap_or(options.debug || conf.has("debug")),
            options,
        }
    }
}

/// The files, while they are read.
struct Files<'a> {
    paths: &'a Paths,
    host_name: &'a [u8],
    read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    resolve: Resolve<'a>,
    /// Whether there is `gretel.toml` and no `pptpd.conf`.
    stands_alone: bool,
}

impl Files<'_> {
    fn config(
        &self,
        text: Option<&[u8]>,
        own_file: Option<&OwnFile<'_>>,
        diagnostics: &mut Diagnostics,
    ) -> Config {
        let paths = self.paths;
        let path = if self.stands_alone { &paths.gretel_toml } else { &paths.pptpd_conf };
        let input = text.unwrap_or_default();
        let conf = {
            let mut file = File { path, input, secret: false, diagnostics: &mut *diagnostics };
            self.keywords(own_file, &mut file)
        };
        let peers = paths.ppp_options.with_file_name("peers");
        let empty = PppOptions::default();
        let mut reader = Reader::new(empty, self.read, self.resolve, peers, &mut *diagnostics);
        self.read_options(&conf, &mut reader);
        let own = own_file.map(|file| file.apply(&mut reader, self.resolve)).unwrap_or_default();
        let Reader { options, origins, mut texts, .. } = reader;
        if let Some(file) = own_file {
            texts.insert(paths.gretel_toml.as_path().into(), file.text().as_bytes().to_vec());
        }

        let mut file = File { path, input, secret: false, diagnostics: &mut *diagnostics };
        let merged = Config::merge(paths, self.host_name, &conf, &own, options);
        let slots = self.slots(&merged, &conf, &own, &mut file);
        let pools =
            own_file.map(|own_file| own_file.pair_pools(&own.pools, &slots, file.diagnostics));
        let config = Config {
            slots,
            pools: pools.unwrap_or_default(),
            listen: own
                .listen
                .clone()
                .unwrap_or_else(|| slots::listen(&conf, self.resolve, &mut file)),
            setup_timeout: own
                .setup_timeout
                .unwrap_or_else(|| slots::setup_timeout(&conf, &mut file)),
            speed: slots::speed(&conf, &mut file),
            origins: [conf.origins(path), origins].concat(),
            ..merged
        };
        let blameless = if self.stands_alone { path } else { &paths.ppp_options };
        config.look_for_contradictions(blameless, &texts, diagnostics);
        config
    }

    /// The command line counts most, then `gretel.toml`, then `pptpd.conf`.
    fn keywords(&self, own_file: Option<&OwnFile<'_>>, file: &mut File<'_>) -> PptpdConf {
        let own_lines = own_file.map(OwnFile::keywords).unwrap_or_default();
        let own_name = self.paths.gretel_toml.display().to_string();
        let typed = self.paths.command_line.iter().map(|(keyword, value)| Given {
            source: "command line",
            keyword,
            value,
        });
        let own =
            own_lines.iter().map(|(keyword, value)| Given { source: &own_name, keyword, value });
        PptpdConf::parse(&typed.chain(own).collect::<Vec<_>>(), file)
    }

    fn slots(
        &self,
        config: &Config,
        conf: &PptpdConf,
        own: &Own,
        file: &mut File<'_>,
    ) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        if !config.delegate {
            return slots::slots(conf, own, self.resolve, file);
        }
        let ours = own.local.as_ref().and_then(|local| local.first().copied());
        let host = || (self.resolve)(&String::from_utf8_lossy(self.host_name));
        let local = ours.or(config.options.local).or_else(host);
        slots::delegated(conf, own, local.filter(|address| !address.is_loopback()), file)
    }

    /// pppd's system-wide options, then those that `pptpd.conf` names.
    fn read_options(&self, conf: &PptpdConf, reader: &mut Reader<'_>) {
        let system = &self.paths.ppp_options;
        match (self.read)(system) {
            _ if self.stands_alone => {}
            Ok(text) => reader.take(system, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => cannot_read(system, &error, "make it readable", reader.diagnostics),
        }
        let Some(named) = conf.get("option").map(|value| Path::new(&value.text)) else {
            return self.unnamed_options(reader.diagnostics);
        };
        match (self.read)(named) {
            Ok(text) => reader.take(named, text),
            Err(error) => {
                let remedy = "correct the `option` line of pptpd.conf, or write the file";
                cannot_read(named, &error, remedy, reader.diagnostics);
            }
        }
    }

    /// Packages other than Debian's have an options file of this name, and name it in `pptpd.conf`.
    fn unnamed_options(&self, diagnostics: &mut Diagnostics) {
        let path = &self.paths.ppp_options.with_file_name("options.pptpd");
        if !self.stands_alone && (self.read)(path).is_ok() {
            let mut file = File { path, input: b"", secret: false, diagnostics };
            let message = "the file is not read, as no `option` line of pptpd.conf names it";
            let remedy = format!("write option {} in pptpd.conf", path.display());
            file.warn(&Place::default(), message, remedy);
        }
    }
}

/// pppd's `our_name`: `name`, or the host's name with `domain` behind it.
fn name(options: &PppOptions, host_name: &[u8]) -> Vec<u8> {
    match options.name.as_ref().filter(|name| !name.is_empty() && !options.use_host_name) {
        Some(name) => name.clone(),
        None => {
            let domain = options.domain.as_deref().unwrap_or_default();
            let dot = !domain.is_empty() && !domain.starts_with(b".");
            [host_name, if dot { b"." } else { b"" }, domain].concat()
        }
    }
}

fn cannot_read(path: &Path, error: &io::Error, remedy: &str, diagnostics: &mut Diagnostics) {
    let mut file = File { path, input: b"", secret: false, diagnostics };
    file.error(&Place::default(), format!("the file cannot be read: {error}"), remedy);
}
