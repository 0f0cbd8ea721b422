//! Multiprotocol label switching: one label stack entry, and after the last one a guess at what was labelled.
//!
//! Spec: RFC 3032 §2.1; nothing names the payload, so its first nibble decides (RFC 4928 §2).
//!
//! ```text
//!  0                                    4
//! | label:20 | class:3 | bottom:1 | TTL:8 | next entry or payload …
//! ```

use crate::{
    field::{Field, Kind, Value},
    layer::View,
    line::Line,
    proto::making,
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};

const ENTRY: usize = 4;

/// One label.
pub static PROTOCOL: Protocol = Protocol {
    name: "mpls",
    label: "MPLS",
    title: "Multiprotocol Label Switching",
    spec: "RFC 3032",
    claims: &[
        Claim::EtherType(0x8847),
        Claim::EtherType(0x8848),
        Claim::Ppp(0x0281),
        Claim::Ppp(0x0283),
        Claim::IpProto(137),
        Claim::UdpPort(6635),
        Claim::Name("mpls"),
    ],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

const RESERVED: &[(u64, &str)] = &[
    (0, "IPv4 explicit null"),
    (1, "Router alert"),
    (2, "IPv6 explicit null"),
    (3, "Implicit null"),
    (7, "Entropy label indicator"),
    (13, "Generic associated channel"),
    (14, "OAM alert"),
];

crate::fields! {
    LABEL = Field::at("mpls.label", "Label", Kind::Uint, 0, 20, "By what the next router forwards; 0 to 15 are reserved (RFC 3032 §2.1).").names(RESERVED);
    EXP = Field::bits("mpls.exp", "Traffic class", Kind::Uint, (2, 4, 3), "Class of service, once called experimental (RFC 5462).");
    BOTTOM = Field::bits("mpls.bottom", "Bottom of stack", Kind::Uint, (2, 7, 1), "1 on the last label (RFC 3032 §2.1).");
    TTL = Field::at("mpls.ttl", "TTL", Kind::Uint, 3, 8, "Routers that may still forward the packet (RFC 3032 §2.4).");
}

/// The first label that is not reserved.
static CRAFT: Craft = Craft {
    names: &["mpls"],
    header: &[0, 1, 0x01, 64],
    slots: &[
        Slot::new(&["label"], &LABEL),
        Slot::new(&["exp", "cos", "tc"], &EXP),
        Slot::new(&["bottom", "s"], &BOTTOM).computed(bottom),
        Slot::new(&["ttl"], &TTL),
    ],
    tail: None,
    answers: None,
};

fn bottom(view: &View<'_>) -> Option<u64> {
    let inside = making::inside(view);
    Some(inside.is_none_or(|inside| inside.name != "mpls").into())
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(entry) = bytes.first_chunk::<ENTRY>() else {
        return Dissected::short(bytes, context, ENTRY);
    };
    let next = if entry[2] & 1 == 0 {
        Next::Claim(Claim::Name("mpls"))
    } else {
        match bytes.get(ENTRY).map(|first| first >> 4) {
            Some(4) => Next::Claim(Claim::EtherType(0x0800)),
            Some(6) => Next::Claim(Claim::EtherType(0x86dd)),
            Some(0) => Next::Claim(Claim::Name("pwethcw")),
            _ => Next::Data,
        }
    };
    Dissected::new(ENTRY, next, context)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let (Some(Value::Uint(label)), Some(Value::Uint(ttl))) =
        (view.value(&LABEL), view.value(&TTL))
    {
        line.say(format_args!("label={label} ttl={ttl}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::EtherType(0x8847);

    #[test]
    fn shows_every_field_of_an_entry() {
        let bytes = [0x00, 0x06, 0x4a, 0x40];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("mpls.label", "100"),
                ("mpls.exp", "5"),
                ("mpls.bottom", "0"),
                ("mpls.ttl", "64")
            ]
        );
        assert_eq!(found.next, Next::Claim(Claim::Name("mpls")));
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 4);
    }

    #[test]
    fn the_first_nibble_tells_what_the_last_label_carries() {
        for (first, next) in [
            (0x45, Next::Claim(Claim::EtherType(0x0800))),
            (0x60, Next::Claim(Claim::EtherType(0x86dd))),
            (0x00, Next::Claim(Claim::Name("pwethcw"))),
            (0x10, Next::Data),
        ] {
            assert_eq!(seen(&PROTOCOL, CLAIM, &[0, 6, 0x41, 1, first]).next, next);
        }
    }

    #[test]
    fn only_the_last_label_is_the_bottom_unless_told_otherwise() {
        use crate::{
            craft::testing::{built, rebuilt_on},
            link::LinkType,
        };
        let text = "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 / mpls label=1000 exp=5 ttl=255 / mpls / ip proto=253 src=10.0.0.1 dst=10.0.0.2";
        let bytes = built(text);
        assert_eq!(bytes[12..22], [0x88, 0x47, 0, 0x3e, 0x8a, 255, 0, 1, 1, 64]);
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        let wrong = built(&text.replace("exp=5", "exp=5 bottom=1"));
        assert_eq!(wrong[16], 0x8b);
        rebuilt_on(LinkType::ETHERNET, &wrong);
    }
}
