//! The other end in a private network: a client that says hello, or a server that sends back what it gets.

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
    program("echo", move |journal| {
        let socket = Socket::new(journal, server.family(), kind)?;
        socket.bind(&server)?;
        if kind == Kind::Stream {
            socket.listen(1)?;
        }
        journal.tell(|| Event::Listening(server));
        let mut buffer = [0; SIZE];
        loop {
            match kind {
                Kind::Datagram => {
                    let received = socket.recv_from(&mut buffer)?;
                    socket.send_to(&buffer[..received.len], &received.from)?;
                }
                Kind::Stream => {
                    let (client, _) = socket.accept()?;
                    // That one client is gone is no reason to leave the next one alone.
                    let _ = send_back(&client, &mut buffer);
                }
            }
        }
    })
}

fn send_back(client: &Socket, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match client.recv(buffer)? {
            0 => return Ok(()),
            len => client.send_all(&buffer[..len])?,
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
