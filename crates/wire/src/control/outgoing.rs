//! Messages that begin and end a call, the way all VPN clients do it (RFC 2637 §2.7, §2.8, §2.12, §2.13).

use core::fmt;

use super::Name;
use super::field::message;

message! {
    /// Outgoing-Call-Request (RFC 2637 §2.7): the client wants a call, which is what a tunnel is.
    pub struct OutgoingCallRequest {
        /// The client's call id: our GRE packets carry it. 0 is legal.
        pub call_id: u16;
        /// Call serial number, for logs.
        pub serial: u16;
        /// Lowest line speed, in bits a second.
        pub minimum_bps: u32;
        /// Highest line speed, in bits a second.
        pub maximum_bps: u32;
        /// 1 analogue, 2 digital, 3 any.
        pub bearer: u32;
        /// 1 asynchronous, 2 synchronous, 3 either.
        pub framing: u32;
        /// Packets that the client buffers.
        pub receive_window: u16;
        /// In tenths of a second.
        pub processing_delay: u16;
        /// Digits in the phone number.
        pub phone_number_len: u16, reserved u16;
        /// Nothing, with a VPN.
        pub phone_number: Name;
        /// Nothing, or a correlation GUID with newer Windows.
        pub sub_address: Name;
    }
}

message! {
    /// Outgoing-Call-Reply (RFC 2637 §2.8).
    pub struct OutgoingCallReply {
        /// The server's call id: the client's GRE packets carry it.
        pub call_id: u16;
        /// The client's call id.
        pub peer_call_id: u16;
        /// 1 connected, 2 general error, 3 no carrier, 4 busy, 5 no dial tone, 6 time-out, 7 not accepted.
        pub result: u8;
        /// General error code, with result 2.
        pub error: u8;
        /// Q.931 cause; nothing here.
        pub cause: u16;
        /// Line speed, in bits a second; RRAS swaps its bytes.
        pub connect_speed: u32;
        /// Packets that the server buffers.
        pub receive_window: u16;
        /// In tenths of a second.
        pub processing_delay: u16;
        /// For the server's own use.
        pub physical_channel: u32;
    }
}

message! {
    /// Call-Clear-Request (RFC 2637 §2.12): the client wants a call ended.
    pub struct CallClearRequest {
        /// The sender's own call id.
        pub call_id: u16, reserved u16;
    }
}

message! {
    /// Call-Disconnect-Notify (RFC 2637 §2.13): a call has ended.
    pub struct CallDisconnectNotify {
        /// The sender's own call id.
        pub call_id: u16;
        /// 1 lost carrier, 2 general error, 3 administrative, 4 on request; 0 from Windows.
        pub result: u8;
        /// General error code, with result 2.
        pub error: u8;
        /// Q.931 cause; nothing here.
        pub cause: u16, reserved u16;
        /// Text about the call.
        pub statistics: Statistics;
    }
}

/// The 128 bytes of call statistics, which nobody fills.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Statistics(pub [u8; 128]);

impl Default for Statistics {
    fn default() -> Self {
        Self([0; 128])
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Statistics")
    }
}
