//! What calls are decoded to, from memory made by hand.

#![allow(clippy::unwrap_used)]

mod hostile;
mod rows;

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::{
    call::How,
    trace::{Wanted, table},
};

/// Memory made of pieces at addresses; counts how often and how much is read.
#[derive(Default)]
struct Fake {
    pieces: Vec<(u64, Vec<u8>)>,
    readings: Cell<usize>,
    bytes: Cell<usize>,
}

impl Memory for Fake {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        self.readings.set(self.readings.get() + 1);
        let piece = self.pieces.iter().find_map(|(start, bytes)| {
            let skipped = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(skipped..).filter(|rest| !rest.is_empty())
        });
        let Some(piece) = piece else {
            return 0;
        };
        let len = piece.len().min(buffer.len());
        buffer[..len].copy_from_slice(&piece[..len]);
        self.bytes.set(self.bytes.get() + len);
        len
    }
}

const HELLO: u64 = 0x1000;
const ADDRESS: u64 = 0x2000;
const SIXTEEN: u64 = 0x3000;
const IOVECS: u64 = 0x4000;
const MESSAGE: u64 = 0x5000;
const MESSAGES: u64 = 0x6000;
const ONE: u64 = 0x7000;
const POLLS: u64 = 0x8000;
const SET: u64 = 0x9000;
const EVENTS: u64 = 0xa000;
const PAIR: u64 = 0xb000;
const TIME: u64 = 0xc000;
const OFFSET: u64 = 0xd000;
const CONTROL: u64 = 0xe000;
const MAPPED: u64 = 0xf000;

fn ints(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

/// 10.0.0.1:5000.
fn address() -> Vec<u8> {
    let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&[0x13, 0x88, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// The same as an IPv6 socket has it.
fn mapped() -> Vec<u8> {
    let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&[0x13, 0x88, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]);
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// A `struct msghdr` with everything in it.
fn header(flags: u64) -> Vec<u8> {
    longs(&[ADDRESS, 16, IOVECS, 2, CONTROL, 24, flags])
}

fn memory() -> Fake {
    let mut messages = header(0);
    messages.extend(longs(&[5]));
    messages.extend(header(0));
    messages.extend(longs(&[2]));
    let mut control = longs(&[24]);
    control.extend(ints(&[
        libc::SOL_SOCKET as u32,
        libc::SCM_RIGHTS as u32,
        7,
        8,
    ]));
    let poll = |fd: u32, events: i16, came: i16| {
        let events = u32::from(events as u16) | u32::from(came as u16) << 16;
        ints(&[fd, events.to_le()])
    };
    let mut events = ints(&[libc::EPOLLIN as u32]);
    events.resize(size_of::<libc::epoll_event>() - 8, 0);
    events.extend(longs(&[5]));
    let pieces = vec![
        (HELLO, b"hello".to_vec()),
        (ADDRESS, address()),
        (MAPPED, mapped()),
        (SIXTEEN, ints(&[16])),
        (IOVECS, longs(&[HELLO, 2, HELLO + 2, 3])),
        (MESSAGE, header(0)),
        (MESSAGES, messages),
        (ONE, ints(&[1])),
        (
            POLLS,
            [
                poll(3, libc::POLLIN, libc::POLLIN | libc::POLLHUP),
                poll(4, libc::POLLOUT, 0),
            ]
            .concat(),
        ),
        (SET, longs(&[0b11000])),
        (EVENTS, events),
        (PAIR, ints(&[4, 5])),
        (TIME, longs(&[1, 500_000])),
        (OFFSET, longs(&[10])),
        (CONTROL, control),
    ];
    Fake {
        pieces,
        ..Fake::default()
    }
}

/// Arguments as text, and below them nothing that is not in the log.
fn shown(args: &[Arg], parts: &[Part]) -> String {
    let one = |arg: &Arg| match arg {
        Arg::Fd(fd) => fd.to_string(),
        Arg::Number(number) => number.to_string(),
        Arg::Word(word) | Arg::Memory(word) => word.to_string(),
        Arg::Address(None) => "NULL".to_owned(),
        Arg::Address(Some(address)) => format!("<{address}>"),
        Arg::Data(n) => {
            let data = &parts[*n as usize].data;
            format!("{:?}", String::from_utf8_lossy(&data.head))
        }
        Arg::Text(text) => format!("{text:?}"),
        Arg::Group(args) => format!("{{{}}}", shown(args, parts)),
    };
    args.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn registers(args: &[u64]) -> [u64; 6] {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    all
}

/// A call and its return as text: `recv(3, buffer, 5, 0) = 5 "hello"`.
fn line(number: libc::c_long, args: &[u64], stream: bool, value: i64, memory: &Fake) -> String {
    let syscall = table::find(number).unwrap();
    let args = registers(args);
    let asked = asked(syscall, args, memory, stream).unwrap();
    let answered = answered(syscall, args, value, memory, &asked, stream);
    let (name, args) = (&asked.name, shown(&asked.args, &asked.parts));
    let out = shown(&answered.out, &answered.parts);
    let result = match answered.result {
        Ok(value) => value.to_string(),
        Err(error) => call_error(error),
    };
    format!("{name}({args}) = {result} {out}")
        .trim_end()
        .to_owned()
}

fn call_error(error: i32) -> String {
    format!("-1 {}", crate::call::Errno(error).name())
}

/// One call's two halves.
fn both(
    number: libc::c_long,
    args: &[u64],
    stream: bool,
    value: i64,
    memory: &Fake,
) -> (Asked, Answered) {
    let syscall = table::find(number).unwrap();
    let args = registers(args);
    let asked = asked(syscall, args, memory, stream).unwrap();
    let answered = answered(syscall, args, value, memory, &asked, stream);
    (asked, answered)
}

#[test]
fn what_changes_no_descriptor_is_not_told_of() {
    let none = |number: libc::c_long, args: &[u64]| {
        let syscall = table::find(number).unwrap();
        asked(syscall, registers(args), &memory(), true).is_none()
    };
    assert!(none(libc::SYS_fcntl, &[3, libc::F_GETFD as u64]));
    assert!(none(libc::SYS_ioctl, &[3, libc::FIONREAD]));
    assert!(none(
        libc::SYS_close_range,
        &[3, 9, u64::from(libc::CLOSE_RANGE_CLOEXEC)]
    ));
    assert!(none(libc::SYS_preadv2, &[3, IOVECS, 2, 0]));
    assert!(table::find(libc::SYS_getpid).is_none());
    assert!(table::find(-1).is_none() && table::find(i64::MAX).is_none());
}

#[test]
fn descriptors_that_open_and_close() {
    let memory = memory();
    let (_, answered) = both(libc::SYS_socketpair, &[1, 1, 0, PAIR], true, 0, &memory);
    assert_eq!(answered.new_fds, [4, 5]);
    let (_, answered) = both(libc::SYS_accept, &[3, 0, 0], true, 4, &memory);
    assert_eq!(answered.new_fds, [4]);
    let (_, answered) = both(libc::SYS_accept, &[3, 0, 0], true, -11, &memory);
    assert_eq!((answered.result, answered.new_fds.len()), (Err(11), 0));
    let (asked, _) = both(libc::SYS_close, &[3], true, 0, &memory);
    assert_eq!((asked.fd, asked.closes), (Some(3), Closes::Fd(3)));
    let (asked, answered) = both(libc::SYS_dup3, &[3, 9, 0], true, 9, &memory);
    assert_eq!((asked.fd, asked.closes), (Some(3), Closes::Fd(9)));
    assert_eq!(answered.new_fds, [9]);
    let (asked, _) = both(
        libc::SYS_close_range,
        &[3, u64::from(u32::MAX)],
        true,
        0,
        &memory,
    );
    assert_eq!(asked.closes, Closes::Range(3, u32::MAX));
    let (_, answered) = both(libc::SYS_recvmsg, &[3, MESSAGE, 0], true, 5, &memory);
    assert_eq!(answered.new_fds, [7, 8]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_descriptor_that_becomes_itself_stays_open() {
    let (asked, _) = both(libc::SYS_dup2, &[3, 3], true, 3, &memory());
    assert_eq!(asked.closes, Closes::None);
}

#[test]
fn a_descriptor_is_known_before_anything_is_decoded() {
    let fds = |number: libc::c_long, args: &[u64]| {
        let syscall = table::find(number).unwrap();
        syscall.descriptors(&registers(args)).collect::<Vec<_>>()
    };
    assert_eq!(fds(libc::SYS_write, &[3, HELLO, 5]), [3]);
    assert_eq!(fds(libc::SYS_dup3, &[3, 9]), [3, 9]);
    assert_eq!(fds(libc::SYS_splice, &[3, 0, 5]), [3, 5]);
    assert_eq!(fds(libc::SYS_epoll_ctl, &[6, 1, 3]), [6, 3]);
    assert!(fds(libc::SYS_socket, &[2, 1, 0]).is_empty());
    assert!(fds(libc::SYS_fcntl, &[3, libc::F_GETFD as u64]).is_empty());
}

#[test]
fn bytes_of_a_stream_are_counted_whatever_is_returned() {
    let memory = memory();
    let moved = |number, args: &[u64], stream, value| {
        let (_, answered) = both(number, args, stream, value, &memory);
        answered.moved
    };
    assert_eq!(
        moved(libc::SYS_sendmmsg, &[3, MESSAGES, 2, 0], true, 2),
        5 + 2
    );
    assert_eq!(
        moved(libc::SYS_recvmmsg, &[3, MESSAGES, 2, 0, 0], true, 2),
        5 + 2
    );
    assert_eq!(moved(libc::SYS_sendfile, &[3, 5, 0, 4096], true, 100), 100);
    assert_eq!(moved(libc::SYS_sendto, &[3, HELLO, 5], true, 3), 3);
    assert_eq!(moved(libc::SYS_sendto, &[3, HELLO, 5], true, -11), 0);
    // Datagrams are counted one by one.
    assert_eq!(moved(libc::SYS_sendto, &[3, HELLO, 5], false, 5), 0);
    // What was only looked at is still there.
    let peek = libc::MSG_PEEK as u64;
    assert_eq!(moved(libc::SYS_recvfrom, &[3, HELLO, 5, peek], true, 5), 0);
}

#[test]
fn what_a_call_does() {
    let deed = |number, args: &[u64]| both(number, args, true, 0, &memory()).0.deed;
    let peek = libc::MSG_PEEK as u64;
    assert_eq!(
        deed(libc::SYS_recvfrom, &[3, HELLO, 5, peek, 0]),
        Deed::Peek
    );
    assert_eq!(deed(libc::SYS_recvmsg, &[3, MESSAGE, peek]), Deed::Peek);
    assert_eq!(deed(libc::SYS_sendto, &[3, HELLO, 5, peek, 0]), Deed::Send);
    assert_eq!(deed(libc::SYS_shutdown, &[3, 0]), Deed::Shutdown(How::Read));
    assert_eq!(
        deed(libc::SYS_shutdown, &[3, 1]),
        Deed::Shutdown(How::Write)
    );
    assert_eq!(deed(libc::SYS_shutdown, &[3, 2]), Deed::Shutdown(How::Both));
    let setfl = libc::F_SETFL as u64;
    assert_eq!(deed(libc::SYS_fcntl, &[3, setfl, 0]), Deed::Option);
}

#[test]
fn splice_sends_when_the_sink_is_the_socket() {
    let args = [5, 0, 3, 0, 4096, 0];
    let syscall = table::find(libc::SYS_splice).unwrap();
    let memory = memory();
    let mut asked = asked(syscall, args, &memory, true).unwrap();
    assert_eq!(
        (asked.deed, asked.fd, asked.sink),
        (Deed::Receive, Some(5), Some(3))
    );
    assert!(asked.parts.is_empty());
    asked.sink_is_socket();
    assert_eq!((asked.deed, asked.fd), (Deed::Send, Some(3)));
    assert_eq!(asked.parts[0].data.len, 4096);
    let answered = answered(syscall, args, 100, &memory, &asked, true);
    assert_eq!((answered.moved, answered.parts.len()), (100, 0));
}

#[test]
fn each_datagram_is_a_part_with_its_address() {
    let memory = memory();
    let (asked, answered) = both(
        libc::SYS_sendto,
        &[3, HELLO, 5, 0, ADDRESS, 16],
        false,
        5,
        &memory,
    );
    let to = asked.parts[0].address.clone().unwrap();
    assert_eq!(to.to_string(), "10.0.0.1:5000");
    assert_eq!(asked.parts[0].data.head, b"hello");
    // Those that were sent come without their data.
    assert_eq!(
        answered.parts,
        [Part {
            address: Some(to.clone()),
            ..part(5, vec![])
        }]
    );
    // One of two was sent.
    let (asked, answered) = both(libc::SYS_sendmmsg, &[3, MESSAGES, 2, 0], false, 1, &memory);
    assert_eq!((asked.parts.len(), answered.parts.len()), (2, 1));
    assert_eq!(answered.parts[0].address, Some(to.clone()));
    let (_, answered) = both(
        libc::SYS_recvmmsg,
        &[3, MESSAGES, 2, 0, 0],
        false,
        2,
        &memory,
    );
    let lens: Vec<usize> = answered.parts.iter().map(|part| part.data.len).collect();
    assert_eq!(lens, [5, 2]);
    assert_eq!(answered.parts[1].address, Some(to));
    // Nothing at all is a datagram too, and the end of a stream.
    let empty = |stream| {
        let args = &[3, HELLO, 5, 0, 0];
        both(libc::SYS_recvfrom, args, stream, 0, &memory).1.parts
    };
    assert_eq!((empty(false).len(), empty(true).len()), (1, 0));
}

#[test]
fn of_a_datagram_that_was_cut_the_true_length_is_kept() {
    let trunc = libc::MSG_TRUNC as u64;
    let (_, answered) = both(
        libc::SYS_recvfrom,
        &[3, HELLO, 3, trunc, 0],
        false,
        1400,
        &memory(),
    );
    assert_eq!(answered.parts[0].data.len, 1400);
    assert_eq!(answered.parts[0].data.head, b"hel");
    // Of a stream the bytes are thrown away: what is in the buffer is older.
    let (_, answered) = both(
        libc::SYS_recvfrom,
        &[3, HELLO, 5, trunc, 0],
        true,
        5,
        &memory(),
    );
    assert_eq!(
        (
            answered.moved,
            &*answered.out,
            &*answered.parts[0].data.head
        ),
        (5, &[][..], &[][..])
    );
    // The kernel says so in the flags of a message.
    let mut cut = memory();
    cut.pieces[5].1 = header(trunc);
    let line = line(libc::SYS_recvmsg, &[3, MESSAGE, 0], false, 5, &cut);
    assert!(line.ends_with("{7, 8}}, MSG_TRUNC"), "{line}");
}

#[test]
fn an_address_that_a_stream_does_not_have_is_not_made_up() {
    let mut none = memory();
    none.pieces[3].1 = ints(&[0]);
    let args = &[3, HELLO, 5, 0, ADDRESS, SIXTEEN];
    assert_eq!(
        line(libc::SYS_recvfrom, args, true, 5, &none),
        "recvfrom(3, buffer, 5, 0, &from, &size) = 5 \"hello\""
    );
}

#[test]
fn data_costs_one_reading_and_an_address_one_more() {
    let readings = |number, args: &[u64], stream, value| {
        let memory = memory();
        let _ = both(number, args, stream, value, &memory);
        memory.readings.get()
    };
    assert_eq!(readings(libc::SYS_sendto, &[3, HELLO, 5], true, 5), 1);
    assert_eq!(readings(libc::SYS_recvfrom, &[3, HELLO, 5], true, 5), 1);
    assert_eq!(readings(libc::SYS_recvfrom, &[3, HELLO, 5], true, -11), 0);
    let args = &[3, HELLO, 5, 0, ADDRESS, SIXTEEN];
    assert_eq!(readings(libc::SYS_sendto, args, false, 5), 2);
    assert_eq!(readings(libc::SYS_recvfrom, args, false, 5), 2);
}

#[test]
fn the_head_is_gathered_until_it_is_full() {
    let mut memory = memory();
    memory.pieces.push((0x20000, vec![b'x'; 200]));
    let iovecs = [0x20000, 200, 0, 0, 0x20000, 200, 0x20000, 5000];
    memory.pieces.push((0x30000, longs(&iovecs)));
    let (asked, _) = both(libc::SYS_writev, &[3, 0x30000, 4], true, 5400, &memory);
    assert_eq!(asked.parts[0].data.len, 5400);
    assert_eq!(asked.parts[0].data.head, [b'x'; HEAD]);
    // The last one was not looked into.
    assert_eq!(memory.readings.get(), 3);
    // A piece that is there in part ends the head.
    memory.pieces.last_mut().unwrap().1 = longs(&[HELLO, 9, HELLO, 5]);
    let (asked, _) = both(libc::SYS_writev, &[3, 0x30000, 2], true, -14, &memory);
    assert_eq!(asked.parts[0].data.len, 14);
    assert_eq!(asked.parts[0].data.head, b"hello");
}
