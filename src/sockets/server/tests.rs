//! Servers used from Rust, in one process with their clients.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Mutex,
};

use super::*;
use crate::{
    call::Kind,
    sockets::{Event, Told},
};

fn options(kind: Kind) -> Options {
    Options::new(Address::Ip((Ipv4Addr::LOCALHOST, 0).into()), kind)
}

fn ip(server: &Server) -> SocketAddr {
    match server.address() {
        Address::Ip(address) => *address,
        other => panic!("{other}"),
    }
}

const ECHO: Plain = Plain {
    mode: Mode::Echo,
    size: 16,
};

/// Runs a server that ends after `clients`, and meanwhile `client` with its address; what it told and its totals.
fn served(
    style: Style,
    service: &dyn Service,
    clients: u64,
    client: impl FnOnce(SocketAddr) + Send,
) -> (Vec<Event>, Totals) {
    let told: std::sync::Arc<Mutex<Vec<Told>>> = std::sync::Arc::default();
    let journal = Journal::new(false, {
        let told = std::sync::Arc::clone(&told);
        move |event| told.lock().unwrap().push(event)
    });
    let mut options = options(Kind::Stream);
    options.clients = Some(clients);
    let server = Server::open(&journal, options).unwrap();
    let address = ip(&server);
    let totals = std::thread::scope(|scope| {
        scope.spawn(|| client(address));
        server.run(style, service).unwrap()
    });
    let told = std::mem::take(&mut *told.lock().unwrap());
    (told.into_iter().map(|told| told.event).collect(), totals)
}

fn all(mut stream: TcpStream) -> Vec<u8> {
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn each_style_echoes_counts_and_tells_who_left_how() {
    for style in [Style::Sequential, Style::Thread, Style::Poll] {
        let (told, totals) = served(style, &ECHO, 1, |address| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"more than one buffer holds").unwrap();
            assert_eq!(all(stream), b"more than one buffer holds");
        });
        let wanted = Totals {
            clients: 1,
            received: 26,
            sent: 26,
        };
        assert_eq!(totals, wanted, "{style:?}");
        let left = Event::Left {
            client: 1,
            received: 26,
            sent: 26,
            end: End::Closed,
        };
        assert!(told.contains(&left), "{style:?}: {told:?}");
    }
}

#[test]
fn the_receiver_counts_the_last_block_too() {
    let receive = Plain {
        mode: Mode::Receive,
        size: 1000,
    };
    for style in [Style::Sequential, Style::Thread, Style::Poll] {
        served(style, &receive, 1, |address| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&[7; 100_001]).unwrap();
            assert_eq!(all(stream), b"100001", "{style:?}");
        });
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_at_poll() {
    served(Style::Poll, &ECHO, 2, |address| {
        let mut greedy = TcpStream::connect(address).unwrap();
        greedy.set_nonblocking(true).unwrap();
        // Until its own sender stops: the server reads no more of it, since nobody takes what it sends.
        while greedy.write(&[0; 65_536]).is_ok() {}
        let mut other = TcpStream::connect(address).unwrap();
        other.write_all(b"still served").unwrap();
        assert_eq!(all(other), b"still served");
    });
}

#[test]
fn poll_refuses_a_service_that_waits() {
    struct Waits;
    impl Service for Waits {
        fn serve(&self, _: &mut Visit<'_>) -> io::Result<()> {
            Ok(())
        }
    }
    let server = Server::open(&Journal::default(), options(Kind::Stream)).unwrap();
    let error = server.run(Style::Poll, &Waits).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn a_stopper_ends_each_style_and_its_clients() {
    for style in [Style::Sequential, Style::Thread, Style::Poll] {
        let server = Server::open(&Journal::default(), options(Kind::Stream)).unwrap();
        let (address, stopper) = (ip(&server), server.stopper().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"x").unwrap();
                stream.read_exact(&mut [0]).unwrap();
                stopper.stop();
                // A sequential server serves its client to the end.
                if style == Style::Sequential {
                    drop(stream);
                } else {
                    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                }
            });
            assert_eq!(server.run(style, &ECHO).unwrap().clients, 1, "{style:?}");
        });
    }
    let server = Server::open(&Journal::default(), options(Kind::Datagram)).unwrap();
    let stopper = server.stopper().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stopper.stop());
        assert_eq!(server.run_datagrams(ECHO).unwrap().clients, 0);
    });
}

#[test]
fn datagrams_keep_their_boundaries() {
    let mut options = options(Kind::Datagram);
    options.clients = Some(3);
    let server = Server::open(&Journal::default(), options).unwrap();
    let address = ip(&server);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut buffer = [0; 64];
            for sent in [&b"one"[..], b"", b"longer than sixteen"] {
                socket.send_to(sent, address).unwrap();
                let len = socket.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], &sent[..sent.len().min(16)]);
            }
        });
        let totals = server.run_datagrams(ECHO).unwrap();
        assert_eq!((totals.clients, totals.received, totals.sent), (1, 19, 19));
    });
}

#[test]
fn a_dead_servers_path_is_taken_over_and_a_live_ones_is_not() {
    let name = format!("sockwire-server-{}", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    let open = || {
        let options = Options::new(Address::Path(path.clone()), Kind::Stream);
        Server::open(&Journal::default(), options)
    };
    let dead = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(
        open().unwrap_err().raw_os_error(),
        Some(libc::EADDRINUSE),
        "it lives"
    );
    drop(dead);
    let server = open().unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    drop(server);
    assert!(!path.exists(), "the path is gone with its server");
    std::fs::write(&path, "no socket").unwrap();
    assert_eq!(open().unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
    assert_eq!(std::fs::read(&path).unwrap(), b"no socket");
    std::fs::remove_file(&path).unwrap();
}
