//! Messages about the line below a call (RFC 2637 §2.14, §2.15).

use super::field::{Reader, Writer};
use crate::Malformed;

/// WAN-Error-Notify (RFC 2637 §2.14): counters of a real line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WanErrorNotify {
    /// The receiver's call id.
    pub peer_call_id: u16,
    /// PPP frames with a wrong check sum.
    pub crc_errors: u32,
    /// Improperly framed packets.
    pub framing_errors: u32,
    /// Receive buffer overruns in hardware.
    pub hardware_overruns: u32,
    /// Receive buffer overruns in software.
    pub buffer_overruns: u32,
    /// Time-outs.
    pub time_out_errors: u32,
    /// Alignment errors.
    pub alignment_errors: u32,
}

impl WanErrorNotify {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let peer_call_id = reader.u16();
        reader.u16();
        let crc_errors = reader.u32();
        let framing_errors = reader.u32();
        let hardware_overruns = reader.u32();
        let buffer_overruns = reader.u32();
        let time_out_errors = reader.u32();
        let alignment_errors = reader.u32();
        reader.finish(Self {
            peer_call_id,
            crc_errors,
            framing_errors,
            hardware_overruns,
            buffer_overruns,
            time_out_errors,
            alignment_errors,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.peer_call_id)
            .u16(0)
            .u32(self.crc_errors)
            .u32(self.framing_errors)
            .u32(self.hardware_overruns)
            .u32(self.buffer_overruns)
            .u32(self.time_out_errors)
            .u32(self.alignment_errors);
    }
}

/// Set-Link-Info (RFC 2637 §2.15): the client's PPP options, which mean nothing over GRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLinkInfo {
    /// The receiver's call id.
    pub peer_call_id: u16,
    /// Control characters that the sender escapes.
    pub send_accm: u32,
    /// Control characters that it wants escaped.
    pub receive_accm: u32,
}

impl SetLinkInfo {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let peer_call_id = reader.u16();
        reader.u16();
        let send_accm = reader.u32();
        let receive_accm = reader.u32();
        reader.finish(Self { peer_call_id, send_accm, receive_accm })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u16(self.peer_call_id).u16(0).u32(self.send_accm).u32(self.receive_accm);
    }
}
