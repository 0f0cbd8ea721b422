//! The other end in a private network: a client that says hello, a server that sends back what it gets, or one that counts it.

use std::io;

use sockwire::{
    call::{Address, How, Kind},
    sockets::{Event, Journal, Socket, poll},
};

use super::{Exit, Failure, Program};

/// What the client says.
const HELLO: &[u8] = b"hello\n";
/// Bytes that one call takes at most; a datagram is never longer.
const SIZE: usize = 65_536;
/// How long a datagram's sender waits for an answer, in milliseconds.
const PATIENCE: u32 = 1000;

/// A client that sends a line to `server`, says that it is done, and waits for the server's end or one datagram.
pub(crate) fn hello(kind: Kind, server: Address) -> Program {
    program("say hello to the server", move |journal| {
        let socket = Socket::new(journal, server.family(), kind)?;
        match kind {
            Kind::Stream => {
                socket.connect(&server)?;
                socket.send_all(HELLO)?;
                socket.shutdown(How::Write)?;
                while socket.recv(&mut [0; SIZE])? > 0 {}
            }
            Kind::Datagram => {
                socket.send_to(HELLO, &server)?;
                if !poll(journal, &[&socket], Some(PATIENCE))?.is_empty() {
                    socket.recv_from(&mut [0; SIZE])?;
                }
            }
        }
        Ok(())
    })
}

/// A server at `server` that sends back what it gets, to one client after the other.
pub(crate) fn echo(kind: Kind, server: Address) -> Program {
    program("echo", move |journal| match kind {
        Kind::Stream => each_client(journal, server, send_back),
        Kind::Datagram => {
            let socket = bound(journal, kind, &server)?;
            journal.tell(|| Event::Listening(server));
            let mut buffer = [0; SIZE];
            loop {
                let received = socket.recv_from(&mut buffer)?;
                socket.send_to(&buffer[..received.len], &received.from)?;
            }
        }
    })
}

/// The patient receiver at `server`: it counts what it gets, and answers with the count.
pub(crate) fn receive(server: Address) -> Program {
    program("receive", move |journal| {
        each_client(journal, server, answer_count)
    })
}

fn bound(journal: &Journal, kind: Kind, server: &Address) -> io::Result<Socket> {
    let socket = Socket::new(journal, server.family(), kind)?;
    socket.bind(server)?;
    Ok(socket)
}

/// Serves one client after the other.
fn each_client(
    journal: &Journal,
    server: Address,
    serve: fn(&Socket, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let socket = bound(journal, Kind::Stream, &server)?;
    socket.listen(1)?;
    journal.tell(|| Event::Listening(server));
    let mut buffer = [0; SIZE];
    loop {
        let (client, _) = socket.accept()?;
        // That one client is gone is no reason to leave the next one alone.
        let _ = serve(&client, &mut buffer);
    }
}

fn send_back(client: &Socket, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match client.recv(buffer)? {
            0 => return Ok(()),
            len => client.send_all(&buffer[..len])?,
        }
    }
}

fn answer_count(client: &Socket, buffer: &mut [u8]) -> io::Result<()> {
    let mut count = 0_u64;
    loop {
        match client.recv(buffer)? {
            0 => return client.send_all(count.to_string().as_bytes()),
            len => count += len as u64,
        }
    }
}

/// A program that does `what`, in words for its failure.
fn program(
    what: &'static str,
    body: impl FnOnce(&Journal) -> io::Result<()> + Send + 'static,
) -> Program {
    Box::new(move |journal| {
        let done = body(journal);
        done.map(|()| Exit::Done).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("the other end cannot {what}"));
            Failure::new(Exit::NoSuch, error)
        })
    })
}
