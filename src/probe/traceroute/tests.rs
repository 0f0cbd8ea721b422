//! A route traced with made-up packets and a made-up clock.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    craft::{Built, NoFiles, NoRoute, Spec},
    decode::{Decoded, Decoder},
    frame::{Direction, Frame, KernelChecksum},
    link::LinkType,
    time::MILLISECOND,
};

const PLAN: Plan = Plan {
    first: 1,
    last: 30,
    probes: 2,
    interval: 10 * MILLISECOND,
    timeout: 1000 * MILLISECOND,
    id: 700,
};

fn at(ms: i64) -> Time {
    Time::from_nanos(ms * MILLISECOND)
}

fn built(text: &str) -> Built {
    let spec = Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    built
}

/// Probe `number` as it was sent, or with other words.
fn words(number: u64) -> String {
    let (ttl, port, id) = (1 + number / 2, 33434 + number, 700 + number);
    format!(
        "ip id={id} src=10.0.0.1 dst=10.0.9.9 ttl={ttl} / udp sport=5000 dport={port} / zeros=32"
    )
}

fn sent(trace: &mut Trace, number: u64, time: Time) {
    let built = built(&words(number));
    trace.sent(Question {
        number,
        bytes: built.bytes,
        layers: built.layers,
        link: LinkType::RAW,
        sent: time,
        tries: 1,
    });
}

fn heard(trace: &mut Trace, bytes: &[u8], time: Time) -> bool {
    let frame = Frame {
        number: 1,
        time,
        link: LinkType::RAW,
        interface: 0,
        direction: Direction::In,
        checksum: KernelChecksum::Unknown,
        wire_len: bytes.len() as u32,
        bytes,
    };
    let mut decoded = Decoded::default();
    Decoder::default().frame(&frame, &mut decoded);
    trace.heard(&decoded.packet_of(frame, 0).unwrap(), Stamp::Kernel)
}

/// An ICMP message of this type and code from `router`, which quotes `inside`.
fn error(router: &str, message: &str, inside: &[u8]) -> Vec<u8> {
    let inside = hex::encode(inside);
    built(&format!(
        "ip src={router} dst=10.0.0.1 ttl=60 proto=1 / hex={message}00000000{inside}"
    ))
    .bytes
}

/// All probes that are due at `time` are sent.
fn send_all(trace: &mut Trace, from: i64, to: i64) -> Vec<u64> {
    let mut numbers = Vec::new();
    for ms in from..to {
        while let Some(number) = trace.due(at(ms)) {
            sent(trace, number, at(ms));
            numbers.push(number);
        }
    }
    numbers
}

#[test]
fn several_hops_are_under_way_and_the_destination_ends_it() {
    let mut trace = Trace::new(PLAN, at(0));
    assert_eq!(send_all(&mut trace, 0, 55), [0, 1, 2, 3, 4, 5]);
    let probe = |number| built(&words(number)).bytes;
    // The destination first, then the routers, as it happens.
    assert!(heard(
        &mut trace,
        &error("10.0.9.9", "03030000", &probe(2)),
        at(56)
    ));
    assert_eq!(trace.end(), Some(2));
    assert!(send_all(&mut trace, 56, 200).is_empty());
    for number in [1, 0] {
        assert!(heard(
            &mut trace,
            &error("10.0.0.254", "0b000000", &probe(number)),
            at(60)
        ));
    }
    assert!(trace.complete(0).is_some() && trace.complete(1).is_none());
    assert!(!trace.is_done());
    assert_eq!(trace.due(at(1040)), None);
    assert!(trace.is_done());
    let [first, second] = trace.hops() else {
        panic!("{} hops", trace.hops().len());
    };
    let Probe::Answered(router) = &first.probes[1] else {
        panic!("{first:?}");
    };
    assert_eq!(
        (router.from, router.rtt),
        ([10, 0, 0, 254].into(), 50 * MILLISECOND)
    );
    assert_eq!((router.word, router.ttl), ("time exceeded", Some(60)));
    let quoted = router.quoted.as_ref().unwrap();
    assert_eq!((quoted.bytes, quoted.ttl), (60, Some(1)));
    assert!(quoted.changes.is_empty() && !quoted.bad_checksum);
    assert!(matches!(&second.probes[0], Probe::Answered(end) if end.word == "refused"));
    assert!(matches!(second.probes[1], Probe::Silent));
}

#[test]
fn what_a_translator_changed_is_named_and_the_probe_still_known() {
    let mut trace = Trace::new(PLAN, at(0));
    send_all(&mut trace, 0, 15);
    let changed = words(1)
        .replace("10.0.0.1", "192.0.2.7")
        .replace("sport=5000", "sport=61000");
    let changed = changed.replace("ttl=1", "ttl=1 tos=0x28");
    assert!(heard(
        &mut trace,
        &error("10.0.0.254", "0b000000", &built(&changed).bytes),
        at(20)
    ));
    let Probe::Answered(answered) = &trace.hops()[0].probes[1] else {
        panic!("no answer");
    };
    let changes = &answered.quoted.as_ref().unwrap().changes;
    let names: Vec<_> = changes.iter().map(|change| change.field).collect();
    assert_eq!(
        names,
        ["ip.dsfield.dscp", "ip.src", "udp.srcport", "udp.checksum"]
    );
    assert_eq!(
        (changes[1].sent.as_str(), changes[1].arrived.as_str()),
        ("10.0.0.1", "192.0.2.7")
    );
    assert!(changes[1].is_translation() && changes[2].is_translation());
    assert!(!changes[0].is_translation());
    // Another identification is another program's probe.
    let foreign = changed.replace("id=701", "id=9");
    assert!(!heard(
        &mut trace,
        &error("10.0.0.254", "0b000000", &built(&foreign).bytes),
        at(21)
    ));
}

#[test]
fn labels_of_mpls_are_read() {
    let mut trace = Trace::new(PLAN, at(0));
    send_all(&mut trace, 0, 5);
    let mut quote = built(&words(0)).bytes;
    quote.resize(128, 0);
    // Extension header, then one object of class 1 type 1 with label 24001, class 5, bottom, TTL 1.
    quote.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 0x05, 0xdc, 0x1b, 0x01]);
    let inside = hex::encode(quote);
    let text = format!("ip src=10.0.0.254 dst=10.0.0.1 proto=1 / hex=0b00000000200000{inside}");
    assert!(heard(&mut trace, &built(&text).bytes, at(5)));
    let Probe::Answered(answered) = &trace.hops()[0].probes[0] else {
        panic!("no answer");
    };
    let quoted = answered.quoted.as_ref().unwrap();
    assert_eq!(
        quoted.labels,
        [Label {
            label: 24001,
            class: 5,
            ttl: 1
        }]
    );
}

#[test]
fn a_silent_route_ends_with_the_last_ttl() {
    let mut trace = Trace::new(Plan { last: 3, ..PLAN }, at(0));
    assert_eq!(send_all(&mut trace, 0, 60).len(), 6);
    assert_eq!(trace.until(), at(1000));
    assert!(send_all(&mut trace, 1000, 1060).is_empty());
    assert!(trace.is_done() && trace.end().is_none());
    assert!(
        trace
            .hops()
            .iter()
            .flat_map(|hop| &hop.probes)
            .all(|probe| matches!(probe, Probe::Silent))
    );
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_it_panic(
        answers in proptest::collection::vec(
            (
                proptest::sample::select(vec![(11_u8, 0_u8), (3, 3), (3, 13), (5, 1), (8, 0), (255, 255)]),
                0_u64..12,
                proptest::collection::vec(proptest::num::u8::ANY, 0..40),
                proptest::collection::vec((0_usize..120, proptest::num::u8::ANY), 0..5),
                0_usize..140,
            ),
            1..20,
        )
    ) {
        let mut trace = Trace::new(PLAN, at(0));
        for number in 0..12 {
            assert_eq!(trace.due(at(number * 10)), Some(number as u64));
            sent(&mut trace, number as u64, at(number * 10));
        }
        for ((kind, code), number, behind, flips, len) in answers {
            // A quote of any length, bytes behind it that may be extensions, some of all changed.
            let error = "ip src=10.0.1.1 dst=10.0.0.1 ttl=60 / icmp";
            let words = format!("{error} type={kind} code={code} / {}", words(number));
            let mut bytes = match Spec::parse(&words, &NoFiles) {
                Ok(_) => built(&words).bytes,
                Err(error) => return Err(proptest::test_runner::TestCaseError::fail(error.to_string())),
            };
            bytes.extend(behind);
            bytes.truncate(len.max(1));
            for (place, value) in flips {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = value;
                }
            }
            heard(&mut trace, &bytes, at(200));
        }
        proptest::prop_assert!(trace.hops().iter().all(|hop| hop.probes.len() == 2));
        while let Some(number) = trace.due(Time::MAX) {
            sent(&mut trace, number, Time::MAX);
        }
        proptest::prop_assert!(trace.is_done());
    }
}
