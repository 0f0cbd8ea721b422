//! Logs made by hand, each of one thing that is hard to tell, and their ties as text.

use super::ties;
use crate::{
    call::{Caller, How},
    event::{Arg, Deed, Enter, Transport, Way},
    timeline::testing::{CLIENT, Log, SERVER, Tcp, at, caller, datagram, segment, unreachable},
    timeline::tests::assert_golden,
};

const A: &str = "10.0.0.1:40000";
const B: &str = "10.0.0.2:5000";
const MILLISECOND: i64 = 1_000_000;

/// Name, and what makes the log.
type Made = (&'static str, fn(&mut Log));

const LOGS: &[Made] = &[
    ("handshake", handshake),
    ("nagle", nagle),
    ("bulk", bulk),
    ("partial-write", partial_write),
    ("retransmission", retransmission),
    ("fork-two-closes", fork),
    ("exec-closes", exec),
    ("fin-on-data", fin_on_data),
    ("shutdown", shutdown),
    ("reset-linger", linger),
    ("refused", refused),
    ("midway", midway),
    ("midway-queues", midway_queues),
    ("wrap", wrap),
    ("two-threads", two_threads),
    ("two-readers", two_readers),
    ("port-reuse", port_reuse),
    ("accept-late", accept_late),
    ("fast-open", fast_open),
    ("two-clients", two_clients),
    ("kernel", kernel),
    ("udp-refused", udp_refused),
    ("peek", peek),
];

/// The same over a lab's wire.
const WIRED: &[Made] = &[
    ("wire-connect-later", connect_later),
    ("wire-loss", wire_loss),
    ("wire-udp", wire_udp),
];

#[test]
fn ties_of_logs_made_by_hand() {
    let local = LOGS.iter().map(|&(name, make)| (name, make, Log::local()));
    let wired = WIRED.iter().map(|&(name, make)| (name, make, Log::lab()));
    for (name, make, mut log) in local.chain(wired) {
        make(&mut log);
        assert_golden(&format!("captures/trace/{name}.jsonl"), &log.json());
        assert_golden(
            &format!("captures/trace/{name}.ties.txt"),
            &ties(&log.entries),
        );
    }
}

fn handshake(log: &mut Log) {
    let mut pair = log.pair();
    log.send(CLIENT, pair.client, b"hello");
    let recv = log.enter(SERVER, Deed::Receive, pair.server);
    pair.segment(log, 0, "PA", b"hello");
    log.received(recv, b"hello", None);
    pair.segment(log, 1, "A", b"");
}

fn nagle(log: &mut Log) {
    let mut pair = log.pair();
    for word in ["one ", "two ", "three ", "four"] {
        log.send(CLIENT, pair.client, word.as_bytes());
        if word == "one " {
            pair.segment(log, 0, "PA", b"one ");
        }
    }
    pair.segment(log, 1, "A", b"");
    pair.segment(log, 0, "PA", b"two three four");
    log.recv(SERVER, pair.server, b"one two ");
    log.recv(SERVER, pair.server, b"three four");
}

fn bulk(log: &mut Log) {
    let mut pair = log.pair();
    let data: Vec<u8> = (0..4000u32).map(|n| (n % 251) as u8).collect();
    let send = log.sends(CLIENT, pair.client, &data, None);
    for part in data.chunks(1460) {
        pair.segment(log, 0, "A", part);
    }
    log.returns(send, Ok(4000));
    log.recv(SERVER, pair.server, &data[..2000]);
    log.recv(SERVER, pair.server, &data[2000..]);
}

/// A call that does not block sends less than it was asked to; the next one goes on from there.
fn partial_write(log: &mut Log) {
    let mut pair = log.pair();
    let send = log.sends(CLIENT, pair.client, &[1; 1000], None);
    log.returns(send, Ok(300));
    let none = log.sends(CLIENT, pair.client, &[1; 700], None);
    log.returns(none, Err(libc::EAGAIN));
    pair.segment(log, 0, "A", &[1; 300]);
    log.send(CLIENT, pair.client, &[2; 700]);
    pair.segment(log, 0, "PA", &[2; 700]);
}

fn retransmission(log: &mut Log) {
    let mut pair = log.pair();
    log.send(CLIENT, pair.client, b"first ");
    let seq = pair.next[0];
    pair.segment(log, 0, "PA", b"first ");
    log.wait(200 * MILLISECOND);
    pair.again(log, 0, "PA", seq, b"first ");
    log.send(CLIENT, pair.client, b"second");
    // The old bytes once more, and new ones behind them.
    pair.again(log, 0, "PA", seq, b"first second");
    pair.next[0] += 6;
    log.recv(SERVER, pair.server, b"first second");
}

/// A server forks for each client, and both close; only the second close ends the stream.
fn fork(log: &mut Log) {
    let mut pair = log.pair();
    let child = caller(201);
    log.process(201, Some(200), 1, "server");
    log.call(SERVER, Deed::Close, pair.server, Ok(0));
    log.call(child, Deed::Close, pair.listener, Ok(0));
    log.send(child, pair.server, b"hello");
    pair.segment(log, 1, "PA", b"hello");
    let close = log.enter(child, Deed::Close, pair.server);
    pair.segment(log, 1, "FA", b"");
    log.returns(close, Ok(0));
    log.recv(CLIENT, pair.client, b"hello");
    log.call(CLIENT, Deed::Receive, pair.client, Ok(0));
    log.call(CLIENT, Deed::Receive, pair.client, Ok(0));
    log.call(CLIENT, Deed::Close, pair.client, Ok(0));
    pair.segment(log, 0, "FA", b"");
    pair.segment(log, 1, "A", b"");
}

/// A child has let go of the socket, and the parent runs another program, which closes the last descriptor; what was still
/// to be sent goes before the FIN.
fn exec(log: &mut Log) {
    let mut pair = log.pair();
    let child = caller(101);
    log.process(101, Some(100), 1, "client");
    log.send(CLIENT, pair.client, b"last words");
    log.call(child, Deed::Close, pair.client, Ok(0));
    let execve = log.enters(Enter {
        call: 0,
        by: CLIENT,
        name: "execve".into(),
        deed: Deed::Close,
        socket: None,
        closes: vec![pair.client],
        args: vec![Arg::Text("/bin/other".to_owned())],
        parts: Vec::new(),
        waited: false,
    });
    log.exec(100, "other");
    log.returns(execve, Ok(0));
    pair.segment(log, 0, "PA", b"last words");
    pair.segment(log, 0, "FA", b"");
}

fn fin_on_data(log: &mut Log) {
    let mut pair = log.pair();
    log.send(CLIENT, pair.client, b"bye");
    log.call(CLIENT, Deed::Close, pair.client, Ok(0));
    pair.segment(log, 0, "FPA", b"bye");
    log.recv(SERVER, pair.server, b"bye");
    log.call(SERVER, Deed::Receive, pair.server, Ok(0));
    pair.segment(log, 1, "A", b"");
}

fn shutdown(log: &mut Log) {
    let mut pair = log.pair();
    log.call(CLIENT, Deed::Shutdown(How::Read), pair.client, Ok(0));
    let first = log.enter(CLIENT, Deed::Shutdown(How::Write), pair.client);
    pair.segment(log, 0, "FA", b"");
    log.returns(first, Ok(0));
    log.call(CLIENT, Deed::Shutdown(How::Both), pair.client, Ok(0));
    log.call(CLIENT, Deed::Close, pair.client, Ok(0));
    let lost = pair.next[0] - 1;
    pair.again(log, 0, "FA", lost, b"");
    pair.segment(log, 1, "A", b"");
}

/// A close with data unread, or with SO_LINGER of 0 seconds, resets; later data finds no socket.
fn linger(log: &mut Log) {
    let mut pair = log.pair();
    let close = log.enter(CLIENT, Deed::Close, pair.client);
    pair.segment(log, 0, "RA", b"");
    log.returns(close, Ok(0));
    log.call(SERVER, Deed::Receive, pair.server, Err(libc::ECONNRESET));
    log.send(SERVER, pair.server, b"late");
    pair.segment(log, 1, "PA", b"late");
    pair.segment(log, 0, "R", b"");
}

/// `connect` to a port where nobody listens: afterwards the socket has only its port.
fn refused(log: &mut Log) {
    log.process(100, None, 1, "client");
    let socket = log.appears(1, Transport::Tcp);
    let other = log.appears(1, Transport::Tcp);
    let second = log.connects(caller(101), other, B);
    let connect = log.connects(CLIENT, socket, B);
    log.segment(Way::Loop, A, B, Tcp::new("S", 1, 0, b""));
    log.segment(Way::Loop, B, A, Tcp::new("RA", 0, 2, b""));
    log.addresses(socket, "0.0.0.0:40000", None);
    log.returns(connect, Err(libc::ECONNREFUSED));
    log.segment(Way::Loop, "10.0.0.1:40001", B, Tcp::new("S", 9, 0, b""));
    log.segment(Way::Loop, B, "10.0.0.1:40001", Tcp::new("RA", 0, 10, b""));
    log.returns(second, Err(libc::ECONNREFUSED));
    log.addresses(other, "0.0.0.0:40001", None);
}

/// Attached in mid-stream: some data was sent and is not acknowledged, some waits to be sent, and a receive is blocked.
fn midway(log: &mut Log) {
    log.process(100, None, 1, "client");
    let socket = log.appears(1, Transport::Tcp);
    log.addresses(socket, A, Some(B));
    log.before(socket, 1000, 500);
    let recv = log.enters(Enter {
        call: 0,
        by: caller(101),
        name: "recv".into(),
        deed: Deed::Receive,
        socket: Some(socket),
        closes: Vec::new(),
        args: Vec::new(),
        parts: Vec::new(),
        waited: true,
    });
    log.segment(Way::Out, A, B, Tcp::new("PA", 77_000, 9000, b"waiting "));
    log.send(CLIENT, socket, b"news of the day");
    log.segment(
        Way::Out,
        A,
        B,
        Tcp::new("PA", 77_008, 9000, b"still news of the day"),
    );
    log.segment(Way::In, B, A, Tcp::new("A", 9000, 77_029, b""));
    log.segment(Way::In, B, A, Tcp::new("PA", 9000, 77_029, b"an answer"));
    log.received(recv, b"an answer", None);
    log.send(CLIENT, socket, b"more");
    log.segment(Way::Out, A, B, Tcp::new("PA", 77_029, 9009, b"more"));
}

/// Attached while the other end takes nothing: it is probed, with an old number. Of bytes that are all alike, those that were
/// queued are of no call that is in the log.
fn midway_queues(log: &mut Log) {
    log.process(100, None, 1, "client");
    let socket = log.appears(1, Transport::Tcp);
    log.before(socket, 1000, 500);
    log.queued(socket, 8, 4);
    log.addresses(socket, A, Some(B));
    log.recv(CLIENT, socket, b"bb");
    log.segment(Way::Out, A, B, Tcp::new("A", 76_999, 9000, b""));
    log.segment(Way::In, B, A, Tcp::new("A", 9000, 77_000, b""));
    log.send(CLIENT, socket, b"aaaa");
    log.segment(Way::In, B, A, Tcp::new("PA", 9000, 77_000, b"bbbb"));
    log.recv(CLIENT, socket, b"bbbb");
    log.segment(
        Way::Out,
        A,
        B,
        Tcp::new("PA", 77_000, 9004, b"aaaaaaaaaaaa"),
    );
    log.segment(Way::Out, A, B, Tcp::new("FA", 77_012, 9004, b""));
}

/// The sequence numbers begin again at 0, within a segment and between two.
fn wrap(log: &mut Log) {
    log.process(100, None, 1, "client");
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(CLIENT, client, B);
    let isn = u32::MAX - 10;
    log.segment(Way::Out, A, B, Tcp::new("S", isn, 0, b""));
    log.segment(Way::In, B, A, Tcp::new("SA", u32::MAX, isn + 1, b""));
    log.addresses(client, A, Some(B));
    log.returns(connect, Ok(0));
    log.segment(Way::Out, A, B, Tcp::new("A", isn + 1, 0, b""));
    log.send(CLIENT, client, b"before and after");
    log.segment(
        Way::Out,
        A,
        B,
        Tcp::new("PA", isn + 1, 0, b"before and after"),
    );
    log.send(CLIENT, client, b"more");
    log.segment(Way::Out, A, B, Tcp::new("PA", 6, 0, b"more"));
    log.segment(Way::In, B, A, Tcp::new("A", 0, 6, b""));
    log.segment(Way::In, B, A, Tcp::new("A", 0, 10, b""));
}

fn two_threads(log: &mut Log) {
    let mut pair = log.pair();
    let other = Caller {
        process: 100,
        thread: 101,
    };
    let first = log.sends(CLIENT, pair.client, b"first ", None);
    let second = log.sends(other, pair.client, b"second ", None);
    pair.segment(log, 0, "PA", b"second first ");
    log.returns(first, Ok(6));
    log.returns(second, Ok(7));
    log.send(CLIENT, pair.client, b"third");
    pair.segment(log, 0, "PA", b"third");
}

fn two_readers(log: &mut Log) {
    let mut pair = log.pair();
    let other = Caller {
        process: 200,
        thread: 201,
    };
    log.send(CLIENT, pair.client, b"first ");
    log.send(CLIENT, pair.client, b"second ");
    let one = log.enter(SERVER, Deed::Receive, pair.server);
    let two = log.enter(other, Deed::Receive, pair.server);
    pair.segment(log, 0, "PA", b"first ");
    pair.segment(log, 0, "PA", b"second ");
    // The thread that read second is told first.
    log.received(two, b"second ", None);
    log.received(one, b"first ", None);
}

/// A second connection with the same ports, accepted after both were opened.
fn port_reuse(log: &mut Log) {
    log.process(100, None, 1, "client");
    log.process(200, None, 1, "server");
    let listener = log.listener(SERVER, 1, B);
    for (isn, word) in [(100u32, b"old"), (900_000, b"new")] {
        let client = log.appears(1, Transport::Tcp);
        let connect = log.connects(CLIENT, client, B);
        log.segment(Way::Loop, A, B, Tcp::new("S", isn, 0, b""));
        log.segment(Way::Loop, B, A, Tcp::new("SA", isn + 50, isn + 1, b""));
        log.segment(Way::Loop, A, B, Tcp::new("A", isn + 1, isn + 51, b""));
        log.addresses(client, A, Some(B));
        log.returns(connect, Ok(0));
        log.send(CLIENT, client, word);
        log.segment(Way::Loop, A, B, Tcp::new("PA", isn + 1, isn + 51, word));
        let close = log.enter(CLIENT, Deed::Close, client);
        log.segment(Way::Loop, A, B, Tcp::new("RA", isn + 4, isn + 51, b""));
        log.returns(close, Ok(0));
    }
    for word in [b"old", b"new"] {
        let accept = log.enter(SERVER, Deed::Accept, listener);
        let server = log.accepted(accept, 1, B, A);
        log.recv(SERVER, server, word);
    }
}

/// Data arrives before `accept` is called.
fn accept_late(log: &mut Log) {
    log.process(100, None, 1, "client");
    log.process(200, None, 1, "server");
    let listener = log.listener(SERVER, 1, "0.0.0.0:5000");
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(CLIENT, client, B);
    log.segment(Way::Loop, A, B, Tcp::new("S", 1000, 0, b""));
    log.segment(Way::Loop, B, A, Tcp::new("SA", 5000, 1001, b""));
    log.segment(Way::Loop, A, B, Tcp::new("A", 1001, 5001, b""));
    log.returns(connect, Ok(0));
    log.addresses(client, A, Some(B));
    log.send(CLIENT, client, b"early");
    log.segment(Way::Loop, A, B, Tcp::new("PA", 1001, 5001, b"early"));
    log.segment(Way::Loop, B, A, Tcp::new("A", 5001, 1006, b""));
    let accept = log.enter(SERVER, Deed::Accept, listener);
    let server = log.accepted(accept, 1, B, A);
    log.recv(SERVER, server, b"early");
}

/// `sendto` with MSG_FASTOPEN: the SYN carries data.
fn fast_open(log: &mut Log) {
    log.process(100, None, 1, "client");
    let client = log.appears(1, Transport::Tcp);
    let send = log.sends(CLIENT, client, b"at once", Some(B));
    log.segment(Way::Loop, A, B, Tcp::new("S", 1000, 0, b"at once"));
    log.segment(Way::Loop, B, A, Tcp::new("SA", 5000, 1008, b""));
    log.addresses(client, A, Some(B));
    log.returns(send, Ok(7));
    log.segment(Way::Loop, A, B, Tcp::new("A", 1008, 5001, b""));
    log.send(CLIENT, client, b"then");
    log.segment(Way::Loop, A, B, Tcp::new("PA", 1008, 5001, b"then"));
}

/// Two threads connect to the same server at once: their ports tell them apart, later.
fn two_clients(log: &mut Log) {
    log.process(100, None, 1, "client");
    log.listener(SERVER, 1, B);
    let other = caller(101);
    let (one, two) = (
        log.appears(1, Transport::Tcp),
        log.appears(1, Transport::Tcp),
    );
    let first = log.connects(CLIENT, one, B);
    let second = log.connects(other, two, B);
    for (port, isn) in [("10.0.0.1:40001", 100), ("10.0.0.1:40002", 200)] {
        log.segment(Way::Loop, port, B, Tcp::new("S", isn, 0, b""));
        log.segment(Way::Loop, B, port, Tcp::new("SA", 5000, isn + 1, b""));
        log.segment(Way::Loop, port, B, Tcp::new("A", isn + 1, 5001, b""));
    }
    log.addresses(two, "10.0.0.1:40001", Some(B));
    log.returns(second, Ok(0));
    log.addresses(one, "10.0.0.1:40002", Some(B));
    log.returns(first, Ok(0));
}

/// Segments that no call caused.
fn kernel(log: &mut Log) {
    let mut pair = log.pair();
    log.send(CLIENT, pair.client, b"data");
    pair.segment(log, 0, "PA", b"data");
    pair.segment(log, 1, "A", b"");
    let ends = [B, A];
    let (seq, ack) = (pair.next[1], pair.next[0]);
    let shut = Tcp {
        window: 0,
        ..Tcp::new("A", seq, ack, b"")
    };
    log.segment(Way::Loop, ends[0], ends[1], shut);
    pair.again(log, 0, "A", ack - 1, b"");
    log.segment(Way::Loop, ends[0], ends[1], shut);
    pair.segment(log, 1, "A", b"");
    pair.segment(log, 1, "A", b"");
    pair.again(log, 0, "A", ack - 1, b"");
    pair.segment(log, 1, "A", b"");
}

fn udp_refused(log: &mut Log) {
    log.process(100, None, 1, "client");
    let socket = log.appears(1, Transport::Udp);
    log.addresses(socket, A, Some(B));
    log.send(CLIENT, socket, b"anyone?");
    log.datagram(Way::Loop, A, B, b"anyone?");
    let quoted = datagram(at(A), at(B), b"anyone?");
    log.packet(Way::Loop, unreachable(at(B), at(A), &quoted), None);
    log.call(CLIENT, Deed::Receive, socket, Err(libc::EAGAIN));
    log.call(CLIENT, Deed::Receive, socket, Err(libc::ECONNREFUSED));
}

fn peek(log: &mut Log) {
    let mut pair = log.pair();
    log.send(CLIENT, pair.client, b"look");
    pair.segment(log, 0, "PA", b"look");
    let peek = log.enter(SERVER, Deed::Peek, pair.server);
    log.received(peek, b"look", None);
    log.recv(SERVER, pair.server, b"look");
}

/// ARP holds the SYN back: it leaves after `connect`, which does not block, has returned.
fn connect_later(log: &mut Log) {
    log.process(100, None, 1, "client");
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(CLIENT, client, B);
    log.addresses(client, A, None);
    log.returns(connect, Err(libc::EINPROGRESS));
    log.wait(40 * MILLISECOND);
    let syn = log.packet(
        Way::Wire,
        segment(at(A), at(B), Tcp::new("S", 1, 0, b"")),
        Some("rule 1: the first SYN"),
    );
    assert_eq!(syn, 1);
    log.wait(1000 * MILLISECOND);
    let syn = log.segment(Way::Wire, A, B, Tcp::new("S", 1, 0, b""));
    log.wait(20 * MILLISECOND);
    log.arrives(syn, false);
    let answer = log.segment(Way::Wire, B, A, Tcp::new("SA", 50, 2, b""));
    log.wait(20 * MILLISECOND);
    log.arrives(answer, false);
    let ack = log.segment(Way::Wire, A, B, Tcp::new("A", 2, 51, b""));
    log.arrives(ack, false);
}

/// The first copy of a segment is lost, the second one is read; another one arrives twice, and out of order.
fn wire_loss(log: &mut Log) {
    log.process(100, None, 1, "client");
    log.process(200, None, 2, "server");
    let client = log.appears(1, Transport::Tcp);
    let server = log.appears(2, Transport::Tcp);
    for (socket, local, peer) in [(client, A, B), (server, B, A)] {
        log.addresses(socket, local, Some(peer));
    }
    let ack = log.segment(Way::Wire, B, A, Tcp::new("A", 5000, 1000, b""));
    log.arrives(ack, false);
    let words: [&[u8]; 3] = [b"one ", b"two ", b"three"];
    for word in words {
        log.send(CLIENT, client, word);
    }
    let tcp = |seq, data| segment(at(A), at(B), Tcp::new("PA", seq, 5000, data));
    log.packet(Way::Wire, tcp(1000, b"one "), Some("every 2nd frame"));
    let two = log.packet(Way::Wire, tcp(1004, b"two "), None);
    let three = log.packet(Way::Wire, tcp(1008, b"three"), None);
    let recv = log.enter(SERVER, Deed::Receive, server);
    log.arrives(three, false);
    log.arrives(two, false);
    log.wait(200 * MILLISECOND);
    let again = log.packet(Way::Wire, tcp(1000, b"one two "), None);
    log.arrives(again, false);
    log.arrives(two, true);
    log.received(recv, b"one two three", None);
}

/// Datagrams between sockets that are not connected: one lost, one doubled, the rest out of order.
fn wire_udp(log: &mut Log) {
    log.process(100, None, 1, "client");
    log.process(200, None, 2, "server");
    let client = log.appears(1, Transport::Udp);
    let server = log.appears(2, Transport::Udp);
    log.addresses(server, "0.0.0.0:5000", None);
    let words: [&[u8]; 4] = [b"one", b"two", b"six", b"three"];
    let mut packets = Vec::new();
    for (place, word) in words.into_iter().enumerate() {
        let send = log.sends(CLIENT, client, word, Some(B));
        let lost = (place == 1).then_some("every 2nd frame");
        packets.push(log.packet(Way::Wire, datagram(at(A), at(B), word), lost));
        if place == 0 {
            log.addresses(client, "0.0.0.0:40000", None);
        }
        log.returns(send, Ok(word.len() as i64));
    }
    log.arrives(packets[2], false);
    log.arrives(packets[0], false);
    log.arrives(packets[3], false);
    log.arrives(packets[0], true);
    for word in [words[2], words[0], words[3], words[0]] {
        let recv = log.enter(SERVER, Deed::Receive, server);
        log.received(recv, word, Some(A));
    }
    log.send(SERVER, server, b"nobody");
    let answer = log.sends(SERVER, server, b"an answer", Some(A));
    let packet = log.packet(Way::Wire, datagram(at(B), at(A), b"an answer"), None);
    log.returns(answer, Ok(9));
    log.arrives(packet, false);
    let recv = log.enter(CLIENT, Deed::Receive, client);
    log.received(recv, b"an answer", Some(B));
}
