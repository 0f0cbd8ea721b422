//! `sockwire resolve`: a name's addresses as `getaddrinfo` gives them, all its names, and the way back.

mod source;

use std::{
    collections::HashSet,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use anyhow::anyhow;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};
use sockwire::{
    call::{Family, Kind},
    capture,
    render::call::{Language, sockaddr_of},
    sockets::{
        Event, Journal,
        resolve::{Found, LookupError, Trouble, Wanted, lookup},
    },
    sys::resolve::{self, Host},
    text::{Safe, ascii},
};

use super::{
    Exit, Failure, Global, Outcome,
    output::{self, write_wrapped},
    talk::LanguageWord,
    usage,
};

const EXAMPLES: &str = "\
Examples:
  sockwire resolve localhost         every address of a name, as 5-tuples
  sockwire resolve example.org http  with a service: its port is looked up as well
  sockwire resolve -4 -u localhost 5000
  sockwire resolve 192.0.2.7         the name of an address
  sockwire resolve -x localhost      with the bytes of each socket address";

/// Looks a name up as programs do: addresses by family and type, all names, and the names of the addresses
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// The name, or an address in numbers
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// A port, or a service's name
    #[arg(value_name = "SERVICE", default_value = "")]
    service: String,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    ipv6: bool,
    /// Datagram sockets (UDP) only
    #[arg(short = 'u')]
    udp: bool,
    /// Numbers only: nobody is asked
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
    /// With the bytes of each socket address
    #[arg(short = 'x')]
    bytes: bool,
    /// Shows the call on stderr, with its result and how long it took, in the spelling of c (unless said), python or java
    #[arg(long, value_name = "LANGUAGE", num_args = 0..=1, require_equals = true, default_missing_value = "c")]
    calls: Option<LanguageWord>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// An address taken backwards.
struct Back {
    address: IpAddr,
    /// The name, or why there is none, in the library's words.
    name: Result<String, String>,
    /// What `gethostbyaddr` knows beyond that.
    host: Option<Host>,
}

/// All that was found out.
struct Known<'a> {
    args: &'a Args,
    found: Vec<Found>,
    /// Who knew the name, where that can be told.
    source: Option<String>,
    /// By family.
    hosts: Vec<(Family, Option<Host>)>,
    back: Vec<Back>,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    refuse_impossible_port(&args.service)?;
    let language = args.calls.map_or(Language::C, Language::from);
    let journal = Journal::new(args.calls.is_some(), move |told| {
        if let Event::Called(called) = told.event {
            output::talk(language.line(&called));
        }
    });
    let numeric = args.numeric > 0;
    let wanted = Wanted {
        family: super::family(args.ipv4, args.ipv6),
        kind: args.udp.then_some(Kind::Datagram),
        numeric,
        canonical: true,
    };
    let found = lookup(&journal, Some(&args.name), &args.service, wanted).map_err(failure)?;
    let is_number = is_number(&args.name);
    let families = [Family::Inet, Family::Inet6];
    let families = families
        .into_iter()
        .filter(|family| wanted.family.is_none_or(|f| f == *family));
    let hosts = families.filter(|_| !numeric && !is_number).map(|family| {
        let number = match family {
            Family::Inet6 => libc::AF_INET6,
            _ => libc::AF_INET,
        };
        (family, resolve::host_by_name(&args.name, number))
    });
    let mut seen = HashSet::new();
    let addresses = found.iter().map(|one| one.address.ip());
    let addresses = addresses.filter(|address| !numeric && seen.insert(*address));
    let known = Known {
        args: &args,
        source: source::of(&args.name, is_number),
        hosts: hosts.collect(),
        back: addresses.map(backwards).collect(),
        found,
    };
    let mut text = match args.json {
        true => known.records(),
        false => known.text(),
    };
    if global.ascii {
        text = ascii(&text);
    }
    output::print(&text)?;
    Ok(Exit::Done)
}

/// The GNU library would take a larger number without a word, and cut it to 16 bits.
fn refuse_impossible_port(service: &str) -> Result<(), Failure> {
    let is_number = !service.is_empty() && service.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && service.parse::<u16>().is_err() {
        return Err(usage(format!("no port {service}: they go from 0 to 65535")));
    }
    Ok(())
}

/// The library takes it without asking anybody, also in forms such as `fe80::1%lo` and `127.1`.
fn is_number(name: &str) -> bool {
    let wanted = Wanted {
        numeric: true,
        ..Wanted::default()
    };
    lookup(&Journal::default(), Some(name), "", wanted).is_ok()
}

/// What the address is called.
fn backwards(address: IpAddr) -> Back {
    let socket = SocketAddr::new(address, 0).into();
    let named = resolve::names(&socket, libc::NI_NAMEREQD);
    let name = named
        .map(|(host, _)| host)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code < 0 => resolve::words(code),
            _ => error.to_string(),
        });
    Back {
        address,
        host: name
            .is_ok()
            .then(|| resolve::host_by_address(address))
            .flatten(),
        name,
    }
}

/// The failed look-up; where nobody answered, with what is seen of the network.
fn failure(error: LookupError) -> Failure {
    let mut more = String::new();
    if error.trouble() == Trouble::Temporary {
        let beyond = capture::available();
        let beyond = beyond
            .iter()
            .any(|one| one.up && !one.loopback && !one.addresses.is_empty());
        if !beyond {
            more.push_str("\n  there is no network here but loopback; see: sockwire interfaces");
        }
        let servers = source::name_servers();
        if !servers.is_empty() {
            let _ = write!(
                more,
                "\n  name servers in /etc/resolv.conf: {}",
                servers.join(", ")
            );
        }
    }
    Failure::new(Exit::NoSuch, anyhow!("{error}{more}"))
}

impl Known<'_> {
    fn text(&self) -> String {
        let mut text =
            "getaddrinfo: arguments for socket(), the official name, and one for connect()\n"
                .to_owned();
        let canonical = |one: &Found| safe(one.canonical.as_deref().unwrap_or(""));
        let width = self
            .found
            .iter()
            .map(|one| canonical(one).chars().count())
            .max();
        let width = width.unwrap_or(0).max("canonical".len());
        let _ = writeln!(
            text,
            "  family    type         protocol  {:<width$}  address",
            "canonical"
        );
        for one in &self.found {
            let _ = writeln!(
                text,
                "  {:<9} {:<12} {:<9} {:<width$}  {}",
                family(one.family),
                kind(one.kind),
                protocol(one.protocol),
                canonical(one),
                python(one.address)
            );
        }
        let from = self
            .source
            .iter()
            .map(|source| format!("  from: {source}\n"));
        text.extend(from);
        if self.args.bytes {
            text.push_str("\nsockaddr: the bytes of each address\n");
            for address in self.addresses() {
                text.push_str(&sockaddr_of(&address.into()));
            }
        }
        if !self.hosts.is_empty() {
            text.push_str("\ngethostbyname: all names and addresses\n");
        }
        for (of, host) in &self.hosts {
            let words = host.as_ref().map_or_else(|| "nothing".to_owned(), in_words);
            write_wrapped(&mut text, 2, 80, &format!("{}: {words}", family(*of)));
        }
        if !self.back.is_empty() {
            text.push_str("\ngetnameinfo, gethostbyaddr: addresses backwards\n");
        }
        for back in &self.back {
            let words = match &back.name {
                Ok(name) => safe(name),
                Err(why) => format!(
                    "no name: {why} (NI_NAMEREQD); without that flag the answer is {}",
                    back.address
                ),
            };
            let mut line = format!("{}: {words}", back.address);
            let aliases = back
                .host
                .as_ref()
                .map_or_else(String::new, |host| list(&host.aliases));
            if !aliases.is_empty() {
                let _ = write!(line, "; aliases {aliases}");
            }
            write_wrapped(&mut text, 2, 80, &line);
        }
        text
    }

    /// Each once.
    fn addresses(&self) -> Vec<SocketAddr> {
        let mut seen = HashSet::new();
        let all = self.found.iter().map(|one| one.address);
        all.filter(|address| seen.insert(*address)).collect()
    }

    fn records(&self) -> String {
        let addresses = self.found.iter().map(|one| {
            let v6 = match one.address {
                SocketAddr::V6(v6) => Some(v6),
                SocketAddr::V4(_) => None,
            };
            json!({
                "schema": 1, "record": "address", "family": family(one.family), "type": kind(one.kind),
                "protocol": one.protocol, "canonical": one.canonical.as_deref().map(safe),
                "address": one.address.ip().to_string(), "port": one.address.port(),
                "flowinfo": v6.map(|v6| v6.flowinfo()), "scope_id": v6.map(|v6| v6.scope_id()),
                "source": self.source,
            })
        });
        let hosts = self.hosts.iter().map(|(of, host)| {
            json!({"schema": 1, "record": "host", "family": family(*of), "host": host.as_ref().map(host_record)})
        });
        let back = self.back.iter().map(|back| {
            json!({
                "schema": 1, "record": "reverse", "address": back.address.to_string(), "name": back.name.as_deref().ok().map(safe),
                "reason": back.name.as_ref().err(), "host": back.host.as_ref().map(host_record),
            })
        });
        let all = addresses.chain(hosts).chain(back);
        all.map(|record| format!("{record}\n")).collect()
    }
}

fn host_record(host: &Host) -> Value {
    let addresses = host.addresses.iter().map(ToString::to_string);
    let addresses: Vec<String> = addresses.collect();
    let aliases: Vec<String> = host.aliases.iter().map(|name| safe(name)).collect();
    json!({"name": safe(&host.name), "aliases": aliases, "addresses": addresses})
}

fn in_words(host: &Host) -> String {
    let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
    let aliases = match host.aliases.is_empty() {
        true => "no aliases".to_owned(),
        false => format!("aliases {}", list(&host.aliases)),
    };
    let name = safe(&host.name);
    format!("{name}; {aliases}; {}", addresses.join(", "))
}

/// A name from the network, fit to be shown.
fn safe(name: &str) -> String {
    Safe(name.as_bytes()).to_string()
}

fn list(names: &[String]) -> String {
    let names = names.iter().map(|name| safe(name));
    names.collect::<Vec<_>>().join(", ")
}

const fn family(family: Family) -> &'static str {
    match family {
        Family::Inet => "AF_INET",
        Family::Inet6 => "AF_INET6",
        Family::Unix => "AF_UNIX",
    }
}

const fn kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Stream) => "SOCK_STREAM",
        Some(Kind::Datagram) => "SOCK_DGRAM",
        None => "SOCK_RAW",
    }
}

fn protocol(number: i32) -> String {
    match number {
        libc::IPPROTO_TCP => "6 TCP".to_owned(),
        libc::IPPROTO_UDP => "17 UDP".to_owned(),
        other => other.to_string(),
    }
}

/// The address as Python's `socket` writes it.
fn python(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => format!("('{}', {})", v4.ip(), v4.port()),
        SocketAddr::V6(v6) => {
            let (flow, scope) = (v6.flowinfo(), v6.scope_id());
            format!("('{}', {}, {flow}, {scope})", v6.ip(), v6.port())
        }
    }
}
