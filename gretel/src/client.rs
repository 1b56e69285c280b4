//! `gretel client`: what to type on a client to reach this server.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use anyhow::{Context, bail};
use config::Config;
use server::doctor::Snapshot;

use crate::serve::FileArguments;

/// For which client.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the client runs.
    system: System,
    #[command(flatten)]
    files: FileArguments,
    /// Who logs in.
    #[arg(long, default_value = "USER")]
    user: String,
    /// How clients reach this server: a host name or address [default: an address of this host].
    #[arg(long, value_name = "HOST")]
    server: Option<String>,
}

/// Systems that speak PPTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum System {
    Windows,
    Linux,
    Macos,
    Mikrotik,
    Openwrt,
}

/// What a client has to know. No secret is in it.
#[derive(Clone, Debug)]
struct Setup {
    server: String,
    user: String,
    /// Networks behind the tunnel, as `ADDRESS/BITS`.
    routes: Vec<String>,
    domain: String,
    encryption: Encryption,
    mschap_v2: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Off,
    Allowed,
    Required,
}

/// Prints it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let files = arguments.files.files(None);
    let examined = files.examine();
    let Some(config) = examined.config.filter(|_| !examined.diagnostics.has_errors()) else {
        eprintln!("{}", examined.diagnostics.render());
        return Ok(ExitCode::FAILURE);
    };
    let setup = setup(arguments, &config)?;
    io::stdout().lock().write_all(setup.text(arguments.system).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn setup(arguments: &Arguments, config: &Config) -> anyhow::Result<Setup> {
    let interfaces = Snapshot::interfaces().context("cannot see this host's addresses")?;
    let addresses = || interfaces.iter().flat_map(|interface| &interface.addresses);
    let server = match &arguments.server {
        Some(server) => server.clone(),
        None => {
            let listens = config.listen.iter().map(|address| address.ip());
            let own = addresses().map(|address| address.local);
            let fits = |it: &IpAddr| it.is_ipv4() && !it.is_unspecified() && !it.is_loopback();
            let found = listens.chain(own).find(fits);
            found.context("this host has no address: say --server HOST")?.to_string()
        }
    };
    if !server.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) || server.is_empty() {
        bail!("{server:?} is no host name and no IPv4 address");
    }
    if arguments.user.is_empty() || arguments.user.chars().any(char::is_control) {
        bail!("{:?} is no user's name", arguments.user);
    }
    let mut routes = config.routes.clone();
    let local = config.slots.first().map(|(local, _)| *local);
    if let (true, Some(local)) = (routes.is_empty(), local) {
        // The network that our end of the tunnels is in, or that end alone.
        let network = addresses()
            .filter(|address| address.peer.is_none() && address.has_in_subnet(local))
            .map(|address| (network(local, address.prefix_len), address.prefix_len))
            .next();
        routes.push(network.unwrap_or((local, 32)));
    }
    let mppe = &config.options.mppe;
    Ok(Setup {
        server,
        user: arguments.user.clone(),
        routes: routes.iter().map(|(address, bits)| format!("{address}/{bits}")).collect(),
        domain: config.domain.clone(),
        encryption: match (mppe.off(), mppe.required()) {
            (true, _) => Encryption::Off,
            (false, true) => Encryption::Required,
            (false, false) => Encryption::Allowed,
        },
        mschap_v2: config.mschap_v2,
    })
}

fn network(address: Ipv4Addr, bits: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32u32.saturating_sub(bits.into())).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask)
}

impl Setup {
    fn text(&self, system: System) -> String {
        match system {
            System::Windows => self.windows(),
            System::Linux => self.linux(),
            System::Macos => self.macos(),
            System::Mikrotik => self.mikrotik(),
            System::Openwrt => self.openwrt(),
        }
    }

    /// A line for each network.
    fn for_routes(&self, line: impl Fn(&str) -> String) -> String {
        self.routes.iter().map(|route| line(route) + "\n").collect()
    }

    fn windows(&self) -> String {
        let (server, user) = (&self.server, powershell(&self.user));
        let level = match self.encryption {
            Encryption::Off => "NoEncryption",
            Encryption::Allowed => "Optional",
            Encryption::Required => "Required",
        };
        let method = if self.mschap_v2 { "MSChapv2" } else { "Chap, Pap" };
        let suffix = match self.domain.as_str() {
            "" => String::new(),
            domain => format!(" -DnsSuffix '{domain}'"),
        };
        let routes = self.for_routes(|route| {
            format!("Add-VpnConnectionRoute -ConnectionName Gretel -DestinationPrefix {route}")
        });
        format!(
            "# PowerShell. -SplitTunneling sends only the networks below through the tunnel; without it everything goes there.\n\
             Add-VpnConnection -Name Gretel -ServerAddress {server} -TunnelType Pptp -EncryptionLevel {level} -AuthenticationMethod {method}{suffix} -SplitTunneling -RememberCredential -Force\n\
             {routes}\
             # Asks for the password.\n\
             rasdial Gretel {user} *\n"
        )
    }

    fn linux(&self) -> String {
        let (server, user) = (&self.server, &self.user);
        let own = self.for_routes(|route| format!("#   --route {route}"));
        let routes = self.for_routes(|route| format!("ip route add {route} dev ppp0"));
        let peer = self.pppd_peer();
        let mppe = match self.encryption {
            Encryption::Off => "",
            Encryption::Allowed | Encryption::Required => ", require-mppe=yes",
        };
        let domain = match self.domain.as_str() {
            "" => String::new(),
            domain => format!(" ipv4.dns-search {domain}"),
        };
        let list = self.routes.join(", ");
        let shell_user = shell(user);
        let data = shell(&format!(
            "gateway={server}, user={user}{mppe}, refuse-eap=yes, password-flags=2"
        ));
        format!(
            "# With this program, as root; it asks for the password. Add for the networks:\n\
             {own}\
             gretel connect {server} --user {shell_user}\n\
             \n\
             # With NetworkManager (package network-manager-pptp).\n\
             nmcli connection add type vpn vpn-type pptp con-name gretel ifname '*' vpn.data {data} ipv4.never-default yes ipv4.routes '{list}'{domain}\n\
             nmcli --ask connection up gretel\n\
             \n\
             # With pppd (package pptp-linux), as root. Put the password into /etc/ppp/chap-secrets, in a line: {quoted} gretel PASSWORD *\n\
             cat >/etc/ppp/peers/gretel <<'END'\n\
             {peer}\
             END\n\
             pppd call gretel updetach\n\
             {routes}",
            quoted = pppd(user)
        )
    }

    /// A file for `pppd call`.
    fn pppd_peer(&self) -> String {
        let (server, user) = (&self.server, pppd(&self.user));
        let mppe = match self.encryption {
            Encryption::Off => "nomppe\n",
            Encryption::Allowed => "",
            Encryption::Required => "require-mppe-128\n",
        };
        format!(
            "pty \"pptp {server} --nolaunchpppd\"\nname {user}\nremotename gretel\nipparam gretel\n\
             noauth\nrefuse-eap\n{mppe}nobsdcomp\nnodeflate\nnodefaultroute\n"
        )
    }

    fn macos(&self) -> String {
        let (server, user) = (&self.server, pppd(&self.user));
        let mppe =
            if self.encryption == Encryption::Off { "" } else { "mppe-stateless\nmppe-128\n" };
        let routes = self.for_routes(|route| format!("route add -net {route} -interface ppp0"));
        format!(
            "# macOS offers PPTP in its settings up to 10.11, and later only by pppd, while the plugin is still there. As root:\n\
             cat >/etc/ppp/peers/gretel <<'END'\n\
             plugin PPTP.ppp\nremoteaddress \"{server}\"\nuser {user}\nnoauth\nrefuse-eap\n{mppe}novj\n\
             ipcp-accept-local\nipcp-accept-remote\nnodefaultroute\nredialcount 1\nnodetach\n\
             END\n\
             # It asks for the password, and stays in this terminal.\n\
             pppd call gretel\n\
             # In another:\n\
             {routes}"
        )
    }

    fn mikrotik(&self) -> String {
        let (server, user) = (&self.server, router_os(&self.user));
        let allow = if self.mschap_v2 { "mschap2" } else { "chap,pap" };
        let profile =
            if self.encryption == Encryption::Off { "default" } else { "default-encryption" };
        let routes =
            self.for_routes(|route| format!("/ip route add dst-address={route} gateway=gretel"));
        format!(
            "# RouterOS. Write the password in the place of PASSWORD.\n\
             /interface pptp-client add name=gretel connect-to={server} user={user} password=PASSWORD profile={profile} allow={allow} add-default-route=no disabled=no\n\
             {routes}"
        )
    }

    fn openwrt(&self) -> String {
        let (server, user) = (&self.server, shell(&self.user));
        let routes = self.for_routes(|route| {
            format!(
                "uci add network route\nuci set network.@route[-1].interface=gretel\nuci set network.@route[-1].target={route}"
            )
        });
        format!(
            "# OpenWrt. Write the password in the place of PASSWORD.\n\
             opkg update && opkg install ppp-mod-pptp\n\
             uci set network.gretel=interface\n\
             uci set network.gretel.proto=pptp\n\
             uci set network.gretel.server={server}\n\
             uci set network.gretel.username={user}\n\
             uci set network.gretel.password=PASSWORD\n\
             uci set network.gretel.defaultroute=0\n\
             {routes}\
             uci commit network && /etc/init.d/network reload\n"
        )
    }
}

/// A word for PowerShell.
fn powershell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A word for a shell.
fn shell(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A word for pppd's files.
fn pppd(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// A word for RouterOS.
fn router_os(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('$', "\\$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Setup {
        Setup {
            server: "vpn.example.com".into(),
            user: "anna".into(),
            routes: vec!["192.168.77.0/24".into(), "10.20.0.0/16".into()],
            domain: "example.com".into(),
            encryption: Encryption::Required,
            mschap_v2: true,
        }
    }

    #[test]
    fn windows_gets_a_split_tunnel_and_its_routes() {
        let wanted = "\
# PowerShell. -SplitTunneling sends only the networks below through the tunnel; without it everything goes there.
Add-VpnConnection -Name Gretel -ServerAddress vpn.example.com -TunnelType Pptp -EncryptionLevel Required -AuthenticationMethod MSChapv2 -DnsSuffix 'example.com' -SplitTunneling -RememberCredential -Force
Add-VpnConnectionRoute -ConnectionName Gretel -DestinationPrefix 192.168.77.0/24
Add-VpnConnectionRoute -ConnectionName Gretel -DestinationPrefix 10.20.0.0/16
# Asks for the password.
rasdial Gretel 'anna' *
";
        assert_eq!(example().text(System::Windows), wanted);
    }

    #[test]
    fn linux_gets_three_ways() {
        let wanted = "\
# With this program, as root; it asks for the password. Add for the networks:
#   --route 192.168.77.0/24
#   --route 10.20.0.0/16
gretel connect vpn.example.com --user anna

# With NetworkManager (package network-manager-pptp).
nmcli connection add type vpn vpn-type pptp con-name gretel ifname '*' vpn.data 'gateway=vpn.example.com, user=anna, require-mppe=yes, refuse-eap=yes, password-flags=2' ipv4.never-default yes ipv4.routes '192.168.77.0/24, 10.20.0.0/16' ipv4.dns-search example.com
nmcli --ask connection up gretel

# With pppd (package pptp-linux), as root. Put the password into /etc/ppp/chap-secrets, in a line: \"anna\" gretel PASSWORD *
cat >/etc/ppp/peers/gretel <<'END'
pty \"pptp vpn.example.com --nolaunchpppd\"
name \"anna\"
remotename gretel
ipparam gretel
noauth
refuse-eap
require-mppe-128
nobsdcomp
nodeflate
nodefaultroute
END
pppd call gretel updetach
ip route add 192.168.77.0/24 dev ppp0
ip route add 10.20.0.0/16 dev ppp0
";
        assert_eq!(example().text(System::Linux), wanted);
    }

    #[test]
    fn routers_and_macos_get_theirs() {
        let mikrotik = "\
# RouterOS. Write the password in the place of PASSWORD.
/interface pptp-client add name=gretel connect-to=vpn.example.com user=\"anna\" password=PASSWORD profile=default-encryption allow=mschap2 add-default-route=no disabled=no
/ip route add dst-address=192.168.77.0/24 gateway=gretel
/ip route add dst-address=10.20.0.0/16 gateway=gretel
";
        assert_eq!(example().text(System::Mikrotik), mikrotik);
        let openwrt = example().text(System::Openwrt);
        for line in [
            "uci set network.gretel.proto=pptp\n",
            "uci set network.gretel.username=anna\n",
            "uci set network.@route[-1].target=10.20.0.0/16\n",
        ] {
            assert!(openwrt.contains(line), "{openwrt}");
        }
        let macos = example().text(System::Macos);
        for line in [
            "plugin PPTP.ppp\nremoteaddress \"vpn.example.com\"\nuser \"anna\"\n",
            "mppe-128\n",
            "route add -net 10.20.0.0/16 -interface ppp0\n",
        ] {
            assert!(macos.contains(line), "{macos}");
        }
    }

    #[test]
    fn a_name_with_quotes_stays_one_word_everywhere() {
        let setup = Setup { user: r#"DOM\an'n"a $x"#.into(), ..example() };
        for (system, word) in [
            (System::Windows, r#"'DOM\an''n"a $x'"#),
            (System::Linux, r#""DOM\\an'n\"a $x""#),
            (System::Linux, r#"--user 'DOM\an'\''n"a $x'"#),
            (System::Mikrotik, r#"user="DOM\\an'n\"a \$x""#),
            (System::Openwrt, r#"username='DOM\an'\''n"a $x'"#),
        ] {
            let text = setup.text(system);
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn without_encryption_none_is_asked_for() {
        let setup = Setup { encryption: Encryption::Off, mschap_v2: false, ..example() };
        assert!(
            setup
                .text(System::Windows)
                .contains("-EncryptionLevel NoEncryption -AuthenticationMethod Chap, Pap")
        );
        assert!(setup.text(System::Linux).contains("nomppe\n"));
        assert!(!setup.text(System::Macos).contains("mppe"));
    }
}
