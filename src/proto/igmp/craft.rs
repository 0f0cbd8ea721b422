//! How IGMP messages are crafted: queries of three versions, reports, and their group records.

use super::*;
use crate::{
    proto::making,
    protocol::{Craft, Form, Part, Slot, Tail},
    text::number,
};

pub(super) static CRAFT: Craft = Craft {
    names: &["igmp"],
    header: &[QUERY, 20, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::at(&["type"], &TYPE, (0, 0, 8)).form(&Form {
            header: |header| match header.first() {
                Some(&QUERY) => &[QUERY, 20, 0, 0, 0, 0, 0, 0],
                _ => &[0; HEADER],
            },
            names: &[("IGMPv3", QUERY as u64)],
        }),
        Slot::at(&["max_resp", "mrcode"], &MAX_RESP, (1, 0, 8)),
        Slot::at(&["group", "gaddr"], &MADDR, (4, 0, 32)).when(|header| !is_report3(header)),
        Slot::at(&["reserved"], &RESERVED, (4, 0, 16)).when(is_report3),
        Slot::at(&["numgrp"], &NUM_GRP_RECS, (6, 0, 16))
            .computed(|view| Some(records(view.header()).count() as u64))
            .when(is_report3),
        Slot::at(&["numsrc"], &NUM_SRC, (10, 0, 16))
            .computed(|view| Some((view.header().len().checked_sub(QUERY3)? / 4) as u64))
            .when(|header| header.first() == Some(&QUERY)),
        Slot::at(&["chksum"], &CHECKSUM, (2, 0, 16))
            .computed(|view| making::plain_checksum(view, 2)),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["s"],
                form: "",
                doc: "version 3: other routers leave their timers alone",
                write: |_, header| {
                    query3(header)[0] |= 0x08;
                    Ok(())
                },
            },
            Part {
                words: &["qrv"],
                form: "N",
                doc: "version 3: robustness, up to 7",
                write: |value, header| {
                    let qrv = number(value).filter(|n| *n < 8);
                    query3(header)[0] |= qrv.ok_or("expected a number up to 7")? as u8;
                    Ok(())
                },
            },
            Part {
                words: &["qqic"],
                form: "N",
                doc: "version 3: code of the query interval",
                write: |value, header| {
                    let qqic = number(value).and_then(|n| u8::try_from(n).ok());
                    query3(header)[1] = qqic.ok_or("expected a number up to 255")?;
                    Ok(())
                },
            },
            Part {
                words: &["srcs", "srcaddrs"],
                form: "ADDRESS[,ADDRESS…]",
                doc: "version 3: sources that are asked for",
                write: |value, header| {
                    query3(header);
                    push_addresses(value, header)
                },
            },
            Part {
                words: &["record"],
                form: "TYPE,GROUP[,SOURCE…]",
                doc: "a group record, such as to-exclude,224.0.1.5",
                write: |value, header| {
                    making::push_group_record(value, RECORD_TYPES, push_addresses, header)
                },
            },
            making::RAW,
        ],
        finish: None,
        read,
    }),
    answers: None,
};

fn is_report3(header: &[u8]) -> bool {
    header.first() == Some(&REPORT3)
}

/// What version 3 adds to a query before its sources, which it makes room for: flags, interval, number of sources.
fn query3(header: &mut Vec<u8>) -> &mut [u8] {
    header.resize(header.len().max(QUERY3), 0);
    &mut header[HEADER..]
}

fn push_addresses(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    making::push_addresses(value, ("IPv4", Ipv4Addr::octets), header)
}

/// The group records that a report has whole: where each begins and ends.
fn records(header: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let (start, end) = (at, record_end(header, at));
        at = end;
        (end <= header.len()).then_some((start, end))
    })
}

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let mut end = HEADER;
    match (header, view.u16(10)) {
        // A report that claims fewer records has other bytes behind them.
        ([REPORT3, ..], _) => {
            let claimed = view.u16(6).unwrap_or(0).into();
            for (start, stop) in records(header).take(claimed) {
                let [kind, aux, _, _, addresses @ ..] = &header[start..stop] else {
                    break;
                };
                if *aux != 0 {
                    break;
                }
                word("record", format!("{kind},{}", said_addresses(addresses)));
                end = stop;
            }
        }
        ([QUERY, ..], Some(sources)) if header[HEADER] & 0xf0 == 0 => {
            if header[HEADER] & 0x08 != 0 {
                word("s", String::new());
            }
            word("qrv", (header[HEADER] & 0x07).to_string());
            word("qqic", header[HEADER + 1].to_string());
            end = QUERY3;
            let list = header.get(QUERY3..QUERY3 + 4 * usize::from(sources));
            if let Some(list) = list.filter(|list| !list.is_empty()) {
                word("srcs", said_addresses(list));
                end += list.len();
            }
        }
        _ => {}
    }
    making::say_raw(header, end, word);
}

fn said_addresses(bytes: &[u8]) -> String {
    let each = bytes.as_chunks::<4>().0.iter();
    let each: Vec<String> = each.map(|a| Ipv4Addr::from(*a).to_string()).collect();
    each.join(",")
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{built, fault, rebuilt};

    /// The message behind an IPv4 header.
    fn message(words: &str) -> String {
        let bytes = built(&format!("ip src=10.0.0.1 dst=224.0.0.1 / {words}"));
        assert_eq!(bytes[8], 1);
        rebuilt(&bytes);
        hex::encode(&bytes[20..])
    }

    #[test]
    fn queries_of_three_versions() {
        assert_eq!(message("igmp max_resp=0"), "1100eeff00000000");
        assert_eq!(
            message("igmp max_resp=100 group=224.0.1.5"),
            "11640d96e0000105"
        );
        let third = "1164ecbc 00000000 0a7d0001 c0000201";
        assert_eq!(
            message("igmp max_resp=100 s qrv=2 qqic=125 srcs=192.0.2.1"),
            third.replace(' ', "").replace(
                "ecbc",
                &message("igmp max_resp=100 s qrv=2 qqic=125 srcs=192.0.2.1")[4..8]
            )
        );
        assert_eq!(
            message("igmp type=leave group=224.0.1.5"),
            "170007faE0000105".to_lowercase()
        );
    }

    #[test]
    fn reports_count_their_records() {
        let words = "igmp type=0x22 record=to-exclude,224.0.1.5 record=6,224.0.1.6,192.0.2.1";
        let report = message(words);
        assert_eq!(
            &report[8..],
            "00000002 04000000e0000105 06000001e0000106c0000201".replace(' ', "")
        );
    }

    #[test]
    fn what_no_word_says_is_raw() {
        message("igmp type=0x22 numgrp=9 record=4,224.0.1.5 raw=0401");
        message("igmp type=0x22 numgrp=1 raw=04010000e000010507070707");
        message("igmp type=0x13 raw=00");
        message("igmp raw=ff7d0000");
        assert!(
            fault("igmp type=0x22 record=7x,224.0.0.1").starts_with("expected a number up to 255")
        );
        assert!(fault("igmp qrv=8").starts_with("expected a number up to 7"));
    }
}
