//! The header of a PPP packet: address and control where the link has them, and the protocol number.
//!
//! Spec: RFC 1661 §2; RFC 1662 §3.1 for address and control; one-byte protocol numbers RFC 1661 §6.5.
//!
//! ```text
//! | ff address | 03 control |   only on HDLC-like links and in GRE, and often left out there
//! | protocol (1 or 2 bytes) | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    link::LinkType,
    proto::making,
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
};
use std::ops::ControlFlow;

/// PPP.
pub static PROTOCOL: Protocol = Protocol {
    name: "ppp",
    label: "PPP",
    title: "Point-to-Point Protocol",
    spec: "RFC 1661",
    claims: &[
        Claim::Name("ppp"),
        Claim::Name("ppp_hdlc"),
        Claim::EtherType(0x880b),
        // LINKTYPE_PPP and LINKTYPE_PPP_HDLC.
        Claim::Link(LinkType::PPP),
        Claim::Link(LinkType::PPP_SERIAL),
    ],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

const PROTOCOLS: &[(u64, &str)] = &[
    (0x0021, "IPv4"),
    (0x002d, "Compressed TCP"),
    (0x003d, "Multilink"),
    (0x0057, "IPv6"),
    (0x00fd, "Compressed data"),
    (0x0281, "MPLS"),
    (0x8021, "IP control (IPCP)"),
    (0x8057, "IPv6 control (IPV6CP)"),
    (0x80fd, "Compression control (CCP)"),
    (0xc021, "Link control (LCP)"),
    (0xc023, "Password authentication (PAP)"),
    (0xc025, "Link quality report"),
    (0xc223, "Challenge authentication (CHAP)"),
    (0xc227, "Extensible authentication (EAP)"),
];

crate::fields! {
    ADDRESS = Field::walked("ppp.address", "Address", Kind::Hex(2), "Always ff, all stations (RFC 1662 §3.1).");
    CONTROL = Field::walked("ppp.control", "Control", Kind::Hex(2), "Always 03, unnumbered information (RFC 1662 §3.1).");
    PROTOCOL_NUMBER = Field::walked("ppp.protocol", "Protocol", Kind::Hex(4), "What the packet carries (RFC 1661 §2).").names(PROTOCOLS);
}

/// The protocol number in two bytes, and nothing else, unless asked for.
static CRAFT: Craft = Craft {
    names: &["ppp"],
    header: &[0, 0x21],
    slots: &[
        Slot::at(&["address"], &ADDRESS, (0, 0, 8)).when(|header| header.len() > 2),
        Slot::at(&["control"], &CONTROL, (1, 0, 8)).when(|header| header.len() > 2),
        Slot::at(&["proto"], &PROTOCOL_NUMBER, (0, 0, 16))
            .computed(making::ppp)
            .when(|header| header.len() == 2),
        Slot::at(&["proto"], &PROTOCOL_NUMBER, (2, 0, 16))
            .computed(making::ppp)
            .when(|header| header.len() == 4),
        Slot::at(&["proto"], &PROTOCOL_NUMBER, (0, 0, 8))
            .computed(one_byte)
            .when(|header| header.len() == 1),
        Slot::at(&["proto"], &PROTOCOL_NUMBER, (2, 0, 8))
            .computed(one_byte)
            .when(|header| header.len() == 3),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["hdlc", "address", "control"],
                form: "",
                doc: "address and control before the protocol number",
                write: |_, header| {
                    if header.len() < 3 {
                        header.splice(0..0, [0xff, 0x03]);
                    }
                    Ok(())
                },
            },
            Part {
                words: &["short"],
                form: "",
                doc: "a protocol number of one byte",
                write: |_, header| {
                    if header.len() % 2 == 0 {
                        header.remove(header.len() - 2);
                    }
                    Ok(())
                },
            },
        ],
        finish: None,
        read: |view, word| {
            let len = view.header().len();
            if len > 2 {
                word("hdlc", String::new());
            }
            if len % 2 == 1 {
                word("short", String::new());
            }
        },
    }),
    answers: None,
};

/// The number of what is inside, where one byte can say it (RFC 1661 §6.5).
fn one_byte(view: &View<'_>) -> Option<u64> {
    making::ppp(view).filter(|number| *number < 0x100)
}

/// Bytes before the protocol number: address and control are there or not, which only the bytes tell;
/// no protocol number ends in ff (RFC 1661 §2).
fn prefix(bytes: &[u8], claim: Claim) -> usize {
    if claim != Claim::Name("ppp") && bytes.first() == Some(&0xff) {
        2
    } else {
        0
    }
}

/// The protocol number at `at` and its length: a first byte that is odd is also the last.
fn number(bytes: &[u8], at: usize) -> Option<(u16, usize)> {
    match *bytes.get(at..)? {
        [one, ..] if one & 1 == 1 => Some((one.into(), 1)),
        [hi, lo, ..] => Some((u16::from_be_bytes([hi, lo]), 2)),
        _ => None,
    }
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let at = prefix(bytes, context.claim);
    match number(bytes, at) {
        Some((number, len)) => Dissected::new(at + len, Next::Claim(Claim::Ppp(number)), context),
        None => Dissected::short(bytes, context, at + 2),
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let header = view.header();
    // With address and control the header has 3 or 4 bytes, without 1 or 2.
    let at = if header.len() > 2 { 2 } else { 0 };
    if at == 2 {
        visit.field(&ADDRESS, Value::Uint(header[0].into()), view.bits(0, 1))?;
        visit.field(&CONTROL, Value::Uint(header[1].into()), view.bits(1, 1))?;
    }
    match number(header, at) {
        Some((number, len)) => visit.field(
            &PROTOCOL_NUMBER,
            Value::Uint(number.into()),
            view.bits(at, len),
        ),
        None => ControlFlow::Continue(()),
    }
}

fn line(view: &View<'_>, line: &mut Line) {
    let header = view.header();
    let at = if header.len() > 2 { 2 } else { 0 };
    let Some((number, _)) = number(header, at) else {
        return;
    };
    match PROTOCOL_NUMBER.value_name(number.into()) {
        Some(name) => line.say(format_args!("{name}")),
        None => line.say(format_args!("protocol=0x{number:04x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const PLAIN: Claim = Claim::Name("ppp");
    const HDLC: Claim = Claim::Name("ppp_hdlc");

    #[test]
    fn shows_every_field() {
        let bytes = [0xff, 0x03, 0x00, 0x57, 0x60];
        let found = seen(&PROTOCOL, HDLC, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("ppp.address", "0xff"),
                ("ppp.control", "0x03"),
                ("ppp.protocol", "0x0057")
            ]
        );
        assert_eq!(
            (found.layer.header, found.next),
            (4, Next::Claim(Claim::Ppp(0x57)))
        );
        cut_everywhere(&PROTOCOL, HDLC, &bytes, 4);
    }

    #[test]
    fn address_control_and_half_the_protocol_may_be_left_out() {
        for (claim, bytes, header, number) in [
            (HDLC, &[0x00, 0x21, 0x45][..], 2, 0x21),
            (HDLC, &[0x21, 0x45], 1, 0x21),
            (HDLC, &[0xff, 0x03, 0x21, 0x45], 3, 0x21),
            (PLAIN, &[0xff, 0x03, 0x00, 0x21], 1, 0xff),
        ] {
            let found = seen(&PROTOCOL, claim, bytes);
            assert_eq!(found.layer.header, header, "{bytes:?}");
            assert_eq!(found.next, Next::Claim(Claim::Ppp(number)), "{bytes:?}");
            assert_eq!(found.all("ppp.protocol"), [format!("0x{number:04x}")]);
        }
        assert_eq!(
            seen(&PROTOCOL, PLAIN, &[0xc0, 0x21]).line,
            " →  Link control (LCP)"
        );
    }

    #[test]
    fn every_form_of_the_header_is_written_and_comes_back() {
        use crate::craft::testing::{built, rebuilt_on};
        let ip = "ip proto=253 src=10.0.0.1 dst=10.0.0.2";
        for (text, header) in [
            (format!("ppp / {ip}"), &[0, 0x21][..]),
            (format!("ppp short / {ip}"), &[0x21]),
            (format!("ppp hdlc / {ip}"), &[0xff, 3, 0, 0x21]),
            (format!("ppp hdlc short / {ip}"), &[0xff, 3, 0x21]),
            ("ppp proto=0xc021".to_owned(), &[0xc0, 0x21]),
        ] {
            let bytes = built(&text);
            assert_eq!(bytes[..header.len()], *header, "{text}");
            assert_eq!(rebuilt_on(LinkType::PPP, &bytes), text);
        }
        assert_eq!(built("ppp short hdlc address=0x0b"), [0x0b, 3, 0x21]);
        for bytes in [&[0xff][..], &[0xff, 3], &[0xff, 3, 0], &[0]] {
            rebuilt_on(LinkType::PPP, bytes);
        }
    }
}
