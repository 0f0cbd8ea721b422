//! How an IPv4 header is crafted: its usual values, its words, its options.

use super::*;
use crate::{
    proto::making,
    protocol::{Ask, Craft, Slot},
};

/// The three flags in one value; Wireshark's `ip.flags`.
static FLAGS: Field = Field::bits(
    "ip.flags",
    "Flags",
    Kind::Hex(1),
    (6, 0, 3),
    "Reserved, don't fragment, more fragments (RFC 791 §3.1).",
);

/// The whole second byte, as Scapy and older texts have it.
static TOS: Field = Field::at(
    "ip.dsfield",
    "Differentiated services field",
    Kind::Hex(2),
    1,
    8,
    "Differentiated services and congestion notification (RFC 2474 §3, RFC 3168 §5).",
);

pub(super) static CRAFT: Craft = Craft {
    names: &["ip", "ipv4"],
    header: &[
        0x45, 0, 0, 0, 0, 1, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
    slots: &[
        Slot::new(&["version"], &VERSION),
        Slot::at(&["hdr_len"], &HDR_LEN, (0, 4, 4))
            .unit(4)
            .computed(making::header_length),
        Slot::at(&["ihl"], &HDR_LEN, (0, 4, 4))
            .computed(|view| Some(view.header().len() as u64 / 4)),
        Slot::new(&["tos"], &TOS),
        Slot::new(&["len"], &LEN).computed(making::length),
        Slot::new(&["id"], &ID),
        Slot::new(&["flags"], &FLAGS).letters(&[("MF", 1), ("DF", 2), ("RB", 4), ("evil", 4)]),
        Slot::new(&["df"], &FLAGS_DF),
        Slot::new(&["mf"], &FLAGS_MF),
        Slot::new(&["frag"], &FRAG_OFFSET),
        Slot::new(&["ttl"], &TTL),
        Slot::new(&["proto"], &PROTO).computed(making::ip_proto),
        Slot::new(&["src"], &SRC).asked(Ask::Source),
        Slot::new(&["dst"], &DST),
        Slot::new(&["chksum"], &CHECKSUM)
            .computed(|view| making::checksum_without(0, view.header(), 10)),
    ],
    tail: None,
    answers: None,
};
