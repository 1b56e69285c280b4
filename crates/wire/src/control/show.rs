//! Control messages on one line.

use core::fmt;

use super::Message;

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
