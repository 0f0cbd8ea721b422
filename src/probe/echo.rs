//! Two hosts with routers between them, in private networks of this process: a packet is sent by one, and looked at where it
//! leaves, where it arrives, and on its way back.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    os::fd::{AsFd as _, OwnedFd},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{KernelRoute, Outlet, ProbeError, Via};
use crate::{
    craft::{Built, Spec},
    link::LinkType,
    sys::{
        ethtool,
        netlink::{End, LOOPBACK, Netlink},
        netns,
        port::Port,
    },
};

/// The most routers.
pub const MOST_HOPS: usize = 3;
/// The port on which B gives every datagram back, and takes every connection.
pub const ECHO_PORT: u16 = 7;
/// B's address, however many routers there are.
pub const B: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 2);
/// Each host's interface towards A, and towards B.
const INNER: (u32, &str) = (100, "in");
const OUTER: (u32, &str) = (101, "out");
/// How long nothing may happen before all is over: a kernel answers at once.
const SILENCE: Duration = Duration::from_millis(100);

/// What a lab is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Routers between A and B, at most [`MOST_HOPS`].
    pub hops: usize,
    /// The router next to B puts its own address in place of A's (needs `nft`).
    pub nat: bool,
}

/// A packet as it was seen in several places; `None` where it did not come by.
#[derive(Clone, Debug)]
pub struct Echoed {
    /// As it was made.
    pub made: Vec<u8>,
    /// What its first byte is; the others begin with Ethernet.
    pub link: LinkType,
    /// By which socket it left, in words.
    pub by: String,
    /// As it left A.
    pub left: Option<Vec<u8>>,
    /// As it reached B.
    pub arrived: Option<Vec<u8>>,
    /// The answer as it left B.
    pub answered: Option<Vec<u8>>,
    /// The first answer that reached A, whoever sent it.
    pub returned: Option<Vec<u8>>,
}

impl Plan {
    /// A's address.
    pub fn a(&self) -> Ipv4Addr {
        self.network(0, 1)
    }

    /// An address on link `link`; the last link is B's.
    fn network(&self, link: usize, host: u8) -> Ipv4Addr {
        match link == self.hops {
            true => Ipv4Addr::new(10, 0, 9, host),
            false => Ipv4Addr::new(10, 0, link as u8, host),
        }
    }
}

/// A host or router: its network, and the socket that sets it up.
struct Node {
    network: OwnedFd,
    kernel: Netlink,
}

impl Node {
    /// A new network; this thread is in it then.
    fn new() -> io::Result<Self> {
        Ok(Self {
            network: netns::unshare_network()?,
            kernel: Netlink::open()?,
        })
    }

    /// Moves this thread into the host.
    fn enter(&self) -> io::Result<()> {
        netns::join(self.network.as_fd())
    }

    /// A socket that sees what arrives at an interface.
    fn port(&self, (index, _): (u32, &str)) -> io::Result<Port> {
        self.enter()?;
        Port::open(index)
    }
}

/// Waits until the link between two hosts carries frames both ways. The kernel learns in its own time that the other end is
/// up, and drops what is sent until then.
fn settle(near: &Node, far: &Node) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    /// For everybody, of a type that is kept for experiments (IEEE 802, local experimental EtherType 1).
    const HELLO: [u8; 60] = {
        let mut frame = [0; 60];
        let mut at = 0;
        while at < 6 {
            frame[at] = 0xff;
            at += 1;
        }
        (frame[12], frame[13]) = (0x88, 0xb5);
        frame
    };
    let ports = [near.port(OUTER)?, far.port(INNER)?];
    let (mut buffer, start) = ([0; 128], Instant::now());
    for (from, to) in [(0, 1), (1, 0)] {
        while ports[to].receive(&mut buffer)?.is_none() {
            if start.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // It may be refused as long as the link is down.
            let _ = ports[from].send(&HELLO);
            let _ = poll(
                &mut [PollFd::new(ports[to].as_fd(), PollFlags::POLLIN)],
                PollTimeout::from(1u8),
            );
        }
    }
    Ok(())
}

/// Hosts from A to B, all up.
struct Lab {
    nodes: Vec<Node>,
}

fn trying<T>(doing: &str, result: io::Result<T>) -> Result<T, ProbeError> {
    result.map_err(|error| ProbeError::io(doing, error))
}

const fn mac(link: usize, host: u8) -> [u8; 6] {
    [2, 0, 0, 0, link as u8 + 1, host]
}

impl Lab {
    fn new(plan: Plan) -> Result<Self, ProbeError> {
        let nodes = (0..plan.hops + 2).map(|_| Node::new());
        let nodes = trying("make a host's network namespace", nodes.collect())?;
        let lab = Self { nodes };
        for link in 0..=plan.hops {
            trying("join two hosts by a veth pair", lab.join(plan, link))?;
        }
        for ends in lab.nodes.windows(2) {
            let settled = settle(&ends[0], &ends[1]);
            trying("wait for a link to come up", settled)?;
        }
        for at in 0..lab.nodes.len() {
            trying("tell a host its routes", lab.routes(plan, at))?;
        }
        for router in &lab.nodes[1..=plan.hops] {
            trying("enter a router's network", router.enter())?;
            let forward = std::fs::write("/proc/sys/net/ipv4/ip_forward", "1");
            trying("make a router pass packets on (ip_forward)", forward)?;
        }
        if plan.nat {
            lab.nat(plan)?;
        }
        Ok(lab)
    }

    /// Link `link` lies between the hosts `link` and `link + 1`, which know each other's hardware addresses.
    fn join(&self, plan: Plan, link: usize) -> io::Result<()> {
        let (near, far) = (&self.nodes[link], &self.nodes[link + 1]);
        let end = |(index, name): (u32, &'static str), host| End {
            index,
            name,
            mac: mac(link, host),
        };
        let (here, there) = (end(OUTER, 1), end(INNER, 2));
        near.kernel.veth(here, there, far.network.as_fd())?;
        for (node, (index, name), host, other) in [(near, OUTER, 1, 2), (far, INNER, 2, 1)] {
            node.enter()?;
            let kernel = &node.kernel;
            // Where IPv6 is not built in, there is no address to keep away.
            let _ = kernel.no_own_address(index);
            kernel.up(LOOPBACK)?;
            kernel.address(index, plan.network(link, host).into(), 24)?;
            kernel.up(index)?;
            kernel.neighbour(index, plan.network(link, other).into(), mac(link, other))?;
            ethtool::offloads_off(name)?;
        }
        Ok(())
    }

    /// The ways from host `at` to the links that it is not on.
    fn routes(&self, plan: Plan, at: usize) -> io::Result<()> {
        for link in 0..=plan.hops {
            let towards_b = link > at;
            let router = match towards_b {
                true => plan.network(at, 2),
                false if link + 1 < at => plan.network(at - 1, 1),
                false => continue,
            };
            let network: IpAddr = plan.network(link, 0).into();
            self.nodes[at].kernel.route(network, 24, router.into())?;
        }
        Ok(())
    }

    /// Masquerade on the router next to B, or on A where there is none.
    fn nat(&self, plan: Plan) -> Result<(), ProbeError> {
        trying("enter a router's network", self.nodes[plan.hops].enter())?;
        let rules = format!(
            "add table ip nat; add chain ip nat post {{ type nat hook postrouting priority 100; }}; \
             add rule ip nat post oifname {} masquerade",
            OUTER.1
        );
        let mut nft = Command::new("nft");
        nft.arg(rules).stdin(Stdio::null()).stdout(Stdio::null());
        let output = trying(
            "run nft, which makes the NAT (Debian: apt install nftables)",
            nft.stderr(Stdio::piped()).output(),
        )?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default().to_owned();
        Err(ProbeError::Unsendable(format!(
            "nft makes no NAT here: {said}"
        )))
    }
}

/// Builds the lab in the network namespace of this thread's making, sends packet 0 of `spec` from A, and watches until nothing
/// happens any more. The thread stays in A's network.
///
/// # Errors
/// When the system refuses a part of the lab, or the packet cannot be sent.
pub fn run(plan: Plan, spec: &Spec, via: &Via) -> Result<Echoed, ProbeError> {
    let lab = Lab::new(plan)?;
    let (Some(a), Some(b)) = (lab.nodes.first(), lab.nodes.last()) else {
        return Err(ProbeError::Unsendable("a lab has two hosts".to_owned()));
    };
    let open = "open a packet socket in the lab";
    // What leaves a host is seen by its neighbour.
    let ports = [
        trying(open, lab.nodes[1].port(INNER))?,
        trying(open, b.port(INNER))?,
        trying(open, lab.nodes[plan.hops].port(OUTER))?,
        trying(open, a.port(OUTER))?,
    ];
    trying("enter B's network", b.enter())?;
    let serve = "open B's sockets";
    let datagrams = trying(serve, UdpSocket::bind((B, ECHO_PORT)))?;
    trying(serve, datagrams.set_nonblocking(true))?;
    let _connections = trying(serve, TcpListener::bind((B, ECHO_PORT)))?;
    trying("enter A's network", a.enter())?;
    let route = KernelRoute::open()?;
    let mut built = Built::default();
    spec.build(0, &route, &mut built);
    let link = spec.link().unwrap_or(LinkType::RAW);
    let mut outlet = Outlet::open(&built.packet(link), via, &route)?;
    outlet.send(&built.bytes)?;
    let [left, arrived, answered, returned] = watch(&ports, &datagrams)?;
    Ok(Echoed {
        made: built.bytes,
        link,
        by: outlet.describe(),
        left,
        arrived,
        answered,
        returned,
    })
}

/// The first packet that each port saw, until nothing happens any more; meanwhile B gives datagrams back.
fn watch(ports: &[Port; 4], datagrams: &UdpSocket) -> Result<[Option<Vec<u8>>; 4], ProbeError> {
    /// Hosts that answer each other for ever are left alone after that.
    const LONGEST: Duration = Duration::from_secs(2);
    let mut buffer = vec![0; 65_536];
    let mut seen: [Option<Vec<u8>>; 4] = Default::default();
    let start = Instant::now();
    while start.elapsed() < LONGEST {
        let mut busy = false;
        for (port, seen) in ports.iter().zip(&mut seen) {
            while let Some((len, _)) = trying("watch a link", port.receive(&mut buffer))? {
                busy = true;
                // Only what was sent and its answers is IPv4; hosts talk of themselves in other ways.
                if seen.is_none() && buffer.get(12..14) == Some(&[8, 0]) {
                    *seen = Some(buffer[..len].to_vec());
                }
            }
        }
        while let Ok((len, from)) = datagrams.recv_from(&mut buffer) {
            busy = true;
            let _ = datagrams.send_to(&buffer[..len], from);
        }
        if !busy {
            let mut waiting: Vec<PollFd<'_>> = ports
                .iter()
                .map(|port| PollFd::new(port.as_fd(), PollFlags::POLLIN))
                .collect();
            waiting.push(PollFd::new(datagrams.as_fd(), PollFlags::POLLIN));
            let limit = PollTimeout::try_from(SILENCE).unwrap_or(PollTimeout::MAX);
            match poll(&mut waiting, limit) {
                Ok(0) => break,
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(ProbeError::io("wait for packets", errno.into())),
            }
        }
    }
    Ok(seen)
}
