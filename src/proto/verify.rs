//! Whether a transport checksum is right: what TCP, UDP, ICMP and ICMPv6 have in common.

use crate::{
    checksum::{self, Verdict},
    field::{Field, Value, Visit},
    frame::KernelChecksum,
    layer::{Problem, View},
};
use std::ops::ControlFlow;

/// Wireshark's numbers for the state of a checksum (`tcp.checksum.status`).
pub(super) mod status {
    pub(in crate::proto) const BAD: u64 = 0;
    pub(in crate::proto) const GOOD: u64 = 1;
    pub(in crate::proto) const UNVERIFIED: u64 = 2;
    pub(in crate::proto) const NOT_PRESENT: u64 = 3;
    pub(in crate::proto) const ILLEGAL: u64 = 4;

    /// What the numbers mean.
    pub(in crate::proto) const NAMES: &[(u64, &str)] = &[
        (BAD, "bad"),
        (GOOD, "good"),
        (UNVERIFIED, "unverified"),
        (NOT_PRESENT, "not present"),
        (ILLEGAL, "illegal"),
    ];
}

/// A verdict in Wireshark's numbers, which know no "unfilled".
pub(super) fn number(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Valid => status::GOOD,
        Verdict::Wrong | Verdict::Unfilled => status::BAD,
        Verdict::Unknown => status::UNVERIFIED,
    }
}

/// Shows a verdict: Wireshark's number, the word, and a problem where it is wrong.
pub(super) fn show(
    (status, word): (&'static Field, &'static Field),
    number: u64,
    verdict: Verdict,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    visit.field(status, Value::Uint(number), 0..0)?;
    visit.field(word, Value::Text(verdict.word().as_bytes()), 0..0)?;
    if verdict == Verdict::Wrong {
        visit.problem(Problem::malformed("checksum is wrong"));
    }
    ControlFlow::Continue(())
}

/// The checksum at byte `at` of `view`, over the pseudo-header for IP protocol `protocol` and everything in the layer.
pub(super) fn with_pseudo_header(view: &View<'_>, protocol: u8, at: usize) -> Verdict {
    if let Some(verdict) = kernel(view) {
        return verdict;
    }
    let (Some(found), Some((source, destination))) = (view.u16(at), view.addresses()) else {
        return Verdict::Unknown;
    };
    let pseudo = checksum::pseudo(source, destination, protocol, view.layer.wire);
    let verdict = sum_up(view, pseudo);
    if verdict == Verdict::Wrong && checksum::fold(pseudo) == found {
        return Verdict::Unfilled;
    }
    verdict
}

/// What the kernel said of the transport checksum of a packet of its own.
pub(super) fn kernel(view: &View<'_>) -> Option<Verdict> {
    match view.packet.frame.checksum {
        _ if view.layer.quoted || view.layer.buffer > 0 => None,
        KernelChecksum::Valid => Some(Verdict::Valid),
        KernelChecksum::Unfilled => Some(Verdict::Unfilled),
        KernelChecksum::Unknown => None,
    }
}

/// The checksum over the pseudo-header and the first `covered` bytes of the layer, all for 0.
pub(super) fn covering(view: &View<'_>, protocol: u8, covered: usize) -> Verdict {
    let bytes = view.bytes();
    let upto = match covered {
        0 => view.layer.wire as usize,
        covered => covered,
    };
    let (Some(bytes), Some((source, destination))) = (bytes.get(..upto), view.addresses()) else {
        return Verdict::Unknown;
    };
    if is_fragment(view) {
        return Verdict::Unknown;
    }
    let pseudo = checksum::pseudo(source, destination, protocol, view.layer.wire);
    match checksum::fold(checksum::sum(pseudo, bytes)) {
        0xffff => Verdict::Valid,
        _ => Verdict::Wrong,
    }
}

/// The checksum of `view` over everything in the layer, and no pseudo-header.
pub(super) fn plain(view: &View<'_>) -> Verdict {
    sum_up(view, 0)
}

/// With the checksum in it, a sound packet adds up to all ones.
fn sum_up(view: &View<'_>, start: u32) -> Verdict {
    if !view.is_whole() || is_fragment(view) {
        return Verdict::Unknown;
    }
    match checksum::fold(checksum::sum(start, view.bytes())) {
        0xffff => Verdict::Valid,
        _ => Verdict::Wrong,
    }
}

/// The layer is quoted, and its end is missing though the packet was captured whole.
pub(super) fn is_quoted_in_part(view: &View<'_>) -> bool {
    let frame = &view.packet.frame;
    view.layer.quoted
        && !view.is_whole()
        && !is_fragment(view)
        && frame.bytes.len() as u64 >= u64::from(frame.wire_len)
}

/// The layer lies in one fragment of a datagram, so that its end is elsewhere.
pub(super) fn is_fragment(view: &View<'_>) -> bool {
    view.packet.layers[..view.index]
        .iter()
        .enumerate()
        .rev()
        .take_while(|(_, below)| below.buffer == view.layer.buffer)
        .filter_map(|(index, _)| view.packet.view(index))
        .any(|below| match below.layer.protocol.name {
            "ip" => below.u16(6).is_some_and(|bits| bits & 0x3fff != 0),
            "ipv6.fraghdr" => below.u16(2).is_some_and(|bits| bits & 0xfff9 != 0),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proto::{
            ipv4,
            testing::{Seen, chain},
            udp,
        },
        protocol::Claim,
    };

    /// A datagram of 5 bytes in IPv4, with `sum` for its checksum.
    fn packet(fragment: u8, sum: u16) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 33, 0, 0, fragment, 0, 64, 17, 0, 0];
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        let header = checksum::finish(checksum::sum(0, &bytes));
        bytes[10..12].copy_from_slice(&header.to_be_bytes());
        bytes.extend([0x0f, 0xa0, 0x13, 0x88, 0, 13]);
        bytes.extend(sum.to_be_bytes());
        bytes.extend(b"hello");
        bytes
    }

    fn seen(bytes: &[u8], wire: usize) -> Seen {
        let protocols = [
            (&ipv4::PROTOCOL, Claim::EtherType(0x0800)),
            (&udp::PROTOCOL, Claim::IpProto(17)),
        ];
        chain(&protocols, bytes, wire)
    }

    /// Number and word.
    fn verdict(fragment: u8, sum: u16, captured: usize) -> (String, String) {
        let bytes = packet(fragment, sum);
        let seen = seen(&bytes[..captured], bytes.len());
        let one = |name| seen.all(name).concat();
        (one("udp.checksum.status"), one("sockwire.checksum"))
    }

    #[test]
    fn right_wrong_unfilled_and_what_cannot_be_told() {
        let source = [10, 0, 0, 1].into();
        let pseudo = checksum::pseudo(source, [10, 0, 0, 2].into(), 17, 13);
        let right = checksum::finish(checksum::sum(pseudo, &packet(0, 0)[20..]));
        let unfilled = checksum::fold(pseudo);
        let words = |number: &str, word: &str| (number.to_owned(), word.to_owned());
        assert_eq!(verdict(0, right, 33), words("1", "valid"));
        assert_eq!(verdict(0, right ^ 1, 33), words("0", "wrong"));
        assert_eq!(verdict(0, unfilled, 33), words("0", "unfilled"));
        assert_eq!(verdict(0, right, 32), words("2", "unknown"));
        assert_eq!(verdict(0x20, right, 33), words("2", "unknown"));
        assert_eq!(verdict(0, 0, 33), words("3", "unknown"));
        assert_eq!(seen(&packet(0, right ^ 1), 33).noticed.len(), 1);
        assert!(seen(&packet(0, unfilled), 33).noticed.is_empty());
    }
}
