//! Pluggable Authentication Modules: whether this system's own accounts let a user in (Linux-PAM, `pam(3)`).
//!
//! The library is loaded when it is first needed: a machine without it runs everything that does not ask for PAM.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;
use zeroize::Zeroizing;

/// The library's name with the version of its binary interface.
const LIBRARY: &str = "libpam.so.0";

const PAM_SUCCESS: c_int = 0;
const PAM_BUF_ERR: c_int = 5;
const PAM_CONV_ERR: c_int = 19;
const PAM_TTY: c_int = 3;
const PAM_RHOST: c_int = 4;
const PAM_SILENT: c_int = 0x8000;
const PAM_PROMPT_ECHO_OFF: c_int = 1;
const PAM_PROMPT_ECHO_ON: c_int = 2;
const PAM_ERROR_MSG: c_int = 3;
const PAM_TEXT_INFO: c_int = 4;
/// `PAM_MAX_NUM_MSG`.
const MOST_MESSAGES: c_int = 32;

/// What PAM is asked about a user.
#[derive(Debug)]
pub struct Question<'a> {
    /// The service, which is a file's name in `/etc/pam.d`.
    pub service: &'a str,
    /// Where that file is looked for in place of `/etc/pam.d`.
    pub services: Option<&'a Path>,
    /// The user.
    pub user: &'a [u8],
    /// Checked when it is there; without one only the account is looked at.
    pub password: Option<Zeroizing<Vec<u8>>>,
    /// The name of the line that the user comes by.
    pub tty: &'a str,
    /// Where the user comes from.
    pub remote_host: &'a str,
}

/// A user's session, open until it is dropped. Dropping it may take as long as the modules need.
pub struct Session {
    handle: *mut Handle,
    is_open: bool,
    /// What PAM may ask for as long as the handle lives.
    _answers: Box<Answers>,
}

// SAFETY: Linux-PAM has no state outside the handle, and a `Session` is the handle's only owner: it is used by one thread at a time.
unsafe impl Send for Session {}

/// Why PAM does not let a user in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whether it was the password, and not the account or the system.
    pub password: bool,
    /// PAM's words.
    pub reason: String,
}

impl Session {
    /// Asks PAM whether the user may come in, and opens a session. Blocks, for seconds after a wrong password.
    ///
    /// # Errors
    ///
    /// What PAM says; when its library cannot be loaded, that.
    pub fn open(question: Question<'_>) -> Result<Self, Refused> {
        let pam = library()?;
        let text = |bytes: &[u8]| {
            CString::new(bytes).map_err(|_| refused("a name with a zero byte in it"))
        };
        let service = text(question.service.as_bytes())?;
        let user = text(question.user)?;
        let services = question.services.map(|path| text(OsStr::as_bytes(path.as_os_str())));
        let services = services.transpose()?;
        let password = question.password.as_ref().map(|password| secret(password)).transpose()?;
        let answers = Box::new(Answers { user: user.clone(), password });
        let conversation =
            Conversation { converse, data: ptr::from_ref(&*answers).cast_mut().cast() };
        let mut handle = ptr::null_mut();
        // SAFETY: the strings end with a zero byte and outlive the call, and PAM copies `conversation`. What it points to, `answers`, lives
        // in a box that is dropped after the handle.
        let result = unsafe {
            match &services {
                None => (pam.start)(
                    service.as_ptr(),
                    user.as_ptr(),
                    &raw const conversation,
                    &raw mut handle,
                ),
                Some(services) => (pam.start_confdir)(
                    service.as_ptr(),
                    user.as_ptr(),
                    &raw const conversation,
                    services.as_ptr(),
                    &raw mut handle,
                ),
            }
        };
        if result != PAM_SUCCESS || handle.is_null() {
            return Err(refused("PAM cannot be started"));
        }
        let mut session = Self { handle, is_open: false, _answers: answers };
        session.set(PAM_TTY, &text(question.tty.as_bytes())?)?;
        session.set(PAM_RHOST, &text(question.remote_host.as_bytes())?)?;
        if question.password.is_some() {
            session
                .call(pam.authenticate)
                .map_err(|refused| Refused { password: true, ..refused })?;
        }
        session.call(pam.acct_mgmt)?;
        session.call(pam.open_session)?;
        session.is_open = true;
        Ok(session)
    }

    fn set(&mut self, item: c_int, value: &CStr) -> Result<(), Refused> {
        // SAFETY: the handle is ours and alive; PAM copies the string, which ends with a zero byte and outlives the call.
        let result = unsafe { (library()?.set_item)(self.handle, item, value.as_ptr().cast()) };
        self.judge(result)
    }

    fn call(&mut self, function: Step) -> Result<(), Refused> {
        // SAFETY: the handle is ours and alive; what it calls back with was made for it and is alive.
        let result = unsafe { function(self.handle, PAM_SILENT) };
        self.judge(result)
    }

    fn judge(&self, result: c_int) -> Result<(), Refused> {
        if result == PAM_SUCCESS {
            return Ok(());
        }
        // SAFETY: the handle is ours and alive. The answer is a text that lives as long as the library, or nothing.
        let reason = unsafe {
            let text = (library()?.strerror)(self.handle, result);
            if text.is_null() { None } else { Some(CStr::from_ptr(text).to_string_lossy()) }
        };
        Err(refused(reason.as_deref().unwrap_or("no reason")))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Ok(pam) = library() else { return };
        let mut status = PAM_SUCCESS;
        // SAFETY: the handle is ours and alive until `end`, which is called once.
        unsafe {
            if self.is_open {
                status = (pam.close_session)(self.handle, PAM_SILENT);
            }
            (pam.end)(self.handle, status);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

fn refused(reason: &str) -> Refused {
    Refused { password: false, reason: reason.to_owned() }
}

/// A copy of a password that ends with a zero byte and is wiped.
fn secret(password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
    if password.contains(&0) {
        return Err(Refused { password: true, reason: "a password with a zero byte in it".into() });
    }
    let mut copy = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    copy.extend_from_slice(password);
    copy.push(0);
    Ok(copy)
}

/// What the modules may ask for.
struct Answers {
    user: CString,
    /// With its zero byte.
    password: Option<Zeroizing<Vec<u8>>>,
}

/// `pam_handle_t`.
#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

/// `struct pam_message`.
#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`.
#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

/// `struct pam_conv`.
#[repr(C)]
struct Conversation {
    converse:
        unsafe extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int,
    data: *mut c_void,
}

/// Answers as pppd does: with the user's name where the answer may be seen, with the password where it may not.
///
/// # Safety
///
/// `messages` must point to `count` pointers to messages, `responses` to room for a pointer, `data` to [`Answers`]: what PAM was told to call
/// it with, and `pam_conv(3)` says that it does.
unsafe extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let Ok(length) = usize::try_from(count.clamp(0, MOST_MESSAGES)) else { return PAM_CONV_ERR };
    // SAFETY: PAM gives as many pointers to messages as it says; nothing is read when it gives none.
    let styles_are_known = || unsafe {
        (0..length).all(|index| {
            let known = [PAM_PROMPT_ECHO_ON, PAM_PROMPT_ECHO_OFF, PAM_TEXT_INFO, PAM_ERROR_MSG];
            known.contains(&(**messages.add(index)).style)
        })
    };
    if length == 0
        || count > MOST_MESSAGES
        || messages.is_null()
        || responses.is_null()
        || data.is_null()
        || !styles_are_known()
    {
        return PAM_CONV_ERR;
    }
    // SAFETY: `data` points to the answers that `open` made, which live as long as the handle.
    let answers = unsafe { &*data.cast::<Answers>() };
    // SAFETY: zeroed memory is an array of responses without texts. PAM frees it, so that it must come from the C library.
    let replies: *mut Response = unsafe { libc::calloc(length, size_of::<Response>()) }.cast();
    if replies.is_null() {
        return PAM_BUF_ERR;
    }
    for index in 0..length {
        // SAFETY: there are as many pointers to messages as PAM said.
        let style = unsafe { (**messages.add(index)).style };
        let answer = match style {
            PAM_PROMPT_ECHO_ON => answers.user.as_ptr(),
            PAM_PROMPT_ECHO_OFF => match &answers.password {
                Some(password) => password.as_ptr().cast(),
                None => ptr::null(),
            },
            _ => ptr::null(),
        };
        if !answer.is_null() {
            // SAFETY: `index` is within the array; the answer ends with a zero byte. PAM frees the copy.
            unsafe { (*replies.add(index)).text = libc::strdup(answer) };
        }
    }
    // SAFETY: PAM gave room for the pointer.
    unsafe { *responses = replies };
    PAM_SUCCESS
}

type Start = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const Conversation,
    *mut *mut Handle,
) -> c_int;
type StartConfdir = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const Conversation,
    *const c_char,
    *mut *mut Handle,
) -> c_int;
type Step = unsafe extern "C" fn(*mut Handle, c_int) -> c_int;
type SetItem = unsafe extern "C" fn(*mut Handle, c_int, *const c_void) -> c_int;
type StrError = unsafe extern "C" fn(*mut Handle, c_int) -> *const c_char;

/// The library's functions.
struct Pam {
    start: Start,
    start_confdir: StartConfdir,
    set_item: SetItem,
    authenticate: Step,
    acct_mgmt: Step,
    open_session: Step,
    close_session: Step,
    end: Step,
    strerror: StrError,
    /// They are in it.
    _library: Library,
}

fn library() -> Result<&'static Pam, Refused> {
    static PAM: OnceLock<Result<Pam, String>> = OnceLock::new();
    PAM.get_or_init(|| load().map_err(|error| format!("PAM cannot be used: {error}")))
        .as_ref()
        .map_err(|error| refused(error))
}

fn load() -> Result<Pam, libloading::Error> {
    // SAFETY: PAM's library does nothing when it is loaded.
    let library = unsafe { Library::new(LIBRARY) }?;
    // SAFETY: the types are those of security/pam_appl.h, which the version in the library's name stands for; the functions are kept no
    // longer than the library.
    unsafe {
        Ok(Pam {
            start: *library.get(b"pam_start\0")?,
            start_confdir: *library.get(b"pam_start_confdir\0")?,
            set_item: *library.get(b"pam_set_item\0")?,
            authenticate: *library.get(b"pam_authenticate\0")?,
            acct_mgmt: *library.get(b"pam_acct_mgmt\0")?,
            open_session: *library.get(b"pam_open_session\0")?,
            close_session: *library.get(b"pam_close_session\0")?,
            end: *library.get(b"pam_end\0")?,
            strerror: *library.get(b"pam_strerror\0")?,
            _library: library,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A service whose modules note what they see: `pam_exec` runs a script for each step, with the password at its input.
    fn service(folder: &Path) {
        let script = folder.join("step");
        let text = "#!/bin/sh\n\
            echo \"$PAM_TYPE $PAM_USER $PAM_TTY $PAM_RHOST\" >>\"$(dirname \"$0\")/steps\"\n\
            [ \"$PAM_TYPE\" != auth ] || [ \"$(tr -d '\\000')\" = turquoise ]\n";
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let script = script.display();
        let lines = ["auth", "account", "session"].map(|kind| {
            let token = if kind == "auth" { "expose_authtok " } else { "" };
            format!("{kind} required pam_exec.so quiet {token}{script}\n")
        });
        fs::write(folder.join("tunnel"), lines.concat()).unwrap();
    }

    fn open(folder: &Path, password: Option<&str>) -> Result<Session, Refused> {
        Session::open(Question {
            service: "tunnel",
            services: Some(folder),
            user: b"scott",
            password: password.map(|password| Zeroizing::new(password.as_bytes().to_vec())),
            tty: "ppp0",
            remote_host: "192.0.2.7",
        })
    }

    fn steps(folder: &Path) -> Vec<String> {
        let steps = fs::read_to_string(folder.join("steps")).unwrap_or_default();
        steps.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_session_is_opened_for_the_right_password_and_closed_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        service(folder.path());
        let session = open(folder.path(), Some("turquoise")).unwrap();
        let up =
            ["auth", "account", "open_session"].map(|step| format!("{step} scott ppp0 192.0.2.7"));
        assert_eq!(steps(folder.path()), up);
        drop(session);
        assert_eq!(steps(folder.path()).last().unwrap(), "close_session scott ppp0 192.0.2.7");
    }

    #[test]
    fn a_wrong_password_is_told_apart_from_an_account_that_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        service(folder.path());
        let wrong = open(folder.path(), Some("beige")).unwrap_err();
        assert!(wrong.password && !wrong.reason.is_empty(), "{wrong:?}");
        fs::write(folder.path().join("tunnel"), "account required pam_deny.so\n").unwrap();
        let closed = open(folder.path(), None).unwrap_err();
        assert!(!closed.password, "{closed:?}");
    }

    #[test]
    fn without_a_password_only_the_account_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        service(folder.path());
        open(folder.path(), None).unwrap();
        assert!(steps(folder.path())[0].starts_with("account"), "{:?}", steps(folder.path()));
    }
}
