//! How a TCP header is crafted: its usual values, its words, its options.

use super::{option::kind, *};
use crate::{
    proto::{
        making::{self, option as write},
        options::Options,
    },
    protocol::{Ask, Craft, Part, Slot, Tail},
};

/// All flags in one value; Wireshark's `tcp.flags`.
static FLAGS: Field = Field::bits(
    "tcp.flags",
    "Flags",
    Kind::Hex(3),
    (12, 7, 9),
    "The nine flags (RFC 9293 §3.1).",
);

pub(super) static CRAFT: Craft = Craft {
    names: &["tcp"],
    header: &[
        0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0x20, 0, 0, 0, 0, 0,
    ],
    slots: &[
        Slot::new(&["sport"], &SRCPORT).asked(Ask::Port),
        Slot::new(&["dport"], &DSTPORT),
        Slot::new(&["seq"], &SEQ_RAW).asked(Ask::Isn),
        Slot::new(&["ack"], &ACK_RAW),
        Slot::at(&["hdr_len"], &HDR_LEN, (12, 0, 4))
            .unit(4)
            .computed(making::header_length),
        Slot::at(&["dataofs"], &HDR_LEN, (12, 0, 4))
            .computed(|view| Some(view.header().len() as u64 / 4)),
        Slot::new(&["reserved"], &FLAGS_RES),
        Slot::new(&["flags"], &FLAGS).letters(&[
            ("F", 1),
            ("S", 2),
            ("R", 4),
            ("P", 8),
            ("A", 16),
            ("U", 32),
            ("E", 64),
            ("C", 128),
            ("N", 256),
        ]),
        Slot::new(&["window", "win"], &WINDOW_SIZE_VALUE),
        Slot::new(&["urgptr"], &URGENT_POINTER),
        Slot::new(&["chksum"], &CHECKSUM)
            .computed(|view| making::transport_checksum(view, IP_PROTO, 16)),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["mss"],
                form: "N",
                doc: "maximum segment size",
                write: write::one::<{ kind::MSS }, 2>,
            },
            Part {
                words: &["sackok", "sack_perm"],
                form: "",
                doc: "selective acknowledgments are welcome",
                write: write::empty::<{ kind::SACK_PERMITTED }>,
            },
            Part {
                words: &["ws", "wscale"],
                form: "SHIFT",
                doc: "window scale",
                write: write::one::<{ kind::WSCALE }, 1>,
            },
            Part {
                words: &["ts", "timestamp"],
                form: "VALUE:ECHO",
                doc: "timestamps",
                write: write::several::<{ kind::TIMESTAMP }, 4>,
            },
            Part {
                words: &["sack"],
                form: "LEFT:RIGHT[:LEFT:RIGHT…]",
                doc: "blocks received out of order, raw numbers",
                write: write::several::<{ kind::SACK }, 4>,
            },
            Part {
                words: &["nop"],
                form: "",
                doc: "no operation",
                write: write::single::<1>,
            },
            Part {
                words: &["eol"],
                form: "",
                doc: "end of options",
                write: write::single::<0>,
            },
            Part {
                words: &["opt"],
                form: "KIND:HEX",
                doc: "any option",
                write: write::any,
            },
        ],
        finish: Some(write::to_words),
        read,
    }),
    answers: Some(answers),
};

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    for option in Options::of_tcp(view.header()) {
        let number = |at, len| option.uint(at, len).unwrap_or(0);
        let numbers = || {
            let each = (2..option.bytes.len()).step_by(4);
            let each: Vec<String> = each.map(|at| number(at, 4).to_string()).collect();
            each.join(":")
        };
        match (option.kind, option.bytes.len()) {
            (kind::MSS, 4) => word("mss", number(2, 2).to_string()),
            (kind::SACK_PERMITTED, 2) => word("sackok", String::new()),
            (kind::WSCALE, 3) => word("ws", number(2, 1).to_string()),
            (kind::TIMESTAMP, 10) => word("ts", numbers()),
            (kind::SACK, 10 | 18 | 26 | 34) => word("sack", numbers()),
            (1, _) => word("nop", String::new()),
            (0, _) => word("eol", String::new()),
            (kind, _) => word(
                "opt",
                format!(
                    "{kind}:{}",
                    hex::encode(option.bytes.get(2..).unwrap_or(&[]))
                ),
            ),
        }
    }
}

/// The ports are swapped, and what comes back acknowledges what was sent, or refuses it (RFC 9293 §3.10.7.1).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    let (Some(sent), Some(ack), Some(flags)) = (request.u32(4), reply.u32(8), reply.u8(13)) else {
        return false;
    };
    let asked = request.u8(13).unwrap_or(0);
    let taken =
        u32::from(asked & 2 != 0) + u32::from(asked & 1 != 0) + request.payload().len() as u32;
    let acknowledges = flags & 0x10 != 0 && ack.wrapping_sub(sent) <= taken;
    // To a segment with ACK, a RST carries its number and none of its own.
    let resets = flags & 4 != 0 && request.u32(8) == reply.u32(4);
    making::ports_swapped(request, reply) && (acknowledges || resets)
}
