//! RC4 in x86-64 instructions, scheduled by hand: several streams row by row, a row being one step of each.
//!
//! A step of the generator is three loads and two stores. The bytes of key stream are gathered in a vector register by `pinsrb`, which takes
//! them from memory and merges nothing; indices stay below 256 because only the low byte of a cleared register is added to.

use core::arch::asm;
use core::mem::offset_of;

use super::lanes::{DATA, STRIDE, State};
use super::{BLOCK, Table, is_plain};

cpufeatures::new!(has_sse41, "sse4.1");

/// Proof that the processor has the instructions.
#[derive(Clone, Copy)]
pub(super) struct Cpu(());

/// The exchange of a step in lane `$lane`, whose index j is in register `$j`: what was at index i is in `a` then, what is there now in `b`. `$i`: address of
/// the first lane's byte at index i. `$key` adds the key's byte to index j.
///
/// The byte at index i is not loaded before the last index j is known, though its address does not need it: a load that overtakes a store to
/// the same byte whose address was not known is repeated with all that followed, and many overtake if they can.
macro_rules! exchange {
    ($lane:literal, $j:literal, $i:expr, $key:expr) => {
        concat!(
            "mov {a:e}, {",
            $j,
            ":e}\n",
            "and {a:e}, 0\n",
            "movzx {a:e}, byte ptr [",
            $i,
            " + {a} + 256 * ",
            $lane,
            "]\n",
            $key,
            "add {",
            $j,
            ":l}, {a:l}\n",
            "movzx {b:e}, byte ptr [{t} + {",
            $j,
            "} + 256 * ",
            $lane,
            "]\n",
            "mov byte ptr [",
            $i,
            " + 256 * ",
            $lane,
            "], {b:l}\n",
            "mov byte ptr [{t} + {",
            $j,
            "} + 256 * ",
            $lane,
            "], {a:l}\n",
        )
    };
}

/// One step of the generator: byte `$row` of the block. The rest as for [`exchange`].
macro_rules! generator {
    ($lane:literal, $j:literal, $i:literal, $row:literal) => {
        concat!(
            exchange!($lane, $j, $i, ""),
            "add {a:l}, {b:l}\n",
            "pinsrb xmm",
            $lane,
            ", byte ptr [{t} + {a} + 256 * ",
            $lane,
            "], ",
            $row,
            "\n",
        )
    };
}

/// Adds byte `$row` of the key of lane `$lane` to its index j.
macro_rules! add_key {
    ($lane:literal, $j:literal, $row:literal) => {
        concat!("add {", $j, ":l}, byte ptr [{t} + {keys} + ", $row, " + 16 * ", $lane, "]\n")
    };
}

/// One step of scheduling a key: byte `$row` of it. The rest as for [`exchange`].
macro_rules! scheduler {
    ($lane:literal, $j:literal, $row:literal) => {
        exchange!($lane, $j, concat!("{i} + ", $row), add_key!($lane, $j, $row))
    };
}

/// [`exchange`] for few lanes, which have no other work meanwhile: the next byte of the permutation is loaded one step early, before the stores that
/// could change it; if one did, that is put right. `$s`: the register of the byte at index i; `n`: the address of the next, which is in `a` then.
macro_rules! eager_exchange {
    ($lane:literal, $j:literal, $s:literal, $i:expr, $key:expr) => {
        concat!(
            "mov {a:e}, {",
            $j,
            ":e}\n",
            "and {a:e}, 0\n",
            $key,
            "add {",
            $j,
            ":l}, {",
            $s,
            ":l}\n",
            "movzx {a:e}, byte ptr [{n} + {a} + 256 * ",
            $lane,
            "]\n",
            "movzx {b:e}, byte ptr [{t} + {",
            $j,
            "} + 256 * ",
            $lane,
            "]\n",
            "cmp {n:l}, {",
            $j,
            ":l}\n",
            "mov byte ptr [{t} + {",
            $j,
            "} + 256 * ",
            $lane,
            "], {",
            $s,
            ":l}\n",
            "cmove {a:e}, {",
            $s,
            ":e}\n",
            "mov byte ptr [",
            $i,
            " + 256 * ",
            $lane,
            "], {b:l}\n",
        )
    };
}

/// [`generator`] for few lanes, as [`eager_exchange`].
macro_rules! eager_generator {
    ($lane:literal, $j:literal, $s:literal, $i:literal, $row:literal) => {
        concat!(
            eager_exchange!($lane, $j, $s, $i, ""),
            "add {",
            $s,
            ":l}, {b:l}\n",
            "pinsrb xmm",
            $lane,
            ", byte ptr [{t} + {",
            $s,
            "} + 256 * ",
            $lane,
            "], ",
            $row,
            "\n",
            "mov {",
            $s,
            ":e}, {a:e}\n",
        )
    };
}

/// [`scheduler`] for few lanes, as [`eager_exchange`].
macro_rules! eager_scheduler {
    ($lane:literal, $j:literal, $s:literal, $row:literal) => {
        concat!(
            eager_exchange!($lane, $j, $s, "{n} - 1", add_key!($lane, $j, $row)),
            "mov {",
            $s,
            ":e}, {a:e}\n",
        )
    };
}

/// Loads the byte at index i of lane `$lane` into register `$s`.
macro_rules! eager_start {
    ($lane:literal, $s:literal) => {
        concat!("movzx {", $s, ":e}, byte ptr [{n} + 256 * ", $lane, "]\n")
    };
}

/// The sixteen rows of a block; `$row` makes one of index i, the next index i, and the number of the row.
macro_rules! rows {
    ($row:ident) => {
        concat!(
            $row!("{i} + 1", "{i} + 2", 0),
            $row!("{i} + 2", "{i} + 3", 1),
            $row!("{i} + 3", "{i} + 4", 2),
            $row!("{i} + 4", "{i} + 5", 3),
            $row!("{i} + 5", "{i} + 6", 4),
            $row!("{i} + 6", "{i} + 7", 5),
            $row!("{i} + 7", "{i} + 8", 6),
            $row!("{i} + 8", "{i} + 9", 7),
            $row!("{i} + 9", "{i} + 10", 8),
            $row!("{i} + 10", "{i} + 11", 9),
            $row!("{i} + 11", "{i} + 12", 10),
            $row!("{i} + 12", "{i} + 13", 11),
            $row!("{i} + 13", "{i} + 14", 12),
            $row!("{i} + 14", "{i} + 15", 13),
            $row!("{i} + 15", "{e}", 14),
            $row!("{e}", "{e} + 1", 15),
        )
    };
}

/// A step of a single stream: the next byte of the permutation is loaded before the stores that could change it, as its load would wait for
/// them otherwise; if one did change it, that is put right. `$i` and `$a`: index i and the byte there; `$next_i` and `$next`: those of the next step.
macro_rules! single {
    ($i:literal, $a:literal, $next_i:literal, $next:literal) => {
        concat!(
            "add {j:l}, {",
            $a,
            ":l}\n",
            "mov {",
            $next_i,
            ":e}, {",
            $i,
            ":e}\n",
            "movzx {b:e}, byte ptr [{t} + {j}]\n",
            "inc {",
            $next_i,
            ":l}\n",
            "movzx {",
            $next,
            ":e}, byte ptr [{t} + {",
            $next_i,
            "}]\n",
            "cmp {",
            $next_i,
            ":e}, {j:e}\n",
            "mov byte ptr [{t} + {j}], {",
            $a,
            ":l}\n",
            "cmove {",
            $next,
            ":e}, {",
            $a,
            ":e}\n",
            "mov byte ptr [{t} + {",
            $i,
            "}], {b:l}\n",
        )
    };
}

/// Two steps of a single stream's generator: bytes `$row` and `$next_row` of the block.
macro_rules! single_generator {
    ($row:literal, $next_row:literal) => {
        concat!(
            single!("i", "a", "n", "c"),
            "add {a:l}, {b:l}\npinsrb xmm0, byte ptr [{t} + {a}], ",
            $row,
            "\n",
            single!("n", "c", "i", "a"),
            "add {c:l}, {b:l}\npinsrb xmm0, byte ptr [{t} + {c}], ",
            $next_row,
            "\n",
        )
    };
}

/// Two steps of scheduling a single stream's key: bytes `$row` and `$next_row` of the key.
macro_rules! single_scheduler {
    ($row:literal, $next_row:literal) => {
        concat!(
            "add {j:l}, byte ptr [{k} + ",
            $row,
            "]\n",
            single!("i", "a", "n", "c"),
            "add {j:l}, byte ptr [{k} + ",
            $next_row,
            "]\n",
            single!("n", "c", "i", "a"),
        )
    };
}

/// The pairs of rows of a block.
macro_rules! pairs {
    ($pair:ident) => {
        concat!(
            $pair!(0, 1),
            $pair!(2, 3),
            $pair!(4, 5),
            $pair!(6, 7),
            $pair!(8, 9),
            $pair!(10, 11),
            $pair!(12, 13),
            $pair!(14, 15),
        )
    };
}

macro_rules! generate_2 {
    ($i:literal, $next:literal, $row:literal) => {
        concat!(
            "lea {n}, [",
            $next,
            "]\n",
            eager_generator!(0, "j0", "s0", $i, $row),
            eager_generator!(1, "j1", "s1", $i, $row),
        )
    };
}
macro_rules! generate_4 {
    ($i:literal, $next:literal, $row:literal) => {
        concat!(
            generator!(0, "j0", $i, $row),
            generator!(1, "j1", $i, $row),
            generator!(2, "j2", $i, $row),
            generator!(3, "j3", $i, $row),
        )
    };
}
macro_rules! generate_4_schedule_1 {
    ($i:literal, $next:literal, $row:literal) => {
        concat!(generate_4!($i, $next, $row), scheduler!(4, "j4", $row))
    };
}
macro_rules! schedule_2 {
    ($i:literal, $next:literal, $row:literal) => {
        concat!(
            "inc {n}\n",
            eager_scheduler!(0, "j0", "s0", $row),
            eager_scheduler!(1, "j1", "s1", $row),
        )
    };
}
macro_rules! schedule_4 {
    ($i:literal, $next:literal, $row:literal) => {
        concat!(
            scheduler!(0, "j0", $row),
            scheduler!(1, "j1", $row),
            scheduler!(2, "j2", $row),
            scheduler!(3, "j3", $row),
        )
    };
}
macro_rules! schedule_5 {
    ($i:literal, $next:literal, $row:literal) => {
        concat!(schedule_4!($i, $next, $row), scheduler!(4, "j4", $row))
    };
}

/// XORs the gathered block of lane `$lane` into its data, whose address is in `data`.
macro_rules! xor {
    ($lane:literal) => {
        concat!(
            "mov {a}, qword ptr [{data} + 8 * ",
            $lane,
            "]\n",
            "movdqu xmm7, xmmword ptr [{a} + {o}]\n",
            "pxor xmm7, xmm",
            $lane,
            "\n",
            "movdqu xmmword ptr [{a} + {o}], xmm7\n",
        )
    };
}

macro_rules! xor_4 {
    () => {
        concat!(xor!(0), xor!(1), xor!(2), xor!(3))
    };
}

/// Blocks of key stream, `$len` bytes for each lane: after `$start`, `$rows` and `$xors` make one block, `$j` are the lanes' indices. `$more`: operands
/// that only some rows need.
macro_rules! lockstep {
    ($state:ident, $data:ident, $len:ident, $start:expr, $rows:ident, $xors:expr, [$($j:ident),*], [$($more:tt)*]) => {
        asm!(
            $start,
            "2:",
            "mov {e}, {i}",
            "add {e:l}, 16",
            rows!($rows),
            $xors,
            "mov {i}, {e}",
            "add {o}, 16",
            "cmp {o}, {end}",
            "jb 2b",
            t = in(reg) core::ptr::from_mut($state),
            i = inout(reg) core::ptr::from_mut($state).byte_add($state.i as usize) => _,
            data = in(reg) $data.as_ptr(),
            end = in(reg) $len,
            o = inout(reg) 0u64 => _,
            e = out(reg) _,
            $($j = inout(reg) $j,)*
            a = out(reg) _,
            b = out(reg) _,
            $($more)*
            out("xmm0") _,
            out("xmm1") _,
            out("xmm2") _,
            out("xmm3") _,
            out("xmm7") _,
            options(nostack),
        )
    };
}

impl Cpu {
    /// `None`: plain Rust has to do.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        (!is_plain() && has_sse41::get()).then_some(Self(()))
    }

    /// [`schedule`](super::schedule).
    pub(super) fn schedule(self, table: &mut Table, key: &[u8; BLOCK]) {
        // SAFETY: bytes of `table` at i, n and j, which stay below 256, and of `key` at 0 to 15.
        unsafe {
            asm!(
                "movzx {a:e}, byte ptr [{t}]",
                "2:",
                pairs!(single_scheduler),
                "test {i:e}, {i:e}",
                "jnz 2b",
                t = in(reg) table.as_mut_ptr(),
                k = in(reg) key.as_ptr(),
                i = inout(reg) 0u64 => _,
                n = out(reg) _,
                j = inout(reg) 0u64 => _,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                options(nostack),
            );
        }
    }

    /// [`generate`](super::generate).
    pub(super) fn generate(self, table: &mut Table, i: u8, j: &mut u8, data: &mut [[u8; BLOCK]]) {
        let bytes = data.as_flattened_mut();
        if bytes.is_empty() {
            return;
        }
        let mut index = u64::from(*j);
        // SAFETY: SSE4.1 has been detected. Bytes of `table` at i, n, j, a and c, which stay below 256; of `bytes`, whose length is a multiple
        // of 16 and not 0, at o to o + 15, o going from 0 in steps of 16 to below the length.
        unsafe {
            asm!(
                "movzx {a:e}, byte ptr [{t} + {i}]",
                "2:",
                pairs!(single_generator),
                "movdqu xmm7, xmmword ptr [{data} + {o}]",
                "pxor xmm7, xmm0",
                "movdqu xmmword ptr [{data} + {o}], xmm7",
                "add {o}, 16",
                "cmp {o}, {end}",
                "jb 2b",
                t = in(reg) table.as_mut_ptr(),
                data = in(reg) bytes.as_mut_ptr(),
                end = in(reg) bytes.len(),
                o = inout(reg) 0u64 => _,
                i = inout(reg) u64::from(i.wrapping_add(1)) => _,
                n = out(reg) _,
                j = inout(reg) index,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                out("xmm0") _,
                out("xmm7") _,
                options(nostack),
            );
        }
        *j = index as u8;
    }

    /// [`State::schedule_lanes`].
    pub(super) fn schedule_lanes<const N: usize>(self, state: &mut State) {
        const { assert!(N == 2 || N == DATA || N == DATA + 1) }
        let table = core::ptr::from_mut(state);
        macro_rules! schedule {
            ($($code:expr)*; $($j:ident),*; $($more:tt)*) => {
                asm!(
                    $($code,)*
                    "jnz 2b",
                    t = in(reg) table,
                    keys = const offset_of!(State, keys),
                    $($j = inout(reg) 0u64 => _,)*
                    a = out(reg) _,
                    b = out(reg) _,
                    $($more)*
                    options(nostack),
                )
            };
        }
        macro_rules! schedule_plain {
            ($rows:ident, $($j:ident),*) => {
                schedule!("2:" rows!($rows) "add {i:l}, 16"; $($j),*; i = inout(reg) table => _,)
            };
        }
        // SAFETY: as in `schedule`; lane n's table and key lie 256 n bytes behind the first table and 16 n bytes behind the first key. The byte
        // behind a table, which `schedule_2` loads and does not use, is in `state` too. The lowest byte of the tables' address is 0, so that
        // that of an address in the first table is the index.
        unsafe {
            match N {
                2 => schedule!(
                    eager_start!(0, "s0") eager_start!(1, "s1") "2:" rows!(schedule_2) "test {n:l}, {n:l}";
                    j0, j1; n = inout(reg) table => _, s0 = out(reg) _, s1 = out(reg) _,
                ),
                DATA => schedule_plain!(schedule_4, j0, j1, j2, j3),
                _ => schedule_plain!(schedule_5, j0, j1, j2, j3, j4),
            }
        }
    }

    /// [`State::generate_lanes`].
    pub(super) fn generate_lanes<const N: usize>(self, state: &mut State, data: [&mut [u8]; DATA]) {
        const { assert!(N == 2 || N == DATA) }
        let len = check(state, &data);
        if len == 0 {
            return;
        }
        let data = data.map(<[u8]>::as_mut_ptr);
        let [mut j0, mut j1, mut j2, mut j3] = state.j;
        // SAFETY: as in `generate`; lane n's table lies 256 n bytes behind the first; `check` has seen that the data of all lanes have `len` bytes.
        unsafe {
            if N == 2 {
                lockstep!(
                    state, data, len,
                    concat!("lea {n}, [{i} + 1]\n", eager_start!(0, "s0"), eager_start!(1, "s1")),
                    generate_2, concat!(xor!(0), xor!(1)), [j0, j1],
                    [n = out(reg) _, s0 = out(reg) _, s1 = out(reg) _,]
                );
            } else {
                lockstep!(state, data, len, "", generate_4, xor_4!(), [j0, j1, j2, j3], []);
            }
        }
        state.j = [j0, j1, j2, j3];
    }

    /// [`State::generate_and_schedule`].
    pub(super) fn generate_and_schedule(self, state: &mut State, data: [&mut [u8]; DATA]) {
        let len = check(state, &data);
        assert_eq!((len, state.i), (STRIDE, 0));
        let data = data.map(<[u8]>::as_mut_ptr);
        let [mut j0, mut j1, mut j2, mut j3] = state.j;
        let mut j4 = 0u64;
        // SAFETY: as in `generate_lanes` and `schedule_lanes`; both begin with index i at 0 and need 16 blocks.
        unsafe {
            lockstep!(
                state, data, len, "", generate_4_schedule_1, xor_4!(), [j0, j1, j2, j3, j4],
                [keys = const offset_of!(State, keys),]
            );
        }
        let _ = j4;
        state.j = [j0, j1, j2, j3];
    }
}

/// Checks what the instructions rely on, and gives the length of each lane's data.
fn check(state: &State, data: &[&mut [u8]; DATA]) -> usize {
    let len = data[0].len();
    assert!(len.is_multiple_of(BLOCK) && data.iter().all(|lane| lane.len() == len));
    assert!(state.i < 256 && state.i.is_multiple_of(BLOCK as u64));
    assert!(state.j.iter().all(|j| *j < 256));
    len
}

const _: () =
    assert!(offset_of!(State, tables) == 0 && STRIDE == 256 && align_of::<State>() == STRIDE);
