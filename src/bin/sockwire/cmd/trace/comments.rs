//! A capture file of a trace's packets, whose comments name the calls that sent them and that got them.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use sockwire::{
    call::Fd,
    event::{Arg, CallId, Entry, Event, Packet, SocketId, Way},
    file::{WriteError, Writer},
    frame::{Direction, Frame, Interface},
    link::LinkType,
    text::Safe,
    time::Time,
    timeline::{Kernel, Tie, Tied},
};

use super::settling::Settling;
use crate::cmd::output;

/// So many calls are remembered, for packets to name them.
const CALLS: usize = 65_536;
/// So many calls are named in the comments of a packet.
const NAMED: usize = 8;

/// The file.
pub(super) struct Commented {
    writer: Writer,
    settling: Settling,
    interfaces: Vec<Arc<Interface>>,
    calls: BTreeMap<CallId, Made>,
}

/// A call, as far as comments name it.
struct Made {
    process: u32,
    fd: Option<Fd>,
    name: String,
}

impl Commented {
    /// Opens the file.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self, WriteError> {
        Ok(Self {
            writer: output::capture_file(path, force)?,
            settling: Settling::default(),
            interfaces: Vec::new(),
            calls: BTreeMap::new(),
        })
    }

    /// Takes the next entry.
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), WriteError> {
        match &entry.event {
            Event::Enter(enter) => {
                let fd = enter.args.iter().find_map(|arg| match arg {
                    Arg::Fd(fd) => Some(*fd),
                    _ => None,
                });
                let made = Made {
                    process: enter.by.process,
                    fd,
                    name: enter.name.clone().into_owned(),
                };
                self.calls.insert(enter.call, made);
                if self.calls.len() > CALLS {
                    self.calls.pop_first();
                }
            }
            Event::Interface(interface) => {
                // A file may leave numbers out; a log that was written here does not.
                let next = interface.id as usize == self.interfaces.len();
                if next {
                    self.interfaces.push(Arc::new(Interface {
                        name: Some(interface.name.clone()),
                        description: None,
                        link: interface.link,
                        snaplen: 0,
                        filter: None,
                    }));
                }
            }
            _ => {}
        }
        self.settling.push(entry);
        self.write()
    }

    /// Writes what was gathered where it is time to.
    pub(super) fn flush_if_due(&mut self, now: Time) -> Result<(), WriteError> {
        self.writer.flush_if_due(now)
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<(), WriteError> {
        self.settling.finish();
        self.write()?;
        self.writer.finish(&[]).map(drop)
    }

    fn write(&mut self) -> Result<(), WriteError> {
        while let Some(entry) = self.settling.settled() {
            let Event::Packet(packet) = &entry.event else {
                continue;
            };
            let tied = self.settling.join.packet(packet.number);
            let mut comments = tied.map(|tied| self.comments(tied)).unwrap_or_default();
            if let Some(why) = &packet.lost {
                let why = Safe(why.as_bytes());
                comments.push(format!("the wire dropped this packet: {why}"));
            }
            let link = self.interfaces.get(packet.interface as usize);
            let link = link.map_or(LinkType::ETHERNET, |interface| interface.link);
            let frame = frame(packet, entry.at, link);
            let comments = comments.iter().map(String::as_str);
            self.writer.write(&frame, &self.interfaces, comments)?;
        }
        Ok(())
    }

    /// Who sent it, and who got it.
    fn comments(&self, tied: &Tied) -> Vec<String> {
        let mut comments = self.ties("", &tied.causes);
        match tied.kernel {
            Some(kernel) => comments.push(self.kernel(kernel, tied.sender)),
            None if tied.causes.is_empty() && tied.sender.is_none() => {
                comments.push("sent by a program that is not traced".to_owned());
            }
            None => {}
        }
        if tied.again {
            comments.push("sent before, and now again".to_owned());
        }
        comments.extend(self.ties("got by ", &tied.takers));
        comments
    }

    fn ties(&self, word: &str, ties: &[Tie]) -> Vec<String> {
        let named = ties.iter().take(NAMED);
        let named =
            named.map(|tie| format!("{word}{} ({})", self.call(tie.call), tie.ground.word()));
        let more = ties.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("{word}{more} more calls"));
        named.chain(more).collect()
    }

    /// `python3[71] fd 3: send #12`.
    fn call(&self, call: CallId) -> String {
        let Some(made) = self.calls.get(&call) else {
            return format!("call #{call}");
        };
        let who = self.process(made.process);
        let fd = made.fd.map(|fd| format!(" fd {fd}")).unwrap_or_default();
        format!("{who}{fd}: {} #{call}", Safe(made.name.as_bytes()))
    }

    fn process(&self, process: u32) -> String {
        let known = self.settling.known.processes.get(&process);
        let name = known.map_or("", |known| &known.name);
        format!("{}[{process}]", Safe(name.as_bytes()))
    }

    fn kernel(&self, kernel: Kernel, _sender: Option<SocketId>) -> String {
        let words = match kernel {
            Kernel::SynAck => "answers for the socket that listens".to_owned(),
            Kernel::Ack(Some(call)) => format!("acknowledges {}", self.call(call)),
            Kernel::Ack(None) => "acknowledges".to_owned(),
            Kernel::WindowUpdate => "window update".to_owned(),
            Kernel::DuplicateAck => "acknowledges the same again: something is missing".to_owned(),
            Kernel::KeepAlive => "keep-alive".to_owned(),
            Kernel::WindowProbe => "window probe".to_owned(),
            Kernel::NoSocket => "no socket is there".to_owned(),
            Kernel::Reset => "reset".to_owned(),
            Kernel::Error => "error".to_owned(),
        };
        format!("kernel: {words}")
    }
}

fn frame(packet: &Packet, time: Time, link: LinkType) -> Frame<'_> {
    Frame {
        number: packet.number,
        time,
        link,
        interface: packet.interface,
        direction: match packet.way {
            Way::Out => Direction::Out,
            // Of the two copies of a loopback interface, the received one is kept.
            Way::In | Way::Loop => Direction::In,
            Way::Wire => Direction::Unknown,
        },
        checksum: packet.checksum,
        wire_len: packet.wire_len,
        bytes: &packet.bytes,
    }
}
