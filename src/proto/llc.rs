//! IEEE 802.2 logical link control and the SNAP header: what follows an 802.3 length.
//!
//! Spec: IEEE 802.2 clause 3 and 5; SNAP in IEEE 802 clause 9 and RFC 1042.
//!
//! ```text
//!  0      1      2         3 or 4      SNAP, when both access points are aa:
//! | DSAP | SSAP | control (1 or 2)  | OUI (3 bytes) | protocol (2 bytes) | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    proto::{ethertype::NAMES, making},
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
    text::number,
};
use std::ops::ControlFlow;

const SNAP: u8 = 0xaa;
/// Organization codes that put an EtherType into the protocol field: RFC 1042, and 802.1H bridge tunnels.
const ETHERTYPE_OUIS: [u32; 2] = [0x00_0000, 0x00_00f8];
/// The organization code of IEEE 802.1 bridging (RFC 2684 §5.2).
const BRIDGED: u32 = 0x00_80c2;

/// LLC.
pub static PROTOCOL: Protocol = Protocol {
    name: "llc",
    label: "LLC",
    title: "Logical-Link Control",
    spec: "IEEE 802.2",
    claims: &[
        Claim::Name("llc"),
        Claim::EtherType(0x8870),
        Claim::Ppp(0x004b),
    ],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

const SAPS: &[(u64, &str)] = &[
    (0x00, "NULL"),
    (0x02, "LLC sublayer management"),
    (0x06, "IP"),
    (0x42, "Spanning tree"),
    (0x7e, "X.25"),
    (0x80, "XNS"),
    (0xaa, "SNAP"),
    (0xbc, "VINES"),
    (0xe0, "NetWare"),
    (0xf0, "NetBIOS"),
    (0xfe, "ISO network layer"),
    (0xff, "Global"),
];
const COMMANDS: &[(u64, &str)] = &[
    (0x00, "UI"),
    (0x03, "DM"),
    (0x10, "DISC"),
    (0x18, "UA"),
    (0x1b, "SABME"),
    (0x21, "FRMR"),
    (0x2b, "XID"),
    (0x38, "TEST"),
];

const SUPERVISORY: &[(u64, &str)] = &[(0x00, "RR"), (0x01, "RNR"), (0x02, "REJ")];
const CISCO: &[(u64, &str)] = &[
    (0x0104, "PAgP"),
    (0x010b, "PVST+"),
    (0x010c, "VLAN bridge"),
    (0x0111, "UDLD"),
    (0x2000, "CDP"),
    (0x2003, "VTP"),
    (0x2004, "DTP"),
];

crate::fields! {
    DSAP = Field::at("llc.dsap", "Destination access point", Kind::Hex(2), 0, 8, "The service that the frame is for (IEEE 802.2 clause 3.3.1).").names(SAPS);
    DSAP_SAP = Field::bits("llc.dsap.sap", "Service", Kind::Hex(2), (0, 0, 7), "The service without its last bit (IEEE 802.2 clause 3.3.1).");
    DSAP_IG = Field::bits("llc.dsap.ig", "Group", Kind::Flag, (0, 7, 1), "The frame is for a group of services (IEEE 802.2 clause 3.3.1).");
    SSAP = Field::at("llc.ssap", "Source access point", Kind::Hex(2), 1, 8, "The service that sent the frame (IEEE 802.2 clause 3.3.1).").names(SAPS);
    SSAP_SAP = Field::bits("llc.ssap.sap", "Service", Kind::Hex(2), (1, 0, 7), "The service without its last bit (IEEE 802.2 clause 3.3.1).");
    SSAP_CR = Field::bits("llc.ssap.cr", "Response", Kind::Flag, (1, 7, 1), "Set in responses, clear in commands (IEEE 802.2 clause 3.3.1).");
    CONTROL = Field::walked("llc.control", "Control", Kind::Hex(4), "What kind of frame it is, and its numbers (IEEE 802.2 clause 5.3).");
    N_R = Field::walked("llc.control.n_r", "Expected number", Kind::Uint, "The number of the next frame expected (IEEE 802.2 clause 5.3).");
    N_S = Field::walked("llc.control.n_s", "Sent number", Kind::Uint, "The number of this frame (IEEE 802.2 clause 5.3).");
    POLL = Field::walked("llc.control.p", "Poll", Kind::Flag, "A command that asks for an answer at once (IEEE 802.2 clause 5.3).");
    FINAL = Field::walked("llc.control.f", "Final", Kind::Flag, "The response that answers a poll (IEEE 802.2 clause 5.3).");
    S_FTYPE = Field::walked("llc.control.s_ftype", "Supervisory", Kind::Hex(4), "Ready, not ready, or rejected (IEEE 802.2 clause 5.4.2.3).").names(SUPERVISORY);
    COMMAND = Field::walked("llc.control.u_modifier_cmd", "Command", Kind::Hex(2), "Which unnumbered command (IEEE 802.2 clause 5.4).").names(COMMANDS);
    RESPONSE = Field::walked("llc.control.u_modifier_resp", "Response", Kind::Hex(2), "Which unnumbered response (IEEE 802.2 clause 5.4).").names(COMMANDS);
    FTYPE = Field::walked("llc.control.ftype", "Frame type", Kind::Hex(4), "Information (even), supervisory (1) or unnumbered (3) (IEEE 802.2 clause 5.2).");
    OUI = Field::walked("llc.oui", "Organization code", Kind::Hex(6), "Whose protocol numbers follow (IEEE 802 clause 9).");
    TYPE = Field::walked("llc.type", "Type", Kind::Hex(4), "The EtherType of the payload (RFC 1042).").names(NAMES);
    CISCO_PID = Field::walked("llc.cisco_pid", "Protocol ID", Kind::Hex(4), "The protocol of the payload, by Cisco's count: 0x2000 is CDP.").names(CISCO);
    NORTEL_PID = Field::walked("llc.nortel_pid", "Protocol ID", Kind::Hex(4), "The protocol of the payload, by Nortel's count.");
    IANA_PID = Field::walked("llc.iana_pid", "Protocol ID", Kind::Hex(4), "The protocol of the payload, by IANA's count (RFC 9542 §3).");
    APPLE_PID = Field::walked("llc.apple_atalk_pid", "Protocol ID", Kind::Hex(4), "The protocol of the payload, by Apple's count: 0x809b is AppleTalk.");
    EXTREME_PID = Field::walked("llc.extreme_pid", "Protocol ID", Kind::Hex(4), "The protocol of the payload, by Extreme Networks' count.");
    PID = Field::walked("llc.pid", "Protocol ID", Kind::Hex(4), "The protocol of the payload, by that organization's count (IEEE 802 clause 9).");
}

/// Unnumbered information, with or without a SNAP header.
static CRAFT: Craft = Craft {
    names: &["llc"],
    header: &[0, 0, 0x03],
    slots: &[
        Slot::new(&["dsap"], &DSAP).computed(access_point),
        Slot::new(&["ssap"], &SSAP).computed(access_point),
        Slot::at(&["oui"], &OUI, (3, 0, 24)).when(|header| header.len() == 8),
        Slot::at(&["oui"], &OUI, (4, 0, 24)).when(|header| header.len() == 9),
        Slot::at(&["type", "code"], &TYPE, (6, 0, 16))
            .computed(making::ethertype)
            .when(|header| header.len() == 8),
        Slot::at(&["type", "code"], &TYPE, (7, 0, 16))
            .computed(making::ethertype)
            .when(|header| header.len() == 9),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["ctrl"],
                form: "N",
                doc: "control: one byte, or two of which the first on the wire is the low one",
                write: write_control,
            },
            Part {
                words: &["snap", "oui", "type", "code"],
                form: "",
                doc: "organization code and type behind the access points aa",
                write: write_snap,
            },
        ],
        finish: None,
        read: read_parts,
    }),
    answers: None,
};

/// That of what is inside. Of SNAP it is in the header already.
fn access_point(view: &View<'_>) -> Option<u64> {
    match view.header().len() {
        ..8 => making::llc(view),
        _ => None,
    }
}

fn write_control(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let value = number(value).and_then(|n| u16::try_from(n).ok());
    let value = value.ok_or("expected a number up to 65535")?;
    let bytes = value.to_le_bytes();
    let size = if bytes[0] & 0x03 == 0x03 { 1 } else { 2 };
    if bytes[size..].iter().any(|b| *b != 0) {
        return Err("a control field that ends in 3 has one byte".to_owned());
    }
    let old = control(header).map_or(1, |(_, size)| size);
    header.splice(2..2 + old, bytes[..size].iter().copied());
    Ok(())
}

fn write_snap(_: &str, header: &mut Vec<u8>) -> Result<(), String> {
    if header.len() < 8 {
        header[..2].fill(SNAP);
        header.extend([0; 5]);
    }
    Ok(())
}

fn read_parts(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    if let Some((value, size)) = control(header).filter(|control| *control != (0x03, 1)) {
        word("ctrl", format!("{value:#0width$x}", width = 2 + 2 * size));
    }
    if header.len() >= 8 {
        word("snap", String::new());
    }
}

/// The field that shows the protocol number of an organization.
const fn pid_field(oui: u32) -> &'static Field {
    match oui {
        0x00_000c => &CISCO_PID,
        0x00_0081 => &NORTEL_PID,
        0x00_005e => &IANA_PID,
        0x08_0007 => &APPLE_PID,
        0x00_e02b => &EXTREME_PID,
        _ => &PID,
    }
}

/// The control field: its value, and how many bytes it takes. Unnumbered frames have one, others two (clause 5.2).
fn control(bytes: &[u8]) -> Option<(u16, usize)> {
    match *bytes.get(2..)? {
        [low, ..] if low & 0x03 == 0x03 => Some((low.into(), 1)),
        [low, high, ..] => Some((u16::from_le_bytes([low, high]), 2)),
        _ => None,
    }
}

/// The protocol field of a SNAP header: organization code and number.
fn snap(bytes: &[u8], at: usize) -> Option<(u32, u16)> {
    match *bytes.get(at..)? {
        [a, b, c, hi, lo, ..] => Some((
            u32::from_be_bytes([0, a, b, c]),
            u16::from_be_bytes([hi, lo]),
        )),
        _ => None,
    }
}

fn is_snap(bytes: &[u8]) -> bool {
    bytes.starts_with(&[SNAP, SNAP])
}

/// Information and unnumbered information carry a payload; other frames run the link itself.
fn is_information(control: u16) -> bool {
    control & 0x01 == 0 || control & 0xef == 0x03
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some((control, size)) = control(bytes) else {
        let needed = if bytes.get(2).is_some_and(|b| b & 0x03 != 0x03) {
            4
        } else {
            3
        };
        return Dissected::short(bytes, context, needed);
    };
    let mut header = 2 + size;
    let next = if is_snap(bytes) {
        let Some((oui, number)) = snap(bytes, header) else {
            return Dissected::short(bytes, context, header + 5);
        };
        header += 5;
        match (oui, number) {
            _ if ETHERTYPE_OUIS.contains(&oui) => Next::Claim(Claim::EtherType(number)),
            (BRIDGED, 0x0001 | 0x0007) => Next::Claim(Claim::Name("eth")),
            _ => Next::Data,
        }
    } else {
        Next::Claim(Claim::Llc(bytes[0]))
    };
    let next = if is_information(control) {
        next
    } else {
        Next::Data
    };
    Dissected::new(header, next, context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let bytes = view.bytes();
    let Some((control, size)) = control(bytes) else {
        return ControlFlow::Continue(());
    };
    let at = view.bits(2, size);
    visit.field(&CONTROL, Value::Uint(control.into()), at.clone())?;
    let bit = |first: u32, len: u32| at.start + first..at.start + first + len;
    let response = bytes[1] & 1 != 0;
    let (poll, place) = if size == 1 {
        (control & 0x10, bit(3, 1))
    } else {
        (control & 0x100, bit(15, 1))
    };
    if poll != 0 {
        let field = if response { &FINAL } else { &POLL };
        visit.field(field, Value::Bool(true), place)?;
    }
    let number = |n: u16| Value::Uint(n.into());
    if size == 1 {
        let field = if response { &RESPONSE } else { &COMMAND };
        visit.field(field, number((control & 0xec) >> 2), bit(0, 8))?;
        visit.field(&FTYPE, number(control & 0x03), bit(6, 2))?;
    } else {
        visit.field(&N_R, number(control >> 9), bit(8, 7))?;
        if control & 1 == 0 {
            visit.field(&N_S, number(control >> 1 & 0x7f), bit(0, 7))?;
            visit.field(&FTYPE, number(control & 0x01), bit(7, 1))?;
        } else {
            visit.field(&S_FTYPE, number(control >> 2 & 0x03), bit(4, 2))?;
            visit.field(&FTYPE, number(control & 0x03), bit(6, 2))?;
        }
    }
    if is_snap(bytes)
        && let Some((oui, number)) = snap(bytes, 2 + size)
    {
        visit.field(&OUI, Value::Uint(oui.into()), view.bits(2 + size, 3))?;
        let field = if ETHERTYPE_OUIS.contains(&oui) {
            &TYPE
        } else {
            pid_field(oui)
        };
        visit.field(field, Value::Uint(number.into()), view.bits(5 + size, 2))?;
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let bytes = view.bytes();
    let Some((control, size)) = control(bytes) else {
        return;
    };
    match snap(bytes, 2 + size).filter(|_| is_snap(bytes)) {
        Some((oui, number)) => line.say(format_args!("SNAP oui=0x{oui:06x} pid=0x{number:04x}")),
        None => {
            let kind = match control & 0x03 {
                0x03 => COMMANDS
                    .iter()
                    .find(|(n, _)| *n == u64::from((control & 0xec) >> 2))
                    .map_or("U", |(_, name)| name),
                0x01 => "S",
                _ => "I",
            };
            line.say(format_args!(
                "{kind} dsap=0x{:02x} ssap=0x{:02x}",
                bytes[0], bytes[1]
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::Name("llc");

    #[test]
    fn shows_every_field_of_a_snap_header() {
        let bytes = [0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, 0x45];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("llc.dsap", "0xaa"),
                ("llc.dsap.sap", "0x55"),
                ("llc.dsap.ig", "false"),
                ("llc.ssap", "0xaa"),
                ("llc.ssap.sap", "0x55"),
                ("llc.ssap.cr", "false"),
                ("llc.control", "0x0003"),
                ("llc.control.u_modifier_cmd", "0x00"),
                ("llc.control.ftype", "0x0003"),
                ("llc.oui", "0x000000"),
                ("llc.type", "0x0800"),
            ]
        );
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x0800)));
        assert_eq!(found.layer.header, 8);
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 8);
    }

    #[test]
    fn an_organization_of_its_own_has_a_field_of_its_own() {
        let found = seen(
            &PROTOCOL,
            CLAIM,
            &[0xaa, 0xaa, 0x03, 0, 0, 0x0c, 0x20, 0x00, 1],
        );
        assert_eq!(found.all("llc.cisco_pid"), ["0x2000"]);
        assert_eq!(found.next, Next::Data);
        let found = seen(
            &PROTOCOL,
            CLAIM,
            &[0xaa, 0xaa, 0x03, 0x12, 0x34, 0x56, 0, 1, 1],
        );
        assert_eq!(found.all("llc.pid"), ["0x0001"]);
    }

    #[test]
    fn bridged_frames_are_ethernet() {
        let found = seen(
            &PROTOCOL,
            CLAIM,
            &[0xaa, 0xaa, 0x03, 0, 0x80, 0xc2, 0, 7, 1],
        );
        assert_eq!(found.next, Next::Claim(Claim::Name("eth")));
    }

    #[test]
    fn numbered_frames_have_a_control_field_of_two_bytes() {
        // Information, N(S) 1, N(R) 2, poll.
        let found = seen(&PROTOCOL, CLAIM, &[0xf0, 0xf0, 0x02, 0x05, 9]);
        assert_eq!(found.all("llc.control"), ["0x0502"]);
        assert_eq!(found.all("llc.control.n_s"), ["1"]);
        assert_eq!(found.all("llc.control.n_r"), ["2"]);
        assert_eq!(found.all("llc.control.p"), ["true"]);
        assert_eq!(found.next, Next::Claim(Claim::Llc(0xf0)));
        // Receiver not ready, a response with the final bit.
        let found = seen(&PROTOCOL, CLAIM, &[0xf0, 0xf1, 0x05, 0x01]);
        assert_eq!(found.all("llc.control.s_ftype"), ["0x0001"]);
        assert_eq!(found.all("llc.control.f"), ["true"]);
        assert_eq!(found.next, Next::Data);
        cut_everywhere(&PROTOCOL, CLAIM, &[0xf0, 0xf1, 0x05, 0x01], 4);
    }

    #[test]
    fn unnumbered_commands_are_named_in_the_line() {
        let found = seen(&PROTOCOL, CLAIM, &[0x00, 0x01, 0xbf]);
        assert_eq!(found.line, " →  XID dsap=0x00 ssap=0x01");
        assert_eq!(found.all("llc.control.u_modifier_resp"), ["0x2b"]);
    }

    #[test]
    fn every_form_of_the_header_is_written_and_comes_back() {
        use crate::{
            craft::testing::{built, fault, rebuilt_on},
            link::LinkType,
        };
        let eth = "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01";
        for (text, expected) in [
            ("llc dsap=0x42 ssap=0x42", "424203"),
            ("llc dsap=0xf0 ssap=0xf1 ctrl=0x0102", "f0f10201"),
            ("llc oui=0x00000c type=0x2000", "aaaa0300000c2000"),
            ("llc type=0x88cc ctrl=0x0002", "aaaa020000000088cc"),
        ] {
            let bytes = built(&format!("{eth} / {text}"));
            assert_eq!(hex::encode(&bytes[14..]), expected);
            assert_eq!(
                rebuilt_on(LinkType::ETHERNET, &bytes),
                format!("{eth} / {text}")
            );
            for len in 14..bytes.len() {
                rebuilt_on(LinkType::ETHERNET, &bytes[..len]);
            }
        }
        let ip = built("llc ctrl=0x10 snap / ip src=10.0.0.1 dst=10.0.0.2");
        assert_eq!(hex::encode(&ip[..9]), "aaaa10000000000800");
        assert!(fault("llc ctrl=0x0103").contains("one byte"));
    }
}
