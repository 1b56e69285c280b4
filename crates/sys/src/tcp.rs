//! TCP connections: what the kernel knows about one, and how one is begun without waiting for it.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt,
};

/// Begins a connection to `server` from one of this host's addresses, or the one that the route has, and gives it at once, non-blocking. It
/// is writable as soon as it is there or has failed, which [`TcpStream::take_error`] tells.
///
/// # Errors
///
/// Those of the kernel: no files left, no such address here, no way to the server.
pub fn begin_connection(source: Option<Ipv4Addr>, server: SocketAddrV4) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // Small messages answer one another: waiting to fill a segment only delays the call.
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        bind(&socket, &SocketAddrV4::new(source, 0))?;
    }
    match connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// The round-trip time of a TCP connection as the kernel estimates it (`TCP_INFO`, tcp(7)); zero when it does not know.
#[must_use]
pub fn round_trip(connection: &impl AsFd) -> Duration {
    // SAFETY: all bytes zero is a valid `tcp_info`: it consists of integers.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut len = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` has room for `len` bytes, and both live until the call returns. The descriptor is borrowed, so it is open.
    let result = unsafe {
        libc::getsockopt(
            connection.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    if result == 0 { Duration::from_micros(u64::from(info.tcpi_rtt)) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_is_begun_from_the_address_that_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(server) = listener.local_addr().unwrap() else { panic!() };
        let source = Ipv4Addr::new(127, 0, 0, 9);
        let stream = begin_connection(Some(source), server).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        assert_eq!(peer.ip(), source);
        assert!(stream.take_error().unwrap().is_none());
        assert!(begin_connection(Some(Ipv4Addr::new(192, 0, 2, 1)), server).is_err());
    }

    #[test]
    fn a_connection_has_a_round_trip_time_and_a_file_has_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let time = round_trip(&stream);
        assert!(time > Duration::ZERO && time < Duration::from_secs(1), "{time:?}");
        assert_eq!(round_trip(&File::open("/dev/null").unwrap()), Duration::ZERO);
    }
}
