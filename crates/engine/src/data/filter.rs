//! Packet filters as pppd has them (`pass-filter`, `active-filter`): programs of the classic packet filter, run on the packets of a call.
//!
//! A program sees what the kernel's PPP shows it (libpcap's link type `DLT_PPP_PPPD`): a byte for the direction (0 from the peer, 1 to the peer),
//! a zero, the protocol number in two bytes, then the IP packet.

use alloc::boxed::Box;

use wire::ppp::Protocol;

/// The most instructions of a program (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// The cells of a program's memory (`BPF_MEMWORDS`).
const CELLS: usize = 16;

/// What stands before the IP packet.
const HEADER: usize = 4;

/// An instruction (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do: class, size, mode, operation.
    pub code: u16,
    /// How many instructions to skip when a condition holds.
    pub if_true: u8,
    /// How many when it does not.
    pub if_false: u8,
    /// The operand.
    pub k: u32,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// A program that ends whatever packet it is given.
#[derive(Debug, PartialEq, Eq)]
pub struct Program(Box<[Instruction]>);

/// What a call's packets are measured by.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Packets that do not match are dropped.
    pub pass: Option<Program>,
    /// Packets that do not match do not count as traffic.
    pub active: Option<Program>,
}

/// A packet as a program sees it.
struct View<'a> {
    header: [u8; HEADER],
    packet: &'a [u8],
}

impl View<'_> {
    fn len(&self) -> usize {
        HEADER + self.packet.len()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        match at.checked_sub(HEADER) {
            None => Some(self.header[at]),
            Some(at) => self.packet.get(at).copied(),
        }
    }

    /// `size` bytes in the network's order.
    fn load(&self, at: usize, size: usize) -> Option<u32> {
        let mut value = 0;
        for at in at..at.checked_add(size)? {
            value = value << 8 | u32::from(self.byte(at)?);
        }
        Some(value)
    }
}

/// The classes of instructions, their sizes, modes and operations (linux/bpf_common.h).
mod code {
    pub(super) const CLASS: u16 = 0x07;
    pub(super) const LD: u16 = 0x00;
    pub(super) const LDX: u16 = 0x01;
    pub(super) const ST: u16 = 0x02;
    pub(super) const STX: u16 = 0x03;
    pub(super) const ALU: u16 = 0x04;
    pub(super) const JMP: u16 = 0x05;
    pub(super) const RET: u16 = 0x06;
    pub(super) const MISC: u16 = 0x07;

    pub(super) const SIZE: u16 = 0x18;
    pub(super) const WORD: u16 = 0x00;
    pub(super) const HALF: u16 = 0x08;
    pub(super) const BYTE: u16 = 0x10;

    pub(super) const MODE: u16 = 0xe0;
    pub(super) const IMMEDIATE: u16 = 0x00;
    pub(super) const ABSOLUTE: u16 = 0x20;
    pub(super) const INDIRECT: u16 = 0x40;
    pub(super) const MEMORY: u16 = 0x60;
    pub(super) const LENGTH: u16 = 0x80;
    pub(super) const IP_HEADER: u16 = 0xa0;

    pub(super) const OPERATION: u16 = 0xf0;
    pub(super) const ADD: u16 = 0x00;
    pub(super) const SUB: u16 = 0x10;
    pub(super) const MUL: u16 = 0x20;
    pub(super) const DIV: u16 = 0x30;
    pub(super) const OR: u16 = 0x40;
    pub(super) const AND: u16 = 0x50;
    pub(super) const LSH: u16 = 0x60;
    pub(super) const RSH: u16 = 0x70;
    pub(super) const MOD: u16 = 0x90;
    pub(super) const XOR: u16 = 0xa0;

    pub(super) const ALWAYS: u16 = 0x00;
    pub(super) const EQUAL: u16 = 0x10;
    pub(super) const GREATER: u16 = 0x20;
    pub(super) const GREATER_OR_EQUAL: u16 = 0x30;
    pub(super) const ANY_BIT: u16 = 0x40;

    /// The operand is the index register.
    pub(super) const BY_INDEX: u16 = 0x08;
    /// The answer is the accumulator.
    pub(super) const ACCUMULATOR: u16 = 0x10;
    /// From the index register to the accumulator.
    pub(super) const TXA: u16 = 0x80;
}

impl Program {
    /// Takes a program. `None` when it has no instructions or too many, has a jump or a memory cell out of bounds, does not end, or has an
    /// instruction that is not known. Jumps only go forward, so that it ends after as many steps as it has instructions.
    #[must_use]
    pub fn new(instructions: &[Instruction]) -> Option<Self> {
        let len = instructions.len();
        let ends = instructions.last().is_some_and(|last| last.code & code::CLASS == code::RET);
        let fits = |(at, one): (usize, &Instruction)| is_known(one.code) && is_in(one, len - at);
        let good = len <= MAX_INSTRUCTIONS && ends && instructions.iter().enumerate().all(fits);
        good.then(|| Self(instructions.into()))
    }

    /// Whether an IP packet matches. One that is too short for what the program asks does not.
    #[must_use]
    pub fn matches(&self, direction: Direction, protocol: Protocol, packet: &[u8]) -> bool {
        let direction = match direction {
            Direction::In => 0,
            Direction::Out => 1,
        };
        let [high, low] = protocol.0.to_be_bytes();
        let view = View { header: [direction, 0, high, low], packet };
        self.run(&view).is_some_and(|answer| answer != 0)
    }

    /// `None`: the packet is too short, or a division by zero.
    fn run(&self, view: &View<'_>) -> Option<u32> {
        let (mut a, mut x, mut cells) = (0_u32, 0_u32, [0_u32; CELLS]);
        let mut next = 0;
        while let Some(&Instruction { code, if_true, if_false, k }) = self.0.get(next) {
            next += 1;
            match code & code::CLASS {
                code::LD => a = load(view, code, k, x, &cells)?,
                code::LDX => x = load(view, code, k, x, &cells)?,
                code::ST => cells[k as usize % CELLS] = a,
                code::STX => cells[k as usize % CELLS] = x,
                code::ALU => a = calculate(code, a, operand(code, k, x))?,
                code::JMP => {
                    let skip = match code & code::OPERATION {
                        code::ALWAYS => k,
                        _ if holds(code, a, operand(code, k, x)) => u32::from(if_true),
                        _ => u32::from(if_false),
                    };
                    next += skip as usize;
                }
                code::RET if code & code::ACCUMULATOR != 0 => return Some(a),
                code::RET => return Some(k),
                _ if code & code::TXA != 0 => a = x,
                _ => x = a,
            }
        }
        None
    }
}

fn operand(code: u16, k: u32, x: u32) -> u32 {
    if code & code::BY_INDEX != 0 { x } else { k }
}

fn load(view: &View<'_>, code: u16, k: u32, x: u32, cells: &[u32; CELLS]) -> Option<u32> {
    let size = match code & code::SIZE {
        code::WORD => 4,
        code::HALF => 2,
        _ => 1,
    };
    match code & code::MODE {
        code::IMMEDIATE => Some(k),
        code::ABSOLUTE => view.load(k as usize, size),
        code::INDIRECT => view.load(x.checked_add(k)? as usize, size),
        code::MEMORY => Some(cells[k as usize % CELLS]),
        code::LENGTH => u32::try_from(view.len()).ok(),
        // Four times the low half of a byte: the length of an IPv4 header.
        _ => view.load(k as usize, 1).map(|byte| (byte & 0xf) * 4),
    }
}

fn calculate(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code & code::OPERATION {
        code::ADD => a.wrapping_add(operand),
        code::SUB => a.wrapping_sub(operand),
        code::MUL => a.wrapping_mul(operand),
        code::DIV => a.checked_div(operand)?,
        code::MOD => a.checked_rem(operand)?,
        code::OR => a | operand,
        code::AND => a & operand,
        code::XOR => a ^ operand,
        code::LSH => a.checked_shl(operand).unwrap_or(0),
        code::RSH => a.checked_shr(operand).unwrap_or(0),
        // The only operation left: the negative.
        _ => a.wrapping_neg(),
    })
}

fn holds(code: u16, a: u32, operand: u32) -> bool {
    match code & code::OPERATION {
        code::EQUAL => a == operand,
        code::GREATER => a > operand,
        code::GREATER_OR_EQUAL => a >= operand,
        _ => a & operand != 0,
    }
}

fn is_known(code: u16) -> bool {
    let size = code & code::SIZE;
    let sized = matches!(size, code::WORD | code::HALF | code::BYTE);
    let mode = code & code::MODE;
    let operation = code & code::OPERATION;
    // No class uses the bits above.
    code <= 0xff
        && match code & code::CLASS {
            code::LD => match mode {
                code::ABSOLUTE | code::INDIRECT => sized,
                code::IMMEDIATE | code::MEMORY | code::LENGTH => size == code::WORD,
                _ => false,
            },
            code::LDX => match mode {
                code::IMMEDIATE | code::MEMORY | code::LENGTH => size == code::WORD,
                code::IP_HEADER => size == code::BYTE,
                _ => false,
            },
            code::ST | code::STX => code & !code::CLASS == 0,
            code::ALU => operation <= code::XOR,
            code::JMP => operation <= code::ANY_BIT,
            code::RET => matches!(code & !code::CLASS, 0 | code::ACCUMULATOR),
            code::MISC => matches!(code & !code::CLASS, 0 | code::TXA),
            _ => false,
        }
}

/// Whether a jump stays in the program and a cell in the memory. `left`: how many instructions there are from this one on.
fn is_in(instruction: &Instruction, left: usize) -> bool {
    let Instruction { code, if_true, if_false, k } = *instruction;
    let lands = |skip: usize| skip < left - 1;
    match code & code::CLASS {
        code::JMP if code & code::OPERATION == code::ALWAYS => lands(k as usize),
        code::JMP => lands(usize::from(if_true)) && lands(usize::from(if_false)),
        code::ST | code::STX => (k as usize) < CELLS,
        code::LD | code::LDX if code & code::MODE == code::MEMORY => (k as usize) < CELLS,
        code::ALU if matches!(code & code::OPERATION, code::DIV | code::MOD) => {
            code & code::BY_INDEX != 0 || k != 0
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn one(code: u16, if_true: u8, if_false: u8, k: u32) -> Instruction {
        Instruction { code, if_true, if_false, k }
    }

    /// What libpcap makes of `outbound and udp port 53` for DLT_PPP_PPPD, IPv4 only.
    fn outbound_dns() -> Program {
        Program::new(&[
            one(0x30, 0, 0, 0),
            one(0x15, 0, 11, 1),
            one(0x28, 0, 0, 2),
            one(0x15, 0, 9, 0x21),
            one(0x30, 0, 0, 13),
            one(0x15, 0, 7, 17),
            one(0x28, 0, 0, 10),
            one(0x45, 5, 0, 0x1fff),
            one(0xb1, 0, 0, 4),
            one(0x48, 0, 0, 4),
            one(0x15, 1, 0, 53),
            one(0x48, 0, 0, 6),
            one(0x06, 0, 0, 65_535),
            one(0x06, 0, 0, 0),
        ])
        .unwrap()
    }

    fn udp(port: u16) -> Vec<u8> {
        let mut packet = alloc::vec![0; 28];
        packet[0] = 0x45;
        packet[9] = 17;
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet
    }

    #[test]
    fn a_program_tells_packets_apart_by_direction_protocol_and_port() {
        let program = outbound_dns();
        let v4 = |direction, packet: &[u8]| program.matches(direction, Protocol::IPV4, packet);
        assert!(v4(Direction::Out, &udp(53)));
        assert!(!v4(Direction::In, &udp(53)));
        assert!(!program.matches(Direction::Out, Protocol::IPV6, &udp(53)));
        let mut tcp = udp(53);
        tcp[9] = 6;
        assert!(!v4(Direction::Out, &tcp));
    }

    #[test]
    fn a_packet_too_short_for_the_question_does_not_match() {
        let program = outbound_dns();
        for len in 0..21 {
            assert!(!program.matches(Direction::Out, Protocol::IPV4, &udp(53)[..len]), "{len}");
        }
    }

    #[test]
    fn programs_that_could_leave_their_bounds_are_refused() {
        let end = one(0x06, 0, 0, 1);
        let refused = |instruction| Program::new(&[instruction, end]).is_none();
        assert!(Program::new(&[]).is_none() && Program::new(&[one(0x30, 0, 0, 0)]).is_none());
        assert!(refused(one(0x15, 1, 0, 0)) && refused(one(0x15, 0, 1, 0)));
        assert!(refused(one(0x05, 0, 0, 1)) && refused(one(0x05, 0, 0, u32::MAX)));
        assert!(refused(one(0x02, 0, 0, 16)) && refused(one(0x60, 0, 0, 16)));
        assert!(refused(one(0x34, 0, 0, 0)) && refused(one(0xff00, 0, 0, 0)));
        assert!(!refused(one(0x15, 0, 0, 0)) && !refused(one(0x02, 0, 0, 15)));
        assert!(Program::new(&[end; MAX_INSTRUCTIONS + 1]).is_none());
    }

    #[test]
    fn arithmetic_wraps_and_a_division_by_zero_matches_nothing() {
        let run = |instructions: &[Instruction]| {
            let view = View { header: [0; HEADER], packet: &[] };
            Program::new(instructions).unwrap().run(&view)
        };
        let answer = one(0x16, 0, 0, 0);
        assert_eq!(run(&[one(0, 0, 0, 1), one(0x14, 0, 0, 2), answer]), Some(u32::MAX));
        assert_eq!(run(&[one(0, 0, 0, 1), one(0x64, 0, 0, 32), answer]), Some(0));
        assert_eq!(run(&[one(0, 0, 0, 7), one(0x3c, 0, 0, 0), answer]), None);
        assert_eq!(run(&[one(0, 0, 0, 7), one(0x84, 0, 0, 0), answer]), Some(7_u32.wrapping_neg()));
        assert_eq!(run(&[one(0x80, 0, 0, 0), answer]), Some(4));
    }

    proptest! {
        #[test]
        fn any_program_that_is_taken_ends_on_any_packet(
            words in proptest::collection::vec((0_u16..0x100, 0_u8..6, 0_u8..6, any::<u32>()), 1..40),
            packet in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut instructions: Vec<_> =
                words.into_iter().map(|(code, t, f, k)| one(code, t, f, k % 64)).collect();
            instructions.push(one(0x16, 0, 0, 0));
            if let Some(program) = Program::new(&instructions) {
                let view = View { header: [0; HEADER], packet: &packet };
                prop_assert_eq!(program.run(&view), program.run(&view));
            }
        }
    }
}
