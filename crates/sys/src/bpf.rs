//! Extended BPF programs, assembled by hand: the kernel verifies each before it runs it (bpf(2)).

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{FromRawFd, OwnedFd};

/// `BPF_PROG_LOAD` of `linux/bpf.h`.
const PROG_LOAD: libc::c_long = 5;

/// A program that reads packets and changes nothing (`BPF_PROG_TYPE_SOCKET_FILTER`).
pub(crate) const SOCKET_FILTER: u32 = 1;

/// The result, and what loads from packets give.
pub(crate) const R0: u8 = 0;
/// The context, at the start.
pub(crate) const R1: u8 = 1;
/// Where loads from packets want the context.
pub(crate) const R6: u8 = 6;

/// A `bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    /// Destination and source, of four bits each.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u32, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let registers = if cfg!(target_endian = "little") {
            source << 4 | destination
        } else {
            destination << 4 | source
        };
        Self { code: code as u8, registers, offset, immediate }
    }

    /// `destination = source`.
    pub(crate) const fn copy(destination: u8, source: u8) -> Self {
        Self::new(ALU64 | MOV | libc::BPF_X, destination, source, 0, 0)
    }

    /// `destination = number`.
    pub(crate) const fn set(destination: u8, number: i32) -> Self {
        Self::new(ALU64 | MOV | libc::BPF_K, destination, 0, 0, number)
    }

    /// `destination >>= bits`.
    pub(crate) const fn shift_right(destination: u8, bits: i32) -> Self {
        Self::new(ALU64 | libc::BPF_RSH | libc::BPF_K, destination, 0, 0, bits)
    }

    /// `destination %= number`, which is not 0.
    pub(crate) const fn remainder(destination: u8, number: i32) -> Self {
        Self::new(ALU64 | libc::BPF_MOD | libc::BPF_K, destination, 0, 0, number)
    }

    /// Skips `distance` instructions unless the register is `number`.
    pub(crate) const fn skip_unless(register: u8, number: i32, distance: i16) -> Self {
        Self::new(libc::BPF_JMP | JNE | libc::BPF_K, register, 0, distance, number)
    }

    /// Reads a byte of the packet into R0; a packet too short for it ends the program with 0.
    pub(crate) const fn packet_byte(at: i32) -> Self {
        Self::new(libc::BPF_LD | libc::BPF_ABS | libc::BPF_B, 0, 0, 0, at)
    }

    /// As [`packet_byte`](Self::packet_byte), four bytes, the first the highest.
    pub(crate) const fn packet_word(at: i32) -> Self {
        Self::new(libc::BPF_LD | libc::BPF_ABS | libc::BPF_W, 0, 0, 0, at)
    }

    /// Ends the program with R0 as its result.
    pub(crate) const fn exit() -> Self {
        Self::new(libc::BPF_JMP | EXIT, 0, 0, 0, 0)
    }
}

/// Parts of codes that classic BPF has not (`linux/bpf.h`).
const ALU64: u32 = 0x07;
const MOV: u32 = 0xb0;
const JNE: u32 = 0x50;
const EXIT: u32 = 0x90;

/// `union bpf_attr` for [`PROG_LOAD`], as far as its name.
#[repr(C)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// Has the kernel verify a program of this kind. It lives as long as the file, or whatever it is attached to. `name` is what `bpftool` shows:
/// letters, digits, `_` and `.`, of which 15 count.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_BPF` (before Linux 5.8 `CAP_SYS_ADMIN`), where unprivileged programs are off; `InvalidInput` when the
/// kernel does not like the program; `ENOSYS` (raw error) for a kernel without BPF.
pub(crate) fn load(kind: u32, name: &CStr, program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"MIT";
    let mut attributes = Load {
        kind,
        instruction_count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: [0; 16],
    };
    let (last, places) = (15, attributes.name.iter_mut());
    for (place, byte) in places.take(last).zip(name.to_bytes()) {
        *place = *byte;
    }
    // SAFETY: the kernel reads an attribute block of the size given, and the instructions and the license that it points to; all of them
    // outlive the call. It writes nothing, as there is no log.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, mem::size_of::<Load>())
    };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_a_sound_program_and_no_other() {
        let sound = [Instruction::set(R0, 7), Instruction::exit()];
        match load(SOCKET_FILTER, c"sound", &sound) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return eprintln!("skipped: no BPF programs for us here: {error}");
            }
            loaded => drop(loaded.unwrap()),
        }
        // Its result has never been set.
        let error = load(SOCKET_FILTER, c"unsound", &sound[1..]).unwrap_err();
        assert!(matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
        ));
    }
}
