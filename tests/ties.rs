//! Ties of packets to calls that only the kernel's queues explain: of bytes that wait while a program is attached to, or while
//! it runs another one.
#![allow(clippy::unwrap_used)]

mod beside;
mod lan;

use std::{fs, net::TcpStream, ops::Range, process::Command};

use beside::{Running, limited};
use lan::{Scratch, in_own_network, testing};
use sockwire::{
    event::{CallId, Deed, Enter, Event, PacketId, SocketId},
    file::log,
    timeline::{
        Ground, Share, Tie,
        join::Join,
        known::Known,
        seen::{Reader, Segment, What},
    },
};

/// Both ends of a connection, of which nothing but zeros is sent: no content tells one byte from another. It waits, with bytes
/// in all queues, until somebody connects to it.
const PROGRAM: &str = "
import os, socket, struct
server = socket.create_server(('127.0.0.1', 5000))
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
writer = socket.socket()
writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
writer.connect(('127.0.0.1', 5000))
reader, _ = server.accept()
writer.setblocking(False)
def write(size):
    try: return writer.send(bytes(size))
    except BlockingIOError: return 0
def on_its_way():
    info = writer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from('=I', info, 24)[0]
written = write(1500)
read = len(reader.recv(300))
while (more := write(1500)) or on_its_way(): written += more
print(os.getpid(), written, read, flush=True)
server.accept()
end = written + 20000
while written < end:
    read += len(reader.recv(700))
    written += write(min(1000, end - written))
writer.shutdown(socket.SHUT_WR)
while reader.recv(700): pass
";

/// A log, and what is made of it.
struct Log {
    events: Vec<Event>,
    /// Those with data, and FINs.
    segments: Vec<(PacketId, Segment)>,
    join: Join,
}

impl Log {
    fn read(path: &str) -> Self {
        let mut reader = log::Reader::open(path.as_ref()).unwrap();
        let (mut known, mut packets) = (Known::default(), Reader::default());
        let mut all = Self {
            events: Vec::new(),
            segments: Vec::new(),
            join: Join::default(),
        };
        while let Some(entry) = reader.entry().unwrap() {
            known.push(&entry);
            let seen = packets.read(&entry, &known);
            all.join.push(&entry, seen.as_ref(), &known);
            if let (Event::Packet(packet), Some(seen)) = (&entry.event, seen)
                && let What::Segment(segment) = seen.what
                && (segment.len > 0 || segment.fin)
            {
                all.segments.push((packet.number, segment));
            }
            all.events.push(entry.event);
        }
        all
    }
}

/// The interpreter that programs here are written for.
fn python() -> Option<&'static str> {
    const PYTHON: &str = "/usr/bin/python3";
    if !fs::exists(PYTHON).unwrap() {
        testing::skipped(format_args!("there is no {PYTHON}"));
        return None;
    }
    Some(PYTHON)
}

/// Which bytes of the stream calls with this deed have moved, the first of them from `at` on.
fn moved(events: &[Event], socket: SocketId, deed: Deed, mut at: u64) -> Vec<(CallId, Range<u64>)> {
    let mut calls = Vec::new();
    for event in events {
        let Event::Enter(enter) = event else { continue };
        if enter.socket != Some(socket) || enter.deed != deed {
            continue;
        }
        let moved = events.iter().find_map(|event| match event {
            Event::Return(back) if back.call == enter.call => Some(back.moved),
            _ => None,
        });
        let start = at;
        at += moved.unwrap();
        calls.push((enter.call, start..at));
    }
    calls
}

/// What of `bytes` each call has moved.
fn shares(calls: &[(CallId, Range<u64>)], bytes: &Range<u64>) -> Vec<(CallId, Range<u64>)> {
    let parts = calls
        .iter()
        .map(|(call, all)| (*call, all.start.max(bytes.start)..all.end.min(bytes.end)));
    parts.filter(|(_, part)| !part.is_empty()).collect()
}

fn bytes(ties: &[Tie]) -> Vec<(CallId, Range<u64>)> {
    let parts = ties.iter().filter_map(|tie| match &tie.share {
        Share::Bytes(bytes) => Some((tie.call, bytes.clone())),
        _ => None,
    });
    parts.collect()
}

#[test]
fn what_was_queued_before_is_not_tied_to_later_calls() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("attach-queued");
        let path = files.file("talk.log");
        let mut command = limited(python);
        command.args(["-c", PROGRAM]);
        let mut program = Running::spawn(command);
        let ready = program.until("");
        let numbers: Vec<u64> = ready
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        let [process, written, read] = numbers[..] else {
            panic!("{ready}")
        };
        assert!(written > 4000 && read == 300, "{ready}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
        let process = process.to_string();
        command.args(["trace", "--lines", "--save", &path, "-p", &process]);
        let mut tracing = Running::start(command, "accept4(");
        let _third = TcpStream::connect("127.0.0.1:5000").unwrap();
        tracing.until(" calls, ");

        let Log {
            events,
            mut segments,
            join,
        } = Log::read(&path);
        let find = |deed| {
            events.iter().find_map(|event| match event {
                Event::Enter(enter) if enter.deed == deed => enter.socket,
                _ => None,
            })
        };
        let writer = find(Deed::Send).unwrap();
        segments.retain(|(number, _)| {
            join.packet(*number)
                .is_some_and(|tied| tied.sender == Some(writer))
        });
        let sends = moved(&events, writer, Deed::Send, written);
        let receives = moved(&events, find(Deed::Receive).unwrap(), Deed::Receive, read);
        let total = sends.last().unwrap().1.end;
        assert_eq!(total, written + 20_000);
        assert_eq!(receives.last().unwrap().1.end, total);

        // The FIN stands behind the last byte: from there each segment's place is known.
        let fin = segments.iter().find(|(_, segment)| segment.fin).unwrap().1;
        let end = fin.seq.wrapping_add(fin.len);
        let (mut upto, mut tied) = (None, 0);
        for (number, segment) in segments {
            let start = total - u64::from(end.wrapping_sub(segment.seq));
            let all = start..start + u64::from(segment.len);
            let ties = join.packet(number).unwrap();
            assert_eq!(bytes(&ties.causes), shares(&sends, &all), "packet {number}");
            let fresh = all.start.max(upto.unwrap_or(all.start))..all.end;
            upto = upto.max(Some(all.end));
            assert_eq!(
                bytes(&ties.takers),
                shares(&receives, &fresh),
                "packet {number}"
            );
            tied += ties.causes.len();
        }
        assert!(tied > 20, "{tied}");
    });
}

/// It runs another program, and with that closes a connection; the child, which takes nothing before, then has much to read.
const RUNNER: &str = "
import os, socket
server = socket.create_server(('127.0.0.1', 5000))
until_child_ends, ends = os.pipe()
if os.fork() == 0:
    reader, _ = server.accept()
    server.close()
    while 'python' in open(f'/proc/{os.getppid()}/comm').read(): pass
    while reader.recv(65536): pass
    os._exit(0)
server.close()
writer = socket.create_connection(('127.0.0.1', 5000))
writer.setblocking(False)
try:
    while writer.send(bytes(65536)): pass
except BlockingIOError: pass
try: os.execv('/nowhere', ['nowhere'])
except FileNotFoundError: pass
os.dup2(until_child_ends, 0)
os.execv('/bin/cat', ['cat'])
";

#[test]
fn a_fin_that_goes_long_after_a_program_was_run_is_of_that_call() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("exec-fin");
        let path = files.file("talk.log");
        let mut command = limited(env!("CARGO_BIN_EXE_sockwire"));
        command.args(["trace", "--quiet", "--save", &path, python, "-c", RUNNER]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = Log::read(&path);
        let execve = |event: &Event| match event {
            Event::Enter(Enter { call, name, .. }) if name == "execve" => Some(*call),
            _ => None,
        };
        let calls: Vec<CallId> = log.events.iter().filter_map(execve).collect();
        let &[_, call] = &calls[..] else {
            panic!("{calls:?}")
        };
        let (fin, _) = log
            .segments
            .iter()
            .find(|(_, segment)| segment.fin)
            .unwrap();
        let ran = log
            .events
            .iter()
            .position(|event| matches!(event, Event::Exec(_)));
        let ended = log
            .events
            .iter()
            .position(|event| matches!(event, Event::Packet(packet) if packet.number == *fin));
        assert!(ran.unwrap() < ended.unwrap());
        let causes = &log.join.packet(*fin).unwrap().causes;
        let (share, ground) = (Share::Fin, Ground::LastClose);
        assert!(
            causes.contains(&Tie {
                call,
                share,
                ground
            }),
            "{causes:?}"
        );
    });
}
