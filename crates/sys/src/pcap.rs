//! libpcap's compiler for packet filters (`pcap-filter(7)`), for the expressions of pppd's `pass-filter` and `active-filter`.
//!
//! The library is loaded when it is first needed: a machine without it runs everything that has no such filter.

use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::ptr;
use std::slice;
use std::sync::OnceLock;

use libloading::Library;

/// The library's name with the version of its binary interface: Debian's, then everybody else's.
const LIBRARIES: [&str; 2] = ["libpcap.so.0.8", "libpcap.so.1"];

/// `DLT_PPP_PPPD`: a byte for the direction, a byte that means nothing, then the PPP protocol number.
const PPP_WITH_DIRECTION: c_int = 166;
/// `PCAP_NETMASK_UNKNOWN`.
const NETMASK_UNKNOWN: c_uint = u32::MAX;
/// The largest packet.
const SNAPSHOT: c_int = 65_535;

/// An instruction of the classic packet filter (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip when a condition holds.
    pub if_true: u8,
    /// How many when it does not.
    pub if_false: u8,
    /// The operand.
    pub k: u32,
}

/// Why there is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// libpcap is not there, or cannot be used.
    NoCompiler(String),
    /// What libpcap says of the expression.
    Expression(String),
}

/// The program for an expression, for PPP packets with their direction in front (`inbound` and `outbound` may stand in it).
///
/// # Errors
///
/// The expression is none, or there is no libpcap.
pub fn compile(expression: &str) -> Result<Vec<Instruction>, Error> {
    let pcap = library()?;
    let text = CString::new(expression)
        .map_err(|_| Error::Expression("a zero byte in the expression".into()))?;
    // SAFETY: takes two numbers; gives a handle of its own, or nothing.
    let handle = unsafe { (pcap.open_dead)(PPP_WITH_DIRECTION, SNAPSHOT) };
    if handle.is_null() {
        return Err(Error::NoCompiler("pcap_open_dead gave nothing".into()));
    }
    let mut program = Program { len: 0, instructions: ptr::null_mut() };
    // SAFETY: the handle is alive, the text ends with a zero byte and outlives the call, and `program` is what pcap.h calls a bpf_program.
    let result =
        unsafe { (pcap.compile)(handle, &raw mut program, text.as_ptr(), 1, NETMASK_UNKNOWN) };
    let compiled = if result == 0 && !program.instructions.is_null() {
        // SAFETY: pcap_compile succeeded: there are `len` instructions, which stay until they are freed below.
        let instructions =
            unsafe { slice::from_raw_parts(program.instructions, program.len as usize) };
        let copy = instructions.to_vec();
        // SAFETY: what pcap_compile made, once.
        unsafe { (pcap.free_code)(&raw mut program) };
        Ok(copy)
    } else {
        // SAFETY: the handle is alive; its message ends with a zero byte and lives in it.
        let words = unsafe { CStr::from_ptr((pcap.get_error)(handle)) };
        Err(Error::Expression(words.to_string_lossy().into_owned()))
    };
    // SAFETY: the handle is ours, and is not used again.
    unsafe { (pcap.close)(handle) };
    compiled
}

/// `pcap_t`.
#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

/// `struct bpf_program`.
#[repr(C)]
struct Program {
    len: c_uint,
    instructions: *mut Instruction,
}

/// The library's functions.
struct Pcap {
    open_dead: unsafe extern "C" fn(c_int, c_int) -> *mut Handle,
    compile: unsafe extern "C" fn(*mut Handle, *mut Program, *const c_char, c_int, c_uint) -> c_int,
    get_error: unsafe extern "C" fn(*mut Handle) -> *mut c_char,
    free_code: unsafe extern "C" fn(*mut Program),
    close: unsafe extern "C" fn(*mut Handle),
    /// They are in it.
    _library: Library,
}

fn library() -> Result<&'static Pcap, Error> {
    static PCAP: OnceLock<Result<Pcap, String>> = OnceLock::new();
    let loaded = PCAP.get_or_init(|| {
        let attempts = LIBRARIES.map(|name| load(name).map_err(|error| error.to_string()));
        attempts.into_iter().reduce(Result::or).unwrap_or_else(|| Err(String::new()))
    });
    loaded.as_ref().map_err(|error| Error::NoCompiler(error.clone()))
}

fn load(name: &str) -> Result<Pcap, libloading::Error> {
    // SAFETY: libpcap does nothing when it is loaded.
    let library = unsafe { Library::new(name) }?;
    // SAFETY: the types are those of pcap/pcap.h, which the version in the library's name stands for; the functions are kept no longer than
    // the library.
    unsafe {
        Ok(Pcap {
            open_dead: *library.get(b"pcap_open_dead\0")?,
            compile: *library.get(b"pcap_compile\0")?,
            get_error: *library.get(b"pcap_geterr\0")?,
            free_code: *library.get(b"pcap_freecode\0")?,
            close: *library.get(b"pcap_close\0")?,
            _library: library,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lab's packages, which bring libpcap, may not be installed yet.
    fn compiled(expression: &str) -> Option<Result<Vec<Instruction>, String>> {
        match compile(expression) {
            Ok(program) => Some(Ok(program)),
            Err(Error::Expression(words)) => Some(Err(words)),
            Err(Error::NoCompiler(why)) => {
                println!("skipped: {why}");
                None
            }
        }
    }

    #[test]
    fn an_expression_becomes_a_program_that_ends() {
        let Some(program) = compiled("outbound and not udp port 53") else { return };
        let program = program.unwrap();
        assert!(program.len() > 5);
        assert_eq!(program.last().unwrap().code & 7, 6, "{program:?}");
        // The direction is the first byte.
        let direction = program.iter().find(|one| one.code == 0x30).unwrap();
        assert_eq!(direction.k, 0, "{program:?}");
    }

    #[test]
    fn what_is_no_expression_is_told_in_libpcaps_words() {
        let Some(result) = compiled("tcp prot 80") else { return };
        assert!(result.unwrap_err().contains("syntax error"));
        assert!(matches!(compile("a\0b"), Err(Error::Expression(_))));
    }
}
