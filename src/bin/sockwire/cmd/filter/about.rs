//! What an instruction of a filter's program is about, in words: what it reads, and what it asks of it.

use std::net::Ipv4Addr;

use sockwire::{
    bpf::{ANCILLARY, Instruction, op},
    field::Field,
    filter::capture::Note,
    proto,
};

/// How the numbers of what is read are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Decimal,
    Hex(usize),
    Ipv4,
    /// 1 when it is so.
    Truth,
}

/// What notes speak of: how its numbers are shown, and the field whose table has names for them.
const NUMBERS: &[(&str, Form, &str)] = &[
    ("EtherType", Form::Hex(4), "eth.type"),
    ("protocol of the Geneve header", Form::Hex(4), "eth.type"),
    ("PPP protocol", Form::Hex(4), "ppp.protocol"),
    ("protocol of the IPv4 header", Form::Decimal, "ip.proto"),
    ("next header of the IPv6 header", Form::Decimal, "ip.proto"),
    (
        "next header of the fragment header",
        Form::Decimal,
        "ip.proto",
    ),
    ("next header", Form::Decimal, "ip.proto"),
    ("source address", Form::Ipv4, ""),
    ("destination address", Form::Ipv4, ""),
    ("source hardware address", Form::Hex(4), ""),
    ("destination hardware address", Form::Hex(4), ""),
    ("part of the IPv6 source address", Form::Hex(8), ""),
    ("part of the IPv6 destination address", Form::Hex(8), ""),
    ("IP version", Form::Hex(2), ""),
    // With the three flags before it.
    ("fragment offset", Form::Hex(4), ""),
    ("direction", Form::Decimal, "sll.pkttype"),
    ("a VLAN tag was taken off", Form::Truth, ""),
    ("LLC and SNAP header", Form::Hex(4), ""),
];

/// Values that an expression computes: the note has no name for them.
const COMPUTED: &str = "this value";

/// A number in words: how it is written, and its name.
pub(super) struct Number {
    pub(super) plain: String,
    pub(super) name: Option<&'static str>,
}

impl Number {
    /// `number` as a value of `what`.
    pub(super) fn of(what: &str, number: u32) -> Self {
        let (form, field) = form(what);
        let plain = match form {
            Form::Decimal | Form::Truth if number < 0x1_0000 => number.to_string(),
            Form::Decimal | Form::Truth => format!("0x{number:x}"),
            Form::Hex(digits) => format!("0x{number:0digits$x}"),
            Form::Ipv4 => Ipv4Addr::from(number).to_string(),
        };
        Self {
            plain,
            name: name(field, number),
        }
    }
}

/// "IPv4 (0x0800)", or the number alone.
impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name} ({})", self.plain),
            None => f.write_str(&self.plain),
        }
    }
}

fn form(what: &str) -> (Form, &'static str) {
    let known = NUMBERS.iter().find(|(known, ..)| *known == what);
    known.map_or((Form::Decimal, ""), |&(_, form, field)| (form, field))
}

/// The name of a value in the table of a field.
fn name(field: &str, value: u32) -> Option<&'static str> {
    let mut fields = proto::ALL.iter().flat_map(|protocol| protocol.fields);
    let field: &Field = fields.find(|known| known.name == field)?;
    let mut names = field.names.iter();
    let known = names.find(|(of, _)| *of == u64::from(value));
    known.map(|(_, name)| *name)
}

/// The bytes that an instruction loads: how many, and whether X is added to its place. `None` when it reads no packet.
pub(super) fn load(instruction: &Instruction) -> Option<(usize, bool)> {
    let is_beside = instruction.k >= ANCILLARY;
    Some(match instruction.code {
        op::LD_ABS | op::LDH_ABS | op::LDB_ABS if is_beside => return None,
        op::LD_ABS => (4, false),
        op::LDH_ABS => (2, false),
        op::LDB_ABS | op::LDX_MSH => (1, false),
        op::LD_IND => (4, true),
        op::LDH_IND => (2, true),
        op::LDB_IND => (1, true),
        _ => return None,
    })
}

/// "byte 23", "bytes 12–13"; `from` stands before the numbers of places that count from a register.
pub(super) fn place(first: u64, size: usize, from: &str) -> String {
    match size {
        1 => format!("byte {from}{first}"),
        size => format!("bytes {from}{first}–{}", first + size as u64 - 1),
    }
}

/// What is at `place` of the packet.
pub(super) fn subject(what: &str, place: String) -> String {
    match what {
        "" | COMPUTED => place,
        what => format!("{what} ({place})"),
    }
}

/// What an instruction is about; empty where its form says it all.
pub(super) fn instruction(instruction: &Instruction, note: &Note) -> String {
    let &Instruction { code, k, .. } = instruction;
    if let Some((size, from_x)) = load(instruction) {
        let place = place(k.into(), size, if from_x { "X+" } else { "" });
        return subject(note.what, place);
    }
    match code {
        op::RET_K if k == 0 => "leave it out".to_owned(),
        op::RET_K | op::RET_A => "take it".to_owned(),
        op::LD_LEN | op::LDX_LEN | op::LD_ABS | op::LDH_ABS | op::LDB_ABS => note.what.to_owned(),
        _ => question(instruction, note.what).unwrap_or_default(),
    }
}

/// What a test asks; `None` for other instructions.
pub(super) fn question(instruction: &Instruction, what: &str) -> Option<String> {
    let &Instruction { code, k, .. } = instruction;
    let subject = match what {
        "" | COMPUTED => "A",
        what => what,
    };
    let number = Number::of(what, k);
    Some(match code {
        op::JEQ_K if k == 1 && form(what).0 == Form::Truth => format!("{subject}?"),
        op::JEQ_K => format!("{subject} = {number}?"),
        op::JGT_K => format!("{subject} > {number}?"),
        op::JGE_K => format!("{subject} ≥ {number}?"),
        op::JSET_K => format!("{subject} & 0x{k:x} ≠ 0?"),
        op::JEQ_X => format!("{subject} = X?"),
        op::JGT_X => format!("{subject} > X?"),
        op::JGE_X => format!("{subject} ≥ X?"),
        op::JSET_X => format!("{subject} & X ≠ 0?"),
        _ => return None,
    })
}
