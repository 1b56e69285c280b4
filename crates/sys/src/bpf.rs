//! Extended BPF programs, assembled by hand: the kernel verifies each before it runs it (bpf(2)).

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// Commands of `linux/bpf.h`.
const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;

/// A program that reads packets and changes nothing (`BPF_PROG_TYPE_SOCKET_FILTER`).
pub(crate) const SOCKET_FILTER: u32 = 1;
/// A program that an interface runs for each frame that comes (`BPF_PROG_TYPE_XDP`), and where it is attached (`BPF_XDP`).
pub(crate) const XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;

/// A map from small numbers, all of which are in it (`BPF_MAP_TYPE_ARRAY`).
pub(crate) const ARRAY: u32 = 2;
/// A map from small numbers to AF_XDP sockets (`BPF_MAP_TYPE_XSKMAP`).
pub(crate) const XSK_MAP: u32 = 17;

/// `bpf_map_lookup_elem(map, key)` gives where the value is, or 0.
pub(crate) const MAP_LOOKUP: i32 = 1;
/// `bpf_redirect_map(map, key, otherwise)` gives what an XDP program is to end with.
pub(crate) const REDIRECT_MAP: i32 = 51;

/// The result, and what loads from packets give.
pub(crate) const R0: u8 = 0;
/// The context, at the start. Calls take arguments from here on, and leave nothing in up to R5.
pub(crate) const R1: u8 = 1;
pub(crate) const R2: u8 = 2;
pub(crate) const R3: u8 = 3;
pub(crate) const R4: u8 = 4;
/// Where loads from packets want the context. Calls leave it and the next two alone.
pub(crate) const R6: u8 = 6;
pub(crate) const R7: u8 = 7;
pub(crate) const R8: u8 = 8;
/// The end of the stack.
pub(crate) const STACK: u8 = 10;

/// How many bytes a load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Byte = libc::BPF_B as isize,
    Half = libc::BPF_H as isize,
    Word = libc::BPF_W as isize,
}

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

    /// `destination += source`.
    pub(crate) const fn add(destination: u8, source: u8) -> Self {
        Self::new(ALU64 | libc::BPF_ADD | libc::BPF_X, destination, source, 0, 0)
    }

    /// `destination += number`.
    pub(crate) const fn add_number(destination: u8, number: i32) -> Self {
        Self::new(ALU64 | libc::BPF_ADD | libc::BPF_K, destination, 0, 0, number)
    }

    /// `destination *= number`.
    pub(crate) const fn multiply(destination: u8, number: i32) -> Self {
        Self::new(ALU64 | libc::BPF_MUL | libc::BPF_K, destination, 0, 0, number)
    }

    /// `destination &= number`.
    pub(crate) const fn mask(destination: u8, number: i32) -> Self {
        Self::new(ALU64 | libc::BPF_AND | libc::BPF_K, destination, 0, 0, number)
    }

    /// Makes a number of 16 bits in network order.
    pub(crate) const fn from_network_half(register: u8) -> Self {
        Self::new(libc::BPF_ALU | BYTE_ORDER | TO_NETWORK, register, 0, 0, 16)
    }

    /// `destination = *(source + offset)`, filled up with zeros.
    pub(crate) const fn load(size: Size, destination: u8, source: u8, offset: i16) -> Self {
        Self::new(libc::BPF_LDX | MEMORY | size as u32, destination, source, offset, 0)
    }

    /// `*(destination + offset) = source`.
    pub(crate) const fn store(size: Size, destination: u8, offset: i16, source: u8) -> Self {
        Self::new(libc::BPF_STX | MEMORY | size as u32, destination, source, offset, 0)
    }

    /// Skips `distance` instructions if the register is `number`.
    pub(crate) const fn skip_if(register: u8, number: i32, distance: i16) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, register, 0, distance, number)
    }

    /// Skips `distance` instructions if the first register is above the second.
    pub(crate) const fn skip_if_above(first: u8, second: u8, distance: i16) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_X, first, second, distance, 0)
    }

    /// Skips `distance` instructions unless both registers are the same.
    pub(crate) const fn skip_unless_same(first: u8, second: u8, distance: i16) -> Self {
        Self::new(libc::BPF_JMP | JNE | libc::BPF_X, first, second, distance, 0)
    }

    /// The same skip over `distance` instructions.
    pub(crate) const fn over(self, distance: i16) -> Self {
        Self { offset: distance, ..self }
    }

    /// `destination` = a map, which the program keeps.
    pub(crate) fn map(destination: u8, map: BorrowedFd<'_>) -> [Self; 2] {
        let code = libc::BPF_LD | libc::BPF_IMM | DOUBLE;
        [Self::new(code, destination, PSEUDO_MAP_FD, 0, map.as_raw_fd()), Self::new(0, 0, 0, 0, 0)]
    }

    /// R0 = what a function of the kernel's gives.
    pub(crate) const fn call(function: i32) -> Self {
        Self::new(libc::BPF_JMP | CALL, 0, 0, 0, function)
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
const CALL: u32 = 0x80;
const EXIT: u32 = 0x90;
const MEMORY: u32 = 0x60;
const DOUBLE: u32 = 0x18;
const BYTE_ORDER: u32 = 0xd0;
const TO_NETWORK: u32 = 0x08;
const PSEUDO_MAP_FD: u8 = 1;

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
    // SAFETY: the instructions and the license that the attributes point to outlive the call. It writes nothing, as there is no log.
    unsafe { open(PROG_LOAD, &attributes) }
}

/// Makes a map from keys to values of so many bytes, with room for so many.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_BPF`, for some kinds `CAP_NET_ADMIN`.
pub(crate) fn create_map(kind: u32, lens: [usize; 2], entries: usize) -> io::Result<OwnedFd> {
    let [key_len, value_len] = lens.map(|len| len as u32);
    // SAFETY: these attributes hold no pointer.
    unsafe { open(MAP_CREATE, &Map { kind, key_len, value_len, entries: entries as u32 }) }
}

/// Puts a value into a map whose keys and values have four bytes.
///
/// # Errors
///
/// `E2BIG` (raw error) when there is no room; those of the map's kind.
pub(crate) fn update_map(map: BorrowedFd<'_>, key: [u8; 4], value: [u8; 4]) -> io::Result<()> {
    let attributes = Update {
        map: map.as_raw_fd().cast_unsigned(),
        pad: 0,
        key: key.as_ptr() as u64,
        value: value.as_ptr() as u64,
        flags: 0,
    };
    // SAFETY: key and value outlive the call, which reads four bytes of each: all maps of this crate are made with such.
    unsafe { call(MAP_UPDATE, &attributes) }.map(|_| ())
}

/// Attaches an XDP program to an interface for as long as the descriptor is open: when this process ends, however it ends, it is detached.
///
/// # Errors
///
/// `ResourceBusy` or `AlreadyExists` when another program is there; others where the interface has no such mode, or the kernel (before 5.9) no
/// such links.
pub(crate) fn attach_xdp(
    program: BorrowedFd<'_>,
    interface: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let program = program.as_raw_fd().cast_unsigned();
    // SAFETY: these attributes hold no pointer.
    unsafe { open(LINK_CREATE, &Link { program, interface, place: ATTACH_XDP, flags }) }
}

/// `union bpf_attr` for [`MAP_CREATE`].
#[repr(C)]
struct Map {
    kind: u32,
    key_len: u32,
    value_len: u32,
    entries: u32,
}

/// `union bpf_attr` for [`MAP_UPDATE`].
#[repr(C)]
struct Update {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` for [`LINK_CREATE`].
#[repr(C)]
struct Link {
    program: u32,
    interface: u32,
    place: u32,
    flags: u32,
}

/// # Safety
///
/// `T` is the beginning of `union bpf_attr` for this command, which only reads what its pointers point to; that outlives the call.
unsafe fn call<T>(command: libc::c_long, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads an attribute block of the size given, which outlives the call; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), mem::size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// # Safety
///
/// As for [`call`], and the command gives a new descriptor.
unsafe fn open<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { call(command, attributes) }?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
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
