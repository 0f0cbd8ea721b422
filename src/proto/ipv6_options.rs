//! The hop-by-hop and destination option headers of IPv6, which differ only in who reads them.
//!
//! Spec: RFC 8200 §4.3 and §4.6; options are listed by IANA ("Destination Options and Hop-by-Hop Options").
//!
//! ```text
//!  0     1     2
//! | nxt | len | options: type, length, data … up to (len + 1) * 8 bytes
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
use std::ops::ControlFlow;

/// Options for every router on the way.
pub static HOP_BY_HOP: Protocol = Protocol {
    name: "ipv6.hopopts",
    label: "IPv6",
    title: "IPv6 hop-by-hop options",
    spec: "RFC 8200 §4.3",
    claims: &[Claim::IpProto(0)],
    fields: &[
        &HOP_NXT,
        &HOP_LEN,
        &HOP_LEN_OCT,
        &OPT_TYPE,
        &OPT_LENGTH,
        &PAD1,
        &PADN,
        &ROUTER_ALERT,
        &JUMBO,
        &TUNNEL_LIMIT,
        &HOME_ADDRESS,
        &OPT_UNKNOWN,
    ],
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&craft::HOP_BY_HOP),
};

/// Options for the destination.
pub static DESTINATION: Protocol = Protocol {
    name: "ipv6.dstopts",
    label: "IPv6",
    title: "IPv6 destination options",
    spec: "RFC 8200 §4.6",
    claims: &[Claim::IpProto(60)],
    fields: &[
        &DST_NXT,
        &DST_LEN,
        &DST_LEN_OCT,
        &OPT_TYPE,
        &OPT_LENGTH,
        &PAD1,
        &PADN,
        &ROUTER_ALERT,
        &JUMBO,
        &TUNNEL_LIMIT,
        &HOME_ADDRESS,
        &OPT_UNKNOWN,
    ],
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&craft::DESTINATION),
};

const NXT_DOC: &str = "What follows these options (IANA Protocol Numbers).";
const LEN_DOC: &str = "Length in units of 8 bytes, the first 8 not counted (RFC 8200 §4.3).";
const OCT_DOC: &str =
    "Bytes of the whole header: eight more than the length field tells (RFC 8200 §4.3).";

/// `ipv6.hopopts.nxt`.
pub static HOP_NXT: Field =
    Field::at("ipv6.hopopts.nxt", "Next header", Kind::Uint, 0, 8, NXT_DOC).names(ipproto::NAMES);
/// `ipv6.hopopts.len`.
pub static HOP_LEN: Field = Field::at("ipv6.hopopts.len", "Length", Kind::Uint, 1, 8, LEN_DOC);
/// `ipv6.hopopts.len_oct`.
pub static HOP_LEN_OCT: Field =
    Field::walked("ipv6.hopopts.len_oct", "Length", Kind::Uint, OCT_DOC);
/// `ipv6.dstopts.nxt`.
pub static DST_NXT: Field =
    Field::at("ipv6.dstopts.nxt", "Next header", Kind::Uint, 0, 8, NXT_DOC).names(ipproto::NAMES);
/// `ipv6.dstopts.len`.
pub static DST_LEN: Field = Field::at("ipv6.dstopts.len", "Length", Kind::Uint, 1, 8, LEN_DOC);
/// `ipv6.dstopts.len_oct`.
pub static DST_LEN_OCT: Field =
    Field::walked("ipv6.dstopts.len_oct", "Length", Kind::Uint, OCT_DOC);
/// `ipv6.opt.type`.
pub static OPT_TYPE: Field = Field::walked(
    "ipv6.opt.type",
    "Option",
    Kind::Hex(2),
    "Which option; the two upper bits say what to do when it is not known (RFC 8200 §4.2).",
)
.many()
.names(&[
    (0x00, "Pad1"),
    (0x01, "PadN"),
    (0x04, "tunnel encapsulation limit"),
    (0x05, "router alert"),
    (0x07, "CALIPSO"),
    (0x26, "quick start"),
    (0x63, "RPL"),
    (0xc2, "jumbo payload"),
    (0xc9, "home address"),
]);
/// `ipv6.opt.length`.
pub static OPT_LENGTH: Field = Field::walked(
    "ipv6.opt.length",
    "Option length",
    Kind::Uint,
    "Bytes of option data (RFC 8200 §4.2).",
)
.many();
/// `ipv6.opt.pad1`.
pub static PAD1: Field = Field::walked(
    "ipv6.opt.pad1",
    "Pad1",
    Kind::Bytes,
    "One byte of padding (RFC 8200 §4.2).",
)
.many();
/// `ipv6.opt.padn`.
pub static PADN: Field = Field::walked(
    "ipv6.opt.padn",
    "PadN",
    Kind::Bytes,
    "Padding (RFC 8200 §4.2).",
)
.many();
/// `ipv6.opt.router_alert`.
pub static ROUTER_ALERT: Field = Field::walked(
    "ipv6.opt.router_alert",
    "Router alert",
    Kind::Uint,
    "Why routers should look: 0 MLD, 1 RSVP, 2 active networks (RFC 2711 §2.1).",
)
.many();
/// `ipv6.opt.jumbo`.
pub static JUMBO: Field = Field::walked(
    "ipv6.opt.jumbo",
    "Jumbo payload length",
    Kind::Uint,
    "Bytes after the IPv6 header, more than 65535 (RFC 2675 §2).",
)
.many();
/// `ipv6.opt.tel`.
pub static TUNNEL_LIMIT: Field = Field::walked(
    "ipv6.opt.tel",
    "Tunnel encapsulation limit",
    Kind::Uint,
    "How many more tunnels the packet may be put into (RFC 2473 §4.1.1).",
)
.many();
/// `ipv6.opt.mipv6.home_address`.
pub static HOME_ADDRESS: Field = Field::walked(
    "ipv6.opt.mipv6.home_address",
    "Home address",
    Kind::Ipv6,
    "Where the moving sender is at home (RFC 6275 §6.3).",
)
.many();
/// `ipv6.opt.unknown`.
pub static OPT_UNKNOWN: Field = Field::walked(
    "ipv6.opt.unknown",
    "Option data",
    Kind::Bytes,
    "Data of an option that is not decoded.",
)
.many();

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    match Ipv6RawExtHeaderSlice::from_slice(bytes) {
        Ok(header) => {
            let next = Next::Claim(Claim::IpProto(header.next_header().0));
            Dissected::new(header.slice().len(), next, context)
        }
        Err(missing) => Dissected::short(bytes, context, missing.required_len),
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let header = view.header();
    let Some(&units) = header.get(1) else {
        return ControlFlow::Continue(());
    };
    let oct = if std::ptr::eq(view.layer.protocol, &HOP_BY_HOP) {
        &HOP_LEN_OCT
    } else {
        &DST_LEN_OCT
    };
    visit.field(
        oct,
        Value::Uint((u64::from(units) + 1) * 8),
        view.bits(1, 1),
    )?;
    let mut at = 2;
    while let Some(&kind) = header.get(at) {
        visit.field(&OPT_TYPE, Value::Uint(kind.into()), view.bits(at, 1))?;
        if kind == 0 {
            visit.field(&PAD1, Value::Bytes(&header[at..=at]), view.bits(at, 1))?;
            at += 1;
            continue;
        }
        let Some(&len) = header.get(at + 1) else {
            return ControlFlow::Continue(());
        };
        visit.field(&OPT_LENGTH, Value::Uint(len.into()), view.bits(at + 1, 1))?;
        let (first, len) = (at + 2, usize::from(len));
        let Some(data) = header.get(first..first + len) else {
            if view.layer.problem.is_none() {
                visit.problem(Problem::malformed("an option does not fit the header"));
            }
            return ControlFlow::Continue(());
        };
        let field = match (kind, len) {
            (0x01, _) => &PADN,
            (0x04, 1) => &TUNNEL_LIMIT,
            (0x05, 2) => &ROUTER_ALERT,
            (0xc2, 4) => &JUMBO,
            (0xc9, 16) => &HOME_ADDRESS,
            _ => &OPT_UNKNOWN,
        };
        if let Some(value) = Value::read(field.kind, data, 0..(len * 8) as u32) {
            visit.field(field, value, view.bits(first, len))?;
        }
        at = first + len;
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some(next) = view.u8(0) {
        ipproto::say(next, view.payload_wire(), line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::IpProto(0);

    #[test]
    fn walks_options_and_padding() {
        let header = [58, 1, 5, 2, 0, 0, 0, 4, 1, 7, 0xc2, 4, 0, 1, 2, 3];
        let seen = seen(&HOP_BY_HOP, CLAIM, &header);
        assert_eq!(seen.all("ipv6.hopopts.nxt"), ["58"]);
        assert_eq!(seen.all("ipv6.hopopts.len_oct"), ["16"]);
        assert_eq!(seen.all("ipv6.opt.type"), ["0x05", "0x00", "0x04", "0xc2"]);
        assert_eq!(seen.all("ipv6.opt.router_alert"), ["0"]);
        assert_eq!(seen.all("ipv6.opt.tel"), ["7"]);
        assert_eq!(seen.all("ipv6.opt.jumbo"), ["66051"]);
        assert_eq!(seen.next, Next::Claim(Claim::IpProto(58)));
        assert!(seen.noticed.is_empty());
    }

    #[test]
    fn an_option_that_does_not_fit_is_told_once() {
        let seen = seen(&DESTINATION, CLAIM, &[59, 0, 1, 9, 0, 0, 0, 0]);
        assert_eq!(seen.noticed.len(), 1);
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&HOP_BY_HOP, CLAIM, &[59, 0, 1, 4, 0, 0, 0, 0], 8);
    }
}
