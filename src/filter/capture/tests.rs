//! Which packets compiled filters choose, how long their programs are, and what has no meaning.

#![allow(clippy::unwrap_used)]

use super::{CaptureFilter, Compiled, Place, Target};
use crate::{
    bpf::{Input, ancillary},
    filter::NoNames,
    link::LinkType,
};

fn compile(expression: &str, link: LinkType, place: Place) -> Result<Compiled, String> {
    let target = Target {
        link,
        place,
        snaplen: 262_144,
        netmask: None,
    };
    let filter = CaptureFilter::parse(expression, &NoNames).unwrap();
    filter.compile(target).map_err(|error| error.message)
}

fn length(expression: &str) -> usize {
    let compiled = compile(expression, LinkType::ETHERNET, Place::Frame).unwrap();
    assert_eq!(compiled.notes.len(), compiled.program.instructions().len());
    compiled.notes.len()
}

fn takes(expression: &str, bytes: &[u8]) -> bool {
    let input = Input {
        bytes,
        wire_len: bytes.len() as u32,
        packet_type: Some(4),
    };
    let compiled = compile(expression, LinkType::ETHERNET, Place::Frame).unwrap();
    compiled.program.run(&input) != 0
}

/// TCP from port 1000 to port 80 in IPv4, behind these bytes of an Ethernet type field.
fn tcp(types: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(types);
    let mut ip = [0; 40];
    (ip[0], ip[9], ip[16], ip[19]) = (0x45, 6, 10, 1);
    ip[20..24].copy_from_slice(&[3, 232, 0, 80]);
    frame.extend(ip);
    frame
}

#[test]
fn ports_are_those_of_first_fragments() {
    let mut frame = tcp(&[8, 0]);
    assert!(takes("tcp port 80 and dst host 10.0.0.1", &frame));
    assert!(!takes("src port 80", &frame));
    assert!(takes("portrange 999-1001", &frame));
    frame[21] = 1;
    assert!(!takes("tcp port 80", &frame));
    assert!(takes("tcp", &frame));
}

#[test]
fn a_packet_that_ends_before_a_load_is_refused_even_by_not() {
    let frame = tcp(&[8, 0]);
    assert!(takes("not port 22", &frame));
    assert!(!takes("not port 22", &frame[..35]));
    assert!(takes("ip", &frame[..14]));
    assert!(!takes("ip", &frame[..13]));
}

#[test]
fn a_tag_moves_all_that_follows_also_behind_or() {
    let plain = tcp(&[8, 0]);
    let tagged = tcp(&[0x81, 0, 0, 5, 8, 0]);
    assert!(takes("vlan 5 and tcp port 80", &tagged));
    assert!(!takes("vlan 6 and tcp port 80", &tagged));
    assert!(!takes("tcp port 80", &tagged));
    assert!(takes("ip or vlan", &plain));
    assert!(!takes("vlan or ip", &plain));
    let twice = tcp(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]);
    assert!(takes("vlan 5 and vlan 6 and ip", &twice));
    let labelled = tcp(&[0x88, 0x47, 0, 6, 0x41, 64]);
    assert!(takes("mpls 100 and tcp port 80", &labelled));
}

#[test]
fn programs_are_as_short_as_a_person_would_write_them() {
    assert_eq!(length("ip"), 4);
    assert_eq!(length("tcp port 80"), 20);
    assert_eq!(length("host 10.0.0.1"), 14);
    assert_eq!(length("tcp[13] & 2 != 0"), 11);
    assert_eq!(length("port 53 or port 80 or port 443"), 33);
    assert_eq!(length("(tcp or udp) and (port 53 or port 80)"), 29);
    assert_eq!(length("host 10.0.0.1 or host 10.0.0.2"), 20);
    assert_eq!(length("tcp port 80 and not port 80"), 1);
    // That the EtherType is there is still asked.
    assert_eq!(length("ip or not ip"), 2);
    assert_eq!(length(""), 1);
}

#[test]
fn instructions_say_what_they_are_about() {
    let compiled = compile("arp or tcp port 80", LinkType::ETHERNET, Place::Frame).unwrap();
    let has = |what| {
        let note = compiled.notes.iter().find(|note| note.what == what);
        note.map(|note| note.span.clone())
    };
    assert_eq!(has("EtherType"), Some(0..3));
    assert_eq!(has("source port"), Some(7..18));
    assert_eq!(has("fragment offset"), Some(7..18));
}

#[test]
fn long_filters_jump_far_or_are_refused_for_their_length() {
    let ports = |count: u32| {
        let ports: Vec<String> = (1..=count)
            .map(|n| format!("src host 10.0.{n}.1"))
            .collect();
        format!("ip and ({})", ports.join(" or "))
    };
    assert!(takes(&ports(200), &{
        let mut frame = tcp(&[8, 0]);
        frame[26..30].copy_from_slice(&[10, 0, 200, 1]);
        frame
    }));
    let hosts: Vec<String> = (1..248)
        .map(|n| format!("udp[{n}:2] = {n} or ether host 02:00:00:00:00:{n:02x}"))
        .collect();
    let error = compile(&hosts.join(" or "), LinkType::ETHERNET, Place::Frame)
        .map(|compiled| compiled.notes.len())
        .unwrap_err();
    assert!(error.contains("4096"), "{error}");
}

#[test]
fn the_kernel_is_asked_for_what_it_took_off() {
    let loads = |expression, link, place| {
        let compiled = compile(expression, link, place).unwrap();
        let instructions = compiled.program.instructions().iter();
        let loads: Vec<u32> = instructions.map(|i| i.k).collect();
        loads
    };
    let vlan = loads("vlan 5 and ip", LinkType::ETHERNET, Place::Kernel);
    assert!(vlan.contains(&ancillary::VLAN_TAG) && vlan.contains(&ancillary::VLAN_TAG_PRESENT));
    let cooked = loads("tcp port 80", LinkType::LINUX_SLL2, Place::KernelCooked);
    assert!(cooked.contains(&ancillary::PROTOCOL) && cooked.contains(&9) && !cooked.contains(&29));
    assert!(compile("ether[30] = 1", LinkType::LINUX_SLL2, Place::KernelCooked).is_ok());
    assert!(compile("ether[13] = 1", LinkType::LINUX_SLL2, Place::KernelCooked).is_err());
}

#[test]
fn what_a_link_type_does_not_have_is_refused() {
    for (expression, link) in [
        ("vlan", LinkType::RAW),
        ("ether host 2:0:0:0:0:1", LinkType::RAW),
        ("llc", LinkType::NULL),
        ("mpls", LinkType::LINUX_SLL),
        ("ifindex 1", LinkType::ETHERNET),
        ("ip broadcast", LinkType::ETHERNET),
    ] {
        assert!(
            compile(expression, link, Place::Frame).is_err(),
            "{expression}"
        );
    }
}

#[test]
fn icmp_errors_are_taken_beside_what_is_wanted() {
    let mut error = tcp(&[8, 0]);
    (error[23], error[34]) = (1, 3);
    let target = Target {
        link: LinkType::ETHERNET,
        place: Place::Frame,
        snaplen: 1,
        netmask: None,
    };
    let filter = CaptureFilter::parse("vlan 5 and port 7", &NoNames).unwrap();
    let taken = |filter: &CaptureFilter, bytes: &[u8]| {
        let program = filter.compile(target).unwrap().program;
        let (wire_len, packet_type) = (bytes.len() as u32, None);
        program.run(&Input {
            bytes,
            wire_len,
            packet_type,
        }) == 1
    };
    assert!(!taken(&filter, &error));
    let widened = filter.with_icmp_errors();
    assert!(taken(&widened, &error));
    error[34] = 8;
    assert!(!taken(&widened, &error));
}
