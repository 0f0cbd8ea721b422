//! `sockwire ports`: what port numbers mean, what this kernel does with them, and who listens here now.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

use anyhow::anyhow;
use nix::unistd::{Uid, User};
use serde_json::{Value, json};
use sockwire::{
    capture::{Holder, holders},
    sockets::ports::{FAMOUS, Kernel, RANGES, Range, range_of},
    sys::sock_diag::{SockDiag, Waiting},
    text::{Safe, ascii, near},
};

use super::{
    Exit, Failure, Global, Numeric, Outcome,
    names::{Known, known_services},
    output::{self, write_wrapped},
    usage,
};

const EXAMPLES: &str = "\
Examples:
  sockwire ports                     the ranges, known services, and who listens here
  sockwire ports 5000                what 5000 is, and who has it
  sockwire ports ssh                 the same for a service's name
  sudo sockwire ports                also names the processes of other users";

/// Shows IANA's port ranges beside this kernel's own, known services, and who listens here now
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this port, or the ports of this service
    #[arg(value_name = "N|NAME")]
    port: Option<String>,
    /// One JSON object a line: ranges, what the kernel does, services, listeners
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    numeric: Numeric,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let known = known_services();
    let wanted = match &args.port {
        Some(word) => Some(numbers(word, &known)?),
        None => None,
    };
    let here = Here {
        kernel: Kernel::look(),
        services: services(&known),
        listeners: listeners(wanted.as_deref()).map_err(|error| {
            let error = anyhow!("cannot ask the kernel who listens: {error}; see: ss -lntu");
            Failure::new(Exit::NoSuch, error)
        })?,
    };
    let mut text = match (&wanted, args.json) {
        (wanted, true) => here.records(wanted.as_deref()),
        (None, false) => here.everything(),
        (Some(ports), false) => here.some(ports),
    };
    if global.ascii {
        text = ascii(&text);
    }
    output::print(&text)?;
    Ok(Exit::Done)
}

/// The ports that a word means.
fn numbers(word: &str, known: &[Known]) -> Result<Vec<u16>, Failure> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        let usage = || usage(format!("no port {word}: they go from 0 to 65535"));
        return Ok(vec![word.parse().map_err(|_| usage())?]);
    }
    let famous = FAMOUS.iter().map(|one| (one.name, one.port));
    let more = known.iter().flat_map(|one| {
        let names = [&one.name].into_iter().chain(&one.aliases);
        names.map(|name| (name.as_str(), one.port))
    });
    let all: Vec<(&str, u16)> = famous
        .chain(more)
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let same = all.iter().filter(|(name, _)| *name == word);
    let mut ports: Vec<u16> = same.map(|(_, port)| *port).collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        let advice = match near(word, all.iter().map(|(name, _)| *name)) {
            Some(name) => format!("did you mean {name}?"),
            None => "all known names: sockwire ports".to_owned(),
        };
        let word = Safe(word.as_bytes());
        let error = anyhow!("no service {word} is known here; {advice}");
        return Err(Failure::new(Exit::NoMatch, error));
    }
    Ok(ports)
}

/// A service with its name and what it is; the last is empty where only `/etc/services` knows it.
#[derive(Debug, PartialEq, Eq)]
struct Service {
    port: u16,
    over: String,
    name: String,
    what: &'static str,
}

/// The famous ones, and those of `/etc/services` on ports that no famous one has; by port.
fn services(known: &[Known]) -> Vec<Service> {
    let mut all: Vec<Service> = FAMOUS
        .iter()
        .map(|one| Service {
            port: one.port,
            over: one.over.to_owned(),
            name: one.name.to_owned(),
            what: one.what,
        })
        .collect();
    for one in known {
        let famous = FAMOUS.iter().any(|famous| famous.port == one.port);
        let same = |other: &&mut Service| other.port == one.port && other.name == one.name;
        match all.iter_mut().find(same) {
            _ if famous => {}
            Some(other) => {
                let _ = write!(other.over, ", {}", one.over);
            }
            None => all.push(Service {
                port: one.port,
                over: one.over.clone(),
                name: one.name.clone(),
                what: "",
            }),
        }
    }
    all.sort_by_key(|one| one.port);
    all
}

/// A socket that waits, and whose it is.
struct Listener {
    over: &'static str,
    socket: Waiting,
    processes: Vec<Holder>,
    /// How many have the very same address, this one included.
    sharing: usize,
}

/// Those on the wanted ports, or all; by port.
fn listeners(wanted: Option<&[u16]>) -> io::Result<Vec<Listener>> {
    let diag = SockDiag::open()?;
    let mut found = Vec::new();
    for (over, tcp) in [("tcp", true), ("udp", false)] {
        let all = diag.waiting(tcp)?;
        let is_wanted = |one: &Waiting| wanted.is_none_or(|w| w.contains(&one.address.port()));
        found.extend(all.into_iter().filter(is_wanted).map(|one| (over, one)));
    }
    let place = |(over, one): &(&'static str, Waiting)| (*over, one.address, one.interface);
    let mut places: HashMap<_, usize> = HashMap::new();
    for one in &found {
        *places.entry(place(one)).or_default() += 1;
    }
    let mut processes = holders(found.iter().map(|(_, one)| one.inode.into()));
    found.sort_by_key(|(over, one)| (one.address.port(), *over, one.address));
    let whole = found.into_iter().map(|one| Listener {
        sharing: places.get(&place(&one)).copied().unwrap_or(1),
        processes: processes.remove(&one.1.inode.into()).unwrap_or_default(),
        over: one.0,
        socket: one.1,
    });
    Ok(whole.collect())
}

impl Listener {
    /// Who can reach it.
    fn reach(&self) -> &'static str {
        match (self.socket.address.ip(), self.socket.v6_only) {
            (ip, _) if ip.is_loopback() => "this machine only",
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), _) => "all IPv4",
            (IpAddr::V6(ip), Some(false)) if ip.is_unspecified() => "all IPv6 and IPv4",
            (ip, _) if ip.is_unspecified() => "all IPv6",
            _ => "this address",
        }
    }

    /// Whose it is, as far as this user may see.
    fn owner(&self) -> String {
        let user = user(self.socket.user);
        let names = self.processes.iter().map(|holder| {
            let (id, name) = &holder.process;
            let name = Safe(name.as_bytes());
            format!("{name}[{id}]")
        });
        let names: Vec<String> = names.collect();
        match (names.is_empty(), Uid::effective().is_root()) {
            (false, _) => format!("{} ({user})", names.join(", ")),
            (true, false) => format!("({user}; process: ask as root)"),
            (true, true) => format!("({user}; process not visible)"),
        }
    }

    /// Its place and who can reach it; whose it is stands behind that, or below where it is long.
    fn line(&self) -> String {
        let address = self.socket.address.to_string();
        let mut line = format!("  {:<4} {address:<20} {:<18}", self.over, self.reach());
        let mut more = Vec::new();
        let owner = self.owner();
        if line.len() + 1 + owner.len() <= 80 {
            let _ = write!(line, " {owner}");
        } else {
            line.truncate(line.trim_end().len());
            more.push(owner);
        }
        if self.sharing > 1 {
            more.push(format!("{} sockets share this address", self.sharing));
        }
        if self.socket.interface != 0 && self.socket.address.ip().is_ipv4() {
            more.push(format!("interface {} only", self.socket.interface));
        }
        if self.over == "tcp" && self.socket.queued > 0 {
            let (queued, limit) = (self.socket.queued, self.socket.limit);
            more.push(format!("{queued} of {limit} wait for accept()"));
        }
        for one in more {
            let _ = write!(line, "\n       {one}");
        }
        line
    }

    fn record(&self) -> Value {
        let processes = self.processes.iter();
        let processes = processes.map(
            |Holder {
                 process: (id, name),
                 ..
             }| json!({"pid": id, "name": Safe(name.as_bytes()).to_string()}),
        );
        json!({
            "schema": 1,
            "record": "listener",
            "protocol": self.over,
            "address": self.socket.address.ip().to_string(),
            "port": self.socket.address.port(),
            "v6_only": self.socket.v6_only.filter(|_| self.socket.address.is_ipv6()),
            "interface": self.socket.interface,
            "queued": self.socket.queued,
            "limit": self.socket.limit,
            "uid": self.socket.user,
            "user": user(self.socket.user),
            "inode": self.socket.inode,
            "processes": processes.collect::<Vec<_>>(),
        })
    }
}

/// A user's name, else number.
pub(super) fn user(id: u32) -> String {
    let user = User::from_uid(Uid::from_raw(id)).ok().flatten();
    user.map_or_else(
        || id.to_string(),
        |user| Safe(user.name.as_bytes()).to_string(),
    )
}

/// All that is known.
struct Here {
    kernel: Kernel,
    services: Vec<Service>,
    listeners: Vec<Listener>,
}

impl Here {
    fn everything(&self) -> String {
        let mut text = "IANA's ranges (RFC 6335)\n".to_owned();
        for Range {
            ports,
            name,
            meaning,
        } in &RANGES
        {
            let ports = shown(ports);
            let _ = writeln!(text, "  {ports:>12}  {name:<8} {meaning}");
        }
        text.push_str("\nThis kernel\n");
        for line in self.kernel_words() {
            write_wrapped(&mut text, 2, 80, &line);
        }
        text.push_str("\nServices, by IANA's names\n");
        let (famous, more): (Vec<_>, Vec<_>) =
            self.services.iter().partition(|one| !one.what.is_empty());
        famous
            .iter()
            .for_each(|one| text.push_str(&service_line(one)));
        if !more.is_empty() {
            let _ = writeln!(
                text,
                "  and {} more in /etc/services: sockwire ports NAME",
                more.len()
            );
        }
        text.push_str("\nWho listens here\n");
        self.who(&self.listeners, &mut text);
        text
    }

    fn some(&self, ports: &[u16]) -> String {
        let mut text = String::new();
        for (at, &port) in ports.iter().enumerate() {
            let range = range_of(port);
            let gap = if at == 0 { "" } else { "\n" };
            let ports = shown(&range.ports);
            let _ = writeln!(
                text,
                "{gap}port {port}: a {} port ({ports}): {}",
                range.name, range.meaning
            );
            for line in self.words(port) {
                write_wrapped(&mut text, 2, 80, &line);
            }
            let known: Vec<&Service> = self
                .services
                .iter()
                .filter(|one| one.port == port)
                .collect();
            let title = match known.is_empty() {
                true => "\nNo service is known for it",
                false => "\nServices",
            };
            let _ = writeln!(text, "{title}");
            known
                .iter()
                .for_each(|one| text.push_str(&service_line(one)));
            text.push_str("\nWho listens here\n");
            let on_it = |one: &&Listener| one.socket.address.port() == port;
            self.who(self.listeners.iter().filter(on_it), &mut text);
        }
        text
    }

    fn who<'a>(&self, listeners: impl IntoIterator<Item = &'a Listener>, text: &mut String) {
        let before = text.len();
        for one in listeners {
            let _ = writeln!(text, "{}", one.line());
        }
        if text.len() == before {
            text.push_str("  nobody\n");
        }
    }

    fn kernel_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(local) = &self.kernel.local {
            let dynamic = &RANGES[2].ports;
            let differs = match local == dynamic {
                true => String::new(),
                false => format!(", where IANA means {}", shown(dynamic)),
            };
            let local = shown(local);
            lines.push(format!(
                "gives {local} to programs that name none (ip_local_port_range){differs}"
            ));
        }
        if !self.kernel.reserved.is_empty() {
            let reserved: Vec<String> = self.kernel.reserved.iter().map(shown).collect();
            let reserved = reserved.join(", ");
            lines.push(format!("but none of {reserved} (ip_local_reserved_ports)"));
        }
        lines.extend(self.kernel.unprivileged.map(|first| match first {
            0 => "lets any program take any port (ip_unprivileged_port_start is 0)".to_owned(),
            first => format!(
                "lets any program take {first} and above; below, root or CAP_NET_BIND_SERVICE (ip_unprivileged_port_start)"
            ),
        }));
        lines
    }

    /// What this kernel does with one port.
    fn words(&self, port: u16) -> Vec<String> {
        let mut lines = Vec::new();
        if port == 0 {
            lines.push(
                "bind() with port 0 asks the kernel for a free one; no packet goes to it"
                    .to_owned(),
            );
            return lines;
        }
        lines.extend(self.kernel.unprivileged.map(|first| {
            if u32::from(port) < first {
                format!("a server on it needs root or CAP_NET_BIND_SERVICE (below {first})")
            } else {
                "any program may take it".to_owned()
            }
        }));
        if self.kernel.gives(port) {
            lines.push(
                "this kernel may give it to any connection of its own: a server here may find it in use".to_owned(),
            );
        }
        lines
    }

    fn records(&self, wanted: Option<&[u16]>) -> String {
        let ends = |range: &RangeInclusive<u16>| json!([range.start(), range.end()]);
        let is_wanted = |range: &RangeInclusive<u16>| {
            wanted.is_none_or(|ports| ports.iter().any(|port| range.contains(port)))
        };
        let mut all: Vec<Value> = Vec::new();
        for range in RANGES.iter().filter(|range| is_wanted(&range.ports)) {
            all.push(json!({
                "schema": 1, "record": "range", "name": range.name,
                "first": range.ports.start(), "last": range.ports.end(), "meaning": range.meaning,
            }));
        }
        let reserved: Vec<Value> = self.kernel.reserved.iter().map(ends).collect();
        all.push(json!({
            "schema": 1, "record": "kernel",
            "ip_local_port_range": self.kernel.local.as_ref().map(ends),
            "ip_unprivileged_port_start": self.kernel.unprivileged,
            "ip_local_reserved_ports": reserved,
        }));
        for one in self
            .services
            .iter()
            .filter(|one| is_wanted(&(one.port..=one.port)))
        {
            all.push(json!({
                "schema": 1, "record": "service", "port": one.port, "protocols": one.over.split(", ").collect::<Vec<_>>(),
                "name": one.name, "what": one.what,
            }));
        }
        all.extend(self.listeners.iter().map(Listener::record));
        all.iter().fold(String::new(), |mut text, one| {
            let _ = writeln!(text, "{one}");
            text
        })
    }
}

fn shown(range: &RangeInclusive<u16>) -> String {
    match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

fn service_line(one: &Service) -> String {
    let name = if one.name.is_empty() { "-" } else { &one.name };
    let line = format!(
        "  {:>5}  {:<15} {:<8}  {}",
        one.port,
        Safe(name.as_bytes()).to_string(),
        one.over,
        one.what
    );
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, v6_only: Option<bool>) -> Option<Listener> {
        Some(Listener {
            over: "tcp",
            socket: Waiting {
                address: address.parse().ok()?,
                v6_only,
                interface: 0,
                queued: 3,
                limit: 5,
                user: 0,
                inode: 1,
            },
            processes: [(4242, "ev\u{1b}il"), (4243, "evil")]
                .map(|(id, name)| Holder {
                    process: (id, name.to_owned()),
                    descriptors: vec![3],
                })
                .into(),
            sharing: 2,
        })
    }

    #[test]
    fn who_can_reach_a_server_depends_on_its_address() {
        for (address, v6_only, reach) in [
            ("127.0.0.1:80", None, "this machine only"),
            ("[::1]:80", Some(false), "this machine only"),
            ("0.0.0.0:80", None, "all IPv4"),
            ("[::]:80", Some(false), "all IPv6 and IPv4"),
            ("[::]:80", Some(true), "all IPv6"),
            ("10.0.0.1:80", None, "this address"),
        ] {
            let found = listener(address, v6_only).map(|one| one.reach());
            assert_eq!(found, Some(reach), "{address} {v6_only:?}");
        }
    }

    #[test]
    fn a_listener_tells_all_its_processes_and_no_control_byte() {
        let line = listener("0.0.0.0:80", None)
            .map(|one| one.line())
            .unwrap_or_default();
        assert!(line.contains("ev\\x1bil[4242], evil[4243]"), "{line}");
        assert!(
            line.contains("2 sockets share") && line.contains("3 of 5 wait"),
            "{line}"
        );
    }

    #[test]
    fn a_word_is_a_port_or_a_service() {
        let known = [Known {
            name: "own".to_owned(),
            port: 7777,
            over: "tcp".to_owned(),
            aliases: vec!["mine".to_owned()],
        }];
        let ports = |word| {
            numbers(word, &known).map_err(|failure| (failure.exit, failure.error.to_string()))
        };
        assert_eq!(ports("5000"), Ok(vec![5000]));
        assert_eq!(ports("ssh"), Ok(vec![22]));
        assert_eq!(ports("mine"), Ok(vec![7777]));
        assert!(matches!(ports("65536"), Err((Exit::Usage, _))));
        let Err((exit, said)) = ports("htttp") else {
            panic!("there is no htttp");
        };
        assert_eq!(exit, Exit::NoMatch);
        assert!(said.contains("did you mean http?"), "{said}");
        let all = services(&known);
        assert!(
            all.iter()
                .any(|one| one.port == 7777 && one.what.is_empty())
        );
    }
}
