//! How an IPv4 header is crafted: its usual values, its words, its options.

use super::*;
use crate::{
    proto::making::{self, option as write},
    protocol::{Ask, Craft, Part, Slot, Tail},
    text::number,
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
        Slot::at(&["ihl"], &HDR_LEN, (0, 4, 4)),
        Slot::new(&["tos"], &TOS),
        Slot::new(&["len"], &LEN).computed(making::length),
        Slot::new(&["id"], &ID),
        Slot::new(&["flags"], &FLAGS).letters(&[("MF", 1), ("DF", 2), ("RB", 4), ("evil", 4)]),
        Slot::new(&["df"], &FLAGS_DF),
        Slot::new(&["mf"], &FLAGS_MF),
        Slot::new(&["frag"], &FRAG_OFFSET),
        Slot::new(&["ttl"], &TTL).computed(ttl),
        Slot::new(&["proto"], &PROTO).computed(making::ip_proto),
        Slot::new(&["src"], &SRC).asked(Ask::Source),
        Slot::new(&["dst"], &DST),
        Slot::new(&["chksum"], &CHECKSUM)
            .computed(|view| making::checksum_without(0, view.header(), 10)),
    ],
    tail: Some(&Tail {
        parts: &[
            write::NOP,
            write::EOL,
            Part {
                words: &["rr"],
                form: "[PTR:]ADDRESS:ADDRESS…",
                doc: "record route; 0.0.0.0 is room for a router",
                write: route::<{ option::RECORD_ROUTE }>,
            },
            Part {
                words: &["lsrr"],
                form: "[PTR:]ADDRESS:ADDRESS…",
                doc: "loose source route",
                write: route::<{ option::LOOSE_ROUTE }>,
            },
            Part {
                words: &["ssrr"],
                form: "[PTR:]ADDRESS:ADDRESS…",
                doc: "strict source route",
                write: route::<{ option::STRICT_ROUTE }>,
            },
            Part {
                words: &["ts"],
                form: "PTR:OVERFLOW:FLAG:TIME-OR-ADDRESS…",
                doc: "timestamps of routers, such as 5:0:0:0:0 for room for two",
                write: timestamps,
            },
            Part {
                words: &["ra"],
                form: "N",
                doc: "router alert",
                write: |value, header| {
                    let value = if value.is_empty() { "0" } else { value };
                    write::one::<{ option::ROUTER_ALERT }, 2>(value, header)
                },
            },
            Part {
                words: &["opt"],
                form: "TYPE:HEX",
                doc: "any option",
                write: write::any,
            },
            making::RAW,
        ],
        finish: Some(finish),
        read,
    }),
    answers: None,
};

/// Messages about multicast groups stay on the link (RFC 2236 §2, RFC 3376 §4).
fn ttl(view: &View<'_>) -> Option<u64> {
    let group = making::inside(view).is_some_and(|inside| inside.name == "igmp");
    group.then_some(1)
}

/// Pads the options, and says how many there are: a checksum inside may be over the last stop of a source route.
fn finish(header: &mut Vec<u8>) {
    write::to_words(header);
    let words = (header.len() / 4).min(15) as u8;
    if let Some(first) = header.first_mut() {
        *first = *first & 0xf0 | words;
    }
}

/// Addresses behind the pointer, which is 4 when it is not given: the first address.
fn route<const KIND: u8>(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let byte = |text: &str| number(text).and_then(|n| u8::try_from(n).ok());
    let (first, rest) = value.split_once(':').unwrap_or((value, ""));
    let (pointer, addresses) = match byte(first) {
        Some(pointer) => (pointer, rest),
        None => (4, value),
    };
    let mut data = vec![pointer];
    for address in addresses.split(':').filter(|text| !text.is_empty()) {
        let address: Ipv4Addr = address
            .parse()
            .map_err(|_| "expected addresses with : between them, such as 10.0.0.1:10.0.0.2")?;
        data.extend(address.octets());
    }
    write::push(KIND, &data, header)
}

fn timestamps(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let wrong = "expected PTR:OVERFLOW:FLAG and then times or addresses, such as 5:0:0:0:0";
    let mut items = value.split(':');
    let mut small = |largest: u128| {
        let given = items.next().and_then(number);
        given.filter(|n| *n <= largest).ok_or(wrong)
    };
    let (pointer, overflow, flag) = (small(255)?, small(15)?, small(15)?);
    let mut data = vec![pointer as u8, (overflow << 4 | flag) as u8];
    for item in items {
        let time = number(item).and_then(|n| u32::try_from(n).ok());
        let address = || item.parse::<Ipv4Addr>().ok().map(u32::from);
        data.extend(time.or_else(address).ok_or(wrong)?.to_be_bytes());
    }
    write::push(option::TIMESTAMP, &data, header)
}

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let mut end = HEADER;
    for found in Options::of_ipv4(header) {
        let Some(data) = found.data() else {
            break;
        };
        match (found.kind, data) {
            (0, _) if making::is_padding(header, found.at) => break,
            (0, _) => word("eol", String::new()),
            (1, _) => word("nop", String::new()),
            (option::RECORD_ROUTE, [pointer, stops @ ..]) if stops.len() % 4 == 0 => {
                word("rr", said_route(*pointer, stops));
            }
            (option::LOOSE_ROUTE, [pointer, stops @ ..]) if stops.len() % 4 == 0 => {
                word("lsrr", said_route(*pointer, stops));
            }
            (option::STRICT_ROUTE, [pointer, stops @ ..]) if stops.len() % 4 == 0 => {
                word("ssrr", said_route(*pointer, stops));
            }
            (option::TIMESTAMP, [pointer, flag, words @ ..]) if words.len() % 4 == 0 => {
                word("ts", said_timestamps(*pointer, *flag, words));
            }
            (option::ROUTER_ALERT, [high, low]) => {
                word("ra", u16::from_be_bytes([*high, *low]).to_string());
            }
            (kind, data) => word("opt", format!("{kind}:{}", hex::encode(data))),
        }
        end = found.at + found.bytes.len();
    }
    making::say_unpadded(header, end, word);
}

fn said_route(pointer: u8, stops: &[u8]) -> String {
    let mut said = pointer.to_string();
    for stop in stops.as_chunks::<4>().0 {
        said.push_str(&format!(":{}", Ipv4Addr::from(*stop)));
    }
    said
}

/// With flag 1 or 3, addresses and times take turns (RFC 791 §3.1).
fn said_timestamps(pointer: u8, flag: u8, words: &[u8]) -> String {
    let mut said = format!("{pointer}:{}:{}", flag >> 4, flag & 0xf);
    for (index, word) in words.as_chunks::<4>().0.iter().enumerate() {
        let is_address = matches!(flag & 0xf, 1 | 3) && index % 2 == 0;
        said.push_str(&match is_address {
            true => format!(":{}", Ipv4Addr::from(*word)),
            false => format!(":{}", u32::from_be_bytes(*word)),
        });
    }
    said
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{built, fault, rebuilt};

    /// The options of a header, and the packet in words again.
    fn options(words: &str) -> (String, String) {
        let bytes = built(&format!("ip src=10.0.0.1 dst=10.0.0.2 {words}"));
        let again = rebuilt(&bytes);
        (hex::encode(&bytes[20..]), again)
    }

    #[test]
    fn options_are_written_and_padded() {
        for (words, expected) in [
            ("rr=0.0.0.0:0.0.0.0", "070b040000000000000000"),
            ("nop lsrr=10.0.0.3:10.0.0.4", "01830b040a0000030a000004"),
            ("ssrr=8:10.0.0.3", "8907080a000003"),
            ("ts=5:0:0:0:0", "440c05000000000000000000"),
            ("ts=5:1:3:10.0.0.3:0", "440c05130a00000300000000"),
            ("ra", "94040000"),
            ("opt=0x88:0005", "88040005"),
            ("nop nop eol", "010100"),
        ] {
            let padded = format!(
                "{expected:0<width$}",
                width = expected.len().next_multiple_of(8)
            );
            assert_eq!(options(words).0, padded, "{words}");
        }
        assert!(options("ra").1.ends_with(" ra=0"));
        assert!(options("lsrr=10.0.0.3").1.ends_with(" lsrr=4:10.0.0.3"));
        assert_eq!(built("ip ra")[0], 0x46);
    }

    #[test]
    fn a_checksum_is_over_the_last_stop_of_a_source_route() {
        let sum = |words: &str| {
            let bytes = built(&format!("ip src=10.0.0.1 {words} / udp sport=1 dport=2"));
            rebuilt(&bytes);
            bytes[bytes.len() - 2..].to_vec()
        };
        assert_eq!(
            sum("dst=10.0.0.2 lsrr=10.0.0.3:10.0.0.9"),
            sum("dst=10.0.0.9")
        );
        // The route is used up: the pointer is behind it.
        assert_eq!(
            sum("dst=10.0.0.2 lsrr=12:10.0.0.3:10.0.0.9"),
            sum("dst=10.0.0.2")
        );
    }

    #[test]
    fn broken_options_are_raw_bytes_and_wrong_words_refused() {
        assert_eq!(options("nop raw=0705ff").0, "010705ff");
        assert!(options("nop raw=0705ff").1.ends_with("nop raw=0705ff"));
        assert!(options("eol raw=00ff00").1.ends_with("eol raw=00ff00"));
        let bytes = built("ip src=10.0.0.1 dst=10.0.0.2 hdr_len=60");
        assert!(rebuilt(&bytes).contains("hdr_len=60"));
        for (words, begins) in [
            ("ip lsrr=10.0.0.300", "expected addresses"),
            ("ip ts=5:16:0", "expected PTR:OVERFLOW:FLAG"),
            ("ip ra=65536", "expected a number up to 65535"),
            ("ip hdr_len=61", "expected a multiple of 4"),
        ] {
            assert!(
                fault(words).starts_with(begins),
                "{words}: {}",
                fault(words)
            );
        }
    }
}
