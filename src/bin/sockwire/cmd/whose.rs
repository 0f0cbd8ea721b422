//! `sockwire whose`: which process owns the sockets at a port, or at both ends of one connection.

use std::{
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
};

use anyhow::anyhow;
use nix::unistd::Uid;
use serde_json::{Value, json};
use sockwire::{
    capture::{Holder, holders},
    sys::sock_diag::{Held, SockDiag},
    text::{Safe, ascii, write_wrapped},
};

use super::{
    Exit, Failure, Global, Outcome,
    output::{self, columns},
    ports::user,
};

const EXAMPLES: &str = "\
Examples:
  sockwire whose :5000                            who listens there, and each connection
  sockwire whose 127.0.0.1:5000 127.0.0.1:41000   one connection, at both of its ends
  sockwire whose --udp 53
  sudo sockwire whose 22                          also names the processes of other users";

/// Which process owns the sockets at a port: who listens there, and each connection
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// :5000 or 5000, 127.0.0.1:5000, [::1]:5000; of one connection both ends: A:p B:p, or 'A:p->B:p'
    #[arg(required = true, num_args = 1..=2, value_name = "ADDRESS:PORT")]
    ends: Vec<String>,
    /// UDP sockets instead of TCP sockets
    #[arg(short = 'u', long)]
    udp: bool,
    /// One JSON object a line, for each socket
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let wanted = Wanted::read(&args.ends)?;
    let failed = |error: io::Error| {
        let error = anyhow!("cannot ask the kernel for its sockets: {error}; see: ss -antup");
        Failure::new(Exit::NoSuch, error)
    };
    let found = find(&wanted, args.udp).map_err(failed)?;
    if found.is_empty() {
        let misses = near_misses(&wanted, args.udp).map_err(failed)?;
        return Err(Failure::new(Exit::NoMatch, anyhow!(misses)));
    }
    let mut text = String::new();
    let width = found.iter().map(|owned| owned.line().len()).max();
    for owned in &found {
        match args.json {
            true => {
                let _ = writeln!(text, "{}", owned.record());
            }
            false => owned.write(width.unwrap_or(0), columns().clamp(60, 100), &mut text),
        }
    }
    if global.ascii {
        text = ascii(&text);
    }
    output::print(&text)?;
    Ok(Exit::Done)
}

/// Which sockets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All with this port at one of their ends.
    Port(u16),
    /// All with this address at one of their ends.
    End(SocketAddr),
    /// Those of one connection.
    Pair([SocketAddr; 2]),
}

impl Wanted {
    fn read(words: &[String]) -> Result<Self, Failure> {
        let words: Vec<&str> = words
            .iter()
            .flat_map(|word| word.split("->"))
            .map(str::trim)
            .collect();
        let wanted = match words[..] {
            [one] => match one.strip_prefix(':').unwrap_or(one).parse() {
                // No socket has port 0: it stands for none.
                Ok(port) => Some(Self::Port(port)).filter(|_| port != 0),
                Err(_) => one.parse().ok().map(|end| Self::End(canonical(end))),
            },
            [one, other] => match (one.parse(), other.parse()) {
                (Ok(one), Ok(other)) => Some(Self::Pair([canonical(one), canonical(other)])),
                _ => None,
            },
            _ => None,
        };
        wanted.ok_or_else(|| {
            let given = words.join(" ");
            let given = Safe(given.as_bytes());
            let error = anyhow!(
                "\"{given}\" is no port and no address with a port: :5000, 127.0.0.1:5000, [::1]:5000; both ends of a \
                 connection: 127.0.0.1:5000 127.0.0.1:41000"
            );
            Failure::new(Exit::Usage, error)
        })
    }

    fn fits(self, socket: &Held) -> bool {
        let ends = [socket.local, socket.peer];
        match self {
            Self::Port(port) => ends.iter().any(|end| end.port() == port),
            // Where the socket is bound everywhere, it is bound there too; everywhere in IPv4 is nowhere in IPv6.
            Self::End(wanted) => ends.iter().any(|end| {
                let everywhere = end.ip().is_unspecified() && (end.is_ipv6() || wanted.is_ipv4());
                end.port() == wanted.port() && (end.ip() == wanted.ip() || everywhere)
            }),
            Self::Pair([one, other]) => ends == [one, other] || ends == [other, one],
        }
    }

    /// Its ports.
    fn ports(self) -> Vec<u16> {
        match self {
            Self::Port(port) => vec![port],
            Self::End(end) => vec![end.port()],
            Self::Pair(ends) => ends.map(|end| end.port()).to_vec(),
        }
    }
}

/// An IPv4 address in IPv6 clothes is an IPv4 address.
fn canonical(end: SocketAddr) -> SocketAddr {
    match end.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), end.port()),
        IpAddr::V6(_) => end,
    }
}

/// A socket, and whose it is.
#[derive(Debug)]
struct Owned {
    is_udp: bool,
    socket: Held,
    owner: Owner,
}

#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// These have it open.
    Processes(Vec<Holder>),
    /// Somebody has it whose descriptors this user may not see.
    Hidden,
    /// No process has it any more: the connection is over, or its program has closed it.
    Gone,
    /// No process has it yet: it waits for `accept`, or for the handshake's last ACK.
    Queued,
}

/// linux/tcp_states.h.
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;
/// Those of connections that may not have been accepted.
const BEFORE_ACCEPT: [u8; 4] = [1, 3, 8, 12];

/// The wanted ones: those that listen first, then by address.
fn find(wanted: &Wanted, is_udp: bool) -> io::Result<Vec<Owned>> {
    let mut sockets = SockDiag::open()?.held(!is_udp)?;
    sockets.retain(|socket| wanted.fits(socket));
    sockets.sort_by_key(|socket| (socket.state != LISTEN, socket.local, socket.peer));
    let mut holders = holders(sockets.iter().map(|socket| socket.inode.into()));
    let owned = sockets.into_iter().map(|socket| {
        // Two sockets never have one inode.
        let held = holders.remove(&socket.inode.into()).unwrap_or_default();
        Owned {
            is_udp,
            owner: owner(&socket, held),
            socket,
        }
    });
    Ok(owned.collect())
}

fn owner(socket: &Held, held: Vec<Holder>) -> Owner {
    match (socket.inode, held.is_empty()) {
        (0, _) if BEFORE_ACCEPT.contains(&socket.state) => Owner::Queued,
        (0, _) => Owner::Gone,
        (_, true) => Owner::Hidden,
        (_, false) => Owner::Processes(held),
    }
}

/// What there is instead.
fn near_misses(wanted: &Wanted, is_udp: bool) -> io::Result<String> {
    let (own, other, how) = match is_udp {
        false => ("TCP", "UDP", "with --udp"),
        true => ("UDP", "TCP", "without --udp"),
    };
    let mut text = format!("no {own} socket there");
    let elsewhere = find(wanted, !is_udp)?;
    if let Some(one) = elsewhere.first() {
        let _ = write!(text, "; but a {other} socket ({how}): {}", one.words());
    }
    // The same ports at other addresses.
    let near = wanted.ports().into_iter().map(Wanted::Port);
    for near in near.filter(|near| near != wanted) {
        if let Some(one) = find(&near, is_udp)?.first() {
            let _ = write!(text, "; at another address: {}", one.words());
            break;
        }
    }
    if text.len() < 24 {
        let _ = write!(text, "; all that wait for others: sockwire ports");
    }
    Ok(text)
}

impl Owned {
    fn protocol(&self) -> &'static str {
        if self.is_udp { "udp" } else { "tcp" }
    }

    /// As RFC 9293 names it.
    fn state(&self) -> &'static str {
        match (self.is_udp, self.socket.state) {
            (true, 1) => "connected",
            (true, _) => "bound",
            (_, 1) => "ESTABLISHED",
            (_, 2) => "SYN-SENT",
            (_, 3 | 12) => "SYN-RECEIVED",
            (_, 4) => "FIN-WAIT-1",
            (_, 5) => "FIN-WAIT-2",
            (_, TIME_WAIT) => "TIME-WAIT",
            (_, 8) => "CLOSE-WAIT",
            (_, 9) => "LAST-ACK",
            (_, LISTEN) => "LISTEN",
            (_, 11) => "CLOSING",
            // Bound, and neither listening nor connected.
            _ => "CLOSED",
        }
    }

    /// Its ends.
    fn ends(&self) -> String {
        match self.socket.peer.port() {
            0 => self.socket.local.to_string(),
            _ => format!("{} -> {}", self.socket.local, self.socket.peer),
        }
    }

    /// Whose it is.
    fn owner(&self) -> String {
        let id = self.socket.user;
        match &self.owner {
            Owner::Processes(holders) => {
                let holders = holders.iter().map(|holder| {
                    let (id, name) = named(holder);
                    let numbers: Vec<_> = holder.descriptors.iter().map(u32::to_string).collect();
                    format!("{name}[{id}] fd {}", numbers.join(", "))
                });
                let holders: Vec<_> = holders.collect();
                format!("{} ({})", holders.join("; "), user(id))
            }
            Owner::Hidden if Uid::effective().is_root() || Uid::current().as_raw() == id => {
                format!("no process that is visible here; user {}", user(id))
            }
            Owner::Hidden => {
                let name = user(id);
                format!("not yours: uid {id} ({name}); run with sudo to see the process")
            }
            Owner::Gone if self.socket.state == TIME_WAIT => {
                "gone (TIME-WAIT): no process owns it any more".to_owned()
            }
            Owner::Gone => {
                "gone: its program has closed it, and the kernel ends the connection".to_owned()
            }
            Owner::Queued => {
                "no process has it yet: it waits for the accept() of who listens".to_owned()
            }
        }
    }

    fn words(&self) -> String {
        format!(
            "{} {} {}: {}",
            self.protocol(),
            self.state(),
            self.ends(),
            self.owner()
        )
    }

    /// All but whose it is.
    fn line(&self) -> String {
        format!("{}  {:<12} {}", self.protocol(), self.state(), self.ends())
    }

    /// Its line; whose it is stands behind so many columns, or below where it is long.
    fn write(&self, width: usize, columns: usize, text: &mut String) {
        let (line, owner) = (self.line(), self.owner());
        let one = format!("{line:<width$}  {owner}");
        if one.chars().count() <= columns {
            let _ = writeln!(text, "{one}");
        } else {
            let _ = writeln!(text, "{line}");
            write_wrapped(text, 5, columns, &owner);
        }
    }

    fn record(&self) -> Value {
        let end = |end: SocketAddr| json!({"address": end.ip().to_string(), "port": end.port()});
        let (owner, holders): (_, &[Holder]) = match &self.owner {
            Owner::Processes(holders) => ("processes", holders),
            Owner::Hidden => ("hidden", &[]),
            Owner::Gone => ("gone", &[]),
            Owner::Queued => ("queued", &[]),
        };
        let holders = holders.iter().map(|holder| {
            let (id, name) = named(holder);
            json!({"pid": id, "name": name, "descriptors": holder.descriptors})
        });
        let has_user = matches!(self.owner, Owner::Processes(_) | Owner::Hidden);
        json!({
            "schema": 1,
            "record": "socket",
            "protocol": self.protocol(),
            "state": self.state(),
            "local": end(self.socket.local),
            "peer": Some(self.socket.peer).filter(|peer| peer.port() != 0).map(end),
            "owner": owner,
            "uid": has_user.then_some(self.socket.user),
            "user": has_user.then(|| user(self.socket.user)),
            "inode": self.socket.inode,
            "processes": holders.collect::<Vec<_>>(),
        })
    }
}

/// The process that holds it: its number and its name, which is safe to show.
fn named(holder: &Holder) -> (u32, String) {
    let (id, name) = &holder.process;
    (*id, Safe(name.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(words: &[&str]) -> Option<Wanted> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Wanted::read(&words).ok()
    }

    #[test]
    fn ports_addresses_and_connections_are_read() {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(read(&[":5000"]), Some(Wanted::Port(5000)));
        assert_eq!(read(&["5000"]), Some(Wanted::Port(5000)));
        assert_eq!(
            read(&["[::ffff:10.0.0.1]:80"]),
            Some(Wanted::End(end("10.0.0.1:80")))
        );
        let pair = Some(Wanted::Pair([end("[::1]:5000"), end("[::1]:41000")]));
        assert_eq!(read(&["[::1]:5000", "[::1]:41000"]), pair);
        assert_eq!(read(&["[::1]:5000->[::1]:41000"]), pair);
        for wrong in ["", "x", ":0", "70000", "1.2.3.4", "1->2->3"] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
    }

    #[test]
    fn who_listens_everywhere_listens_there_too_in_the_same_family() {
        let fits = |wanted: &str, bound: &str| {
            let held = Held {
                state: 10,
                local: bound.parse().unwrap(),
                peer: "0.0.0.0:0".parse().unwrap(),
                user: 0,
                inode: 7,
            };
            read(&[wanted]).unwrap().fits(&held)
        };
        assert!(fits("127.0.0.1:5000", "0.0.0.0:5000"));
        assert!(fits("127.0.0.1:5000", "[::]:5000"));
        assert!(fits("[::1]:5000", "[::]:5000"));
        assert!(!fits("[::1]:5000", "0.0.0.0:5000"));
    }

    #[test]
    fn who_has_no_process_is_gone_or_waits() {
        let socket = |state, inode| Held {
            state,
            local: "127.0.0.1:5000".parse().unwrap(),
            peer: "127.0.0.1:41000".parse().unwrap(),
            user: 1000,
            inode,
        };
        assert_eq!(owner(&socket(TIME_WAIT, 0), Vec::new()), Owner::Gone);
        assert_eq!(owner(&socket(5, 0), Vec::new()), Owner::Gone);
        assert_eq!(owner(&socket(1, 0), Vec::new()), Owner::Queued);
        assert_eq!(owner(&socket(1, 7), Vec::new()), Owner::Hidden);
    }
}
