//! A working server without any configuration: a user with a random password, free addresses, forwarding and NAT, all undone at the end.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use crypto::{Password, Secret};
use engine::auth::Method;
use sys::netlink::{Netlink, Route};

use crate::auth::{AnyAddress, User, Users};
use crate::event::Bus;
use crate::host::{Change, Host};
use crate::leases::{EVERYBODYS, Slot};
use crate::server::{Source, lock};
use crate::settings::Settings;

/// The user.
const USER: &str = "vpn";
/// Characters of a password that nobody mistakes for another, and that every keyboard has.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 16 characters of 5 bits: as much as MS-CHAPv2 can be attacked for is 56 bits, so more would not help.
const PASSWORD_LEN: usize = 16;
/// Clients at once.
const CLIENTS: u8 = 100;
const IP_FORWARD: &str = "net/ipv4/ip_forward";
const NFT_FAMILY: &str = "ip";
const NFT_TABLE: &str = "gretel_quickstart";
/// In the state directory: what this server notes there.
const FOLDER: &str = "quickstart";
/// In a state directory that was made for such a server: it goes with it.
const MARK: &str = "made-by-quickstart";

/// The state directory of a server that leaves nothing behind, for one such server at a time.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    made: bool,
    _lock: File,
}

impl StateDirectory {
    /// Takes a directory, which is made if need be.
    ///
    /// # Errors
    ///
    /// It cannot be made, or another such server has it.
    pub fn take(path: &Path) -> io::Result<Self> {
        let mark = path.join(MARK);
        let made = !path.exists() || mark.exists();
        let lock = lock(&path.join(FOLDER))?;
        if made {
            fs::write(mark, "")?;
        }
        Ok(Self { path: path.to_owned(), made, _lock: lock })
    }

    /// Gives a directory that a killed quickstart left to the server that uses it from now on: no later quickstart removes it.
    ///
    /// # Errors
    ///
    /// The mark is there and cannot be removed.
    pub fn keep(path: &Path) -> io::Result<()> {
        match fs::remove_file(path.join(MARK)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what was made: all of the directory where it was made for this server, or for one before it that was killed; else this server's folder.
    ///
    /// # Errors
    ///
    /// Something there cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        let path = if self.made { self.path } else { self.path.join(FOLDER) };
        fs::remove_dir_all(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot remove {}: {error}", path.display()))
        })
    }
}

/// A server that needs no file. Dropping it undoes what it changed on this host.
#[derive(Debug)]
pub struct Quickstart {
    host: Host,
    changes: Vec<Change>,
    settings: Settings,
    password: Password,
    network: Ipv4Addr,
    addresses: Vec<Ipv4Addr>,
    /// What could not be done, and what that means.
    shortcomings: Vec<String>,
}

impl Quickstart {
    /// Chooses user, password and network, and lets this host forward. What it changes is noted in the state directory.
    ///
    /// # Errors
    ///
    /// Without the rights of root, or when every private network is in use here.
    pub fn prepare(state: &StateDirectory, bus: &Bus) -> io::Result<Self> {
        let host = Host::open(&state.path.join(FOLDER), bus)?;
        let mut netlink = Netlink::open()?;
        let failed = |error: sys::netlink::Error| io::Error::other(error.to_string());
        let routes = netlink.routes().map_err(failed)?;
        let interfaces = netlink.interfaces().map_err(failed)?;
        let network = free_network(&routes).ok_or_else(|| {
            io::Error::other("every private network that could be used has a route here")
        })?;
        let addresses = interfaces
            .iter()
            .flat_map(|interface| &interface.addresses)
            .filter_map(|address| match address.local {
                IpAddr::V4(address) if !address.is_loopback() => Some(address),
                _ => None,
            })
            .collect();
        let [a, b, c, _] = network.octets();
        let local = Ipv4Addr::new(a, b, c, 1);
        let slots = (0..CLIENTS).map(|unit| Slot {
            unit: u32::from(unit),
            pool: EVERYBODYS,
            local,
            remote: Ipv4Addr::new(a, b, c, unit + 2),
        });
        let mut settings = Settings::new(slots.collect());
        settings.dns =
            name_servers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
        let mut quickstart = Self {
            host,
            changes: Vec::new(),
            settings,
            password: Password::from(password()?),
            network,
            addresses,
            shortcomings: Vec::new(),
        };
        quickstart.forward();
        quickstart.translate();
        Ok(quickstart)
    }

    /// The settings of the server.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// The one user.
    pub fn users(&self) -> Box<dyn Users> {
        Box::new(OneUser { password: self.password.clone() })
    }

    fn forward(&mut self) {
        let before = sys::sysctl::read(IP_FORWARD).unwrap_or_default();
        if before.trim() == "1" {
            return;
        }
        let change = Change::Sysctl { path: IP_FORWARD.into(), before: before.trim().into() };
        match self.host.make(&change, |_| sys::sysctl::write(IP_FORWARD, "1")) {
            Ok(()) => self.changes.push(change),
            Err(error) => self.shortcomings.push(format!(
                "forwarding could not be switched on ({error}): clients reach this host only"
            )),
        }
    }

    fn translate(&mut self) {
        let network = self.network;
        let script = format!(
            "table {NFT_FAMILY} {NFT_TABLE} {{\n\
             \tchain postrouting {{\n\
             \t\ttype nat hook postrouting priority srcnat;\n\
             \t\tip saddr {network}/24 ip daddr != {network}/24 masquerade\n\
             \t}}\n}}\n"
        );
        let change = Change::NftTable { family: NFT_FAMILY.into(), name: NFT_TABLE.into() };
        match self.host.make(&change, |_| sys::nft::apply(&script)) {
            Ok(()) => self.changes.push(change),
            Err(error) => self.shortcomings.push(format!(
                "NAT could not be set up ({error}): clients reach this host, and beyond it only what has a route back"
            )),
        }
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        while let Some(change) = self.changes.pop() {
            self.host.undo(&change);
        }
    }
}

/// What to type where.
impl fmt::Display for Quickstart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = String::from_utf8_lossy(self.password.as_bytes());
        let network = self.network;
        let server = self.addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST);
        let others: Vec<String> = self.addresses.iter().skip(1).map(ToString::to_string).collect();
        writeln!(
            f,
            "A PPTP server for 100 clients is starting; it leaves nothing behind when it ends.\n"
        )?;
        writeln!(f, "    server    {server}")?;
        if !others.is_empty() {
            writeln!(f, "              (this host is also {})", others.join(", "))?;
        }
        writeln!(f, "    user      {USER}")?;
        writeln!(f, "    password  {password}")?;
        writeln!(f, "    network   {network}/24, encrypted with MPPE-128\n")?;
        for shortcoming in &self.shortcomings {
            writeln!(f, "    NOTE: {shortcoming}\n")?;
        }
        writeln!(
            f,
            "Windows (PowerShell). -SplitTunneling sends only this network through the tunnel; without it everything goes there:\n\
             \x20   Add-VpnConnection -Name Gretel -ServerAddress {server} -TunnelType Pptp -EncryptionLevel Required -AuthenticationMethod MSChapv2 -SplitTunneling -RememberCredential\n\
             \x20   Add-VpnConnectionRoute -ConnectionName Gretel -DestinationPrefix {network}/24\n\
             \x20   rasdial Gretel {USER} {password}\n"
        )?;
        writeln!(
            f,
            "Linux, with this program:\n\
             \x20   gretel connect {server} --user {USER} --route {network}/24\n\
             Linux, with pptp-linux (as root):\n\
             \x20   pppd pty \"pptp {server} --nolaunchpppd\" noauth user {USER} password {password} require-mppe-128 nodetach\n"
        )?;
        writeln!(
            f,
            "A router (RouterOS):\n\
             \x20   /interface pptp-client add name=gretel connect-to={server} user={USER} password={password} disabled=no\n"
        )?;
        writeln!(
            f,
            "Firewalls on the way must let TCP 1723 and IP protocol 47 (GRE) through, both ways.\n\
             PPTP is broken as cryptography: use it for nothing that must stay secret."
        )
    }
}

/// Hands the same settings out again.
#[derive(Debug)]
pub struct Fixed {
    settings: Settings,
    password: Password,
}

impl From<&Quickstart> for Fixed {
    fn from(quickstart: &Quickstart) -> Self {
        Self { settings: quickstart.settings(), password: quickstart.password.clone() }
    }
}

impl Source for Fixed {
    fn load(&mut self) -> Result<(Settings, Box<dyn Users>), String> {
        Ok((self.settings.clone(), Box::new(OneUser { password: self.password.clone() })))
    }
}

#[derive(Debug)]
struct OneUser {
    password: Password,
}

impl Users for OneUser {
    fn find(&mut self, _method: Method, name: &[u8], _remarks: &mut Vec<String>) -> Option<User> {
        (name == USER.as_bytes()).then(|| User {
            secret: Some(Secret::Password(self.password.clone())),
            addresses: Box::new(AnyAddress),
            pool: EVERYBODYS,
            own: None,
        })
    }
}

/// The first private /24 that no route of this host touches, but for the default route.
fn free_network(routes: &[Route]) -> Option<Ipv4Addr> {
    let candidates = (0..=255).rev().map(|third| Ipv4Addr::new(10, 99, third, 0));
    let more = (200..=254).map(|third| Ipv4Addr::new(192, 168, third, 0));
    candidates.chain(more).find(|network| !routes.iter().any(|route| overlaps(route, *network)))
}

fn overlaps(route: &Route, network: Ipv4Addr) -> bool {
    let IpAddr::V4(first) = route.destination else { return false };
    let bits = u32::from(route.prefix_len.min(24));
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    bits > 0 && u32::from(first) & mask == u32::from(network) & mask
}

/// The first two name servers of a `resolv.conf` that clients can reach.
fn name_servers(text: &str) -> [Option<Ipv4Addr>; 2] {
    let mut found = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<Ipv4Addr>().ok())
        .filter(|address| !address.is_loopback());
    [found.next(), found.next()]
}

fn password() -> io::Result<String> {
    let random: [u8; PASSWORD_LEN] = sys::random_bytes()?;
    Ok(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_has_a_route_here_is_not_taken() {
        let default = Route::to(Ipv4Addr::UNSPECIFIED, 0);
        assert_eq!(free_network(&[default]), Some(Ipv4Addr::new(10, 99, 255, 0)));
        let wide = Route::to(Ipv4Addr::new(10, 0, 0, 0), 8);
        let narrow = Route::to(Ipv4Addr::new(192, 168, 200, 7), 32);
        assert_eq!(free_network(&[default, wide, narrow]), Some(Ipv4Addr::new(192, 168, 201, 0)));
    }

    #[test]
    fn name_servers_that_only_this_host_can_reach_are_left_out() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\nnameserver 192.0.2.2\n";
        let wanted = [Some(Ipv4Addr::new(192, 0, 2, 1)), Some(Ipv4Addr::new(192, 0, 2, 2))];
        assert_eq!(name_servers(text), wanted);
    }

    #[test]
    fn a_directory_goes_with_its_quickstart_unless_a_server_has_used_it_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        drop(StateDirectory::take(&path).unwrap());
        StateDirectory::take(&path).unwrap().remove().unwrap();
        assert!(!path.exists());

        drop(StateDirectory::take(&path).unwrap());
        StateDirectory::keep(&path).unwrap();
        fs::write(path.join("history.db"), "theirs").unwrap();
        StateDirectory::take(&path).unwrap().remove().unwrap();
        assert!(path.join("history.db").exists() && !path.join(FOLDER).exists());
        StateDirectory::keep(&path).unwrap();
    }

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, two) = (password().unwrap(), password().unwrap());
        assert_eq!(one.len(), PASSWORD_LEN);
        assert_ne!(one, two);
    }
}
