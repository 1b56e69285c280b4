//! What clients of the admin sockets may ask.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::VERSION;

/// Attempts in an answer, if the request does not say how many, and at most.
const DEFAULT_ATTEMPTS: u64 = 50;
const MOST_ATTEMPTS: u64 = 1000;
/// The longest reason, in bytes.
const LONGEST_REASON: usize = 200;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Which sessions there are.
    Who,
    /// The newest attempts that have ended; of everybody when `whom` is empty.
    History { limit: u32, whom: String },
    /// Whose logins have failed, and who is locked for it.
    Locks,
    /// Lift locks; all when `whom` is nobody.
    Unlock { whom: Option<String> },
    /// What happened in an attempt: the one of `whom` that has so many `newer` ones; or what happens, until its end.
    Trail { whom: String, newer: u32, follow: bool },
    /// End sessions.
    Kick { whom: Whom, reason: String },
}

/// Which sessions are meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// The one with this number.
    Session(u64),
    /// Those with this address in the tunnel, or from it.
    Address(Ipv4Addr),
    /// Those of this user.
    User(String),
}

impl Whom {
    /// A number is a session's, an IPv4 address an address; anything else is a user's name.
    fn parse(text: &str) -> Self {
        if let Ok(number) = text.parse() {
            Self::Session(number)
        } else if let Ok(address) = text.parse() {
            Self::Address(address)
        } else {
            Self::User(text.to_owned())
        }
    }
}

impl Request {
    /// Reads a line. An `Err` says what is wrong with it.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
        if value["v"].as_u64() != Some(VERSION) {
            return Err(format!("\"v\" must be {VERSION}: another version is not spoken here"));
        }
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        match text("command") {
            "who" => Ok(Self::Who),
            "locks" => Ok(Self::Locks),
            "unlock" => match (text("whom"), value["all"].as_bool()) {
                ("", Some(true)) => Ok(Self::Unlock { whom: None }),
                (whom, None | Some(false)) if !whom.is_empty() => {
                    Ok(Self::Unlock { whom: Some(whom.to_owned()) })
                }
                _ => Err("\"whom\" must name an address or a user, or \"all\" be true".to_owned()),
            },
            "history" => {
                let limit = value["limit"].as_u64().unwrap_or(DEFAULT_ATTEMPTS).min(MOST_ATTEMPTS);
                let limit = u32::try_from(limit).unwrap_or(u32::MAX);
                Ok(Self::History { limit, whom: text("whom").to_owned() })
            }
            "trail" => {
                let newer = value["newer"].as_u64().unwrap_or(0).min(MOST_ATTEMPTS);
                Ok(Self::Trail {
                    whom: text("whom").to_owned(),
                    newer: u32::try_from(newer).unwrap_or(u32::MAX),
                    follow: value["follow"].as_bool().unwrap_or(false),
                })
            }
            "kick" => {
                let (whom, reason) = (text("whom"), text("reason"));
                if whom.is_empty() {
                    return Err("\"whom\" must name a session, an address or a user".to_owned());
                }
                if reason.len() > LONGEST_REASON {
                    return Err(format!("\"reason\" is longer than {LONGEST_REASON} bytes"));
                }
                Ok(Self::Kick { whom: Whom::parse(whom), reason: reason.to_owned() })
            }
            _ => Err(
                "\"command\" must be \"who\", \"history\", \"trail\", \"locks\", \"unlock\" or \"kick\""
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sessions_addresses_and_users_are_told_apart() {
        let whom = |whom: &str| {
            let line = serde_json::json!({ "v": 1, "command": "kick", "whom": whom }).to_string();
            match Request::parse(line.as_bytes()) {
                Ok(Request::Kick { whom, .. }) => whom,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(whom("7"), Whom::Session(7));
        assert_eq!(whom("192.0.2.7"), Whom::Address(Ipv4Addr::new(192, 0, 2, 7)));
        assert_eq!(whom("OFFICE\\scott"), Whom::User("OFFICE\\scott".into()));
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        let long =
            format!(r#"{{"v":1,"command":"kick","whom":"a","reason":"{}"}}"#, "r".repeat(201));
        for (line, reason) in [
            ("", "no JSON"),
            ("{", "no JSON"),
            ("[]", "\"v\" must be 1"),
            (r#"{"v":2,"command":"who"}"#, "\"v\" must be 1"),
            (r#"{"v":1}"#, "\"command\""),
            (r#"{"v":1,"command":"kick"}"#, "\"whom\""),
            (r#"{"v":1,"command":"unlock"}"#, "\"whom\""),
            (r#"{"v":1,"command":"unlock","whom":"anna","all":true}"#, "\"whom\""),
            (&long, "longer than"),
        ] {
            let refused = Request::parse(line.as_bytes()).unwrap_err();
            assert!(refused.contains(reason), "{line}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_request_or_is_refused_in_few_words(line in "\\PC{0,300}", name in "[a-z]{0,8}", whom in "\\PC{0,40}") {
            let request = serde_json::json!({ "v": 1, "command": name, "whom": whom }).to_string();
            for bytes in [line.as_bytes(), request.as_bytes()] {
                if let Err(refused) = Request::parse(bytes) {
                    prop_assert!(refused.len() < 500, "{refused}");
                }
            }
        }
    }
}
