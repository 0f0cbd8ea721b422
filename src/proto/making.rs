//! What the craft tables of several protocols share: lengths, checksums, the number of what comes next, options.

use crate::{
    checksum,
    layer::View,
    protocol::{Claim, Part, Protocol},
};

/// The protocol of the layer inside `view`.
pub(super) fn inside(view: &View<'_>) -> Option<&'static Protocol> {
    let next = view.packet.view(view.index + 1)?;
    Some(next.layer.protocol)
}

/// The first claim of what is inside that `number` reads a number from.
fn claimed(view: &View<'_>, number: fn(&Claim) -> Option<u64>) -> Option<u64> {
    inside(view)?.claims.iter().find_map(number)
}

/// The EtherType of what is inside.
pub(super) fn ethertype(view: &View<'_>) -> Option<u64> {
    claimed(view, |claim| match claim {
        Claim::EtherType(number) => Some((*number).into()),
        _ => None,
    })
}

/// The IP protocol number of what is inside.
pub(super) fn ip_proto(view: &View<'_>) -> Option<u64> {
    claimed(view, |claim| match claim {
        Claim::IpProto(number) => Some((*number).into()),
        _ => None,
    })
}

/// Bytes of header and payload.
pub(super) fn length(view: &View<'_>) -> Option<u64> {
    Some(view.bytes().len() as u64)
}

/// Bytes of header.
pub(super) fn header_length(view: &View<'_>) -> Option<u64> {
    Some(view.header().len() as u64)
}

/// The Internet checksum over `bytes`, whose own two bytes at `at` count as zero.
pub(super) fn checksum_without(start: u32, bytes: &[u8], at: usize) -> Option<u64> {
    let (before, after) = (bytes.get(..at)?, bytes.get(at + 2..)?);
    let sum = checksum::sum(checksum::sum(start, before), after);
    Some(checksum::finish(sum).into())
}

/// The checksum at byte `at` over everything in the layer.
pub(super) fn plain_checksum(view: &View<'_>, at: usize) -> Option<u64> {
    checksum_without(0, view.bytes(), at)
}

/// The checksum at byte `at` over the pseudo-header for IP protocol `protocol` and everything in the layer.
pub(super) fn transport_checksum(view: &View<'_>, protocol: u8, at: usize) -> Option<u64> {
    covering_checksum(view, protocol, at, view.bytes().len())
}

/// The same over the first `covered` bytes of the layer only.
pub(super) fn covering_checksum(
    view: &View<'_>,
    protocol: u8,
    at: usize,
    covered: usize,
) -> Option<u64> {
    let (source, destination) = view.addresses()?;
    let bytes = view.bytes();
    let pseudo = checksum::pseudo(source, destination, protocol, bytes.len() as u32);
    checksum_without(pseudo, bytes.get(..covered)?, at)
}

/// The reply comes from the port that was asked, and goes to the port that asks.
pub(super) fn ports_swapped(request: &View<'_>, reply: &View<'_>) -> bool {
    let ports = |view: &View<'_>| Some((view.u16(0)?, view.u16(2)?));
    match (ports(request), ports(reply)) {
        (Some((source, destination)), Some(back)) => back == (destination, source),
        _ => false,
    }
}

/// The EtherType of what is inside; over LLC the length of the payload (IEEE 802.3 clause 3.2.6).
pub(super) fn type_or_length(view: &View<'_>) -> Option<u64> {
    if inside(view).is_some_and(|inside| inside.name == "llc") {
        return payload_length(view);
    }
    ethertype(view)
}

/// The PPP protocol number of what is inside.
pub(super) fn ppp(view: &View<'_>) -> Option<u64> {
    claimed(view, |claim| match claim {
        Claim::Ppp(number) => Some((*number).into()),
        _ => None,
    })
}

/// The LLC service access point of what is inside.
pub(super) fn llc(view: &View<'_>) -> Option<u64> {
    claimed(view, |claim| match claim {
        Claim::Llc(number) => Some((*number).into()),
        _ => None,
    })
}

/// Bytes of payload.
pub(super) fn payload_length(view: &View<'_>) -> Option<u64> {
    Some(view.payload().len() as u64)
}

/// Bytes given in hexadecimal.
pub(super) fn hexadecimal(value: &str) -> Result<Vec<u8>, String> {
    crate::text::hexadecimal(value).ok_or_else(|| "expected bytes in hexadecimal".to_owned())
}

/// Appends bytes given in hexadecimal.
pub(super) fn append(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    header.extend(hexadecimal(value)?);
    Ok(())
}

/// Options in the form kind, length, data that TCP and IPv4 share, where the length counts all three.
pub(super) mod option {
    use crate::{protocol::Part, text::number};

    /// Reads a number that fits `bytes` bytes, and appends it, big endian.
    fn push_number(text: &str, bytes: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let largest = u64::MAX >> (64 - 8 * bytes.clamp(1, 8));
        let value = number(text).and_then(|n| u64::try_from(n).ok());
        let value = value
            .filter(|n| *n <= largest)
            .ok_or_else(|| format!("expected a number up to {largest}"))?;
        out.extend_from_slice(&value.to_be_bytes()[8 - bytes.clamp(1, 8)..]);
        Ok(())
    }

    /// Appends an option with `data`.
    pub(in crate::proto) fn push(
        kind: u8,
        data: &[u8],
        header: &mut Vec<u8>,
    ) -> Result<(), String> {
        let len = u8::try_from(data.len() + 2).map_err(|_| "an option has room for 253 bytes")?;
        header.extend([kind, len]);
        header.extend_from_slice(data);
        Ok(())
    }

    /// `nop`.
    pub(in crate::proto) const NOP: Part = Part {
        words: &["nop"],
        form: "",
        doc: "no operation",
        write: single::<1>,
    };

    /// `eol`.
    pub(in crate::proto) const EOL: Part = Part {
        words: &["eol"],
        form: "",
        doc: "end of options",
        write: single::<0>,
    };

    /// An option without length or data.
    pub(in crate::proto) fn single<const KIND: u8>(
        _: &str,
        header: &mut Vec<u8>,
    ) -> Result<(), String> {
        header.push(KIND);
        Ok(())
    }

    /// An option without data.
    pub(in crate::proto) fn empty<const KIND: u8>(
        _: &str,
        header: &mut Vec<u8>,
    ) -> Result<(), String> {
        push(KIND, &[], header)
    }

    /// An option with one number of `BYTES` bytes.
    pub(in crate::proto) fn one<const KIND: u8, const BYTES: usize>(
        value: &str,
        header: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut data = Vec::new();
        push_number(value, BYTES, &mut data)?;
        push(KIND, &data, header)
    }

    /// An option with numbers of `BYTES` bytes, as many as there are, with `:` between them.
    pub(in crate::proto) fn several<const KIND: u8, const BYTES: usize>(
        value: &str,
        header: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut data = Vec::new();
        for number in value.split(':') {
            push_number(number, BYTES, &mut data)?;
        }
        push(KIND, &data, header)
    }

    /// An option with bytes in hexadecimal.
    pub(in crate::proto) fn bytes<const KIND: u8>(
        value: &str,
        header: &mut Vec<u8>,
    ) -> Result<(), String> {
        let data = crate::text::hexadecimal(value).ok_or("expected bytes in hexadecimal")?;
        push(KIND, &data, header)
    }

    /// Any option: `KIND:HEX`.
    pub(in crate::proto) fn any(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
        let (kind, data) = value.split_once(':').unwrap_or((value, ""));
        let kind = number(kind).and_then(|n| u8::try_from(n).ok());
        let kind = kind.ok_or("expected KIND:HEX, such as 30:0011")?;
        let data = crate::text::hexadecimal(data).ok_or("expected KIND:HEX, such as 30:0011")?;
        push(kind, &data, header)
    }

    /// Pads with zeros to whole 32-bit words.
    pub(in crate::proto) fn to_words(header: &mut Vec<u8>) {
        header.resize(header.len().next_multiple_of(4), 0);
    }
}

/// The number of IP protocol `view` carries, `59` (no next header) where it carries nothing (RFC 8200 §4.7).
pub(super) fn next_header(view: &View<'_>) -> Option<u64> {
    match ip_proto(view) {
        None if view.payload().is_empty() => Some(59),
        next => next,
    }
}

/// `raw=HEX`: bytes as they are, for what no other word of the tail can say.
pub(super) const RAW: Part = Part {
    words: &["raw"],
    form: "HEX",
    doc: "bytes as they are",
    write: append,
};

/// Says what is left of `header` from `at` on, where there is anything.
pub(super) fn say_raw(header: &[u8], at: usize, word: &mut dyn FnMut(&'static str, String)) {
    if let Some(rest) = header.get(at..).filter(|rest| !rest.is_empty()) {
        word("raw", hex::encode(rest));
    }
}

/// Whether what stands at byte `at` of `header` is what [`option::to_words`] would write there.
pub(super) fn is_padding(header: &[u8], at: usize) -> bool {
    let rest = header.get(at..).unwrap_or(&[]);
    rest.iter().all(|b| *b == 0) && header.len() <= at.next_multiple_of(4)
}

/// Says what is left of `header` from `at` on, where it is more than padding.
pub(super) fn say_unpadded(header: &[u8], at: usize, word: &mut dyn FnMut(&'static str, String)) {
    if !is_padding(header, at) {
        say_raw(header, at, word);
    }
}

/// Length of an IPv6 extension header: units of 8 bytes, the first not counted (RFC 8200 §4.3).
pub(super) fn length_in_eights(view: &View<'_>) -> Option<u64> {
    (view.header().len() as u64 / 8).checked_sub(1)
}

/// Appends addresses with commas between them, as `octets` has them; `family` is what they are called in a fault.
pub(super) fn push_addresses<A: std::str::FromStr, const N: usize>(
    value: &str,
    (family, octets): (&str, fn(&A) -> [u8; N]),
    header: &mut Vec<u8>,
) -> Result<(), String> {
    for address in value.split(',') {
        let address: A = address
            .parse()
            .map_err(|_| format!("expected {family} addresses with commas between them"))?;
        header.extend(octets(&address));
    }
    Ok(())
}

/// Appends a group record of IGMPv3 or MLDv2 (RFC 3376 §4.2.4, RFC 3810 §5.2.5): `TYPE,GROUP[,SOURCE…]`, addresses by
/// `push`.
pub(super) fn push_group_record(
    value: &str,
    types: &[(u64, &str)],
    push: fn(&str, &mut Vec<u8>) -> Result<(), String>,
    header: &mut Vec<u8>,
) -> Result<(), String> {
    let (kind, addresses) = value.split_once(',').unwrap_or((value, ""));
    let kind = choice(kind, types)?;
    let sources = addresses.split(',').count() - 1;
    let sources = u16::try_from(sources).map_err(|_| "too many sources")?;
    header.extend([kind, 0]);
    header.extend(sources.to_be_bytes());
    push(addresses, header)
}

/// A number of one byte, or its name with `-` for spaces.
pub(super) fn choice(text: &str, names: &[(u64, &str)]) -> Result<u8, String> {
    let given = crate::text::number(text).and_then(|n| u8::try_from(n).ok());
    let same = |name: &str| name.replace(' ', "-").eq_ignore_ascii_case(text);
    let named = || {
        let found = names.iter().find(|(_, name)| same(name))?;
        u8::try_from(found.0).ok()
    };
    given.or_else(named).ok_or_else(|| {
        let known: Vec<String> = names.iter().map(|(_, n)| n.replace(' ', "-")).collect();
        format!("expected a number up to 255, or one of {}", known.join(" "))
    })
}
