//! The client's part of the control connection.

use wire::control::{self, Message, Name};

use super::calls::{Call, Stage};
use super::connection::{Connection, NoSuchCall, RESULT_OK, State, VERSION};
use super::{CallEnd, Cause, Event, Peer, Trouble};
use crate::Instant;

/// What Windows states in its Outgoing-Call-Request: bits a second, any bearer, any framing.
const MINIMUM_BPS: u32 = 300;
const MAXIMUM_BPS: u32 = 100_000_000;
const ANY_BEARER: u32 = 3;
const ANY_FRAMING: u32 = 3;

/// Every control character may need escaping: what a Windows client says as soon as a call is up.
const ALL_ESCAPED: u32 = 0xffff_ffff;

impl Connection {
    /// Asks the server for a call, at once or as soon as the connection is established. Its end, if it fails, is an event.
    ///
    /// # Errors
    ///
    /// [`NoSuchCall`] when the id is in use here or the connection is over.
    pub fn place_call(&mut self, now: Instant, our_call_id: u16) -> Result<(), NoSuchCall> {
        if self.calls.by_ours(our_call_id).is_some() {
            return Err(NoSuchCall);
        }
        match self.state {
            State::Starting { .. } | State::Established => {}
            State::Stopping { .. } | State::Closed => return Err(NoSuchCall),
        }
        self.calls.add(Call {
            ours: Some(our_call_id),
            peers: None,
            window: 0,
            stage: Stage::Waiting,
        });
        if self.state == State::Established {
            self.place_waiting_calls(now);
        }
        Ok(())
    }

    /// Asks the server to end a call (Call-Clear-Request). [`Event::CallEnded`] comes with its Call-Disconnect-Notify, or when that stays
    /// away.
    ///
    /// # Errors
    ///
    /// [`NoSuchCall`] when it has ended already.
    pub fn clear_call(&mut self, now: Instant, our_call_id: u16) -> Result<(), NoSuchCall> {
        let until = now + self.config.stop_timeout;
        let call = self.calls.by_ours(our_call_id).ok_or(NoSuchCall)?;
        match call.stage {
            Stage::Clearing { .. } => return Ok(()),
            Stage::Waiting => {
                let call = *call;
                self.calls.take(|other| *other == call);
                self.call_ended(now, call, CallEnd::ClearedByUs);
                return Ok(());
            }
            Stage::Requested { .. } | Stage::Placed { .. } | Stage::Connected => {}
        }
        call.stage = Stage::Clearing { until };
        self.send(Message::CallClearRequest(control::CallClearRequest { call_id: our_call_id }));
        Ok(())
    }

    pub(super) fn send_start_request(&mut self) {
        self.send(Message::StartRequest(control::StartRequest {
            version: VERSION,
            framing: self.config.framing,
            bearer: self.config.bearer,
            max_channels: 0,
            firmware: self.config.firmware,
            host_name: self.config.host_name,
            vendor: self.config.vendor,
        }));
    }

    /// Result 1 is the RFC's yes; some servers say 0, and Android takes both.
    pub(super) fn start_reply(&mut self, now: Instant, reply: control::StartReply) {
        if reply.result > RESULT_OK {
            let (result, error) = (reply.result, reply.error);
            return self.close(now, Cause::StartRefused { result, error });
        }
        if !Self::speaks(reply.version) {
            return self.close(now, Cause::VersionNotSupported(reply.version));
        }
        self.established(
            now,
            Peer {
                host_name: reply.host_name,
                vendor: reply.vendor,
                firmware: reply.firmware,
                framing: reply.framing,
                bearer: reply.bearer,
                max_channels: reply.max_channels,
            },
        );
        self.place_waiting_calls(now);
    }

    pub(super) fn outgoing_call_reply(&mut self, now: Instant, reply: &control::OutgoingCallReply) {
        let ours = reply.peer_call_id;
        let accepted = reply.result == RESULT_OK;
        match self.calls.by_ours(ours).map(|call| call.stage) {
            Some(Stage::Placed { .. }) if accepted => self.call_accepted(reply),
            // Cleared while it was being placed: its Call-Disconnect-Notify is still to come.
            Some(Stage::Clearing { .. }) if accepted => {
                if let Some(call) = self.calls.by_ours(ours) {
                    call.peers = Some(reply.call_id);
                }
            }
            Some(Stage::Placed { .. } | Stage::Clearing { .. }) => {
                self.calls.take(|call| call.ours == Some(ours));
                self.without_call(now);
                let (result, error) = (reply.result, reply.error);
                self.event(Event::CallRefused { our_call_id: ours, result, error });
            }
            _ => self.ignore(Trouble::Unexpected),
        }
    }

    fn call_accepted(&mut self, reply: &control::OutgoingCallReply) {
        let Some(call) = self.calls.by_ours(reply.peer_call_id) else { return };
        call.peers = Some(reply.call_id);
        call.window = reply.receive_window;
        call.stage = Stage::Connected;
        let call = *call;
        self.call_connected(call, reply.connect_speed);
        self.send(Message::SetLinkInfo(control::SetLinkInfo {
            peer_call_id: reply.call_id,
            send_accm: ALL_ESCAPED,
            receive_accm: ALL_ESCAPED,
        }));
    }

    pub(super) fn expire_calls(&mut self, now: Instant) {
        let expired = |call: &Call| matches!(call.stage, Stage::Placed { until } | Stage::Clearing { until } if until <= now);
        while let Some(call) = self.calls.take(expired) {
            let reason = match call.stage {
                Stage::Clearing { .. } => CallEnd::ClearedByUs,
                _ => CallEnd::NoAnswer,
            };
            self.call_ended(now, call, reason);
        }
    }

    fn place_waiting_calls(&mut self, now: Instant) {
        let until = now + self.config.call_timeout;
        let mut waiting = alloc::vec::Vec::new();
        for call in self.calls.iter_mut().filter(|call| call.stage == Stage::Waiting) {
            call.stage = Stage::Placed { until };
            waiting.extend(call.ours);
        }
        for call_id in waiting {
            self.last_serial = self.last_serial.wrapping_add(1);
            self.send(Message::OutgoingCallRequest(control::OutgoingCallRequest {
                call_id,
                serial: self.last_serial,
                minimum_bps: MINIMUM_BPS,
                maximum_bps: MAXIMUM_BPS,
                bearer: ANY_BEARER,
                framing: ANY_FRAMING,
                receive_window: self.config.receive_window,
                processing_delay: 0,
                phone_number_len: 0,
                phone_number: Name::new(b""),
                sub_address: Name::new(b""),
            }));
        }
    }
}
