//! The programs of the charts: the calls of each end, one after the other, as they are drawn.

use std::{io, net::SocketAddr};

use sockwire::{
    call::{Address, Family, Kind},
    sockets::{Journal, Socket},
    sys::process::{self, Side},
};

use super::Which;

const HELLO: &[u8] = b"hello\n";

/// The server's calls, for one client. `ready` is called when a client may come.
pub(super) fn server(
    which: Which,
    at: SocketAddr,
    journal: &Journal,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let at = Address::from(at);
    match which {
        Which::Udp => {
            let socket = Socket::new(journal, Family::Inet, Kind::Datagram)?;
            socket.bind(&at)?;
            ready();
            let mut buffer = [0; 1024];
            let received = socket.recv_from(&mut buffer)?;
            socket.send_to(&buffer[..received.len], &received.from)?;
            Ok(())
        }
        Which::Sequential => {
            let listener = listen(&at, journal, ready)?;
            let (client, _) = listener.accept()?;
            echo(&client)
        }
        Which::Concurrent => {
            let listener = listen(&at, journal, ready)?;
            let (client, _) = listener.accept()?;
            match journal.fork(process::split_tied)? {
                Side::Parent(child) => {
                    drop(client);
                    journal.wait(Some(child), true).map(drop)
                }
                Side::Child => {
                    drop(listener);
                    let talked = echo(&client);
                    drop(client);
                    process::leave(talked.is_err().into())
                }
            }
        }
    }
}

fn listen(at: &Address, journal: &Journal, ready: impl FnOnce()) -> io::Result<Socket> {
    let listener = Socket::new(journal, Family::Inet, Kind::Stream)?;
    listener.bind(at)?;
    listener.listen(5)?;
    ready();
    Ok(listener)
}

/// Sends back what comes, until the client is done.
fn echo(client: &Socket) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match client.recv(&mut buffer)? {
            0 => return Ok(()),
            len => client.send_all(&buffer[..len])?,
        }
    }
}

/// The client, in a process of its own: the child of a server's `fork` would have its socket, too, and keep it open.
pub(super) fn client(which: Which, to: SocketAddr, journal: &Journal) -> io::Result<()> {
    match process::split_tied()? {
        Side::Parent(child) => process::wait(Some(child), true).map(drop),
        Side::Child => process::leave(client_calls(which, to, journal).is_err().into()),
    }
}

fn client_calls(which: Which, to: SocketAddr, journal: &Journal) -> io::Result<()> {
    let to = Address::from(to);
    let mut buffer = [0; 1024];
    if which == Which::Udp {
        let socket = Socket::new(journal, Family::Inet, Kind::Datagram)?;
        socket.send_to(HELLO, &to)?;
        socket.recv_from(&mut buffer)?;
    } else {
        let socket = Socket::new(journal, Family::Inet, Kind::Stream)?;
        socket.connect(&to)?;
        socket.send_all(HELLO)?;
        socket.recv(&mut buffer)?;
    }
    Ok(())
}
