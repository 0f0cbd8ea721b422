//! Sockets: their addresses, descriptors and networks as they become known.

use super::*;

#[test]
fn a_server_in_a_thread_and_its_client() {
    let Some((log, status)) = traced(
        "
import socket, threading
s = socket.create_server(('127.0.0.1', 5000))
def serve():
    c, _ = s.accept()
    c.sendall(c.recv(100).upper())
    c.close()
t = threading.Thread(target=serve)
t.start()
c = socket.create_connection(('127.0.0.1', 5000))
c.sendall(b'hello')
assert c.recv(100) == b'HELLO'
t.join()
c.close()
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    assert_eq!(log.networks, [(1, None)]);
    let [(accept, Some(accepted))] = log.calls("accept4")[..] else {
        panic!()
    };
    assert_ne!(accept.by.thread, accept.by.process);
    let [(connect, Some(_))] = log.calls("connect")[..] else {
        panic!()
    };
    assert_eq!(connect.by.process, accept.by.process);
    let server = log.socket(accepted.opened.unwrap());
    let client = log.socket(connect.socket.unwrap());
    assert_eq!((&server.local, &server.peer), (&client.peer, &client.local));
    assert_eq!(server.local, ip("127.0.0.1:5000"));
    assert_eq!(
        (server.transport, &*server.family, &*server.kind),
        (Transport::Tcp, "AF_INET", "SOCK_STREAM")
    );
    assert_eq!(server.before, None);
    let receives = log.calls("recv");
    for (enter, back) in &receives {
        let back = back.unwrap();
        let expected: &[u8] = if enter.socket == Some(server.id) {
            b"hello"
        } else {
            b"HELLO"
        };
        assert_eq!((back.result, back.moved), (Ok(5), 5));
        assert_eq!(back.parts[0].data.head, expected);
    }
    assert_eq!(receives.len(), 2);
    let closes = log.calls("close");
    assert!(
        closes.iter().any(|(enter, _)| enter.closes == [server.id]),
        "{closes:?}"
    );
    assert_eq!(log.exits().len(), 1);
}

#[test]
fn what_does_not_block_and_what_is_refused() {
    let Some((log, status)) = traced(
        "
import select, socket
s = socket.create_server(('::', 5000), family=socket.AF_INET6, dualstack_ipv6=True)
c = socket.socket()
c.setblocking(False)
assert c.connect_ex(('127.0.0.1', 5000)) == 115
select.select([], [c], [])
a, _ = s.accept()
try: c.recv(1)
except BlockingIOError: pass
a.send(b'x')
select.select([c], [], [])
c.recv(1)
r = socket.socket()
assert r.connect_ex(('127.0.0.1', 5001)) == 111
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let connects = log.calls("connect");
    let (first, refused) = (connects[0].0.socket.unwrap(), connects[1].0.socket.unwrap());
    assert_eq!(
        log.results("connect"),
        [Err(libc::EINPROGRESS), Err(libc::ECONNREFUSED)]
    );
    assert_eq!(log.results("recv"), [Err(libc::EAGAIN), Ok(1)]);
    // Known since the first call after the connection was there.
    assert_eq!(log.socket(first).peer, ip("127.0.0.1:5000"));
    let accepted = log.calls("accept4")[0].1.unwrap().opened.unwrap();
    // An IPv6 socket with IPv4 addresses.
    assert_eq!(
        (&log.socket(accepted).local, &log.socket(accepted).peer),
        (&ip("127.0.0.1:5000"), &log.socket(first).local)
    );
    assert_eq!(log.socket(accepted).family, "AF_INET6");
    assert_eq!(log.socket(refused).peer, None);
    assert!(matches!(log.socket(refused).local, Some(Address::Ip(a)) if a.port() != 0));
}

#[test]
fn a_datagram_socket_gets_its_port_when_it_is_used() {
    let Some((log, status)) = traced(
        "
import socket
a = socket.socket(type=socket.SOCK_DGRAM)
a.bind(('127.0.0.1', 5000))
b = socket.socket(type=socket.SOCK_DGRAM)
b.sendto(b'hello', ('127.0.0.1', 5000))
assert a.recvfrom(100)[1] == ('127.0.0.1', b.getsockname()[1])
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let [(sent, Some(_))] = log.calls("sendto")[..] else {
        panic!()
    };
    let [(received, Some(back))] = log.calls("recvfrom")[..] else {
        panic!()
    };
    let (a, b) = (
        log.socket(received.socket.unwrap()),
        log.socket(sent.socket.unwrap()),
    );
    assert_eq!(
        (&a.local, a.transport),
        (&ip("127.0.0.1:5000"), Transport::Udp)
    );
    let Some(Address::Ip(from)) = back.parts[0].address else {
        panic!("{back:?}")
    };
    assert_eq!(b.local, ip(&format!("0.0.0.0:{}", from.port())));
    assert_eq!(back.parts[0].data.head, b"hello");
}

#[test]
fn another_descriptor_in_its_place_closes_a_socket() {
    let Some((log, status)) = traced(
        "
import os, socket
a, b = socket.socketpair()
c = socket.socket()
os.dup2(a.fileno(), c.fileno())
os.write(c.fileno(), b'x')
assert os.read(b.fileno(), 1) == b'x'
f = os.open('/dev/null', os.O_RDWR)
os.dup2(f, c.fileno())
os.write(c.fileno(), b'x')
os.closerange(3, 100)
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let pair = log.calls("socketpair")[0].1.unwrap().opened.unwrap();
    let c = log.calls("socket")[0].1.unwrap().opened.unwrap();
    let duplicates: Vec<_> = log
        .calls("dup3")
        .into_iter()
        .chain(log.calls("dup2"))
        .map(|(enter, _)| (enter.socket, &enter.closes[..]))
        .collect();
    assert_eq!(duplicates, [(Some(pair), &[c][..]), (None, &[pair][..])]);
    let writes: Vec<_> = log
        .calls("write")
        .iter()
        .map(|(enter, _)| enter.socket)
        .collect();
    assert_eq!(writes, [Some(pair)]);
    let [(range, _)] = log.calls("close_range")[..] else {
        panic!()
    };
    assert_eq!(range.closes.len(), 2);
    assert!(log.calls("exit").is_empty());
}

#[test]
fn a_socket_that_was_given_is_the_same_socket() {
    let Some((log, status)) = traced(
        "
import os, socket
a, b = socket.socketpair()
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 5000))
if os.fork() == 0:
    _, [fd], _, _ = socket.recv_fds(b, 10, 1)
    socket.socket(fileno=fd).getsockname()
    os._exit(0)
socket.send_fds(a, [b'x'], [s.fileno()])
os.wait()
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let s = log.calls("bind")[0].0.socket;
    let names = log.calls("getsockname");
    let child = log.processes()[1].process;
    assert!(
        names
            .iter()
            .any(|(enter, _)| enter.by.process == child && enter.socket == s),
        "{names:?}"
    );
}

#[test]
fn a_network_that_a_program_makes_is_another_network() {
    let Some((log, status)) = traced(
        "
import ctypes, os, socket
a = socket.socket()
assert ctypes.CDLL(None).unshare(0x40000000) == 0
b = socket.socket()
a.listen()
b.listen()
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    assert_eq!(log.networks, [(1, None), (2, None)]);
    assert_eq!((log.socket(1).net, log.socket(2).net), (1, 2));
}

#[test]
fn a_program_is_run_in_the_network_of_its_host() {
    if !works() {
        return;
    }
    let (Some(one), Some(other)) = (network(), network()) else {
        return;
    };
    let (mut tracer, mut log) = (
        Tracer::new(Wanted::default(), Clock::start()),
        Log::default(),
    );
    for (network, host) in [(one, "server"), (other, "client")] {
        let program = Program {
            network: Some((network, host.to_owned())),
            ..python("import socket; socket.create_server(('127.0.0.1', 5000))")
        };
        tracer.start(program, &mut log).unwrap();
    }
    let ended = tracer.run(&|| false, &mut log).unwrap();
    assert_eq!(
        ended.iter().map(|(_, status)| *status).collect::<Vec<_>>(),
        [Ok(0), Ok(0)]
    );
    log.networks.sort();
    assert_eq!(
        log.networks,
        [
            (1, Some("server".to_owned())),
            (2, Some("client".to_owned()))
        ]
    );
}
