//! What a server tells, in lines.

use std::{io, time::Duration};

use sockwire::{
    call::Address,
    sockets::{
        End, Event, Told,
        server::{Style, Totals},
    },
    text::{Safe, ascii, plain, push_lines},
};

use super::{super::output, Kind};

/// Words what one server tells.
pub(super) struct Lines {
    pub(super) kind: Kind,
    pub(super) style: Style,
    /// An IPv6 socket takes IPv4 as well.
    pub(super) both: bool,
    /// Received bytes go to standard output as they are, and lines to stderr.
    pub(super) print: bool,
    pub(super) recv_size: usize,
    pub(super) ascii: bool,
    /// Standard output is a terminal.
    pub(super) is_terminal: bool,
}

impl Lines {
    /// Lines for standard output. With `print` they are written to stderr here, and received bytes are for it.
    pub(super) fn put(&self, told: &Told) -> Vec<u8> {
        let printed = match &told.event {
            Event::Heard { bytes, cut, .. } if self.print => {
                let printed = self.printed(bytes);
                // Only what the bytes do not show is told besides.
                if !bytes.is_empty() && !cut {
                    return printed;
                }
                printed
            }
            _ => Vec::new(),
        };
        let Some(mut line) = self.line(told) else {
            return printed;
        };
        if self.ascii {
            line = ascii(&line);
        }
        if self.print {
            output::talk(line);
            return printed;
        }
        line.push('\n');
        line.into_bytes()
    }

    fn line(&self, told: &Told) -> Option<String> {
        Some(match &told.event {
            Event::Calling(_) | Event::Called(_) => return None,
            Event::Listening(address) => self.listening(address),
            Event::Came { client, from } => {
                let by = match self.style {
                    _ if self.kind.is_datagram() => String::new(),
                    Style::Fork => format!(", process {}", told.by.process),
                    Style::Thread => format!(", thread {}", told.by.thread),
                    Style::Sequential | Style::Poll => String::new(),
                };
                format!("client {client} from {from}{by}")
            }
            Event::Heard { client, bytes, cut } => self.heard(*client, bytes, *cut),
            Event::Left {
                client,
                received,
                sent,
                end,
            } => {
                let received = bytes_word(*received);
                format!(
                    "client {client} {}; {received} received, {sent} sent",
                    how(end)
                )
            }
            Event::Note(note) => note.chars().map(plain).collect(),
        })
    }

    fn listening(&self, address: &Address) -> String {
        let also = match address {
            Address::Ip(address) if self.both && address.is_ipv6() => " and the same port of IPv4",
            _ => "",
        };
        let how = match self.style {
            _ if self.kind.is_datagram() => "one socket for all",
            Style::Sequential => "one client after the other",
            Style::Fork => "each client by a process",
            Style::Thread => "each client by a thread",
            Style::Poll => "all clients by poll",
        };
        format!("{} on {address}{also}, {how}; Ctrl-C ends", self.kind)
    }

    fn heard(&self, client: u64, bytes: &[u8], cut: bool) -> String {
        let len = bytes_word(bytes.len() as u64);
        let text = Safe(bytes);
        match (self.kind.is_datagram(), bytes.is_empty(), cut) {
            (false, ..) => format!("client {client}: {len} \"{text}\""),
            (true, true, false) => format!(
                "client {client}: empty datagram; it has no data, and is no disconnect: datagrams have none"
            ),
            (true, _, false) => format!("client {client}: datagram of {len} \"{text}\""),
            (true, _, true) => format!(
                "client {client}: datagram cut to {len} \"{text}\": it was longer than --recv-size {}, and the rest is gone",
                self.recv_size
            ),
        }
    }

    /// Received bytes as they are; made safe for a terminal, where a character that goes on in the next piece is shown in
    /// two halves.
    fn printed(&self, bytes: &[u8]) -> Vec<u8> {
        if !self.is_terminal {
            return bytes.to_vec();
        }
        let mut text = String::new();
        let left = push_lines(bytes, &mut text);
        text += &Safe(&bytes[bytes.len() - left..]).to_string();
        if self.ascii {
            text = ascii(&text);
        }
        text.into_bytes()
    }
}

/// How a client left.
fn how(end: &End) -> String {
    match end {
        End::Closed => "closed".to_owned(),
        End::Ended => "was ended by this server".to_owned(),
        End::Failed(libc::ECONNRESET) => "reset the connection (RST)".to_owned(),
        End::Failed(libc::EPIPE) => "was gone before all was sent (EPIPE)".to_owned(),
        End::Failed(errno) => format!("was lost: {}", io::Error::from_raw_os_error(*errno)),
    }
}

fn bytes_word(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    }
}

/// The last line.
pub(super) fn totals(totals: &Totals, time: Duration) -> String {
    let clients = match totals.clients {
        1 => "1 client".to_owned(),
        clients => format!("{clients} clients"),
    };
    let received = bytes_word(totals.received);
    format!(
        "{clients}, {received} received, {} sent, in {:.3} s",
        totals.sent,
        time.as_secs_f64()
    )
}
