//! Messages about the line below a call (RFC 2637 §2.14, §2.15).

use super::field::message;

message! {
    /// WAN-Error-Notify (RFC 2637 §2.14): counters of a real line.
    pub struct WanErrorNotify {
        /// The receiver's call id.
        pub peer_call_id: u16, reserved u16;
        /// PPP frames with a wrong check sum.
        pub crc_errors: u32;
        /// Improperly framed packets.
        pub framing_errors: u32;
        /// Receive buffer overruns in hardware.
        pub hardware_overruns: u32;
        /// Receive buffer overruns in software.
        pub buffer_overruns: u32;
        /// Time-outs.
        pub time_out_errors: u32;
        /// Alignment errors.
        pub alignment_errors: u32;
    }
}

message! {
    /// Set-Link-Info (RFC 2637 §2.15): the client's PPP options, which mean nothing over GRE.
    pub struct SetLinkInfo {
        /// The receiver's call id.
        pub peer_call_id: u16, reserved u16;
        /// Control characters that the sender escapes.
        pub send_accm: u32;
        /// Control characters that it wants escaped.
        pub receive_accm: u32;
    }
}
