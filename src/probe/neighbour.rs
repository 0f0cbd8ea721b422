//! Asks a neighbour for its hardware address: ARP (RFC 826) for IPv4, neighbour discovery (RFC 4861) for IPv6.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    checksum,
    sys::{clock::Clock, port::Port, route::Device},
    time::MILLISECOND,
};

/// Questions, and how long an answer to each is waited for, in nanoseconds.
const TRIES: usize = 3;
const PATIENCE: i64 = 300 * MILLISECOND;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// The option with the hardware address of who is asked for.
const TARGET_LINK_ADDRESS: u8 = 2;

/// The hardware address of `hop` on the link of `device`; `None` when nobody answers. Waits for about a second at most.
///
/// # Errors
/// When there is no packet socket to ask by.
pub(super) fn ask(device: &Device, source: IpAddr, hop: IpAddr) -> io::Result<Option<[u8; 6]>> {
    let (Some(mac), Some(question)) = (device.mac, question(device.mac, source, hop)) else {
        return Ok(None);
    };
    let port = Port::open(device.index)?;
    let clock = Clock::start();
    let mut frame = [0; 2048];
    for _ in 0..TRIES {
        port.send(&question)?;
        let until = clock.now().nanos() + PATIENCE;
        loop {
            // On a busy link there is always another frame: the time is looked at after each.
            let left = (until - clock.now().nanos()) / MILLISECOND;
            if left <= 0 {
                break;
            }
            if let Some((len, _)) = port.receive(&mut frame)? {
                let found = answer(frame.get(..len).unwrap_or_default(), mac, hop);
                if found.is_some() {
                    return Ok(found);
                }
                continue;
            }
            let mut heard = [PollFd::new(port.as_fd(), PollFlags::POLLIN)];
            poll(
                &mut heard,
                PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO),
            )?;
        }
    }
    Ok(None)
}

/// The frame that asks; `None` for addresses of different families.
fn question(mac: Option<[u8; 6]>, source: IpAddr, hop: IpAddr) -> Option<Vec<u8>> {
    match (source, hop) {
        (IpAddr::V4(source), IpAddr::V4(hop)) => Some(arp(mac?, source, hop)),
        (IpAddr::V6(source), IpAddr::V6(hop)) => Some(solicitation(mac?, source, hop)),
        _ => None,
    }
}

/// Who has `hop`? Tell `source`.
fn arp(mac: [u8; 6], source: Ipv4Addr, hop: Ipv4Addr) -> Vec<u8> {
    // To all; hardware type Ethernet, protocol IPv4, their lengths, request.
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(source.octets());
    frame.extend([0; 6]);
    frame.extend(hop.octets());
    frame
}

/// A neighbour solicitation to the group of all whose address ends like that of `hop` (RFC 4861 §4.3).
fn solicitation(mac: [u8; 6], source: Ipv6Addr, hop: Ipv6Addr) -> Vec<u8> {
    let [.., x, y, z] = hop.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z]);
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(hop.octets());
    message.extend([1, 1]);
    message.extend(mac);
    let pseudo = checksum::pseudo(source.into(), group.into(), 58, message.len() as u32);
    let sum = checksum::finish(checksum::sum(pseudo, &message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0xff, x, y, z];
    frame.extend(mac);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((message.len() as u16).to_be_bytes());
    // Hop limit 255 shows that no router passed it on (RFC 4861 §7.1.1).
    frame.extend([58, 255]);
    frame.extend(source.octets());
    frame.extend(group.octets());
    frame.extend(message);
    frame
}

/// The hardware address in an answer to the host `own` about `hop`; `None` for any other frame.
fn answer(frame: &[u8], own: [u8; 6], hop: IpAddr) -> Option<[u8; 6]> {
    let to_us = frame.get(..6)? == own;
    let body = frame.get(14..)?;
    match (frame.get(12..14)?, hop) {
        ([0x08, 0x06], IpAddr::V4(hop)) => {
            let reply = body.get(..8)? == [0, 1, 0x08, 0, 6, 4, 0, 2];
            (to_us && reply && body.get(14..18)? == hop.octets()).then_some(())?;
            body.get(8..14)?.try_into().ok()
        }
        ([0x86, 0xdd], IpAddr::V6(hop)) => {
            let (header, message) = body.split_at_checked(40)?;
            let genuine = header[6..8] == [58, 255] && *message.first()? == ADVERTISEMENT;
            (to_us && genuine && message.get(8..24)? == hop.octets()).then_some(())?;
            let mut options = message.get(24..)?;
            while let [kind, words, ..] = options {
                let option = options.get(..usize::from(*words) * 8)?;
                if *kind == TARGET_LINK_ADDRESS {
                    return option.get(2..8)?.try_into().ok();
                }
                // An option of length 0 would go on for ever (RFC 4861 §4.6).
                options = options.get(option.len().max(8)..)?;
            }
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];

    #[test]
    fn an_arp_reply_to_us_is_an_answer_and_nothing_else() {
        let hop: Ipv4Addr = [10, 0, 0, 2].into();
        let question = arp(OWN, [10, 0, 0, 1].into(), hop);
        assert_eq!(question.len(), 42);
        let mut reply = arp(THEIRS, hop, [10, 0, 0, 1].into());
        reply[..6].copy_from_slice(&OWN);
        reply[21] = 2;
        assert_eq!(answer(&reply, OWN, hop.into()), Some(THEIRS));
        assert_eq!(answer(&reply, OWN, [10, 0, 0, 3].into()), None);
        assert_eq!(answer(&reply, THEIRS, hop.into()), None);
        assert_eq!(answer(&question, OWN, hop.into()), None);
        for len in 0..reply.len() {
            let _ = answer(&reply[..len], OWN, hop.into());
        }
    }

    #[test]
    fn a_solicitation_has_a_right_checksum_and_its_advertisement_is_read() {
        let hop: Ipv6Addr = "fd00::2".parse().unwrap();
        let source: Ipv6Addr = "fd00::1".parse().unwrap();
        let mut frame = solicitation(OWN, source, hop);
        let group: Ipv6Addr = "ff02::1:ff00:2".parse().unwrap();
        let pseudo = checksum::pseudo(source.into(), group.into(), 58, 32);
        assert_eq!(checksum::finish(checksum::sum(pseudo, &frame[54..])), 0);
        // The same frame as an advertisement to us: type, link address option of the target.
        frame[..6].copy_from_slice(&OWN);
        frame[54] = ADVERTISEMENT;
        frame[78] = TARGET_LINK_ADDRESS;
        frame[80..86].copy_from_slice(&THEIRS);
        assert_eq!(answer(&frame, OWN, hop.into()), Some(THEIRS));
        // Passed on by a router; an option without a length.
        let mut passed = frame.clone();
        passed[21] = 254;
        assert_eq!(answer(&passed, OWN, hop.into()), None);
        frame[78..80].copy_from_slice(&[9, 0]);
        assert_eq!(answer(&frame, OWN, hop.into()), None);
    }
}
