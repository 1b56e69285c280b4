//! What clients are told when they ask for routes in their tunnel.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::{
    caller::Caller,
    segment::{INNER, NEIGHBOUR, SERVER},
    server::Files,
    world::World,
};
use crate::workspace;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a client that asks as Windows does is told routes, name servers and domain",
        compared: false,
        run: inform,
    },
    Scenario {
        name: "what gretel client prints for pppd is typed and makes a tunnel",
        compared: false,
        run: printed,
    },
];

/// The client's address in the tunnel.
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 100);

fn inform(world: &mut World) -> Result<()> {
    let file = world.segment.folder.join("gretel/gretel.toml");
    std::fs::write(
        &file,
        "[addresses]\nroutes = [\"10.20.0.0/16\", \"192.168.77.0/24\"]\ndns = [\"192.168.77.9\"]\ndomain = \"example.com\"\n",
    )?;
    let served = world.serve(&Files { addresses: "192.168.77.100", ..Files::SHIPPED });
    // Other scenarios do without it.
    std::fs::remove_file(&file)?;
    served?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    let answer = caller.namespace.inside(ask)?;
    let has = |option: &[u8]| answer.windows(option.len()).any(|bytes| bytes == option);
    let routes =
        [&[16, 10, 20, 192, 168, 77, 1][..], &[24, 192, 168, 77, 192, 168, 77, 1]].concat();
    for (what, option) in [
        ("an acknowledgement", vec![53, 1, 5]),
        ("the routes", [&[121, 15][..], &routes].concat()),
        ("the routes for old Windows", [&[249, 15][..], &routes].concat()),
        ("the name server", vec![6, 4, 192, 168, 77, 9]),
        ("the domain", [&[15, 11][..], b"example.com"].concat()),
    ] {
        ensure!(has(&option), "{what} is not in {answer:02x?}");
    }
    let log = world.server.log()?;
    ensure!(log.contains("Told the client of 2 routes"), "{log}");
    caller.ping(INNER, 56, 1)?;
    caller.disconnect()?;
    world.end_and_check()
}

fn printed(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let folder = world.segment.folder.join("gretel");
    let file = |name: &str| folder.join(name).display().to_string();
    let printed = world.server.sh(&format!(
        "{} client linux --user anna --server {SERVER} --pptpd-conf {} --ppp-options {} --chap-secrets {}",
        workspace::gretel().display(),
        file("pptpd.conf"),
        file("ppp-options"),
        file("secrets"),
    ))?;
    ensure!(!printed.contains("secret\n") && !printed.contains(" secret "), "{printed}");
    let at = printed.find("cat >/etc/ppp/peers/gretel").context("no file for pppd")?;
    let typed = format!(
        "mkdir -p /etc/ppp/peers; umask 077; echo 'anna gretel secret *' >/etc/ppp/chap-secrets; : >/etc/ppp/options\n{}",
        &printed[at..]
    );
    let client = world.client()?;
    client.guest.sh(30, &typed)?;
    client.ping_all_sizes(INNER)?;
    client.ping_all_sizes(NEIGHBOUR)?;
    let log = world.server.log()?;
    ensure!(log.contains("MPPE 128-bit stateless"), "{log}");
    world.end_and_check()
}

/// Asks all DHCP servers from the tunnel's address, and gives the answer.
fn ask() -> Result<Vec<u8>> {
    let mut question = vec![1, 8, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0];
    question.extend_from_slice(&CLIENT.octets());
    question.resize(236, 0);
    question.extend_from_slice(&[99, 130, 83, 99, 53, 1, 8, 60, 8]);
    question.extend_from_slice(b"MSFT 5.0");
    question.extend_from_slice(&[55, 7, 6, 44, 43, 1, 249, 121, 15, 255]);
    question.resize(300, 0);
    let socket = UdpSocket::bind((CLIENT, 68)).context("port 68")?;
    socket.set_broadcast(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    socket.send_to(&question, ("255.255.255.255", 67)).context("the question")?;
    let mut answer = vec![0; 1500];
    let (len, from) = socket.recv_from(&mut answer).context("no answer")?;
    ensure!(from.to_string() == format!("{INNER}:67"), "the answer is from {from}");
    ensure!(answer[..8] == [2, 8, 6, 0, 1, 2, 3, 4], "{:02x?}", &answer[..8]);
    answer.truncate(len);
    Ok(answer)
}
