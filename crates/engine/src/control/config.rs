//! What a control connection is told before it starts.

use core::time::Duration;

use wire::control::Name;

/// Which end of the control connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// PPTP access concentrator: the server, which waits for calls.
    Pac,
    /// PPTP network server (RFC 2637's name for the end that dials): the client, which places calls.
    Pns,
}

/// Settings of a control connection; the default is what `pptpd` says of itself, and RFC 2637's timers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our host name in Start-Control-Connection messages.
    pub host_name: Name,
    /// Our vendor name there.
    pub vendor: Name,
    /// Our firmware revision there.
    pub firmware: u16,
    /// Our framing capabilities there: bit 0 asynchronous, bit 1 synchronous.
    pub framing: u32,
    /// Our bearer capabilities there: bit 0 analogue, bit 1 digital.
    pub bearer: u32,
    /// The receive window of our calls, in packets. macOS sends at most half of it before it wants an acknowledgement.
    pub receive_window: u16,
    /// Calls on one connection at a time, the server's limit; a further one is answered "busy".
    pub max_calls: u16,
    /// How long the Start-Control-Connection exchange may take.
    pub setup_timeout: Duration,
    /// How long the connection may be without a call (server), or a call without its reply (client).
    pub call_timeout: Duration,
    /// Silence of the peer after which we send an Echo-Request (RFC 2637 §3.1.4).
    pub echo_interval: Duration,
    /// How long we wait for the Echo-Reply.
    pub echo_timeout: Duration,
    /// How long we wait for a Stop-Control-Connection-Reply or a Call-Disconnect-Notify that we asked for.
    pub stop_timeout: Duration,
    /// Messages that the peer may send at once.
    pub message_burst: u32,
    /// Messages a second that it may send for good.
    pub messages_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host_name: Name::new(b"local"),
            vendor: Name::new(b"linux"),
            firmware: 1,
            framing: 3,
            bearer: 3,
            receive_window: 16_384,
            max_calls: 16,
            setup_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(60),
            echo_interval: Duration::from_secs(60),
            echo_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            message_burst: 100,
            messages_per_second: 20,
        }
    }
}

impl Config {
    /// What a Windows client says of itself, so that servers treat this one the same.
    #[must_use]
    pub fn windows_like() -> Self {
        Self {
            host_name: Name::new(b""),
            vendor: Name::new(b"Microsoft"),
            firmware: 0,
            framing: 1,
            bearer: 1,
            receive_window: 64,
            ..Self::default()
        }
    }
}
