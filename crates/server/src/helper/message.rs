//! What the server and its helper say to each other: frames of a length, a number that says which matter it is about, a kind, and fields.
//!
//! ```text
//! length: u32, of all that follows | number: u64 | kind: u8 | fields, each: length: u32, bytes     (little-endian)
//! ```

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

use super::Allowed;
use crate::host::Mark;
use crate::look::{Question, Seen};
use crate::scripts::Program;

/// Bytes of the longest frame, without its length.
const LONGEST: usize = 64 << 10;
/// Fields of a frame.
const MOST_FIELDS: usize = 1024;

/// A matter's number, and what is said about it. Passwords pass this way: what is forgotten is wiped.
pub(super) struct Frame {
    pub(super) number: u64,
    kind: u8,
    fields: Vec<Zeroizing<Vec<u8>>>,
}

/// What the server wants.
#[derive(Debug)]
pub(crate) enum Order {
    /// The first order, and only that: what may be wanted later.
    Allow(Allowed),
    /// That a program is run.
    Run(Program),
    /// That PAM is asked about a login.
    Ask(Login),
    /// That the login's session with PAM is closed.
    Close,
    /// That somebody looks at this host.
    Look(Question),
    /// That a mark for other tools is made.
    Mark(Mark),
}

/// A login that PAM is asked about.
pub(crate) struct Login {
    pub(crate) user: Vec<u8>,
    /// Checked when it is there; without one only the account is looked at.
    pub(crate) password: Option<Zeroizing<Vec<u8>>>,
    /// The client's address.
    pub(crate) client: String,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The program runs, with this process id.
    Started(u32),
    /// The program has ended.
    Ended(ExitStatus),
    /// The program could not be run, or not to its end.
    Failed(String),
    /// PAM lets the user in; a session is open.
    Admitted,
    /// It does not; whether that was the password's fault.
    Refused { password: bool, reason: String },
    /// What was seen.
    Seen(Seen),
    /// The mark is made.
    Marked,
}

impl Frame {
    /// Reads one; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// `InvalidData` for what is no frame; those of reading.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let length = match from.read_u32_le().await {
            Ok(length) => length as usize,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        if length > LONGEST {
            return Err(bad("a frame that is too long"));
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        from.read_exact(&mut bytes).await?;
        Self::parse(&bytes).map(Some)
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let short = || bad("a frame that is too short");
        let (number, rest) = bytes.split_first_chunk().ok_or_else(short)?;
        let (kind, mut rest) = rest.split_first().ok_or_else(short)?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (length, bytes) = rest.split_first_chunk().ok_or_else(short)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (field, after) = bytes.split_at_checked(length).ok_or_else(short)?;
            if fields.len() == MOST_FIELDS {
                return Err(bad("a frame of too many fields"));
            }
            fields.push(Zeroizing::new(field.to_vec()));
            rest = after;
        }
        Ok(Self { number: u64::from_le_bytes(*number), kind: *kind, fields })
    }

    /// As it travels.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is too long: names, arguments and variables come from the configuration and the network, and neither has so much to say.
    pub(super) fn to_bytes(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let length = self.fields.iter().map(|field| 4 + field.len()).sum::<usize>() + 9;
        if length > LONGEST || self.fields.len() > MOST_FIELDS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than 64 KiB to say"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 + length));
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.push(self.kind);
        for field in &self.fields {
            bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
            bytes.extend_from_slice(field);
        }
        Ok(bytes)
    }
}

impl Order {
    pub(super) fn frame(self, number: u64) -> Frame {
        let (kind, fields) = match self {
            Self::Allow(allowed) => (0, allowed.fields()),
            Self::Run(program) => (1, vec![program.encode()]),
            Self::Ask(mut login) => {
                let password =
                    login.password.as_mut().map(|password| std::mem::take(&mut **password));
                let known = [login.user, login.client.into_bytes()];
                (2, known.into_iter().chain(password).collect())
            }
            Self::Close => (3, Vec::new()),
            // It fits: neither has more in it than some names and addresses.
            Self::Look(question) => (4, vec![postcard::to_allocvec(&question).unwrap_or_default()]),
            // A path that is no UTF-8 does not travel: then this is no order, which the helper says.
            Self::Mark(mark) => (5, vec![postcard::to_allocvec(&mark).unwrap_or_default()]),
        };
        Frame { number, kind, fields: fields.into_iter().map(Zeroizing::new).collect() }
    }

    /// # Errors
    ///
    /// `InvalidData` for what is no order.
    pub(super) fn read(mut frame: Frame) -> io::Result<Self> {
        match (frame.kind, &mut frame.fields[..]) {
            (0, fields) => Allowed::read(fields).map(Self::Allow),
            (1, [program]) => Program::decode(program).map(Self::Run),
            (2, [user, client, password @ ..]) if password.len() < 2 => Some(Self::Ask(Login {
                user: user.to_vec(),
                password: password.first_mut().map(|it| Zeroizing::new(std::mem::take(&mut **it))),
                client: String::from_utf8_lossy(client).into_owned(),
            })),
            (3, []) => Some(Self::Close),
            (4, [question]) => postcard::from_bytes(question).ok().map(Self::Look),
            (5, [mark]) => postcard::from_bytes(mark).ok().map(Self::Mark),
            _ => None,
        }
        .ok_or_else(|| bad("a frame that is no order"))
    }
}

impl Answer {
    pub(super) fn frame(self, number: u64) -> Frame {
        let (kind, fields) = match self {
            Self::Started(pid) => (10, vec![pid.to_le_bytes().to_vec()]),
            Self::Ended(status) => (11, vec![status.into_raw().to_le_bytes().to_vec()]),
            Self::Failed(error) => (12, vec![error.into_bytes()]),
            Self::Admitted => (13, Vec::new()),
            Self::Refused { password, reason } => {
                (14, vec![vec![u8::from(password)], reason.into_bytes()])
            }
            Self::Seen(seen) => (15, vec![postcard::to_allocvec(&seen).unwrap_or_default()]),
            Self::Marked => (16, Vec::new()),
        };
        Frame { number, kind, fields: fields.into_iter().map(Zeroizing::new).collect() }
    }

    /// # Errors
    ///
    /// `InvalidData` for what is no answer.
    pub(super) fn read(frame: &Frame) -> io::Result<Self> {
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        let word = |field: &[u8]| Some(u32::from_le_bytes(field.try_into().ok()?));
        match (frame.kind, &frame.fields[..]) {
            (10, [pid]) => word(pid).map(Self::Started),
            (11, [status]) => {
                word(status).map(|raw| Self::Ended(ExitStatus::from_raw(raw.cast_signed())))
            }
            (12, [error]) => Some(Self::Failed(text(error))),
            (13, []) => Some(Self::Admitted),
            (14, [password, reason]) => {
                Some(Self::Refused { password: password[..] == [1], reason: text(reason) })
            }
            (15, [seen]) => postcard::from_bytes(seen).ok().map(Self::Seen),
            (16, []) => Some(Self::Marked),
            _ => None,
        }
        .ok_or_else(|| bad("a frame that is no answer"))
    }
}

impl Allowed {
    /// How many programs, single paths (empty for none), the interfaces' name, the programs, and `NAME=VALUE` for each variable.
    fn fields(self) -> Vec<Vec<u8>> {
        let count = (self.programs.len() as u32).to_le_bytes().to_vec();
        let bytes = |path: PathBuf| path.into_os_string().into_vec();
        let pid_file = self.pid_file.unwrap_or_default();
        let paths = [self.folder, self.run_dir, self.wtmp, pid_file].map(bytes);
        let interface = self.interface.into_bytes();
        let programs = self.programs.into_iter().map(bytes);
        let variables = self
            .variables
            .into_iter()
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
        let single = [count].into_iter().chain(paths).chain([interface]);
        single.chain(programs).chain(variables).collect()
    }

    fn read(fields: &[Zeroizing<Vec<u8>>]) -> Option<Self> {
        let [count, folder, run_dir, wtmp, pid_file, interface, rest @ ..] = fields else {
            return None;
        };
        let count = u32::from_le_bytes(count[..].try_into().ok()?) as usize;
        let (programs, variables) = rest.split_at_checked(count)?;
        let path = |bytes: &Zeroizing<Vec<u8>>| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let variable = |bytes: &Zeroizing<Vec<u8>>| {
            let at = bytes.iter().position(|byte| *byte == b'=')?;
            let name = String::from_utf8(bytes[..at].to_vec()).ok()?;
            Some((name, OsString::from_vec(bytes[at + 1..].to_vec())))
        };
        Some(Self {
            folder: path(folder),
            run_dir: path(run_dir),
            wtmp: path(wtmp),
            pid_file: Some(path(pid_file)).filter(|path| !path.as_os_str().is_empty()),
            interface: String::from_utf8(interface.to_vec()).ok()?,
            programs: programs.iter().map(path).collect(),
            variables: variables.iter().map(variable).collect::<Option<_>>()?,
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("client", &self.client).finish_non_exhaustive()
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As it arrives.
    fn sent(frame: &Frame) -> Frame {
        let bytes = frame.to_bytes().unwrap();
        Frame::parse(&bytes[4..]).unwrap()
    }

    #[test]
    fn orders_arrive_as_they_were_given() {
        let program = Program {
            path: "/etc/ppp/ip-up".into(),
            arguments: vec!["ppp0".into(), OsString::from_vec(vec![0xff])],
            environment: vec![("UNIT".into(), "0".into())],
        };
        let allowed = Allowed {
            folder: "/etc/ppp".into(),
            run_dir: "/run".into(),
            wtmp: "/var/log/wtmp".into(),
            pid_file: Some("/run/pptpd.pid".into()),
            interface: "ppp".into(),
            programs: vec!["/usr/local/bin/up".into()],
            variables: vec![("PATH".into(), "/sbin:/bin".into())],
        };
        match Order::read(sent(&Order::Run(program.clone()).frame(7))).unwrap() {
            Order::Run(arrived) => assert_eq!(arrived, program),
            other => panic!("{other:?}"),
        }
        match Order::read(sent(&Order::Allow(allowed.clone()).frame(0))).unwrap() {
            Order::Allow(arrived) => assert_eq!(arrived, allowed),
            other => panic!("{other:?}"),
        }
        let question = Question::Holder([192, 0, 2, 7].into());
        match Order::read(sent(&Order::Look(question.clone()).frame(8))).unwrap() {
            Order::Look(arrived) => assert_eq!(arrived, question),
            other => panic!("{other:?}"),
        }
        let mark = Mark::File { path: "/run/ppp0.pid".into(), text: Some("17\n".into()) };
        match Order::read(sent(&Order::Mark(mark.clone()).frame(9))).unwrap() {
            Order::Mark(arrived) => assert_eq!(arrived, mark),
            other => panic!("{other:?}"),
        }
        for password in [None, Some(Zeroizing::new(b"secret".to_vec()))] {
            let login =
                Login { user: b"scott".to_vec(), password: password.clone(), client: "::".into() };
            match Order::read(sent(&Order::Ask(login).frame(9))).unwrap() {
                Order::Ask(arrived) => {
                    assert_eq!((arrived.user, arrived.password), (b"scott".to_vec(), password));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn answers_arrive_as_they_were_given() {
        let answers = [
            Answer::Started(17),
            Answer::Ended(ExitStatus::from_raw(0x300)),
            Answer::Failed("no".into()),
            Answer::Admitted,
            Answer::Refused { password: true, reason: "why".into() },
            Answer::Seen(Seen::Holder(None)),
            Answer::Seen(Seen::Holder(Some(("eth0".into(), [2; 6])))),
            Answer::Marked,
        ];
        for answer in answers {
            let shown = format!("{answer:?}");
            let frame = sent(&answer.frame(u64::MAX));
            assert_eq!(
                (frame.number, format!("{:?}", Answer::read(&frame).unwrap())),
                (u64::MAX, shown)
            );
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let whole = Order::Close.frame(1).to_bytes().unwrap();
        for length in 4..whole.len() {
            assert!(Frame::parse(&whole[4..length]).is_err(), "{length}");
        }
        let long = Frame { number: 1, kind: 12, fields: vec![Zeroizing::new(vec![0; LONGEST])] };
        assert_eq!(long.to_bytes().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let beyond = [&whole[4..], &9_u32.to_le_bytes(), b"short"].concat();
        assert!(Frame::parse(&beyond).is_err());
    }

    proptest! {
        /// The helper has the rights of root, and the server may be somebody else's by then.
        #[test]
        fn any_bytes_are_an_order_or_an_error(kind in 0..20_u8, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let head = [&7_u64.to_le_bytes()[..], &[kind]].concat();
            let whole = (bytes.len() as u32).to_le_bytes();
            for body in [bytes.clone(), [&whole[..], &bytes].concat()] {
                let Ok(frame) = Frame::parse(&[&head[..], &body].concat()) else { continue };
                prop_assert_eq!(&frame.to_bytes().unwrap()[4..], &[&head[..], &body].concat()[..]);
                let _ = Answer::read(&frame);
                let _ = Order::read(frame);
            }
        }
    }
}
