//! Names from this machine, for filters and for lines: services from its table, hosts from its resolver.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs},
};

use sockwire::{
    filter::{Names, Service},
    line::EndNames,
    sys,
    text::Safe,
};

/// Asks `/etc/services` and, unless forbidden, the resolver.
pub(crate) struct System {
    /// The resolver may be asked (`-n` forbids it).
    pub(crate) resolve: bool,
}

impl Names for System {
    fn port(&self, name: &str, service: Service) -> Option<u16> {
        let over = match service {
            Service::Tcp => "tcp",
            Service::Udp => "udp",
            Service::Sctp => "sctp",
        };
        entry("/etc/services", name, |value| {
            let (port, protocol) = value.split_once('/')?;
            (protocol == over).then(|| port.parse().ok())?
        })
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        entry("/etc/protocols", name, |value| value.parse().ok())
    }

    fn network(&self, name: &str) -> Option<(Ipv4Addr, u8)> {
        entry("/etc/networks", name, |value| {
            let address: Ipv4Addr = value.parse().ok()?;
            let prefix = 32 - address.to_bits().trailing_zeros() as u8 / 8 * 8;
            Some((address, prefix))
        })
    }

    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        // The address stands first here.
        let table = fs::read_to_string("/etc/ethers").unwrap_or_default();
        let lines = table
            .lines()
            .map(|line| line.split('#').next().unwrap_or(""));
        lines
            .filter_map(|line| line.split_whitespace().collect::<Vec<_>>().try_into().ok())
            .find_map(|[address, host]: [&str; 2]| {
                let bytes = address.split(':').map(|part| u8::from_str_radix(part, 16));
                let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().ok()?;
                (host == name).then(|| bytes.try_into().ok())?
            })
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        if !self.resolve {
            return Vec::new();
        }
        // In the resolver's order, which comes from the network: each address once.
        let mut found = Vec::new();
        for socket in (name, 0).to_socket_addrs().into_iter().flatten() {
            if !found.contains(&socket.ip()) {
                found.push(socket.ip());
            }
        }
        found
    }
}

/// The first entry of a table like `/etc/services` that has `name` (first, or as an alias) and a value that `read` takes.
fn entry<T>(table: &str, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let table = fs::read_to_string(table).unwrap_or_default();
    table.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, value) = (words.next()?, words.next()?);
        (first == name || words.any(|alias| alias == name)).then(|| read(value))?
    })
}

/// Hosts that are remembered: beyond them, addresses are shown as numbers.
const REMEMBERED: usize = 65_536;

/// Names for the ends of lines (`-N`). Each host is asked for once.
#[derive(Debug)]
pub(crate) struct Ends {
    hosts: HashMap<IpAddr, Option<String>>,
    services: HashMap<u16, String>,
}

impl Default for Ends {
    fn default() -> Self {
        let mut services = HashMap::new();
        for one in known_services() {
            services.entry(one.port).or_insert(one.name);
        }
        Self {
            hosts: HashMap::new(),
            services,
        }
    }
}

/// A row of `/etc/services`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its official name here.
    pub(crate) name: String,
    /// Its port.
    pub(crate) port: u16,
    /// Over what: `tcp`, `udp`, `sctp`.
    pub(crate) over: String,
    /// Its other names.
    pub(crate) aliases: Vec<String>,
}

/// All of `/etc/services` that has ports; nothing where there is none.
pub(crate) fn known_services() -> Vec<Known> {
    let table = fs::read_to_string("/etc/services").unwrap_or_default();
    // AppleTalk's sockets stand there as well.
    let all = table.lines().filter_map(known);
    all.filter(|one| one.over != "ddp").collect()
}

fn known(line: &str) -> Option<Known> {
    let mut words = line.split('#').next()?.split_whitespace();
    let (name, (port, over)) = (words.next()?, words.next()?.split_once('/')?);
    Some(Known {
        name: name.to_owned(),
        port: port.parse().ok()?,
        over: over.to_owned(),
        aliases: words.map(str::to_owned).collect(),
    })
}

impl EndNames for Ends {
    fn host(&mut self, address: IpAddr, out: &mut String) -> bool {
        if !self.hosts.contains_key(&address) {
            if self.hosts.len() >= REMEMBERED {
                return false;
            }
            // Whoever owns the address owns its name: untrusted text.
            let name = sys::names::host(address).map(|name| Safe(name.as_bytes()).to_string());
            self.hosts.insert(address, name);
        }
        let name = self.hosts.get(&address).and_then(Option::as_deref);
        out.push_str(name.unwrap_or_default());
        name.is_some()
    }

    fn service(&mut self, port: u16, out: &mut String) -> bool {
        let name = self.services.get(&port);
        out.push_str(name.map_or("", String::as_str));
        name.is_some()
    }
}
