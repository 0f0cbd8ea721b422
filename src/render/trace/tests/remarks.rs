//! What a trace says of calls whose numbers are easily overlooked.

#![allow(clippy::unwrap_used)]

use super::{ALL, in_lanes, in_lines, rows, told};
use crate::{
    call::Data,
    event::{Arg, CallId, Deed, End, Enter, Event, Exit, Part, Return, SocketId, Transport, Way},
    time::SECOND,
    timeline::{
        testing::{CLIENT, Log, SERVER, caller},
        why::About,
    },
};

/// The remark of every call that has one, as lines and lanes have it.
fn assert_remarks(log: &Log, expected: &[&str]) {
    let rows = rows(log, ALL);
    for text in [in_lines(&rows), in_lanes(&rows, 120, false)] {
        let told = |line: &&str| {
            ["lost", "still", "wait for"]
                .iter()
                .any(|word| line.contains(word))
        };
        let found: Vec<&str> = text.lines().filter(told).collect();
        assert_eq!(found.len(), expected.len(), "{text}");
        for (line, remark) in found.iter().zip(expected) {
            assert!(line.contains(remark), "{remark}: {line}");
        }
    }
}

fn explained(log: &Log, call: CallId) -> String {
    told(log, About::Call(call)).unwrap()
}

fn enter(name: &'static str, deed: Deed, socket: Option<SocketId>, args: Vec<Arg>) -> Enter {
    Enter {
        call: 0,
        by: SERVER,
        name: name.into(),
        deed,
        socket,
        closes: Vec::new(),
        args,
        parts: Vec::new(),
        waited: false,
    }
}

#[test]
fn what_a_short_buffer_lost_of_a_datagram() {
    const DATA: &[u8] = b"0123456789abcdef";
    let (from, to) = ("127.0.0.1:40000", "127.0.0.1:5000");
    let mut log = Log::local();
    log.process(200, None, 1, "server");
    let server = log.appears(1, Transport::Udp);
    log.addresses(server, to, None);
    let mut receive = |name, room: usize, flag: Option<&'static str>| {
        log.datagram(Way::Loop, from, to, DATA);
        let args = [
            Arg::Fd(3),
            Arg::Memory("buffer".into()),
            Arg::Number(room as i64),
        ];
        let call = log.enters(enter(name, Deed::Receive, Some(server), args.into()));
        let got = &DATA[..room.min(DATA.len())];
        log.returned(Return {
            call,
            result: Ok(got.len() as i64),
            moved: got.len() as u64,
            opened: None,
            out: flag
                .map(|flag| Arg::Word(flag.into()))
                .into_iter()
                .collect(),
            parts: vec![Part {
                data: Data::of(got),
                address: None,
            }],
        });
        call
    };
    let cut = receive("recvfrom", 4, None);
    receive("recvfrom", 16, None);
    receive("recvfrom", 64, None);
    // How much room a message has does not stand in its call, but the kernel says that it was too little.
    receive("recvmsg", 15, Some("MSG_CTRUNC|MSG_TRUNC"));
    let expected = [
        "12 bytes of the datagram lost",
        "1 byte of the datagram lost",
    ];
    assert_remarks(&log, &expected);
    let text = explained(&log, cut);
    assert!(
        text.contains("Note: 12 bytes of the datagram lost."),
        "{text}"
    );
}

/// A server forks for its client: the first of both to close sends nothing.
#[test]
fn who_has_a_closed_socket_still() {
    let mut log = Log::local();
    let pair = log.pair();
    log.process(201, Some(200), 1, "child");
    let close = log.enter(SERVER, Deed::Close, pair.server);
    log.returns(close, Ok(0));
    log.call(caller(201), Deed::Close, pair.server, Ok(0));
    assert_remarks(&log, &["(still open in child[201])"]);
    let text = explained(&log, close);
    assert!(text.contains("Note: still open in child[201]."), "{text}");
}

/// One that has begun to close the socket does not hold it, whoever returns first.
#[test]
fn nobody_has_a_socket_that_both_close_at_once() {
    let mut log = Log::local();
    let pair = log.pair();
    log.process(201, Some(200), 1, "child");
    let closes = [SERVER, caller(201)].map(|by| log.enter(by, Deed::Close, pair.server));
    for close in closes {
        log.returns(close, Ok(0));
    }
    assert_remarks(&log, &[]);
}

#[test]
fn a_duplicate_keeps_a_socket_open() {
    let mut log = Log::local();
    let pair = log.pair();
    for fd in [9, 10] {
        log.call(CLIENT, Deed::Duplicate, pair.client, Ok(fd));
    }
    for _ in 0..2 {
        log.call(CLIENT, Deed::Close, pair.client, Ok(0));
    }
    assert_remarks(&log, &["(still open in client[100])"]);
}

/// The child ends, and the parent has forgotten to close the connection.
#[test]
fn a_connection_that_outlives_its_server() {
    let mut log = Log::local();
    let pair = log.pair();
    log.process(201, Some(200), 1, "child");
    let ends = |log: &mut Log| {
        let mut exit = enter("exit", Deed::Close, None, Vec::new());
        exit.by = caller(201);
        exit.closes = vec![pair.listener, pair.server];
        let call = log.enters(exit);
        log.returns(call, Ok(0));
    };
    // Where no `close` is seen, the parent may have closed it.
    ends(&mut log);
    assert_remarks(&log, &[]);
    let other = log.appears(1, Transport::Udp);
    log.call(SERVER, Deed::Close, other, Ok(0));
    ends(&mut log);
    assert_remarks(&log, &["(1 connection still open in server[200])"]);
    // A process's end returns nothing.
    let rows = rows(&log, ALL);
    for text in [in_lines(&rows), in_lanes(&rows, 80, false)] {
        let exits = text.lines().filter(|line| line.contains("exit()"));
        assert!(!exits.collect::<String>().contains('='), "{text}");
    }
}

#[test]
fn two_that_wait_for_each_other() {
    let mut log = Log::local();
    let pair = log.pair();
    for (by, socket) in [(CLIENT, pair.client), (SERVER, pair.server)] {
        log.enter(by, Deed::Receive, socket);
    }
    log.wait(12 * SECOND);
    log.tell(Event::End(End::default()));
    let expected = [
        "client[100]: recv #4 still waits, 12.00 s: both ends wait for data",
        "server[200]: recv #5 still waits, 12.00 s: both ends wait for data",
    ];
    assert_remarks(&log, &expected);
}

/// One end was interrupted, and went; the other one is ended while it waits.
#[test]
fn one_that_waits_when_a_signal_ends_it() {
    let mut log = Log::local();
    let pair = log.pair();
    log.enter(CLIENT, Deed::Receive, pair.client);
    let interrupted = log.enter(SERVER, Deed::Receive, pair.server);
    log.returns(interrupted, Err(libc::EINTR));
    log.wait(SECOND);
    let status = Err(libc::SIGINT);
    log.tell(Event::Exit(Exit {
        process: 100,
        status,
    }));
    log.tell(Event::End(End::default()));
    assert_remarks(&log, &["client[100]: recv #4 still waits, 1.00 s"]);
}

#[test]
fn what_a_stream_did_not_take_is_told() {
    let mut log = Log::local();
    let pair = log.pair();
    for taken in [4, 1] {
        let call = log.sends(CLIENT, pair.client, b"data", None);
        log.returns(call, Ok(taken));
    }
    let rows = rows(&log, ALL);
    for text in [in_lines(&rows), in_lanes(&rows, 80, false)] {
        assert_eq!(text.matches("only 1 of 4 bytes").count(), 1, "{text}");
        assert_eq!(text.matches("only").count(), 1, "{text}");
    }
}
