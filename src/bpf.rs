//! Classic BPF: instructions, programs that were checked as the kernel checks them, and the machine that runs them.
//!
//! A program is a plain value: `filter` makes it, `capture` gives it to the kernel, and files are filtered by running it here.
//! The instruction set is that of bpf(4) and of Linux (`include/uapi/linux/bpf_common.h`), with Linux's ancillary loads.

use thiserror::Error;

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const MAX_LEN: usize = 4096;
/// Words of scratch memory (`BPF_MEMWORDS`).
pub const MEMORY: usize = 16;
/// Loads from here on read what Linux knows beside the packet (`SKF_AD_OFF`).
pub const ANCILLARY: u32 = 0xffff_f000;

/// One instruction, as `struct sock_filter` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// The operation: one of [`op`].
    pub code: u16,
    /// How many instructions to skip when a test holds.
    pub jt: u8,
    /// How many to skip when it does not.
    pub jf: u8,
    /// The number that goes with it.
    pub k: u32,
}

impl Instruction {
    /// An instruction that does not branch.
    pub const fn new(code: u16, k: u32) -> Self {
        Self::branch(code, k, 0, 0)
    }

    /// A test, and how many instructions to skip when it holds and when not.
    pub const fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }
}

/// The operations, by the names of the BPF assembler (`ldh_abs` is `ldh [k]`, `ldh_ind` is `ldh [x + k]`).
pub mod op {
    #![allow(missing_docs)]
    pub const LD_ABS: u16 = 0x20;
    pub const LDH_ABS: u16 = 0x28;
    pub const LDB_ABS: u16 = 0x30;
    pub const LD_IND: u16 = 0x40;
    pub const LDH_IND: u16 = 0x48;
    pub const LDB_IND: u16 = 0x50;
    pub const LD_IMM: u16 = 0x00;
    pub const LD_MEM: u16 = 0x60;
    pub const LD_LEN: u16 = 0x80;
    pub const LDX_IMM: u16 = 0x01;
    pub const LDX_MEM: u16 = 0x61;
    pub const LDX_LEN: u16 = 0x81;
    /// `ldxb 4*([k]&0xf)`: the length of an IPv4 header.
    pub const LDX_MSH: u16 = 0xb1;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ADD_K: u16 = 0x04;
    pub const SUB_K: u16 = 0x14;
    pub const MUL_K: u16 = 0x24;
    pub const DIV_K: u16 = 0x34;
    pub const OR_K: u16 = 0x44;
    pub const AND_K: u16 = 0x54;
    pub const LSH_K: u16 = 0x64;
    pub const RSH_K: u16 = 0x74;
    pub const NEG: u16 = 0x84;
    pub const MOD_K: u16 = 0x94;
    pub const XOR_K: u16 = 0xa4;
    pub const ADD_X: u16 = 0x0c;
    pub const SUB_X: u16 = 0x1c;
    pub const MUL_X: u16 = 0x2c;
    pub const DIV_X: u16 = 0x3c;
    pub const OR_X: u16 = 0x4c;
    pub const AND_X: u16 = 0x5c;
    pub const LSH_X: u16 = 0x6c;
    pub const RSH_X: u16 = 0x7c;
    pub const MOD_X: u16 = 0x9c;
    pub const XOR_X: u16 = 0xac;
    pub const JA: u16 = 0x05;
    pub const JEQ_K: u16 = 0x15;
    pub const JGT_K: u16 = 0x25;
    pub const JGE_K: u16 = 0x35;
    pub const JSET_K: u16 = 0x45;
    pub const JEQ_X: u16 = 0x1d;
    pub const JGT_X: u16 = 0x2d;
    pub const JGE_X: u16 = 0x3d;
    pub const JSET_X: u16 = 0x4d;
    pub const RET_K: u16 = 0x06;
    pub const RET_A: u16 = 0x16;
    pub const TAX: u16 = 0x07;
    pub const TXA: u16 = 0x87;
}

/// What Linux knows beside the bytes: the `k` of an absolute load, counted from [`ANCILLARY`] (linux/filter.h).
pub mod ancillary {
    #![allow(missing_docs)]
    use super::ANCILLARY;
    /// EtherType without VLAN tags (`SKF_AD_PROTOCOL`).
    pub const PROTOCOL: u32 = ANCILLARY;
    /// `PACKET_HOST`, `PACKET_BROADCAST`, … (`SKF_AD_PKTTYPE`).
    pub const PACKET_TYPE: u32 = ANCILLARY + 4;
    /// Number of the interface (`SKF_AD_IFINDEX`).
    pub const IFINDEX: u32 = ANCILLARY + 8;
    /// ARPHRD_ type of the interface (`SKF_AD_HATYPE`).
    pub const HARDWARE_TYPE: u32 = ANCILLARY + 28;
    /// The VLAN tag that was taken off the frame (`SKF_AD_VLAN_TAG`).
    pub const VLAN_TAG: u32 = ANCILLARY + 44;
    /// 1 when a VLAN tag was taken off (`SKF_AD_VLAN_TAG_PRESENT`).
    pub const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
    /// All that programs may load.
    pub const ALL: [u32; 6] = [
        PROTOCOL,
        PACKET_TYPE,
        IFINDEX,
        HARDWARE_TYPE,
        VLAN_TAG,
        VLAN_TAG_PRESENT,
    ];
}

/// Why instructions are no program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("instruction {at}: {what}")]
pub struct ProgramError {
    /// Index of the instruction.
    pub at: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// What a program looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Input<'a> {
    /// The captured bytes, from the link header on.
    pub bytes: &'a [u8],
    /// Bytes on the wire.
    pub wire_len: u32,
    /// `PACKET_HOST` (0), `PACKET_OUTGOING` (4), …, where it is known.
    pub packet_type: Option<u8>,
}

/// A program that ends on every path, reads no memory before it was written, and divides by no constant zero: what the
/// kernel's checker demands, which follows memory past a `ret` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Box<[Instruction]>);

impl Program {
    /// Checks `instructions` as the kernel does when a filter is attached.
    ///
    /// # Errors
    /// Names the first instruction that is against the rules.
    pub fn new(instructions: Vec<Instruction>) -> Result<Self, ProgramError> {
        let fault = |at, what| Err(ProgramError { at, what });
        if instructions.is_empty() {
            return fault(0, "a program has at least one instruction");
        }
        if instructions.len() > MAX_LEN {
            return fault(MAX_LEN, "a program has at most 4096 instructions");
        }
        // For each instruction, the words of memory that are written on every path to it.
        let mut written = vec![u16::MAX; instructions.len()];
        let mut now = 0;
        for (at, instruction) in instructions.iter().enumerate() {
            now &= written[at];
            let &Instruction { code, jt, jf, k } = instruction;
            let mut go = |distance: u32, now: u16| {
                let target =
                    written.get_mut(at.saturating_add(distance as usize).saturating_add(1));
                target.map(|mask| *mask &= now).is_some()
            };
            let inside = match code {
                op::JA => go(k, now),
                op::JEQ_K
                | op::JGT_K
                | op::JGE_K
                | op::JSET_K
                | op::JEQ_X
                | op::JGT_X
                | op::JGE_X
                | op::JSET_X => go(jt.into(), now) && go(jf.into(), now),
                _ => true,
            };
            if !inside {
                return fault(at, "jumps past the end");
            }
            match code {
                op::LD_ABS | op::LDH_ABS | op::LDB_ABS
                    if k >= ANCILLARY && !ancillary::ALL.contains(&k) =>
                {
                    return fault(at, "loads something that is not known");
                }
                op::DIV_K | op::MOD_K if k == 0 => return fault(at, "divides by zero"),
                op::LSH_K | op::RSH_K if k >= 32 => {
                    return fault(at, "shifts by more than 31 bits");
                }
                op::ST | op::STX | op::LD_MEM | op::LDX_MEM if k as usize >= MEMORY => {
                    return fault(at, "memory has 16 words");
                }
                op::ST | op::STX => now |= 1 << k,
                op::LD_MEM | op::LDX_MEM if now & 1 << k == 0 => {
                    return fault(at, "reads memory that was not written on every path");
                }
                // To Linux's check_load_and_stores, what stands behind a return is reached from it.
                op::RET_K | op::RET_A => {}
                op::JA
                | op::JEQ_K
                | op::JGT_K
                | op::JGE_K
                | op::JSET_K
                | op::JEQ_X
                | op::JGT_X
                | op::JGE_X
                | op::JSET_X => {
                    now = u16::MAX;
                }
                _ if !is_known(code) => return fault(at, "is no operation"),
                _ => {}
            }
        }
        match instructions.last() {
            Some(Instruction {
                code: op::RET_K | op::RET_A,
                ..
            }) => Ok(Self(instructions.into())),
            _ => fault(instructions.len() - 1, "the last instruction must return"),
        }
    }

    /// The instructions, in order.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// How many bytes of the packet to keep; 0 for a packet that is not wanted, as when a load goes past its end.
    pub fn run(&self, input: &Input<'_>) -> u32 {
        self.trace(input, |_, _, _| {})
    }

    /// Runs the program and tells of each instruction before it is done: its index, and both registers A and X.
    pub fn trace(&self, input: &Input<'_>, mut see: impl FnMut(usize, u32, u32)) -> u32 {
        let (mut a, mut x) = (0u32, 0u32);
        let mut memory = [0u32; MEMORY];
        let mut at = 0;
        while let Some(&Instruction { code, jt, jf, k }) = self.0.get(at) {
            see(at, a, x);
            at += 1;
            let branch = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                op::LD_ABS | op::LDH_ABS | op::LDB_ABS if k >= ANCILLARY => match input.beside(k) {
                    Some(value) => a = value,
                    None => return 0,
                },
                op::LD_ABS | op::LD_IND => match load::<4>(input.bytes, k, index(code, x)) {
                    Some(bytes) => a = u32::from_be_bytes(bytes),
                    None => return 0,
                },
                op::LDH_ABS | op::LDH_IND => match load::<2>(input.bytes, k, index(code, x)) {
                    Some(bytes) => a = u16::from_be_bytes(bytes).into(),
                    None => return 0,
                },
                op::LDB_ABS | op::LDB_IND => match load::<1>(input.bytes, k, index(code, x)) {
                    Some([byte]) => a = byte.into(),
                    None => return 0,
                },
                op::LDX_MSH => match load::<1>(input.bytes, k, 0) {
                    Some([byte]) => x = u32::from(byte & 0x0f) << 2,
                    None => return 0,
                },
                op::LD_IMM => a = k,
                op::LDX_IMM => x = k,
                op::LD_MEM => a = memory[k as usize % MEMORY],
                op::LDX_MEM => x = memory[k as usize % MEMORY],
                op::LD_LEN => a = input.wire_len,
                op::LDX_LEN => x = input.wire_len,
                op::ST => memory[k as usize % MEMORY] = a,
                op::STX => memory[k as usize % MEMORY] = x,
                op::ADD_K => a = a.wrapping_add(k),
                op::SUB_K => a = a.wrapping_sub(k),
                op::MUL_K => a = a.wrapping_mul(k),
                op::DIV_K => a = a.checked_div(k).unwrap_or(0),
                op::MOD_K => a = a.checked_rem(k).unwrap_or(0),
                op::OR_K => a |= k,
                op::AND_K => a &= k,
                op::XOR_K => a ^= k,
                op::LSH_K => a = a.checked_shl(k).unwrap_or(0),
                op::RSH_K => a = a.checked_shr(k).unwrap_or(0),
                op::NEG => a = a.wrapping_neg(),
                op::ADD_X => a = a.wrapping_add(x),
                op::SUB_X => a = a.wrapping_sub(x),
                op::MUL_X => a = a.wrapping_mul(x),
                op::DIV_X => match a.checked_div(x) {
                    Some(quotient) => a = quotient,
                    None => return 0,
                },
                op::MOD_X => match a.checked_rem(x) {
                    Some(rest) => a = rest,
                    None => return 0,
                },
                op::OR_X => a |= x,
                op::AND_X => a &= x,
                op::XOR_X => a ^= x,
                op::LSH_X => a = a.checked_shl(x).unwrap_or(0),
                op::RSH_X => a = a.checked_shr(x).unwrap_or(0),
                op::JA => at += k as usize,
                op::JEQ_K => at += branch(a == k),
                op::JGT_K => at += branch(a > k),
                op::JGE_K => at += branch(a >= k),
                op::JSET_K => at += branch(a & k != 0),
                op::JEQ_X => at += branch(a == x),
                op::JGT_X => at += branch(a > x),
                op::JGE_X => at += branch(a >= x),
                op::JSET_X => at += branch(a & x != 0),
                op::RET_K => return k,
                op::RET_A => return a,
                op::TAX => x = a,
                op::TXA => a = x,
                _ => return 0,
            }
        }
        0
    }
}

impl Input<'_> {
    /// What is known beside the bytes. Of a frame that is not in the kernel any more, only its direction is.
    fn beside(&self, k: u32) -> Option<u32> {
        match k {
            ancillary::PACKET_TYPE => self.packet_type.map(u32::from),
            ancillary::VLAN_TAG_PRESENT => Some(0),
            _ => None,
        }
    }
}

/// X for the loads that add it.
const fn index(code: u16, x: u32) -> u32 {
    if matches!(code, op::LD_IND | op::LDH_IND | op::LDB_IND) {
        x
    } else {
        0
    }
}

/// `N` bytes at `k + x`, where that does not overflow.
fn load<const N: usize>(bytes: &[u8], k: u32, x: u32) -> Option<[u8; N]> {
    let at = k.checked_add(x)? as usize;
    bytes.get(at..)?.first_chunk().copied()
}

fn is_known(code: u16) -> bool {
    use op::*;
    const PLAIN: [u16; 38] = [
        LD_ABS, LDH_ABS, LDB_ABS, LD_IND, LDH_IND, LDB_IND, LD_IMM, LD_MEM, LD_LEN, LDX_IMM,
        LDX_MEM, LDX_LEN, LDX_MSH, ST, STX, ADD_K, SUB_K, MUL_K, DIV_K, OR_K, AND_K, LSH_K, RSH_K,
        NEG, MOD_K, XOR_K, ADD_X, SUB_X, MUL_X, DIV_X, OR_X, AND_X, LSH_X, RSH_X, MOD_X, XOR_X,
        TAX, TXA,
    ];
    PLAIN.contains(&code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(instructions: &[Instruction]) -> (usize, &'static str) {
        let error = Program::new(instructions.to_vec()).unwrap_err();
        (error.at, error.what)
    }

    #[test]
    fn takes_ip_and_refuses_what_is_too_short() {
        let ip = Program::new(vec![
            Instruction::new(op::LDH_ABS, 12),
            Instruction::branch(op::JEQ_K, 0x800, 0, 1),
            Instruction::new(op::RET_K, 262_144),
            Instruction::new(op::RET_K, 0),
        ])
        .unwrap();
        let with = |ethertype: u8, len| {
            let mut bytes = [0; 14];
            (bytes[12], bytes[13]) = (8, ethertype);
            ip.run(&Input {
                bytes: &bytes[..len],
                wire_len: 60,
                packet_type: None,
            })
        };
        assert_eq!(with(0, 14), 262_144);
        assert_eq!(with(0, 13), 0);
        assert_eq!(with(6, 14), 0);
    }

    #[test]
    fn arithmetic_is_of_32_bits_and_division_by_zero_refuses() {
        let with = |code, a, x| {
            let program = Program::new(vec![
                Instruction::new(op::LDX_IMM, x),
                Instruction::new(op::LD_IMM, a),
                Instruction::new(code, 0),
                Instruction::new(op::RET_A, 0),
            ]);
            program.unwrap().run(&Input::default())
        };
        assert_eq!(with(op::ADD_X, u32::MAX, 2), 1);
        assert_eq!(with(op::MOD_X, 7, 4), 3);
        assert_eq!(with(op::DIV_X, 7, 0), 0);
        assert_eq!(with(op::LSH_X, 1, 32), 0);
        assert_eq!(with(op::LSH_X, 1, 31), 1 << 31);
    }

    #[test]
    fn a_load_whose_place_overflows_refuses() {
        let program = Program::new(vec![
            Instruction::new(op::LDX_IMM, u32::MAX),
            Instruction::new(op::LDB_IND, 1),
            Instruction::new(op::RET_K, 1),
        ]);
        let input = Input {
            bytes: &[1; 4],
            wire_len: 4,
            packet_type: None,
        };
        assert_eq!(program.unwrap().run(&input), 0);
    }

    #[test]
    fn the_rules_of_the_kernel_hold() {
        let ret = Instruction::new(op::RET_K, 0);
        assert_eq!(at(&[]).0, 0);
        assert_eq!(
            at(&[Instruction::new(op::TAX, 0)]).1,
            "the last instruction must return"
        );
        assert_eq!(
            at(&[Instruction::branch(op::JEQ_K, 0, 0, 1), ret]).1,
            "jumps past the end"
        );
        assert_eq!(
            at(&[Instruction::new(op::JA, u32::MAX), ret]).1,
            "jumps past the end"
        );
        assert_eq!(
            at(&[Instruction::new(op::DIV_K, 0), ret]).1,
            "divides by zero"
        );
        assert_eq!(at(&[Instruction::new(op::LD_ABS, ANCILLARY + 1), ret]).0, 0);
        assert_eq!(at(&[Instruction::new(0xffff, 0), ret]).1, "is no operation");
        let unwritten = "reads memory that was not written on every path";
        assert_eq!(at(&[Instruction::new(op::LD_MEM, 0), ret]).1, unwritten);
        let branches = [
            Instruction::branch(op::JEQ_K, 0, 0, 1),
            Instruction::new(op::ST, 3),
            Instruction::new(op::LD_MEM, 3),
            ret,
        ];
        assert_eq!(at(&branches), (2, unwritten));
        // No path leads from the return to the load, but Linux thinks so.
        let around = |between| {
            vec![
                Instruction::new(op::LD_IMM, 0),
                Instruction::branch(op::JEQ_K, 0, 0, 2),
                Instruction::new(op::ST, 3),
                Instruction::branch(op::JEQ_K, 0, 1, 1),
                between,
                Instruction::new(op::LD_MEM, 3),
                ret,
            ]
        };
        assert_eq!(at(&around(ret)), (5, unwritten));
        assert!(Program::new(around(Instruction::new(op::JA, 1))).is_ok());
        assert!(Program::new(vec![ret; MAX_LEN + 1]).is_err());
    }
}
