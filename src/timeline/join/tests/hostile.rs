//! Logs that nobody made: anything may stand in them, and nothing may make the join fail or take long.

use std::time::Duration;

use proptest::prelude::*;

use super::{enter, join, part};
use crate::{
    call::{Address, How},
    event::{
        Arg, Arrival, Deed, Enter, Entry, Event, Packet, PacketId, Return, Socket, Transport, Way,
    },
    frame::KernelChecksum,
    time::Time,
    timeline::{
        join::Join,
        known::Known,
        seen::{Seen, Segment, What},
        testing::{CLIENT, Log, SERVER, Tcp, at, datagram, segment, unreachable},
    },
};

const ENDS: [&str; 4] = ["10.0.0.1:7", "10.0.0.2:9", "0.0.0.0:9", "10.0.0.2:0"];
const NUMBERS: [u32; 6] = [0, 1, 1 << 30, 1 << 31, u32::MAX - 1, u32::MAX];

fn end() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&ENDS[..])
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![prop::sample::select(&NUMBERS[..]), 0u32..40]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop::sample::select(vec![
        Deed::Open,
        Deed::Listen,
        Deed::Accept,
        Deed::Connect,
        Deed::Send,
        Deed::Receive,
        Deed::Peek,
        Deed::Shutdown(How::Write),
        Deed::Close,
    ])
}

fn way() -> impl Strategy<Value = Way> {
    prop::sample::select(vec![Way::Out, Way::In, Way::Loop, Way::Wire])
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(0u8..2, 0..12);
    let tcp = (
        end(),
        end(),
        "[SAFRP]{0,3}",
        number(),
        number(),
        data.clone(),
    )
        .prop_map(|(from, to, flags, seq, ack, data)| {
            segment(at(from), at(to), Tcp::new(&flags, seq, ack, &data))
        });
    let udp = (end(), end(), data).prop_map(|(from, to, data)| datagram(at(from), at(to), &data));
    let all = prop_oneof![4 => tcp, 2 => udp];
    (all, 0..8usize).prop_map(|(bytes, error)| {
        if error == 0 {
            unreachable(at(ENDS[1]), at(ENDS[0]), &bytes)
        } else {
            bytes
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    let small = 0u32..6;
    let ip = || prop::option::of(end().prop_map(|end| Address::Ip(at(end))));
    let transport = prop::sample::select(vec![Transport::Tcp, Transport::Udp, Transport::Raw]);
    let before = prop::option::of([0u64..3, u64::MAX - 1..u64::MAX]);
    let socket = (small.clone(), 1u32..3, transport, ip(), ip(), before).prop_map(
        |(id, net, transport, local, peer, before)| {
            Event::Socket(Socket {
                id,
                net,
                family: "AF_INET".into(),
                kind: "SOCK_STREAM".into(),
                transport,
                local,
                peer,
                before,
                queued: before.map(|[small, large]| [large, small]),
            })
        },
    );
    let call = (
        0u64..8,
        deed(),
        small.clone(),
        0usize..9,
        ip(),
        any::<bool>(),
    )
        .prop_map(|(call, deed, socket, len, address, waited)| {
            let mut enter = enter(CLIENT, deed, socket, part(len, &[1; 8][..len.min(8)]));
            enter.call = call;
            enter.parts[0].address.clone_from(&address);
            enter.args.push(Arg::Address(address));
            enter.waited = waited;
            Event::Enter(enter)
        });
    let moved = prop_oneof![0u64..9, Just(u64::MAX)];
    let returned = (0u64..8, prop_oneof![0i64..9, -200i64..0], moved, small).prop_map(
        |(call, result, moved, opened)| {
            Event::Return(Return {
                call,
                result: if result < 0 {
                    Err(-result as i32)
                } else {
                    Ok(result)
                },
                moved,
                opened: Some(opened),
                out: Vec::new(),
                parts: part(moved.min(9) as usize, &[1; 4]),
            })
        },
    );
    let packet = (0u64..20, 0u32..2, way(), 0u32..2000, bytes(), any::<bool>()).prop_map(
        |(number, interface, way, more, bytes, lost)| {
            Event::Packet(Packet {
                number,
                interface,
                way,
                wire_len: bytes.len() as u32 + more,
                checksum: KernelChecksum::Unknown,
                bytes,
                lost: lost.then(|| "lost".into()),
            })
        },
    );
    let arrival = (0u64..20, any::<bool>())
        .prop_map(|(packet, again)| Event::Arrival(Arrival { packet, again }));
    prop_oneof![3 => socket, 5 => call, 5 => returned, 8 => packet, 2 => arrival]
}

proptest! {
    #[test]
    fn no_log_makes_it_fail(events in prop::collection::vec(event(), 0..120)) {
        let mut log = Log::local();
        for event in events {
            log.tell(event);
        }
        log.interface(1, None, "wire");
        let entries = log.entries.clone();
        join(&entries);
    }
}

/// Joins entries that come with what was read of their packets, so that only the join takes time.
fn took(entries: impl Iterator<Item = (Event, Option<Seen>)>) -> (Join, Duration) {
    let (mut known, mut join) = (Known::default(), Join::default());
    let start = std::time::Instant::now();
    for entry in Log::local().entries {
        known.push(&entry);
    }
    for (event, seen) in entries {
        let entry = Entry {
            at: Time::default(),
            event,
        };
        known.push(&entry);
        join.push(&entry, seen.as_ref(), &known);
    }
    (join, start.elapsed())
}

fn packet(number: PacketId) -> Event {
    Event::Packet(Packet {
        number,
        interface: 0,
        way: Way::Loop,
        wire_len: 0,
        checksum: KernelChecksum::Unknown,
        bytes: Vec::new(),
        lost: None,
    })
}

fn seen(from: &str, to: &str, segment: Segment) -> Option<Seen> {
    Some(Seen {
        transport: Transport::Tcp,
        source: at(from),
        destination: at(to),
        what: What::Segment(segment),
        data: Vec::new(),
    })
}

fn told(id: u32, local: &str, peer: &str) -> Event {
    Event::Socket(Socket {
        id,
        net: 1,
        family: "AF_INET".into(),
        kind: "SOCK_STREAM".into(),
        transport: Transport::Tcp,
        local: Some(Address::Ip(at(local))),
        peer: Some(Address::Ip(at(peer))),
        before: None,
        queued: None,
    })
}

fn returned(call: u64, moved: u64) -> Event {
    Event::Return(Return {
        call,
        result: Ok(moved as i64),
        moved,
        opened: None,
        out: Vec::new(),
        parts: part(moved as usize, b""),
    })
}

fn calls(by: crate::call::Caller, deed: Deed, socket: u32, call: u64, len: usize) -> Event {
    let mut enter = enter(by, deed, socket, part(len, b""));
    enter.call = call;
    Event::Enter(enter)
}

const A: &str = "10.0.0.1:40000";
const B: &str = "10.0.0.2:5000";

/// One connection: every call sends a byte, every segment has ten of them, and they are read three at a time.
#[test]
fn many_calls_of_one_connection_take_no_time() {
    let rounds = 4_000u64;
    let sockets = [(told(1, A, B), None), (told(2, B, A), None)];
    let all = (0..rounds).flat_map(|round| {
        let mut entries = Vec::new();
        for n in 1..=10 {
            let call = round * 20 + n;
            entries.push((calls(CLIENT, Deed::Send, 1, call, 1), None));
            entries.push((returned(call, 1), None));
        }
        let data = Segment {
            seq: round as u32 * 10,
            ack: Some(0),
            len: 10,
            ..Segment::default()
        };
        entries.push((packet(round * 2 + 1), seen(A, B, data)));
        let ack = Segment {
            ack: Some(round as u32 * 10 + 10),
            ..Segment::default()
        };
        entries.push((packet(round * 2 + 2), seen(B, A, ack)));
        for (n, len) in [(11, 3), (12, 3), (13, 4)] {
            let call = round * 20 + n;
            entries.push((calls(SERVER, Deed::Receive, 2, call, 0), None));
            entries.push((returned(call, len), None));
        }
        entries
    });
    let (join, took) = took(sockets.into_iter().chain(all));
    let last = join.packet(rounds * 2 - 1).unwrap();
    assert_eq!((last.causes.len(), last.takers.len()), (10, 3));
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// Repetitions of large segments that many small calls gave, calls that never return, and readers that never come.
#[test]
fn no_log_makes_more_work_than_it_is_long() {
    let all = 4_000u64;
    let sockets = [(told(1, A, B), None), (told(2, B, A), None)];
    let sends = (1..=all).map(|call| (calls(CLIENT, Deed::Send, 1, call, 1), None));
    let blocked = (1..=all).map(|n| (calls(SERVER, Deed::Receive, 2, all + n, 1), None));
    let repeated = (1..=all).map(|number| {
        let data = Segment {
            len: all as u32,
            ..Segment::default()
        };
        (packet(number), seen(A, B, data))
    });
    let same = (1..=all).map(|n| {
        let syn = Segment {
            seq: n as u32 * 7919,
            syn: true,
            ..Segment::default()
        };
        (packet(all + n), seen(A, B, syn))
    });
    let (join, took) = took(
        sockets
            .into_iter()
            .chain(sends)
            .chain(blocked)
            .chain(repeated)
            .chain(same),
    );
    let ties: usize = (1..=2 * all)
        .filter_map(|number| join.packet(number))
        .map(|tied| tied.causes.len())
        .sum();
    assert!(ties as u64 <= 64 * 4 * all + 2 * all, "{ties}");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// Connections to one server, all connected at once, then accepted and used one after the other.
#[test]
fn many_connections_take_no_time() {
    let all = 3_000u32;
    let connecting = Event::Enter(Enter {
        args: vec![Arg::Address(Some(Address::Ip(at(B))))],
        ..enter(CLIENT, Deed::Connect, 0, Vec::new())
    });
    let here = |n: u32| format!("10.{}.{}.1:{}", n >> 14, n >> 7 & 127, 40_000 + (n & 127));
    let unnamed = |id: u32| match told(id, A, B) {
        Event::Socket(socket) => Event::Socket(Socket {
            local: None,
            peer: None,
            ..socket
        }),
        other => other,
    };
    let connects = (1..=all).flat_map(|n| {
        let mut call = connecting.clone();
        if let Event::Enter(enter) = &mut call {
            (enter.call, enter.socket) = (u64::from(n), Some(n));
        }
        [(unnamed(n), None), (call, None)]
    });
    let syn = Segment {
        syn: true,
        ..Segment::default()
    };
    let syns = (1..=all).map(|n| (packet(n.into()), seen(&here(n), B, syn)));
    let opened = (1..=all).flat_map(|n| {
        let call = u64::from(n);
        let data = Segment {
            seq: 1,
            len: 5,
            ..Segment::default()
        };
        [
            (told(n, &here(n), B), None),
            (returned(call, 0), None),
            (told(all + n, B, &here(n)), None),
            (calls(CLIENT, Deed::Send, n, u64::from(all) + call, 5), None),
            (packet(u64::from(all) + call), seen(&here(n), B, data)),
        ]
    });
    let (join, took) = took(connects.chain(syns).chain(opened));
    for n in 1..=u64::from(all) {
        let (syn, data) = (
            join.packet(n).unwrap(),
            join.packet(u64::from(all) + n).unwrap(),
        );
        assert_eq!((syn.sender, syn.causes[0].call), (Some(n as u32), n));
        assert_eq!(data.receiver, Some(all + n as u32));
        assert_eq!(data.causes[0].call, u64::from(all) + n);
    }
    assert!(took < Duration::from_secs(60), "{took:?}");
}
