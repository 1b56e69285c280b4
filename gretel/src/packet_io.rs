//! How GRE packets leave and come, on the command line.

use server::{PacketIo, Packets};

/// How GRE packets leave and come.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PacketArguments {
    /// How GRE packets leave and come: by raw sockets, leaving by AF_PACKET, or both by AF_XDP [default: as gretel.toml says, else raw].
    #[arg(long, value_name = "WAY", value_enum)]
    io: Option<Way>,
    /// An interface whose GRE packets go by AF_XDP; may be repeated [default: the one that leads to the other side].
    #[arg(long, value_name = "NAME", requires = "io")]
    io_interface: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Way {
    Raw,
    Packet,
    Xdp,
}

impl PacketArguments {
    /// What is said, if anything is.
    pub(crate) fn packets(&self) -> Option<Packets> {
        let io = match self.io? {
            Way::Raw => PacketIo::Raw,
            Way::Packet => PacketIo::Packet,
            Way::Xdp => PacketIo::Xdp,
        };
        Some(Packets { io, interfaces: self.io_interface.clone(), ..Packets::default() })
    }
}
