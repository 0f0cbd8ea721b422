//! The routing header of IPv6: stops on the way, as source routes, segment routing and mobility use them.
//!
//! Spec: RFC 8200 §4.4; type 2 RFC 6275 §6.4; type 3 RFC 6554; type 4 (segment routing) RFC 8754.
//!
//! ```text
//!  0     1     2      3           4
//! | nxt | len | type | segs left | data by type, up to (len + 1) * 8 bytes
//! ```

mod craft;

use super::ipproto;
use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use etherparse::Ipv6RawExtHeaderSlice;
use std::{
    net::{IpAddr, Ipv6Addr},
    ops::ControlFlow,
};

const ADDRESSES: usize = 8;
const SOURCE_ROUTE: u8 = 0;
const MOBILE: u8 = 2;
const SEGMENTS: u8 = 4;

/// The IPv6 routing header.
pub static PROTOCOL: Protocol = Protocol {
    name: "ipv6.routing",
    label: "IPv6",
    title: "Routing header for IPv6",
    spec: "RFC 8200 §4.4",
    claims: &[Claim::IpProto(43)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: Some(addresses),
    craft: Some(&craft::CRAFT),
};

const TYPES: &[(u64, &str)] = &[
    (0, "source route"),
    (2, "mobile IPv6"),
    (3, "RPL source route"),
    (4, "segment routing"),
];

crate::fields! {
    NXT = Field::at("ipv6.routing.nxt", "Next header", Kind::Uint, 0, 8, "What follows the routing header (IANA Protocol Numbers).").names(ipproto::NAMES);
    LEN = Field::at("ipv6.routing.len", "Length", Kind::Uint, 1, 8, "Length in units of 8 bytes, the first 8 not counted (RFC 8200 §4.4).");
    TYPE = Field::at("ipv6.routing.type", "Type", Kind::Uint, 2, 8, "How the data are laid out (IANA IPv6 Routing Types).").names(TYPES);
    SEGLEFT = Field::at("ipv6.routing.segleft", "Segments left", Kind::Uint, 3, 8, "Stops still to be made (RFC 8200 §4.4).");
    LEN_OCT = Field::walked("ipv6.routing.len_oct", "Length", Kind::Uint, "Bytes of the whole header: eight more than the length field tells (RFC 8200 §4.4).");
    LAST_ENTRY = Field::walked("ipv6.routing.srh.last_entry", "Last entry", Kind::Uint, "Index of the last segment in the list, counted from 0 (RFC 8754 §2).");
    FLAGS = Field::walked("ipv6.routing.srh.flags", "Flags", Kind::Hex(2), "None is defined yet (RFC 8754 §2).");
    TAG = Field::walked("ipv6.routing.srh.tag", "Tag", Kind::Hex(4), "Marks packets of one class (RFC 8754 §2).");
    SEGMENT = Field::walked("ipv6.routing.srh.addr", "Segment", Kind::Ipv6, "A stop, the last one first (RFC 8754 §2).").many();
    ADDRESS = Field::walked("ipv6.routing.src.addr", "Address", Kind::Ipv6, "A stop, the next one first (RFC 8200 §4.4).").many();
    HOME_ADDRESS = Field::walked("ipv6.routing.mipv6.home_address", "Home address", Kind::Ipv6, "Where the moving destination is at home (RFC 6275 §6.4).");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    match Ipv6RawExtHeaderSlice::from_slice(bytes) {
        Ok(header) => {
            let next = Next::Claim(Claim::IpProto(header.next_header().0));
            let found = Dissected::new(header.slice().len(), next, context);
            let stops = (header.slice().len() - ADDRESSES) / 16;
            match (bytes[2], usize::from(bytes[3])) {
                (SOURCE_ROUTE | SEGMENTS, left) if left > stops => {
                    found.with(Problem::malformed("more segments left than addresses"))
                }
                _ => found,
            }
        }
        Err(missing) => Dissected::short(bytes, context, missing.required_len),
    }
}

/// How many stops the header lists, and where the field for one of them is.
fn stops(header: &[u8]) -> (&'static Field, usize) {
    let room = header.len().saturating_sub(ADDRESSES) / 16;
    match header.get(2) {
        Some(&SOURCE_ROUTE) => (&ADDRESS, room),
        Some(&MOBILE) => (&HOME_ADDRESS, room.min(1)),
        // What follows the segments are options.
        Some(&SEGMENTS) => {
            let listed = header.get(4).map_or(0, |&last| usize::from(last) + 1);
            (&SEGMENT, room.min(listed))
        }
        _ => (&ADDRESS, 0),
    }
}

fn stop(header: &[u8], index: usize) -> Option<Ipv6Addr> {
    let at = ADDRESSES + index * 16;
    let bytes: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
    Some(bytes.into())
}

/// Source, and the final destination while segments are left (RFC 8200 §8.1: it is what transport checksums cover).
fn addresses(view: &View<'_>) -> Option<(IpAddr, IpAddr)> {
    let header = view.header();
    let (source, destination) = view.packet.view(view.index.checked_sub(1)?)?.addresses()?;
    if header.get(3).is_none_or(|&left| left == 0) {
        return Some((source, destination));
    }
    let (field, count) = stops(header);
    let last = if field.is(&SEGMENT) {
        0
    } else {
        count.saturating_sub(1)
    };
    let stop = (count > 0).then(|| stop(header, last)).flatten();
    Some((source, stop.map_or(destination, IpAddr::from)))
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let header = view.header();
    let Some(&units) = header.get(1) else {
        return ControlFlow::Continue(());
    };
    visit.field(
        &LEN_OCT,
        Value::Uint((u64::from(units) + 1) * 8),
        view.bits(1, 1),
    )?;
    if header.get(2) == Some(&SEGMENTS) {
        for place in [(&LAST_ENTRY, 4, 1), (&FLAGS, 5, 1), (&TAG, 6, 2)] {
            view.put(place, visit)?;
        }
    }
    let (field, count) = stops(header);
    for index in 0..count {
        if let Some(address) = stop(header, index) {
            visit.field(
                field,
                Value::Ipv6(address),
                view.bits(ADDRESSES + index * 16, 16),
            )?;
        }
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let (Some(next), Some(left)) = (view.u8(0), view.u8(3)) else {
        return;
    };
    ipproto::say(next, view.payload_wire(), line);
    line.add(format_args!("segleft={left}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::IpProto(43);

    fn header(kind: u8, left: u8, last: u8) -> Vec<u8> {
        let mut bytes = vec![59, 4, kind, left, last, 0, 0, 7];
        for last in [1, 2] {
            bytes.extend([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        bytes
    }

    #[test]
    fn lists_stops_of_source_routes_and_segments() {
        let source = seen(&PROTOCOL, CLAIM, &header(SOURCE_ROUTE, 1, 0));
        assert_eq!(source.all("ipv6.routing.src.addr"), ["2001::1", "2001::2"]);
        assert_eq!(source.all("ipv6.routing.len_oct"), ["40"]);
        let segments = seen(&PROTOCOL, CLAIM, &header(SEGMENTS, 1, 1));
        assert_eq!(
            segments.all("ipv6.routing.srh.addr"),
            ["2001::1", "2001::2"]
        );
        assert_eq!(segments.all("ipv6.routing.srh.last_entry"), ["1"]);
        assert_eq!(segments.all("ipv6.routing.srh.tag"), ["0x0007"]);
    }

    #[test]
    fn more_stops_left_than_listed_is_malformed() {
        let seen = seen(&PROTOCOL, CLAIM, &header(SOURCE_ROUTE, 3, 0));
        assert_eq!(seen.problem(), Some(ProblemKind::Malformed));
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &header(SOURCE_ROUTE, 1, 0), 40);
    }
}
