//! Messages of calls from the server to the client, which no VPN uses (RFC 2637 §2.9–§2.11).

use super::Name;
use super::field::message;

message! {
    /// Incoming-Call-Request (RFC 2637 §2.9).
    pub struct IncomingCallRequest {
        /// The sender's call id.
        pub call_id: u16;
        /// Call serial number.
        pub serial: u16;
        /// 1 analogue, 2 digital.
        pub bearer: u32;
        /// For the sender's own use.
        pub physical_channel: u32;
        /// Digits in the dialed number.
        pub dialed_number_len: u16;
        /// Digits in the dialing number.
        pub dialing_number_len: u16;
        /// Who was called.
        pub dialed_number: Name;
        /// Who called.
        pub dialing_number: Name;
        /// More about who was called.
        pub sub_address: Name;
    }
}

message! {
    /// Incoming-Call-Reply (RFC 2637 §2.10).
    pub struct IncomingCallReply {
        /// The sender's call id.
        pub call_id: u16;
        /// The other end's call id.
        pub peer_call_id: u16;
        /// 1 connect, 2 general error, 3 not accepted.
        pub result: u8;
        /// General error code, with result 2.
        pub error: u8;
        /// Packets that the sender buffers.
        pub receive_window: u16;
        /// In tenths of a second.
        pub processing_delay: u16, reserved u16;
    }
}

message! {
    /// Incoming-Call-Connected (RFC 2637 §2.11).
    pub struct IncomingCallConnected {
        /// The receiver's call id.
        pub peer_call_id: u16, reserved u16;
        /// Line speed, in bits a second.
        pub connect_speed: u32;
        /// Packets that the sender buffers.
        pub receive_window: u16;
        /// In tenths of a second.
        pub processing_delay: u16;
        /// 1 asynchronous, 2 synchronous.
        pub framing: u32;
    }
}
