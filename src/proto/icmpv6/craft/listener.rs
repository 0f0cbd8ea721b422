//! How the messages of multicast listeners are crafted: what version 2 adds to a query, and group records.

use crate::{proto::making, protocol::Part, text::number};
use std::net::Ipv6Addr;

/// A query of version 1 up to the group, and of version 2 up to the sources (RFC 3810 §5.1).
const QUERY: usize = 24;
pub(super) const QUERY2: usize = 28;
const REPORT: usize = 8;
/// A group record up to its sources (RFC 3810 §5.2).
const RECORD_HEADER: usize = 20;

const RECORD_TYPES: &[(u64, &str)] = &[
    (1, "is include"),
    (2, "is exclude"),
    (3, "to include"),
    (4, "to exclude"),
    (5, "allow sources"),
    (6, "block sources"),
];

pub(super) const SUPPRESS: Part = Part {
    words: &["s"],
    form: "",
    doc: "version 2: other routers leave their timers alone",
    write: |_, header| {
        query2(header)[0] |= 0x08;
        Ok(())
    },
};
pub(super) const ROBUSTNESS: Part = Part {
    words: &["qrv"],
    form: "N",
    doc: "version 2: robustness, up to 7",
    write: |value, header| {
        let qrv = number(value).filter(|n| *n < 8);
        query2(header)[0] |= qrv.ok_or("expected a number up to 7")? as u8;
        Ok(())
    },
};
pub(super) const INTERVAL: Part = Part {
    words: &["qqic"],
    form: "N",
    doc: "version 2: code of the query interval",
    write: |value, header| {
        let qqic = number(value).and_then(|n| u8::try_from(n).ok());
        query2(header)[1] = qqic.ok_or("expected a number up to 255")?;
        Ok(())
    },
};
pub(super) const SOURCES: Part = Part {
    words: &["srcs", "sources"],
    form: "ADDRESS[,ADDRESS…]",
    doc: "version 2: sources that are asked for",
    write: |value, header| {
        query2(header);
        push_addresses(value, header)
    },
};
pub(super) const RECORD: Part = Part {
    words: &["record"],
    form: "TYPE,GROUP[,SOURCE…]",
    doc: "a group record, such as to-exclude,ff02::5",
    write: |value, header| making::push_group_record(value, RECORD_TYPES, push_addresses, header),
};

/// What version 2 adds to a query before its sources, which it makes room for: flags, interval, number of sources.
fn query2(header: &mut Vec<u8>) -> &mut [u8] {
    header.resize(header.len().max(QUERY2), 0);
    &mut header[QUERY..]
}

fn push_addresses(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    making::push_addresses(value, ("IPv6", Ipv6Addr::octets), header)
}

/// The group records that a report has whole: where each begins and ends.
pub(super) fn records(header: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = REPORT;
    std::iter::from_fn(move || {
        let &[_, aux, high, low] = header.get(at..)?.first_chunk()?;
        let start = at;
        let sources = usize::from(u16::from_be_bytes([high, low]));
        at += RECORD_HEADER + 16 * sources + 4 * usize::from(aux);
        (at <= header.len()).then_some((start, at))
    })
}

/// Says what version 2 adds to a query; where that ends.
pub(super) fn say_query(header: &[u8], word: &mut dyn FnMut(&'static str, String)) -> usize {
    let Some(&[flags, qqic, high, low]) = header.get(QUERY..).and_then(|rest| rest.first_chunk())
    else {
        return QUERY;
    };
    if flags & 0xf0 != 0 {
        return QUERY;
    }
    if flags & 0x08 != 0 {
        word("s", String::new());
    }
    word("qrv", (flags & 0x07).to_string());
    word("qqic", qqic.to_string());
    let sources = usize::from(u16::from_be_bytes([high, low]));
    let list = header.get(QUERY2..QUERY2 + 16 * sources);
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return QUERY2;
    };
    word("srcs", said_addresses(list));
    QUERY2 + list.len()
}

/// Says the records of a report, as many as it claims; where they end.
pub(super) fn say_records(header: &[u8], word: &mut dyn FnMut(&'static str, String)) -> usize {
    let claimed = header
        .get(6..8)
        .map_or(0, |n| usize::from(n[0]) << 8 | usize::from(n[1]));
    let mut at = REPORT;
    for (start, end) in records(header).take(claimed) {
        let [kind, 0, _, _, addresses @ ..] = &header[start..end] else {
            break;
        };
        word("record", format!("{kind},{}", said_addresses(addresses)));
        at = end;
    }
    at
}

fn said_addresses(bytes: &[u8]) -> String {
    let each = bytes.as_chunks::<16>().0.iter();
    let each: Vec<String> = each.map(|a| Ipv6Addr::from(*a).to_string()).collect();
    each.join(",")
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{built, fault, rebuilt};

    /// The message behind IPv6 and a router alert.
    fn message(words: &str) -> String {
        let bytes = built(&format!("ip6 src=fe80::1 dst=ff02::1 / hbh ra=0 / {words}"));
        rebuilt(&bytes);
        hex::encode(&bytes[52..])
    }

    #[test]
    fn queries_of_both_versions_and_reports() {
        let group = "ff020000000000000000000000000005";
        assert_eq!(
            message("icmp6 type=130 group=ff02::5"),
            format!("27100000{group}")
        );
        let second = message("icmp6 type=130 mrd=100 group=ff02::5 s qrv=2 qqic=125 srcs=fd00::1");
        let expected = format!("00640000{group}0a7d0001fd000000000000000000000000000001");
        assert_eq!(second, expected);
        assert_eq!(
            message("icmp6 type=132 group=ff02::5"),
            format!("00000000{group}")
        );
        let report = message("icmp6 type=143 record=to-exclude,ff02::5 record=6,ff02::5,fd00::1");
        let expected =
            format!("00000002 04000000{group} 06000001{group} fd000000000000000000000000000001");
        assert_eq!(report, expected.replace(' ', ""));
    }

    #[test]
    fn what_no_word_says_is_raw() {
        message("icmp6 type=143 numrecords=5 record=4,ff02::5 raw=04");
        message("icmp6 type=143 numrecords=0 raw=040000000000");
        message("icmp6 type=130 raw=ff7d0009");
        assert!(fault("icmp6 type=143 record=4,10.0.0.1").starts_with("expected IPv6 addresses"));
        assert!(fault("icmp6 type=143 record=4").starts_with("expected IPv6 addresses"));
    }
}
