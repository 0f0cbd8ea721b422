//! A trace as JSON lines: the entries of its log, and between them the ties of packets and calls.

use serde::Serialize;
use sockwire::{
    event::{CallId, Entry, Event, PacketId, SocketId},
    export::json::put,
    timeline::{Effects, Kernel, Share, Tie, Tied},
};

use super::{Failure, settling::Settling, view::View};

/// A line between entries.
#[derive(Serialize)]
struct Line {
    tie: Subject,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Subject {
    /// How a packet is tied.
    Packet {
        packet: PacketId,
        #[serde(skip_serializing_if = "Option::is_none")]
        sender: Option<SocketId>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        causes: Vec<ToCall>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kernel: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        acks: Option<CallId>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        receiver: Option<SocketId>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        takers: Vec<ToCall>,
    },
    /// What a call returned.
    Call { call: CallId, took: Vec<ToPacket> },
}

#[derive(Serialize)]
struct ToCall {
    call: CallId,
    share: Part,
    ground: &'static str,
}

#[derive(Serialize)]
struct ToPacket {
    packet: PacketId,
    share: Part,
    ground: &'static str,
}

/// [`Share`] in JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Syn,
    Bytes([u64; 2]),
    Fin,
    Reset,
    Datagram,
}

impl From<&Share> for Part {
    fn from(share: &Share) -> Self {
        match share {
            Share::Syn => Self::Syn,
            Share::Bytes(range) => Self::Bytes([range.start, range.end]),
            Share::Fin => Self::Fin,
            Share::Reset => Self::Reset,
            Share::Datagram => Self::Datagram,
        }
    }
}

fn of_packet(packet: PacketId, tied: &Tied) -> Subject {
    let calls = |ties: &[Tie]| {
        let calls = ties.iter().map(|tie| ToCall {
            call: tie.call,
            share: Part::from(&tie.share),
            ground: tie.ground.word(),
        });
        calls.collect()
    };
    Subject::Packet {
        packet,
        sender: tied.sender,
        causes: calls(&tied.causes),
        kernel: tied.kernel.map(kernel),
        acks: match tied.kernel {
            Some(Kernel::Ack(call)) => call,
            _ => None,
        },
        again: tied.again,
        receiver: tied.receiver,
        takers: calls(&tied.takers),
    }
}

fn of_call(call: CallId, effects: &Effects) -> Subject {
    let took = effects.took.iter().map(|(packet, share, ground)| ToPacket {
        packet: *packet,
        share: Part::from(share),
        ground: ground.word(),
    });
    Subject::Call {
        call,
        took: took.collect(),
    }
}

const fn kernel(kernel: Kernel) -> &'static str {
    match kernel {
        Kernel::SynAck => "syn_ack",
        Kernel::Ack(_) => "ack",
        Kernel::WindowUpdate => "window_update",
        Kernel::DuplicateAck => "duplicate_ack",
        Kernel::KeepAlive => "keep_alive",
        Kernel::WindowProbe => "window_probe",
        Kernel::NoSocket => "no_socket",
        Kernel::Reset => "reset",
        Kernel::Error => "error",
    }
}

/// Entries and ties.
#[derive(Default)]
pub(super) struct Json {
    settling: Settling,
}

impl Json {
    fn settled(&mut self, out: &mut String) {
        while let Some(entry) = self.settling.settled() {
            let Event::Packet(packet) = &entry.event else {
                continue;
            };
            if let Some(tied) = self.settling.join.packet(packet.number) {
                let tie = of_packet(packet.number, tied);
                line(&Line { tie }, out);
            }
        }
    }
}

impl View for Json {
    fn entry(&mut self, entry: &Entry, out: &mut String) {
        self.settling.push(entry);
        if let Event::End(_) = &entry.event {
            // It is the last line.
            self.settled(out);
        }
        line(entry, out);
        if let Event::Return(back) = &entry.event
            && let Some(effects) = self.settling.join.call(back.call)
            && !effects.took.is_empty()
        {
            let tie = of_call(back.call, effects);
            line(&Line { tie }, out);
        }
        self.settled(out);
    }

    fn finish(&mut self, out: &mut String) -> Result<(), Failure> {
        self.settling.finish();
        self.settled(out);
        Ok(())
    }
}

fn line(value: &impl Serialize, out: &mut String) {
    let mut bytes = Vec::new();
    put(&mut bytes, value);
    out.push_str(&String::from_utf8_lossy(&bytes));
    out.push('\n');
}
