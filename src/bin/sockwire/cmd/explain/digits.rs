//! Bytes from hexadecimal digits as people have them: plain, or as hexdump, xxd and tcpdump print them; and what they begin with.

use sockwire::{checksum, decode::Registry, file::MAX_PACKET, link::LinkType, protocol::Claim};

/// Bytes on a line of a dump.
const LINE: usize = 16;
/// Digits of the offsets that hexdump prints before words in the machine's byte order.
const HEXDUMP: usize = 7;
/// An Ethernet header.
const ETHERNET: usize = 14;

/// What the digits say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    /// What a reader might not expect.
    pub(super) notes: Vec<&'static str>,
}

/// Reads the digits of one packet.
pub(super) fn parse(text: &str) -> Result<Found, String> {
    let found = match dump(text) {
        Some(found) => found,
        None => plain(text)?,
    };
    match found.bytes.is_empty() {
        true => Err("there are no hexadecimal digits".to_owned()),
        false => Ok(found),
    }
}

/// Digits alone, with anything usual between them.
fn plain(text: &str) -> Result<Found, String> {
    let mut digits = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // The x of 0x45 and \x45, and the zero before it, are no digits.
        let line = line.replace("0x", "  ").replace("\\x", "  ");
        for (column, c) in line.chars().enumerate() {
            match c.to_digit(16) {
                Some(digit) => digits.push(digit as u8),
                None if c.is_whitespace() || matches!(c, ':' | '-' | ',') => {}
                None => {
                    return Err(format!(
                        "line {}, column {}: {:?} is no hexadecimal digit",
                        number + 1,
                        column + 1,
                        sockwire::text::plain(c)
                    ));
                }
            }
        }
    }
    if digits.len() % 2 == 1 {
        return Err(format!(
            "{} digits: a byte has two, so one is missing",
            digits.len()
        ));
    }
    Ok(Found {
        bytes: digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
        notes: Vec::new(),
    })
}

/// A dump with a column of offsets; `None` where the text is none.
fn dump(text: &str) -> Option<Found> {
    let mut found = Found::default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    // tcpdump -x says before the bytes what the packet is.
    let marked = lines.iter().any(|line| marked_offset(line).is_some());
    let mut repeats = false;
    for line in lines {
        // hexdump writes lines that repeat the one before only once.
        if line.trim() == "*" && !found.bytes.is_empty() {
            repeats = true;
            continue;
        }
        let (offset, rest) = match marked_offset(line) {
            Some(found) => found,
            None if marked => continue,
            None => bare_offset(line, found.bytes.is_empty())?,
        };
        if offset == 0 && !found.bytes.is_empty() {
            found
                .notes
                .push("several packets: the first of them is explained");
            break;
        }
        if std::mem::take(&mut repeats) && offset <= MAX_PACKET as usize {
            let last = found.bytes.len().saturating_sub(LINE);
            let missing = offset.saturating_sub(found.bytes.len());
            let line: Vec<u8> = found.bytes[last..].to_vec();
            found.bytes.extend(line.iter().cycle().take(missing));
        }
        if rest.trim().is_empty() && offset <= found.bytes.len() {
            // hexdump ends with the length: an odd last byte was padded.
            found.bytes.truncate(offset);
            break;
        }
        if offset != found.bytes.len() {
            return None;
        }
        let first = line.split_whitespace().next().unwrap_or("");
        let swapped = !marked && first.len() == HEXDUMP;
        bytes_of_line(rest, swapped, &mut found.bytes);
        if swapped && found.notes.is_empty() {
            let note = "hexdump prints words in this machine's byte order: turned around";
            found.notes.push(note);
        }
    }
    (!found.bytes.is_empty()).then_some(found)
}

/// An offset that a colon ends (`0x0010:`, `00000010:`), and what follows.
fn marked_offset(line: &str) -> Option<(usize, &str)> {
    let (offset, rest) = line.trim_start().split_once(':')?;
    let digits = offset.strip_prefix("0x").unwrap_or(offset);
    let is_offset = digits.len() >= 4 && rest.starts_with([' ', '\t']);
    let offset = usize::from_str_radix(digits, 16).ok()?;
    is_offset.then_some((offset, rest))
}

/// An offset with nothing to mark it but more digits than the bytes beside it have.
fn bare_offset(line: &str, is_first: bool) -> Option<(usize, &str)> {
    let line = line.trim_start();
    let (digits, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let beside = rest.split_whitespace().next().unwrap_or("").len();
    if digits.len() < 4 || beside >= digits.len() || is_first && beside == 0 {
        return None;
    }
    Some((usize::from_str_radix(digits, 16).ok()?, rest))
}

/// The bytes of one line: up to the text beside them.
fn bytes_of_line(rest: &str, swapped: bool, bytes: &mut Vec<u8>) {
    let rest = rest.split('|').next().unwrap_or("").trim_start();
    let first = bytes.len();
    // How many blanks more than one stand before a group: one more in the middle of a line, at least as many before text.
    let mut blanks = 0;
    for group in rest.split([' ', '\t']) {
        if group.is_empty() {
            blanks += 1;
            continue;
        }
        let here = bytes.len() - first;
        let is_middle = blanks == 1 && here == LINE / 2;
        let is_text = blanks > 0 && here > 0 && !is_middle;
        let is_digits = group.len() % 2 == 0 && group.bytes().all(|b| b.is_ascii_hexdigit());
        if here >= LINE || is_text || !is_digits {
            return;
        }
        blanks = 0;
        let start = bytes.len();
        let pairs = group.as_bytes().chunks_exact(2);
        bytes.extend(pairs.filter_map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
            Some(digit(pair[0])? << 4 | digit(pair[1])?)
        }));
        if swapped {
            bytes[start..].reverse();
        }
    }
}

/// The link type that the bytes most likely have, and why.
pub(super) fn guess(bytes: &[u8]) -> (LinkType, &'static str) {
    let u16_at = |at: usize| {
        let bytes = bytes.get(at..at + 2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let length = |at, more: usize| u16_at(at).is_some_and(|n| usize::from(n) + more <= bytes.len());
    let header = bytes
        .first()
        .map_or(0, |first| usize::from(first & 0xf) * 4);
    let is_sound = header >= 20
        && bytes
            .get(..header)
            .is_some_and(|header| checksum::fold(checksum::sum(0, header)) == 0xffff);
    let claimed = u16_at(ETHERNET - 2)
        .is_some_and(|kind| Registry::default().find(Claim::EtherType(kind)).is_some());
    match bytes.first().map(|first| first >> 4) {
        Some(4) if is_sound => (LinkType::RAW, "an IPv4 header with a right checksum"),
        Some(4) if header >= 20 && !claimed && (length(2, 0) || bytes.len() < header) => {
            (LinkType::RAW, "it begins as an IPv4 header does")
        }
        Some(6) if !claimed && (length(4, 40) || bytes.len() < 40) => {
            (LinkType::RAW, "it begins as an IPv6 header does")
        }
        Some(4) if header >= 20 && !claimed => (
            LinkType::RAW,
            "it begins as an IPv4 header does, and was cut",
        ),
        _ => (LinkType::ETHERNET, "it begins with no IP header"),
    }
}

/// Bytes of the packet on the wire: by the length in its IP header where that comes first or after an Ethernet header, since
/// people have a header without its payload at hand. Not less than there are.
pub(super) fn wire_length(link: LinkType, bytes: &[u8]) -> usize {
    let start = match link {
        LinkType::ETHERNET => ETHERNET,
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => 0,
        _ => return bytes.len(),
    };
    let kind = match start {
        0 => None,
        start => bytes.get(start - 2..start),
    };
    let packet = bytes.get(start..).unwrap_or(&[]);
    let length = |at: usize, more: usize| match packet.get(at..at + 2) {
        Some(&[high, low]) => start + more + usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    };
    let told = match (packet.first().map(|first| first >> 4), kind) {
        (Some(4), None | Some([0x08, 0x00])) => length(2, 0),
        (Some(6), None | Some([0x86, 0xdd])) => length(4, 40),
        _ => 0,
    };
    told.max(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 20] = [
        0x45, 0, 0, 0x14, 0, 1, 0, 0, 0x40, 1, 0x66, 0xe6, 10, 0, 0, 1, 10, 0, 0, 2,
    ];

    #[test]
    fn digits_come_in_many_forms() {
        for text in [
            "4500001400010000400166e60a0000010a000002",
            "45 00 00 14 00 01 00 00 40 01 66 e6 0a 00 00 01\n0a 00 00 02\n",
            "45:00:00:14:00:01:00:00:40:01:66:e6:0a:00:00:01:0a:00:00:02",
            "0x45, 0x00, 0x00, 0x14, 0x0001, 0x0000, 0x4001, 0x66e6, 0a000001 0A000002",
            "\\x45\\x00\\x00\\x14\\x00\\x01\\x00\\x00\\x40\\x01\\x66\\xe6\\x0a\\x00\\x00\\x01\\x0a\\x00\\x00\\x02",
            // xxd
            "00000000: 4500 0014 0001 0000 4001 66e6 0a00 0001  E.......@.f.....\n00000010: 0a00 0002                                ....\n",
            // hexdump -C
            "00000000  45 00 00 14 00 01 00 00  40 01 66 e6 0a 00 00 01  |E.......@.f.....|\n00000010  0a 00 00 02                                       |....|\n00000014\n",
            // hexdump
            "0000000 0045 1400 0100 0000 0140 e666 000a 0100\n0000010 000a 0200\n0000014\n",
            // tcpdump -nX
            "12:00:00.000000 IP 10.0.0.1 > 10.0.0.2: ICMP\n\t0x0000:  4500 0014 0001 0000 4001 66e6 0a00 0001  E.......@.f.....\n\t0x0010:  0a00 0002                                beef\n",
            // Wireshark
            "0000  45 00 00 14 00 01 00 00  40 01 66 e6 0a 00 00 01   E.......@.f.....\n0010  0a 00 00 02                                        be\n",
        ] {
            let found = parse(text);
            assert_eq!(found.map(|found| found.bytes), Ok(BYTES.to_vec()), "{text}");
        }
    }

    #[test]
    fn lines_that_hexdump_leaves_out_are_put_back() {
        let text = "00000000  45 00 00 00 00 00 00 00  00 00 00 00 00 00 00 01  |E...............|\n*\n00000032\n";
        let found = parse(text).unwrap_or_default();
        assert_eq!(found.bytes.len(), 0x32);
        assert_eq!(
            (found.bytes[0x20], found.bytes[0x2f], found.bytes[0x31]),
            (0x45, 1, 0)
        );
        assert!(parse("00000000  45\n*\nffffffffffff\n").is_err());
    }

    #[test]
    fn of_several_packets_the_first_is_read() {
        let text = "\t0x0000:  4500\nx\n\t0x0000:  6000\n";
        let found = parse(text).unwrap_or_default();
        assert_eq!((found.bytes, found.notes.len()), (vec![0x45, 0], 1));
    }

    #[test]
    fn an_address_that_begins_with_zeros_is_no_offset() {
        let found = parse("0000 5e00 0101 0000 5e00 0102 0800").unwrap_or_default();
        assert_eq!(found.bytes.len(), 14);
        let found = parse("000000000000").unwrap_or_default();
        assert_eq!(found.bytes, [0; 6]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(
            parse("45\n0g"),
            Err("line 2, column 2: 'g' is no hexadecimal digit".to_owned())
        );
        assert!(parse("450").is_err_and(|fault| fault.contains("3 digits")));
        assert!(parse(" \n").is_err());
        assert!(parse("\u{1b}").is_err_and(|fault| !fault.contains('\u{1b}')));
    }

    #[test]
    fn link_types_are_guessed_from_the_first_bytes() {
        let link = |bytes: &[u8]| guess(bytes).0;
        assert_eq!(link(&BYTES), LinkType::RAW);
        assert_eq!(link(&BYTES[..5]), LinkType::RAW);
        let mut v6 = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
        v6.resize(40, 0);
        assert_eq!(link(&v6), LinkType::RAW);
        let mut frame = vec![0x45; 12];
        frame.extend([8, 0]);
        frame.extend(BYTES);
        assert_eq!(link(&frame), LinkType::ETHERNET);
        assert_eq!(link(&[2, 0, 0, 0, 0, 2]), LinkType::ETHERNET);
        assert_eq!(link(&[]), LinkType::ETHERNET);
    }

    #[test]
    fn a_header_alone_is_a_packet_that_was_cut() {
        let mut frame = vec![2; 12];
        frame.extend([8, 0]);
        frame.extend(&BYTES[..8]);
        assert_eq!(wire_length(LinkType::ETHERNET, &frame), 14 + 20);
        assert_eq!(wire_length(LinkType::RAW, &BYTES[..8]), 20);
        assert_eq!(wire_length(LinkType::RAW, &BYTES), 20);
        assert_eq!(wire_length(LinkType::RAW, &[0x60, 0, 0, 0, 0, 8]), 48);
        assert_eq!(wire_length(LinkType::RAW, &[0x60, 0, 0, 0]), 4);
        assert_eq!(wire_length(LinkType::NULL, &BYTES), 20);
        assert_eq!(wire_length(LinkType::RAW, &[]), 0);
    }
}
