//! IPsec policies (`ip xfrm policy`).

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_XFRM};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, recv};

use super::{NLMSG_DONE, NLMSG_ERROR, TIMEOUT, error, messages};

// Of `linux/xfrm.h`.
const XFRM_MSG_NEWPOLICY: u16 = 0x13;
const XFRM_MSG_GETPOLICY: u16 = 0x15;
/// Bytes of `struct xfrm_userpolicy_id`.
const POLICY_ID: usize = 64;

/// Whether the calling thread's network namespace has IPsec policies.
///
/// # Errors
///
/// When the kernel does not answer.
pub fn has_ipsec_policies() -> io::Result<bool> {
    let mut socket = match Socket::new(NETLINK_XFRM) {
        Ok(socket) => socket,
        // A kernel without IPsec.
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return Ok(false),
        Err(error) => return Err(error),
    };
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
    let mut question = vec![0; 16 + POLICY_ID];
    let len = question.len() as u32;
    question[..4].copy_from_slice(&len.to_ne_bytes());
    question[4..6].copy_from_slice(&XFRM_MSG_GETPOLICY.to_ne_bytes());
    let flags = netlink_packet_core::NLM_F_REQUEST | netlink_packet_core::NLM_F_DUMP;
    question[6..8].copy_from_slice(&flags.to_ne_bytes());
    socket.send(&question, 0)?;
    let mut buffer = vec![0; super::BUFFER_LEN];
    let mut any = false;
    loop {
        let receive = || recv(&socket, &mut buffer[..], RecvFlags::empty());
        let (len, _) = rustix::io::retry_on_intr(receive)?;
        for answer in messages(&buffer[..len]) {
            match answer.kind {
                XFRM_MSG_NEWPOLICY => any = true,
                NLMSG_DONE => return Ok(any),
                NLMSG_ERROR => {
                    let failed = error::outcome(answer.flags, answer.payload);
                    return failed.map(|()| any).map_err(|failure| {
                        failure.during("list IPsec policies".to_owned()).into()
                    });
                }
                _ => {}
            }
        }
    }
}
