//! What the kernel says when it refuses.

use std::fmt;
use std::io;

use super::attributes::attributes;

/// A request that failed: what was to be done, the kernel's error number, and its explanation where it gives one.
#[derive(Debug)]
pub struct Error {
    operation: String,
    failure: Failure,
}

/// A failure without the operation.
#[derive(Debug)]
pub(super) struct Failure {
    error: io::Error,
    explanation: Option<String>,
}

impl Error {
    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.failure.error.kind()
    }

    /// Whether what was to be changed or removed is not there (any more).
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let absent = [libc::ENODEV, libc::ENOENT, libc::ESRCH, libc::EADDRNOTAVAIL, libc::ENXIO];
        self.failure.error.raw_os_error().is_some_and(|number| absent.contains(&number))
    }

    /// Whether what was to be added is there already.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.failure.error.raw_os_error() == Some(libc::EEXIST)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation, self.failure.error)?;
        match &self.failure.explanation {
            Some(explanation) => write!(f, " ({})", explanation.escape_debug()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.failure.error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

impl Failure {
    pub(super) fn during(self, operation: String) -> Error {
        Error { operation, failure: self }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { error, explanation: None }
    }
}

/// Reads the payload of `NLMSG_ERROR` or `NLMSG_DONE`: a negative error number or 0, then in an error the header of the request (of 16 bytes,
/// as `NETLINK_CAP_ACK` asks), then attributes.
pub(super) fn outcome(flags: u16, payload: &[u8]) -> Result<(), Failure> {
    /// `NLM_F_ACK_TLVS`: attributes follow.
    const HAS_ATTRIBUTES: u16 = 0x200;
    /// `NLMSGERR_ATTR_MSG`.
    const MESSAGE: u16 = 1;
    const ATTRIBUTES_AT: usize = 20;
    let number = payload.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number));
    if number == 0 {
        return Ok(());
    }
    let mut failure = Failure::from(io::Error::from_raw_os_error(number.wrapping_neg()));
    if flags & HAS_ATTRIBUTES != 0 {
        let mut extra = attributes(payload.get(ATTRIBUTES_AT..).unwrap_or_default());
        let message = extra.find(|attribute| attribute.kind == MESSAGE);
        failure.explanation = message.map(|message| message.text());
    }
    Err(failure)
}
