//! The program that an interface runs for each frame.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::bpf::{self, Instruction as Do, R0, R1, R2, R3, R4, R6, R7, R8, STACK, Size};
use crate::raw::hop::{ETHERNET_LEN, FRAME_HEADER_LEN};

/// What a program says: the kernel goes on with the frame.
const PASS: i32 = 2;

/// Fields of `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const QUEUE: i16 = 16;

/// Where things are in a frame: Ethernet, IPv4 without options, GRE (RFC 2637 §4.1), as far as its call id.
const ETHERTYPE: i16 = 12;
const IP: i16 = ETHERNET_LEN as i16;
const GRE: i16 = FRAME_HEADER_LEN as i16;
const LEN: i32 = FRAME_HEADER_LEN as i32 + 8;

/// Has the kernel load the program. It gives whole GRE packets of PPTP whose call id the map `calls` has with their destination to the socket in the map `sockets` of
/// the queue that they came by and of the worker that has their call; the kernel goes on with all else, and with those whose socket is not there.
///
/// # Errors
///
/// Those of [`bpf::load`].
pub(super) fn load(
    calls: BorrowedFd<'_>,
    sockets: BorrowedFd<'_>,
    workers: usize,
) -> io::Result<OwnedFd> {
    let workers = i32::try_from(workers.max(1)).map_err(io::Error::other)?;
    bpf::load(bpf::XDP, c"gretel_gre", &assemble(calls, sockets, workers))
}

/// All skips lead to the end, where the kernel goes on with the frame.
fn assemble(calls: BorrowedFd<'_>, sockets: BorrowedFd<'_>, workers: i32) -> Vec<Do> {
    // The context, the socket's place and the address, which calls leave alone; the frame, its end, a field.
    let (context, place, address, frame, end, field) = (R6, R7, R8, R2, R3, R4);
    let mut program = vec![
        Do::copy(context, R1),
        Do::load(Size::Word, frame, context, DATA),
        Do::load(Size::Word, end, context, DATA_END),
        Do::copy(field, frame),
        Do::add_number(field, LEN),
    ];
    let mut skips = vec![program.len()];
    program.push(Do::skip_if_above(field, end, 0));
    // Fields are compared as they lie in the frame.
    let half = |number: u16| i32::from(number.to_be());
    let byte_mask = 0xff;
    for (size, at, mask, wanted) in [
        (Size::Half, ETHERTYPE, half(0xffff), half(0x0800)),
        (Size::Byte, IP, byte_mask, 0x45),
        // Neither more fragments nor an offset.
        (Size::Half, IP + 6, half(0x3fff), 0),
        (Size::Byte, IP + 9, byte_mask, 47),
        // The version, and what is inside.
        (Size::Byte, GRE + 1, 7, 1),
        (Size::Half, GRE + 2, half(0xffff), half(0x880b)),
    ] {
        program.extend([Do::load(size, field, frame, at), Do::mask(field, mask)]);
        skips.push(program.len());
        program.push(Do::skip_unless(field, wanted, 0));
    }
    // The socket's place: queue * workers + call id % workers. And whose the call is: the key lies on the stack.
    program.extend([
        Do::load(Size::Half, place, frame, GRE + 6),
        Do::from_network_half(place),
        Do::store(Size::Word, STACK, -4, place),
        Do::remainder(place, workers),
        Do::load(Size::Word, field, context, QUEUE),
        Do::multiply(field, workers),
        Do::add(place, field),
        Do::load(Size::Word, address, frame, IP + 16),
        Do::copy(R2, STACK),
        Do::add_number(R2, -4),
    ]);
    program.extend(Do::map(R1, calls));
    program.push(Do::call(bpf::MAP_LOOKUP));
    skips.push(program.len());
    program.push(Do::skip_if(R0, 0, 0));
    program.push(Do::load(Size::Word, field, R0, 0));
    skips.push(program.len());
    program.push(Do::skip_unless_same(field, address, 0));
    program.extend(Do::map(R1, sockets));
    program.extend([
        Do::copy(R2, place),
        Do::set(R3, PASS),
        Do::call(bpf::REDIRECT_MAP),
        Do::exit(),
    ]);
    for skip in skips {
        program[skip] = program[skip].over((program.len() - skip - 1) as i16);
    }
    program.extend([Do::set(R0, PASS), Do::exit()]);
    program
}
