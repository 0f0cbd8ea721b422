//! Scenarios: what two hosts do, as data that every ground can play.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::wire::{Drop, What};

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Host {
    /// Begins.
    Client,
    /// Answers.
    Server,
}

impl Host {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A socket call, made when the one before it has returned; one that fails is the host's last.
/// A host has one stream and one datagram socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A TCP socket listens on a port.
    Listen(u16),
    /// Waits for a connection.
    Accept,
    /// Connects to a TCP port of the other host.
    Connect(u16),
    /// The same, for so many milliseconds at most.
    ConnectWithin(u16, u64),
    /// Connects to a TCP port at an address of the network that nobody has.
    ConnectNobody(u16),
    /// Sends all of this on the connection.
    Send(&'static str),
    /// Receives this many bytes from the connection.
    Receive(usize),
    /// Receives until the other side has closed its direction.
    ReceiveEnd,
    /// `shutdown(SHUT_WR)`: says that nothing more will be sent; receiving goes on.
    Shutdown,
    /// Closes every socket of this host.
    Close,
    /// A UDP socket takes a port.
    Bind(u16),
    /// Sends a datagram to a UDP port of the other host.
    SendTo(u16, Content),
    /// Sends a datagram to the sender of the last one received.
    Reply(Content),
    /// Waits for a datagram, at most about a second.
    ReceiveFrom,
    /// Does nothing for so many milliseconds.
    Wait(u64),
}

/// What a datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(&'static str),
    /// So many bytes `a`, `b`, … `z`, `a`, ….
    Letters(usize),
}

impl Content {
    /// The bytes.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into(),
            Self::Letters(count) => (b'a'..=b'z').cycle().take(count).collect(),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Letters(count) => write!(f, "{count} bytes"),
        }
    }
}

/// The call by its name in the socket API, as a line of the introduction shows it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(port) => write!(f, "listen on {port}"),
            Self::Accept => f.write_str("accept"),
            Self::Connect(port) => write!(f, "connect to {port}"),
            Self::ConnectWithin(port, milliseconds) => {
                write!(f, "connect to {port} within {milliseconds} ms")
            }
            Self::ConnectNobody(port) => write!(f, "connect to {port} of nobody"),
            Self::Send(text) => write!(f, "send {text:?}"),
            Self::Receive(_) => f.write_str("recv"),
            Self::ReceiveEnd => f.write_str("recv the end"),
            Self::Shutdown => f.write_str("shutdown writing"),
            Self::Close => f.write_str("close"),
            Self::Bind(port) => write!(f, "bind {port}"),
            Self::SendTo(port, content) => write!(f, "sendto {port} {content}"),
            Self::Reply(content) => write!(f, "sendto {content}"),
            Self::ReceiveFrom => f.write_str("recvfrom"),
            Self::Wait(milliseconds) => write!(f, "wait {milliseconds} ms"),
        }
    }
}

/// What happens in a lab.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub title: &'static str,
    /// What the client does.
    pub client: &'static [Call],
    /// What the server does; the client begins when the server is ready.
    pub server: &'static [Call],
    /// What the wire drops.
    pub drops: &'static [Drop],
    /// Another scenario worth seeing next.
    pub next: &'static str,
    /// What else there is to know, in a sentence or two.
    pub remark: &'static str,
    /// Only a kernel can play it.
    pub kernel_only: bool,
}

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|scenario| scenario.name == name)
    }

    /// What `host` does.
    pub const fn calls(&self, host: Host) -> &'static [Call] {
        match host {
            Host::Client => self.client,
            Host::Server => self.server,
        }
    }

    /// Ports of the server that the scenario names, whether somebody is there or not.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.client.iter().filter_map(|call| match call {
            Call::Connect(port) | Call::ConnectWithin(port, _) | Call::SendTo(port, _) => {
                Some(*port)
            }
            _ => None,
        })
    }

    /// Ports on which a TCP socket of the server listens.
    pub fn listening(&self) -> impl Iterator<Item = u16> {
        self.server.iter().filter_map(|call| match call {
            Call::Listen(port) => Some(*port),
            _ => None,
        })
    }
}

const HELLO: &[Call] = &[
    Call::Connect(5000),
    Call::Send("hello\n"),
    Call::Receive(6),
    Call::Close,
];

const WORLD: &[Call] = &[
    Call::Listen(5000),
    Call::Accept,
    Call::Receive(6),
    Call::Send("world\n"),
    Call::ReceiveEnd,
    Call::Close,
];

/// Every scenario, in the order of `lab list`.
pub static ALL: &[Scenario] = &[
    Scenario {
        name: "handshake",
        title: "a TCP handshake, a line of data each way, the close",
        client: HELLO,
        server: WORLD,
        drops: &[],
        next: "lost-syn",
        remark: "",
        kernel_only: false,
    },
    Scenario {
        name: "udp",
        title: "a datagram, its reply, then one to a closed port",
        client: &[
            Call::SendTo(5000, Content::Text("ping\n")),
            Call::ReceiveFrom,
            Call::SendTo(5001, Content::Text("ping\n")),
            // Long enough for the error to find the socket still there.
            Call::Wait(50),
            Call::Close,
        ],
        server: &[
            Call::Bind(5000),
            Call::ReceiveFrom,
            Call::Reply(Content::Text("pong\n")),
            Call::Close,
        ],
        drops: &[],
        next: "refused",
        remark: "",
        kernel_only: false,
    },
    Scenario {
        name: "refused",
        title: "a SYN to a closed port, and the RST that answers",
        client: &[Call::Connect(5000), Call::Close],
        server: &[],
        drops: &[],
        next: "filtered",
        remark: "",
        kernel_only: false,
    },
    Scenario {
        name: "filtered",
        title: "every SYN is dropped silently: connect times out",
        client: &[Call::ConnectWithin(5000, 4000), Call::Close],
        server: &[Call::Listen(5000)],
        drops: &[Drop {
            what: What::Syn,
            nth: None,
        }],
        next: "no-host",
        remark: "silence looks the same whether a firewall or the wire drops the SYN, or its answer; a closed port \
                 would answer with RST (lab refused). The program gave up after 4 s; without a limit of its own, connect \
                 waits until the kernel gives up.",
        kernel_only: false,
    },
    Scenario {
        name: "no-host",
        title: "an address that nobody has: ARP is not answered",
        client: &[Call::ConnectNobody(5000), Call::Close],
        server: &[],
        drops: &[],
        next: "filtered",
        remark: "no SYN was sent: a host of the own network is asked for its hardware address first (ARP; over IPv6, \
                 neighbour solicitations). Linux asks three times, a second apart, then connect fails with EHOSTUNREACH.",
        kernel_only: true,
    },
    Scenario {
        name: "half-close",
        title: "the client is done sending, and still receives",
        client: &[
            Call::Connect(5000),
            Call::Send("count\n"),
            Call::Shutdown,
            Call::ReceiveEnd,
            Call::Close,
        ],
        server: &[
            Call::Listen(5000),
            Call::Accept,
            Call::ReceiveEnd,
            Call::Send("6 bytes\n"),
            Call::Close,
        ],
        drops: &[],
        next: "udp",
        remark: "",
        kernel_only: false,
    },
    Scenario {
        name: "lost-syn",
        title: "the first SYN is lost: TCP waits, and tries again",
        client: HELLO,
        server: WORLD,
        drops: &[Drop {
            what: What::Syn,
            nth: Some(1),
        }],
        next: "half-close",
        remark: "",
        kernel_only: false,
    },
    Scenario {
        name: "fragments",
        title: "a datagram too large for the link, cut up by IP",
        client: &[
            Call::SendTo(5000, Content::Letters(4000)),
            Call::ReceiveFrom,
            Call::Close,
        ],
        server: &[
            Call::Bind(5000),
            Call::ReceiveFrom,
            Call::Reply(Content::Text("4000 bytes, thank you\n")),
            Call::Close,
        ],
        drops: &[],
        next: "udp",
        remark: "",
        kernel_only: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_scenario_exists() {
        for scenario in ALL {
            assert!(
                Scenario::named(scenario.next).is_some(),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn what_each_host_does_fits_a_line() {
        for scenario in ALL {
            for host in Host::BOTH {
                let calls: Vec<_> = scenario.calls(host).iter().map(Call::to_string).collect();
                let line = format!("{host}: {}", calls.join(", "));
                assert!(line.len() <= 80, "{line}");
            }
        }
    }
}
