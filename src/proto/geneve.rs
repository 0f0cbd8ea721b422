//! Generic network virtualization encapsulation: any EtherType inside UDP, with a network number and options.
//!
//! Spec: RFC 8926 §3.4 and §3.5.
//!
//! ```text
//!  0                            1       2          4      7          8
//! | version:2 options length:6 | flags | protocol | VNI  | reserved | options … | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    proto::{ethertype::NAMES, making},
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
    text::number,
};
use std::ops::ControlFlow;

const FIXED: usize = 8;
const OPTION_HEADER: usize = 4;

/// Geneve.
pub static PROTOCOL: Protocol = Protocol {
    name: "geneve",
    label: "GENEVE",
    title: "Generic Network Virtualization Encapsulation",
    spec: "RFC 8926",
    claims: &[Claim::UdpPort(6081)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    VERSION = Field::bits("geneve.version", "Version", Kind::Uint, (0, 0, 2), "Always 0 (RFC 8926 §3.4).");
    FLAGS = Field::at("geneve.flags", "Flags", Kind::Hex(2), 1, 8, "Control packet, critical options (RFC 8926 §3.4).");
    OAM = Field::bits("geneve.flags.oam", "Control packet", Kind::Flag, (1, 0, 1), "For the tunnel's ends, not for the tenant (RFC 8926 §3.4).");
    CRITICAL = Field::bits("geneve.flags.critical", "Critical options", Kind::Flag, (1, 1, 1), "An option must be understood, or the packet dropped (RFC 8926 §3.4).");
    FLAGS_RESERVED = Field::bits("geneve.flags.reserved", "Reserved", Kind::Flag, (1, 2, 6), "Zero (RFC 8926 §3.4).");
    PROTO = Field::at("geneve.proto_type", "Protocol", Kind::Hex(4), 2, 16, "The EtherType of the payload; 0x6558 is Ethernet (RFC 8926 §3.4).").names(NAMES);
    VNI = Field::at("geneve.vni", "Network", Kind::Hex(6), 4, 24, "Which virtual network the payload belongs to (RFC 8926 §3.4).");
    RESERVED = Field::at("geneve.reserved", "Reserved", Kind::Hex(2), 7, 8, "Zero (RFC 8926 §3.4).");
    OPTIONS = Field::walked("geneve.options", "Options", Kind::Bytes, "All options (RFC 8926 §3.5).");
    CLASS = Field::walked("geneve.option.class", "Class", Kind::Hex(4), "Who defined the option (RFC 8926 §3.5).").many();
    TYPE = Field::walked("geneve.option.type", "Type", Kind::Hex(2), "Which option of that class; the high bit marks it critical (RFC 8926 §3.5).").many();
    TYPE_CRITICAL = Field::walked("geneve.option.type.critical", "Critical", Kind::Flag, "The option must be understood (RFC 8926 §3.5).").many();
    LENGTH = Field::walked("geneve.option.length", "Length", Kind::Uint, "Bytes of all options, then of each with its header (RFC 8926 §3.4, §3.5).").many();
    DATA = Field::walked("geneve.option.unknown.data", "Data", Kind::Bytes, "The option's value (RFC 8926 §3.5).").many();
}

static CRAFT: Craft = Craft {
    names: &["geneve"],
    header: &[0, 0, 0x65, 0x58, 0, 0, 1, 0],
    slots: &[
        Slot::new(&["vni"], &VNI),
        Slot::new(&["proto"], &PROTO).computed(making::ethertype),
        Slot::new(&["version"], &VERSION),
        Slot::at(&["optlen", "optionlen"], &LENGTH, (0, 2, 6))
            .unit(4)
            .computed(|view| (view.header().len() as u64).checked_sub(FIXED as u64)),
        Slot::new(&["oam"], &OAM),
        Slot::new(&["critical"], &CRITICAL).computed(is_critical),
        Slot::at(&["reserved"], &FLAGS_RESERVED, (1, 2, 6)),
        Slot::new(&["reserved2"], &RESERVED),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["opt"],
                form: "CLASS:TYPE:HEX",
                doc: "an option; reserved bits of it, if any, as a number behind that",
                write: write_option,
            },
            making::RAW,
        ],
        finish: None,
        read: read_options,
    }),
    answers: None,
};

/// Whether some option has to be understood.
fn is_critical(view: &View<'_>) -> Option<u64> {
    let mut rest = view.header().get(FIXED..)?;
    while let Some(option) = option_len(rest).and_then(|len| rest.split_at_checked(len)) {
        if option.0[2] & 0x80 != 0 {
            return Some(1);
        }
        rest = option.1;
    }
    Some(0)
}

fn write_option(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let wrong = "expected CLASS:TYPE:HEX, such as 0x0102:0x80:00000001";
    let mut parts = value.split(':');
    let mut next = |largest: u128| {
        let value = parts.next().map_or(Some(0), number);
        value.filter(|n| *n <= largest).ok_or(wrong)
    };
    let (class, kind) = (next(0xffff)? as u16, next(0xff)? as u8);
    let data = making::hexadecimal(parts.next().unwrap_or(""))?;
    let reserved = parts
        .next()
        .map_or(Some(0), number)
        .filter(|n| *n <= 7)
        .ok_or(wrong)? as u8;
    if data.len() % 4 != 0 || data.len() > 124 || parts.next().is_some() {
        return Err("an option has 0, 4, 8 … up to 124 bytes".to_owned());
    }
    header.extend(class.to_be_bytes());
    header.extend([kind, reserved << 5 | (data.len() / 4) as u8]);
    header.extend(data);
    Ok(())
}

fn read_options(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let mut rest = view.header().get(FIXED..).unwrap_or(&[]);
    while let Some((option, after)) = option_len(rest).and_then(|len| rest.split_at_checked(len)) {
        let class = u16::from_be_bytes([option[0], option[1]]);
        let data = hex::encode(&option[OPTION_HEADER..]);
        let mut said = format!("{class:#06x}:{:#04x}:{data}", option[2]);
        if option[3] >> 5 != 0 {
            said.push_str(&format!(":{}", option[3] >> 5));
        }
        word("opt", said);
        rest = after;
    }
    making::say_raw(rest, 0, word);
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Dissected::short(bytes, context, FIXED);
    };
    let header = FIXED + usize::from(fixed[0] & 0x3f) * 4;
    if bytes.len() < header {
        return Dissected::short(bytes, context, header);
    }
    let kind = u16::from_be_bytes([fixed[2], fixed[3]]);
    let found = Dissected::new(header, Next::Claim(Claim::EtherType(kind)), context);
    if fixed[0] >> 6 != 0 {
        return found.with(Problem::malformed("unknown version"));
    }
    if !fills(&bytes[FIXED..header]) {
        return found.with(Problem::malformed("option is longer than the header"));
    }
    found
}

/// Bytes of the option that begins `options`, with its header, by its own length; the caller checks that they are there.
fn option_len(options: &[u8]) -> Option<usize> {
    let head = options.first_chunk::<OPTION_HEADER>()?;
    Some(OPTION_HEADER + usize::from(head[3] & 0x1f) * 4)
}

/// The options end where the header does.
fn fills(mut options: &[u8]) -> bool {
    while let Some(rest) = option_len(options).and_then(|len| options.get(len..)) {
        options = rest;
    }
    options.is_empty()
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let header = view.header();
    let Some(options) = header.get(FIXED..) else {
        return ControlFlow::Continue(());
    };
    let whole = u64::from(header[0] & 0x3f) * 4;
    let start = view.bits(0, 0).start;
    visit.field(&LENGTH, Value::Uint(whole), start + 2..start + 8)?;
    if options.len() as u64 != whole || options.is_empty() {
        return ControlFlow::Continue(());
    }
    visit.field(
        &OPTIONS,
        Value::Bytes(options),
        view.bits(FIXED, options.len()),
    )?;
    let mut at = FIXED;
    while let Some(len) = option_len(&header[at..]) {
        let Some(option) = header.get(at..at + len) else {
            break;
        };
        let class = u16::from_be_bytes([option[0], option[1]]);
        visit.field(&CLASS, Value::Uint(class.into()), view.bits(at, 2))?;
        visit.field(&TYPE, Value::Uint(option[2].into()), view.bits(at + 2, 1))?;
        let bits = view.bits(at + 2, 2).start;
        visit.field(
            &TYPE_CRITICAL,
            Value::Bool(option[2] & 0x80 != 0),
            bits..bits + 1,
        )?;
        visit.field(&LENGTH, Value::Uint(len as u64), bits + 11..bits + 16)?;
        let data = &option[OPTION_HEADER..];
        visit.field(
            &DATA,
            Value::Bytes(data),
            view.bits(at + OPTION_HEADER, data.len()),
        )?;
        at += len;
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    if let (Some(Value::Uint(vni)), Some(kind)) = (view.value(&VNI), view.u16(2)) {
        line.say(format_args!("vni={vni} proto=0x{kind:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::UdpPort(6081);

    #[test]
    fn shows_every_field() {
        let bytes = [
            0x03, 0xc0, 0x65, 0x58, 0, 0, 42, 1, 0x01, 0x02, 0x80, 1, 0xaa, 0xbb, 0xcc, 0xdd, 0x01,
            0x03, 0x05, 0, 2,
        ];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("geneve.version", "0"),
                ("geneve.flags", "0xc0"),
                ("geneve.flags.oam", "true"),
                ("geneve.flags.critical", "true"),
                ("geneve.flags.reserved", "false"),
                ("geneve.proto_type", "0x6558"),
                ("geneve.vni", "0x00002a"),
                ("geneve.reserved", "0x01"),
                ("geneve.option.length", "12"),
                ("geneve.options", "01:02:80:01:aa:bb:cc:dd:01:03:05:00"),
                ("geneve.option.class", "0x0102"),
                ("geneve.option.type", "0x80"),
                ("geneve.option.type.critical", "true"),
                ("geneve.option.length", "8"),
                ("geneve.option.unknown.data", "aa:bb:cc:dd"),
                ("geneve.option.class", "0x0103"),
                ("geneve.option.type", "0x05"),
                ("geneve.option.type.critical", "false"),
                ("geneve.option.length", "4"),
                ("geneve.option.unknown.data", ""),
            ]
        );
        assert_eq!(
            (found.layer.header, found.next),
            (20, Next::Claim(Claim::EtherType(0x6558)))
        );
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 20);
    }

    #[test]
    fn options_that_do_not_fit_and_unknown_versions_are_malformed() {
        for bytes in [
            [0x01, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 4],
            [0x40, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 4],
        ] {
            let found = seen(&PROTOCOL, CLAIM, &bytes);
            assert_eq!(found.problem(), Some(ProblemKind::Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn options_are_written_and_come_back() {
        use crate::craft::testing::{built, fault, rebuilt};
        let text = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=40000 dport=6081 / geneve vni=0x00002a opt=0x0102:0x80:00000001 opt=0x0103:0x01::5 / ip proto=253 src=10.1.0.1 dst=10.1.0.2";
        let bytes = built(text);
        let expected = "03400800 00002a00 01028001 00000001 010301a0";
        assert_eq!(hex::encode(&bytes[28..48]), expected.replace(' ', ""));
        assert_eq!(rebuilt(&bytes), text);
        for len in 28..bytes.len() {
            rebuilt(&bytes[..len]);
        }
        // Longer than the header has room for.
        rebuilt(&built(
            "ip src=10.0.0.1 dst=10.0.0.2 / udp dport=6081 / geneve raw=0102801f / hex=00",
        ));
        assert!(fault("geneve opt=1:2:00").contains("4, 8"));
        assert!(fault("geneve opt=0x10000").contains("CLASS"));
    }
}
