//! Lets User-Mode Linux run on processors whose state is larger than it knows.
//!
//! It gives the registers of a guest's process back with `ptrace(PTRACE_SETREGSET, …, NT_X86_XSTATE, …)`, from a buffer of fixed size. Linux takes
//! all of the processor's state or nothing (`EFAULT`), and AMX alone has 8 KiB of it. This library, preloaded into `linux.uml`, appends what is
//! missing: zeros, which count for nothing, as the header says which registers are there.

use std::ffi::{CStr, c_int, c_long, c_uint, c_void};
use std::sync::{Mutex, OnceLock};

use libc::{EFAULT, PTRACE_GETREGSET, PTRACE_SETREGSET, iovec, pid_t};

/// The note that names the whole state (`<linux/elf.h>`).
const NT_X86_XSTATE: usize = 0x202;

/// More than any processor's state.
const LARGEST: usize = 64 * 1024;

type Ptrace = unsafe extern "C" fn(c_uint, pid_t, *mut c_void, *mut c_void) -> c_long;

/// What is given to the kernel in place of a buffer that is too short. Not on the stack: a guest kernel's is small.
static WHOLE: Mutex<[u8; LARGEST]> = Mutex::new([0; LARGEST]);

/// `ptrace(2)`, for a program that calls it with four arguments always.
///
/// # Safety
///
/// That of `ptrace(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ptrace(
    request: c_uint,
    process: pid_t,
    address: *mut c_void,
    data: *mut c_void,
) -> c_long {
    let Some(real) = real() else { return fail(libc::ENOSYS) };
    // SAFETY: the caller's own call.
    let result = unsafe { real(request, process, address, data) };
    let is_refused = result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(EFAULT);
    if !is_refused || request != PTRACE_SETREGSET || address as usize != NT_X86_XSTATE {
        return result;
    }
    // SAFETY: for this request `data` points to an `iovec`, which points to as many bytes as it says.
    let known = unsafe {
        let known = &*data.cast::<iovec>();
        std::slice::from_raw_parts(known.iov_base.cast::<u8>(), known.iov_len)
    };
    let Ok(mut whole) = WHOLE.try_lock() else { return fail(EFAULT) };
    let Some(size) = size(real, process, &mut *whole).filter(|size| *size > known.len()) else {
        return fail(EFAULT);
    };
    whole[..known.len()].copy_from_slice(known);
    whole[known.len()..size].fill(0);
    let mut buffer = iovec { iov_base: whole.as_mut_ptr().cast(), iov_len: size };
    // SAFETY: the buffer has that many bytes, and the lock keeps it.
    unsafe { real(request, process, address, (&raw mut buffer).cast()) }
}

/// The size of the processor's state, which is the same for all processes.
fn size(real: Ptrace, process: pid_t, whole: &mut [u8]) -> Option<usize> {
    static SIZE: OnceLock<usize> = OnceLock::new();
    if let Some(size) = SIZE.get() {
        return Some(*size);
    }
    let mut buffer = iovec { iov_base: whole.as_mut_ptr().cast(), iov_len: whole.len() };
    let kind = NT_X86_XSTATE as *mut c_void;
    // SAFETY: the buffer has that many bytes.
    let result = unsafe { real(PTRACE_GETREGSET, process, kind, (&raw mut buffer).cast()) };
    (result == 0).then(|| *SIZE.get_or_init(|| buffer.iov_len))
}

/// The C library's `ptrace`.
fn real() -> Option<Ptrace> {
    static REAL: OnceLock<Option<Ptrace>> = OnceLock::new();
    const NAME: &CStr = c"ptrace";
    *REAL.get_or_init(|| {
        // SAFETY: asks for a symbol of that name behind this library.
        let symbol = unsafe { libc::dlsym(libc::RTLD_NEXT, NAME.as_ptr()) };
        // SAFETY: on this system the variadic function takes four arguments in the same places.
        (!symbol.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Ptrace>(symbol) })
    })
}

fn fail(error: c_int) -> c_long {
    // SAFETY: the calling thread's own variable.
    unsafe { *libc::__errno_location() = error };
    -1
}
