//! `[interface]` and `[dataplane]`.

use toml_edit::Item;

use super::super::value::{Fault, fault, flag, size, text, texts};
use super::super::{Fragments, PacketIo, Tos};
use super::{Key, list, name_of, one_of, quoted};
use crate::options::PppOptions;

pub(super) const INTERFACE: &[Key] = &[
    Key {
        path: "interface.mode",
        default: "\"session\"",
        meaning: "session: an interface for each session; shared: one for all, for more than a few hundred users, without IPv6",
        names: &[],
        set: |own, _, item, _| {
            own.shared_interface = match text(item)? {
                "session" => false,
                "shared" => true,
                other => {
                    let message = format!("{other:?} is not known");
                    return Err(fault(item.span(), message, "write session or shared"));
                }
            };
            Ok(())
        },
        get: |config| Some(quoted(if config.shared_interface { "shared" } else { "session" })),
    },
    Key {
        path: "interface.name",
        default: "\"ppp%d\"",
        meaning: "the interfaces' name; %d stands for a number",
        names: &["ifname"],
        set: |_, options, item, _| interface(options, item),
        get: |config| config.options.ifname.as_deref().map(quoted),
    },
    Key {
        path: "interface.ipv6",
        default: "true",
        meaning: "whether IPv6 is negotiated",
        names: &["+ipv6", "noipv6", "ipv6"],
        set: |_, options, item, _| {
            options.ipv6 = Some(flag(item)?);
            Ok(())
        },
        get: |config| config.options.ipv6.map(|on| on.to_string()),
    },
    Key {
        path: "interface.mtu",
        default: "1450",
        meaning: "bytes of the longest packet that we send, if the client's MRU does not say less",
        names: &["mtu"],
        set: |_, options, item, _| {
            options.mtu = Some(size(item)?);
            Ok(())
        },
        get: |config| config.options.mtu.map(|size| size.to_string()),
    },
    Key {
        path: "interface.mru",
        default: "1450",
        meaning: "bytes of the longest packet that clients shall send",
        names: &["mru", "default-mru"],
        set: |_, options, item, _| {
            options.mru = Some(size(item)?);
            Ok(())
        },
        get: |config| config.options.mru.map(|size| size.to_string()),
    },
];

pub(super) const DATAPLANE: &[Key] = &[
    Key {
        path: "dataplane.io",
        default: "\"raw\"",
        meaning: "how GRE packets leave and come: raw (sockets), packet (they leave by AF_PACKET), xdp (both ways by AF_XDP); counts at the start",
        names: &[],
        set: |own, _, item, _| {
            own.packets.io = one_of(item, &PACKET_IO)?;
            Ok(())
        },
        get: |config| Some(name_of(config.packets.io, &PACKET_IO)),
    },
    Key {
        path: "dataplane.interfaces",
        default: "[]",
        meaning: "interfaces whose GRE packets go by AF_XDP; when empty, that of the default route",
        names: &[],
        set: |own, _, item, _| {
            own.packets.interfaces = texts(item)?.into_iter().map(|(name, _)| name).collect();
            Ok(())
        },
        get: |config| Some(list(config.packets.interfaces.iter().cloned())),
    },
    Key {
        path: "dataplane.fragments",
        default: "\"allowed\"",
        meaning: "whether GRE packets may be fragmented on their way: allowed, forbidden (don't fragment is set), copied (from the packet inside)",
        names: &[],
        set: |own, _, item, _| {
            own.packets.fragments = one_of(item, &FRAGMENTS)?;
            Ok(())
        },
        get: |config| Some(name_of(config.packets.fragments, &FRAGMENTS)),
    },
    Key {
        path: "dataplane.tos",
        default: "\"clear\"",
        meaning: "what GRE packets show of the packets inside: clear (nothing), ecn (for clients that hand congestion marks on), all (DSCP too; routers may then reorder them)",
        names: &[],
        set: |own, _, item, _| {
            own.packets.tos = one_of(item, &TOS)?;
            Ok(())
        },
        get: |config| Some(name_of(config.packets.tos, &TOS)),
    },
];

const PACKET_IO: [(&str, PacketIo); 3] =
    [("raw", PacketIo::Raw), ("packet", PacketIo::Packet), ("xdp", PacketIo::Xdp)];

const TOS: [(&str, Tos); 3] = [("clear", Tos::Clear), ("ecn", Tos::Ecn), ("all", Tos::All)];

const FRAGMENTS: [(&str, Fragments); 3] = [
    ("allowed", Fragments::Allowed),
    ("forbidden", Fragments::Forbidden),
    ("copied", Fragments::Copied),
];

fn interface(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let name = text(item)?;
    let value = crate::options::Value { bytes: name.as_bytes(), resolve: &|_| None, oddity: None };
    let name = value.interface().map_err(|bad| fault(item.span(), bad.message, bad.remedy))?;
    options.ifname = Some(name);
    Ok(())
}
