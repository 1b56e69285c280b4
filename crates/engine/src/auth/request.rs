//! A peer's proof of who it is, and its verification.

use alloc::vec::Vec;
use core::fmt;

use crypto::mppe::MasterKeys;
use crypto::{Password, Secret, chap_md5, mschap};
use zeroize::Zeroizing;

use super::{Authenticated, Denied, DenyReason, Method};

/// A peer asks to come in. Look up its secret by [`name`](Self::name), [`verify`](Self::verify) it, and hand the
/// result to the link.
pub struct Request {
    ticket: u32,
    method: Method,
    name: Vec<u8>,
    proof: Proof,
}

/// What the peer sent.
pub(crate) enum Proof {
    Pap(Zeroizing<Vec<u8>>),
    Chap { id: u8, challenge: [u8; 16], response: Vec<u8> },
}

impl Proof {
    pub(crate) fn pap(password: &[u8]) -> Self {
        Proof::Pap(Zeroizing::new(password.to_vec()))
    }

    pub(crate) fn chap(id: u8, challenge: [u8; 16], response: &[u8]) -> Self {
        Proof::Chap { id, challenge, response: response.to_vec() }
    }
}

impl Request {
    pub(crate) fn new(ticket: u32, method: Method, name: Vec<u8>, proof: Proof) -> Self {
        Self { ticket, method, name, proof }
    }

    /// The user name as sent, with a `DOMAIN\` prefix if there was one; at most 255 bytes, any bytes.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How the peer proves itself.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The password that the peer sent in clear, with PAP: for a judge who knows no secrets, as PAM. If that judge is content, it is the
    /// user's secret.
    pub fn sent_password(&self) -> Option<Zeroizing<Vec<u8>>> {
        match &self.proof {
            Proof::Pap(sent) => Some(sent.clone()),
            Proof::Chap { .. } => None,
        }
    }

    /// Checks the proof against the user's secret.
    pub fn verify(&self, secret: &Secret) -> Result<Authenticated, Denied> {
        let (success, keys) = self.check(secret).map_err(|reason| self.refuse(reason))?;
        Ok(Authenticated {
            method: Some(self.method),
            name: self.name.clone(),
            ticket: self.ticket,
            success,
            keys,
        })
    }

    /// A refusal for a reason of the caller's own. For an unknown user, call [`verify`](Self::verify) with some secret
    /// first and throw the result away, so that the answer takes the same time as for a known one.
    pub fn refuse(&self, reason: DenyReason) -> Denied {
        Denied { ticket: self.ticket, reason }
    }

    fn check(&self, secret: &Secret) -> Result<(Vec<u8>, Option<MasterKeys>), DenyReason> {
        match &self.proof {
            Proof::Pap(sent) => {
                let password = clear_text(secret)?;
                if !password.matches(sent) {
                    return Err(DenyReason::WrongPassword);
                }
                Ok((b"Login ok".to_vec(), None))
            }
            Proof::Chap { id, challenge, response } => match self.method {
                Method::MsChapV2 => self.check_v2(secret, challenge, response),
                Method::MsChapV1 => check_v1(secret, challenge, response),
                Method::ChapMd5 | Method::Pap => {
                    let password = clear_text(secret)?;
                    if !chap_md5::verify(*id, password, challenge, response) {
                        return Err(DenyReason::WrongPassword);
                    }
                    Ok((b"Access granted".to_vec(), None))
                }
            },
        }
    }

    fn check_v2(
        &self,
        secret: &Secret,
        challenge: &[u8; 16],
        response: &[u8],
    ) -> Result<(Vec<u8>, Option<MasterKeys>), DenyReason> {
        if response.len() != mschap::RESPONSE_LEN {
            return Err(DenyReason::Malformed);
        }
        let verified = mschap::v2::verify(&secret.nt_hash(), &self.name, challenge, response)
            .ok_or(DenyReason::WrongPassword)?;
        let mut message = verified.authenticator_response.to_vec();
        message.extend_from_slice(b" M=Access granted");
        Ok((message, Some(verified.keys)))
    }
}

fn check_v1(
    secret: &Secret,
    challenge: &[u8; 16],
    response: &[u8],
) -> Result<(Vec<u8>, Option<MasterKeys>), DenyReason> {
    // The LM response is refused: it gives the password away, and no client since Windows 95 needs it.
    const ACCEPT_LM: bool = false;
    if response.len() != mschap::RESPONSE_LEN {
        return Err(DenyReason::Malformed);
    }
    let challenge = challenge.first_chunk::<8>().ok_or(DenyReason::Malformed)?;
    let keys = mschap::v1::verify(secret, challenge, response, ACCEPT_LM)
        .ok_or(DenyReason::WrongPassword)?;
    Ok((b"Access granted".to_vec(), Some(keys)))
}

fn clear_text(secret: &Secret) -> Result<&Password, DenyReason> {
    secret.password().ok_or(DenyReason::SecretUnusable)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("name", &self.name.escape_ascii())
            .finish_non_exhaustive()
    }
}
