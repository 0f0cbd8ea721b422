//! Programs of classic BPF as text: the three forms of tcpdump's `-d`, and the parts of one instruction for other listings.

use std::fmt::Write as _;

use crate::bpf::{ANCILLARY, Instruction, op};

/// How an instruction's number is written.
#[derive(Clone, Copy)]
enum Operand {
    /// Not at all.
    None,
    /// The register X.
    X,
    /// A place in the packet, or what Linux knows beside it.
    Place,
    /// A place in the packet, counted from X.
    PlaceFromX,
    /// The byte of a packet whose low half counts words.
    HeaderLength,
    /// The length of the packet.
    Length,
    /// A word of scratch memory.
    Memory,
    /// Decimal.
    Decimal,
    /// Hexadecimal.
    Hex,
    /// An instruction.
    Target,
}

/// Each operation, its word in the assembler, and its operand.
const OPERATIONS: &[(u16, &str, Operand)] = &[
    (op::LD_ABS, "ld", Operand::Place),
    (op::LDH_ABS, "ldh", Operand::Place),
    (op::LDB_ABS, "ldb", Operand::Place),
    (op::LD_IND, "ld", Operand::PlaceFromX),
    (op::LDH_IND, "ldh", Operand::PlaceFromX),
    (op::LDB_IND, "ldb", Operand::PlaceFromX),
    (op::LD_IMM, "ld", Operand::Hex),
    (op::LD_MEM, "ld", Operand::Memory),
    (op::LD_LEN, "ld", Operand::Length),
    (op::LDX_IMM, "ldx", Operand::Hex),
    (op::LDX_MEM, "ldx", Operand::Memory),
    (op::LDX_LEN, "ldx", Operand::Length),
    (op::LDX_MSH, "ldxb", Operand::HeaderLength),
    (op::ST, "st", Operand::Memory),
    (op::STX, "stx", Operand::Memory),
    (op::ADD_K, "add", Operand::Decimal),
    (op::SUB_K, "sub", Operand::Decimal),
    (op::MUL_K, "mul", Operand::Decimal),
    (op::DIV_K, "div", Operand::Decimal),
    (op::OR_K, "or", Operand::Hex),
    (op::AND_K, "and", Operand::Hex),
    (op::LSH_K, "lsh", Operand::Decimal),
    (op::RSH_K, "rsh", Operand::Decimal),
    (op::NEG, "neg", Operand::None),
    (op::MOD_K, "mod", Operand::Decimal),
    (op::XOR_K, "xor", Operand::Hex),
    (op::ADD_X, "add", Operand::X),
    (op::SUB_X, "sub", Operand::X),
    (op::MUL_X, "mul", Operand::X),
    (op::DIV_X, "div", Operand::X),
    (op::OR_X, "or", Operand::X),
    (op::AND_X, "and", Operand::X),
    (op::LSH_X, "lsh", Operand::X),
    (op::RSH_X, "rsh", Operand::X),
    (op::MOD_X, "mod", Operand::X),
    (op::XOR_X, "xor", Operand::X),
    (op::JA, "ja", Operand::Target),
    (op::JEQ_K, "jeq", Operand::Hex),
    (op::JGT_K, "jgt", Operand::Hex),
    (op::JGE_K, "jge", Operand::Hex),
    (op::JSET_K, "jset", Operand::Hex),
    (op::JEQ_X, "jeq", Operand::X),
    (op::JGT_X, "jgt", Operand::X),
    (op::JGE_X, "jge", Operand::X),
    (op::JSET_X, "jset", Operand::X),
    (op::RET_K, "ret", Operand::Decimal),
    (op::RET_A, "ret", Operand::None),
    (op::TAX, "tax", Operand::None),
    (op::TXA, "txa", Operand::None),
];

/// tcpdump's names of Linux's ancillary loads, every fourth number from [`ANCILLARY`] on.
const BESIDE: [&str; 16] = [
    "proto",
    "type",
    "ifidx",
    "nla",
    "nlan",
    "mark",
    "queue",
    "hatype",
    "rxhash",
    "cpu",
    "xor_x",
    "vlan_tci",
    "vlanp",
    "poff",
    "random",
    "vlan_tpid",
];

/// One instruction in words of the assembler: `jeq`, `#0x800`, and where it goes on when the test holds and when not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The operation.
    pub mnemonic: &'static str,
    /// What it works on; empty where nothing is named.
    pub operand: String,
    /// Indices of the instructions that follow a test.
    pub branch: Option<(usize, usize)>,
}

impl Parts {
    /// The parts of the instruction at index `at`.
    pub fn of(at: usize, instruction: &Instruction) -> Self {
        let &Instruction { code, jt, jf, k } = instruction;
        let known = OPERATIONS.iter().find(|(known, ..)| *known == code);
        let Some(&(_, mnemonic, operand)) = known else {
            return Self {
                mnemonic: "unimp",
                operand: format!("0x{code:x}"),
                branch: None,
            };
        };
        // tcpdump takes decimal numbers as signed.
        let signed = k.cast_signed();
        let operand = match operand {
            Operand::None => String::new(),
            Operand::X => "x".to_owned(),
            Operand::Place => match beside(k) {
                Some(name) => format!("[{name}]"),
                None => format!("[{signed}]"),
            },
            Operand::PlaceFromX => format!("[x + {signed}]"),
            Operand::HeaderLength => format!("4*([{signed}]&0xf)"),
            Operand::Length => "#pktlen".to_owned(),
            Operand::Memory => format!("M[{signed}]"),
            Operand::Decimal => format!("#{signed}"),
            Operand::Hex => format!("#0x{k:x}"),
            Operand::Target => (at as i64 + 1 + i64::from(signed)).to_string(),
        };
        let next = |distance: u8| at + 1 + usize::from(distance);
        Self {
            mnemonic,
            operand,
            branch: is_test(code).then(|| (next(jt), next(jf))),
        }
    }
}

/// The operation goes on at one of two instructions.
pub const fn is_test(code: u16) -> bool {
    // The class of jumps (BPF_JMP), of which `ja` knows one target only.
    code & 7 == op::JA && code != op::JA
}

fn beside(k: u32) -> Option<&'static str> {
    let distance = k.checked_sub(ANCILLARY)?;
    let name = BESIDE.get(distance as usize / 4)?;
    (distance % 4 == 0).then_some(name)
}

/// Appends a program as `tcpdump -d` prints it: one instruction a line.
pub fn assembler(program: &[Instruction], out: &mut String) {
    for (at, instruction) in program.iter().enumerate() {
        let Parts {
            mnemonic,
            operand,
            branch,
        } = Parts::of(at, instruction);
        // Writing to a String cannot fail.
        let _ = match branch {
            Some((yes, no)) => {
                writeln!(
                    out,
                    "({at:03}) {mnemonic:<8} {operand:<16} jt {yes}\tjf {no}"
                )
            }
            None => writeln!(out, "({at:03}) {mnemonic:<8} {operand}"),
        };
    }
}

/// Appends a program as `tcpdump -dd` prints it: the initialisers of a C array of `struct sock_filter`.
pub fn c_array(program: &[Instruction], out: &mut String) {
    for Instruction { code, jt, jf, k } in program {
        let _ = writeln!(out, "{{ 0x{code:x}, {jt}, {jf}, 0x{k:08x} }},");
    }
}

/// Appends a program as `tcpdump -ddd` prints it: how many instructions, then their numbers in decimal.
pub fn decimal(program: &[Instruction], out: &mut String) {
    let _ = writeln!(out, "{}", program.len());
    for Instruction { code, jt, jf, k } in program {
        let _ = writeln!(out, "{code} {jt} {jf} {k}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use super::*;
    use crate::testing;

    /// Link types by tcpdump's names: with Ethernet headers, cooked ones, and none.
    const LINKS: [&str; 6] = ["EN10MB", "LINUX_SLL", "LINUX_SLL2", "RAW", "NULL", "PPP"];

    /// Expressions that between them need every form of instruction that tcpdump makes.
    const EXPRESSIONS: &[&str] = &[
        "",
        "ip",
        "ip6",
        "arp",
        "rarp",
        "tcp",
        "udp",
        "sctp",
        "icmp",
        "icmp6",
        "igmp",
        "pim",
        "vrrp",
        "ah",
        "esp",
        "port 80",
        "tcp port 80",
        "tcp dst port 80 or 443",
        "udp src port 53",
        "src port 1 and dst port 2",
        "portrange 1-1023",
        "tcp dst portrange 6000-6063",
        "host 10.0.0.1",
        "src host 10.0.0.1 and not dst host 10.0.0.2",
        "net 192.168.0.0/16",
        "net 10.0.0.0 mask 255.0.255.0",
        "dst net 172.16.0.0/12",
        "host ::1",
        "net 2001:db8::/32",
        "src host fe80::1",
        "ip proto 47",
        "ip6 proto 58",
        "proto 17",
        "ip protochain 51",
        "protochain 6",
        "less 100",
        "greater 1500",
        "len > 100",
        "len - 14 = ip[2:2]",
        "ip[0] & 0xf != 5",
        "ip[2:2] > 576",
        "ip[6:2] & 0x1fff = 0",
        "ip[8] * 3 + 2 < 100",
        "ip[8] / 2 = 32",
        "ip[8] % 2 = 1",
        "ip[8] ^ 255 = 1",
        "ip[8] | 1 = 65",
        "ip[8] << 3 > 4",
        "ip[8] >> 3 > 4",
        "-ip[8] = 3",
        "ip[8] - ip[9] > ip[1]",
        "ip[8] * ip[9] = 0",
        "ip[8] / ip[9] = 0",
        "ip[8] % ip[9] = 0",
        "ip[8] & ip[9] = 0",
        "ip[8] | ip[9] = 0",
        "ip[8] ^ ip[9] = 0",
        "ip[8] << ip[9] = 0",
        "ip[8] >> ip[9] = 0",
        "ip[8] >= ip[9]",
        "ip[8] = ip[9]",
        "ip[0:4] = 0xffffffff",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[13] = 2",
        "tcp[12] >> 2 > 20",
        "(ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0",
        "icmp[icmptype] = icmp-echo",
        "udp[4:2] > 8",
        "ip6[6] = 17",
        "ip[ip[0]] = 3",
        "ip multicast",
        "ip broadcast",
        "ip6 multicast",
        "ip and not tcp",
        "not (tcp or udp)",
        "tcp and (port 80 or port 443) and host 10.0.0.1",
    ];

    /// The same, on Ethernet only.
    const ON_ETHERNET: &[&str] = &[
        "ether host 02:00:00:00:00:01",
        "ether src 02:00:00:00:00:01 or ether dst 02:00:00:00:00:02",
        "ether broadcast",
        "ether multicast",
        "broadcast",
        "multicast",
        "ether proto 0x88cc",
        "ether[12:2] = 0x800",
        "ether[0] & 1 = 1",
        "vlan",
        "vlan 5",
        "vlan 5 and tcp",
        "vlan and vlan and udp port 53",
        "mpls",
        "mpls 100 and ip",
        "pppoed",
        "pppoes",
        "pppoes 5 and ip",
        "geneve",
        "geneve 7 and tcp",
        "stp",
        "ipx",
        "netbeui",
        "iso",
        "isis",
        "llc",
        "llc i",
        "llc u",
        "atalk",
        "aarp",
        "decnet src 10.15",
        "lat",
    ];

    fn tcpdump(form: &str, link: &str, expression: &str) -> Option<String> {
        let run = Command::new("tcpdump")
            .args(["-n", form, "-y", link, expression])
            .output();
        let run = run.ok().filter(|run| run.status.success())?;
        String::from_utf8(run.stdout).ok()
    }

    fn instructions(decimal: &str) -> Vec<Instruction> {
        let rows = decimal.lines().skip(1).map(|line| {
            let numbers: Vec<u32> = line.split(' ').map(|n| n.parse().unwrap()).collect();
            let [code, jt, jf, k] = numbers[..] else {
                panic!("{line}")
            };
            Instruction::branch(code as u16, k, jt as u8, jf as u8)
        });
        rows.collect()
    }

    fn written(write: fn(&[Instruction], &mut String), program: &[Instruction]) -> String {
        let mut text = String::new();
        write(program, &mut text);
        text
    }

    #[test]
    fn programs_look_as_tcpdump_prints_them() {
        if tcpdump("-d", "EN10MB", "ip").is_none() {
            return testing::skipped("tcpdump is not installed");
        }
        let everywhere = LINKS
            .iter()
            .flat_map(|link| EXPRESSIONS.iter().map(move |expression| (link, expression)));
        let on_ethernet = ON_ETHERNET.iter().map(|expression| (&"EN10MB", expression));
        let mut compared = 0;
        for (link, expression) in everywhere.chain(on_ethernet) {
            // Some have no meaning on some links.
            let Some(numbers) = tcpdump("-ddd", link, expression) else {
                continue;
            };
            let program = instructions(&numbers);
            let told = (link, expression);
            assert_eq!(written(decimal, &program), numbers, "{told:?}");
            let theirs = tcpdump("-d", link, expression);
            assert_eq!(Some(written(assembler, &program)), theirs, "{told:?}");
            if *link == "EN10MB" {
                let theirs = tcpdump("-dd", link, expression);
                assert_eq!(Some(written(c_array, &program)), theirs, "{told:?}");
            }
            compared += 1;
        }
        assert!(compared > 400, "only {compared} programs were compared");
    }

    #[test]
    fn what_no_expression_makes_here_has_its_form_too() {
        let lines = |program: &[Instruction]| written(assembler, program);
        let with = |code, k| lines(&[Instruction::new(code, k)]);
        assert_eq!(with(op::LD_ABS, ANCILLARY + 4), "(000) ld       [type]\n");
        assert_eq!(
            with(op::LDB_ABS, ANCILLARY + 48),
            "(000) ldb      [vlanp]\n"
        );
        assert_eq!(with(op::LD_ABS, ANCILLARY + 64), "(000) ld       [-4032]\n");
        assert_eq!(
            with(op::LD_IND, ANCILLARY + 4),
            "(000) ld       [x + -4092]\n"
        );
        assert_eq!(with(op::JA, u32::MAX - 2), "(000) ja       -2\n");
        assert_eq!(with(op::RET_A, 0), "(000) ret      \n");
        assert_eq!(with(0xffff, 0), "(000) unimp    0xffff\n");
        assert_eq!(with(op::ADD_K, u32::MAX), "(000) add      #-1\n");
        assert_eq!(
            lines(&[Instruction::branch(op::JEQ_X, 0, 255, 0)]),
            "(000) jeq      x                jt 256\tjf 1\n"
        );
    }

    #[test]
    fn every_operation_has_its_word() {
        let known = OPERATIONS.iter().map(|(code, ..)| *code);
        let mut sorted: Vec<u16> = known.collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), OPERATIONS.len());
        let tests = OPERATIONS.iter().filter(|(code, ..)| is_test(*code));
        assert_eq!(tests.count(), 8);
    }
}
