//! What the kernel knows about a TCP connection.

use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

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
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_has_a_round_trip_time_and_a_file_has_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let time = round_trip(&stream);
        assert!(time > Duration::ZERO && time < Duration::from_secs(1), "{time:?}");
        assert_eq!(round_trip(&File::open("/dev/null").unwrap()), Duration::ZERO);
    }
}
