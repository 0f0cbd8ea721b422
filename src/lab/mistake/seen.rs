//! What was seen of a run: frames, calls and remarks in order of time, and the questions that the sentences ask of them.

use super::super::{Event, scenario::Host, wire::What};
use crate::{
    call::{Answer, Call, Called},
    sockets::{self, Told},
    time::{MILLISECOND, Time},
};

/// A frame on the wire.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Counted from 1, as the rows of the ladder are.
    pub number: u64,
    /// When it left its sender.
    pub time: Time,
    /// Its sender.
    pub from: Host,
    /// The kinds that it is of.
    pub what: Vec<What>,
    /// It has come to the other host.
    pub arrived: bool,
}

/// A call that returned, or a remark.
#[derive(Clone, Debug)]
pub struct Said {
    /// When a call began; of a remark, when it was made.
    pub time: Time,
    /// On which host.
    pub host: Host,
    /// Not by the host's program itself: by a process that it made.
    pub by_child: bool,
    /// What was said.
    pub said: Result<Called, String>,
}

/// Everything that was seen of a run.
#[derive(Debug, Default)]
pub struct Seen {
    /// Frames, in order of time.
    pub events: Vec<Event>,
    /// What the programs said, in the order in which it stands beside the frames.
    pub said: Vec<Said>,
    packets: Vec<Packet>,
}

/// A duration in words: `"20.1 ms"`, `"0.02 ms"`, `"0.004 ms"`.
pub fn ms(nanos: i64) -> String {
    let places = match nanos {
        ..10_000 => 3,
        10_000..10_000_000 => 2,
        _ => 1,
    };
    format!("{:.places$} ms", nanos as f64 / MILLISECOND as f64)
}

impl Said {
    /// What a host's program told, or a process that it made; nothing of what stands in no ladder.
    pub(super) fn of((host, told): (Host, Told)) -> Option<Self> {
        let said = match told.event {
            sockets::Event::Called(called) => Ok(called),
            sockets::Event::Note(text) => Err(text),
            _ => return None,
        };
        Some(Self {
            time: told.time,
            host,
            by_child: told.by.process != std::process::id(),
            said,
        })
    }

    /// The call, if it is one.
    pub fn called(&self) -> Option<&Called> {
        self.said.as_ref().ok()
    }

    /// Where it stands beside the frames: what waits for a frame after it, what makes one go out before it.
    pub fn place(&self) -> Time {
        match self.called().map(|called| &called.call) {
            Some(
                Call::Accept { .. }
                | Call::Recv { .. }
                | Call::RecvFrom { .. }
                | Call::Poll { .. }
                | Call::WaitPid { .. },
            ) => self.end(),
            _ => self.time,
        }
    }

    /// When the call returned.
    pub fn end(&self) -> Time {
        self.time.plus(self.took())
    }

    /// Nanoseconds from the call to its return; 0 of a remark.
    pub(super) fn took(&self) -> i64 {
        self.called().map_or(0, |call| call.took)
    }
}

impl Seen {
    /// Puts what was told into its order, and the frames into words.
    pub(super) fn put_in_order(&mut self, mut said: Vec<Said>) {
        said.sort_by_key(|said| (said.place(), said.by_child));
        self.said = said;
        for event in &self.events {
            match event {
                Event::Sent(transit) => self.packets.push(Packet {
                    number: transit.number,
                    time: transit.time,
                    from: transit.from,
                    what: What::of(&transit.bytes).collect(),
                    arrived: false,
                }),
                Event::Delivered { number, .. } => {
                    let mut packets = self.packets.iter_mut();
                    if let Some(packet) = packets.find(|packet| packet.number == *number) {
                        packet.arrived = true;
                    }
                }
                _ => {}
            }
        }
    }

    /// Frames of a kind from a host.
    pub(super) fn packets(&self, from: Host, what: What) -> impl Iterator<Item = &Packet> {
        let packets = self.packets.iter();
        packets.filter(move |packet| packet.from == from && packet.what.contains(&what))
    }

    /// All frames.
    pub(super) fn all_packets(&self) -> &[Packet] {
        &self.packets
    }

    /// Calls of a host that are as `wanted`.
    pub(super) fn calls(
        &self,
        host: Host,
        wanted: impl Fn(&Called) -> bool,
    ) -> impl Iterator<Item = &Said> {
        let said = self.said.iter().filter(move |said| said.host == host);
        said.filter(move |said| said.called().is_some_and(&wanted))
    }

    /// Results of a host's `recv` and `recvfrom` that gave bytes, or nothing; their lengths.
    pub(super) fn received(&self, host: Host) -> Vec<usize> {
        let calls = self.said.iter().filter(|said| said.host == host);
        let lengths = calls.filter_map(|said| received(said.called()?));
        lengths.collect()
    }

    /// Calls of a host that failed with this error.
    pub(super) fn failed(&self, host: Host, error: i32) -> impl Iterator<Item = &Said> {
        self.calls(host, move |call| call.result == Err(error))
    }

    /// Remarks of the programs.
    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        let notes = self.said.iter();
        notes.filter_map(|said| said.said.as_ref().err().map(String::as_str))
    }
}

/// The only sentence, where it is borne out.
pub(super) fn only_if(borne_out: bool, sentence: impl Into<String>) -> Vec<String> {
    borne_out.then(|| sentence.into()).into_iter().collect()
}

/// Bytes that a call received.
pub(super) fn received(call: &Called) -> Option<usize> {
    match &call.result {
        Ok(Answer::Data(data) | Answer::Datagram(data, ..)) => Some(data.len),
        _ => None,
    }
}
