//! Messages about the control connection itself (RFC 2637 §2.1–§2.6).

use super::Name;
use super::field::{Reader, Writer};
use crate::Malformed;

/// Start-Control-Connection-Request (RFC 2637 §2.1): the client opens the control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// Protocol version, 0x0100.
    pub version: u16,
    /// Framing capabilities: bit 0 asynchronous, bit 1 synchronous.
    pub framing: u32,
    /// Bearer capabilities: bit 0 analogue, bit 1 digital.
    pub bearer: u32,
    /// The most sessions that the sender supports; 0 from a client.
    pub max_channels: u16,
    /// Firmware revision; the build number with older Windows.
    pub firmware: u16,
    /// The sender's host name.
    pub host_name: Name,
    /// The maker of the sender's software.
    pub vendor: Name,
}

impl StartRequest {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let version = reader.u16();
        reader.u16();
        let framing = reader.u32();
        let bearer = reader.u32();
        let max_channels = reader.u16();
        let firmware = reader.u16();
        let host_name = reader.name();
        let vendor = reader.name();
        reader.finish(Self { version, framing, bearer, max_channels, firmware, host_name, vendor })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.version)
            .u16(0)
            .u32(self.framing)
            .u32(self.bearer)
            .u16(self.max_channels)
            .u16(self.firmware)
            .bytes(&self.host_name.0)
            .bytes(&self.vendor.0);
    }
}

/// Start-Control-Connection-Reply (RFC 2637 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartReply {
    /// Protocol version, 0x0100.
    pub version: u16,
    /// 1 success, 2 general error, 3 already started, 4 not authorised, 5 version not supported.
    pub result: u8,
    /// General error code (RFC 2637 §2.16), with result 2.
    pub error: u8,
    /// Framing capabilities: bit 0 asynchronous, bit 1 synchronous.
    pub framing: u32,
    /// Bearer capabilities: bit 0 analogue, bit 1 digital.
    pub bearer: u32,
    /// The most sessions that the server supports.
    pub max_channels: u16,
    /// Firmware revision.
    pub firmware: u16,
    /// The sender's host name.
    pub host_name: Name,
    /// The maker of the sender's software.
    pub vendor: Name,
}

impl StartReply {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let version = reader.u16();
        let result = reader.u8();
        let error = reader.u8();
        let framing = reader.u32();
        let bearer = reader.u32();
        let max_channels = reader.u16();
        let firmware = reader.u16();
        let host_name = reader.name();
        let vendor = reader.name();
        reader.finish(Self {
            version,
            result,
            error,
            framing,
            bearer,
            max_channels,
            firmware,
            host_name,
            vendor,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.version)
            .u8(self.result)
            .u8(self.error)
            .u32(self.framing)
            .u32(self.bearer)
            .u16(self.max_channels)
            .u16(self.firmware)
            .bytes(&self.host_name.0)
            .bytes(&self.vendor.0);
    }
}

/// Stop-Control-Connection-Request (RFC 2637 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// 1 none, 2 protocol version, 3 local shutdown.
    pub reason: u8,
}

impl StopRequest {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let reason = reader.u8();
        reader.u8();
        reader.u16();
        reader.finish(Self { reason })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u8(self.reason).u8(0).u16(0);
    }
}

/// Stop-Control-Connection-Reply (RFC 2637 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopReply {
    /// 1 closed, 2 general error.
    pub result: u8,
    /// General error code, with result 2.
    pub error: u8,
}

impl StopReply {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let result = reader.u8();
        let error = reader.u8();
        reader.u16();
        reader.finish(Self { result, error })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u8(self.result).u8(self.error).u16(0);
    }
}

/// Echo-Request (RFC 2637 §2.5): are you there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoRequest {
    /// Matches the reply.
    pub identifier: u32,
}

impl EchoRequest {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let identifier = reader.u32();
        reader.finish(Self { identifier })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u32(self.identifier);
    }
}

/// Echo-Reply (RFC 2637 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// The request's identifier.
    pub identifier: u32,
    /// 1 success, 2 general error.
    pub result: u8,
    /// General error code, with result 2.
    pub error: u8,
}

impl EchoReply {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let identifier = reader.u32();
        let result = reader.u8();
        let error = reader.u8();
        reader.u16();
        reader.finish(Self { identifier, result, error })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u32(self.identifier).u8(self.result).u8(self.error).u16(0);
    }
}
