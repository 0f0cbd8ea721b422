//! How an IPv6 routing header is crafted: its type, its stops.

use super::*;
use crate::{
    proto::making,
    protocol::{Craft, Form, Part, Slot, Tail},
};

/// What stands between segments left and the first stop, in types that have no use for it.
static RESERVED: Field = Field::at(
    "ipv6.routing.reserved",
    "Reserved",
    Kind::Hex(8),
    4,
    32,
    "Zero (RFC 5095, RFC 6275 §6.4).",
);

pub(super) static CRAFT: Craft = Craft {
    names: &["rt6"],
    header: &[59, 0, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::new(&["nxt", "nh"], &NXT).computed(making::next_header),
        Slot::new(&["len"], &LEN).computed(making::length_in_eights),
        Slot::new(&["type"], &TYPE).form(&Form {
            header: |_| &[59, 0, 0, 0, 0, 0, 0, 0],
            names: &[
                ("IPv6ExtHdrRouting", 0),
                ("IPv6ExtHdrSegmentRouting", SEGMENTS as u64),
            ],
        }),
        Slot::new(&["segleft"], &SEGLEFT),
        Slot::at(&["lastentry"], &LAST_ENTRY, (4, 0, 8)).when(is_segments),
        Slot::at(&["flags"], &FLAGS, (5, 0, 8)).when(is_segments),
        Slot::at(&["tag"], &TAG, (6, 0, 16)).when(is_segments),
        Slot::new(&["reserved"], &RESERVED).when(|header| !is_segments(header)),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["addr", "addresses"],
                form: "ADDRESS[,ADDRESS…]",
                doc: "stops on the way, as the header has them: those of segment routing backwards",
                write: push_stops,
            },
            making::RAW,
        ],
        finish: None,
        read,
    }),
    answers: None,
};

fn is_segments(header: &[u8]) -> bool {
    header.get(2) == Some(&SEGMENTS)
}

/// Appends stops and counts them, as they are at the first hop: all are left, and of segments all but the one that the
/// packet is under way to (RFC 8754 §4.1). What is inside needs the count: its checksum is over the final destination.
fn push_stops(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    for address in value.split(',') {
        let stop: Ipv6Addr = address
            .parse()
            .map_err(|_| "expected IPv6 addresses with commas between them")?;
        header.extend(stop.octets());
    }
    let count = header.len().saturating_sub(ADDRESSES) / 16;
    match is_segments(header) {
        true => header[3..5].fill(count.saturating_sub(1) as u8),
        false => header[3] = count as u8,
    }
    Ok(())
}

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let (_, count) = stops(header);
    let each = (0..count).map_while(|index| stop(header, index));
    let each: Vec<String> = each.map(|stop| stop.to_string()).collect();
    if !each.is_empty() {
        word("addr", each.join(","));
    }
    making::say_raw(header, ADDRESSES + 16 * each.len(), word);
}

#[cfg(test)]
mod tests {
    use crate::{
        checksum,
        craft::testing::{built, fault, rebuilt},
    };

    #[test]
    fn stops_are_counted() {
        let bytes = built("ip6 src=::1 dst=::2 / rt6 addr=::3,::4 / udp sport=1 dport=2");
        assert_eq!(hex::encode(&bytes[40..48]), "1104000200000000");
        rebuilt(&bytes);
        let bytes =
            built("ip6 src=::1 dst=::4 / IPv6ExtHdrSegmentRouting addr=::3,::4 tag=7 / udp");
        assert_eq!(hex::encode(&bytes[40..48]), "1104040101000007");
        rebuilt(&bytes);
    }

    #[test]
    fn checksums_are_over_the_final_destination() {
        let bytes = built("ip6 src=::1 dst=::2 / rt6 addr=::3,::4 / udp sport=1 dport=2");
        let address = |last: u8| std::net::Ipv6Addr::from(u128::from(last)).into();
        let pseudo = checksum::pseudo(address(1), address(4), 17, 8);
        assert_eq!(checksum::fold(checksum::sum(pseudo, &bytes[80..])), 0xffff);
    }

    #[test]
    fn what_is_no_stop_is_raw() {
        let bytes = built("ip6 src=::1 dst=::2 / rt6 type=3 segleft=1 raw=0011223344556677");
        assert_eq!(bytes[41], 1);
        assert!(rebuilt(&bytes).ends_with("raw=0011223344556677"));
        assert!(fault("rt6 addr=10.0.0.1").starts_with("expected IPv6 addresses"));
    }
}
