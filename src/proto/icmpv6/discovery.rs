//! Neighbor discovery: routers, neighbors and redirects, and the options that their messages carry.
//!
//! Spec: RFC 4861; options also RFC 4191, RFC 8106 and others (IANA "IPv6 Neighbor Discovery Option Formats").

use super::{
    NA_FLAG_O, NA_FLAG_R, NA_FLAG_S, NA_TARGET_ADDRESS, OPT_DNSSL_LIFETIME, OPT_LENGTH,
    OPT_LINKADDR, OPT_MTU, OPT_NONCE, OPT_PREFIX, OPT_PREFIX_FLAG_A, OPT_PREFIX_FLAG_L,
    OPT_PREFIX_FLAG_R, OPT_PREFIX_LENGTH, OPT_PREFIX_PREFERRED, OPT_PREFIX_VALID, OPT_RDNSS,
    OPT_RDNSS_LIFETIME, OPT_ROUTE_LIFETIME, OPT_ROUTE_PREFERENCE, OPT_SRC_LINKADDR,
    OPT_TARGET_LINKADDR, OPT_TYPE, RA_CUR_HOP_LIMIT, RA_FLAG_H, RA_FLAG_M, RA_FLAG_O, RA_FLAG_PRF,
    RA_REACHABLE_TIME, RA_RETRANS_TIMER, RA_ROUTER_LIFETIME, kind,
};
use crate::{
    field::{Field, Value, Visit},
    layer::{Problem, View},
};
use std::ops::ControlFlow;

/// Neighbor discovery options.
pub(super) mod option {
    pub(in crate::proto::icmpv6) const SOURCE_LINK: u8 = 1;
    pub(in crate::proto::icmpv6) const TARGET_LINK: u8 = 2;
    pub(in crate::proto::icmpv6) const PREFIX: u8 = 3;
    pub(in crate::proto::icmpv6) const REDIRECTED: u8 = 4;
    pub(in crate::proto::icmpv6) const MTU: u8 = 5;
    pub(in crate::proto::icmpv6) const NONCE: u8 = 14;
    pub(in crate::proto::icmpv6) const ROUTE: u8 = 24;
    pub(in crate::proto::icmpv6) const DNS_SERVERS: u8 = 25;
    pub(in crate::proto::icmpv6) const DNS_SEARCH: u8 = 31;
}

pub(super) const OPTION_NAMES: &[(u64, &str)] = &[
    (1, "source link-layer address"),
    (2, "target link-layer address"),
    (3, "prefix information"),
    (4, "redirected header"),
    (5, "MTU"),
    (7, "advertisement interval"),
    (11, "CGA"),
    (12, "RSA signature"),
    (13, "timestamp"),
    (14, "nonce"),
    (24, "route information"),
    (25, "recursive DNS server"),
    (26, "flags expansion"),
    (31, "DNS search list"),
    (33, "address registration"),
    (34, "6LoWPAN context"),
    (37, "captive portal"),
    (38, "PREF64"),
];

/// Where the options of a neighbor discovery message begin.
pub(super) fn first_option(kind: u8) -> Option<usize> {
    match kind {
        kind::ROUTER_SOLICITATION => Some(8),
        kind::ROUTER_ADVERTISEMENT => Some(16),
        kind::NEIGHBOR_SOLICITATION | kind::NEIGHBOR_ADVERTISEMENT => Some(24),
        kind::REDIRECT => Some(40),
        _ => None,
    }
}

/// Where the packet quoted by a redirect begins.
pub(super) fn redirected(bytes: &[u8]) -> Option<usize> {
    NdOptions { bytes, at: 40 }
        .find(|o| o.bytes[0] == option::REDIRECTED)
        .map(|o| o.at + 8)
}

/// An option of neighbor discovery.
struct NdOption<'a> {
    /// Its first byte, counted from the start of the message.
    at: usize,
    /// All of it, at least 8 bytes, as far as captured.
    bytes: &'a [u8],
}

/// Walks options up to the first without a length (RFC 4861 §4.6), or cut short.
struct NdOptions<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for NdOptions<'a> {
    type Item = NdOption<'a>;

    fn next(&mut self) -> Option<NdOption<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let len = usize::from(*rest.get(1)?) * 8;
        if len == 0 || rest.len() < 8 {
            return None;
        }
        let option = NdOption {
            at: self.at,
            bytes: &rest[..len.min(rest.len())],
        };
        self.at += len;
        Some(option)
    }
}

/// Visits single bits of the byte at `at`, from the most significant on.
fn put_flags(
    view: &View<'_>,
    at: usize,
    flags: &[&'static Field],
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    let Some(byte) = view.u8(at) else {
        return ControlFlow::Continue(());
    };
    for (bit, flag) in view.bits(at, 1).zip(flags) {
        let set = byte & 0x80 >> (bit % 8) != 0;
        visit.field(flag, Value::Bool(set), bit..bit + 1)?;
    }
    ControlFlow::Continue(())
}

/// Visits `field` with bits `3..5` of the byte at `at`: the preference of a router or route (RFC 4191).
fn put_preference(
    view: &View<'_>,
    field: &'static Field,
    at: usize,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    let Some(byte) = view.u8(at) else {
        return ControlFlow::Continue(());
    };
    let bits = view.bits(at, 1);
    let value = Value::Uint((byte >> 3 & 3).into());
    visit.field(field, value, bits.start + 3..bits.start + 5)
}

pub(super) fn walk_router(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    view.put((&RA_CUR_HOP_LIMIT, 4, 1), visit)?;
    put_flags(view, 5, &[&RA_FLAG_M, &RA_FLAG_O, &RA_FLAG_H], visit)?;
    put_preference(view, &RA_FLAG_PRF, 5, visit)?;
    view.put((&RA_ROUTER_LIFETIME, 6, 2), visit)?;
    view.put((&RA_REACHABLE_TIME, 8, 4), visit)?;
    view.put((&RA_RETRANS_TIMER, 12, 4), visit)
}

/// The flags and the target of a neighbor advertisement (RFC 4861 §4.4).
pub(super) fn walk_advertisement(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    put_flags(view, 4, &[&NA_FLAG_R, &NA_FLAG_S, &NA_FLAG_O], visit)?;
    view.put((&NA_TARGET_ADDRESS, 8, 16), visit)
}

pub(super) fn walk_options(
    view: &View<'_>,
    first: usize,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    let mut options = NdOptions {
        bytes: view.bytes(),
        at: first,
    };
    for option in options.by_ref() {
        walk_option(view, &option, visit)?;
    }
    // What does not fit is named all the same.
    view.put((&OPT_TYPE, options.at, 1), visit)?;
    view.put((&OPT_LENGTH, options.at + 1, 1), visit)?;
    if view.is_whole() && options.at != view.bytes().len() && view.layer.problem.is_none() {
        visit.problem(Problem::malformed("an option does not fit the message"));
    }
    ControlFlow::Continue(())
}

fn walk_option(view: &View<'_>, option: &NdOption<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let (at, len) = (option.at, option.bytes.len());
    view.put((&OPT_TYPE, at, 1), visit)?;
    view.put((&OPT_LENGTH, at + 1, 1), visit)?;
    match option.bytes[0] {
        kind @ (option::SOURCE_LINK | option::TARGET_LINK) => {
            let field = match kind {
                option::SOURCE_LINK => &OPT_SRC_LINKADDR,
                _ => &OPT_TARGET_LINKADDR,
            };
            view.put((&OPT_LINKADDR, at + 2, len - 2), visit)?;
            view.put((field, at + 2, len - 2), visit)
        }
        option::PREFIX => {
            view.put((&OPT_PREFIX_LENGTH, at + 2, 1), visit)?;
            let flags = [&OPT_PREFIX_FLAG_L, &OPT_PREFIX_FLAG_A, &OPT_PREFIX_FLAG_R];
            put_flags(view, at + 3, &flags, visit)?;
            view.put((&OPT_PREFIX_VALID, at + 4, 4), visit)?;
            view.put((&OPT_PREFIX_PREFERRED, at + 8, 4), visit)?;
            view.put((&OPT_PREFIX, at + 16, 16), visit)
        }
        option::MTU => view.put((&OPT_MTU, at + 4, 4), visit),
        option::NONCE => view.put((&OPT_NONCE, at + 2, len - 2), visit),
        option::ROUTE => {
            view.put((&OPT_PREFIX_LENGTH, at + 2, 1), visit)?;
            put_preference(view, &OPT_ROUTE_PREFERENCE, at + 3, visit)?;
            view.put((&OPT_ROUTE_LIFETIME, at + 4, 4), visit)?;
            // The prefix may be cut to 8 bytes, or be left out (RFC 4191 §2.3).
            let mut prefix = [0; 16];
            let written = &option.bytes[8..len.clamp(8, 24)];
            if written.is_empty() {
                return ControlFlow::Continue(());
            }
            prefix[..written.len()].copy_from_slice(written);
            let bits = view.bits(at + 8, written.len());
            visit.field(&OPT_PREFIX, Value::Ipv6(prefix.into()), bits)
        }
        option::DNS_SERVERS => {
            view.put((&OPT_RDNSS_LIFETIME, at + 4, 4), visit)?;
            for server in (at + 8..(at + len).saturating_sub(15)).step_by(16) {
                view.put((&OPT_RDNSS, server, 16), visit)?;
            }
            ControlFlow::Continue(())
        }
        option::DNS_SEARCH => view.put((&OPT_DNSSL_LIFETIME, at + 4, 4), visit),
        _ => ControlFlow::Continue(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LINK, TARGET, seen};
    use crate::protocol::{Claim, Next};

    #[test]
    fn neighbor_discovery() {
        let message = [&[135, 0, 0, 0, 0, 0, 0, 0], &TARGET[..], &LINK].concat();
        let solicitation = seen(&message);
        assert_eq!(solicitation.all("icmpv6.nd.ns.target_address"), ["fe80::1"]);
        assert_eq!(solicitation.all("icmpv6.opt.type"), ["1"]);
        assert_eq!(
            solicitation.all("icmpv6.opt.linkaddr"),
            ["02:00:00:00:00:01"]
        );
        assert_eq!(solicitation.line, " →  neighbor solicitation for fe80::1");
        let message = [&[136, 0, 0, 0, 0x60, 0, 0, 0], &TARGET[..]].concat();
        let advertisement = seen(&message);
        assert_eq!(advertisement.all("icmpv6.nd.na.flag.r"), ["false"]);
        assert_eq!(advertisement.all("icmpv6.nd.na.flag.s"), ["true"]);
        assert_eq!(advertisement.all("icmpv6.nd.na.flag.o"), ["true"]);
    }

    #[test]
    fn router_advertisement_with_options() {
        let mut message = vec![134, 0, 0, 0, 64, 0xc8, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9];
        message.extend([3, 4, 64, 0xc0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]);
        message.extend(TARGET);
        message.extend([5, 1, 0, 0, 0, 0, 5, 0xdc]);
        message.extend([25, 3, 0, 0, 0, 0, 0, 60]);
        message.extend(TARGET);
        message.extend([24, 2, 64, 8, 0, 0, 0, 7, 0x20, 1, 0, 0, 0, 0, 0, 0]);
        // The default route: no byte of its prefix is written.
        message.extend([24, 1, 0, 8, 0, 0, 0, 7]);
        let seen = seen(&message);
        let expected = [
            ("icmpv6.nd.ra.cur_hop_limit", &["64"][..]),
            ("icmpv6.nd.ra.flag.m", &["true"]),
            ("icmpv6.nd.ra.flag.prf", &["1"]),
            ("icmpv6.nd.ra.router_lifetime", &["1800"]),
            ("icmpv6.nd.ra.retrans_timer", &["9"]),
            ("icmpv6.opt.type", &["3", "5", "25", "24", "24"]),
            ("icmpv6.opt.prefix", &["fe80::1", "2001::"]),
            ("icmpv6.opt.prefix.flag.a", &["true"]),
            ("icmpv6.opt.mtu", &["1500"]),
            ("icmpv6.opt.rdnss", &["fe80::1"]),
            ("icmpv6.opt.route_info.flag.route_preference", &["1", "1"]),
        ];
        for (name, values) in expected {
            assert_eq!(seen.all(name), values, "{name}");
        }
        assert!(seen.noticed.is_empty());
    }

    #[test]
    fn an_option_without_length_ends_the_walk_and_is_told_once() {
        let message = [
            &[135, 0, 0, 0, 0, 0, 0, 0],
            &TARGET[..],
            &[1, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let seen = seen(&message);
        assert_eq!(seen.all("icmpv6.opt.type"), ["1"]);
        assert_eq!(seen.all("icmpv6.opt.length"), ["0"]);
        assert!(seen.all("icmpv6.opt.linkaddr").is_empty());
        assert_eq!(seen.noticed.len(), 1);
    }

    #[test]
    fn a_redirect_quotes_the_packet_in_its_option() {
        let mut message = [&[137, 0, 0, 0, 0, 0, 0, 0], &TARGET[..], &TARGET[..], &LINK].concat();
        message.extend([4, 2, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, 59, 64]);
        let seen = seen(&message);
        assert_eq!(seen.next, Next::Quoted(Claim::IpProto(41)));
        assert_eq!(seen.layer.header, 56);
        assert_eq!(seen.all("icmpv6.opt.type"), ["1", "4"]);
    }
}
