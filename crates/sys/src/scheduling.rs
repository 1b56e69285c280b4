//! When the calling thread gets a processor.

use std::io;
use std::mem;
use std::time::Duration;

/// Asks for turns of this length, between 0.1 ms and 100 ms, where the kernel's scheduler knows such wishes (Linux 6.12 and later). A thread with short
/// turns waits less behind others that are busy too, and gets no more of the processor. Threads with another policy than the usual one are left alone.
///
/// # Errors
///
/// Those of the kernel; none are known.
pub fn ask_for_turns_of(turn: Duration) -> io::Result<()> {
    // SAFETY: all of it is numbers.
    let mut attributes: libc::sched_attr = unsafe { mem::zeroed() };
    let size = mem::size_of_val(&attributes);
    // SAFETY: the kernel writes at most `size` bytes to `attributes`, which outlives the call. 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if attributes.sched_policy != libc::SCHED_OTHER.cast_unsigned() {
        return Ok(());
    }
    attributes.sched_runtime = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads `attributes`, which says its size and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_asked_for_and_nothing_else_changes() {
        std::thread::spawn(|| {
            let nice = || rustix::process::getpriority_process(None).unwrap();
            let before = nice();
            ask_for_turns_of(Duration::from_micros(500)).unwrap();
            assert_eq!(nice(), before);
        })
        .join()
        .unwrap();
    }
}
