//! Who listens on a port, and where: the question to ask when no packet comes.

use std::{
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

/// The longest that looking through all processes may take.
const LIMIT: Duration = Duration::from_millis(500);

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub process: Option<(u32, String)>,
}

/// Who listens on `port` in the network namespace of the calling thread; takes at most about half a second.
pub fn listeners(port: u16) -> Vec<Listener> {
    let deadline = Instant::now() + LIMIT;
    let mut found: Vec<(Listener, u64)> = Vec::new();
    for (file, transport) in [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ] {
        let Ok(table) = File::open(format!("/proc/thread-self/net/{file}")) else {
            continue;
        };
        // Row by row: a busy server has a million of them.
        let rows = BufReader::new(table).lines().map_while(Result::ok);
        let in_time = rows.take_while(|_| Instant::now() < deadline);
        found.extend(in_time.filter_map(|row| parse(&row, transport, port)));
    }
    name_processes(&mut found, deadline);
    found.into_iter().map(|(listener, _)| listener).collect()
}

/// A row of `/proc/net/tcp` and its like: number, local address, remote address, state, queues, timer, retransmissions,
/// user, time-out, inode, …
fn parse(row: &str, transport: Transport, port: u16) -> Option<(Listener, u64)> {
    const LISTEN: &str = "0A";
    const UNCONNECTED: &str = "07";
    let mut columns = row.split_whitespace().skip(1);
    let (address, local) = columns.next()?.split_once(':')?;
    if u16::from_str_radix(local, 16).ok()? != port {
        return None;
    }
    let waits = match transport {
        Transport::Tcp => LISTEN,
        Transport::Udp => UNCONNECTED,
    };
    if columns.nth(1)? != waits {
        return None;
    }
    let inode = columns.nth(5)?.parse().ok()?;
    let listener = Listener {
        transport,
        address: SocketAddr::new(parse_address(address)?, port),
        process: None,
    };
    Some((listener, inode))
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

/// Looks for the sockets' inodes among the open files of every process that may be looked at.
fn name_processes(found: &mut [(Listener, u64)], deadline: Instant) {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        if Instant::now() > deadline || found.iter().all(|(l, _)| l.process.is_some()) {
            return;
        }
        let files = fs::read_dir(process.path().join("fd"));
        for file in files.into_iter().flatten().flatten() {
            let Some(inode) = socket_inode(&file.path()) else {
                continue;
            };
            let name = || {
                let name = fs::read(process.path().join("comm")).unwrap_or_default();
                String::from_utf8_lossy(&name).trim_end().to_owned()
            };
            for (listener, _) in found.iter_mut().filter(|(_, wanted)| *wanted == inode) {
                listener.process.get_or_insert_with(|| (pid, name()));
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
        let (listener, inode) = parse(row, Transport::Tcp, 5000).expect("listens");
        assert_eq!(
            (listener.address, inode),
            (SocketAddr::from(([127, 0, 0, 1], 5000)), 31337)
        );
        assert_eq!(parse(row, Transport::Tcp, 5001), None);
        assert_eq!(parse(row, Transport::Udp, 5000), None);
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
}
