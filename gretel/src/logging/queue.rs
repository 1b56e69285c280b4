//! Lines on their way to a log daemon's local socket, to a terminal or into a file.
//!
//! Who logs never waits: a line goes into a queue, and a thread sends it when the other end takes it. One that is slow, or is started anew, loses
//! nothing until the queue is full; what does not fit then, or on a full disk, is counted, and the next line that fits says how many are missing
//! before it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use server::{Role, Sandbox};

/// Bytes that wait at most: some 20,000 lines, an hour of a busy server that logs no packets.
const ROOM: usize = 2 << 20;
/// How long one attempt to send lasts before it is made again.
const ATTEMPT: Duration = Duration::from_millis(200);
/// How long a socket that nobody reads is left alone.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the process waits at its end for lines that have not left.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The end that takes lines. Clones fill the same queue.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// The line that stands for so many lost ones.
    lost_line: fn(u64) -> Vec<u8>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// With how many lines each stands for: the word of lost ones for more than one.
    lines: VecDeque<(Vec<u8>, u64)>,
    /// Of all lines together.
    bytes: usize,
    /// Lines that found no room, after those in the queue.
    lost: u64,
    /// The writer has a line in its hands.
    is_sending: bool,
}

impl Waiting {
    fn push(&mut self, line: Vec<u8>, stands_for: u64) {
        self.bytes += line.len();
        self.lines.push_back((line, stands_for));
    }

    fn has_room(&self, line: &[u8]) -> bool {
        self.bytes + line.len() <= ROOM
    }

    fn take(&mut self) -> Option<(Vec<u8>, u64)> {
        let next = self.lines.pop_front();
        self.bytes -= next.as_ref().map_or(0, |(line, _)| line.len());
        self.is_sending = next.is_some();
        next
    }
}

impl Queue {
    /// Starts the writer for the socket at `path`, which need not be there yet. It works in the sandbox.
    ///
    /// # Errors
    /// The operating system has no thread for us.
    pub(super) fn start(
        path: &Path,
        lost_line: fn(u64) -> Vec<u8>,
        sandbox: Sandbox,
    ) -> io::Result<Self> {
        let queue = Self::new(lost_line);
        let writer = Writer { queue: queue.clone(), path: path.to_owned(), socket: None };
        thread::Builder::new().name("log".into()).spawn(move || {
            // Nobody could be told here: the server, which fails in the same way, tells.
            if sandbox.enter(Role::Log).is_ok() {
                writer.run();
            }
        })?;
        Ok(queue)
    }

    /// Starts the writer for a terminal, a pipe or a file. A line that it does not take, as on a full disk, is lost and counted.
    ///
    /// # Errors
    /// The operating system has no thread for us.
    pub(super) fn into_stream(
        mut stream: impl Write + Send + 'static,
        lost_line: fn(u64) -> Vec<u8>,
        sandbox: Sandbox,
    ) -> io::Result<Self> {
        let queue = Self::new(lost_line);
        let lines = queue.clone();
        let run = move || {
            // Nobody could be told here: the server, which fails in the same way, tells.
            if sandbox.enter(Role::Log).is_err() {
                return;
            }
            loop {
                let (line, stands_for) = lines.take();
                if stream.write_all(&line).and_then(|()| stream.flush()).is_err() {
                    lines.lock().lost += stands_for;
                }
                lines.sent();
            }
        };
        thread::Builder::new().name("log".into()).spawn(run)?;
        Ok(queue)
    }

    fn new(lost_line: fn(u64) -> Vec<u8>) -> Self {
        Self(Arc::new(Shared { waiting: Mutex::default(), changed: Condvar::new(), lost_line }))
    }

    /// Puts a line behind those that wait. Never waits itself.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.lost > 0 {
            self.own_up(&mut waiting);
        }
        if waiting.lost == 0 && waiting.has_room(&line) {
            waiting.push(line, 1);
        } else {
            waiting.lost += 1;
        }
        self.0.changed.notify_all();
    }

    /// Waits, for a bounded time, until all lines have left; says what was lost at the very end too.
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + LAST_WORDS;
        let mut waiting = self.lock();
        loop {
            if waiting.lost > 0 {
                self.own_up(&mut waiting);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let is_empty = waiting.lines.is_empty() && !waiting.is_sending;
            if is_empty || left.is_zero() {
                return;
            }
            self.0.changed.notify_all();
            let woken = self.0.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Puts the word of lost lines where they are missing, if there is room for it.
    fn own_up(&self, waiting: &mut Waiting) {
        let line = (self.0.lost_line)(waiting.lost);
        if waiting.has_room(&line) {
            waiting.push(line, waiting.lost);
            waiting.lost = 0;
        }
    }

    /// The next line, when there is one, and for how many it stands.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.lock();
        loop {
            if let Some(next) = waiting.take() {
                return next;
            }
            let woken = self.0.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn sent(&self) {
        self.lock().is_sending = false;
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what is written at once as one line.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread that sends. It ends with the process.
struct Writer {
    queue: Queue,
    path: PathBuf,
    socket: Option<Socket>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let (line, stands_for) = self.queue.take();
            self.send(&line, stands_for);
            self.queue.sent();
        }
    }

    /// Sends one line, which stands for so many, however long that takes.
    fn send(&mut self, line: &[u8], stands_for: u64) {
        let mut sent = 0;
        loop {
            let socket = match self.socket.take().map_or_else(|| Socket::connect(&self.path), Ok) {
                Ok(socket) => self.socket.insert(socket),
                Err(_) => {
                    thread::sleep(PAUSE);
                    continue;
                }
            };
            match socket.send(line, &mut sent) {
                Ok(()) => return,
                // The daemon is slow.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // No attempt would ever get it through.
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    self.queue.lock().lost += stands_for;
                    return;
                }
                // The daemon has gone; who comes after it has heard nothing of this line.
                Err(_) => {
                    self.socket = None;
                    sent = 0;
                    thread::sleep(PAUSE);
                }
            }
        }
    }
}

/// A log daemon's socket: of datagrams, or of a stream where a zero byte ends a line.
#[derive(Debug)]
enum Socket {
    Datagram(UnixDatagram),
    Stream(UnixStream),
}

impl Socket {
    fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(ATTEMPT))?;
        match socket.connect(path) {
            Ok(()) => Ok(Self::Datagram(socket)),
            Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                let socket = UnixStream::connect(path)?;
                socket.set_write_timeout(Some(ATTEMPT))?;
                Ok(Self::Stream(socket))
            }
            Err(error) => Err(error),
        }
    }

    /// Sends what is left of a line behind its first `sent` bytes.
    fn send(&mut self, line: &[u8], sent: &mut usize) -> io::Result<()> {
        match self {
            Self::Datagram(socket) => socket.send(line).map(drop),
            Self::Stream(socket) => {
                use io::Write as _;
                while *sent < line.len() {
                    *sent += socket.write(&line[*sent..])?;
                }
                socket.write(&[0]).map(drop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn queue(path: &Path) -> Queue {
        Queue::start(path, |lost| format!("{lost} lost").into_bytes(), Sandbox::off()).unwrap()
    }

    /// The next line that a daemon reads.
    fn read(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 2000];
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_slow_reader_gets_every_line_in_order_and_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = UnixDatagram::bind(dir.path().join("log")).unwrap();
        let queue = queue(&dir.path().join("log"));
        let start = Instant::now();
        for number in 0..2000 {
            queue.push(format!("line {number}").into_bytes());
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        // A socket keeps some ten datagrams; the first attempts to send more than that are over.
        thread::sleep(ATTEMPT * 2);
        for number in 0..2000 {
            assert_eq!(read(&daemon), format!("line {number}"));
        }
    }

    #[test]
    fn a_reader_that_comes_late_or_again_gets_what_was_said_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let queue = queue(&path);
        queue.push(b"before anybody listens".to_vec());
        let first = UnixDatagram::bind(&path).unwrap();
        assert_eq!(read(&first), "before anybody listens");
        queue.push(b"heard".to_vec());
        assert_eq!(read(&first), "heard");
        drop(first);
        queue.push(b"into a socket that is closed".to_vec());
        std::fs::remove_file(&path).unwrap();
        queue.push(b"into none".to_vec());
        let second = UnixDatagram::bind(&path).unwrap();
        assert_eq!(read(&second), "into a socket that is closed");
        assert_eq!(read(&second), "into none");
    }

    #[test]
    fn without_a_reader_the_queue_is_bounded_and_says_how_many_lines_are_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let queue = queue(&path);
        let line = vec![b'x'; ROOM / 64];
        queue.push(line.clone());
        while !queue.lock().is_sending {
            thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..69 {
            queue.push(line.clone());
        }
        assert!(queue.lock().bytes <= ROOM);
        let start = Instant::now();
        queue.flush();
        assert!(start.elapsed() < LAST_WORDS * 2, "{:?}", start.elapsed());

        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut buffer = vec![0; ROOM];
        daemon.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // 64 in the queue, and one in the writer's hands.
        for _ in 0..65 {
            assert_eq!(daemon.recv(&mut buffer).unwrap(), line.len());
        }
        queue.push(b"next".to_vec());
        assert_eq!(read(&daemon), "5 lost");
        assert_eq!(read(&daemon), "next");
    }

    #[test]
    fn the_end_waits_for_lines_that_have_not_left() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = UnixDatagram::bind(dir.path().join("log")).unwrap();
        let queue = queue(&dir.path().join("log"));
        for number in 0..200 {
            queue.push(format!("line {number}").into_bytes());
        }
        let reader = thread::spawn(move || (0..200).fold(String::new(), |_, _| read(&daemon)));
        queue.flush();
        assert!(queue.lock().lines.is_empty() && !queue.lock().is_sending);
        assert_eq!(reader.join().unwrap(), "line 199");
    }

    #[test]
    fn a_line_that_no_socket_takes_is_counted_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = UnixDatagram::bind(dir.path().join("log")).unwrap();
        let queue = queue(&dir.path().join("log"));
        queue.push(vec![b'x'; ROOM]);
        queue.flush();
        queue.push(b"next".to_vec());
        assert_eq!(read(&daemon), "1 lost");
        assert_eq!(read(&daemon), "next");
    }

    /// A disk that is full until it is not.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(bool, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            if disk.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.1.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted() {
        let disk = Disk::default();
        let lost = |lost| format!("{lost} lost\n").into_bytes();
        let queue = Queue::into_stream(disk.clone(), lost, Sandbox::off()).unwrap();
        let is_settled = || {
            let waiting = queue.lock();
            !waiting.is_sending && waiting.lines.is_empty()
        };
        let settle = || while !is_settled() {};
        queue.push(b"before\n".to_vec());
        settle();
        disk.0.lock().unwrap().0 = true;
        queue.push(b"one\n".to_vec());
        settle();
        disk.0.lock().unwrap().0 = false;
        queue.push(b"after\n".to_vec());
        settle();
        assert_eq!(String::from_utf8_lossy(&disk.0.lock().unwrap().1), "before\n1 lost\nafter\n");
    }

    #[test]
    fn a_reader_that_is_stuck_holds_nobody_up() {
        let (reader, stuck) = UnixStream::pair().unwrap();
        let queue = Queue::into_stream(stuck, |_| Vec::new(), Sandbox::off()).unwrap();
        let start = Instant::now();
        for _ in 0..100_000 {
            queue.push(vec![b'x'; 100]);
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert!(queue.lock().bytes <= ROOM);
        drop(reader);
    }

    #[test]
    fn a_stream_gets_a_zero_byte_after_each_line() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("log")).unwrap();
        let queue = queue(&dir.path().join("log"));
        // More than a stream keeps: lines are sent in pieces.
        let long = vec![b'y'; ROOM / 2];
        queue.push(b"first".to_vec());
        queue.push(long.clone());
        let (mut daemon, _) = listener.accept().unwrap();
        thread::sleep(ATTEMPT * 2);
        let mut text = vec![0; "first".len() + 1 + long.len() + 1];
        daemon.read_exact(&mut text).unwrap();
        let lines: Vec<&[u8]> = text.split(|&byte| byte == 0).collect();
        assert!(lines == [b"first".as_slice(), &long, b""]);
    }
}
