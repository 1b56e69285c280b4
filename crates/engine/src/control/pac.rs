//! The server's part of the control connection.

use wire::control::{self, Message};

use super::calls::{Call, Stage};
use super::connection::{Connection, NoSuchCall, RESULT_OK, State, VERSION};
use super::{CallEnd, CallRequest, Cause, Event, Peer, Role, Trouble};
use crate::Instant;

/// Result codes of Start-Control-Connection-Reply (RFC 2637 §2.2).
const START_ALREADY: u8 = 3;
const START_VERSION: u8 = 5;

/// Result codes of Outgoing-Call-Reply (RFC 2637 §2.8).
const CALL_GENERAL_ERROR: u8 = 2;
const CALL_BUSY: u8 = 4;
const CALL_DO_NOT_ACCEPT: u8 = 7;

/// Result code of Incoming-Call-Reply that refuses (RFC 2637 §2.10).
const INCOMING_DO_NOT_ACCEPT: u8 = 3;

/// Result codes of Call-Disconnect-Notify (RFC 2637 §2.13).
const DISCONNECT_ADMIN: u8 = 3;
const DISCONNECT_REQUEST: u8 = 4;

/// General error codes (RFC 2637 §2.16).
const ERROR_NOT_CONNECTED: u8 = 1;
const ERROR_BAD_CALL_ID: u8 = 5;

impl Connection {
    /// Accepts the call that [`Event::CallRequested`] announced: the peer gets `our_call_id` and its own maximum as connect
    /// speed. [`Event::CallConnected`] comes before the reply, so that the call can be ready when the peer's first packet comes.
    ///
    /// # Errors
    ///
    /// [`NoSuchCall`] when the peer no longer wants it.
    pub fn accept_call(&mut self, peer_call_id: u16, our_call_id: u16) -> Result<(), NoSuchCall> {
        let call = self.calls.by_peers(peer_call_id).ok_or(NoSuchCall)?;
        let Stage::Requested { maximum_bps } = call.stage else { return Err(NoSuchCall) };
        call.ours = Some(our_call_id);
        call.stage = Stage::Connected;
        let call = *call;
        self.call_connected(call, maximum_bps);
        self.send(Message::OutgoingCallReply(control::OutgoingCallReply {
            call_id: our_call_id,
            peer_call_id,
            result: RESULT_OK,
            error: 0,
            cause: 0,
            connect_speed: maximum_bps,
            receive_window: self.config.receive_window,
            processing_delay: 0,
            physical_channel: 0,
        }));
        Ok(())
    }

    /// Whether the peer still waits for the answer to a call that [`Event::CallRequested`] announced.
    #[must_use]
    pub fn is_requested(&self, peer_call_id: u16) -> bool {
        self.calls.iter().any(|call| {
            call.peers == Some(peer_call_id) && matches!(call.stage, Stage::Requested { .. })
        })
    }

    /// Refuses the call that [`Event::CallRequested`] announced, with a result code (RFC 2637 §2.8: 2 general error, 4 busy,
    /// 7 not accepted) and, when that is 2, a general error code (RFC 2637 §2.16: 4 no resource).
    ///
    /// # Errors
    ///
    /// [`NoSuchCall`] when the peer no longer wants it.
    pub fn refuse_call(
        &mut self,
        now: Instant,
        peer_call_id: u16,
        result: u8,
        error: u8,
    ) -> Result<(), NoSuchCall> {
        let requested = |call: &Call| {
            call.peers == Some(peer_call_id) && matches!(call.stage, Stage::Requested { .. })
        };
        self.calls.take(requested).ok_or(NoSuchCall)?;
        self.without_call(now);
        self.send_refusal(peer_call_id, result, error);
        Ok(())
    }

    /// Ends a call with Call-Disconnect-Notify and this result code (RFC 2637 §2.13: 1 lost carrier, 2 general error,
    /// 3 administrative, 4 on request). The connection stays.
    ///
    /// # Errors
    ///
    /// [`NoSuchCall`] when it has ended already.
    pub fn disconnect_call(
        &mut self,
        now: Instant,
        our_call_id: u16,
        result: u8,
    ) -> Result<(), NoSuchCall> {
        let call = self.calls.take(|call| call.ours == Some(our_call_id)).ok_or(NoSuchCall)?;
        self.call_ended(now, call, CallEnd::DisconnectedByUs { result });
        self.send_disconnect(our_call_id, result);
        Ok(())
    }

    pub(super) fn start_request(&mut self, now: Instant, request: control::StartRequest) {
        if !Self::speaks(request.version) {
            self.send_start_reply(START_VERSION);
            return self.close(now, Cause::VersionNotSupported(request.version));
        }
        self.established(
            now,
            Peer {
                host_name: request.host_name,
                vendor: request.vendor,
                firmware: request.firmware,
                framing: request.framing,
                bearer: request.bearer,
                max_channels: request.max_channels,
            },
        );
        self.send_start_reply(RESULT_OK);
    }

    /// A second start does not disturb the connection that is there (RFC 2637 §2.2, result 3).
    pub(super) fn start_again(&mut self) {
        self.ignore(Trouble::AlreadyStarted);
        self.send_start_reply(START_ALREADY);
    }

    /// Something else came before the start.
    pub(super) fn before_start(&mut self, message: Message) {
        self.ignore(Trouble::NotStarted);
        if let (Message::OutgoingCallRequest(request), Role::Pac) = (message, self.role) {
            self.send_refusal(request.call_id, CALL_GENERAL_ERROR, ERROR_NOT_CONNECTED);
        }
    }

    pub(super) fn outgoing_call_request(&mut self, request: control::OutgoingCallRequest) {
        let peer_call_id = request.call_id;
        if self.role == Role::Pns || self.state != State::Established {
            return self.send_refusal(peer_call_id, CALL_DO_NOT_ACCEPT, 0);
        }
        if self.calls.by_peers(peer_call_id).is_some() {
            self.ignore(Trouble::DuplicateCall(peer_call_id));
            return self.send_refusal(peer_call_id, CALL_GENERAL_ERROR, ERROR_BAD_CALL_ID);
        }
        if self.calls.len() >= usize::from(self.config.max_calls) {
            return self.send_refusal(peer_call_id, CALL_BUSY, 0);
        }
        self.calls.add(Call {
            ours: None,
            peers: Some(peer_call_id),
            window: request.receive_window,
            stage: Stage::Requested { maximum_bps: request.maximum_bps },
        });
        self.event(Event::CallRequested(CallRequest {
            peer_call_id,
            serial: request.serial,
            minimum_bps: request.minimum_bps,
            maximum_bps: request.maximum_bps,
            window: request.receive_window,
        }));
    }

    /// Calls from the line's side to the peer are not for us, in either role.
    pub(super) fn refuse_incoming_call(&mut self, peer_call_id: u16) {
        self.send(Message::IncomingCallReply(control::IncomingCallReply {
            call_id: 0,
            peer_call_id,
            result: INCOMING_DO_NOT_ACCEPT,
            error: 0,
            receive_window: 0,
            processing_delay: 0,
        }));
    }

    /// The id is the one that the peer gave the call. The connection stays: the peer may place another. Windows servers send this
    /// too, which RFC 2637 leaves to clients.
    pub(super) fn call_clear_request(&mut self, now: Instant, peer_call_id: u16) {
        let Some(call) = self.calls.take(|call| call.peers == Some(peer_call_id)) else {
            return self.ignore(Trouble::UnknownCall(peer_call_id));
        };
        self.call_ended(now, call, CallEnd::ClearedByPeer);
        match call.ours {
            Some(ours) => self.send_disconnect(ours, DISCONNECT_REQUEST),
            None => self.send_refusal(peer_call_id, CALL_DO_NOT_ACCEPT, 0),
        }
    }

    pub(super) fn disconnect_all(&mut self, now: Instant) {
        while let Some(call) = self.calls.take(|_| true) {
            self.call_ended(now, call, CallEnd::DisconnectedByUs { result: DISCONNECT_ADMIN });
            match (call.ours, call.peers) {
                (Some(ours), _) => self.send_disconnect(ours, DISCONNECT_ADMIN),
                (None, Some(peers)) => self.send_refusal(peers, CALL_DO_NOT_ACCEPT, 0),
                (None, None) => {}
            }
        }
    }

    fn send_start_reply(&mut self, result: u8) {
        self.send(Message::StartReply(control::StartReply {
            version: VERSION,
            result,
            error: 0,
            framing: self.config.framing,
            bearer: self.config.bearer,
            max_channels: self.config.max_calls,
            firmware: self.config.firmware,
            host_name: self.config.host_name,
            vendor: self.config.vendor,
        }));
    }

    fn send_refusal(&mut self, peer_call_id: u16, result: u8, error: u8) {
        self.send(Message::OutgoingCallReply(control::OutgoingCallReply {
            call_id: 0,
            peer_call_id,
            result,
            error,
            cause: 0,
            connect_speed: 0,
            receive_window: 0,
            processing_delay: 0,
            physical_channel: 0,
        }));
    }

    fn send_disconnect(&mut self, our_call_id: u16, result: u8) {
        self.send(Message::CallDisconnectNotify(control::CallDisconnectNotify {
            call_id: our_call_id,
            result,
            error: 0,
            cause: 0,
            statistics: Default::default(),
        }));
    }
}
