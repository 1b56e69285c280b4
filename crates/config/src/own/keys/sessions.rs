//! `[session]` and `[limits]`.

use std::time::Duration;

use super::super::value::{flag, number};
use super::{Key, MOST, name_of, one_of, time};

pub(super) const SESSION: &[Key] = &[
    Key {
        path: "session.idle",
        default: "0",
        meaning: "seconds without traffic after which a session ends; 0 is never",
        names: &["idle"],
        set: |_, options, item, _| {
            options.idle = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.idle.map(|seconds| seconds.to_string()),
    },
    Key {
        path: "session.max-connect",
        default: "0",
        meaning: "seconds after which a session ends; 0 is never",
        names: &["maxconnect"],
        set: |_, options, item, _| {
            options.maxconnect = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.maxconnect.map(|seconds| seconds.to_string()),
    },
    Key {
        path: "session.echo-interval",
        default: "0",
        meaning: "seconds between questions whether the client is there; 0 is never",
        names: &["lcp-echo-interval"],
        set: |_, options, item, _| {
            options.lcp_echo_interval = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.lcp_echo_interval.map(|seconds| seconds.to_string()),
    },
    Key {
        path: "session.echo-failures",
        default: "0",
        meaning: "so many unanswered questions end the session; 0 is never",
        names: &["lcp-echo-failure"],
        set: |_, options, item, _| {
            options.lcp_echo_failure = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.lcp_echo_failure.map(|number| number.to_string()),
    },
    Key {
        path: "session.echo-adaptive",
        default: "false",
        meaning: "whether clients that send packets are not asked",
        names: &["lcp-echo-adaptive"],
        set: |_, options, item, _| {
            options.lcp_echo_adaptive = flag(item)?;
            Ok(())
        },
        get: |config| Some(config.options.lcp_echo_adaptive.to_string()),
    },
    Key {
        path: "session.per-user",
        default: "0",
        meaning: "sessions that one user may have at a time; 0 is any number",
        names: &[],
        set: |own, _, item, _| {
            own.limits.sessions_per_user = Some(number(item, 0, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.sessions_per_user.map(|number| number.to_string()),
    },
    Key {
        path: "session.duplicate",
        default: "\"replace\"",
        meaning: "what a login does beyond that number, or where another session of the user has its address: \"replace\" ends the older session, \"deny\" refuses the login",
        names: &[],
        set: |own, _, item, _| {
            own.limits.denies_duplicates = Some(one_of(item, &DUPLICATES)?);
            Ok(())
        },
        get: |config| config.limits.denies_duplicates.map(|denies| name_of(denies, &DUPLICATES)),
    },
];

pub(super) const LIMITS: &[Key] = &[
    Key {
        path: "limits.set-ups",
        default: "256",
        meaning: "sessions that are set up at once; further calls wait for their turn, which their addresses have one after the other",
        names: &[],
        set: |own, _, item, _| {
            own.limits.set_ups = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.set_ups.map(|number| number.to_string()),
    },
    Key {
        path: "limits.connections",
        default: "16384",
        meaning: "control connections in all",
        names: &[],
        set: |own, _, item, _| {
            own.limits.connections = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.connections.map(|number| number.to_string()),
    },
    Key {
        path: "limits.unfinished",
        default: "16384",
        meaning: "control connections without an authenticated session, in all",
        names: &[],
        set: |own, _, item, _| {
            own.limits.unfinished = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.unfinished.map(|number| number.to_string()),
    },
    Key {
        path: "limits.unfinished-per-address",
        default: "64",
        meaning: "control connections without an authenticated session, from one address",
        names: &[],
        set: |own, _, item, _| {
            own.limits.unfinished_per_address = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.unfinished_per_address.map(|number| number.to_string()),
    },
    Key {
        path: "limits.time-to-log-in",
        default: "3",
        meaning: "seconds that a client has to log in before the oldest unfinished connection gives way to a new one, when all are taken",
        names: &[],
        set: |own, _, item, _| {
            own.limits.time_to_log_in =
                Some(Duration::from_secs(u64::from(number(item, 1, 3600)?)));
            Ok(())
        },
        get: |config| config.limits.time_to_log_in.map(|time| time.as_secs().to_string()),
    },
    Key {
        path: "limits.control-messages",
        default: "20",
        meaning: "control messages that a connection may send in a second, and five times as many at once; more end it",
        names: &[],
        set: |own, _, item, _| {
            own.limits.control_messages = Some(number(item, 1, 10_000)?);
            Ok(())
        },
        get: |config| config.limits.control_messages.map(|number| number.to_string()),
    },
    Key {
        path: "limits.control-frames",
        default: "100",
        meaning: "PPP control frames of a call that are taken in a second, and 64 at once; more are dropped",
        names: &[],
        set: |own, _, item, _| {
            own.limits.control_frames = Some(number(item, 1, 10_000)?);
            Ok(())
        },
        get: |config| config.limits.control_frames.map(|number| number.to_string()),
    },
    Key {
        path: "limits.far-packets",
        default: "20",
        meaning: "encrypted packets of a session, as after a loss of hundreds, that are tried in a second, and 16 at once; more are dropped, as each costs up to a millisecond",
        names: &[],
        set: |own, _, item, _| {
            own.limits.far_packets = Some(number(item, 1, 10_000)?);
            Ok(())
        },
        get: |config| config.limits.far_packets.map(|number| number.to_string()),
    },
    Key {
        path: "limits.unsent",
        default: "16384",
        meaning: "bytes waiting for a client that does not read its control connection",
        names: &[],
        set: |own, _, item, _| {
            own.limits.unsent = Some(number(item, 1024, 16 * 1024 * 1024)? as usize);
            Ok(())
        },
        get: |config| config.limits.unsent.map(|number| number.to_string()),
    },
    Key {
        path: "limits.login-failures",
        default: "10",
        meaning: "failed logins from one address that lock it for a time; 0: none do",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_failures = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.limits.login_failures.map(|number| number.to_string()),
    },
    Key {
        path: "limits.login-failures-per-user",
        default: "30",
        meaning: "failed logins in one user's name that lock it for a time, but for addresses from which the user has logged in; 0: none do",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_failures_per_user = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.limits.login_failures_per_user.map(|number| number.to_string()),
    },
    Key {
        path: "limits.login-window",
        default: "600",
        meaning: "seconds for which a failed login counts",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_window = Some(time(item)?);
            Ok(())
        },
        get: |config| config.limits.login_window.map(|time| time.as_secs().to_string()),
    },
    Key {
        path: "limits.login-lock",
        default: "600",
        meaning: "seconds for which a lock holds",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_lock = Some(time(item)?);
            Ok(())
        },
        get: |config| config.limits.login_lock.map(|time| time.as_secs().to_string()),
    },
];

/// Whether a login beyond a user's number of sessions is refused.
const DUPLICATES: [(&str, bool); 2] = [("replace", false), ("deny", true)];
