//! Messages about the control connection itself (RFC 2637 §2.1–§2.6).

use super::Name;
use super::field::message;

message! {
    /// Start-Control-Connection-Request (RFC 2637 §2.1): the client opens the control connection.
    pub struct StartRequest {
        /// Protocol version, 0x0100.
        pub version: u16, reserved u16;
        /// Framing capabilities: bit 0 asynchronous, bit 1 synchronous.
        pub framing: u32;
        /// Bearer capabilities: bit 0 analogue, bit 1 digital.
        pub bearer: u32;
        /// The most sessions that the sender supports; 0 from a client.
        pub max_channels: u16;
        /// Firmware revision; the build number with older Windows.
        pub firmware: u16;
        /// The sender's host name.
        pub host_name: Name;
        /// The maker of the sender's software.
        pub vendor: Name;
    }
}

message! {
    /// Start-Control-Connection-Reply (RFC 2637 §2.2).
    pub struct StartReply {
        /// Protocol version, 0x0100.
        pub version: u16;
        /// 1 success, 2 general error, 3 already started, 4 not authorised, 5 version not supported.
        pub result: u8;
        /// General error code (RFC 2637 §2.16), with result 2.
        pub error: u8;
        /// Framing capabilities: bit 0 asynchronous, bit 1 synchronous.
        pub framing: u32;
        /// Bearer capabilities: bit 0 analogue, bit 1 digital.
        pub bearer: u32;
        /// The most sessions that the server supports.
        pub max_channels: u16;
        /// Firmware revision.
        pub firmware: u16;
        /// The sender's host name.
        pub host_name: Name;
        /// The maker of the sender's software.
        pub vendor: Name;
    }
}

message! {
    /// Stop-Control-Connection-Request (RFC 2637 §2.3).
    pub struct StopRequest {
        /// 1 none, 2 protocol version, 3 local shutdown.
        pub reason: u8, reserved u8, reserved u16;
    }
}

message! {
    /// Stop-Control-Connection-Reply (RFC 2637 §2.4).
    pub struct StopReply {
        /// 1 closed, 2 general error.
        pub result: u8;
        /// General error code, with result 2.
        pub error: u8, reserved u16;
    }
}

message! {
    /// Echo-Request (RFC 2637 §2.5): are you there?
    pub struct EchoRequest {
        /// Matches the reply.
        pub identifier: u32;
    }
}

message! {
    /// Echo-Reply (RFC 2637 §2.6).
    pub struct EchoReply {
        /// The request's identifier.
        pub identifier: u32;
        /// 1 success, 2 general error.
        pub result: u8;
        /// General error code, with result 2.
        pub error: u8, reserved u16;
    }
}
