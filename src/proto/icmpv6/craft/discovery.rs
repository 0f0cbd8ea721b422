//! How the options of neighbor discovery are crafted.

use super::super::discovery::option;
use crate::{
    proto::making::option as write,
    protocol::Part,
    text::{hexadecimal, number},
};
use std::net::Ipv6Addr;

pub(super) const SOURCE_LINK: Part = Part {
    words: &["slla"],
    form: "MAC",
    doc: "the sender's hardware address",
    write: bytes::<{ option::SOURCE_LINK }>,
};
pub(super) const TARGET_LINK: Part = Part {
    words: &["tlla"],
    form: "MAC",
    doc: "the target's hardware address",
    write: bytes::<{ option::TARGET_LINK }>,
};
pub(super) const PREFIX_INFORMATION: Part = Part {
    words: &["prefix"],
    form: "PREFIX/LENGTH[,FLAGS[,VALID,PREFERRED]]",
    doc: "prefix, some of L A R or 0, and two lifetimes in seconds",
    write: prefix,
};
pub(super) const LINK_MTU: Part = Part {
    words: &["mtu"],
    form: "N",
    doc: "MTU of the link",
    write: |value, header| {
        let mtu = number(value).and_then(|n| u32::try_from(n).ok());
        let mtu = mtu.ok_or("expected a number of 32 bits, such as 1500")?;
        push(
            option::MTU,
            &[&[0, 0], &mtu.to_be_bytes()[..]].concat(),
            header,
        )
    },
};
pub(super) const ROUTE_INFORMATION: Part = Part {
    words: &["route"],
    form: "PREFIX/LENGTH[,PREFERENCE[,LIFETIME]]",
    doc: "a route, its preference (0 medium, 1 high, 3 low) and seconds",
    write: route,
};
pub(super) const DNS_SERVERS: Part = Part {
    words: &["rdnss"],
    form: "LIFETIME,ADDRESS[,ADDRESS…]",
    doc: "DNS servers, and for how many seconds",
    write: servers,
};
pub(super) const NONCE: Part = Part {
    words: &["nonce"],
    form: "HEX",
    doc: "makes the answer fresh: 6 bytes, or 8 more",
    write: bytes::<{ option::NONCE }>,
};
pub(super) const REDIRECTED: Part = Part {
    words: &["redirected"],
    form: "N",
    doc: "the option with the packet that follows, N units of 8 bytes long with its first 8",
    write: |value, header| {
        let units = number(value).and_then(|n| u8::try_from(n).ok());
        let units = units
            .filter(|n| *n > 0)
            .ok_or("expected a number from 1 to 255")?;
        header.extend([option::REDIRECTED, units, 0, 0, 0, 0, 0, 0]);
        Ok(())
    },
};
pub(super) const ANY: Part = Part {
    words: &["opt"],
    form: "TYPE:HEX",
    doc: "any option, 8 bytes long or a multiple",
    write: |value, header| {
        let at = header.len();
        write::any(value, header)?;
        in_eights(at, header)
    },
};

/// Turns the length of the option at `at` from bytes into units of 8 (RFC 4861 §4.6).
fn in_eights(at: usize, header: &mut [u8]) -> Result<(), String> {
    let len = header.len() - at;
    if !len.is_multiple_of(8) {
        return Err("an option has 6 bytes of data, or 8, 16, … more".to_owned());
    }
    header[at + 1] = (len / 8) as u8;
    Ok(())
}

fn push(kind: u8, data: &[u8], header: &mut Vec<u8>) -> Result<(), String> {
    let at = header.len();
    write::push(kind, data, header)?;
    in_eights(at, header)
}

fn bytes<const KIND: u8>(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let data = hexadecimal(value).ok_or("expected bytes in hexadecimal")?;
    push(KIND, &data, header)
}

/// `ADDRESS/LENGTH`.
fn network(text: &str) -> Option<(Ipv6Addr, u8)> {
    let (address, len) = text.split_once('/')?;
    let len = len.parse().ok().filter(|len| *len <= 128)?;
    Some((address.parse().ok()?, len))
}

fn word32(text: Option<&str>, usual: u32) -> Option<u32> {
    match text {
        Some(text) => number(text).and_then(|n| u32::try_from(n).ok()),
        None => Some(usual),
    }
}

fn prefix(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let read = || {
        let mut items = value.split(',');
        let (address, len) = network(items.next()?)?;
        let mut flags = 0;
        for flag in items.next().unwrap_or("LA").chars() {
            flags |= match flag.to_ascii_uppercase() {
                'L' => 0x80,
                'A' => 0x40,
                'R' => 0x20,
                '0' => 0,
                _ => return None,
            };
        }
        // A month and a week (RFC 4861 §6.2.1).
        let lifetimes = [
            word32(items.next(), 2_592_000)?,
            word32(items.next(), 604_800)?,
        ];
        let lifetimes = lifetimes.map(u32::to_be_bytes).concat();
        Some([&[len, flags], &lifetimes[..], &[0; 4], &address.octets()].concat())
    };
    let data = read().ok_or("expected a prefix such as 2001:db8::/64,LA,2592000,604800")?;
    push(option::PREFIX, &data, header)
}

/// Of the prefix so many bytes are written as its length asks for: 0, 8 or 16 (RFC 4191 §2.3).
fn route(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let read = || {
        let mut items = value.split(',');
        let (address, len) = network(items.next()?)?;
        let preference = word32(items.next(), 0)?;
        let preference = u8::try_from(preference).ok().filter(|n| *n < 4)?;
        let lifetime = word32(items.next(), 1800)?.to_be_bytes();
        let written = usize::from(len).div_ceil(64) * 8;
        let prefix = &address.octets()[..written];
        Some([&[len, preference << 3], &lifetime[..], prefix].concat())
    };
    let data = read().ok_or("expected a route such as 2001:db8::/64,0,1800")?;
    push(option::ROUTE, &data, header)
}

fn servers(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    let read = || {
        let mut items = value.split(',');
        let lifetime = word32(items.next(), 0)?.to_be_bytes();
        let mut data = [&[0, 0], &lifetime[..]].concat();
        for server in items {
            data.extend(server.parse::<Ipv6Addr>().ok()?.octets());
        }
        Some(data)
    };
    let data = read().ok_or("expected a lifetime and addresses, such as 600,fd00::1")?;
    push(option::DNS_SERVERS, &data, header)
}

/// Says the options from `at` on; where they end.
pub(super) fn say_options(
    header: &[u8],
    mut at: usize,
    word: &mut dyn FnMut(&'static str, String),
) -> usize {
    while let Some(&[kind, units, ..]) = header.get(at..) {
        let len = usize::from(units) * 8;
        // What a redirect carries is a layer of its own.
        if kind == option::REDIRECTED && units > 0 && header[at + 2..] == [0; 6] {
            word("redirected", units.to_string());
            return header.len();
        }
        let Some(data) = header.get(at + 2..at + len) else {
            break;
        };
        let (name, value) = said(kind, data);
        word(name, value);
        at += len;
    }
    at
}

fn said(kind: u8, data: &[u8]) -> (&'static str, String) {
    let any = || ("opt", format!("{kind}:{}", hex::encode(data)));
    let number = |at: usize| match data.get(at..at + 4) {
        Some(bytes) => bytes.iter().fold(0, |n: u32, b| n << 8 | u32::from(*b)),
        None => 0,
    };
    let address = |at: usize| {
        let mut octets = [0; 16];
        let known = &data[at.min(data.len())..];
        let len = known.len().min(16);
        octets[..len].copy_from_slice(&known[..len]);
        Ipv6Addr::from(octets)
    };
    match (kind, data) {
        (option::SOURCE_LINK, [_, _, _, _, _, _]) => ("slla", colons(data)),
        (option::TARGET_LINK, [_, _, _, _, _, _]) => ("tlla", colons(data)),
        (option::NONCE, _) => ("nonce", hex::encode(data)),
        (option::MTU, [0, 0, _, _, _, _]) => ("mtu", number(2).to_string()),
        (option::PREFIX, [len @ 0..=128, flags, rest @ ..])
            if rest.len() == 28 && flags & 0x1f == 0 && number(10) == 0 =>
        {
            let mut letters = String::new();
            for (bit, letter) in [(0x80, 'L'), (0x40, 'A'), (0x20, 'R')] {
                if flags & bit != 0 {
                    letters.push(letter);
                }
            }
            if letters.is_empty() {
                letters.push('0');
            }
            let (valid, preferred) = (number(2), number(6));
            let value = format!("{}/{len},{letters},{valid},{preferred}", address(14));
            ("prefix", value)
        }
        (option::ROUTE, [len @ 0..=128, flags, rest @ ..])
            if flags & !0x18 == 0 && rest.len() == 4 + usize::from(*len).div_ceil(64) * 8 =>
        {
            let value = format!("{}/{len},{},{}", address(6), flags >> 3, number(2));
            ("route", value)
        }
        (option::DNS_SERVERS, [0, 0, rest @ ..]) if rest.len() % 16 == 4 => {
            let mut value = number(2).to_string();
            for at in (6..data.len()).step_by(16) {
                value.push_str(&format!(",{}", address(at)));
            }
            ("rdnss", value)
        }
        _ => any(),
    }
}

fn colons(bytes: &[u8]) -> String {
    crate::text::Colons(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{answers, built, fault, rebuilt};

    /// The message behind an IPv6 header, and its hop limit.
    fn message(words: &str) -> (String, u8) {
        let bytes = built(&format!("ip6 src=fe80::1 dst=ff02::1 / {words}"));
        rebuilt(&bytes);
        (hex::encode(&bytes[40..]), bytes[7])
    }

    #[test]
    fn neighbors_and_routers_with_options() {
        let target = "fe800000000000000000000000000001";
        for (words, rest) in [
            (
                "icmp6 type=neighbor-solicitation target=fe80::1 slla=02:00:00:00:00:01",
                format!("00000000{target}0101020000000001"),
            ),
            (
                "ICMPv6ND_NA tgt=fe80::1 s tlla=02:00:00:00:00:02 nonce=001122334455",
                format!("60000000{target}02010200000000020e01001122334455"),
            ),
            (
                "icmp6 type=134 chlim=64 m prf=1 mtu=1500 rdnss=60,fe80::1",
                format!("4088070800000000000000000501000000 0005dc1903000000 00003c{target}"),
            ),
            (
                "icmp6 type=134 prefix=2001:db8::/64,L,5,6 route=::/0,3,7",
                "000007080000000000000000030440800000000500000006000000002001 0db800000000000000000000000018010018 00000007".to_owned(),
            ),
            ("icmp6 type=133 opt=38:000000000000", "000000002601000000000000".to_owned()),
        ] {
            let (found, hops) = message(words);
            assert_eq!((&found[8..], hops), (&*rest.replace(' ', ""), 255), "{words}");
        }
    }

    #[test]
    fn a_redirect_carries_the_packet() {
        let quote = "ip6 src=fe80::1 dst=fd00::9 plen=8 / udp sport=1 dport=2 chksum=7";
        let redirect =
            format!("icmp6 type=redirect target=fe80::2 dst=fd00::9 redirected=7 / {quote}");
        let (found, _) = message(&redirect);
        assert_eq!(&found[80..96], "0407000000000000");
    }

    #[test]
    fn options_that_do_not_fit_are_raw_and_wrong_ones_refused() {
        let (found, _) = message("icmp6 type=133 raw=0102");
        assert_eq!(&found[8..], "000000000102");
        message("icmp6 type=133 raw=0100020000000001");
        message("icmp6 type=134 opt=3:400100000000");
        for (words, begins) in [
            ("icmp6 type=133 slla=0200", "an option has 6 bytes"),
            ("icmp6 type=134 prefix=fd00::/129", "expected a prefix"),
            ("icmp6 type=134 route=fd00::/64,4", "expected a route"),
            ("icmp6 type=2 slla=", "an option has 6 bytes"),
            ("icmp6 target=::1", "this form of icmp6 has no target"),
        ] {
            assert!(
                fault(words).starts_with(begins),
                "{words}: {}",
                fault(words)
            );
        }
    }

    #[test]
    fn a_target_and_numbers_tell_the_answer() {
        let asks = |request: &str, reply: &str| answers(request, reply, 0);
        assert!(asks(
            "icmp6 type=135 target=fe80::2",
            "icmp6 type=136 target=fe80::2"
        ));
        assert!(!asks(
            "icmp6 type=135 target=fe80::2",
            "icmp6 type=136 target=fe80::3"
        ));
        assert!(asks("icmp6 id=1 seq=2", "icmp6 type=129 id=1 seq=2"));
        assert!(!asks("icmp6 id=1 seq=2", "icmp6 type=129 id=2 seq=2"));
        assert!(!asks("icmp6 id=1 seq=2", "icmp6 type=2 mtu=0x10002"));
        assert!(asks("icmp6 type=133", "icmp6 type=134"));
    }
}
