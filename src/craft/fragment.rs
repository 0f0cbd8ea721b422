//! Cuts an IP packet that is too long for a link into fragments, as a sender or router does (RFC 791 §3.2, RFC 8200 §4.5).

use super::Built;
use crate::checksum;

/// Why a packet cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Nothing that begins like an IPv4 or IPv6 header.
    #[error("only IP packets can be cut into fragments")]
    NotIp,
    /// The header says that nobody may.
    #[error("the packet must not be cut, as its df flag says: leave that out, or send it whole")]
    DontFragment,
    /// Headers alone fill a fragment.
    #[error("with its headers, a fragment of this packet needs an MTU of {0} at least")]
    NoRoom(usize),
    /// Offsets count up to 65,535 bytes.
    #[error("the packet is longer than its fragments could say: 65535 bytes at most")]
    TooLong,
    /// IPv6 fragments are made by the source alone.
    #[error("the packet is an IPv6 fragment already")]
    Already,
}

const FLAGS: usize = 6;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
/// IPv6 extension headers that every fragment repeats: hop-by-hop options, routing, and destination options before it.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Appends the packets that carry `frame` over a link that takes `mtu` bytes from the IP header on, and their lengths:
/// `frame` itself when it fits. The IP header is at byte `at`, and what stands before it begins every fragment.
/// `ident` is the identification of IPv6 fragments. Lengths, and the checksum of an IPv4 header that is cut, are new.
///
/// # Errors
/// Why it cannot be cut; nothing is appended then.
pub fn fragments(
    frame: &[u8],
    at: usize,
    mtu: usize,
    ident: u32,
    out: &mut Vec<u8>,
    lengths: &mut Vec<u32>,
) -> Result<(), FragmentError> {
    let (link, packet) = frame.split_at_checked(at).ok_or(FragmentError::NotIp)?;
    let version = packet.first().ok_or(FragmentError::NotIp)? >> 4;
    if packet.len() <= mtu && matches!(version, 4 | 6) {
        out.extend_from_slice(frame);
        lengths.push(frame.len() as u32);
        return Ok(());
    }
    match version {
        4 => v4(link, packet, mtu, out, lengths),
        6 => v6(link, packet, mtu, ident, out, lengths),
        _ => Err(FragmentError::NotIp),
    }
}

impl Built {
    /// Appends this packet, and its length; with an `mtu` the [`fragments`] that it makes on a link that takes so many bytes from
    /// the IP header on. `ident` is the identification of IPv6 fragments.
    ///
    /// # Errors
    /// Why it cannot be cut; nothing is appended then.
    pub fn cut(
        &self,
        mtu: Option<usize>,
        ident: u32,
        out: &mut Vec<u8>,
        lengths: &mut Vec<u32>,
    ) -> Result<(), FragmentError> {
        let mut layers = self.layers.iter();
        let network = layers.find(|layer| layer.protocol.addresses.is_some());
        match (mtu, network) {
            (Some(mtu), Some(ip)) => {
                fragments(&self.bytes, ip.start as usize, mtu, ident, out, lengths)
            }
            _ => {
                out.extend_from_slice(&self.bytes);
                lengths.push(self.bytes.len() as u32);
                Ok(())
            }
        }
    }
}

fn v4(
    link: &[u8],
    packet: &[u8],
    mtu: usize,
    out: &mut Vec<u8>,
    lengths: &mut Vec<u32>,
) -> Result<(), FragmentError> {
    let header_len = usize::from(packet[0] & 15) * 4;
    if header_len < 20 || header_len > packet.len() {
        return Err(FragmentError::NotIp);
    }
    let (header, payload) = packet.split_at(header_len);
    let flags = u16::from_be_bytes([header[FLAGS], header[FLAGS + 1]]);
    if flags & DONT_FRAGMENT != 0 {
        return Err(FragmentError::DontFragment);
    }
    let first = usize::from(flags & OFFSET) * 8;
    if first + payload.len() > 65_535 {
        return Err(FragmentError::TooLong);
    }
    // The first fragment has the longest header.
    if mtu < header_len + 8 {
        return Err(FragmentError::NoRoom(header_len + 8));
    }
    let later = later_header(header);
    let mut done = 0;
    while done < payload.len() {
        let header = if done == 0 { header } else { &later };
        let room = (mtu - header.len()) & !7;
        let end = payload.len().min(done + room);
        let part = &payload[done..end];
        let more = if end < payload.len() {
            MORE
        } else {
            flags & MORE
        };
        let start = begin(link, header, out);
        let total = (header.len() + part.len()) as u16;
        let offset = ((first + done) / 8) as u16;
        let own = &mut out[start..];
        own[2..4].copy_from_slice(&total.to_be_bytes());
        let flags = flags & !(OFFSET | MORE) | more | offset;
        own[FLAGS..FLAGS + 2].copy_from_slice(&flags.to_be_bytes());
        own[10..12].fill(0);
        let sum = checksum::finish(checksum::sum(0, own));
        own[10..12].copy_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(part);
        lengths.push((link.len() + header.len() + part.len()) as u32);
        done = end;
    }
    Ok(())
}

/// Appends what every fragment begins with, and returns where its IP header starts.
fn begin(link: &[u8], header: &[u8], out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(link);
    let start = out.len();
    out.extend_from_slice(header);
    start
}

/// The header of all fragments but the first: of the options, only those that are to be copied (RFC 791 §3.1).
fn later_header(header: &[u8]) -> Vec<u8> {
    let mut later = header[..20].to_vec();
    let mut options = &header[20..];
    while let Some(&kind) = options.first() {
        let len = match (kind, options.get(1)) {
            (0, _) => break,
            (1, _) => 1,
            (_, Some(&len)) if len >= 2 && usize::from(len) <= options.len() => len.into(),
            // What cannot be read goes along as it is.
            _ => {
                later.extend_from_slice(options);
                break;
            }
        };
        let (option, rest) = options.split_at(len);
        if kind & 0x80 != 0 {
            later.extend_from_slice(option);
        }
        options = rest;
    }
    later.resize(later.len().next_multiple_of(4), 0);
    later[0] = later[0] & 0xf0 | (later.len() / 4) as u8;
    later
}

fn v6(
    link: &[u8],
    packet: &[u8],
    mtu: usize,
    ident: u32,
    out: &mut Vec<u8>,
    lengths: &mut Vec<u32>,
) -> Result<(), FragmentError> {
    let (len, next_at) = repeated(packet).ok_or(FragmentError::NotIp)?;
    let (repeated, payload) = packet.split_at(len);
    let next = repeated[next_at];
    if next == FRAGMENT {
        return Err(FragmentError::Already);
    }
    if payload.len() > 65_535 {
        return Err(FragmentError::TooLong);
    }
    let headers = len + 8;
    if mtu < headers + 8 {
        return Err(FragmentError::NoRoom(headers + 8));
    }
    let room = (mtu - headers) & !7;
    for (n, part) in payload.chunks(room).enumerate() {
        let done = n * room;
        let start = begin(link, repeated, out);
        let total = (headers - 40 + part.len()) as u16;
        out[start + 4..start + 6].copy_from_slice(&total.to_be_bytes());
        out[start + next_at] = FRAGMENT;
        // The offset stands three bits up: bytes in eights, with the flag in the lowest bit.
        let more = u16::from(done + part.len() < payload.len());
        out.extend([next, 0]);
        out.extend((done as u16 | more).to_be_bytes());
        out.extend(ident.to_be_bytes());
        out.extend_from_slice(part);
        lengths.push((link.len() + headers + part.len()) as u32);
    }
    Ok(())
}

/// How many bytes every fragment repeats, and where the number of what follows them stands.
fn repeated(packet: &[u8]) -> Option<(usize, usize)> {
    packet.get(..40)?;
    let (mut end, mut next_at) = (40, 6);
    // Destination options belong to what is repeated only when a routing header follows.
    let (mut after, mut at) = (end, next_at);
    loop {
        let kind = packet[at];
        if !matches!(kind, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS) {
            return Some((end, next_at));
        }
        let Some(&words) = packet.get(after + 1) else {
            return Some((end, next_at));
        };
        at = after;
        after += (usize::from(words) + 1) * 8;
        if after > packet.len() {
            return Some((end, next_at));
        }
        if kind != DESTINATION_OPTIONS {
            (end, next_at) = (after, at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::craft::{Built, NoFiles, NoRoute, Spec};

    fn built(text: &str) -> Vec<u8> {
        let spec = Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
        let mut built = Built::default();
        spec.build(0, &NoRoute, &mut built);
        built.bytes
    }

    fn cut(frame: &[u8], at: usize, mtu: usize) -> Result<Vec<Vec<u8>>, FragmentError> {
        let (mut out, mut lengths) = (Vec::new(), Vec::new());
        fragments(frame, at, mtu, 7, &mut out, &mut lengths)?;
        let mut rest = out.as_slice();
        let parts = lengths.iter().map(|len| {
            let (part, after) = rest.split_at(*len as usize);
            rest = after;
            part.to_vec()
        });
        let parts = parts.collect();
        assert!(rest.is_empty());
        Ok(parts)
    }

    fn half(bytes: &[u8], at: usize) -> u16 {
        u16::from_be_bytes([bytes[at], bytes[at + 1]])
    }

    const USUAL: &str = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=1 dport=2 / random=100:1";

    #[test]
    fn fragments_put_together_are_the_packet() {
        let whole = built(USUAL);
        let parts = cut(&whole, 0, 60).unwrap();
        // 108 bytes of payload, 40 in each.
        assert_eq!(parts.len(), 3);
        let mut payload = Vec::new();
        for (n, part) in parts.iter().enumerate() {
            assert!(part.len() <= 60);
            assert_eq!(usize::from(half(part, 2)), part.len());
            assert_eq!(checksum::finish(checksum::sum(0, &part[..20])), 0);
            assert_eq!(usize::from(half(part, FLAGS) & OFFSET) * 8, payload.len());
            assert_eq!(half(part, FLAGS) & MORE != 0, n < 2);
            assert_eq!(half(part, 4), half(&whole, 4));
            payload.extend_from_slice(&part[20..]);
        }
        assert_eq!(payload, whole[20..]);
        assert_eq!(cut(&whole, 0, 128).unwrap(), [whole]);
    }

    #[test]
    fn a_link_header_begins_every_fragment() {
        let mut frame = vec![0xee; 14];
        frame.extend(built(USUAL));
        for part in cut(&frame, 14, 60).unwrap() {
            assert!(part.len() <= 74);
            assert_eq!(part[..14], [0xee; 14]);
            assert_eq!(part[14], 0x45);
        }
    }

    #[test]
    fn a_fragment_of_a_fragment_keeps_its_place() {
        let whole = built(&USUAL.replace("ip ", "ip mf frag=80 "));
        let offset = usize::from(half(&whole, FLAGS) & OFFSET) * 8;
        let parts = cut(&whole, 0, 60).unwrap();
        assert_eq!(usize::from(half(&parts[0], FLAGS) & OFFSET) * 8, offset);
        assert_ne!(
            half(&parts[2], FLAGS) & MORE,
            0,
            "more follow after the last"
        );
    }

    #[test]
    fn options_go_along_where_they_shall() {
        // Record route is not copied, loose source routing is (RFC 791 §3.1).
        let mut whole = built(USUAL);
        let options = [7, 7, 4, 0, 0, 0, 0, 0x83, 7, 4, 10, 0, 0, 9, 1, 0];
        whole.splice(20..20, options);
        whole[0] = 0x49;
        let parts = cut(&whole, 0, 84).unwrap();
        assert_eq!(parts[0][20..36], options);
        assert_eq!(
            (parts[1][0], &parts[1][20..28]),
            (0x47, &[0x83, 7, 4, 10, 0, 0, 9, 0][..])
        );
        // An option that claims too much is no reason to stop.
        whole[21] = 200;
        assert_eq!(cut(&whole, 0, 84).unwrap()[1][0], 0x49);
    }

    #[test]
    fn ipv6_fragments_repeat_what_routers_read() {
        // Hop-by-hop, destination options, then UDP: only the first belongs to every fragment.
        let mut packet = vec![0x60, 0, 0, 0, 0, 116, 0, 64];
        packet.extend([0xfd; 32]);
        packet.extend([60, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend((0..100).map(|n| n as u8));
        let parts = cut(&packet, 0, 100).unwrap();
        // 108 bytes behind the hop-by-hop header, 40 in each.
        assert_eq!(parts.len(), 3);
        let mut payload = Vec::new();
        for (n, part) in parts.iter().enumerate() {
            assert_eq!(usize::from(half(part, 4)), part.len() - 40);
            assert_eq!((part[6], part[40], part[48]), (0, FRAGMENT, 60));
            assert_eq!(usize::from(half(part, 50) & !7), payload.len());
            assert_eq!(half(part, 50) & 1 == 1, n < 2);
            assert_eq!(part[52..56], [0, 0, 0, 7]);
            payload.extend_from_slice(&part[56..]);
        }
        assert_eq!(payload, packet[48..]);
        assert_eq!(cut(&parts[0], 0, 80), Err(FragmentError::Already));
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let whole = built(USUAL);
        assert_eq!(cut(&whole, 0, 27), Err(FragmentError::NoRoom(28)));
        assert_eq!(cut(&whole, 0, 28).unwrap().len(), 14);
        let df = built(&USUAL.replace("ip ", "ip flags=DF "));
        assert_eq!(cut(&df, 0, 60), Err(FragmentError::DontFragment));
        assert_eq!(cut(&[0x45; 10], 0, 5), Err(FragmentError::NotIp));
        assert_eq!(cut(&[0x60; 39], 0, 5), Err(FragmentError::NotIp));
        assert_eq!(cut(&whole, 999, 60), Err(FragmentError::NotIp));
        assert_eq!(cut(&[], 0, 60), Err(FragmentError::NotIp));
        let long = [&whole[..20], &vec![0; 65_536]].concat();
        assert_eq!(cut(&long, 0, 60), Err(FragmentError::TooLong));
    }

    #[test]
    fn no_input_is_too_strange() {
        // Every length, and header bytes that are set to everything: no panic, and no endless walk.
        let mut packet = vec![0x60, 0, 0, 0, 0, 116, 0, 64];
        packet.resize(200, 0x3c);
        for len in 0..packet.len() {
            let _ = cut(&packet[..len], 0, 70);
        }
        let mut v4 = built(USUAL);
        for byte in 0..=255 {
            v4[0] = byte;
            let _ = cut(&v4, 0, 60);
            v4[0] = 0x4f;
            v4[20] = byte;
            v4[21] = byte;
            let _ = cut(&v4, 0, 100);
        }
    }
}
