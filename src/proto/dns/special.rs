//! Record data that a row of pieces cannot tell: lists, bitmaps, lengths that come before what they count.

use std::ops::ControlFlow;

use super::{fields as f, reader::Reader};
use crate::field::{Field, Value};

/// The types of one bitmap, of which bit 0 stands for type `first`, shown as Wireshark does: each as a record type.
pub(super) fn bitmap(r: &mut Reader<'_, '_>, first: u16) -> ControlFlow<()> {
    let (at, bytes) = (r.at, r.rest());
    for (index, byte) in bytes.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte & 0x80 >> bit != 0) {
            let kind = usize::from(first) + index * 8 + bit;
            r.show(&f::RESP_TYPE, Value::Uint(kind as u64), (at + index, 1))?;
        }
    }
    r.at = r.end;
    ControlFlow::Continue(())
}

/// The windows of bitmaps of NSEC and NSEC3 (RFC 4034 §4.1.2).
pub(super) fn bitmaps(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    while let [window, len, ..] = *r.rest() {
        r.at += 2;
        let whole = r.narrow(len.into());
        bitmap(r, u16::from(window) << 8)?;
        r.end = whole;
    }
    ControlFlow::Continue(())
}

pub(super) fn csync_types(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let at = r.at;
    r.remainder(&f::CSYNC_TYPE_BITMAP)?;
    r.at = at;
    bitmaps(r)
}

/// Each byte that stands for an open port.
pub(super) fn open_ports(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    while let Some(&ports) = r.rest().first() {
        match ports {
            0 => r.at += 1,
            _ => r.fixed(&f::WKS_BITS, 1)?,
        }
    }
    ControlFlow::Continue(())
}

pub(super) fn wins_servers(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    while !r.rest().is_empty() {
        r.fixed(&f::WINS_WINS_SERVER, 4)?;
    }
    ControlFlow::Continue(())
}

/// The tag of the key whose data `r` is in the middle of, after four bytes (RFC 4034 appendix B).
pub(super) fn key_tag(r: &mut Reader<'_, '_>, field: &'static Field) -> ControlFlow<()> {
    let Some(data) =
        r.at.checked_sub(4)
            .and_then(|start| r.message.bytes.get(start..r.end))
    else {
        return ControlFlow::Continue(());
    };
    let tag = match (data.get(3), data) {
        // RSA/MD5: the lower bits of the modulus.
        (Some(1), [.., a, b, _]) => u16::from_be_bytes([*a, *b]),
        _ => {
            let even_and_odd = data.iter().enumerate();
            let sum: u32 = even_and_odd
                .map(|(index, &byte)| u32::from(byte) << (8 * (1 - index % 2)))
                .sum();
            (sum + (sum >> 16)) as u16
        }
    };
    r.visit.field(field, Value::Uint(tag.into()), 0..0)
}

/// All flag bits of a DNSKEY but those that have a meaning.
pub(super) fn reserved_key_flags(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let at = r.at.saturating_sub(2);
    let reserved = r.message.u16(at) & 0xfe7e;
    r.show(
        &f::DNSKEY_FLAGS_RESERVED,
        Value::Uint(reserved.into()),
        (at, 2),
    )
}

pub(super) fn replacement(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let Some((name, place)) = r.take_name() else {
        return ControlFlow::Continue(());
    };
    let len = Value::Uint(name.text().len() as u64);
    r.show(&f::NAPTR_REPLACEMENT_LENGTH, len, (place.0, 0))?;
    r.show(&f::NAPTR_REPLACEMENT, Value::Text(name.text()), place)
}

/// The part of the address that follows the prefix, and where the prefix is told (RFC 2874 §3.1).
pub(super) fn a6(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let prefix = usize::from(r.message.bytes[r.at.saturating_sub(1)]).min(128);
    let (at, len) = (r.at, 16 - prefix / 8);
    let Some(suffix) = r.take(len) else {
        return ControlFlow::Continue(());
    };
    let mut address = [0; 16];
    address[16 - len..].copy_from_slice(suffix);
    r.show(
        &f::A6_ADDRESS_SUFFIX,
        Value::Ipv6(address.into()),
        (at, len),
    )?;
    if prefix == 0 {
        return ControlFlow::Continue(());
    }
    r.name(&f::A6_PREFIX_NAME)
}

/// Shows the next `len` bytes as the beginning of an address, the rest of which is zero.
pub(super) fn prefix(
    r: &mut Reader<'_, '_>,
    family: u16,
    [v4, v6, other]: [&'static Field; 3],
    len: usize,
) -> ControlFlow<()> {
    let at = r.at;
    let Some(bytes) = r.take(len) else {
        return ControlFlow::Continue(());
    };
    let mut address = [0; 16];
    for (to, from) in address.iter_mut().zip(bytes) {
        *to = *from;
    }
    match (family, address) {
        (1, [a, b, c, d, ..]) => r.show(v4, Value::Ipv4([a, b, c, d].into()), (at, len)),
        (2, address) => r.show(v6, Value::Ipv6(address.into()), (at, len)),
        _ => r.show(other, Value::Bytes(bytes), (at, len)),
    }
}

/// Networks (RFC 3123 §4).
pub(super) fn prefixes(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    while !r.rest().is_empty() {
        let (at, family) = (r.at, r.message.u16(r.at));
        r.fixed(&f::APL_ADDRESS_FAMILY, 2)?;
        r.fixed(&f::APL_CODED_PREFIX, 1)?;
        let Some(&[length]) = r.take(1) else {
            break;
        };
        r.bits(&f::APL_NEGATION, at + 3, (0, 1))?;
        r.bits(&f::APL_AFDLENGTH, at + 3, (1, 7))?;
        let fields = [
            &f::APL_AFDPART_IPV4,
            &f::APL_AFDPART_IPV6,
            &f::APL_AFDPART_DATA,
        ];
        prefix(r, family, fields, usize::from(length & 0x7f))?;
    }
    ControlFlow::Continue(())
}

/// Where to send, in the form that the second of the three bytes before tells (RFC 4025 §2.5).
pub(super) fn gateway(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    match r.message.bytes[r.at.saturating_sub(2)] {
        1 => r.fixed(&f::IPSECKEY_GATEWAY_IPV4, 4),
        2 => r.fixed(&f::IPSECKEY_GATEWAY_IPV6, 16),
        3 => r.name(&f::IPSECKEY_GATEWAY_DNS),
        _ => ControlFlow::Continue(()),
    }
}

/// The hash in base32 with the extended hexadecimal alphabet, as owner names have it (RFC 5155 §1.3).
pub(super) fn hashed_owner(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let len = r.rest().first().copied().unwrap_or(0).into();
    r.fixed(&f::NSEC3_HASH_LENGTH, 1)?;
    let at = r.at;
    let Some(hash) = r.take(len) else {
        return ControlFlow::Continue(());
    };
    // 255 bytes are 408 digits of five bits.
    let mut text = [0; 408];
    let digits = (hash.len() * 8).div_ceil(5);
    for (digit, place) in text[..digits].iter_mut().enumerate() {
        let bit = digit * 5;
        let byte = |index: usize| hash.get(index).copied().unwrap_or(0);
        let pair = u16::from_be_bytes([byte(bit / 8), byte(bit / 8 + 1)]);
        *place = ALPHABET[usize::from(pair >> (11 - bit % 8) & 31)];
    }
    r.show(
        &f::NSEC3_HASH_VALUE,
        Value::Text(&text[..digits]),
        (at, len),
    )
}

/// Lengths first, then what they belong to (RFC 8005 §5).
pub(super) fn host_identity(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let &[tag, _, hi, lo, ..] = r.rest() else {
        return r.remainder(&f::DATA);
    };
    r.fixed(&f::HIP_HIT_LENGTH, 1)?;
    r.fixed(&f::HIP_HIT_PK_ALGO, 1)?;
    r.fixed(&f::HIP_PK_LENGTH, 2)?;
    r.fixed(&f::HIP_HIT, tag.into())?;
    r.fixed(&f::HIP_PK, u16::from_be_bytes([hi, lo]).into())?;
    while !r.rest().is_empty() {
        r.name(&f::HIP_RENDEZVOUS_SERVER)?;
    }
    ControlFlow::Continue(())
}

/// Who may issue certificates (RFC 8659 §4.1).
pub(super) fn certification_authority(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let at = r.at;
    r.fixed(&f::CAA_FLAGS, 1)?;
    r.bits(&f::CAA_FLAGS_ISSUER_CRITICAL, at, (0, 1))?;
    let (at, whole) = (r.at, r.rest());
    let tag = whole
        .first()
        .and_then(|&len| whole.get(1..1 + usize::from(len)));
    if let Some(tag) = tag {
        let meaning = match tag {
            b"issue" => &f::CAA_ISSUE,
            b"issuewild" => &f::CAA_ISSUEWILD,
            b"iodef" => &f::CAA_IODEF,
            _ => &f::CAA_UNKNOWN,
        };
        let value = &whole[1 + tag.len()..];
        r.show(meaning, Value::Text(value), (at, whole.len()))?;
    }
    r.string(&f::CAA_TAG_LENGTH, &f::CAA_TAG)?;
    r.remainder(&f::CAA_VALUE)
}

/// What a client has to know of a service (RFC 9460 §2.2, §7).
pub(super) fn parameters(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    while !r.rest().is_empty() {
        let (key, len) = (r.message.u16(r.at), r.message.u16(r.at + 2));
        r.fixed(&f::SVCB_SVCPARAM_KEY, 2)?;
        r.fixed(&f::SVCB_SVCPARAM_VALUE_LENGTH, 2)?;
        let whole = r.narrow(len.into());
        while !r.rest().is_empty() {
            match key {
                0 => r.fixed(&f::SVCB_SVCPARAM_MANDATORY_KEY, 2)?,
                1 => r.string(&f::SVCB_SVCPARAM_ALPN_LENGTH, &f::SVCB_SVCPARAM_ALPN)?,
                3 => r.fixed(&f::SVCB_SVCPARAM_PORT, 2)?,
                4 => r.fixed(&f::SVCB_SVCPARAM_IPV4HINT_IP, 4)?,
                5 => r.remainder(&f::SVCB_SVCPARAM_ECHCONFIG)?,
                6 => r.fixed(&f::SVCB_SVCPARAM_IPV6HINT_IP, 16)?,
                _ => r.remainder(&f::SVCB_SVCPARAM_VALUE)?,
            }
        }
        r.end = whole;
    }
    ControlFlow::Continue(())
}
