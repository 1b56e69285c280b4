//! The option negotiation automaton of RFC 1661 §4, written as its table.
//!
//! LCP, CCP, IPCP and IPV6CP differ in their options only; they all run on this table.

use core::fmt;

/// A state of the automaton (RFC 1661 §4.2), numbered as in the RFC's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub(super) enum State {
    Initial = 0,
    Starting = 1,
    Closed = 2,
    Stopped = 3,
    Closing = 4,
    Stopping = 5,
    ReqSent = 6,
    AckRcvd = 7,
    AckSent = 8,
    Opened = 9,
}

/// An event of the automaton (RFC 1661 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(dead_code)] // The RFC's table is kept whole; a lost lower layer ends the link outright.
pub(super) enum Input {
    /// The lower layer is up.
    Up,
    /// The lower layer is down.
    Down,
    /// Administrative open.
    Open,
    /// Administrative close.
    Close,
    /// The restart timer ran out with transmissions left (TO+).
    TimeoutLeft,
    /// The restart timer ran out for the last time (TO-).
    TimeoutLast,
    /// An acceptable Configure-Request (RCR+).
    RequestGood,
    /// A Configure-Request that must be refused (RCR-).
    RequestBad,
    /// Configure-Ack (RCA).
    Ack,
    /// Configure-Nak or Configure-Reject (RCN).
    Refusal,
    /// Terminate-Request (RTR).
    TerminateRequest,
    /// Terminate-Ack (RTA).
    TerminateAck,
    /// A packet with an unknown code (RUC).
    UnknownCode,
    /// A Code-Reject or Protocol-Reject that can be lived with (RXJ+).
    RejectMinor,
    /// A Code-Reject or Protocol-Reject of something essential (RXJ-).
    RejectFatal,
    /// Echo-Request, Echo-Reply, Discard-Request or another harmless code (RXR).
    Harmless,
}

/// An action of the automaton (RFC 1661 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// This-Layer-Up.
    LayerUp,
    /// This-Layer-Down.
    LayerDown,
    /// This-Layer-Started: the lower layer is wanted.
    LayerStarted,
    /// This-Layer-Finished: the lower layer is no longer wanted.
    LayerFinished,
    /// Initialize-Restart-Count for Configure-Requests.
    InitConfigureCount,
    /// Initialize-Restart-Count for Terminate-Requests.
    InitTerminateCount,
    /// Zero-Restart-Count: stay for one more time-out before finishing.
    ZeroCount,
    /// Send-Configure-Request.
    SendRequest,
    /// Send-Configure-Ack.
    SendAck,
    /// Send-Configure-Nak or Send-Configure-Reject.
    SendRefusal,
    /// Send-Terminate-Request.
    SendTerminate,
    /// Send-Terminate-Ack.
    SendTerminateAck,
    /// Send-Code-Reject.
    SendCodeReject,
    /// Send-Echo-Reply.
    SendEchoReply,
}

/// One cell of the table: what to do and where to go. `None` is the RFC's `-`: the event cannot
/// happen in that state and changes nothing.
type Cell = Option<(&'static [Action], State)>;

/// Gives what `input` does in `state`. `(no actions, state)` where the RFC's table has a dash.
///
/// Where the RFC lists This-Layer-Up beside Send-Configure-Ack, the layer goes up first: its keys and
/// addresses are then in place before the peer may use them (§4.4 leaves the order open).
pub(super) fn transition(state: State, input: Input) -> (&'static [Action], State) {
    TABLE[input as usize][state as usize].unwrap_or((&[], state))
}

impl State {
    /// Whether the restart timer runs in this state (RFC 1661 §4.2).
    pub(super) fn has_timer(self) -> bool {
        matches!(
            self,
            State::Closing | State::Stopping | State::ReqSent | State::AckRcvd | State::AckSent
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Initial => "Initial",
            State::Starting => "Starting",
            State::Closed => "Closed",
            State::Stopped => "Stopped",
            State::Closing => "Closing",
            State::Stopping => "Stopping",
            State::ReqSent => "Req-Sent",
            State::AckRcvd => "Ack-Rcvd",
            State::AckSent => "Ack-Sent",
            State::Opened => "Opened",
        })
    }
}

/// RFC 1661 §4.1: rows are [`Input`]s, columns are [`State`]s, both in declaration order.
#[rustfmt::skip]
const TABLE: [[Cell; 10]; 16] = {
    use Action::{
        InitConfigureCount as irc, InitTerminateCount as irt, LayerDown as tld, LayerFinished as tlf,
        LayerStarted as tls, LayerUp as tlu, SendAck as sca, SendCodeReject as scj, SendEchoReply as ser,
        SendRefusal as scn, SendRequest as scr, SendTerminate as str_, SendTerminateAck as sta,
        ZeroCount as zrc,
    };
    use State::*;
    const NO: Cell = None;
    const fn to(actions: &'static [Action], state: State) -> Cell { Some((actions, state)) }
    [
        // Initial | Starting | Closed | Stopped | Closing | Stopping | Req-Sent | Ack-Rcvd | Ack-Sent | Opened
        /* Up */ [to(&[], Closed), to(&[irc, scr], ReqSent), NO, NO, NO, NO, NO, NO, NO, NO],
        /* Down */ [NO, NO, to(&[], Initial), to(&[tls], Starting), to(&[], Initial), to(&[], Starting),
            to(&[], Starting), to(&[], Starting), to(&[], Starting), to(&[tld], Starting)],
        /* Open */ [to(&[tls], Starting), to(&[], Starting), to(&[irc, scr], ReqSent), to(&[], Stopped),
            to(&[], Stopping), to(&[], Stopping), to(&[], ReqSent), to(&[], AckRcvd), to(&[], AckSent), to(&[], Opened)],
        /* Close */ [to(&[], Initial), to(&[tlf], Initial), to(&[], Closed), to(&[], Closed), to(&[], Closing),
            to(&[], Closing), to(&[irt, str_], Closing), to(&[irt, str_], Closing), to(&[irt, str_], Closing),
            to(&[tld, irt, str_], Closing)],
        /* TO+ */ [NO, NO, NO, NO, to(&[str_], Closing), to(&[str_], Stopping), to(&[scr], ReqSent),
            to(&[scr], ReqSent), to(&[scr], AckSent), NO],
        /* TO- */ [NO, NO, NO, NO, to(&[tlf], Closed), to(&[tlf], Stopped), to(&[tlf], Stopped),
            to(&[tlf], Stopped), to(&[tlf], Stopped), NO],
        /* RCR+ */ [NO, NO, to(&[sta], Closed), to(&[irc, scr, sca], AckSent), to(&[], Closing), to(&[], Stopping),
            to(&[sca], AckSent), to(&[tlu, sca], Opened), to(&[sca], AckSent), to(&[tld, scr, sca], AckSent)],
        /* RCR- */ [NO, NO, to(&[sta], Closed), to(&[irc, scr, scn], ReqSent), to(&[], Closing), to(&[], Stopping),
            to(&[scn], ReqSent), to(&[scn], AckRcvd), to(&[scn], ReqSent), to(&[tld, scr, scn], ReqSent)],
        /* RCA */ [NO, NO, to(&[sta], Closed), to(&[sta], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[irc], AckRcvd), to(&[scr], ReqSent), to(&[irc, tlu], Opened), to(&[tld, scr], ReqSent)],
        /* RCN */ [NO, NO, to(&[sta], Closed), to(&[sta], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[irc, scr], ReqSent), to(&[scr], ReqSent), to(&[irc, scr], AckSent), to(&[tld, scr], ReqSent)],
        /* RTR */ [NO, NO, to(&[sta], Closed), to(&[sta], Stopped), to(&[sta], Closing), to(&[sta], Stopping),
            to(&[sta], ReqSent), to(&[sta], ReqSent), to(&[sta], ReqSent), to(&[tld, zrc, sta], Stopping)],
        /* RTA */ [NO, NO, to(&[], Closed), to(&[], Stopped), to(&[tlf], Closed), to(&[tlf], Stopped),
            to(&[], ReqSent), to(&[], ReqSent), to(&[], AckSent), to(&[tld, scr], ReqSent)],
        /* RUC */ [NO, NO, to(&[scj], Closed), to(&[scj], Stopped), to(&[scj], Closing), to(&[scj], Stopping),
            to(&[scj], ReqSent), to(&[scj], AckRcvd), to(&[scj], AckSent), to(&[scj], Opened)],
        /* RXJ+ */ [NO, NO, to(&[], Closed), to(&[], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[], ReqSent), to(&[], ReqSent), to(&[], AckSent), to(&[], Opened)],
        /* RXJ- */ [NO, NO, to(&[tlf], Closed), to(&[tlf], Stopped), to(&[tlf], Closed), to(&[tlf], Stopped),
            to(&[tlf], Stopped), to(&[tlf], Stopped), to(&[tlf], Stopped), to(&[tld, irt, str_], Stopping)],
        /* RXR */ [NO, NO, to(&[], Closed), to(&[], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[], ReqSent), to(&[], AckRcvd), to(&[], AckSent), to(&[ser], Opened)],
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_from_both_sides_takes_the_rfc_path() {
        let (actions, state) = transition(State::Starting, Input::Up);
        assert_eq!(
            (actions, state),
            (&[Action::InitConfigureCount, Action::SendRequest][..], State::ReqSent)
        );
        let (_, state) = transition(state, Input::Ack);
        assert_eq!(state, State::AckRcvd);
        let (actions, state) = transition(state, Input::RequestGood);
        assert_eq!((actions, state), (&[Action::LayerUp, Action::SendAck][..], State::Opened));
    }

    #[test]
    fn a_layer_goes_up_and_down_only_at_the_border_of_opened() {
        let states = [
            State::Initial,
            State::Starting,
            State::Closed,
            State::Stopped,
            State::Closing,
            State::Stopping,
            State::ReqSent,
            State::AckRcvd,
            State::AckSent,
            State::Opened,
        ];
        for (row, cells) in TABLE.iter().enumerate() {
            for from in states {
                let Some((actions, to)) = cells[from as usize] else { continue };
                let enters = from != State::Opened && to == State::Opened;
                let leaves = from == State::Opened && to != State::Opened;
                assert_eq!(actions.contains(&Action::LayerUp), enters, "row {row} from {from}");
                assert_eq!(actions.contains(&Action::LayerDown), leaves, "row {row} from {from}");
            }
        }
    }

    #[test]
    fn closed_states_answer_configuration_with_terminate_ack() {
        for input in [Input::RequestGood, Input::RequestBad, Input::Ack, Input::Refusal] {
            assert_eq!(
                transition(State::Closed, input),
                (&[Action::SendTerminateAck][..], State::Closed)
            );
        }
    }
}
