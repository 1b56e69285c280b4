//! Messages of calls from the server to the client, which no VPN uses (RFC 2637 §2.9–§2.11).

use super::Name;
use super::field::{Reader, Writer};
use crate::Malformed;

/// Incoming-Call-Request (RFC 2637 §2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncomingCallRequest {
    /// The sender's call id.
    pub call_id: u16,
    /// Call serial number.
    pub serial: u16,
    /// 1 analogue, 2 digital.
    pub bearer: u32,
    /// For the sender's own use.
    pub physical_channel: u32,
    /// Digits in the dialed number.
    pub dialed_number_len: u16,
    /// Digits in the dialing number.
    pub dialing_number_len: u16,
    /// Who was called.
    pub dialed_number: Name,
    /// Who called.
    pub dialing_number: Name,
    /// More about who was called.
    pub sub_address: Name,
}

impl IncomingCallRequest {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        let serial = reader.u16();
        let bearer = reader.u32();
        let physical_channel = reader.u32();
        let dialed_number_len = reader.u16();
        let dialing_number_len = reader.u16();
        let dialed_number = reader.name();
        let dialing_number = reader.name();
        let sub_address = reader.name();
        reader.finish(Self {
            call_id,
            serial,
            bearer,
            physical_channel,
            dialed_number_len,
            dialing_number_len,
            dialed_number,
            dialing_number,
            sub_address,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.call_id)
            .u16(self.serial)
            .u32(self.bearer)
            .u32(self.physical_channel)
            .u16(self.dialed_number_len)
            .u16(self.dialing_number_len)
            .bytes(&self.dialed_number.0)
            .bytes(&self.dialing_number.0)
            .bytes(&self.sub_address.0);
    }
}

/// Incoming-Call-Reply (RFC 2637 §2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncomingCallReply {
    /// The sender's call id.
    pub call_id: u16,
    /// The other end's call id.
    pub peer_call_id: u16,
    /// 1 connect, 2 general error, 3 not accepted.
    pub result: u8,
    /// General error code, with result 2.
    pub error: u8,
    /// Packets that the sender buffers.
    pub receive_window: u16,
    /// In tenths of a second.
    pub processing_delay: u16,
}

impl IncomingCallReply {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        let peer_call_id = reader.u16();
        let result = reader.u8();
        let error = reader.u8();
        let receive_window = reader.u16();
        let processing_delay = reader.u16();
        reader.u16();
        reader.finish(Self {
            call_id,
            peer_call_id,
            result,
            error,
            receive_window,
            processing_delay,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.call_id)
            .u16(self.peer_call_id)
            .u8(self.result)
            .u8(self.error)
            .u16(self.receive_window)
            .u16(self.processing_delay)
            .u16(0);
    }
}

/// Incoming-Call-Connected (RFC 2637 §2.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncomingCallConnected {
    /// The receiver's call id.
    pub peer_call_id: u16,
    /// Line speed, in bits a second.
    pub connect_speed: u32,
    /// Packets that the sender buffers.
    pub receive_window: u16,
    /// In tenths of a second.
    pub processing_delay: u16,
    /// 1 asynchronous, 2 synchronous.
    pub framing: u32,
}

impl IncomingCallConnected {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let peer_call_id = reader.u16();
        reader.u16();
        let connect_speed = reader.u32();
        let receive_window = reader.u16();
        let processing_delay = reader.u16();
        let framing = reader.u32();
        reader.finish(Self {
            peer_call_id,
            connect_speed,
            receive_window,
            processing_delay,
            framing,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.peer_call_id)
            .u16(0)
            .u32(self.connect_speed)
            .u16(self.receive_window)
            .u16(self.processing_delay)
            .u32(self.framing);
    }
}
