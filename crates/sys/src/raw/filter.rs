//! The classic BPF program that gives each worker its own calls.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets the program for worker `index` of `workers`. See [`GreSocket::attach_worker_filter`](super::GreSocket::attach_worker_filter).
pub(super) fn attach(socket: BorrowedFd<'_>, index: usize, workers: usize) -> io::Result<()> {
    let number = |value: usize| {
        u32::try_from(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    };
    if workers == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a filter for no workers"));
    }
    set(socket, &mut program(number(index)?, number(workers)?))
}

/// Sets a socket's classic BPF program.
pub(crate) fn set(socket: BorrowedFd<'_>, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the option takes a `sock_fprog`, whose size is given and which outlives the call; it points to as many instructions as it
    // says, which outlive the call too. The kernel only reads them, and checks them before it runs them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            mem::size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The program sees the packet from the IP header on. Reading behind the packet's end drops it.
fn program(index: u32, workers: u32) -> [libc::sock_filter; LEN] {
    const ACCEPT: u8 = LEN as u8 - 2;
    const DROP: u8 = LEN as u8 - 1;
    let at = |line: u8, target: u8| target - line - 1;
    [
        // x: length of the IP header, options included; what follows are offsets into the GRE header (RFC 2637 §4.1).
        step(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 7),
        jump_if_equal(1, 0, at(3, DROP)),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 2),
        jump_if_equal(0x880b, 0, at(5, DROP)),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 6),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, workers),
        jump_if_equal(index, at(8, ACCEPT), at(8, DROP)),
        step(libc::BPF_RET | libc::BPF_K, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0),
    ]
}

const LEN: usize = 11;

pub(crate) fn step(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Skips `then` instructions when equal, `otherwise` when not.
pub(crate) fn jump_if_equal(k: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: then, jf: otherwise, k }
}
