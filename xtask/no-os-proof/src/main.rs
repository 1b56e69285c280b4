//! A program with no standard library below it.
//!
//! It brings its own panic handler and allocator. If anything below `wire`, `crypto` or `engine` used
//! `std`, the compiler would find a second panic handler and refuse to build this. It is linked so
//! that nothing is missing, and never run.
#![no_std]
#![no_main]

extern crate alloc;

use core::{
    alloc::{GlobalAlloc, Layout},
    panic::PanicInfo,
    ptr::null_mut,
};

use crypto::{NtHash, Password};
use engine::{
    Instant,
    control::{Config, Connection, Role},
    ppp::{Link, LinkConfig},
};

/// An allocator that has no memory to give.
struct NoMemory;

// SAFETY: `alloc` reports failure, which is always allowed, so nothing is ever given back.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

// The compiler's own calls of `memcpy` and its kin, and the start files, want a C library.
#[link(name = "c")]
unsafe extern "C" {}

/// What the C start files call.
// SAFETY: no other symbol of this name is linked.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let mut connection = Connection::new(Role::Pac, Config::default(), Instant::ZERO);
    connection.handle_bytes(Instant::ZERO, &[0; 16]);
    let hash = NtHash::of(&Password::new(alloc::vec![b'x']));
    let known = wire::gre::parse(hash.as_bytes()).is_ok() && connection.poll_output().is_some();
    // The function's address keeps the PPP link in the program.
    let make: fn(LinkConfig, [u8; 32], Instant) -> Link = Link::new;
    i32::from(known) + i32::from(core::hint::black_box(make) as usize == 0)
}
