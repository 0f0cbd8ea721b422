//! The programs of the charts: the calls of each end, one after the other, as they are drawn.

use std::{io, net::SocketAddr};

use nix::sys::signal::Signal;
use sockwire::{
    call::{Address, Answer, Call, Family, Kind},
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
            let answered = |side: &Side| match side {
                Side::Parent(child) => Answer::Process(*child),
                Side::Child => Answer::Process(0),
            };
            let parent = std::process::id();
            match journal.call(false, || Call::Fork, process::split, answered)? {
                Side::Parent(child) => {
                    drop(client);
                    let call = || Call::WaitPid {
                        process: Some(child),
                    };
                    let wait = || process::wait(Some(child), true);
                    journal.call(true, call, wait, |ended| {
                        Answer::Process(ended.unwrap_or(child))
                    })?;
                    Ok(())
                }
                Side::Child => {
                    end_with(parent);
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
    let parent = std::process::id();
    match process::split()? {
        Side::Parent(child) => process::wait(Some(child), true).map(drop),
        Side::Child => {
            end_with(parent);
            process::leave(client_calls(which, to, journal).is_err().into())
        }
    }
}

/// The child does not outlive this program, however that ends.
fn end_with(parent: u32) {
    if process::end_with(parent, Signal::SIGKILL).is_err() {
        process::leave(1);
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
