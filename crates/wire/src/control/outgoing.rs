//! Messages that begin and end a call, the way all VPN clients do it (RFC 2637 §2.7, §2.8, §2.12, §2.13).

use core::fmt;

use super::Name;
use super::field::{Reader, Writer};
use crate::Malformed;

/// Outgoing-Call-Request (RFC 2637 §2.7): the client wants a call, which is what a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingCallRequest {
    /// The client's call id: our GRE packets carry it. 0 is legal.
    pub call_id: u16,
    /// Call serial number, for logs.
    pub serial: u16,
    /// Lowest line speed, in bits a second.
    pub minimum_bps: u32,
    /// Highest line speed, in bits a second.
    pub maximum_bps: u32,
    /// 1 analogue, 2 digital, 3 any.
    pub bearer: u32,
    /// 1 asynchronous, 2 synchronous, 3 either.
    pub framing: u32,
    /// Packets that the client buffers.
    pub receive_window: u16,
    /// In tenths of a second.
    pub processing_delay: u16,
    /// Digits in the phone number.
    pub phone_number_len: u16,
    /// Nothing, with a VPN.
    pub phone_number: Name,
    /// Nothing, or a correlation GUID with newer Windows.
    pub sub_address: Name,
}

impl OutgoingCallRequest {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        let serial = reader.u16();
        let minimum_bps = reader.u32();
        let maximum_bps = reader.u32();
        let bearer = reader.u32();
        let framing = reader.u32();
        let receive_window = reader.u16();
        let processing_delay = reader.u16();
        let phone_number_len = reader.u16();
        reader.u16();
        let phone_number = reader.name();
        let sub_address = reader.name();
        reader.finish(Self {
            call_id,
            serial,
            minimum_bps,
            maximum_bps,
            bearer,
            framing,
            receive_window,
            processing_delay,
            phone_number_len,
            phone_number,
            sub_address,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.call_id)
            .u16(self.serial)
            .u32(self.minimum_bps)
            .u32(self.maximum_bps)
            .u32(self.bearer)
            .u32(self.framing)
            .u16(self.receive_window)
            .u16(self.processing_delay)
            .u16(self.phone_number_len)
            .u16(0)
            .bytes(&self.phone_number.0)
            .bytes(&self.sub_address.0);
    }
}

/// Outgoing-Call-Reply (RFC 2637 §2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingCallReply {
    /// The server's call id: the client's GRE packets carry it.
    pub call_id: u16,
    /// The client's call id.
    pub peer_call_id: u16,
    /// 1 connected, 2 general error, 3 no carrier, 4 busy, 5 no dial tone, 6 time-out, 7 not accepted.
    pub result: u8,
    /// General error code, with result 2.
    pub error: u8,
    /// Q.931 cause; nothing here.
    pub cause: u16,
    /// Line speed, in bits a second; RRAS swaps its bytes.
    pub connect_speed: u32,
    /// Packets that the server buffers.
    pub receive_window: u16,
    /// In tenths of a second.
    pub processing_delay: u16,
    /// For the server's own use.
    pub physical_channel: u32,
}

impl OutgoingCallReply {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        let peer_call_id = reader.u16();
        let result = reader.u8();
        let error = reader.u8();
        let cause = reader.u16();
        let connect_speed = reader.u32();
        let receive_window = reader.u16();
        let processing_delay = reader.u16();
        let physical_channel = reader.u32();
        reader.finish(Self {
            call_id,
            peer_call_id,
            result,
            error,
            cause,
            connect_speed,
            receive_window,
            processing_delay,
            physical_channel,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.call_id)
            .u16(self.peer_call_id)
            .u8(self.result)
            .u8(self.error)
            .u16(self.cause)
            .u32(self.connect_speed)
            .u16(self.receive_window)
            .u16(self.processing_delay)
            .u32(self.physical_channel);
    }
}

/// Call-Clear-Request (RFC 2637 §2.12): the client wants a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallClearRequest {
    /// The sender's own call id.
    pub call_id: u16,
}

impl CallClearRequest {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        reader.u16();
        reader.finish(Self { call_id })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u16(self.call_id).u16(0);
    }
}

/// Call-Disconnect-Notify (RFC 2637 §2.13): a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDisconnectNotify {
    /// The sender's own call id.
    pub call_id: u16,
    /// 1 lost carrier, 2 general error, 3 administrative, 4 on request; 0 from Windows.
    pub result: u8,
    /// General error code, with result 2.
    pub error: u8,
    /// Q.931 cause; nothing here.
    pub cause: u16,
    /// Text about the call.
    pub statistics: Statistics,
}

impl CallDisconnectNotify {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        let result = reader.u8();
        let error = reader.u8();
        let cause = reader.u16();
        reader.u16();
        let statistics = Statistics(reader.bytes());
        reader.finish(Self { call_id, result, error, cause, statistics })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.call_id)
            .u8(self.result)
            .u8(self.error)
            .u16(self.cause)
            .u16(0)
            .bytes(&self.statistics.0);
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
