//! The data plane of LISP: packets between sites, tunnelled by locator behind eight bytes of header.
//!
//! Spec: RFC 9300 §5.3.
//!
//! ```text
//!  0       1                4                                8
//! | flags | nonce or maps  | instance ID, locator status    | packet …
//! ```

use crate::{
    field::{Field, Kind},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};

const HEADER: usize = 8;

/// LISP data.
pub static PROTOCOL: Protocol = Protocol {
    name: "lisp-data",
    label: "LISP",
    title: "Locator/ID Separation Protocol, data",
    spec: "RFC 9300 §5.3",
    claims: &[Claim::UdpPort(4341)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    NONCE_PRESENT = Field::bits("lisp-data.flags.nonce", "Nonce present", Kind::Flag, (0, 0, 1), "The next three bytes hold a nonce (RFC 9300 §5.3).");
    LSB = Field::bits("lisp-data.flags.lsb", "Locator status present", Kind::Flag, (0, 1, 1), "The last bits say which locators are up (RFC 9300 §5.3).");
    ENR = Field::bits("lisp-data.flags.enr", "Echo nonce request", Kind::Flag, (0, 2, 1), "The receiver should send the nonce back (RFC 9300 §5.3).");
    MV = Field::bits("lisp-data.flags.mv", "Map versions present", Kind::Flag, (0, 3, 1), "The next three bytes hold map versions (RFC 9300 §5.3).");
    IID = Field::bits("lisp-data.flags.iid", "Instance ID present", Kind::Flag, (0, 4, 1), "An instance ID tells networks apart (RFC 9300 §5.3).");
}

static CRAFT: Craft = Craft {
    names: &["lisp"],
    header: &[0; HEADER],
    slots: &[
        Slot::new(&["nonce"], &NONCE),
        Slot::new(&["iid"], &INSTANCE).when(|header| header[0] & 0x08 != 0),
        Slot::new(&["status"], &STATUS).when(|header| header[0] & 0x08 != 0),
        Slot::new(&["status"], &LONG_STATUS).when(|header| header[0] & 0x08 == 0),
        // The flag of a nonce is that of map versions in its place, too.
        Slot::new(&["flags.nonce"], &NONCE_PRESENT).computed(has_nonce),
        Slot::new(&["flags.reserved"], &RESERVED),
    ],
    tail: None,
    answers: None,
};

fn has_nonce(view: &View<'_>) -> Option<u64> {
    let first = view.u32(0)?;
    let map_versions = first & 0x1000_0000 != 0;
    Some((first & 0x00ff_ffff != 0 && !map_versions).into())
}

static RESERVED: Field = Field::bits(
    "lisp-data.flags.reserved",
    "Reserved",
    Kind::Hex(1),
    (0, 5, 3),
    "Zero (RFC 9300 §5.3).",
);
static NONCE: Field = Field::at(
    "lisp-data.nonce",
    "Nonce",
    Kind::Hex(6),
    1,
    24,
    "Sent back by the receiver, or two map versions (RFC 9300 §5.3).",
);
static INSTANCE: Field = Field::at(
    "lisp-data.iid",
    "Instance ID",
    Kind::Uint,
    4,
    24,
    "Tells networks with the same addresses apart (RFC 9300 §5.3).",
);
static STATUS: Field = Field::at(
    "lisp-data.lsb8",
    "Locator status",
    Kind::Hex(2),
    7,
    8,
    "Which of the first 8 locators are up (RFC 9300 §5.3).",
);
static LONG_STATUS: Field = Field::at(
    "lisp-data.lsb",
    "Locator status",
    Kind::Hex(8),
    4,
    32,
    "Which locators are up (RFC 9300 §5.3).",
);

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    if bytes.len() < HEADER {
        return Dissected::short(bytes, context, HEADER);
    }
    let next = match bytes.get(HEADER).map(|byte| byte >> 4) {
        Some(4) => Next::Claim(Claim::EtherType(0x0800)),
        Some(6) => Next::Claim(Claim::EtherType(0x86dd)),
        _ => Next::Data,
    };
    Dissected::new(HEADER, next, context)
}

fn line(view: &View<'_>, line: &mut Line) {
    line.say(format_args!("len={}", view.payload_wire()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::UdpPort(4341);

    #[test]
    fn the_first_nibble_tells_what_is_inside() {
        for (byte, next) in [
            (0x45, Next::Claim(Claim::EtherType(0x0800))),
            (0x60, Next::Claim(Claim::EtherType(0x86dd))),
            (0x00, Next::Data),
        ] {
            let seen = seen(&PROTOCOL, CLAIM, &[0x80, 0, 0, 1, 0, 0, 0, 1, byte]);
            assert_eq!(seen.next, next);
            assert_eq!(seen.all("lisp-data.flags.nonce"), ["true"]);
        }
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &[0; HEADER], HEADER);
    }

    #[test]
    fn a_nonce_sets_its_flag_and_comes_back() {
        use crate::craft::testing::{built, rebuilt};
        let text = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=40000 dport=4341 / lisp nonce=0x00abcd iid=7 flags.iid / ip proto=253 src=10.1.0.1 dst=10.1.0.2";
        let bytes = built(text);
        assert_eq!(hex::encode(&bytes[28..36]), "8800abcd00000700");
        assert_eq!(rebuilt(&bytes), text);
        let odd = built(&text.replace("flags.iid", "flags.iid flags.nonce=0 flags.reserved=5"));
        assert_eq!(odd[28], 0x0d);
        rebuilt(&odd);
        rebuilt(&bytes[..32]);
    }
}
