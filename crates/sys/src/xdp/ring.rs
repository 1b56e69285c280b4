//! Memory shared with the kernel, and the rings in it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

/// A mapping of memory, unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is an owned piece of memory, reached only through what its owner makes of it; nothing in it is bound to a thread.
unsafe impl Send for Mapping {}
// SAFETY: a shared `Mapping` only gives its start and length away; what is read and written there is the business of `Ring` and `Frames`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Memory of our own, all zero.
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// Memory of a socket's, at this offset.
    pub(super) fn of(socket: BorrowedFd<'_>, len: usize, offset: u64) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::map(len, flags, socket.as_raw_fd(), offset as libc::off_t)
    }

    fn map(len: usize, flags: libc::c_int, file: libc::c_int, at: libc::off_t) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without an address and MAP_FIXED the kernel chooses a place where nothing of ours is.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, file, at) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where `len` bytes from `at` on are, if they are in here.
    pub(super) fn bytes(&self, at: usize, len: usize) -> Option<*mut u8> {
        let is_inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        // SAFETY: `at` is within the mapping, or just behind it when `len` is 0.
        is_inside.then(|| unsafe { self.start.as_ptr().add(at) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours, and whatever was made of it is gone with its owner.
        let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// A ring of `T` with one producer and one consumer, one of which is the kernel. Numbers run on and wrap.
#[derive(Debug)]
pub(super) struct Ring<T> {
    memory: Mapping,
    offsets: libc::xdp_ring_offset,
    entries: u32,
    /// The number of the next entry that we put in or take out.
    next: u32,
    _entries: std::marker::PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    /// The ring of `entries` (a power of two) entries that a socket keeps at `page_offset`.
    pub(super) fn of(
        socket: BorrowedFd<'_>,
        offsets: libc::xdp_ring_offset,
        entries: u32,
        page_offset: u64,
    ) -> io::Result<Self> {
        let len = offsets.desc as usize + entries as usize * size_of::<T>();
        let memory = Mapping::of(socket, len, page_offset)?;
        let inside = [offsets.producer, offsets.consumer]
            .iter()
            .all(|at| *at % 4 == 0 && memory.bytes(*at as usize, 4).is_some());
        if !inside
            || !offsets.desc.is_multiple_of(align_of::<T>() as u64)
            || !entries.is_power_of_two()
        {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { memory, offsets, entries, next: 0, _entries: std::marker::PhantomData })
    }

    /// How many entries we can take out: the kernel is the producer.
    pub(super) fn filled(&self) -> u32 {
        self.number(self.offsets.producer).load(Ordering::Acquire).wrapping_sub(self.next)
    }

    /// How many entries we have put in that the kernel has not taken out: it is the consumer.
    pub(super) fn pending(&self) -> u32 {
        self.next.wrapping_sub(self.number(self.offsets.consumer).load(Ordering::Acquire))
    }

    /// How many entries we can put in.
    pub(super) fn room(&self) -> u32 {
        self.entries.saturating_sub(self.pending())
    }

    /// Takes the next entry out, of those that are [`filled`](Self::filled).
    pub(super) fn take(&mut self) -> T {
        // SAFETY: the entry is inside the mapping and aligned (checked when it was made); the kernel has written it before it moved its number
        // past it, which `filled` has seen, and does not write there before `taken`. Any bytes are a value of the integers that rings hold.
        let entry = unsafe { self.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        entry
    }

    /// Gives the room of what was taken out back.
    pub(super) fn taken(&mut self) {
        self.number(self.offsets.consumer).store(self.next, Ordering::Release);
    }

    /// Puts an entry in, where there is [`room`](Self::room).
    pub(super) fn put(&mut self, entry: T) {
        // SAFETY: as in `take`; the kernel does not read there before `placed`.
        unsafe { self.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
    }

    /// Shows the kernel what was put in.
    pub(super) fn placed(&mut self) {
        self.number(self.offsets.producer).store(self.next, Ordering::Release);
    }

    fn entry(&self, number: u32) -> *mut T {
        let index = (number & (self.entries - 1)) as usize;
        let at = self.offsets.desc as usize + index * size_of::<T>();
        // SAFETY: the mapping holds `entries` entries behind `desc`.
        unsafe { self.memory.start.as_ptr().add(at).cast() }
    }

    fn number(&self, at: u64) -> &AtomicU32 {
        // SAFETY: four aligned bytes inside the mapping (checked when it was made), which live as long as `self` and which both sides change by
        // atomic operations only.
        unsafe { AtomicU32::from_ptr(self.memory.start.as_ptr().add(at as usize).cast()) }
    }
}
