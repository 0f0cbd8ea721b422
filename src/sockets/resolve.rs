//! Names to addresses, as the first call of most programs does it: `getaddrinfo(3)`, told like any other.

use std::{fmt, io, net::SocketAddr};

use super::Journal;
use crate::{
    call::{Answer, Call, Family, Kind},
    sys::resolve::{self, Hints},
    text::Safe,
};

/// What is wanted; by default anything, as a client asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this family: [`Family::Inet`] or [`Family::Inet6`].
    pub family: Option<Family>,
    /// Only of this type; without it, each address comes once for each type.
    pub kind: Option<Kind>,
    /// Only numbers are taken, and nobody is asked (`AI_NUMERICHOST`, `AI_NUMERICSERV`).
    pub numeric: bool,
    /// The official name is wanted, too (`AI_CANONNAME`).
    pub canonical: bool,
}

/// One answer, the 5-tuple: three arguments for `socket(2)`, the official name, and one for `connect(2)` or `bind(2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The family.
    pub family: Family,
    /// The type; nothing is `SOCK_RAW`.
    pub kind: Option<Kind>,
    /// The protocol's number: 6 is TCP, 17 UDP.
    pub protocol: i32,
    /// The official name, in the first answer where it was wanted. It comes from the network: untrusted.
    pub canonical: Option<String>,
    /// The address.
    pub address: SocketAddr,
}

/// `getaddrinfo(3)`: the addresses of `node`, of this machine without one, in the order in which they are to be tried.
/// `service` is a port, a service's name, or empty for port 0. Can take many seconds.
///
/// # Errors
/// When there is no such name, address or service, or nobody who knows could be asked.
pub fn lookup(
    journal: &Journal,
    node: Option<&str>,
    service: &str,
    wanted: Wanted,
) -> Result<Vec<Found>, LookupError> {
    let flags = [
        (wanted.numeric, libc::AI_NUMERICHOST | libc::AI_NUMERICSERV),
        (wanted.canonical && node.is_some(), libc::AI_CANONNAME),
    ];
    let hints = Hints {
        family: match wanted.family {
            None => libc::AF_UNSPEC,
            Some(Family::Inet) => libc::AF_INET,
            Some(Family::Inet6) => libc::AF_INET6,
            Some(Family::Unix) => libc::AF_UNIX,
        },
        kind: match wanted.kind {
            None => 0,
            Some(Kind::Stream) => libc::SOCK_STREAM,
            Some(Kind::Datagram) => libc::SOCK_DGRAM,
        },
        flags: flags
            .iter()
            .filter(|(is_wanted, _)| *is_wanted)
            .fold(0, |all, (_, flag)| all | flag),
    };
    // No service is no string; no name and no service together are nothing to ask for.
    let asked_service = match (node, service) {
        (Some(_), "") => None,
        (None, "") => Some("0"),
        _ => Some(service),
    };
    let asked = || Call::GetAddrInfo {
        node: node.unwrap_or_default().to_owned(),
        service: service.to_owned(),
    };
    let make = || {
        let all = resolve::addresses(node, asked_service, hints)?;
        Ok(all.into_iter().filter_map(found).collect())
    };
    let answered = |all: &Vec<Found>| {
        let mut addresses: Vec<SocketAddr> = Vec::with_capacity(all.len());
        for found in all {
            if !addresses.contains(&found.address) {
                addresses.push(found.address);
            }
        }
        Answer::Addresses(addresses)
    };
    journal
        .call(true, asked, make, answered)
        .map_err(|cause| LookupError {
            node: node.map(str::to_owned),
            service: service.to_owned(),
            wanted,
            cause,
        })
}

/// The answer in this program's words; none of another family or type comes unless it is asked for.
fn found(info: resolve::Info) -> Option<Found> {
    Some(Found {
        family: match info.family {
            libc::AF_INET => Family::Inet,
            libc::AF_INET6 => Family::Inet6,
            _ => return None,
        },
        kind: match info.kind {
            libc::SOCK_STREAM => Some(Kind::Stream),
            libc::SOCK_DGRAM => Some(Kind::Datagram),
            _ => None,
        },
        protocol: info.protocol,
        canonical: info.canonical,
        address: info.address.as_socket()?,
    })
}

/// Why a look-up failed; shown, it says what was looked up, why that failed, and what to do next.
#[derive(Debug, thiserror::Error)]
pub struct LookupError {
    /// The name that was looked up.
    pub node: Option<String>,
    /// The port or service.
    pub service: String,
    wanted: Wanted,
    cause: io::Error,
}

/// What a failed look-up comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such name, by all who were asked.
    NoName,
    /// The name exists, and has no address of the wanted family.
    NoAddress,
    /// There is no such service.
    NoService,
    /// Nobody who knows answered: later it may work.
    Temporary,
    /// Anything else.
    Other,
}

impl LookupError {
    /// The code: `EAI_…`, which are negative, or else an `errno(3)`.
    pub fn code(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }

    /// What it comes down to.
    pub fn trouble(&self) -> Trouble {
        match self.code() {
            Some(libc::EAI_NONAME) => Trouble::NoName,
            Some(EAI_NODATA | EAI_ADDRFAMILY) => Trouble::NoAddress,
            Some(libc::EAI_SERVICE) => Trouble::NoService,
            Some(libc::EAI_AGAIN) => Trouble::Temporary,
            _ => Trouble::Other,
        }
    }

    /// The library's own words for it (`gai_strerror(3)`).
    pub fn words(&self) -> String {
        match self.code() {
            Some(code) if code < 0 => resolve::words(code),
            _ => self.cause.to_string(),
        }
    }

    /// What is wrong with the form of the name.
    fn form(&self) -> Option<&'static str> {
        let name = self.node.as_deref()?;
        let (_, advice) = FORMS.iter().find(|(has, _)| has(name))?;
        Some(advice)
    }

    /// What to do about it.
    fn advice(&self) -> &'static str {
        let numeric = self.wanted.numeric;
        match self.trouble() {
            Trouble::NoName if numeric => {
                "with -n only numbers are taken, such as 127.0.0.1, and for a port, such as 80"
            }
            Trouble::NoName => self.form().unwrap_or(match self.wanted.family {
                Some(_) => {
                    "check the spelling, or ask without -4 and -6: it may have addresses of the other family"
                }
                None => "check the spelling; names of one's own stand in /etc/hosts",
            }),
            Trouble::NoAddress => match self.wanted.family {
                Some(Family::Inet) => "the name has no IPv4 address: ask without -4, or with -6",
                Some(Family::Inet6) => "the name has no IPv6 address: ask without -6, or with -4",
                _ => "the name exists, but has no address",
            },
            Trouble::NoService => "give the port's number, or a name from: sockwire ports",
            Trouble::Temporary => {
                "no name server answered: is this machine on the network, and is the one in /etc/resolv.conf right?"
            }
            Trouble::Other => "an address in numbers needs no look-up",
        }
    }
}

/// Names that nobody has for their form alone, and what to write instead.
type Form = (fn(&str) -> bool, &'static str);
const FORMS: [Form; 4] = [
    (
        |name| name.contains('%'),
        "behind % stands an interface of this machine: sockwire interfaces",
    ),
    (
        |name| name.contains(':'),
        "the port is a word of its own, and an IPv6 address has no brackets",
    ),
    (
        |name| !name.is_ascii(),
        "it is asked for as it stands; in the DNS other letters than a to z are written as xn--...",
    ),
    (
        |name| name.len() > 253 || name.split('.').any(|label| label.len() > 63),
        "a name has 253 bytes at most, and 63 between two dots (RFC 1035)",
    ),
];

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot look up ")?;
        let service = Safe(self.service.as_bytes());
        match &self.node {
            Some(_) if self.trouble() == Trouble::NoService => write!(f, "the service {service}")?,
            Some(node) => Safe(node.as_bytes()).fmt(f)?,
            None => write!(f, "the service {service}")?,
        }
        write!(f, ": {}; {}", self.words(), self.advice())
    }
}

/// Of the GNU library only (netdb.h).
const EAI_NODATA: i32 = -5;
const EAI_ADDRFAMILY: i32 = -9;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{
        call::Called,
        sockets::{Event, Told},
    };

    fn numeric(kind: Option<Kind>) -> Wanted {
        Wanted {
            kind,
            numeric: true,
            ..Wanted::default()
        }
    }

    #[test]
    fn an_address_comes_once_for_each_type() {
        let silent = Journal::default();
        let all = lookup(&silent, Some("127.0.0.1"), "5000", numeric(None)).unwrap();
        let found: Vec<_> = all.iter().map(|one| (one.kind, one.protocol)).collect();
        let kinds = [
            (Some(Kind::Stream), 6),
            (Some(Kind::Datagram), 17),
            (None, 0),
        ];
        assert_eq!(found, kinds);
        assert!(
            all.iter()
                .all(|one| one.address == ([127, 0, 0, 1], 5000).into())
        );
        let stream = numeric(Some(Kind::Stream));
        let all = lookup(&silent, Some("::1"), "", stream).unwrap();
        assert_eq!(all[0].address, "[::1]:0".parse().unwrap());
        assert_eq!((all.len(), all[0].family), (1, Family::Inet6));
    }

    #[test]
    fn failures_are_told_apart_and_name_what_was_asked() {
        let silent = Journal::default();
        let fail = |node, service| lookup(&silent, Some(node), service, numeric(None)).unwrap_err();
        let error = fail("no.such\u{1b}.host", "80");
        assert_eq!(error.trouble(), Trouble::NoName);
        let said = error.to_string();
        assert!(
            said.contains("no.such\\x1b.host: ") && said.contains("127.0.0.1"),
            "{said}"
        );
        let error = fail("127.0.0.1", "a\0b");
        assert_eq!((error.trouble(), error.code()), (Trouble::Other, None));
        let wanted = Wanted::default();
        let error = lookup(&silent, Some("127.0.0.1"), "no-such-service", wanted).unwrap_err();
        assert_eq!(error.trouble(), Trouble::NoService);
        assert!(error.to_string().contains("service no-such-service"));
    }

    #[test]
    fn the_call_is_told_before_and_after() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&told);
        let journal = Journal::new(true, move |one: Told| keep.lock().unwrap().push(one.event));
        lookup(&journal, Some("127.0.0.1"), "5000", numeric(None)).unwrap();
        let _ = lookup(&journal, Some("nobody"), "", numeric(None));
        let call = |node: &str, service: &str| Call::GetAddrInfo {
            node: node.to_owned(),
            service: service.to_owned(),
        };
        let events = told.lock().unwrap();
        assert_eq!(events[0], Event::Calling(call("127.0.0.1", "5000")));
        let one = Answer::Addresses(vec![([127, 0, 0, 1], 5000).into()]);
        assert!(
            matches!(&events[1], Event::Called(Called { result: Ok(answer), .. }) if *answer == one)
        );
        let code = Err(libc::EAI_NONAME);
        assert!(matches!(&events[3], Event::Called(Called { result, .. }) if *result == code));
    }
}
