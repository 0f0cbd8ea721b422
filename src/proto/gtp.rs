//! GPRS tunnelling, user plane: how mobile networks carry a phone's packets over UDP.
//!
//! Spec: 3GPP TS 29.281 §5.1.
//!
//! ```text
//!  0       1      2        4          8 (where a flag asks for it)          12
//! | flags | type | length | tunnel   | sequence | n-pdu | extension type | extensions, packet …
//! ```

use crate::{
    field::{Field, Kind},
    layer::View,
    line::Line,
    proto::making,
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
    text::number,
};

const HEADER: usize = 8;
/// With sequence number, N-PDU number and the type of the first extension.
const LONG: usize = 12;
const PACKET: u8 = 255;

/// GTP-U.
pub static PROTOCOL: Protocol = Protocol {
    name: "gtp",
    label: "GTP",
    title: "GPRS Tunnelling Protocol, user plane",
    spec: "3GPP TS 29.281",
    claims: &[Claim::UdpPort(2152)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

const MESSAGES: &[(u64, &str)] = &[
    (1, "echo request"),
    (2, "echo response"),
    (26, "error indication"),
    (31, "supported extension headers"),
    (254, "end marker"),
    (255, "packet"),
];

crate::fields! {
    VERSION = Field::bits("gtp.flags.version", "Version", Kind::Uint, (0, 0, 3), "Always 1 in the user plane (TS 29.281 §5.1).");
    PAYLOAD = Field::bits("gtp.flags.payload", "Protocol type", Kind::Uint, (0, 3, 1), "1 for GTP, 0 for GTP' (TS 29.281 §5.1).");
    E = Field::bits("gtp.flags.e", "Extension header", Kind::Flag, (0, 5, 1), "Extension headers follow (TS 29.281 §5.1).");
    S = Field::bits("gtp.flags.s", "Sequence number", Kind::Flag, (0, 6, 1), "The sequence number counts (TS 29.281 §5.1).");
    PN = Field::bits("gtp.flags.pn", "N-PDU number", Kind::Flag, (0, 7, 1), "The N-PDU number counts (TS 29.281 §5.1).");
    MESSAGE = Field::at("gtp.message", "Message", Kind::Uint, 1, 8, "What the message is; 255 carries a packet (TS 29.281 §6.1).").names(MESSAGES);
    LENGTH = Field::at("gtp.length", "Length", Kind::Uint, 2, 16, "Bytes after the first eight (TS 29.281 §5.1).");
    TEID = Field::at("gtp.teid", "Tunnel", Kind::Hex(8), 4, 32, "The tunnel's number at the receiver (TS 29.281 §5.1).");
}

/// A packet in tunnel 1. What is optional comes with its word, which sets the flag.
static CRAFT: Craft = Craft {
    names: &["gtp", "gtp_u_header"],
    header: &[0x30, PACKET, 0, 0, 0, 0, 0, 1],
    slots: &[
        Slot::new(&["teid"], &TEID),
        Slot::new(&["type", "gtp_type"], &MESSAGE),
        Slot::new(&["version"], &VERSION),
        Slot::new(&["pt"], &PAYLOAD),
        Slot::new(&["reserved"], &RESERVED),
        Slot::new(&["len"], &LENGTH).computed(length),
        Slot::new(&["seq"], &SEQUENCE).when(|header| header[0] & 2 != 0),
        Slot::new(&["npdu"], &N_PDU).when(|header| header[0] & 1 != 0),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["seq"],
                form: "N",
                doc: "a sequence number",
                write: |_, header| {
                    make_room(header, 2);
                    Ok(())
                },
            },
            Part {
                words: &["npdu"],
                form: "N",
                doc: "an N-PDU number",
                write: |_, header| {
                    make_room(header, 1);
                    Ok(())
                },
            },
            Part {
                words: &["ext"],
                form: "TYPE:HEX",
                doc: "an extension header: 2, 6, 10 … bytes without its length and what follows",
                write: write_extension,
            },
            Part {
                words: &["unused"],
                form: "HEX",
                doc: "the four bytes of sequence number, N-PDU number and extension type, whatever the flags say",
                write: |value, header| {
                    make_room(header, 0);
                    let bytes = making::hexadecimal(value)?;
                    let bytes = <[u8; 4]>::try_from(bytes).map_err(|_| "expected 4 bytes")?;
                    header[HEADER..LONG].copy_from_slice(&bytes);
                    Ok(())
                },
            },
        ],
        finish: None,
        read: read_parts,
    }),
    answers: Some(answers),
};

static RESERVED: Field = Field::bits(
    "gtp.flags.reserved",
    "Reserved",
    Kind::Uint,
    (0, 4, 1),
    "Zero (TS 29.281 §5.1).",
);
static SEQUENCE: Field = Field::at(
    "gtp.seq_number",
    "Sequence number",
    Kind::Uint,
    8,
    16,
    "Counts packets, or ties an answer to its question (TS 29.281 §5.1).",
);
static N_PDU: Field = Field::at(
    "gtp.npdu_number",
    "N-PDU number",
    Kind::Uint,
    10,
    8,
    "Counts packets across a handover (TS 29.281 §5.1).",
);

/// Everything behind the first eight bytes.
fn length(view: &View<'_>) -> Option<u64> {
    (view.bytes().len() as u64).checked_sub(HEADER as u64)
}

/// Sets flags, and makes room for what each of them announces.
fn make_room(header: &mut Vec<u8>, flags: u8) {
    header[0] |= flags;
    if header.len() < LONG {
        header.resize(LONG, 0);
    }
}

fn write_extension(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    make_room(header, 4);
    if value.is_empty() {
        return Ok(());
    }
    let (kind, data) = value.split_once(':').unwrap_or((value, ""));
    let kind = number(kind).and_then(|n| u8::try_from(n).ok());
    let kind = kind.filter(|kind| *kind != 0);
    let kind = kind.ok_or("expected TYPE:HEX, such as 0x85:0009, with a type other than 0")?;
    let data = making::hexadecimal(data)?;
    let words = u8::try_from((data.len() + 2) / 4).ok();
    let words = words
        .filter(|_| data.len() % 4 == 2)
        .ok_or("expected 2, 6, 10 … up to 1018 bytes")?;
    // The one before it, or the header, tells the type.
    if let Some(last) = header.last_mut() {
        *last = kind;
    }
    header.push(words);
    header.extend(data);
    header.push(0);
    Ok(())
}

fn read_parts(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let Some(&[flags, ..]) = header.first_chunk::<LONG>() else {
        return;
    };
    let unset = |flag: u8, bytes: &[u8]| flags & flag == 0 && bytes.iter().any(|b| *b != 0);
    if flags & 7 == 0
        || unset(2, &header[8..10])
        || unset(1, &header[10..11])
        || unset(4, &header[11..12])
    {
        word("unused", hex::encode(&header[HEADER..LONG]));
    }
    if flags & 2 != 0 {
        word("seq", String::new());
    }
    if flags & 1 != 0 {
        word("npdu", String::new());
    }
    if flags & 4 == 0 {
        return;
    }
    let (mut at, mut kind) = (LONG, header[LONG - 1]);
    if kind == 0 {
        word("ext", String::new());
    }
    while kind != 0
        && let Some(len) = header.get(at).map(|words| usize::from(*words) * 4)
        && let Some([_, data @ .., next]) = header.get(at..at + len)
    {
        word("ext", format!("{kind:#04x}:{}", hex::encode(data)));
        at += len;
        kind = *next;
    }
}

/// An echo response answers an echo request of its sequence number (TS 29.281 §7.2).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    let echo = (request.u8(1), reply.u8(1)) == (Some(1), Some(2));
    echo && request.u16(HEADER) == reply.u16(HEADER)
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(&[flags, message, hi, lo, ..]) = bytes.first_chunk::<HEADER>() else {
        return Dissected::short(bytes, context, HEADER);
    };
    // The port is not enough: only version 1 with the protocol bit set is this protocol.
    if flags >> 4 != 3 {
        return Dissected::new(0, Next::Data, context);
    }
    let header = match header_len(flags, bytes) {
        Ok(header) if header <= bytes.len() => header,
        Ok(needed) | Err(needed) => return Dissected::short(bytes, context, needed),
    };
    let next = match bytes.get(header).map(|byte| byte >> 4) {
        Some(4) if message == PACKET => Next::Claim(Claim::EtherType(0x0800)),
        Some(6) if message == PACKET => Next::Claim(Claim::EtherType(0x86dd)),
        _ => Next::Data,
    };
    let mut found = Dissected::new(header, next, context);
    let length = u32::from(u16::from_be_bytes([hi, lo])) + HEADER as u32;
    found.wire = found.wire.min(length.max(header as u32));
    found
}

/// Bytes of header with extensions; as an error, how many are needed to tell.
fn header_len(flags: u8, bytes: &[u8]) -> Result<usize, usize> {
    if flags & 7 == 0 {
        return Ok(HEADER);
    }
    let mut at = LONG;
    let mut kind = *bytes.get(at - 1).ok_or(at)?;
    // Each extension begins with its length in units of 4 bytes, and ends with the type of the next one.
    while flags & 4 != 0 && kind != 0 {
        let len = usize::from(*bytes.get(at).ok_or(at + 1)?) * 4;
        if len == 0 {
            break;
        }
        at += len;
        kind = *bytes.get(at - 1).ok_or(at)?;
    }
    Ok(at)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let (Some(message), Some(teid)) = (view.u8(1), view.u32(4)) {
        let name = MESSAGE.value_name(message.into()).unwrap_or("message");
        line.say(format_args!(
            "{name} teid=0x{teid:08x} len={}",
            view.payload_wire()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::UdpPort(2152);

    #[test]
    fn finds_the_packet_behind_every_form_of_header() {
        let plain = [0x30, 255, 0, 1, 0, 0, 0, 9, 0x45];
        let seen_plain = seen(&PROTOCOL, CLAIM, &plain);
        assert_eq!(seen_plain.all("gtp.teid"), ["0x00000009"]);
        assert_eq!(seen_plain.next, Next::Claim(Claim::EtherType(0x0800)));
        let extended = [
            0x36, 255, 0, 9, 0, 0, 0, 9, 0, 1, 0, 0x85, 1, 0x10, 9, 0, 0x60,
        ];
        let seen_extended = seen(&PROTOCOL, CLAIM, &extended);
        assert_eq!(seen_extended.layer.header, 16);
        assert_eq!(seen_extended.next, Next::Claim(Claim::EtherType(0x86dd)));
        let echo = [0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(seen(&PROTOCOL, CLAIM, &echo).next, Next::Data);
    }

    #[test]
    fn other_protocols_on_its_port_are_left_alone() {
        let seen = seen(&PROTOCOL, CLAIM, b"hello, world");
        assert_eq!((seen.layer.header, seen.next), (0, Next::Data));
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &[0x30, 254, 0, 0, 0, 0, 0, 9], HEADER);
        let extended = [0x34, 255, 0, 8, 0, 0, 0, 9, 0, 1, 0, 0x85, 1, 0x10, 9, 0];
        cut_everywhere(&PROTOCOL, CLAIM, &extended, 16);
    }

    #[test]
    fn what_is_optional_comes_with_its_word_and_its_flag() {
        use crate::craft::testing::{answers, built, fault, rebuilt};
        let below = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=2152 dport=2152";
        let inner = "ip proto=253 src=10.1.0.1 dst=10.1.0.2";
        for (words, header) in [
            ("teid=0x00000007", "30ff0014 00000007"),
            ("teid=0x00000007 seq=9", "32ff0018 00000007 00090000"),
            (
                "npdu=3 ext=0x85:0009 ext=0xc0:000a",
                "35ff0020 00000001 00000385 010009c0 01000a00",
            ),
            ("seq=9 unused=0000ff00", "32ff0018 00000001 0009ff00"),
        ] {
            let text = format!("{below} / gtp {words} / {inner}");
            let bytes = built(&text);
            let header = header.replace(' ', "");
            assert_eq!(
                hex::encode(&bytes[28..28 + header.len() / 2]),
                header,
                "{words}"
            );
            assert!(rebuilt(&bytes).contains("/ gtp "));
            for len in 28..bytes.len() {
                rebuilt(&bytes[..len]);
            }
        }
        assert_eq!(
            built("gtp ext=0x85:0009 seq=9"),
            built("gtp seq=9 ext=0x85:0009")
        );
        assert!(fault("gtp ext=0x85:00").contains("2, 6, 10"));
        assert!(fault("gtp ext=0:0009").contains("TYPE:HEX"));
        assert!(answers("gtp type=1 seq=5", "gtp type=2 seq=5", 0));
        assert!(!answers("gtp type=1 seq=5", "gtp type=2 seq=6", 0));
    }
}
