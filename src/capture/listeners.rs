//! Whose sockets they are: who listens on a port, for the time when no packet comes, and who owns a connection.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

/// The longest that looking through all processes may take.
const LIMIT: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 500 });

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A TCP socket in state LISTEN.
    Tcp,
    /// A UDP socket bound to the port and connected to nobody.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What it speaks.
    pub transport: Transport,
    /// Where it is bound; an unspecified address means everywhere.
    pub address: SocketAddr,
    /// Process id and name (untrusted text), where this user may see them.
    pub process: Option<Process>,
}

/// A socket's process, by id and name (untrusted text).
pub type Process = (u32, String);

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which one.
    pub process: Process,
    /// Its descriptors of the socket.
    pub descriptors: Vec<u32>,
}

/// Who listens on `port` in the network namespace of the calling thread; takes at most about half a second.
pub fn listeners(port: u16) -> Vec<Listener> {
    let deadline = Instant::now() + LIMIT;
    let mut found = Vec::new();
    rows(deadline, |transport, row| {
        if row.local.port() == port && row.waits(transport) {
            found.push((listener(transport, &row), row.inode));
        }
    });
    name_processes(&mut found, deadline);
    found.into_iter().map(|(listener, _)| listener).collect()
}

/// The states of the TCP sockets of `port` in the network namespace of the calling thread, by the kernel's numbers
/// (`net/tcp_states.h`); takes at most about half a second.
pub fn tcp_states(port: u16) -> Vec<u8> {
    let mut states = Vec::new();
    rows(Instant::now() + LIMIT, |transport, row| {
        if transport == Transport::Tcp && row.local.port() == port {
            states.push(row.state);
        }
    });
    states
}

/// The processes that own `sockets` (their own address first, then the other side's) in the network namespace of the
/// calling thread, where they are there now and this user may see them; takes at most about a quarter of a second.
pub fn owners(sockets: &[(Transport, SocketAddr, SocketAddr)]) -> Vec<Option<Process>> {
    let deadline = Instant::now() + LIMIT / 2;
    let mut connected: HashMap<(Transport, SocketAddr, SocketAddr), usize> = HashMap::new();
    // A datagram socket need not be connected.
    let mut bound: HashMap<u16, Vec<usize>> = HashMap::new();
    for (at, &(transport, local, remote)) in sockets.iter().enumerate() {
        connected.insert((transport, local, remote), at);
        if transport == Transport::Udp {
            bound.entry(local.port()).or_default().push(at);
        }
    }
    let (mut found, mut whose) = (Vec::new(), Vec::new());
    rows(deadline, |transport, row| {
        let mut take = |at| {
            found.push((listener(transport, &row), row.inode));
            whose.push(at);
        };
        if let Some(&at) = connected.get(&(transport, row.local, row.remote)) {
            take(at);
        } else if transport == Transport::Udp && row.waits(transport) {
            let all = bound.get(&row.local.port()).into_iter().flatten();
            let fits = |at: &&usize| {
                let ip = row.local.ip();
                ip.is_unspecified() || ip == sockets[**at].1.ip()
            };
            all.filter(fits).for_each(|&at| take(at));
        }
    });
    name_processes(&mut found, deadline);
    let mut owners = vec![None; sockets.len()];
    for (at, (listener, _)) in whose.into_iter().zip(found) {
        owners[at] = owners[at].take().or(listener.process);
    }
    owners
}

fn listener(transport: Transport, row: &Row) -> Listener {
    Listener {
        transport,
        address: row.local,
        process: None,
    }
}

/// Every socket of the calling thread's network namespace. Row by row: a busy server has a million of them.
fn rows(deadline: Instant, mut each: impl FnMut(Transport, Row)) {
    for (file, transport) in [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ] {
        let Ok(table) = File::open(format!("/proc/thread-self/net/{file}")) else {
            continue;
        };
        let rows = BufReader::new(table).lines().map_while(Result::ok);
        let in_time = rows.take_while(|_| Instant::now() < deadline);
        in_time
            .filter_map(|row| Row::parse(&row))
            .for_each(|row| each(transport, row));
    }
}

/// A row of `/proc/net/tcp` and its like: number, local address, remote address, state, queues, timer, retransmissions,
/// user, time-out, inode, …
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    inode: u64,
}

impl Row {
    fn parse(row: &str) -> Option<Self> {
        let mut columns = row.split_whitespace().skip(1);
        Some(Self {
            local: parse_socket(columns.next()?)?,
            remote: parse_socket(columns.next()?)?,
            state: u8::from_str_radix(columns.next()?, 16).ok()?,
            inode: columns.nth(5)?.parse().ok()?,
        })
    }

    /// Takes what comes from anybody.
    fn waits(&self, transport: Transport) -> bool {
        const LISTEN: u8 = 0x0a;
        const UNCONNECTED: u8 = 0x07;
        self.state
            == match transport {
                Transport::Tcp => LISTEN,
                Transport::Udp => UNCONNECTED,
            }
    }
}

/// An IPv4 address in IPv6 clothes is what its packets have.
fn parse_socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(
        parse_address(address)?.to_canonical(),
        port,
    ))
}

/// Words of four bytes in hexadecimal, each in this machine's byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let mut bytes = [0; 16];
    let words = hex.len() / 8;
    for (at, word) in bytes.chunks_exact_mut(4).take(words).enumerate() {
        let digits = hex.get(at * 8..at * 8 + 8)?;
        word.copy_from_slice(&u32::from_str_radix(digits, 16).ok()?.to_ne_bytes());
    }
    match words {
        1 => Some(Ipv4Addr::from([bytes[0], bytes[1], bytes[2], bytes[3]]).into()),
        4 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// Names the process of each, where it may be looked at.
fn name_processes(found: &mut [(Listener, u64)], deadline: Instant) {
    let mut holders = found
        .iter()
        .map(|&(_, inode)| (inode, Vec::new()))
        .collect();
    look_through(&mut holders, deadline, |holders| {
        holders.values().all(|held| !held.is_empty())
    });
    for (listener, inode) in found {
        let holder = holders.get(inode).and_then(|held| held.first());
        listener.process = holder.map(|holder| holder.process.clone());
    }
}

/// The processes that have the sockets of these inodes open, by inode: several after a `fork`, none that this user may not
/// look at. Takes at most about half a second.
pub fn holders(inodes: impl IntoIterator<Item = u64>) -> HashMap<u64, Vec<Holder>> {
    let mut holders = inodes
        .into_iter()
        .map(|inode| (inode, Vec::new()))
        .collect();
    look_through(&mut holders, Instant::now() + LIMIT, |_| false);
    holders
}

/// Looks for sockets' inodes among the open files of every process, until it is `enough`.
fn look_through(
    holders: &mut HashMap<u64, Vec<Holder>>,
    deadline: Instant,
    enough: impl Fn(&HashMap<u64, Vec<Holder>>) -> bool,
) {
    if holders.is_empty() {
        return;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        if Instant::now() > deadline || enough(holders) {
            return;
        }
        let files = fs::read_dir(process.path().join("fd"));
        for file in files.into_iter().flatten().flatten() {
            let inode = socket_inode(&file.path());
            let Some(held) = inode.and_then(|inode| holders.get_mut(&inode)) else {
                continue;
            };
            if held.last().is_none_or(|last| last.process.0 != pid) {
                let name = fs::read(process.path().join("comm")).unwrap_or_default();
                held.push(Holder {
                    process: (pid, String::from_utf8_lossy(&name).trim_end().to_owned()),
                    descriptors: Vec::new(),
                });
            }
            let number = file.file_name().to_str().and_then(|n| n.parse().ok());
            if let (Some(last), Some(number)) = (held.last_mut(), number) {
                last.descriptors.push(number);
            }
        }
    }
}

/// The inode of the socket behind `/proc/PID/fd/N`; `None` for other files.
fn socket_inode(file: &Path) -> Option<u64> {
    let target = fs::read_link(file).ok()?;
    let inode = target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?;
    inode.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_the_kernels_rows() {
        let row = "   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0";
        let row = Row::parse(row).expect("a row");
        let sockets = (row.local, row.remote);
        assert_eq!(
            sockets,
            (([127, 0, 0, 1], 5000).into(), ([0, 0, 0, 0], 0).into())
        );
        assert_eq!((row.inode, row.waits(Transport::Tcp)), (31337, true));
        assert!(!row.waits(Transport::Udp));
        let mapped = parse_socket("0000000000000000FFFF00000100007F:0050");
        assert_eq!(mapped, Some(([127, 0, 0, 1], 80).into()));
        assert_eq!(
            parse_address("00000000000000000000000001000000"),
            Some(Ipv6Addr::LOCALHOST.into())
        );
    }

    #[test]
    fn finds_this_process() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of our own");
        let address = socket.local_addr().expect("an address");
        let found = listeners(address.port());
        assert!(
            found.iter().any(|l| l.address == address
                && l.process
                    .as_ref()
                    .is_some_and(|p| p.0 == std::process::id())),
            "{found:?}"
        );
    }

    #[test]
    fn both_ends_of_a_connection_and_a_bound_datagram_socket_are_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of our own");
        let server = listener.local_addr().expect("an address");
        let stream = std::net::TcpStream::connect(server).expect("connects");
        let _accepted = listener.accept().expect("accepts");
        let client = stream.local_addr().expect("an address");
        let datagram = std::net::UdpSocket::bind("0.0.0.0:0").expect("a port of our own");
        let bound = datagram.local_addr().expect("an address");
        let local = SocketAddr::new(client.ip(), bound.port());
        let found = owners(&[
            (Transport::Tcp, client, server),
            (Transport::Tcp, server, client),
            (Transport::Udp, local, server),
            (Transport::Tcp, client, client),
        ]);
        let pids: Vec<_> = found.iter().map(|p| p.as_ref().map(|p| p.0)).collect();
        let own = Some(std::process::id());
        assert_eq!(pids, [own, own, own, None]);
        let states = tcp_states(server.port());
        let (established, listen) = (1, 10);
        assert!(states.contains(&established) && states.contains(&listen));
    }
}
