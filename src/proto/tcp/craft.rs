//! How a TCP header is crafted: its usual values, its words, its options.

use super::{option::kind, *};
use crate::{
    proto::{
        making::{self, option as write},
        options::Options,
    },
    protocol::{Ask, Craft, Part, Slot, Tail},
    text::{hexadecimal, number},
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
        Slot::at(&["dataofs"], &HDR_LEN, (12, 0, 4)),
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
                words: &["md5"],
                form: "HEX",
                doc: "MD5 signature, 16 bytes",
                write: write::bytes::<{ kind::MD5 }>,
            },
            Part {
                words: &["ao"],
                form: "KEY:NEXT:HEX",
                doc: "authentication: key, next key, code",
                write: authentication,
            },
            Part {
                words: &["mptcp"],
                form: "HEX",
                doc: "multipath, from the subtype on",
                write: write::bytes::<{ kind::MULTIPATH }>,
            },
            Part {
                words: &["tfo"],
                form: "[COOKIE]",
                doc: "fast open: a cookie in hexadecimal, or a request for one",
                write: write::bytes::<{ kind::FAST_OPEN }>,
            },
            Part {
                words: &["uto"],
                form: "SECONDS, or MINUTESm",
                doc: "user timeout",
                write: user_timeout,
            },
            Part {
                words: &["echo"],
                form: "N",
                doc: "data to be echoed",
                write: write::one::<{ kind::ECHO }, 4>,
            },
            Part {
                words: &["echoreply"],
                form: "N",
                doc: "data echoed",
                write: write::one::<{ kind::ECHO_REPLY }, 4>,
            },
            write::NOP,
            write::EOL,
            Part {
                words: &["opt"],
                form: "KIND:HEX",
                doc: "any option",
                write: write::any,
            },
            making::RAW,
        ],
        finish: Some(write::to_words),
        read,
    }),
    answers: Some(answers),
};

/// `KEY:NEXT:HEX` (RFC 5925 §2.2).
fn authentication(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let wrong = "expected KEY:NEXT:HEX, such as 1:1:00112233445566778899aabb";
    let byte = |text: &str| number(text).and_then(|n| u8::try_from(n).ok()).ok_or(wrong);
    let (key, rest) = value.split_once(':').ok_or(wrong)?;
    let (next, code) = rest.split_once(':').ok_or(wrong)?;
    let code = hexadecimal(code).ok_or(wrong)?;
    let data = [&[byte(key)?, byte(next)?], &code[..]].concat();
    write::push(kind::AUTHENTICATION, &data, header)
}

/// The upper bit says that minutes are counted (RFC 5482 §3).
fn user_timeout(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let (digits, minutes) = match value.strip_suffix('m') {
        Some(digits) => (digits, 0x8000),
        None => (value, 0),
    };
    let count = number(digits).filter(|n| *n < 0x8000);
    let count = count.ok_or("expected seconds such as 300, or minutes such as 5m")? as u16;
    write::push(kind::USER_TIMEOUT, &(count | minutes).to_be_bytes(), header)
}

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let mut end = HEADER;
    for option in Options::of_tcp(header) {
        let Some(data) = option.data() else {
            break;
        };
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
            (kind::ECHO, 6) => word("echo", numbers()),
            (kind::ECHO_REPLY, 6) => word("echoreply", numbers()),
            (kind::MD5, 3..) => word("md5", hex::encode(data)),
            (kind::MULTIPATH, 3..) => word("mptcp", hex::encode(data)),
            (kind::FAST_OPEN, _) => word("tfo", hex::encode(data)),
            (kind::AUTHENTICATION, 4..) => {
                let code = hex::encode(data.get(2..).unwrap_or(&[]));
                word("ao", format!("{}:{}:{code}", number(2, 1), number(3, 1)));
            }
            (kind::USER_TIMEOUT, 4) => {
                let unit = if number(2, 2) & 0x8000 == 0 { "" } else { "m" };
                word("uto", format!("{}{unit}", number(2, 2) & 0x7fff));
            }
            (1, _) => word("nop", String::new()),
            (0, _) if making::is_padding(header, option.at) => break,
            (0, _) => word("eol", String::new()),
            (kind, _) => word("opt", format!("{kind}:{}", hex::encode(data))),
        }
        end = option.at + option.bytes.len();
    }
    making::say_unpadded(header, end, word);
}

/// The ports are swapped, and the reply acknowledges what was sent, refuses it, or protests: what a peer may send back
/// in any state (RFC 9293 §3.10.7).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    let (Some(seq), Some(asked)) = (request.u32(4), request.u8(13).map(u16::from)) else {
        return false;
    };
    let (Some(ack), Some(flags)) = (reply.u32(8), reply.u8(13).map(u16::from)) else {
        return false;
    };
    // Nothing answers a RST.
    if !making::ports_swapped(request, reply) || asked & flag::RST != 0 {
        return false;
    }
    let one = |flag| u32::from(asked & flag != 0);
    let length = one(flag::SYN) + one(flag::FIN) + request.payload_wire();
    // A SYN that is not acknowledged was not taken (§3.10.7.3).
    let taken = one(flag::SYN)..=length;
    let acknowledges = flags & flag::ACK != 0 && taken.contains(&ack.wrapping_sub(seq));
    // The RST for a segment with ACK has the number that it acknowledges (§3.10.7.1).
    let refuses =
        flags & flag::RST != 0 && asked & flag::ACK != 0 && request.u32(8) == reply.u32(4);
    // Whoever has a connection with these ports already answers a SYN with what it expects (§3.10.7.4, RFC 5961 §4).
    let states = flag::SYN | flag::ACK | flag::RST | flag::FIN;
    let protests =
        asked & states == flag::SYN && flags & states == flag::ACK && reply.payload_wire() == 0;
    acknowledges || refuses || protests
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{answers, built, fault, rebuilt};

    fn options(words: &str) -> (String, String) {
        let bytes = built(&format!(
            "ip src=10.0.0.1 dst=10.0.0.2 / tcp sport=1 dport=2 {words}"
        ));
        let again = rebuilt(&bytes);
        (hex::encode(&bytes[40..]), again)
    }

    #[test]
    fn options_are_written_and_printed() {
        let digest = "00112233445566778899aabbccddeeff";
        for (words, expected) in [
            (
                "mss=1460 sackok ts=1:2 nop ws=7",
                "020405b40402080a000000010000000201030307",
            ),
            (
                "nop nop sack=1:2:3:4",
                "0101051200000001000000020000000300000004",
            ),
            (&format!("md5={digest} nop"), &format!("1312{digest}0100")),
            ("ao=1:2:00112233", "1d08010200112233"),
            ("mptcp=00810011223344556677", "1e0c00810011223344556677"),
            ("tfo nop nop", "22020101"),
            ("tfo=0011", "22040011"),
            ("uto=300", "1c04012c"),
            ("uto=5m", "1c048005"),
            ("opt=254:f989", "fe04f989"),
        ] {
            let (found, again) = options(words);
            assert_eq!(found, *expected, "{words}");
            assert!(again.ends_with(words), "{again}");
        }
    }

    #[test]
    fn broken_options_are_raw_bytes_and_wrong_words_refused() {
        assert!(options("nop raw=0204ff").1.ends_with("nop raw=0204ff"));
        assert!(options("eol raw=00ff00").1.ends_with("eol eol raw=ff00"));
        let cut = built(
            "ip src=10.0.0.1 dst=10.0.0.2 len=60 / tcp sport=1 dport=2 ts=1:2 nop nop dataofs=10 cut=27",
        );
        assert!(rebuilt(&cut).ends_with("raw=080a0000000100 cut=27"));
        for (words, begins) in [
            ("tcp mss=70000", "expected a number up to 65535"),
            ("tcp uto=40000", "expected seconds"),
            ("tcp ao=1:00", "expected KEY:NEXT:HEX"),
        ] {
            assert!(
                fault(words).starts_with(begins),
                "{words}: {}",
                fault(words)
            );
        }
    }

    #[test]
    fn an_answer_acknowledges_refuses_or_protests() {
        let asks = |asked: &str, answered: &str| {
            let request = format!("tcp sport=1 dport=2 {asked}");
            answers(&request, &format!("tcp sport=2 dport=1 {answered}"), 0)
        };
        let syn = "seq=100 flags=S";
        assert!(asks(syn, "seq=7 ack=101 flags=SA"));
        assert!(asks(syn, "ack=101 flags=RA"));
        assert!(!asks(syn, "seq=7 ack=102 flags=SA"));
        assert!(
            !asks(syn, "seq=7 ack=100 flags=SA"),
            "the SYN is not acknowledged"
        );
        assert!(!asks(syn, "seq=0 ack=0 flags=R"), "a RST of something else");
        assert!(asks(syn, "seq=7 ack=5 flags=A"), "a challenge");
        assert!(
            !asks(syn, "seq=7 ack=5 flags=PA / hex=00"),
            "data of another connection"
        );
        // Data with the SYN may be taken or left (RFC 7413 §2).
        assert!(asks(
            "seq=100 flags=S / text=hello",
            "seq=7 ack=106 flags=SA"
        ));
        assert!(asks(
            "seq=100 flags=S / text=hello",
            "seq=7 ack=101 flags=SA"
        ));
        // To ACK a RST has its number, and acknowledges nothing.
        assert!(asks("seq=1 ack=900 flags=A", "seq=900 flags=R"));
        assert!(!asks("seq=1 ack=900 flags=A", "seq=901 flags=R"));
        // Without any flag, the RST acknowledges the sequence number itself.
        assert!(asks("seq=100 flags=0", "ack=100 flags=RA"));
        assert!(asks("seq=100 flags=FPU", "ack=101 flags=RA"));
        assert!(asks(
            "seq=100 ack=5 flags=PA / hex=0011",
            "seq=5 ack=102 flags=A"
        ));
        assert!(!asks(
            "seq=100 ack=5 flags=PA / hex=0011",
            "seq=5 ack=103 flags=A"
        ));
        assert!(
            !asks("seq=100 ack=5 flags=RA", "seq=5 flags=R"),
            "nothing answers a RST"
        );
        assert!(asks("seq=0xffffffff flags=S", "seq=7 ack=0 flags=SA"));
        assert!(!answers(
            "tcp sport=1 dport=2 seq=1",
            "tcp sport=1 dport=2 ack=2 flags=SA",
            0
        ));
    }
}
