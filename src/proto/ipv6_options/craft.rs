//! How the hop-by-hop and destination option headers are crafted: their options, and the padding behind them.

use super::*;
use crate::{
    proto::making::{self, option as write},
    protocol::{Craft, Part, Slot, Tail},
};
use std::net::Ipv6Addr;

const EMPTY: &[u8] = &[59, 0];

pub(super) static HOP_BY_HOP: Craft = Craft {
    names: &["hbh", "IPv6ExtHdrHopByHop"],
    header: EMPTY,
    slots: &[
        Slot::new(&["nxt", "nh"], &HOP_NXT).computed(making::next_header),
        Slot::new(&["len"], &HOP_LEN).computed(making::length_in_eights),
    ],
    tail: Some(&TAIL),
    answers: None,
};

pub(super) static DESTINATION: Craft = Craft {
    names: &["dst6", "IPv6ExtHdrDestOpt"],
    header: EMPTY,
    slots: &[
        Slot::new(&["nxt", "nh"], &DST_NXT).computed(making::next_header),
        Slot::new(&["len"], &DST_LEN).computed(making::length_in_eights),
    ],
    tail: Some(&TAIL),
    answers: None,
};

static TAIL: Tail = Tail {
    parts: &[
        Part {
            words: &["ra"],
            form: "N",
            doc: "router alert: 0 MLD, 1 RSVP",
            write: number::<0x05, 2>,
        },
        Part {
            words: &["jumbo"],
            form: "N",
            doc: "bytes after the IPv6 header of a jumbogram",
            write: number::<0xc2, 4>,
        },
        Part {
            words: &["tel"],
            form: "N",
            doc: "tunnel encapsulation limit",
            write: number::<0x04, 1>,
        },
        Part {
            words: &["home"],
            form: "ADDRESS",
            doc: "home address of a moving sender",
            write: |value, header| {
                let home: Ipv6Addr = value.parse().map_err(|_| "expected an IPv6 address")?;
                push(0xc9, &home.octets(), header)
            },
        },
        Part {
            words: &["pad1"],
            form: "",
            doc: "one byte of padding",
            write: write::single::<0>,
        },
        Part {
            words: &["padn"],
            form: "N",
            doc: "padding: two bytes, and so many zeros",
            write: |value, header| {
                let len = crate::text::number(value).filter(|n| *n <= 255);
                let len = len.ok_or("expected a number up to 255")?;
                push(0x01, &vec![0; len as usize], header)
            },
        },
        Part {
            words: &["opt"],
            form: "TYPE:HEX",
            doc: "any option",
            write: |value, header| {
                let at = header.len();
                write::any(value, header)?;
                shorten(at, header);
                Ok(())
            },
        },
        making::RAW,
    ],
    finish: Some(pad),
    read,
};

/// The length of an option counts its data only (RFC 8200 §4.2), unlike that of an IPv4 option.
fn shorten(at: usize, header: &mut [u8]) {
    if let Some(len) = header.get_mut(at + 1) {
        *len = len.saturating_sub(2);
    }
}

fn push(kind: u8, data: &[u8], header: &mut Vec<u8>) -> Result<(), String> {
    let len = u8::try_from(data.len()).map_err(|_| "an option has room for 255 bytes")?;
    header.extend([kind, len]);
    header.extend_from_slice(data);
    Ok(())
}

fn number<const KIND: u8, const BYTES: usize>(
    value: &str,
    header: &mut Vec<u8>,
) -> Result<(), String> {
    let at = header.len();
    write::one::<KIND, BYTES>(value, header)?;
    shorten(at, header);
    Ok(())
}

/// Pads to whole units of 8 bytes, with one option (RFC 8200 §4.2).
fn pad(header: &mut Vec<u8>) {
    match header.len().next_multiple_of(8) - header.len() {
        0 => {}
        1 => header.push(0),
        room => {
            header.extend([1, room as u8 - 2]);
            header.resize(header.len() + room - 2, 0);
        }
    }
}

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let mut at = EMPTY.len();
    while at < header.len() {
        if header.len() - at < 8 {
            let mut padded = header[..at].to_vec();
            pad(&mut padded);
            if padded == header {
                return;
            }
        }
        let [kind, len, rest @ ..] = &header[at..] else {
            break;
        };
        if *kind == 0 {
            word("pad1", String::new());
            at += 1;
            continue;
        }
        let Some(data) = rest.get(..usize::from(*len)) else {
            break;
        };
        let number = || data.iter().fold(0, |n: u64, b| n << 8 | u64::from(*b));
        match (*kind, data.len()) {
            (0x05, 2) => word("ra", number().to_string()),
            (0xc2, 4) => word("jumbo", number().to_string()),
            (0x04, 1) => word("tel", number().to_string()),
            (0x01, len) if data.iter().all(|b| *b == 0) => word("padn", len.to_string()),
            (0xc9, 16) => match <[u8; 16]>::try_from(data) {
                Ok(home) => word("home", Ipv6Addr::from(home).to_string()),
                Err(_) => break,
            },
            _ => word("opt", format!("{kind}:{}", hex::encode(data))),
        }
        at += 2 + data.len();
    }
    making::say_raw(header, at, word);
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{built, fault, rebuilt};

    /// The bytes behind the IPv6 header.
    fn options(words: &str) -> String {
        let bytes = built(&format!("ip6 src=::1 dst=::1 / {words}"));
        rebuilt(&bytes);
        hex::encode(&bytes[40..])
    }

    #[test]
    fn options_are_padded_to_units_of_8_bytes() {
        assert_eq!(options("hbh ra=0"), "3b00050200000100");
        assert_eq!(options("dst6 tel=4"), "3b00040104010100");
        assert_eq!(options("dst6 opt=0x1e:001122"), "3b001e0300112200");
        assert_eq!(options("hbh"), "3b00010400000000");
        let home = "3b02 0102 0000 c910 fd000000000000000000000000000007 ";
        assert_eq!(options("dst6 padn=2 home=fd00::7"), home.replace(' ', ""));
        let words = rebuilt(&built("ip6 src=::1 dst=::1 / hbh ra=0"));
        assert!(words.ends_with("/ hbh ra=0"), "{words}");
    }

    #[test]
    fn options_that_do_not_fit_are_raw_bytes() {
        let mut bytes = built("ip6 src=::1 dst=::1 / hbh");
        bytes[42..].copy_from_slice(&[5, 2, 0, 0, 1, 9]);
        assert!(rebuilt(&bytes).ends_with("hbh ra=0 raw=0109"));
        assert_eq!(fault("hbh ra=65536"), "expected a number up to 65535");
        assert_eq!(fault("hbh padn=256"), "expected a number up to 255");
    }
}
