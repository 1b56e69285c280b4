//! What a client is told: its address and its name servers.

use std::{fs, net::UdpSocket, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::{
    caller::Caller,
    network::Namespace,
    segment::INNER,
    server::{Files, wait_for_log},
    world::World,
};

/// How long a log line may take to appear after the client knows.
const SOON: Duration = Duration::from_secs(5);

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a user with an address in chap-secrets gets it",
        compared: true,
        run: |world| {
            let files = Files { secrets: "anna pptpd secret 192.168.77.50\n", ..Files::SHIPPED };
            world.serve(&files)?;
            let call = world.call("require-mppe-128")?;
            ensure!(call.address()? == "192.168.77.50", "{:?}", call.address);
            world.client()?.ping_all_sizes(INNER)?;
            world.end_and_check()
        },
    },
    Scenario {
        name: "a mask with + gives a user the address of the session's number",
        compared: true,
        run: |world| {
            let secrets = "anna pptpd secret 192.168.77.64/27+\n";
            world.serve(&Files { secrets, ..Files::SHIPPED })?;
            let call = world.call("require-mppe-128")?;
            ensure!(call.address()? == "192.168.77.65", "{:?}", call.address);
            world.client()?.ping_all_sizes(INNER)?;
            world.end_and_check()
        },
    },
    Scenario {
        name: "a user whose secret is an NT hash logs in with the password, and not with the hash",
        compared: false,
        run: |world| {
            let secrets = "anna pptpd {nt}878d8014606cda29677a44efa1353fc7 *\n";
            world.serve(&Files { secrets, ..Files::SHIPPED })?;
            world.call("require-mppe-128")?.address()?;
            world.client()?.ping_all_sizes(INNER)?;
            world.end_and_check()?;
            world.make(["G-203"]);
            let hash = "{nt}878d8014606cda29677a44efa1353fc7";
            world.call_as("anna", hash, "require-mppe-128")?.ensure_refused()?;
            world.end_and_check()
        },
    },
    Scenario { name: POOLS, compared: false, run: pools },
    Scenario {
        name: "name servers of the options file reach the client",
        compared: true,
        run: name_servers,
    },
    Scenario {
        name: "a password changed in the file counts at the next login",
        compared: true,
        run: changed_password,
    },
    Scenario {
        name: "a user's own options behind -- count for that user",
        compared: true,
        run: own_options,
    },
    Scenario {
        name: "with delegate a client has the address of its own line, and none without",
        compared: false,
        run: delegate,
    },
    Scenario {
        name: "with vrf the clients of that interface are served, and no others",
        compared: false,
        run: one_interface,
    },
    Scenario {
        name: "with bcrelay broadcasts pass between the lan and the clients",
        compared: false,
        run: broadcasts,
    },
    Scenario {
        name: "a session ends when it has had its traffic",
        compared: true,
        run: traffic_limit,
    },
    Scenario {
        name: "a caller whose number is not allowed is turned away",
        compared: true,
        run: |world| {
            world.make(["G-209"]);
            let options = "require-mschap-v2\nrequire-mppe-128\nallow-number 10.98.*\n";
            world.serve(&Files { options, ..Files::SHIPPED })?;
            world.call("require-mppe-128")?.ensure_refused()?;
            wait_for_log(&mut *world.server, "10.99.0.2 is not authorized", SOON)?;
            world.end_and_check()
        },
    },
    Scenario {
        name: "packets that pass-filter does not let pass are dropped, and only those of active-filter end idleness",
        compared: true,
        run: filters,
    },
    Scenario {
        name: "unit, allow-ip and ipv6 give a session its number and addresses",
        compared: true,
        run: numbers,
    },
    Scenario {
        name: "IPv6 link-local addresses reach each other through the tunnel",
        compared: true,
        run: ipv6,
    },
];

pub(super) const POOLS: &str =
    "users of a pool have its addresses and name servers, and others those for everybody";

const POOLS_OF_TWO: &str = "[pools.shop]\nusers = [\"*@shop\"]\nremote = [\"192.168.77.120-121\"]\ndns = [\"192.168.77.3\"]\n\
     [pools.lab]\nusers = [\"carl*\"]\nremote = [\"192.168.77.130\"]\n";

fn pools(world: &mut World) -> Result<()> {
    let file = world.segment.folder.join("gretel/gretel.toml");
    fs::write(&file, POOLS_OF_TWO)?;
    let result = with_pools(world);
    fs::remove_file(&file)?;
    result
}

fn with_pools(world: &mut World) -> Result<()> {
    let files = Files {
        secrets: "anna pptpd secret *\nbert@shop pptpd secret *\ncarl pptpd secret *\n\
                  carla pptpd secret * -- ms-dns 192.168.77.8\n",
        options: "require-mschap-v2\nrequire-mppe-128\nms-dns 192.168.77.2\n",
        ..Files::SHIPPED
    };
    world.serve(&files)?;
    for (user, address, told) in [
        ("anna", "192.168.77.100", "primary   DNS address 192.168.77.2"),
        ("bert@shop", "192.168.77.120", "primary   DNS address 192.168.77.3"),
        ("carl", "192.168.77.130", "primary   DNS address 192.168.77.2"),
        ("carla", "192.168.77.130", "secondary DNS address 192.168.77.8"),
    ] {
        let call = world.call_as(user, "secret", "require-mppe-128 usepeerdns")?;
        ensure!(call.address()? == address, "{user} has {:?}", call.address);
        ensure!(call.log.contains(told), "{user}: no {told:?} in\n{}", call.log);
        // The neighbour finds the client by the server's ARP answers.
        let ping = format!("ping -n -q -c 3 -i 0.1 -W 1 {address}");
        world.segment.neighbour.sh(&ping).with_context(|| format!("{user} from the lan"))?;
        world.end_and_check()?;
    }
    // The pool of one address is full; everybody's is not.
    world.make(["G-207"]);
    world.call_as("carl", "secret", "require-mppe-128")?.address()?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let mut check = caller.command_as("carla", "secret", &["--check"])?;
    let output = check.stdin(Stdio::null()).output()?;
    ensure!(!output.status.success(), "a second session in a pool of one address");
    wait_for_log(&mut *world.server, "all addresses of the user's pool are in use", SOON)?;
    let output = caller.command("secret", &["--check"])?.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    world.end_and_check()
}

fn name_servers(world: &mut World) -> Result<()> {
    let options = "require-mschap-v2\nrequire-mppe-128\nms-dns 192.168.77.2\nms-dns 192.168.77.3\n";
    world.serve(&Files { options, ..Files::SHIPPED })?;
    let call = world.call("require-mppe-128 usepeerdns")?;
    call.address()?;
    for line in ["primary   DNS address 192.168.77.2", "secondary DNS address 192.168.77.3"] {
        ensure!(call.log.contains(line), "no {line:?} in\n{}", call.log);
    }
    world.end_and_check()
}

fn own_options(world: &mut World) -> Result<()> {
    let secrets = "anna pptpd secret * -- ms-dns 192.168.77.8 maxconnect 3\nbert pptpd secret *\n";
    world.serve(&Files { secrets, ..Files::SHIPPED })?;
    let call = world.call("require-mppe-128 usepeerdns")?;
    call.address()?;
    ensure!(call.log.contains("primary   DNS address 192.168.77.8"), "{}", call.log);
    wait_for_log(&mut *world.server, "Connect time expired", Duration::from_secs(10))?;
    world.end_and_check()?;
    let call = world.call_as("bert", "secret", "require-mppe-128 usepeerdns")?;
    call.address()?;
    ensure!(!call.log.contains("DNS address"), "{}", call.log);
    world.end_and_check()
}

fn delegate(world: &mut World) -> Result<()> {
    world.make(["G-207"]);
    let files = Files {
        options: "require-mschap-v2\nrequire-mppe-128\n192.168.77.1:\n",
        secrets: "anna pptpd secret 192.168.77.50\nbert pptpd secret *\n",
        conf: "delegate\n",
        ..Files::SHIPPED
    };
    world.serve(&files)?;
    let call = world.call("require-mppe-128")?;
    ensure!(call.address()? == "192.168.77.50", "{:?}", call.address);
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()?;
    world.call_as("bert", "secret", "require-mppe-128")?.ensure_refused()?;
    wait_for_log(&mut *world.server, "Peer bert is not authorized to use remote address", SOON)?;
    world.end_and_check()
}

fn one_interface(world: &mut World) -> Result<()> {
    world.serve(&Files { conf: "vrf eth1\n", ..Files::SHIPPED })?;
    world.call("require-mppe-128")?.address()?;
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()?;
    world.server.stop()?;
    world.server.start(&Files { conf: "vrf eth0\n", ..Files::SHIPPED })?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let check = caller.command("secret", &["--check"])?.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&check.stderr);
    ensure!(!check.status.success() && said.contains("TCP 1723"), "{said}");
    Ok(())
}

fn broadcasts(world: &mut World) -> Result<()> {
    world.serve(&Files { conf: "bcrelay eth0\n", ..Files::SHIPPED })?;
    let names = [("one", "10.99.0.9"), ("two", "10.99.0.10")];
    let mut callers = Vec::new();
    for (name, address) in names {
        let mut caller = Caller::new(world, name, address)?;
        caller.connect()?;
        // A packet to everybody leaves by the tunnel.
        caller.namespace.sh("ip route add 255.255.255.255 dev ppp0")?;
        callers.push(caller);
    }
    let lan = &world.segment.neighbour;
    lan.sh("ip route replace 255.255.255.255 dev eth0")?;
    let [one, two] = [&callers[0].namespace, &callers[1].namespace];
    for (from, hearers) in [(lan, [one, two]), (one, [lan, two])] {
        broadcast(from, &hearers).with_context(|| format!("from {}", from.name))?;
    }
    for caller in &mut callers {
        caller.disconnect()?;
    }
    world.end_and_check()
}

/// Sends a packet to everybody, which each of the hearers must get.
fn broadcast(from: &Namespace, hearers: &[&Namespace]) -> Result<()> {
    const PORT: u16 = 5005;
    let listening = hearers.iter().map(|hearer| {
        hearer.inside(|| {
            let socket = UdpSocket::bind(("0.0.0.0", PORT))?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            Ok(socket)
        })
    });
    let sockets = listening.collect::<Result<Vec<_>>>()?;
    from.inside(|| {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.set_broadcast(true)?;
        socket.send_to(b"who is there?", ("255.255.255.255", PORT))?;
        Ok(())
    })?;
    for (socket, hearer) in sockets.iter().zip(hearers) {
        let mut buffer = [0; 100];
        let heard =
            socket.recv(&mut buffer).with_context(|| format!("{} hears nothing", hearer.name))?;
        ensure!(&buffer[..heard] == b"who is there?", "{}", buffer[..heard].escape_ascii());
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        ensure!(socket.recv(&mut buffer).is_err(), "{} hears it twice", hearer.name);
    }
    Ok(())
}

fn traffic_limit(world: &mut World) -> Result<()> {
    let options = "require-mschap-v2\nrequire-mppe-128\nmaxoctets 20000\nmo-direction in\n";
    world.serve(&Files { options, ..Files::SHIPPED })?;
    world.call("require-mppe-128")?.address()?;
    let flood = format!("ping -n -q -c 40 -i 0.02 -W 1 -s 1000 {INNER} || true");
    world.client()?.guest.sh(20, &flood)?;
    wait_for_log(&mut *world.server, "Traffic limit reached", Duration::from_secs(10))?;
    world.end_and_check()
}

fn filters(world: &mut World) -> Result<()> {
    let options = "require-mschap-v2\nrequire-mppe-128\nidle 3\nactive-filter tcp\npass-filter 'not icmp or len < 500'\n";
    world.serve(&Files { options, ..Files::SHIPPED })?;
    world.call("require-mppe-128")?.address()?;
    let ping = |size| format!("ping -n -q -c 3 -i 0.2 -W 1 -s {size} {INNER}");
    world.client()?.guest.sh(10, &ping(100))?;
    world.client()?.guest.sh(10, &format!("! {}", ping(800)))?;
    // Pings pass, and are no traffic.
    world.client()?.guest.sh(30, &format!("ping -n -q -i 0.5 -w 8 -s 100 {INNER} || true"))?;
    wait_for_log(&mut *world.server, "Terminating connection due to lack of activity", SOON)?;
    world.end_and_check()
}

fn numbers(world: &mut World) -> Result<()> {
    let files = Files {
        options: "require-mschap-v2\nrequire-mppe-128\nunit 7\nallow-ip 192.168.77.60\nipv6 ::a,::b\n",
        secrets: "anna pptpd secret 10.9.9.0/24\n",
        ..Files::SHIPPED
    };
    world.serve(&files)?;
    let call = world.call("require-mppe-128 +ipv6 ipv6cp-accept-local")?;
    ensure!(call.address()? == "192.168.77.60", "{:?}", call.address);
    for end in ["local  LL address fe80::000b", "remote LL address fe80::000a"] {
        let end = end.replace("::", "::0000:0000:0000:");
        ensure!(call.log.contains(&end), "no {end:?} in\n{}", call.log);
    }
    wait_for_log(&mut *world.server, "Using interface ppp7", SOON)?;
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()
}

fn changed_password(world: &mut World) -> Result<()> {
    world.make(["G-203"]);
    world.serve(&Files::SHIPPED)?;
    world.call("require-mppe-128")?.address()?;
    world.end_and_check()?;
    world.server.write_secrets("anna pptpd changed *\n")?;
    world.call("require-mppe-128")?.ensure_refused()?;
    world.call_as("anna", "changed", "require-mppe-128")?.address()?;
    world.end_and_check()
}

fn ipv6(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let call = world.call("require-mppe-128 +ipv6")?;
    call.address()?;
    let word = call.log.lines().find_map(|line| line.strip_prefix("remote LL address "));
    let Some(address) = word else {
        anyhow::bail!("no link-local address of the server:\n{}", call.log)
    };
    let ping = format!("sleep 0.2; ping -n -q -c 3 -i 0.1 -W 2 {}%ppp0", address.trim());
    world.client()?.guest.sh(20, &ping)?;
    world.end_and_check()
}
