//! pppd's options files.
//!
//! Every option that pppd 2.4.9 and 2.5 know is honoured, harmless here, or not supported, and then said so with what to do.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::values::{MppeOptions, PppOptions};
use crate::diagnostic::{Diagnostics, File, nearest};
use crate::words::{BadWord, Word, Words};

/// How deep `file` and `call` may nest.
const MAX_DEPTH: usize = 8;

/// Options with no meaning for a VPN server, or whose meaning is Gretel's own way, with the number of their arguments.
const HARMLESS: &[(&str, usize)] = &[
    ("lock", 0),
    ("nolock", 0),
    ("nologfd", 0),
    ("logfd", 1),
    ("nolog", 0),
    ("nodetach", 0),
    ("-detach", 0),
    ("updetach", 0),
    ("up_sdnotify", 0),
    ("master_detach", 0),
    ("kdebug", 1),
    ("nopersist", 0),
    ("holdoff", 1),
    ("maxfail", 1),
    ("child-timeout", 1),
    ("connect-delay", 1),
    ("ktune", 0),
    ("noktune", 0),
    ("nobsdcomp", 0),
    ("-bsdcomp", 0),
    ("nodeflate", 0),
    ("-deflate", 0),
    ("nodeflatedraft", 0),
    ("nopredictor1", 0),
    ("-predictor1", 0),
    ("novj", 0),
    ("-vj", 0),
    ("novjccomp", 0),
    ("-vjccomp", 0),
    ("vj-max-slots", 1),
    ("bsdcomp", 1),
    ("deflate", 1),
    ("predictor1", 0),
    ("nodefaultroute", 0),
    ("-defaultroute", 0),
    ("noreplacedefaultroute", 0),
    ("nodefaultroute6", 0),
    ("-defaultroute6", 0),
    ("noipdefault", 0),
    ("ipcp-accept-local", 0),
    ("netmask", 1),
    ("noipx", 0),
    ("noip", 0),
    ("-ip", 0),
    ("nomultilink", 0),
    ("nomp", 0),
    ("noendpoint", 0),
    ("nompshortseq", 0),
    ("mpshortseq", 0),
    ("default-asyncmap", 0),
    ("-am", 0),
    ("default-mru", 0),
    ("-mru", 0),
    ("receive-all", 0),
    ("passive", 0),
    ("-p", 0),
    ("silent", 0),
    ("hide-password", 0),
    ("show-password", 0),
    ("usehostname", 0),
    ("remotename", 1),
    ("user", 1),
    ("password", 1),
    ("refuse-pap", 0),
    ("-pap", 0),
    ("refuse-chap", 0),
    ("-chap", 0),
    ("refuse-mschap", 0),
    ("-mschap", 0),
    ("refuse-mschap-v2", 0),
    ("-mschap-v2", 0),
    ("refuse-eap", 0),
    ("pap-restart", 1),
    ("pap-max-authreq", 1),
    ("pap-timeout", 1),
    ("chap-timeout", 1),
    ("noecp", 0),
    ("-ecp", 0),
    ("speed", 1),
    ("crtscts", 0),
    ("nocrtscts", 0),
    ("-crtscts", 0),
    ("cdtrcts", 0),
    ("nocdtrcts", 0),
    ("xonxoff", 0),
    ("stop-bits", 1),
    ("modem", 0),
    ("local", 0),
    ("sync", 0),
    ("datarate", 1),
    ("escape", 1),
    ("privgroup", 1),
    ("set", 1),
    ("unset", 1),
    ("linkname", 1),
    ("usepeerdns", 0),
    ("ipv6cp-use-ipaddr", 0),
    ("ipv6cp-use-persistent", 0),
    ("ipv6cp-accept-local", 0),
    ("ipv6cp-accept-remote", 0),
    ("ipv6cp-restart", 1),
    ("ipv6cp-max-terminate", 1),
    ("ipv6cp-max-configure", 1),
    ("ipv6cp-max-failure", 1),
    ("pptpd-logwtmp-strip-domain", 0),
    ("domain", 1),
    ("lcp-rtt-file", 1),
    ("show-options", 0),
    ("noresolvconf", 0),
];

/// Options that would change something and are not supported, with the number of their arguments and what to do.
const UNSUPPORTED: &[(&str, usize, &str)] = &[
    ("require-eap", 0, "use require-mschap-v2"),
    ("login", 0, "users come from chap-secrets"),
    ("enable-session", 0, "no PAM session is opened"),
    ("papcrypt", 0, "keep clear passwords in the secrets file"),
    ("allow-ip", 1, "give users addresses in the fourth column of chap-secrets"),
    ("allow-number", 1, "restrict callers with a firewall rule on TCP 1723"),
    ("remotenumber", 1, "remove it: the client's address is known from TCP"),
    ("plugin", 1, "plugins of pppd cannot be loaded; remove the line"),
    ("radius-config-file", 1, "RADIUS is not supported; users come from chap-secrets"),
    ("avpair", 1, "RADIUS is not supported"),
    ("map-to-ifname", 0, "RADIUS is not supported"),
    ("map-to-ttyname", 0, "RADIUS is not supported"),
    ("maxoctets", 1, "remove it, or limit traffic with tc"),
    ("mo", 1, "remove it, or limit traffic with tc"),
    ("mo-direction", 1, "remove it"),
    ("mo-timeout", 1, "remove it"),
    ("pass-filter", 1, "filter with nftables on the ppp interfaces"),
    ("active-filter", 1, "every packet counts as activity; remove it"),
    ("logfile", 1, "the log goes to standard error or the journal"),
    ("ip-up-script", 1, "scripts are not run"),
    ("ip-down-script", 1, "scripts are not run"),
    ("unit", 1, "use ifname, or leave the number to the kernel"),
    ("defaultroute", 0, "a server does not want its default route through a client; remove it"),
    (
        "replacedefaultroute",
        0,
        "a server does not want its default route through a client; remove it",
    ),
    ("defaultroute6", 0, "a server does not want its default route through a client; remove it"),
    ("multilink", 0, "multilink has no use over PPTP; remove it"),
    ("mp", 0, "multilink has no use over PPTP; remove it"),
    ("mrru", 1, "multilink has no use over PPTP; remove it"),
    ("bundle", 1, "multilink has no use over PPTP; remove it"),
    ("endpoint", 1, "multilink has no use over PPTP; remove it"),
    ("demand", 0, "that is for clients; remove it"),
    ("persist", 0, "that is for clients; remove it"),
    ("connect", 1, "there is no modem; remove it"),
    ("disconnect", 1, "there is no modem; remove it"),
    ("init", 1, "there is no modem; remove it"),
    ("welcome", 1, "there is no modem; remove it"),
    ("pty", 1, "there is no pty; remove it"),
    ("notty", 0, "there is no pty; remove it"),
    ("socket", 1, "there is no pty; remove it"),
    ("record", 1, "capture with tcpdump instead"),
    ("callback", 1, "callback has no use over PPTP; remove it"),
    ("noccp", 0, "use nomppe to go without encryption"),
    ("-ccp", 0, "use nomppe to go without encryption"),
    ("ipcp-accept-remote", 0, "clients get the address that the server gives; remove it"),
    ("noremoteip", 0, "clients get the address that the server gives; remove it"),
    ("nosendip", 0, "remove it"),
    ("ca", 1, "EAP-TLS is not supported"),
    ("capath", 1, "EAP-TLS is not supported"),
    ("cert", 1, "EAP-TLS is not supported"),
    ("key", 1, "EAP-TLS is not supported"),
    ("vrf", 1, "run the server inside the VRF with `ip vrf exec`"),
];

/// Options that are honoured, with the number of their arguments.
const HONOURED: &[(&str, usize)] = &[
    ("name", 1),
    ("auth", 0),
    ("noauth", 0),
    ("require-pap", 0),
    ("+pap", 0),
    ("require-chap", 0),
    ("+chap", 0),
    ("require-mschap", 0),
    ("+mschap", 0),
    ("require-mschap-v2", 0),
    ("+mschap-v2", 0),
    ("chapms-strip-domain", 0),
    ("require-mppe", 0),
    ("+mppe", 0),
    ("require-mppe-40", 0),
    ("+mppe-40", 0),
    ("require-mppe-128", 0),
    ("+mppe-128", 0),
    ("nomppe", 0),
    ("-mppe", 0),
    ("nomppe-40", 0),
    ("-mppe-40", 0),
    ("nomppe-128", 0),
    ("-mppe-128", 0),
    ("mppe-stateful", 0),
    ("mtu", 1),
    ("mru", 1),
    ("ms-dns", 1),
    ("ms-wins", 1),
    ("proxyarp", 0),
    ("noproxyarp", 0),
    ("-proxyarp", 0),
    ("lcp-echo-interval", 1),
    ("lcp-echo-failure", 1),
    ("lcp-echo-adaptive", 0),
    ("lcp-restart", 1),
    ("lcp-max-configure", 1),
    ("lcp-max-terminate", 1),
    ("lcp-max-failure", 1),
    ("ipcp-restart", 1),
    ("ipcp-max-configure", 1),
    ("ipcp-max-terminate", 1),
    ("ipcp-max-failure", 1),
    ("chap-interval", 1),
    ("chap-restart", 1),
    ("chap-max-challenge", 1),
    ("asyncmap", 1),
    ("-as", 1),
    ("noaccomp", 0),
    ("-ac", 0),
    ("nopcomp", 0),
    ("-pc", 0),
    ("nomagic", 0),
    ("-mn", 0),
    ("idle", 1),
    ("maxconnect", 1),
    ("ipparam", 1),
    ("ifname", 1),
    ("ipv6", 1),
    ("+ipv6", 0),
    ("noipv6", 0),
    ("-ipv6", 0),
    ("debug", 0),
    ("-d", 0),
    ("dump", 0),
    ("dryrun", 0),
    ("file", 1),
    ("call", 1),
    ("-all", 0),
];

/// Reads options files into [`PppOptions`].
pub(crate) struct Reader<'a> {
    pub(crate) options: PppOptions,
    /// Gives the bytes of a file, or why it cannot be read.
    pub(crate) read: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
    pub(crate) diagnostics: &'a mut Diagnostics,
    open: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        read: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        Self { options: PppOptions::default(), read, diagnostics, open: Vec::new() }
    }

    /// Reads one file's text; later files override earlier ones.
    pub(crate) fn take(&mut self, path: &Path, text: &[u8]) {
        self.open.push(path.to_owned());
        let mut words = Words::new(text);
        while let Some((word, bad)) = words.next() {
            if let Some(bad) = bad {
                self.bad_word(path, &word, bad);
                continue;
            }
            self.option(path, &word, &mut words);
        }
        self.open.pop();
    }

    fn bad_word(&mut self, path: &Path, word: &Word, bad: BadWord) {
        let (message, remedy) = match bad {
            BadWord::Unclosed => ("the quote is not closed", "close it on the same line"),
            BadWord::TooLong => ("the word is too long", "pppd takes at most 1023 bytes"),
        };
        self.file(path).error(&word.place, message, remedy);
    }

    fn option(&mut self, path: &Path, word: &Word, words: &mut Words<'_>) {
        let name = word.text();
        let arity = HONOURED
            .iter()
            .chain(HARMLESS)
            .find(|(known, _)| *known == name)
            .map(|(_, arity)| *arity)
            .or_else(|| {
                UNSUPPORTED.iter().find(|(known, ..)| *known == name).map(|(_, arity, _)| *arity)
            });
        let Some(arity) = arity else { return self.address_or_unknown(path, word, &name) };
        let argument = if arity > 0 { words.next().map(|(argument, _)| argument) } else { None };
        if arity > 0 && argument.is_none() {
            let remedy = "write it behind the option";
            return self.file(path).error(&word.place, format!("{name} needs a value"), remedy);
        }
        if let Some((_, _, remedy)) = UNSUPPORTED.iter().find(|(known, ..)| *known == name) {
            if name == "plugin"
                && argument.as_ref().is_some_and(|a| a.text().contains("pptpd-logwtmp"))
            {
                return;
            }
            let message = format!("{name} is not supported and is ignored");
            return self.file(path).warn(&word.place, message, *remedy);
        }
        if HONOURED.iter().any(|(known, _)| *known == name)
            && let Err((message, remedy)) = self.honour(path, &name, argument.as_ref())
        {
            let place = argument.map_or(word.place.clone(), |argument| argument.place);
            self.file(path).error(&place, message, remedy);
        }
    }

    /// `LOCAL:REMOTE`, a bare address, or nothing that pppd knows.
    fn address_or_unknown(&mut self, path: &Path, word: &Word, name: &str) {
        if let Some((local, remote)) = name.split_once(':') {
            let side =
                |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
            if let (Some(local), Some(remote)) = (side(local), side(remote)) {
                self.options.local = local.or(self.options.local);
                self.options.remote = remote.or(self.options.remote);
                return;
            }
        }
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            self.options.local = Some(address);
            return;
        }
        let known = HONOURED.iter().chain(HARMLESS).map(|(known, _)| *known);
        let remedy = match nearest(name, known.chain(UNSUPPORTED.iter().map(|(known, ..)| *known)))
        {
            Some(known) => format!("did you mean {known}?"),
            None => "remove it, or see pppd(8) for the options".into(),
        };
        let message = format!("{name:?} is no option that pppd or its plugins know");
        self.file(path).error(&word.place, message, remedy);
    }

    fn honour(
        &mut self,
        path: &Path,
        name: &str,
        argument: Option<&Word>,
    ) -> Result<(), (String, &'static str)> {
        let text = argument.map(Word::text).unwrap_or_default();
        let number = || number(&text);
        let options = &mut self.options;
        match name {
            "name" => options.name = argument.map(|word| word.bytes.clone()),
            "auth" => options.auth = Some(true),
            "noauth" => options.auth = Some(false),
            "require-pap" | "+pap" => options.require_pap = true,
            "require-chap" | "+chap" => options.require_chap = true,
            "require-mschap" | "+mschap" => options.require_mschap = true,
            "require-mschap-v2" | "+mschap-v2" => options.require_mschap_v2 = true,
            "chapms-strip-domain" => options.strip_domain = true,
            "mtu" => options.mtu = Some(packet_size(&text)?),
            "mru" => options.mru = Some(packet_size(&text)?),
            "ms-dns" => push_server(&mut options.dns, &text)?,
            "ms-wins" => push_server(&mut options.nbns, &text)?,
            "proxyarp" => options.proxyarp = true,
            "noproxyarp" | "-proxyarp" => options.proxyarp = false,
            "lcp-echo-interval" => options.lcp_echo_interval = Some(number()?),
            "lcp-echo-failure" => options.lcp_echo_failure = Some(number()?),
            "lcp-echo-adaptive" => options.lcp_echo_adaptive = true,
            "chap-interval" => options.chap_interval = Some(number()?),
            "chap-restart" => options.chap_restart = Some(number()?),
            "chap-max-challenge" => options.chap_max_challenge = Some(number()?),
            "asyncmap" | "-as" => options.asyncmap = Some(hexadecimal(&text)?),
            "noaccomp" | "-ac" => options.no_acfc = true,
            "nopcomp" | "-pc" => options.no_pfc = true,
            "nomagic" | "-mn" => options.no_magic = true,
            "-all" => {
                (options.no_acfc, options.no_pfc, options.no_magic) = (true, true, true);
            }
            "idle" => options.idle = Some(number()?),
            "maxconnect" => options.maxconnect = Some(number()?),
            "ipparam" => options.ipparam = Some(text),
            "ifname" => options.ifname = Some(interface_name(text)?),
            "ipv6" | "+ipv6" => options.ipv6 = Some(true),
            "noipv6" | "-ipv6" => options.ipv6 = Some(false),
            "debug" | "-d" => options.debug = true,
            "dump" => options.dump = true,
            "dryrun" => options.dryrun = true,
            "file" => return self.nested(PathBuf::from(text)),
            "call" => return self.nested(path.with_file_name("peers").join(text)),
            _ if name.contains("mppe") => mppe(&mut options.mppe, name),
            _ => timer(options, name, number()?),
        }
        Ok(())
    }

    fn nested(&mut self, path: PathBuf) -> Result<(), (String, &'static str)> {
        if self.open.contains(&path) || self.open.len() >= MAX_DEPTH {
            let message = format!("{} is being read already, or too deep", path.display());
            return Err((message, "remove the line"));
        }
        let text = (self.read)(&path).map_err(|error| {
            (
                format!("cannot read {}: {error}", path.display()),
                "make it readable, or remove the line",
            )
        })?;
        self.take(&path, &text);
        Ok(())
    }

    fn file<'b>(&'b mut self, path: &'b Path) -> File<'b> {
        File { path, secret: false, diagnostics: self.diagnostics }
    }
}

fn number(text: &str) -> Result<u32, (String, &'static str)> {
    text.parse().map_err(|_| {
        (format!("{text:?} is no number"), "write a number of seconds or tries, such as 30")
    })
}

fn hexadecimal(text: &str) -> Result<u32, (String, &'static str)> {
    let digits = text.trim_start_matches("0x");
    u32::from_str_radix(digits, 16)
        .map_err(|_| (format!("{text:?} is no hexadecimal number"), "write it as 0 or a0000"))
}

fn packet_size(text: &str) -> Result<u16, (String, &'static str)> {
    text.parse().ok().filter(|size| (128..=16_384).contains(size)).ok_or_else(|| {
        (
            format!("{text:?} is no packet size"),
            "write a number of bytes from 128 to 16384, such as 1400",
        )
    })
}

fn push_server(servers: &mut Vec<Ipv4Addr>, text: &str) -> Result<(), (String, &'static str)> {
    let address = text.parse().map_err(|_| {
        (format!("{text:?} is no IPv4 address"), "write the server's address, such as 192.168.1.2")
    })?;
    // As pppd: the first is the primary, each later one the secondary.
    servers.truncate(1);
    servers.push(address);
    Ok(())
}

fn interface_name(text: String) -> Result<String, (String, &'static str)> {
    let good = !text.is_empty()
        && text.len() < 16
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    if good {
        Ok(text)
    } else {
        Err((format!("{text:?} is no interface name"), "use up to 15 letters and digits"))
    }
}

fn mppe(options: &mut MppeOptions, name: &str) {
    match name {
        "mppe-stateful" => options.stateful = true,
        "require-mppe" | "+mppe" => {
            options.required = true;
            options.bits40.get_or_insert(true);
            options.bits128.get_or_insert(true);
        }
        "require-mppe-40" | "+mppe-40" => {
            options.required = true;
            options.bits40 = Some(true);
        }
        "require-mppe-128" | "+mppe-128" => {
            options.required = true;
            options.bits128 = Some(true);
        }
        "nomppe-40" | "-mppe-40" => options.bits40 = Some(false),
        "nomppe-128" | "-mppe-128" => options.bits128 = Some(false),
        _ => options.off = true,
    }
}

fn timer(options: &mut PppOptions, name: &str, value: u32) {
    let (timers, what) = match name.split_once('-') {
        Some(("ipcp", what)) => (&mut options.ipcp, what),
        Some((_, what)) => (&mut options.lcp, what),
        None => return,
    };
    let field = match what {
        "restart" => &mut timers.restart,
        "max-configure" => &mut timers.max_configure,
        "max-terminate" => &mut timers.max_terminate,
        _ => &mut timers.max_failure,
    };
    *field = Some(value);
}

/// Seconds as a duration; 0 means "not at all" to pppd.
pub(crate) fn seconds(value: Option<u32>) -> Option<Duration> {
    value.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(u64::from(seconds)))
}
