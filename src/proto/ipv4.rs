//! Internet Protocol version 4: addresses, time to live, fragments, options.
//!
//! Spec: RFC 791; differentiated services RFC 2474, ECN RFC 3168. Options are listed by IANA ("IP Option Numbers").
//!
//! ```text
//!  0        1        2        4        6              8     9       10        12     16
//! | ver,ihl| dscp,ecn| length | id     | flags,offset | ttl | proto | checksum | src  | dst  | options …
//! ```

mod craft;

use super::{
    fragment::Fragment,
    ipproto,
    options::{Opt, Options},
    verify::{self, status},
};
use crate::{
    checksum::{self, Verdict},
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use etherparse::{Ipv4HeaderSlice, err::ipv4::HeaderSliceError};
use std::{
    net::{IpAddr, Ipv4Addr},
    ops::ControlFlow,
};

const HEADER: usize = 20;

/// IPv4.
pub static PROTOCOL: Protocol = Protocol {
    name: "ip",
    label: "IP",
    title: "Internet Protocol version 4",
    spec: "RFC 791",
    claims: &[
        Claim::EtherType(0x0800),
        Claim::IpProto(4),
        Claim::Ppp(0x0021),
        Claim::Llc(0x06),
    ],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: Some(addresses),
    craft: Some(&craft::CRAFT),
};

const OPTION_NAMES: &[(u64, &str)] = &[
    (0, "end of options"),
    (1, "no operation"),
    (7, "record route"),
    (11, "MTU probe"),
    (12, "MTU reply"),
    (25, "quick start"),
    (68, "timestamp"),
    (82, "traceroute"),
    (130, "security"),
    (131, "loose source route"),
    (133, "extended security"),
    (134, "commercial security"),
    (136, "stream identifier"),
    (137, "strict source route"),
    (148, "router alert"),
    (149, "selective directed broadcast"),
];

const ECN_NAMES: &[(u64, &str)] = &[
    (0, "not ECN-capable"),
    (1, "ECT(1)"),
    (2, "ECT(0)"),
    (3, "congestion experienced"),
];

crate::fields! {
    VERSION = Field::bits("ip.version", "Version", Kind::Uint, (0, 0, 4), "Always 4 (RFC 791 §3.1).");
    DSCP = Field::bits("ip.dsfield.dscp", "Differentiated services", Kind::Uint, (1, 0, 6), "How routers should treat the packet (RFC 2474 §3).");
    ECN = Field::bits("ip.dsfield.ecn", "Congestion notification", Kind::Uint, (1, 6, 2), "Whether congestion may be marked, and whether it was (RFC 3168 §5).").names(ECN_NAMES);
    LEN = Field::at("ip.len", "Total length", Kind::Uint, 2, 16, "Bytes of header and payload; 0 where the sender leaves segmentation to the device (RFC 791 §3.1).");
    ID = Field::at("ip.id", "Identification", Kind::Hex(4), 4, 16, "Tells which fragments belong together (RFC 791 §3.1, RFC 6864).");
    FLAGS_RB = Field::bits("ip.flags.rb", "Reserved bit", Kind::Flag, (6, 0, 1), "Always zero (RFC 791 §3.1).");
    FLAGS_DF = Field::bits("ip.flags.df", "Don't fragment", Kind::Flag, (6, 1, 1), "Routers must drop the packet rather than split it (RFC 791 §3.1).");
    FLAGS_MF = Field::bits("ip.flags.mf", "More fragments", Kind::Flag, (6, 2, 1), "Set on all fragments but the last (RFC 791 §3.1).");
    FRAG_OFFSET = Field::bits("ip.frag_offset", "Fragment offset", Kind::Uint, (6, 3, 13), "Where this fragment's payload belongs, in units of 8 bytes (RFC 791 §3.1).");
    TTL = Field::at("ip.ttl", "Time to live", Kind::Uint, 8, 8, "How many more routers may pass the packet on (RFC 791 §3.1).");
    PROTO = Field::at("ip.proto", "Protocol", Kind::Uint, 9, 8, "What the payload is (IANA Protocol Numbers).").names(ipproto::NAMES);
    CHECKSUM = Field::at("ip.checksum", "Header checksum", Kind::Hex(4), 10, 16, "Over the header only (RFC 791 §3.1).");
    SRC = Field::at("ip.src", "Source", Kind::Ipv4, 12, 32, "The address that the packet is from (RFC 791 §3.1).");
    DST = Field::at("ip.dst", "Destination", Kind::Ipv4, 16, 32, "The address that the packet is for; with a source route, its next stop (RFC 791 §3.1).");
    HDR_LEN = Field::walked("ip.hdr_len", "Header length", Kind::Uint, "Bytes of header with options: four times the IHL field (RFC 791 §3.1).");
    CHECKSUM_STATUS = Field::walked("ip.checksum.status", "Header checksum status", Kind::Uint, "Wireshark's number for the outcome of the check.").names(status::NAMES);
    VERDICT = Field::walked("sockwire.checksum", "Header checksum verdict", Kind::Text, "Whether the header checksum is right, wrong, left to the device, or cannot be told.");
    OPT_TYPE = Field::walked("ip.opt.type", "Option", Kind::Uint, "Which option (IANA IP Option Numbers).").many().names(OPTION_NAMES);
    OPT_LEN = Field::walked("ip.opt.len", "Option length", Kind::Uint, "Bytes of option with type and length (RFC 791 §3.1).").many();
    OPT_PTR = Field::walked("ip.opt.ptr", "Pointer", Kind::Uint, "Byte of the option that the next router fills in, counted from 1 (RFC 791 §3.1).").many();
    REC_RT = Field::walked("ip.rec_rt", "Recorded route", Kind::Ipv4, "A router that the packet has passed (RFC 791 §3.1).").many();
    CUR_RT = Field::walked("ip.cur_rt", "Current route", Kind::Ipv4, "The next stop of a source route (RFC 791 §3.1).").many();
    SRC_RT = Field::walked("ip.src_rt", "Source route", Kind::Ipv4, "A later stop of a source route (RFC 791 §3.1).").many();
    EMPTY_RT = Field::walked("ip.empty_rt", "Empty route", Kind::Ipv4, "Room for a router to record its address (RFC 791 §3.1).").many();
    OPT_OVERFLOW = Field::walked("ip.opt.overflow", "Overflow", Kind::Uint, "Routers that found no room for their timestamp (RFC 791 §3.1).").many();
    OPT_FLAG = Field::walked("ip.opt.flag", "Timestamp flag", Kind::Uint, "Timestamps alone (0), with addresses (1), or of given routers (3) (RFC 791 §3.1).").many();
    TIME_STAMP_ADDR = Field::walked("ip.opt.time_stamp_addr", "Timestamp address", Kind::Ipv4, "The router that wrote the timestamp, or shall write it (RFC 791 §3.1).").many();
    TIME_STAMP = Field::walked("ip.opt.time_stamp", "Timestamp", Kind::Uint, "Milliseconds since midnight UTC (RFC 791 §3.1).").many();
    OPT_RA = Field::walked("ip.opt.ra", "Router alert", Kind::Uint, "0: every router looks at the packet (RFC 2113 §2.1).").many();
    OPT_SID = Field::walked("ip.opt.sid", "Stream identifier", Kind::Uint, "The SATNET stream, long out of use (RFC 791 §3.1).").many();
    OPT_MTU = Field::walked("ip.opt.mtu", "MTU", Kind::Uint, "The smallest MTU met so far (RFC 1063).").many();
    OPT_ID_NUMBER = Field::walked("ip.opt.id_number", "Traceroute number", Kind::Uint, "Which traceroute this belongs to (RFC 1393 §2.2).").many();
    OPT_OHC = Field::walked("ip.opt.ohc", "Outbound hop count", Kind::Uint, "Routers passed on the way out (RFC 1393 §2.2).").many();
    OPT_RHC = Field::walked("ip.opt.rhc", "Return hop count", Kind::Uint, "Routers passed on the way back (RFC 1393 §2.2).").many();
    OPT_ORIGINATOR = Field::walked("ip.opt.originator", "Originator", Kind::Ipv4, "Who began the traceroute (RFC 1393 §2.2).").many();
    OPT_ADDR = Field::walked("ip.opt.addr", "Address", Kind::Ipv4, "A network that the broadcast is for (RFC 1770).").many();
    OPT_QS_FUNC = Field::walked("ip.opt.qs_func", "Quick start function", Kind::Uint, "Rate request (0) or report (8) (RFC 4782 §3.1).").many();
    OPT_QS_RATE = Field::walked("ip.opt.qs_rate", "Quick start rate", Kind::Uint, "The rate asked for: 40 kbit/s times two to this power (RFC 4782 §3.1).").many();
    OPT_QS_TTL = Field::walked("ip.opt.qs_ttl", "Quick start TTL", Kind::Uint, "Counted down by routers that agree (RFC 4782 §3.1).").many();
    FRAGMENT_COUNT = Field::derived("ip.fragment.count", "Fragments", Kind::Uint, "How many fragments the datagram was put together from; on the fragment that completed it (RFC 791 §3.2).");
    REASSEMBLED_LENGTH = Field::derived("ip.reassembled.length", "Reassembled length", Kind::Uint, "Bytes of payload of the whole datagram (RFC 791 §3.2).");
}

/// Option types with data of their own.
mod option {
    pub(super) const RECORD_ROUTE: u8 = 7;
    pub(super) const MTU_PROBE: u8 = 11;
    pub(super) const MTU_REPLY: u8 = 12;
    pub(super) const QUICK_START: u8 = 25;
    pub(super) const TIMESTAMP: u8 = 68;
    pub(super) const TRACEROUTE: u8 = 82;
    pub(super) const LOOSE_ROUTE: u8 = 131;
    pub(super) const STREAM: u8 = 136;
    pub(super) const STRICT_ROUTE: u8 = 137;
    pub(super) const ROUTER_ALERT: u8 = 148;
    pub(super) const DIRECTED_BROADCAST: u8 = 149;
}

/// The fragment in `view`; `None` where the packet is whole or the header was cut.
pub fn fragment(view: &View<'_>) -> Option<Fragment> {
    let bits = view.u16(6)?;
    (bits & 0x3fff != 0).then_some(Fragment {
        offset: u32::from(bits & 0x1fff) * 8,
        more: bits & 0x2000 != 0,
        id: view.u16(4)?.into(),
        protocol: view.u8(9)?,
    })
}

/// Whether the header's checksum is right. It has no pseudo-header: a device that is to fill it in finds zero.
pub fn header_verdict(header: &[u8]) -> Verdict {
    let field = header.get(10..12);
    match checksum::fold(checksum::sum(0, header)) {
        0xffff => Verdict::Valid,
        _ if field == Some(&[0, 0]) => Verdict::Unfilled,
        _ => Verdict::Wrong,
    }
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let header = match Ipv4HeaderSlice::from_slice(bytes) {
        Ok(header) => header,
        Err(HeaderSliceError::Len(missing)) => {
            return match bytes.first() {
                Some(first) if first >> 4 != 4 => wrong_version(first >> 4, context),
                _ => Dissected::short(bytes, context, missing.required_len),
            };
        }
        Err(HeaderSliceError::Content(_)) => {
            return match bytes.first().map_or(0, |first| first >> 4) {
                4 => Dissected::new(HEADER.min(bytes.len()), Next::End, context)
                    .with(Problem::malformed("header length is below 20")),
                version => wrong_version(version, context),
            };
        }
    };
    let hdr_len = header.slice().len();
    let total = u32::from(header.total_len());
    let verdict = header_verdict(header.slice());
    let proto = Claim::IpProto(header.protocol().0);
    let mut found = Dissected::new(hdr_len, Next::Claim(proto), context);
    if verdict == Verdict::Wrong {
        found.problem = Some(Problem::malformed("header checksum is wrong"));
    }
    // A total of 0 comes from devices that cut large segments themselves: the frame's own length holds.
    if total != 0 && (total as usize) < hdr_len {
        found.next = Next::End;
        return found.with(Problem::malformed(
            "total length is below the header length",
        ));
    }
    if total > context.wire && !context.quoted {
        found.problem = Some(Problem::malformed("total length exceeds the packet"));
    } else if total != 0 {
        found.wire = total;
    }
    // A fragment's payload waits for the others; only of a first one that cannot be put together is it read.
    let first = header.fragments_offset().value() == 0;
    let whole = bytes.len() as u64 >= u64::from(found.wire);
    let waits = header.more_fragments() && whole && verdict != Verdict::Wrong && !context.quoted;
    if !first || waits {
        found.next = Next::Data;
    }
    found
}

/// Only the version can be believed. Some writers put IPv6 where IPv4 belongs.
fn wrong_version(version: u8, context: &Context<'_>) -> Dissected {
    if version == 6 {
        return Dissected::new(0, Next::Claim(Claim::IpProto(41)), context)
            .with(Problem::odd("IPv6 where IPv4 was announced"));
    }
    Dissected::new(1, Next::End, context).with(Problem::malformed("version is not 4"))
}

/// Source and final destination: with a source route that is not used up, its last stop (RFC 791 §3.1).
fn addresses(view: &View<'_>) -> Option<(IpAddr, IpAddr)> {
    let header = view.header();
    let address = |at: usize| {
        let bytes: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    let mut destination = address(16)?;
    if header.len() > HEADER {
        let route = Options::of_ipv4(header)
            .find(|o| matches!(o.kind, option::LOOSE_ROUTE | option::STRICT_ROUTE));
        if let Some(Opt { at, bytes, .. }) = route {
            let pointer = bytes.get(2).copied().map_or(0, usize::from);
            let unused = pointer >= 4 && pointer % 4 == 0 && pointer + 3 <= bytes.len();
            if let Some(last) = address(at + bytes.len() - 4).filter(|_| unused && bytes.len() > 6)
            {
                destination = last;
            }
        }
    }
    Some((address(12)?.into(), destination.into()))
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let header = view.header();
    let Some(&first) = header.first() else {
        return ControlFlow::Continue(());
    };
    if first >> 4 != 4 {
        return ControlFlow::Continue(());
    }
    let hdr_len = usize::from(first & 0xf) * 4;
    let ihl = view.bits(0, 1);
    visit.field(
        &HDR_LEN,
        Value::Uint(hdr_len as u64),
        ihl.start + 4..ihl.end,
    )?;
    if header.len() < 12 {
        return ControlFlow::Continue(());
    }
    let verdict = if header.len() < hdr_len.max(HEADER) {
        Verdict::Unknown
    } else {
        header_verdict(header)
    };
    visit.field(&CHECKSUM_STATUS, Value::Uint(verify::number(verdict)), 0..0)?;
    visit.field(&VERDICT, Value::Text(verdict.word().as_bytes()), 0..0)?;
    let mut options = Options::of_ipv4(header);
    for option in options.by_ref() {
        walk_option(view, &option, visit)?;
    }
    if options.is_broken() && header.len() >= hdr_len {
        visit.problem(Problem::malformed("an option does not fit the header"));
    }
    ControlFlow::Continue(())
}

fn walk_option(view: &View<'_>, option: &Opt<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    option.put(view, (&OPT_TYPE, 0, 1), visit)?;
    option.put(view, (&OPT_LEN, 1, 1), visit)?;
    let len = option.bytes.len();
    match option.kind {
        option::RECORD_ROUTE | option::LOOSE_ROUTE | option::STRICT_ROUTE => {
            option.put(view, (&OPT_PTR, 2, 1), visit)?;
            let next = option
                .bytes
                .get(2)
                .map_or(0, |&pointer| usize::from(pointer));
            for at in (3..len.saturating_sub(3)).step_by(4) {
                let field = match (option.kind, at + 1) {
                    (_, place) if place < next => &REC_RT,
                    (option::RECORD_ROUTE, _) => &EMPTY_RT,
                    (_, place) if place == next => &CUR_RT,
                    _ => &SRC_RT,
                };
                option.put(view, (field, at, 4), visit)?;
            }
        }
        option::TIMESTAMP => {
            option.put(view, (&OPT_PTR, 2, 1), visit)?;
            option.put_halves(view, (&OPT_OVERFLOW, &OPT_FLAG, 3, 4), visit)?;
            let with_address = matches!(option.bytes.get(3), Some(b) if matches!(b & 0xf, 1 | 3));
            let size = if with_address { 8 } else { 4 };
            for at in (4..(len + 1).saturating_sub(size)).step_by(size) {
                if with_address {
                    option.put(view, (&TIME_STAMP_ADDR, at, 4), visit)?;
                }
                option.put(view, (&TIME_STAMP, at + size - 4, 4), visit)?;
            }
        }
        option::ROUTER_ALERT => option.put(view, (&OPT_RA, 2, 2), visit)?,
        option::STREAM => option.put(view, (&OPT_SID, 2, 2), visit)?,
        option::MTU_PROBE | option::MTU_REPLY => option.put(view, (&OPT_MTU, 2, 2), visit)?,
        option::TRACEROUTE => {
            option.put(view, (&OPT_ID_NUMBER, 2, 2), visit)?;
            option.put(view, (&OPT_OHC, 4, 2), visit)?;
            option.put(view, (&OPT_RHC, 6, 2), visit)?;
            option.put(view, (&OPT_ORIGINATOR, 8, 4), visit)?;
        }
        option::DIRECTED_BROADCAST => {
            for at in (2..len.saturating_sub(3)).step_by(4) {
                option.put(view, (&OPT_ADDR, at, 4), visit)?;
            }
        }
        option::QUICK_START => {
            option.put_halves(view, (&OPT_QS_FUNC, &OPT_QS_RATE, 2, 4), visit)?;
            if option.bytes.get(2).is_some_and(|byte| byte >> 4 == 0) {
                option.put(view, (&OPT_QS_TTL, 3, 1), visit)?;
            }
        }
        _ => {}
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some((source, destination)) = addresses(view) {
        line.addresses(source, destination);
    }
    match (fragment(view), view.u8(9)) {
        (Some(fragment), _) => fragment.say(4, view, line),
        (None, Some(protocol)) => ipproto::say(protocol, view.payload_wire(), line),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{Seen, chain, cut_everywhere, seen as seen_as},
    };

    const CLAIM: Claim = Claim::EtherType(0x0800);

    /// A header with `options`, a right checksum, and `payload`.
    fn packet(flags: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45 + options.len() as u8 / 4, 0xb9];
        let total = (HEADER + options.len() + payload.len()) as u16;
        bytes.extend(total.to_be_bytes());
        bytes.extend([0x12, 0x34]);
        bytes.extend(flags.to_be_bytes());
        bytes.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend(options);
        let sum = checksum::finish(checksum::sum(0, &bytes));
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn seen(bytes: &[u8]) -> Seen {
        seen_as(&PROTOCOL, CLAIM, bytes)
    }

    #[test]
    fn shows_every_field_of_a_plain_header() {
        let seen = seen(&packet(0x4000, &[], b"hello"));
        let expected = [
            ("ip.version", "4"),
            ("ip.hdr_len", "20"),
            ("ip.dsfield.dscp", "46"),
            ("ip.dsfield.ecn", "1"),
            ("ip.len", "25"),
            ("ip.id", "0x1234"),
            ("ip.flags.rb", "false"),
            ("ip.flags.df", "true"),
            ("ip.flags.mf", "false"),
            ("ip.frag_offset", "0"),
            ("ip.ttl", "64"),
            ("ip.proto", "17"),
            ("ip.checksum.status", "1"),
            ("sockwire.checksum", "valid"),
            ("ip.src", "10.0.0.1"),
            ("ip.dst", "10.0.0.2"),
        ];
        for (name, value) in expected {
            assert_eq!(seen.all(name), [value], "{name}");
        }
        assert_eq!(seen.next, Next::Claim(Claim::IpProto(17)));
        assert_eq!(seen.line, "10.0.0.1 → 10.0.0.2 UDP len=5");
        assert_eq!(seen.problem(), None);
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &packet(0, &[], b"hello"), HEADER);
        cut_everywhere(&PROTOCOL, CLAIM, &packet(0, &[1; 8], &[]), HEADER + 8);
    }

    #[test]
    fn a_wrong_checksum_is_told_from_one_that_is_left_to_the_device() {
        let mut bytes = packet(0, &[], b"hello");
        bytes[10] ^= 0xff;
        let wrong = seen(&bytes);
        assert_eq!(wrong.problem(), Some(ProblemKind::Malformed));
        assert_eq!(wrong.all("sockwire.checksum"), ["wrong"]);
        assert_eq!(wrong.all("ip.checksum.status"), ["0"]);
        assert!(wrong.noticed.is_empty(), "told twice");
        bytes[10..12].fill(0);
        let unfilled = seen(&bytes);
        assert_eq!(unfilled.problem(), None);
        assert_eq!(unfilled.all("sockwire.checksum"), ["unfilled"]);
    }

    #[test]
    fn the_total_length_decides_where_the_packet_ends() {
        let mut padded = packet(0, &[], b"hello");
        padded.extend([0; 20]);
        assert_eq!(seen(&padded).layer.end, 25);
        let mut segmented = packet(0, &[], b"hello");
        segmented[2..4].fill(0);
        segmented[10..12].fill(0);
        let segmented = seen(&segmented);
        assert_eq!((segmented.layer.wire, segmented.problem()), (25, None));
        for length in [19_u16, 26] {
            let mut bytes = packet(0, &[], b"hello");
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[10..12].fill(0);
            assert_eq!(seen(&bytes).problem(), Some(ProblemKind::Malformed));
        }
    }

    #[test]
    fn a_fragment_waits_unless_it_is_a_first_one_that_was_cut() {
        let first = packet(0x2000, &[], &[0; 16]);
        assert_eq!(seen(&first).next, Next::Data);
        assert_eq!(seen(&packet(0x0002, &[], b"rest")).next, Next::Data);
        let cut = chain(&[(&PROTOCOL, CLAIM)], &first[..30], first.len());
        assert_eq!(cut.next, Next::Claim(Claim::IpProto(17)));
        assert_eq!(
            seen(&first).line,
            "10.0.0.1 → 10.0.0.2 fragment id=0x1234 offset=0 more len=16"
        );
    }

    #[test]
    fn bogus_versions_and_header_lengths_are_malformed() {
        let mut bytes = packet(0, &[], &[]);
        bytes[0] = 0x35;
        let seen_as_three = seen(&bytes);
        assert_eq!(seen_as_three.pairs(), [("ip.version", "3")]);
        assert_eq!(seen_as_three.problem(), Some(ProblemKind::Malformed));
        bytes[0] = 0x44;
        assert_eq!(seen(&bytes).problem(), Some(ProblemKind::Malformed));
        bytes[0] = 0x65;
        assert_eq!(seen(&bytes).next, Next::Claim(Claim::IpProto(41)));
        assert_eq!(seen(&bytes).problem(), Some(ProblemKind::Odd));
    }

    #[test]
    fn walks_routes_timestamps_and_the_rest() {
        let route = [131, 11, 8, 1, 1, 1, 1, 2, 2, 2, 2, 0];
        let seen_route = seen(&packet(0, &route, &[]));
        assert_eq!(seen_route.all("ip.opt.type"), ["131", "0"]);
        assert_eq!(seen_route.all("ip.rec_rt"), ["1.1.1.1"]);
        assert_eq!(seen_route.all("ip.cur_rt"), ["2.2.2.2"]);
        assert!(seen_route.line.starts_with("10.0.0.1 → 2.2.2.2 "));

        let stamps = [68, 12, 13, 0x21, 3, 3, 3, 3, 0, 0, 0, 9, 148, 4, 0, 0];
        let seen_stamps = seen(&packet(0, &stamps, &[]));
        assert_eq!(seen_stamps.all("ip.opt.overflow"), ["2"]);
        assert_eq!(seen_stamps.all("ip.opt.flag"), ["1"]);
        assert_eq!(seen_stamps.all("ip.opt.time_stamp_addr"), ["3.3.3.3"]);
        assert_eq!(seen_stamps.all("ip.opt.time_stamp"), ["9"]);
        assert_eq!(seen_stamps.all("ip.opt.ra"), ["0"]);
    }

    #[test]
    fn an_option_that_does_not_fit_is_told_once() {
        let seen = seen(&packet(0, &[1, 131, 9, 4], &[]));
        assert_eq!(seen.all("ip.opt.type"), ["1"]);
        assert_eq!(seen.noticed.len(), 1);
    }
}
