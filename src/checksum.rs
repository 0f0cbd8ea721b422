//! The Internet checksum (RFC 1071) and the pseudo-headers of IPv4 and IPv6.

use std::net::IpAddr;

/// Ones' complement sum of 16-bit words, carries folded; an odd last byte is padded with zero.
///
/// Start with `sum(0, …)` and feed further parts; every part but the last must have even length.
pub fn sum(start: u32, bytes: &[u8]) -> u32 {
    let mut total = u64::from(start);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        total += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let rest = words.remainder();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_be_bytes(last));
    // 32-bit words add up to the same value modulo 2^16-1 as 16-bit words.
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

/// The sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1): addresses, protocol, transport length.
pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: u32) -> u32 {
    let mut total = u32::from(protocol);
    for address in [source, destination] {
        total = match address {
            IpAddr::V4(a) => sum(total, &a.octets()),
            IpAddr::V6(a) => sum(total, &a.octets()),
        };
    }
    sum(total, &length.to_be_bytes())
}

/// The value for a header's checksum field, from the sum over everything with that field zero.
pub fn finish(sum: u32) -> u16 {
    !fold(sum)
}

/// A sum as 16 bits, carries added in.
pub fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What a checksum in a packet turns out to be (`sockwire.checksum`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Right.
    Valid,
    /// Wrong.
    Wrong,
    /// It holds the folded pseudo-header sum: an offloading device has yet to fill it in.
    Unfilled,
    /// Cannot be told: the packet was cut, or carries none.
    Unknown,
}

impl Verdict {
    /// The word used in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Wrong => "wrong",
            Self::Unfilled => "unfilled",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_worked_example_of_rfc_1071() {
        // RFC 1071 §3: 0001 f203 f4f5 f6f7 sums to ddf2.
        assert_eq!(
            sum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
        assert_eq!(finish(0xddf2), 0x220d);
        assert_eq!(
            sum(sum(0, &[0x00, 0x01, 0xf2, 0x03]), &[0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
    }

    #[test]
    fn pads_an_odd_byte_with_zero() {
        assert_eq!(
            sum(0, &[0x12, 0x34, 0x56]),
            sum(0, &[0x12, 0x34, 0x56, 0x00])
        );
    }
}
