//! Hearing replies: raw IP sockets with the kernel's times, and packet sockets where a link or IPv6 header is wanted.

use std::{io, os::fd::AsFd};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

use super::ProbeError;
use crate::{
    bpf::{Instruction, Program, op},
    link::LinkType,
    sys::{
        clock::Clock,
        hearing::{Hearing as Socket, Received},
        packet,
    },
    time::{SECOND, Time},
};

const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IP protocols whose third and fourth byte are the destination port.
const WITH_PORTS: [u8; 4] = [6, 17, 33, 136];
/// Extension headers, behind which a port has no fixed place.
const EXTENSIONS: [u8; 4] = [0, 43, 44, 60];
/// Most ports that a filter asks for: a jump of classic BPF spans 255 instructions.
const MOST_PORTS: usize = 200;
/// The longest frame: an IP packet and a link header.
const LARGEST: usize = 65_535 + 64;

/// What to listen for.
#[derive(Clone, Debug, Default)]
pub struct Hearing {
    /// IP protocols over IPv4, heard on raw sockets.
    pub v4: Vec<u8>,
    /// IP protocols over IPv6, heard with their header on packet sockets.
    pub v6: Vec<u8>,
    /// Ports of this host that TCP and UDP packets have to be for; all of them when there is none or a great many.
    pub ports: Vec<u16>,
    /// Whole frames of this interface, with their link headers.
    pub frames_of: Option<String>,
}

/// Whose time a packet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The kernel's, taken when the packet arrived.
    Kernel,
    /// Ours, taken when the packet was read: the kernel had not begun to stamp. A little late, never early.
    Read,
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// When it arrived.
    pub time: Time,
    /// Who says so.
    pub stamp: Stamp,
    /// What its first byte is.
    pub link: LinkType,
    /// The packet.
    pub bytes: &'a [u8],
}

/// Open sockets that hear.
#[derive(Debug)]
pub struct Ear {
    sockets: Vec<(Socket, LinkType)>,
    /// The socket that is read first: each in turn, so that none waits for a busy one.
    turn: usize,
    clock: Clock,
    buffer: Vec<u8>,
}

impl Ear {
    /// Opens the sockets: what arrives from now on is heard.
    ///
    /// # Errors
    /// When the kernel refuses a socket.
    pub fn open(hearing: &Hearing) -> Result<Self, ProbeError> {
        let mut sockets = Vec::new();
        for &protocol in &hearing.v4 {
            let doing = || format!("open a raw IP socket for protocol {protocol}");
            let socket = Socket::raw(protocol).map_err(|e| ProbeError::io(doing(), e))?;
            if WITH_PORTS.contains(&protocol) {
                narrow(&socket, &v4(&hearing.ports))?;
            }
            sockets.push((socket, LinkType::RAW));
        }
        if !hearing.v6.is_empty() {
            let doing = "open a packet socket for IPv6";
            let socket = Socket::packets(ETHERTYPE_IPV6).map_err(|e| ProbeError::io(doing, e))?;
            narrow(&socket, &v6(&hearing.v6, &hearing.ports))?;
            sockets.push((socket, LinkType::RAW));
        }
        if let Some(name) = &hearing.frames_of {
            let doing = || format!("open a packet socket on {name}");
            let failed = |e| ProbeError::io(doing(), e);
            let hardware = packet::hardware_type(name).map_err(failed)?;
            let index = nix::net::if_::if_nametoindex(name.as_str());
            let index = index.map_err(|e| failed(e.into()))?;
            sockets.push((Socket::frames(index).map_err(failed)?, link_of(hardware)));
        }
        Ok(Self {
            sockets,
            turn: 0,
            clock: Clock::start(),
            buffer: vec![0; LARGEST],
        })
    }

    /// The time now, by the clock that packets are stamped with.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The next packet; `None` when nothing arrived until `until` (wall clock), or when a signal came.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn next(&mut self, until: Time) -> Result<Option<Heard<'_>>, ProbeError> {
        let mut found = self.receive()?;
        while found.is_none() {
            let left = until.since(self.now());
            if left <= 0 || !self.wait(left)? {
                return Ok(None);
            }
            found = self.receive()?;
        }
        let read = self.now();
        Ok(found.map(|(received, link)| Heard {
            time: received.time.unwrap_or(read),
            stamp: match received.time {
                Some(_) => Stamp::Kernel,
                None => Stamp::Read,
            },
            link,
            bytes: &self.buffer[..received.len],
        }))
    }

    /// A packet that has arrived, in the buffer.
    fn receive(&mut self) -> Result<Option<(Received, LinkType)>, ProbeError> {
        for _ in 0..self.sockets.len() {
            self.turn = (self.turn + 1) % self.sockets.len();
            let (socket, link) = &self.sockets[self.turn];
            match socket.receive(&mut self.buffer) {
                Ok(None) => {}
                Ok(Some(received)) => return Ok(Some((received, *link))),
                Err(error) => return Err(ProbeError::io("receive from a socket", error)),
            }
        }
        Ok(None)
    }

    /// Waits for at most `nanos`; false when a signal came.
    fn wait(&self, nanos: i64) -> Result<bool, ProbeError> {
        let sockets = self.sockets.iter();
        let mut fds: Vec<PollFd<'_>> = sockets
            .map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = TimeSpec::new(nanos / SECOND, nanos % SECOND);
        match ppoll(&mut fds, Some(timeout), None) {
            Ok(_) => Ok(true),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(ProbeError::io("wait for packets", errno.into())),
        }
    }
}

/// What frames of an interface of this ARPHRD_ type begin with.
fn link_of(hardware: u16) -> LinkType {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => LinkType::ETHERNET,
        _ => LinkType::RAW,
    }
}

/// Keeps other traffic out of the socket's buffer.
fn narrow(socket: &Socket, instructions: &[Instruction]) -> Result<(), ProbeError> {
    if instructions.is_empty() {
        return Ok(());
    }
    let doing = "attach a filter to a socket that hears";
    let program = Program::new(instructions.to_vec()).map_err(io::Error::other);
    program
        .and_then(|program| socket.attach(&program))
        .map_err(|error| ProbeError::io(doing, error))
}

const ALL: Instruction = Instruction::new(op::RET_K, u32::MAX);
const NOTHING: Instruction = Instruction::new(op::RET_K, 0);

/// Takes what the tests before jump over [`NOTHING`] for: one test a value, in the accumulator.
fn one_of(values: impl ExactSizeIterator<Item = u32>, program: &mut Vec<Instruction>) {
    let count = values.len();
    for (at, value) in values.enumerate() {
        let over = (count - at) as u8;
        program.push(Instruction::branch(op::JEQ_K, value, over, 0));
    }
    program.extend([NOTHING, ALL]);
}

/// IPv4 packets of a protocol with ports, for one of `ports`. Empty: all are wanted.
fn v4(ports: &[u16]) -> Vec<Instruction> {
    let mut program = Vec::new();
    if (1..=MOST_PORTS).contains(&ports.len()) {
        program.push(Instruction::new(op::LDX_MSH, 0));
        program.push(Instruction::new(op::LDH_IND, 2));
        one_of(ports.iter().map(|&port| port.into()), &mut program);
    }
    program
}

/// IPv6 packets of one of `protocols`, and where that has ports, for one of `ports`.
fn v6(protocols: &[u8], ports: &[u16]) -> Vec<Instruction> {
    let checked = |protocol: &u8| WITH_PORTS.contains(protocol) && v4(ports).len() > 1;
    let (with_ports, without): (Vec<u8>, Vec<u8>) = protocols.iter().partition(|p| checked(p));
    let mut program = vec![Instruction::new(op::LDB_ABS, 6)];
    if !with_ports.is_empty() {
        // A packet of such a protocol falls through to the ports, any other one jumps over them.
        let tests = (ports.len() + 3) as u8;
        for (at, &protocol) in with_ports.iter().enumerate() {
            let left = (with_ports.len() - 1 - at) as u8;
            let other = if left == 0 { tests } else { 0 };
            program.push(Instruction::branch(op::JEQ_K, protocol.into(), left, other));
        }
        program.push(Instruction::new(op::LDH_ABS, 42));
        one_of(ports.iter().map(|&port| port.into()), &mut program);
    }
    let rest: Vec<u32> = without
        .iter()
        .chain(&EXTENSIONS)
        .map(|&p| p.into())
        .collect();
    one_of(rest.into_iter(), &mut program);
    program
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bpf::Input;

    fn takes(program: &[Instruction], bytes: &[u8]) -> bool {
        let program = Program::new(program.to_vec()).unwrap();
        let input = Input {
            bytes,
            wire_len: bytes.len() as u32,
            ..Input::default()
        };
        program.run(&input) > 0
    }

    #[test]
    fn only_packets_for_our_ports_are_heard() {
        let program = v4(&[41000, 41001]);
        let packet = |port: u16, words: u8| {
            let mut bytes = vec![0; usize::from(words) * 4 + 20];
            bytes[0] = 0x40 | words;
            let at = usize::from(words) * 4 + 2;
            bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
            bytes
        };
        for words in [5, 7] {
            assert!(takes(&program, &packet(41000, words)));
            assert!(takes(&program, &packet(41001, words)));
            assert!(!takes(&program, &packet(41002, words)));
        }
        assert!(v4(&[]).is_empty() && v4(&[7; 300]).is_empty());
    }

    #[test]
    fn ipv6_is_told_by_its_next_header_and_ports() {
        let packet = |next: u8, port: u16| {
            let mut bytes = vec![0; 60];
            bytes[0] = 0x60;
            bytes[6] = next;
            bytes[42..44].copy_from_slice(&port.to_be_bytes());
            bytes
        };
        let program = v6(&[6, 17, 58], &[41000, 41001]);
        for protocol in [6, 17] {
            assert!(takes(&program, &packet(protocol, 41000)));
            assert!(takes(&program, &packet(protocol, 41001)));
            assert!(!takes(&program, &packet(protocol, 41002)));
        }
        // Errors, and packets whose ports stand behind extension headers.
        assert!(takes(&program, &packet(58, 0)) && takes(&program, &packet(44, 0)));
        assert!(!takes(&program, &packet(89, 41000)));
        let any_port = v6(&[17, 58], &[]);
        assert!(takes(&any_port, &packet(17, 5)) && !takes(&any_port, &packet(6, 5)));
        let many: Vec<u16> = (0..200).collect();
        assert!(
            takes(&v6(&[6], &many), &packet(6, 199)) && !takes(&v6(&[6], &many), &packet(6, 200))
        );
        assert!(
            !takes(&v6(&[6], &many), &packet(17, 7)) && takes(&v6(&[6], &many), &packet(43, 7))
        );
    }
}
