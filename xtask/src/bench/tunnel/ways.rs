//! What is measured against each other.

use super::bed::{BEHIND_VXLAN, OUTER};

/// What others are compared with.
pub(super) const NAIVE: &str = "naive";
pub(super) const VXLAN: &str = "VXLAN without offloads";
/// What stands in for a tunnel in the kernel: made of [`VXLAN`], not a way of its own.
pub(super) const STAND_IN: &str = "VXLAN + 2 × (a)";
const RAW_1: &str = "raw sockets, 1 worker";
const PACKET_1: &str = "AF_PACKET, 1 worker";
const XDP_1: &str = "AF_XDP, 1 worker";
const XDP_2: &str = "AF_XDP, 2 workers";

/// A way from one end to the other.
pub(super) enum Way {
    /// `gretel`, with arguments for the server and for the client.
    Gretel(&'static [&'static str], &'static [&'static str]),
    /// Without `gretel`, to this address.
    Bare(&'static str),
}

/// The server's end of both cables by AF_XDP.
const SERVE_XDP_1: [&str; 8] =
    ["--workers", "1", "--io", "xdp", "--io-interface", "near", "--io-interface", "other"];
const SERVE_XDP_2: [&str; 8] =
    ["--workers", "2", "--io", "xdp", "--io-interface", "near", "--io-interface", "other"];

/// Columns of ratios: of which way, to which.
pub(super) const RATIOS: [(&str, &str); 7] = [
    (RAW_1, NAIVE),
    (PACKET_1, NAIVE),
    (XDP_1, NAIVE),
    (XDP_2, NAIVE),
    (RAW_1, STAND_IN),
    (XDP_1, STAND_IN),
    (XDP_2, STAND_IN),
];

/// All ways.
pub(super) const WAYS: [(&str, Way); 9] = [
    (NAIVE, Way::Gretel(&["--workers", "1", "--naive-io"], &["--naive-io"])),
    (RAW_1, Way::Gretel(&["--workers", "1"], &[])),
    ("raw sockets, 2 workers", Way::Gretel(&["--workers", "2"], &[])),
    (PACKET_1, Way::Gretel(&["--workers", "1", "--io", "packet"], &["--io", "packet"])),
    (
        "AF_PACKET, 2 workers",
        Way::Gretel(&["--workers", "2", "--io", "packet"], &["--io", "packet"]),
    ),
    (XDP_1, Way::Gretel(&SERVE_XDP_1, &["--io", "xdp"])),
    (XDP_2, Way::Gretel(&SERVE_XDP_2, &["--io", "xdp"])),
    (VXLAN, Way::Bare(BEHIND_VXLAN)),
    ("bare veth", Way::Bare(OUTER)),
];
