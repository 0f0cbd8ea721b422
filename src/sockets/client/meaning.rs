//! Errors of clients in words: what happened on the wire, and what to try next.

use std::io;

use crate::call::{Family, Kind};

/// What an error number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// In a word or two: `refused`.
    pub word: &'static str,
    /// What was on the wire, or that nothing was.
    pub wire: &'static str,
    /// What to try next.
    pub next: &'static str,
}

/// An error number and its meaning.
type Entry = (i32, Meaning);

const fn entry(number: i32, word: &'static str, wire: &'static str, next: &'static str) -> Entry {
    (number, Meaning { word, wire, next })
}

/// Those of every IP socket.
const INTERNET: [Entry; 11] = [
    entry(
        libc::EHOSTUNREACH,
        "no route to the host",
        "nobody answered ARP or neighbour discovery for the next hop, or a router sent ICMP host unreachable",
        "is the address right, and the host on? ip neigh shows who was asked; sockwire traceroute HOST shows how far packets come",
    ),
    entry(
        libc::ENETUNREACH,
        "network unreachable",
        "nothing was sent: this host has no route there; or a router sent ICMP network unreachable",
        "look at the routes: ip route, ip -6 route",
    ),
    entry(
        libc::EADDRINUSE,
        "address in use",
        "nothing was sent: another socket has this source address and port",
        "take another --source port, or none: then the kernel takes a free one",
    ),
    entry(
        libc::EADDRNOTAVAIL,
        "address not available",
        "nothing was sent: the source is no address of this host, or it has none of this family (IPv6 may be off), the same pair of ports was in use a moment ago, or no port is free",
        "sockwire interfaces shows this host's addresses; without --source the kernel takes one that fits",
    ),
    entry(
        libc::EAFNOSUPPORT,
        "address family not supported",
        "nothing was sent: this kernel does not have this family of addresses",
        "take -4, or -6",
    ),
    entry(
        libc::EPERM,
        "not permitted",
        "nothing was sent: a firewall rule of this host forbids it",
        "look at the rules: nft list ruleset, or iptables -L OUTPUT",
    ),
    entry(
        libc::EACCES,
        "not permitted",
        "nothing was sent: a port below 1024 as the source wants CAP_NET_BIND_SERVICE, and a broadcast address wants SO_BROADCAST",
        "take a source port from 1024 on, or sudo",
    ),
    entry(
        libc::EINVAL,
        "invalid",
        "nothing was sent: an address like this cannot be connected to; a link-local one (fe80::) wants its interface",
        "write the interface behind it, such as fe80::1%eth0",
    ),
    entry(
        libc::ENETDOWN,
        "network down",
        "nothing was sent: the interface is down",
        "ip link shows it, ip link set IF up starts it",
    ),
    entry(
        libc::EMSGSIZE,
        "message too long",
        "nothing was sent: one datagram takes at most 65,507 bytes over IPv4, and less where it may not be fragmented",
        "send it in smaller pieces, or over TCP",
    ),
    entry(
        libc::ENOBUFS,
        "no buffer space",
        "nothing was sent: the kernel's queue is full",
        "send less at a time",
    ),
];

const TCP: [Entry; 5] = [
    entry(
        libc::ECONNREFUSED,
        "refused",
        "the SYN came back as RST: the host is there, and nothing listens on this port, or a firewall answers so",
        "start the server first (sockwire serve PORT); ss -ltn on that host shows what listens, and on which address",
    ),
    entry(
        libc::ETIMEDOUT,
        "timed out",
        "no answer came to what was sent, though it was sent again and again: the host is off, or something drops the packets",
        "sockwire traceroute HOST shows how far packets come; sockwire watch host HOST shows them",
    ),
    entry(
        // What connect() says when SO_SNDTIMEO has passed (socket(7)).
        libc::EINPROGRESS,
        "timed out",
        "no answer came to the SYN within --wait: the host is off or far, or something drops the packets",
        "wait longer; sockwire traceroute HOST shows how far packets come; sockwire watch host HOST shows them",
    ),
    entry(
        libc::ECONNRESET,
        "reset",
        "the other side sent RST: it crashed, or closed while bytes that it had not read were waiting, or did not know the connection",
        "see who ended it, and after which bytes: sockwire watch port PORT; RST also throws away what was on its way",
    ),
    entry(
        libc::EPIPE,
        "broken pipe",
        "nothing was sent: the connection was over before, because the other side had answered with RST, or writing was shut down",
        "see who ended it, and after which bytes: sockwire watch port PORT",
    ),
];

const UDP: [Entry; 1] = [entry(
    libc::ECONNREFUSED,
    "refused",
    "a datagram sent before came back as ICMP port unreachable: its send() had succeeded, and the kernel tells it with the next \
     call on the connected socket",
    "start the server first (sockwire serve -u PORT); ss -lun on that host shows what listens, and on which address",
)];

const UNIX: [Entry; 8] = [
    entry(
        libc::ENOENT,
        "no such path",
        "Unix sockets make no packets: there is no file of this name",
        "start the server first (sockwire serve -U PATH); ss -lx shows what listens",
    ),
    entry(
        libc::ECONNREFUSED,
        "refused",
        "Unix sockets make no packets: nobody has a socket bound to this name; a file may be left from a server that has ended",
        "start the server (sockwire serve -U PATH); ss -lx shows what listens",
    ),
    entry(
        libc::EPROTOTYPE,
        "wrong type",
        "the socket of this name has another type: stream and datagram sockets do not speak with one another",
        "-U alone is a stream, -U -u are datagrams",
    ),
    entry(
        libc::EACCES,
        "not permitted",
        "connecting wants the right to write to the socket's file, and to search the directories above it",
        "ls -l shows whose it is",
    ),
    entry(
        libc::EAGAIN,
        "queue full",
        "the server's queue of connections is full, and stayed so until --wait",
        "the server is not accepting: is it busy with another client?",
    ),
    entry(
        libc::ECONNRESET,
        "reset",
        "the other side closed while bytes that it had not read were waiting",
        "what was on its way is lost; see in the other program why it closed",
    ),
    entry(
        libc::EPIPE,
        "broken pipe",
        "the other side had closed before",
        "there is nobody to read it; connect again",
    ),
    entry(
        libc::EMSGSIZE,
        "message too long",
        "one datagram has to fit into the socket's send buffer (net.core.wmem_default)",
        "send it in smaller pieces, or over a stream",
    ),
];

/// What an error of a client's socket says; of rare ones nothing is known.
pub fn meaning(family: Family, kind: Kind, error: &io::Error) -> Option<&'static Meaning> {
    let number = match error.kind() {
        // As `connect_timeout` of the standard library tells it.
        io::ErrorKind::TimedOut => libc::ETIMEDOUT,
        _ => error.raw_os_error()?,
    };
    let tables: [&[Entry]; 2] = match (family, kind) {
        (Family::Unix, _) => [&UNIX, &[]],
        (_, Kind::Stream) => [&TCP, &INTERNET],
        (_, Kind::Datagram) => [&UDP, &INTERNET],
    };
    let mut entries = tables.into_iter().flatten();
    entries
        .find(|(known, _)| *known == number)
        .map(|(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_means_what_the_socket_makes_of_it() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let wire = |family, kind| meaning(family, kind, &refused).map_or("", |known| known.wire);
        assert!(wire(Family::Inet, Kind::Stream).contains("RST"));
        assert!(wire(Family::Inet6, Kind::Datagram).contains("ICMP"));
        assert!(wire(Family::Unix, Kind::Stream).contains("no packets"));
        let rare = io::Error::from_raw_os_error(libc::EXDEV);
        assert_eq!(meaning(Family::Inet, Kind::Stream, &rare), None);
    }
}
