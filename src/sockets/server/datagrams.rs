//! Datagrams: one socket for all senders, and each new address is a client.

use std::{
    collections::{HashMap, VecDeque},
    io,
    time::Duration,
};

use super::{Mode, Plain, Server, count, open::shown};
use crate::{
    call::Address,
    sockets::{Event, Journal},
    sys::process::Shared,
};

/// Most senders that are remembered. A flood from made-up addresses must not fill the memory.
const MOST: usize = 4096;
/// The longest wait for a Unix receiver whose queue is full: it must not hold up the others.
const PATIENCE: Duration = Duration::from_millis(10);

/// Receives until it is to stop; how many senders came.
pub(super) fn run(server: &Server, plain: Plain, counters: &Shared) -> io::Result<u64> {
    if plain.mode == Mode::Receive {
        let why = "datagrams have no end after which a count could be given";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let (socket, journal) = (&server.socket, server.socket.journal());
    socket.open()?.set_write_timeout(Some(PATIENCE))?;
    let mut senders = Senders::default();
    let mut buffer = vec![0; plain.size];
    let mut heard = 0;
    while server.is_wanted(heard) {
        let datagram = match socket.recv_from(&mut buffer) {
            // A stopper has shut the socket.
            Ok(_) if server.stopping.is_asked() => break,
            Ok(datagram) => datagram,
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
            Err(error) => return Err(error),
        };
        heard += 1;
        let bytes = &buffer[..datagram.len];
        let client = senders.number(journal, &datagram.from);
        journal.tell(|| Event::Heard {
            client,
            bytes: bytes.to_vec(),
            cut: datagram.cut,
        });
        let mut sent = 0;
        if plain.mode == Mode::Echo {
            sent = answer(server, client, bytes, &datagram.from);
        }
        count(counters, bytes.len() as u64, sent);
    }
    Ok(senders.came)
}

/// Sends a datagram back; how many bytes. That one cannot be answered is told, and is no end for the others.
fn answer(server: &Server, client: u64, bytes: &[u8], to: &Address) -> u64 {
    let socket = &server.socket;
    let why = if *to == Address::Unnamed {
        "its socket is not bound to an address (a Unix datagram client has to call bind)".to_owned()
    } else {
        match socket.send_to(bytes, to) {
            Ok(len) => return len as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                "it does not read what it gets, and its queue is full".to_owned()
            }
            Err(error) => error.to_string(),
        }
    };
    let note = || Event::Note(format!("client {client} gets no answer: {why}"));
    socket.journal().tell(note);
    0
}

/// Who has sent something, with the numbers that they got.
#[derive(Default)]
struct Senders {
    numbers: HashMap<Address, u64>,
    /// In the order in which they came.
    order: VecDeque<Address>,
    came: u64,
}

impl Senders {
    /// The number of a sender; a new one has come.
    fn number(&mut self, journal: &Journal, from: &Address) -> u64 {
        if let Some(&number) = self.numbers.get(from) {
            return number;
        }
        if self.numbers.len() >= MOST
            && let Some(first) = self.order.pop_front()
        {
            if self.came == MOST as u64 {
                journal.tell(|| {
                    Event::Note(format!(
                        "{MOST} senders are remembered: whoever came first is forgotten, and would be counted again"
                    ))
                });
            }
            self.numbers.remove(&first);
        }
        self.came += 1;
        self.numbers.insert(from.clone(), self.came);
        self.order.push_back(from.clone());
        journal.tell(|| Event::Came {
            client: self.came,
            from: shown(from.clone()),
        });
        self.came
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_is_forgotten_first() {
        let mut senders = Senders::default();
        let silent = Journal::default();
        let sender = |n: usize| Address::Abstract(n.to_string().into_bytes());
        for n in 1..=MOST {
            assert_eq!(senders.number(&silent, &sender(n)), n as u64);
        }
        assert_eq!(senders.number(&silent, &sender(1)), 1);
        assert_eq!(senders.number(&silent, &sender(0)), MOST as u64 + 1);
        assert_eq!(senders.numbers.len(), MOST);
        assert_eq!(senders.number(&silent, &sender(2)), 2);
        assert_eq!(senders.number(&silent, &sender(1)), MOST as u64 + 2);
    }
}
