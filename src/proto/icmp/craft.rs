//! How ICMP messages are crafted: each type has fields of its own behind the checksum.

use super::*;
use crate::{
    proto::making,
    protocol::{Ask, Craft, Form, Part, Slot, Tail},
    text::number,
};
use std::net::Ipv4Addr;

/// What errors leave empty, and some of their bytes.
static UNUSED: Field = unused(4, 32);
static UNUSED_FIRST: Field = unused(4, 8);
static UNUSED_LAST: Field = unused(6, 16);

const fn unused(byte: u16, bits: u16) -> Field {
    let doc = "Zero (RFC 792).";
    Field::at("icmp.unused", "Unused", Kind::Hex(4), byte, bits, doc)
}

/// The last byte of an extended echo: which interface is asked about, or what it is like.
static EXT_ECHO_FLAGS: Field = Field::at(
    "icmp.ext.echo.flags",
    "Flags",
    Kind::Hex(2),
    7,
    8,
    "Local interface in a request, state and addresses in a reply (RFC 8335 §2, §3).",
);

pub(super) static CRAFT: Craft = Craft {
    names: &["icmp"],
    header: &[kind::ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::new(&["type"], &TYPE).form(&Form {
            header: form,
            names: &[],
        }),
        Slot::new(&["code"], &CODE),
        Slot::at(&["id"], &IDENT, (4, 0, 16))
            .asked(Ask::Ident)
            .when(|header| is_asked(header) || is(header, &[42, 43])),
        Slot::at(&["seq"], &SEQ, (6, 0, 16)).when(is_asked),
        Slot::at(&["seq"], &EXT_ECHO_SEQ, (6, 0, 8)).when(|header| is(header, &[42, 43])),
        Slot::new(&["flags"], &EXT_ECHO_FLAGS).when(|header| is(header, &[42, 43])),
        Slot::at(&["ts_ori"], &ORIGINATE_TIMESTAMP, (8, 0, 32))
            .when(|header| is(header, &[13, 14])),
        Slot::at(&["ts_rx"], &RECEIVE_TIMESTAMP, (12, 0, 32)).when(|header| is(header, &[13, 14])),
        Slot::at(&["ts_tx"], &TRANSMIT_TIMESTAMP, (16, 0, 32)).when(|header| is(header, &[13, 14])),
        Slot::at(&["mask", "addr_mask"], &ADDRESS_MASK, (8, 0, 32))
            .when(|header| is(header, &[17, 18])),
        Slot::at(&["gw"], &REDIR_GW, (4, 0, 32)).when(|header| is(header, &[kind::REDIRECT])),
        Slot::at(&["ptr"], &POINTER, (4, 0, 8)).when(|header| is(header, &[kind::PARAMETER])),
        Slot::new(&["unused"], &UNUSED).when(|header| is(header, &[4, 10])),
        Slot::new(&["unused"], &UNUSED_FIRST).when(|header| is(header, &[3, 11])),
        Slot::at(&["length"], &LENGTH, (5, 0, 8)).when(|header| is(header, &[3, 11, 12])),
        Slot::at(&["mtu", "nexthopmtu"], &MTU, (6, 0, 16))
            .when(|header| is(header, &[kind::UNREACHABLE])),
        Slot::new(&["unused_last"], &UNUSED_LAST).when(|header| is(header, &[11, 12])),
        Slot::at(&["num"], &NUM_ADDRS, (4, 0, 8))
            .computed(|view| Some(view.header().len().checked_sub(HEADER)? as u64 / 8))
            .when(is_routers),
        Slot::at(&["size"], &ADDR_ENTRY_SIZE, (5, 0, 8)).when(is_routers),
        Slot::at(&["lifetime"], &LIFETIME, (6, 0, 16)).when(is_routers),
        Slot::new(&["chksum"], &CHECKSUM).computed(|view| making::plain_checksum(view, 2)),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["router"],
                form: "ADDRESS[:PREFERENCE]",
                doc: "a router that is advertised",
                write: router,
            },
            making::RAW,
        ],
        finish: None,
        read,
    }),
    answers: Some(answers),
};

/// Whether the message is of one of these types.
fn is(header: &[u8], kinds: &[u8]) -> bool {
    header.first().is_some_and(|kind| kinds.contains(kind))
}

/// A question, or its answer, with identifier and sequence number.
fn is_asked(header: &[u8]) -> bool {
    is(header, &[0, 8, 13, 14, 15, 16, 17, 18])
}

fn is_routers(header: &[u8]) -> bool {
    is(header, &[kind::ROUTER_ADVERTISEMENT])
}

/// The header that decoding expects of a type, with a lifetime as routers have it (RFC 1256 §4.1).
fn form(header: &[u8]) -> &'static [u8] {
    match header.first() {
        Some(&(kind::TIMESTAMP | kind::TIMESTAMP_REPLY)) => &[0; 20],
        Some(&(kind::MASK | kind::MASK_REPLY)) => &[0; 12],
        Some(&kind::ROUTER_ADVERTISEMENT) => &[0, 0, 0, 0, 0, 2, 7, 8],
        Some(&kind) if kind <= 18 && TYPE.value_name(kind.into()).is_some() && kind != 6 => &[0; 8],
        Some(&(kind::EXTENDED_ECHO | kind::EXTENDED_REPLY)) => &[0; 8],
        _ => &[0; 4],
    }
}

/// An address, and how much the router wants to be chosen.
fn router(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let (address, preference) = value.split_once(':').unwrap_or((value, "0"));
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| "expected ADDRESS:PREFERENCE, such as 10.0.0.1:0")?;
    let preference = number(preference).and_then(|n| u32::try_from(n).ok());
    let preference = preference.ok_or("expected a preference of 32 bits, such as 0")?;
    header.extend(address.octets());
    header.extend(preference.to_be_bytes());
    Ok(())
}

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let mut end = form(header).len();
    if is_routers(header) {
        for entry in header.get(end..).unwrap_or(&[]).as_chunks::<8>().0 {
            let [a, b, c, d, preference @ ..] = *entry;
            let address = Ipv4Addr::new(a, b, c, d);
            word(
                "router",
                format!("{address}:{}", u32::from_be_bytes(preference)),
            );
            end += entry.len();
        }
    }
    making::say_raw(header, end, word);
}

/// Echoes, timestamps and masks come back with the identifier and sequence number of the question (RFC 792).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    let (Some(asked), Some(answered)) = (request.u8(0), reply.u8(0)) else {
        return false;
    };
    let numbers = |view: &View<'_>| view.u32(4);
    match (asked, answered) {
        (kind::ECHO_REQUEST, kind::ECHO_REPLY)
        | (kind::TIMESTAMP, kind::TIMESTAMP_REPLY)
        | (kind::INFORMATION, kind::INFORMATION_REPLY)
        | (kind::MASK, kind::MASK_REPLY) => numbers(request) == numbers(reply),
        // The last byte says something else in the reply (RFC 8335 §3).
        (kind::EXTENDED_ECHO, kind::EXTENDED_REPLY) => {
            numbers(request).map(|n| n >> 8) == numbers(reply).map(|n| n >> 8)
        }
        (kind::ROUTER_SOLICITATION, kind::ROUTER_ADVERTISEMENT) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{answers, built, fault, rebuilt};

    /// The message behind an IPv4 header.
    fn message(words: &str) -> String {
        let bytes = built(&format!("ip src=10.0.0.1 dst=10.0.0.2 / {words}"));
        rebuilt(&bytes);
        hex::encode(&bytes[20..])
    }

    #[test]
    fn each_type_has_its_fields() {
        for (words, expected) in [
            ("icmp id=1 seq=2 / text=hi", "08008f9300010002 6869"),
            ("icmp type=echo-reply id=0xffff", "0000000 0ffff0000"),
            (
                "icmp type=dest-unreach code=4 mtu=1400",
                "0304f7830 0000578",
            ),
            ("icmp type=redirect code=1 gw=10.0.0.9", "0501f0f50a000009"),
            ("icmp type=parameter-problem ptr=20", "0c00dfff14000000"),
            ("icmp type=time-exceeded", "0b00f4ff00000000"),
            (
                "icmp type=13 id=1 seq=2 ts_ori=3 ts_rx=4 ts_tx=5",
                "0d00f2f000010002000000030000000400000005",
            ),
            ("icmp type=mask-reply", ""),
            (
                "icmp type=18 id=1 mask=255.255.0.0",
                "1200edfe00010000ffff0000",
            ),
            (
                "icmp type=9 router=10.0.0.1:5",
                "0900e4ef0102070 80a00000100000005",
            ),
            (
                "icmp type=42 id=1 seq=2 flags=1 raw=2000dfff",
                "2a00d3fd000102012000dfff",
            ),
            ("icmp type=30 / hex=0001", "1e00e1fe0001"),
        ] {
            if expected.is_empty() {
                assert!(fault(words).starts_with("expected a number"));
            } else {
                assert_eq!(message(words), expected.replace(' ', ""), "{words}");
            }
        }
    }

    #[test]
    fn an_error_quotes_a_packet_that_may_be_cut() {
        let quote = "ip len=60 id=7 src=10.0.0.2 dst=10.0.0.1";
        for inner in [
            "udp sport=1 dport=2 len=40 chksum=0xbeef",
            "tcp sport=1 dport=2 seq=3 cut=8",
            "icmp id=1 seq=2 chksum=0x0007",
        ] {
            let text = format!("ip src=10.0.0.9 dst=10.0.0.2 / icmp type=11 / {quote} / {inner}");
            let bytes = built(&text);
            assert_eq!(bytes.len(), 20 + 8 + 20 + 8);
            assert!(rebuilt(&bytes).ends_with(inner), "{}", rebuilt(&bytes));
        }
    }

    #[test]
    fn fields_of_other_types_are_refused() {
        assert_eq!(fault("icmp type=3 id=1"), "icmp has no field id");
        assert_eq!(fault("icmp gw=10.0.0.1"), "icmp has no field gw");
        assert!(fault("tcp cut=99").starts_with("expected a number of bytes up to 20"));
    }

    #[test]
    fn replies_have_the_numbers_of_their_questions() {
        let asks = |request: &str, reply: &str| answers(request, reply, 0);
        assert!(asks("icmp id=1 seq=2", "icmp type=0 id=1 seq=2"));
        assert!(!asks("icmp id=1 seq=2", "icmp type=0 id=1 seq=3"));
        assert!(!asks("icmp id=1 seq=2", "icmp id=1 seq=2"));
        assert!(asks("icmp type=13 id=1", "icmp type=14 id=1 ts_rx=5"));
        assert!(!asks("icmp type=13 id=1", "icmp type=18 id=1"));
        assert!(asks("icmp type=17 seq=9", "icmp type=18 seq=9"));
        assert!(asks(
            "icmp type=42 id=1 seq=9 flags=1",
            "icmp type=43 id=1 seq=9 flags=0x46"
        ));
    }
}
