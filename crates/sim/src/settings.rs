//! What the two endpoints of a run are told.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use crypto::{Password, Secret};
use engine::auth::Method;
use engine::control::{self, Role};
use engine::ppp::{
    ClientConfig, Grant, InterfaceIds, LcpConfig, LinkConfig, MppePolicy, ServerConfig, Side,
    Timers,
};

/// The user of all runs.
const USER: &[u8] = b"scott";
const PASSWORD: &[u8] = b"turquoise";

/// What one endpoint is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Server or client.
    pub role: Role,
    /// Its control connection.
    pub control: control::Config,
    /// Its PPP link.
    pub link: LinkConfig,
    /// What a server checks passwords against.
    pub secret: Secret,
    /// What a server gives a user.
    pub grant: Grant,
}

impl Settings {
    /// A server as Debian's files make it: MS-CHAPv2, and MPPE as `mppe` says.
    #[must_use]
    pub fn server(mppe: MppePolicy) -> Self {
        Self {
            role: Role::Pac,
            control: control::Config::default(),
            link: link(Side::Server(ServerConfig::default()), mppe),
            secret: Secret::from(Password::new(PASSWORD.to_vec())),
            grant: grant(),
        }
    }

    /// A client that knows the password.
    #[must_use]
    pub fn client(mppe: MppePolicy) -> Self {
        Self::client_with(mppe, PASSWORD.to_vec())
    }

    /// A client with this password.
    #[must_use]
    pub fn client_with(mppe: MppePolicy, password: Vec<u8>) -> Self {
        let side = Side::Client(ClientConfig {
            name: USER.to_vec(),
            password: Password::new(password),
            methods: [Method::MsChapV2, Method::MsChapV1, Method::ChapMd5, Method::Pap].to_vec(),
            address: Ipv4Addr::UNSPECIFIED,
        });
        Self {
            role: Role::Pns,
            control: control::Config::windows_like(),
            link: link(side, mppe),
            ..Self::server(mppe)
        }
    }
}

fn link(side: Side, mppe: MppePolicy) -> LinkConfig {
    LinkConfig {
        side,
        lcp: LcpConfig::default(),
        mppe,
        ipv6: Some(InterfaceIds::default()),
        network_timers: Timers::default(),
        ipv6cp_timers: Timers::default(),
    }
}

/// What a server gives in all runs.
#[must_use]
pub fn grant() -> Grant {
    Grant {
        local: Ipv4Addr::new(192, 168, 1, 1),
        remote: Ipv4Addr::new(192, 168, 1, 50),
        dns: [Some(Ipv4Addr::new(192, 168, 1, 2)), None],
        nbns: [None; 2],
        mppe: None,
    }
}
