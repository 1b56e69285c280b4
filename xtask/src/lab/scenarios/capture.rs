//! `gretel capture`, on the server's host.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use pcap_file::pcapng::{Block, PcapNgReader, blocks::enhanced_packet::EnhancedPacketOption};

use super::Scenario;
use crate::lab::{caller::Caller, segment::NEIGHBOUR, server::Files, world::World};
use crate::workspace;

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "gretel capture of one client has its packets outside and inside, and nobody else's",
    compared: false,
    run: capture,
}];

/// A packet of the file.
struct Packet {
    interface: u32,
    inbound: bool,
    bytes: Vec<u8>,
    comment: String,
}

fn capture(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let folder = world.segment.folder.join("capture");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let (file, log) = (folder.join("client.pcapng"), folder.join("capture.log"));
    let process = start(world, "10.99.0.9", &file, &log)?;
    let mut other = Caller::new(world, "other", "10.99.0.8")?;
    other.connect()?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    caller.ping(NEIGHBOUR, 1000, 3)?;
    // By its address inside, when the session is up: the server is asked.
    let (again, again_log) = (folder.join("again.pcapng"), folder.join("again.log"));
    let second = start(world, "192.168.77.101", &again, &again_log)?;
    caller.ping(NEIGHBOUR, 800, 3)?;
    other.ping(NEIGHBOUR, 900, 3)?;
    world.server.sh(&format!("kill -TERM {second}"))?;
    wait_for(&again_log, "0 lost")?;
    let inside: Vec<Packet> = read(&again)?.into_iter().filter(|it| it.interface == 2).collect();
    ensure!(inside.len() == 6 && inside.iter().all(|it| it.bytes.len() == 828), "{}", inside.len());
    caller.disconnect()?;
    other.disconnect()?;
    world.server.sh(&format!("kill -TERM {process}"))?;
    wait_for(&log, "0 lost")?;
    read_by_wireshark(&file)?;
    let packets = read(&file)?;
    let has = |what: &str, wanted: &dyn Fn(&Packet) -> bool| {
        ensure!(packets.iter().any(wanted), "{what} is not among {} packets", packets.len());
        Ok(())
    };
    has("a control message", &|it| {
        it.interface == 0 && it.comment.contains("Outgoing-Call-Request")
    })?;
    has("GRE in", &|it| it.interface == 0 && it.inbound && it.comment.starts_with("GRE to call"))?;
    has("GRE out", &|it| {
        it.interface == 0 && !it.inbound && it.comment.starts_with("GRE to call")
    })?;
    has("LCP", &|it| it.interface == 1 && it.comment.starts_with("[LCP ConfReq"))?;
    has("an encrypted frame", &|it| it.interface == 1 && it.comment.contains("encrypted"))?;
    for inbound in [true, false] {
        let is_ping =
            |it: &Packet| it.interface == 2 && it.inbound == inbound && it.bytes.len() == 1028;
        has("a ping inside", &is_ping)?;
    }
    let others = [10, 99, 0, 8];
    for packet in &packets {
        let ends = packet.bytes.get(12..20).unwrap_or_default();
        let is_others = packet.interface == 0 && (ends[..4] == others || ends[4..] == others);
        ensure!(!is_others && packet.bytes.len() != 928, "a packet of the other client is there");
    }
    world.end_and_check()
}

/// Wireshark's own reader, which has no keys: it knows the three interfaces and what is in each, and finds nothing malformed.
fn read_by_wireshark(file: &Path) -> Result<()> {
    let shown = |arguments: &[&str]| {
        workspace::output(Command::new("tshark").arg("-n").arg("-r").arg(file).args(arguments))
    };
    for filter in [
        "frame.interface_id == 0 && pptp && frame.comment",
        "frame.interface_id == 0 && gre.key.call_id",
        "frame.interface_id == 1 && lcp",
        "frame.interface_id == 1 && ppp.protocol == 0x00fd",
        "frame.interface_id == 2 && icmp.type == 8 && frame.packet_flags_direction == 1",
        "frame.interface_id == 2 && icmp.type == 0 && frame.packet_flags_direction == 2",
    ] {
        ensure!(!shown(&["-Y", filter])?.is_empty(), "Wireshark finds nothing for {filter}");
    }
    let malformed = shown(&["-Y", "_ws.malformed || _ws.short"])?;
    ensure!(malformed.is_empty(), "Wireshark cannot read\n{malformed}");
    Ok(())
}

/// Starts a capture that names this client; gives its process.
fn start(world: &mut World, whom: &str, file: &Path, log: &Path) -> Result<String> {
    let state = world.segment.folder.join("gretel/state");
    let process = world.server.sh(&format!(
        "{} capture {whom} --write {} --state-dir {} --seconds 60 >/dev/null 2>{} & echo $!",
        workspace::gretel().display(),
        file.display(),
        state.display(),
        log.display()
    ))?;
    wait_for(log, "capturing 10.99.0.9")?;
    Ok(process.trim().to_owned())
}

fn wait_for(log: &Path, words: &str) -> Result<()> {
    for _ in 0..250 {
        if fs::read_to_string(log).unwrap_or_default().contains(words) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    anyhow::bail!("{words:?} is not in {said:?}")
}

fn read(file: &Path) -> Result<Vec<Packet>> {
    let bytes = fs::read(file)?;
    let mut reader = PcapNgReader::new(&bytes[..]).context("this is no pcapng file")?;
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block? else { continue };
        let mut comment = String::new();
        let mut inbound = false;
        for option in &packet.options {
            match option {
                EnhancedPacketOption::Comment(text) => comment = text.to_string(),
                EnhancedPacketOption::Flags(flags) => inbound = flags & 3 == 1,
                _ => {}
            }
        }
        let (interface, bytes) = (packet.interface_id, packet.data.to_vec());
        packets.push(Packet { interface, inbound, bytes, comment });
    }
    Ok(packets)
}
