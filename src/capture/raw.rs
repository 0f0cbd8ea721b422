//! Raw IP sockets as a source (`--via raw`): what raw(7) shows of the traffic, and no more.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    thread,
    time::Duration,
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc::{in_pktinfo, timespec},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    ANY, CaptureError, Options, Ways,
    filter::{On, Sieve},
    list, now,
};
use crate::{
    frame::{
        Batch, Counters, Direction, Interface, KernelChecksum, Record, Source, SourceError,
        SourceErrorKind, Step,
    },
    link::LinkType,
    sys::{
        filter::{self, attach_nothing},
        raw::drops,
    },
    time::{MILLISECOND, Time},
};

/// One socket a protocol. ICMP is read first: an error in a batch then always has the datagram that caused it beside
/// or before it.
const PROTOCOLS: [(&str, Protocol); 3] = [
    ("ICMP", Protocol::ICMPV4),
    ("UDP", Protocol::UDP),
    ("TCP", Protocol::TCP),
];
/// The longest IPv4 packet.
const LARGEST: usize = 65_535;
/// The kernel begins to stamp packets a moment after the first socket asks for it: it patches its own code first.
const STAMPS_BEGIN: Duration = Duration::from_millis(30);
/// Most packets in one batch.
const BATCH: usize = 1024;
/// After this time, in nanoseconds, a packet has reached its socket for certain.
const SETTLED: i64 = 5 * MILLISECOND;
/// The longest wait in one piece, so that a signal between two waits is not missed for long.
const NAP: i64 = 100 * MILLISECOND;

/// Raw sockets for each interface and protocol.
pub(super) struct Capture {
    sockets: Vec<Socket>,
    /// What is asked of each packet here, not in the kernel; the same for all sockets.
    sieve: Option<Sieve>,
    filter: Option<String>,
    interfaces: Vec<Arc<Interface>>,
    /// The number of each entry of `interfaces`.
    numbers: Vec<u32>,
    snaplen: u32,
    buffer: Vec<u8>,
    control: Vec<u8>,
    delivered: u64,
    stopped: bool,
    spare: Option<Batch>,
}

impl Capture {
    pub(super) fn open(options: &Options, notes: &mut Vec<String>) -> Result<Self, CaptureError> {
        notes.push(
            "raw IP sockets show received IPv4 packets of TCP, UDP and ICMP; \
             they cannot see what this host sends (except to itself), link headers, ARP, other protocols, \
             fragments before reassembly, or IPv6 (the kernel hands out no IPv6 header)"
                .to_owned(),
        );
        if options.ways == Ways::Out {
            notes.push("with -Q out nothing is left to see".to_owned());
        }
        let mut capture = Self {
            sockets: Vec::new(),
            sieve: None,
            filter: options.filter.as_ref().map(|f| f.expression().to_owned()),
            interfaces: Vec::new(),
            numbers: Vec::new(),
            snaplen: options.snaplen.clamp(1, super::SNAPLEN),
            buffer: vec![0; LARGEST],
            control: cmsg_space!(timespec, in_pktinfo),
            delivered: 0,
            stopped: false,
            spare: None,
        };
        if options.interfaces.iter().any(|name| name == ANY) {
            for interface in list::available() {
                capture.describe(interface.index, &interface.name);
            }
            capture.add(None, options, notes)?;
        } else {
            for interface in list::find(&options.interfaces)? {
                capture.describe(interface.index, &interface.name);
                capture.add(Some(&interface.name), options, notes)?;
            }
        }
        // Until the kernel stamps on arrival, packets get the time at which they are read.
        thread::sleep(STAMPS_BEGIN);
        Ok(capture)
    }

    /// Opens the sockets of one interface, or of all.
    fn add(
        &mut self,
        interface: Option<&str>,
        options: &Options,
        notes: &mut Vec<String>,
    ) -> Result<(), CaptureError> {
        let name = interface.unwrap_or(ANY);
        // The kernel runs filters from the IP header on. It keeps whole packets: cut ones would not tell their length.
        let on = On {
            link: LinkType::RAW,
            cooked: false,
            netmask: list::netmask(name),
            snaplen: super::SNAPLEN,
        };
        for (label, protocol) in PROTOCOLS {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).map_err(
                CaptureError::net_raw(format!("open a raw IP socket for {label}")),
            )?;
            let set_up = || -> io::Result<()> {
                socket.set_nonblocking(true)?;
                // A raw socket receives from its first moment on, of all interfaces: that is stopped, and thrown away.
                attach_nothing(&socket)?;
                while socket.recv(&mut [MaybeUninit::uninit()]).is_ok() {}
                setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
                // Without CAP_NET_ADMIN the kernel's own limit holds.
                if setsockopt(&socket, sockopt::RcvBufForce, &options.buffer).is_err() {
                    socket.set_recv_buffer_size(options.buffer)?;
                }
                socket.bind_device(interface.map(str::as_bytes))
            };
            set_up().map_err(CaptureError::net_raw(format!(
                "set up a raw IP socket for {label} on {name}"
            )))?;
            if options.ways != Ways::Out {
                let to = |program: &_| filter::attach(&socket, program);
                let mut refused = Vec::new();
                self.sieve = super::filter::attach(on, options, name, &mut refused, to)?;
                notes.extend(refused.into_iter().filter(|_| self.sockets.is_empty()));
            }
            self.sockets.push(socket);
        }
        Ok(())
    }

    fn describe(&mut self, number: u32, name: &str) -> u32 {
        self.numbers.push(number);
        self.interfaces.push(Arc::new(Interface {
            name: Some(name.to_owned()),
            description: None,
            link: LinkType::RAW,
            snaplen: self.snaplen,
            filter: self.filter.clone(),
        }));
        self.interfaces.len() as u32 - 1
    }

    fn interface(&mut self, number: u32) -> u32 {
        if let Some(index) = self.numbers.iter().position(|&known| known == number) {
            return index as u32;
        }
        // Made after the start.
        self.describe(number, &format!("#{number}"))
    }

    /// Everything that has arrived, in the order of time.
    fn read(&mut self) -> Result<Option<Batch>, SourceError> {
        let mut batch = self
            .spare
            .take()
            .unwrap_or_else(|| Batch::owned(Vec::new(), Vec::new(), 0));
        let crate::frame::Storage::Owned(data) = &mut batch.data else {
            return Ok(None);
        };
        data.clear();
        batch.records.clear();
        for at in 0..self.sockets.len() {
            while batch.records.len() < BATCH {
                let Some((number, mut record)) = self.receive(at).map_err(fault)? else {
                    break;
                };
                record.interface = self.interface(number);
                let frame = record.frame(&self.buffer, 0);
                if let (Some(sieve), Some(frame)) = (&mut self.sieve, frame)
                    && !sieve(&frame)
                {
                    continue;
                }
                record.len = record.len.min(self.snaplen);
                record.start = data.len() as u32;
                data.extend_from_slice(&self.buffer[..record.len as usize]);
                batch.records.push(record);
            }
        }
        if batch.is_empty() {
            self.spare = Some(batch);
            return Ok(None);
        }
        batch.records.sort_by_key(|record| record.time);
        batch.first = self.delivered + 1;
        self.delivered += batch.len() as u64;
        Ok(Some(batch))
    }

    /// One packet into the buffer, and the number of its interface.
    fn receive(&mut self, at: usize) -> nix::Result<Option<(u32, Record)>> {
        let mut iov = [IoSliceMut::new(&mut self.buffer)];
        let fd = self.sockets[at].as_raw_fd();
        let message = match recvmsg::<()>(fd, &mut iov, Some(&mut self.control), MsgFlags::empty())
        {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let (mut time, mut number) = (None, 0);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(at) => {
                    let nanos = u32::try_from(at.tv_nsec()).unwrap_or(0);
                    time = Some(Time::from_parts(at.tv_sec(), nanos));
                }
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    number = u32::try_from(info.ipi_ifindex).unwrap_or(0);
                }
                _ => {}
            }
        }
        let len = message.bytes as u32;
        let record = Record {
            time: time.unwrap_or_else(now),
            link: LinkType::RAW,
            interface: 0,
            direction: Direction::In,
            checksum: KernelChecksum::Unknown,
            wire_len: len,
            start: 0,
            len,
        };
        Ok(Some((number, record)))
    }

    fn counters(&self) -> Counters {
        let dropped = self
            .sockets
            .iter()
            .map(|s| u64::from(drops(s).unwrap_or(0)))
            .sum();
        Counters {
            seen: self.delivered + dropped,
            duplicate: 0,
            dropped,
        }
    }

    fn wait(&self, nanos: i64) -> nix::Result<()> {
        let millis = nanos.clamp(0, NAP) / MILLISECOND + 1;
        let mut fds: Vec<PollFd<'_>> = self
            .sockets
            .iter()
            .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::ZERO);
        poll(&mut fds, timeout).map(drop)
    }
}

impl Source for Capture {
    fn next(&mut self, until: Time) -> Result<Step, SourceError> {
        let began = now();
        loop {
            let now = now();
            if let Some(batch) = self.read()? {
                return Ok(Step::Batch(batch));
            }
            if self.stopped {
                return Ok(Step::End(self.counters()));
            }
            let left = until.plus(SETTLED).since(now);
            if left <= 0 {
                return Ok(Step::Quiet(until));
            }
            if !(0..=NAP).contains(&now.since(began)) {
                return Ok(Step::Quiet(now.plus(-SETTLED)));
            }
            match self.wait(left) {
                Err(Errno::EINTR) => return Ok(Step::Quiet(now.plus(-SETTLED))),
                waited => waited.map_err(fault)?,
            }
        }
    }

    fn interfaces(&self) -> &[Arc<Interface>] {
        &self.interfaces
    }

    fn recycle(&mut self, batch: Batch) {
        self.spare = Some(batch);
    }

    fn stop(&mut self) {
        self.stopped = true;
        for socket in &self.sockets {
            // What is queued is still delivered; were the filter refused, the stop would only come a little later.
            let _ = attach_nothing(socket);
        }
    }
}

fn fault(errno: Errno) -> SourceError {
    SourceError {
        kind: SourceErrorKind::Io,
        source: format!("receive from a raw IP socket: {errno}").into(),
    }
}
