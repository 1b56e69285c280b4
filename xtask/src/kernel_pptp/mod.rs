//! A PPTP server whose data path is the kernel's: PPTP sockets, PPP units and `ppp_mppe`, as accel-ppp has them. `cargo xtask bench peers` runs
//! it in a guest beside `pptpd` and Gretel. It negotiates with the project's own engines, and carries one call at a time.

mod call;
mod connection;

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use engine::ppp::Grant;

use crate::lab::SERVER_PORT;
use connection::Connection;

/// How the program names itself in a guest.
pub(crate) const COMMAND: &str = "kernel-pptp";

/// Who may come in, and what they get.
pub(crate) struct Account {
    user: String,
    password: String,
    grant: Grant,
}

/// Serves calls for ever. Arguments: user, password, our address in the tunnel, the client's.
pub(crate) fn serve(arguments: &[String]) -> Result<bool> {
    let [user, password, local, remote] = arguments else {
        bail!("{COMMAND} USER PASSWORD OUR-ADDRESS CLIENT'S-ADDRESS")
    };
    let address = |text: &str| text.parse::<Ipv4Addr>().with_context(|| text.to_owned());
    let grant = Grant {
        local: address(local)?,
        remote: address(remote)?,
        dns: [None; 2],
        nbns: [None; 2],
        mppe: None,
    };
    let account = Account { user: user.clone(), password: password.clone(), grant };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, SERVER_PORT))?;
    loop {
        let (stream, peer) = listener.accept()?;
        eprintln!("{peer} comes");
        match Connection::new(stream, &account).and_then(Connection::run) {
            Ok(()) => eprintln!("{peer} has gone"),
            Err(error) => eprintln!("{peer}: {error:#}"),
        }
    }
}
