//! The messages themselves.
//!
//! Fields are named as in RFC 2637 §2 and kept as numbers; what a peer may put there beyond the RFC is kept too.

use core::fmt;
use core::ops::Deref;

use super::field::{Reader, Writer};
use super::{HEADER_LEN, MAX_MESSAGE_LEN, Name, frame_len};
use crate::Malformed;

/// The bytes of one message, to be sent with one write: macOS reads the header with a single `read`.
#[derive(Clone)]
pub struct Encoded {
    bytes: [u8; MAX_MESSAGE_LEN],
    len: usize,
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Message::parse(self) {
            Ok(message) => write!(f, "Encoded({message})"),
            Err(_) => f.write_str("Encoded(?)"),
        }
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

/// A message of a type that RFC 2637 does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The control message type.
    pub kind: u16,
}

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

/// Stop-Control-Connection-Request (RFC 2637 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// 1 none, 2 protocol version, 3 local shutdown.
    pub reason: u8,
}

/// Stop-Control-Connection-Reply (RFC 2637 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopReply {
    /// 1 closed, 2 general error.
    pub result: u8,
    /// General error code, with result 2.
    pub error: u8,
}

/// Echo-Request (RFC 2637 §2.5): are you there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoRequest {
    /// Matches the reply.
    pub identifier: u32,
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

/// Call-Clear-Request (RFC 2637 §2.12): the client wants a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallClearRequest {
    /// The sender's own call id.
    pub call_id: u16,
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

/// A control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum Message {
    StartRequest(StartRequest),
    StartReply(StartReply),
    StopRequest(StopRequest),
    StopReply(StopReply),
    EchoRequest(EchoRequest),
    EchoReply(EchoReply),
    OutgoingCallRequest(OutgoingCallRequest),
    OutgoingCallReply(OutgoingCallReply),
    IncomingCallRequest(IncomingCallRequest),
    IncomingCallReply(IncomingCallReply),
    IncomingCallConnected(IncomingCallConnected),
    CallClearRequest(CallClearRequest),
    CallDisconnectNotify(CallDisconnectNotify),
    WanErrorNotify(WanErrorNotify),
    SetLinkInfo(SetLinkInfo),
    Unknown(Unknown),
}

impl Message {
    /// Reads one whole message. Reserved fields are not looked at, and bytes beyond what the type needs are left out: some peers
    /// state a length that is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(length) = frame_len(bytes)? else {
            return Err(Malformed { what: "control message is cut off", at: bytes.len() });
        };
        let kind = u16::from_be_bytes([bytes[8], bytes[9]]);
        let reader = Reader::new(&bytes[HEADER_LEN..length]);
        match kind {
            1 => StartRequest::read(reader).map(Self::StartRequest),
            2 => StartReply::read(reader).map(Self::StartReply),
            3 => StopRequest::read(reader).map(Self::StopRequest),
            4 => StopReply::read(reader).map(Self::StopReply),
            5 => EchoRequest::read(reader).map(Self::EchoRequest),
            6 => EchoReply::read(reader).map(Self::EchoReply),
            7 => OutgoingCallRequest::read(reader).map(Self::OutgoingCallRequest),
            8 => OutgoingCallReply::read(reader).map(Self::OutgoingCallReply),
            9 => IncomingCallRequest::read(reader).map(Self::IncomingCallRequest),
            10 => IncomingCallReply::read(reader).map(Self::IncomingCallReply),
            11 => IncomingCallConnected::read(reader).map(Self::IncomingCallConnected),
            12 => CallClearRequest::read(reader).map(Self::CallClearRequest),
            13 => CallDisconnectNotify::read(reader).map(Self::CallDisconnectNotify),
            14 => WanErrorNotify::read(reader).map(Self::WanErrorNotify),
            15 => SetLinkInfo::read(reader).map(Self::SetLinkInfo),
            kind => Ok(Self::Unknown(Unknown { kind })),
        }
    }

    /// Writes the message.
    pub fn emit(&self) -> Encoded {
        let mut writer = Writer::new(self.kind());
        match self {
            Self::StartRequest(message) => message.write(&mut writer),
            Self::StartReply(message) => message.write(&mut writer),
            Self::StopRequest(message) => message.write(&mut writer),
            Self::StopReply(message) => message.write(&mut writer),
            Self::EchoRequest(message) => message.write(&mut writer),
            Self::EchoReply(message) => message.write(&mut writer),
            Self::OutgoingCallRequest(message) => message.write(&mut writer),
            Self::OutgoingCallReply(message) => message.write(&mut writer),
            Self::IncomingCallRequest(message) => message.write(&mut writer),
            Self::IncomingCallReply(message) => message.write(&mut writer),
            Self::IncomingCallConnected(message) => message.write(&mut writer),
            Self::CallClearRequest(message) => message.write(&mut writer),
            Self::CallDisconnectNotify(message) => message.write(&mut writer),
            Self::WanErrorNotify(message) => message.write(&mut writer),
            Self::SetLinkInfo(message) => message.write(&mut writer),
            Self::Unknown(_) => {}
        }
        writer.finish();
        Encoded { bytes: writer.bytes, len: writer.len }
    }

    /// The control message type.
    pub fn kind(&self) -> u16 {
        match self {
            Self::StartRequest(_) => 1,
            Self::StartReply(_) => 2,
            Self::StopRequest(_) => 3,
            Self::StopReply(_) => 4,
            Self::EchoRequest(_) => 5,
            Self::EchoReply(_) => 6,
            Self::OutgoingCallRequest(_) => 7,
            Self::OutgoingCallReply(_) => 8,
            Self::IncomingCallRequest(_) => 9,
            Self::IncomingCallReply(_) => 10,
            Self::IncomingCallConnected(_) => 11,
            Self::CallClearRequest(_) => 12,
            Self::CallDisconnectNotify(_) => 13,
            Self::WanErrorNotify(_) => 14,
            Self::SetLinkInfo(_) => 15,
            Self::Unknown(unknown) => unknown.kind,
        }
    }

    /// The name that RFC 2637 gives the message.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StartRequest(_) => "Start-Control-Connection-Request",
            Self::StartReply(_) => "Start-Control-Connection-Reply",
            Self::StopRequest(_) => "Stop-Control-Connection-Request",
            Self::StopReply(_) => "Stop-Control-Connection-Reply",
            Self::EchoRequest(_) => "Echo-Request",
            Self::EchoReply(_) => "Echo-Reply",
            Self::OutgoingCallRequest(_) => "Outgoing-Call-Request",
            Self::OutgoingCallReply(_) => "Outgoing-Call-Reply",
            Self::IncomingCallRequest(_) => "Incoming-Call-Request",
            Self::IncomingCallReply(_) => "Incoming-Call-Reply",
            Self::IncomingCallConnected(_) => "Incoming-Call-Connected",
            Self::CallClearRequest(_) => "Call-Clear-Request",
            Self::CallDisconnectNotify(_) => "Call-Disconnect-Notify",
            Self::WanErrorNotify(_) => "WAN-Error-Notify",
            Self::SetLinkInfo(_) => "Set-Link-Info",
            Self::Unknown(_) => "unknown message",
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::StartRequest(m) => write!(
                f,
                " version={:#06x} framing={} bearer={} max_channels={} firmware={} host_name=\"{}\" vendor=\"{}\"",
                m.version, m.framing, m.bearer, m.max_channels, m.firmware, m.host_name, m.vendor
            ),
            Self::StartReply(m) => write!(
                f,
                " version={:#06x} result={} error={} framing={} bearer={} max_channels={} firmware={} host_name=\"{}\" vendor=\"{}\"",
                m.version,
                m.result,
                m.error,
                m.framing,
                m.bearer,
                m.max_channels,
                m.firmware,
                m.host_name,
                m.vendor
            ),
            Self::StopRequest(m) => write!(f, " reason={}", m.reason),
            Self::StopReply(m) => write!(f, " result={} error={}", m.result, m.error),
            Self::EchoRequest(m) => write!(f, " identifier={}", m.identifier),
            Self::EchoReply(m) => {
                write!(f, " identifier={} result={} error={}", m.identifier, m.result, m.error)
            }
            Self::OutgoingCallRequest(m) => write!(
                f,
                " call_id={} serial={} minimum_bps={} maximum_bps={} bearer={} framing={} receive_window={}",
                m.call_id,
                m.serial,
                m.minimum_bps,
                m.maximum_bps,
                m.bearer,
                m.framing,
                m.receive_window
            ),
            Self::OutgoingCallReply(m) => write!(
                f,
                " call_id={} peer_call_id={} result={} error={} connect_speed={} receive_window={}",
                m.call_id, m.peer_call_id, m.result, m.error, m.connect_speed, m.receive_window
            ),
            Self::IncomingCallRequest(m) => {
                write!(f, " call_id={} serial={} bearer={}", m.call_id, m.serial, m.bearer)
            }
            Self::IncomingCallReply(m) => write!(
                f,
                " call_id={} peer_call_id={} result={} error={} receive_window={}",
                m.call_id, m.peer_call_id, m.result, m.error, m.receive_window
            ),
            Self::IncomingCallConnected(m) => write!(
                f,
                " peer_call_id={} connect_speed={} receive_window={} framing={}",
                m.peer_call_id, m.connect_speed, m.receive_window, m.framing
            ),
            Self::CallClearRequest(m) => write!(f, " call_id={}", m.call_id),
            Self::CallDisconnectNotify(m) => {
                write!(f, " call_id={} result={} error={}", m.call_id, m.result, m.error)
            }
            Self::WanErrorNotify(m) => write!(
                f,
                " peer_call_id={} crc_errors={} framing_errors={} hardware_overruns={} buffer_overruns={} time_out_errors={} alignment_errors={}",
                m.peer_call_id,
                m.crc_errors,
                m.framing_errors,
                m.hardware_overruns,
                m.buffer_overruns,
                m.time_out_errors,
                m.alignment_errors
            ),
            Self::SetLinkInfo(m) => write!(
                f,
                " peer_call_id={} send_accm={:#010x} receive_accm={:#010x}",
                m.peer_call_id, m.send_accm, m.receive_accm
            ),
            Self::Unknown(m) => write!(f, " type={}", m.kind),
        }
    }
}

impl StartRequest {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
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

impl StartReply {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
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

impl StopRequest {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let reason = reader.u8();
        reader.u8();
        reader.u16();
        reader.finish(Self { reason })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.reason).u8(0).u16(0);
    }
}

impl StopReply {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let result = reader.u8();
        let error = reader.u8();
        reader.u16();
        reader.finish(Self { result, error })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.result).u8(self.error).u16(0);
    }
}

impl EchoRequest {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let identifier = reader.u32();
        reader.finish(Self { identifier })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(self.identifier);
    }
}

impl EchoReply {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let identifier = reader.u32();
        let result = reader.u8();
        let error = reader.u8();
        reader.u16();
        reader.finish(Self { identifier, result, error })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(self.identifier).u8(self.result).u8(self.error).u16(0);
    }
}

impl OutgoingCallRequest {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
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

impl OutgoingCallReply {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
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

impl IncomingCallRequest {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
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

impl IncomingCallReply {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
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

impl IncomingCallConnected {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.peer_call_id)
            .u16(0)
            .u32(self.connect_speed)
            .u16(self.receive_window)
            .u16(self.processing_delay)
            .u32(self.framing);
    }
}

impl CallClearRequest {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        reader.u16();
        reader.finish(Self { call_id })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(self.call_id).u16(0);
    }
}

impl CallDisconnectNotify {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let call_id = reader.u16();
        let result = reader.u8();
        let error = reader.u8();
        let cause = reader.u16();
        reader.u16();
        let statistics = Statistics(reader.bytes());
        reader.finish(Self { call_id, result, error, cause, statistics })
    }

    fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.call_id)
            .u8(self.result)
            .u8(self.error)
            .u16(self.cause)
            .u16(0)
            .bytes(&self.statistics.0);
    }
}

impl WanErrorNotify {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
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

    fn write(&self, writer: &mut Writer) {
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

impl SetLinkInfo {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let peer_call_id = reader.u16();
        reader.u16();
        let send_accm = reader.u32();
        let receive_accm = reader.u32();
        reader.finish(Self { peer_call_id, send_accm, receive_accm })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(self.peer_call_id).u16(0).u32(self.send_accm).u32(self.receive_accm);
    }
}
