//! From words to a filter: tcpdump's grammar as far as it is understood so far, and errors that point.

use std::net::{IpAddr, Ipv4Addr};

use super::{FilterError, Names, Service, Side, Test, Transport, advice};
use crate::text::near;

/// How deep parentheses and `not` may nest, and how many primitives there may be.
const DEEPEST: usize = 64;
const LONGEST: usize = 1000;

/// Protocol words, and what they mean.
const PROTOCOLS: &[(&str, Protocol)] = &[
    ("ip", Protocol::Network("ip")),
    ("ip6", Protocol::Network("ipv6")),
    ("arp", Protocol::Network("arp")),
    (
        "tcp",
        Protocol::Transport(Transport {
            ip: Some(6),
            ip6: Some(6),
        }),
    ),
    (
        "udp",
        Protocol::Transport(Transport {
            ip: Some(17),
            ip6: Some(17),
        }),
    ),
    (
        "sctp",
        Protocol::Transport(Transport {
            ip: Some(132),
            ip6: Some(132),
        }),
    ),
    (
        "icmp",
        Protocol::Transport(Transport {
            ip: Some(1),
            ip6: None,
        }),
    ),
    (
        "icmp6",
        Protocol::Transport(Transport {
            ip: None,
            ip6: Some(58),
        }),
    ),
    (
        "igmp",
        Protocol::Transport(Transport {
            ip: Some(2),
            ip6: None,
        }),
    ),
];

/// Every word that a filter knows, for near misses.
const WORDS: &[&str] = &[
    "ip",
    "ip6",
    "arp",
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmp6",
    "igmp",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "portrange",
    "and",
    "or",
    "not",
    "less",
    "greater",
];

#[derive(Clone, Copy)]
enum Protocol {
    Network(&'static str),
    Transport(Transport),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
}

/// What stands before an identifier, kept for lists such as `port 80 or 443`.
#[derive(Clone, Copy, Default)]
struct Qualifiers {
    protocol: Option<Protocol>,
    side: Option<Side>,
    kind: Option<Kind>,
}

struct Parser<'a> {
    expression: &'a str,
    words: Vec<(usize, &'a str)>,
    next: usize,
    last: Qualifiers,
    primitives: usize,
    names: &'a dyn Names,
}

/// Parses a whole expression; `None` for an empty one.
pub(super) fn parse(expression: &str, names: &dyn Names) -> Result<Option<Test>, FilterError> {
    let mut parser = Parser {
        expression,
        words: words(expression),
        next: 0,
        last: Qualifiers::default(),
        primitives: 0,
        names,
    };
    if parser.words.is_empty() {
        return Ok(None);
    }
    let test = parser.expression(0)?;
    match parser.peek() {
        None => Ok(Some(test)),
        Some(_) => Err(parser.fault("expected and, or, or the end".into())),
    }
}

/// Words with their byte offsets; parentheses, `!`, `&&` and `||` are words of their own.
fn words(expression: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = &rest[start..];
        let at = expression.len() - rest.len();
        let len = if rest.starts_with("&&") || rest.starts_with("||") {
            2
        } else if rest.starts_with(['(', ')', '!']) {
            1
        } else {
            rest.find(|c: char| c.is_whitespace() || "()!&|".contains(c))
                .unwrap_or(rest.len())
                .max(1)
        };
        // A lone `&` or `|` may be followed by a multi-byte character: stay on a border.
        let len = (len..=rest.len())
            .find(|&l| rest.is_char_boundary(l))
            .unwrap_or(rest.len());
        found.push((at, &rest[..len]));
        rest = &rest[len..];
    }
    found
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).map(|&(_, word)| word)
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// A fault at the next word.
    fn fault(&self, message: String) -> FilterError {
        let (at, len) = match self.words.get(self.next) {
            Some(&(at, word)) => (self.expression[..at].chars().count(), word.chars().count()),
            None => (self.expression.chars().count(), 1),
        };
        FilterError {
            expression: self.expression.to_owned(),
            at,
            len,
            message,
        }
    }

    /// `and` and `or` bind equally, from left to right, as in libpcap.
    fn expression(&mut self, depth: usize) -> Result<Test, FilterError> {
        let mut left = self.term(depth)?;
        loop {
            let make = match self.peek() {
                Some("and" | "&&") => Test::And,
                Some("or" | "||") => Test::Or,
                _ => return Ok(left),
            };
            self.next += 1;
            left = make(Box::new(left), Box::new(self.term(depth)?));
        }
    }

    fn term(&mut self, depth: usize) -> Result<Test, FilterError> {
        if depth > DEEPEST {
            return Err(self.fault(format!("nested deeper than {DEEPEST}")));
        }
        match self.peek() {
            Some("not" | "!") => {
                self.next += 1;
                Ok(Test::Not(Box::new(self.term(depth + 1)?)))
            }
            Some("(") => {
                self.next += 1;
                let test = self.expression(depth + 1)?;
                if self.peek() != Some(")") {
                    return Err(self.fault("expected )".into()));
                }
                self.next += 1;
                Ok(test)
            }
            Some("less" | "greater") => {
                let at_least = self.take() == Some("greater");
                let bytes = self.number("a length in bytes")?;
                Ok(Test::Length { at_least, bytes })
            }
            Some(_) => self.primitive(),
            None => {
                Err(self.fault("expected a primitive such as: port 80, host 10.0.0.1, tcp".into()))
            }
        }
    }

    fn primitive(&mut self) -> Result<Test, FilterError> {
        self.primitives += 1;
        if self.primitives > LONGEST {
            return Err(self.fault(format!("more than {LONGEST} primitives")));
        }
        let start = self.next;
        let mut q = Qualifiers::default();
        if let Some(&(_, protocol)) = PROTOCOLS
            .iter()
            .find(|(word, _)| Some(*word) == self.peek())
        {
            q.protocol = Some(protocol);
            self.next += 1;
        }
        q.side = self.side();
        q.kind = self.kind();
        let qualified = self.next > start;
        let ends = matches!(self.peek(), None | Some(")" | "and" | "or" | "&&" | "||"));
        if ends && let (Some(protocol), None, None) = (q.protocol, q.side, q.kind) {
            self.last = q;
            return Ok(match protocol {
                Protocol::Network(name) => Test::Network(name),
                Protocol::Transport(transport) => Test::Transport(transport),
            });
        }
        if !qualified {
            q = self.last;
        }
        self.identifier(q, qualified)
    }

    fn side(&mut self) -> Option<Side> {
        let first = match self.peek() {
            Some("src") => Side::Source,
            Some("dst") => Side::Destination,
            _ => return None,
        };
        let rest = self.words.get(self.next + 1..self.next + 3).unwrap_or(&[]);
        if let [(_, joint), (_, second)] = rest
            && matches!(
                (first, *second),
                (Side::Source, "dst") | (Side::Destination, "src")
            )
            && let Some(side) = match *joint {
                "or" | "||" => Some(Side::Either),
                "and" | "&&" => Some(Side::Both),
                _ => None,
            }
        {
            self.next += 3;
            return Some(side);
        }
        self.next += 1;
        Some(first)
    }

    fn kind(&mut self) -> Option<Kind> {
        let kind = match self.peek()? {
            "host" => Kind::Host,
            "net" => Kind::Net,
            "port" => Kind::Port,
            "portrange" => Kind::PortRange,
            _ => return None,
        };
        self.next += 1;
        Some(kind)
    }

    fn identifier(&mut self, q: Qualifiers, qualified: bool) -> Result<Test, FilterError> {
        let side = q.side.unwrap_or(Side::Either);
        let Some(&(at, word)) = self.words.get(self.next) else {
            return Err(self.fault("expected an address, a port or a name".into()));
        };
        if let Some(advice) = advice::advice(&self.expression[at..]) {
            return Err(self.fault(advice));
        }
        let test = match q.kind.unwrap_or(Kind::Host) {
            Kind::Port => {
                let port = self.port(word)?;
                Test::Port {
                    transport: self.transport(q)?,
                    side,
                    first: port,
                    last: port,
                }
            }
            Kind::PortRange => {
                let Some((first, last)) = word.split_once('-') else {
                    return Err(self.fault("expected two ports, such as 5000-5010".into()));
                };
                let (first, last) = (self.port(first)?, self.port(last)?);
                let (first, last) = (first.min(last), first.max(last));
                Test::Port {
                    transport: self.transport(q)?,
                    side,
                    first,
                    last,
                }
            }
            Kind::Host | Kind::Net => {
                let network = match q.protocol {
                    None => None,
                    Some(Protocol::Network(name)) => Some(name),
                    Some(Protocol::Transport(_)) => {
                        return Err(
                            self.fault("expected port or portrange after tcp, udp or sctp".into())
                        );
                    }
                };
                if let Some((address, prefix)) = address(word) {
                    Test::Net {
                        network,
                        side,
                        address,
                        prefix,
                    }
                } else {
                    self.host(word, network, side, qualified)?
                }
            }
        };
        self.next += 1;
        self.last = q;
        Ok(test)
    }

    fn host(
        &self,
        word: &str,
        network: Option<&'static str>,
        side: Side,
        qualified: bool,
    ) -> Result<Test, FilterError> {
        let near = near(word, WORDS.iter().copied());
        if !qualified && near.is_some() {
            return Err(self.unknown(word, near));
        }
        self.names
            .host(word)
            .into_iter()
            .map(|address| Test::Net {
                network,
                side,
                address,
                prefix: if address.is_ipv4() { 32 } else { 128 },
            })
            .reduce(|a, b| Test::Or(Box::new(a), Box::new(b)))
            .ok_or_else(|| self.unknown(word, near))
    }

    fn unknown(&self, word: &str, near: Option<&str>) -> FilterError {
        let hint = near
            .map(|n| format!("; did you mean {n}?"))
            .unwrap_or_default();
        self.fault(format!(
            "{word:?} is neither a word of filters nor a host that can be found{hint}"
        ))
    }

    fn transport(&self, q: Qualifiers) -> Result<Option<Transport>, FilterError> {
        match q.protocol {
            None => Ok(None),
            Some(Protocol::Transport(t)) if t.ip6.is_some() && t.ip.is_some() => Ok(Some(t)),
            Some(Protocol::Network("ip")) => Ok(None),
            Some(_) => Err(self.fault("only tcp, udp and sctp have ports".into())),
        }
    }

    fn port(&self, word: &str) -> Result<u16, FilterError> {
        if let Ok(port) = word.parse() {
            return Ok(port);
        }
        if word.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.fault(format!("{word} is no port: ports go from 0 to 65535")));
        }
        self.names.port(word, Service::Tcp).ok_or_else(|| {
            self.fault(format!(
                "no service is named {word:?}; give the port's number"
            ))
        })
    }

    fn number(&mut self, what: &str) -> Result<u32, FilterError> {
        let number = self.peek().and_then(|word| word.parse().ok());
        let number = number.ok_or_else(|| self.fault(format!("expected {what}")))?;
        self.next += 1;
        Ok(number)
    }
}

/// An address with its prefix length; one to three numbers are the beginning of an IPv4 net, as in libpcap.
fn address(word: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match word.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (word, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        return Some((address, prefix.unwrap_or(most))).filter(|(_, prefix)| *prefix <= most);
    }
    let parts: Vec<u8> = address
        .split('.')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let mut octets = [0; 4];
    octets.get_mut(..parts.len())?.copy_from_slice(&parts);
    let prefix = prefix.unwrap_or(parts.len() as u8 * 8);
    Some((Ipv4Addr::from(octets).into(), prefix)).filter(|(_, prefix)| *prefix <= 32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Book;

    impl Names for Book {
        fn port(&self, name: &str, _: Service) -> Option<u16> {
            (name == "http").then_some(80)
        }
        fn protocol(&self, _: &str) -> Option<u8> {
            None
        }
        fn host(&self, name: &str) -> Vec<IpAddr> {
            if name == "localhost" {
                vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]
            } else {
                Vec::new()
            }
        }
    }

    fn message(expression: &str) -> (usize, String) {
        let error = parse(expression, &Book).unwrap_err();
        (error.at, error.message)
    }

    #[test]
    fn lists_inherit_qualifiers_and_operators_bind_from_the_left() {
        let list = parse("tcp dst port 80 or 443 and host 10.0.0.1", &Book).unwrap();
        let spelled = parse(
            "(tcp dst port 80 or tcp dst port 443) and host 10.0.0.1",
            &Book,
        )
        .unwrap();
        assert_eq!(list, spelled);
    }

    #[test]
    fn names_are_asked_of_the_book() {
        assert_eq!(parse("port http", &Book), parse("port 80", &Book));
        assert_eq!(
            parse("host localhost", &Book),
            parse("host 127.0.0.1 or host ::1", &Book)
        );
        assert_eq!(parse("src or dst port 5", &Book), parse("port 5", &Book));
    }

    #[test]
    fn short_nets_have_the_prefix_of_their_parts() {
        assert_eq!(
            parse("net 192.168.10", &Book),
            parse("net 192.168.10.0/24", &Book)
        );
    }

    #[test]
    fn faults_point_at_the_word() {
        assert_eq!(message("tpc port 80"), (0, "\"tpc\" is neither a word of filters nor a host that can be found; did you mean tcp?".into()));
        assert_eq!(message("port 70000").0, 5);
        assert_eq!(message("tcp and").0, 7);
        assert_eq!(message("(tcp").1, "expected )");
        assert_eq!(message("tcp udp").0, 4);
        assert_eq!(
            message("icmp port 4").1,
            "only tcp, udp and sctp have ports"
        );
        assert_eq!(
            message("port 1 or (tcp && ip.src == 10.0.0.1)"),
            (
                18,
                "this is a display filter as in Wireshark, which -Y takes; a capture filter is wanted here: src host 10.0.0.1"
                    .into()
            )
        );
        let shown = parse("tcp port nope", &Book).unwrap_err().to_string();
        assert!(
            shown.ends_with("  tcp port nope\n           ^^^^"),
            "{shown}"
        );
    }

    #[test]
    fn ports_and_loopback_are_told() {
        let filter = crate::filter::Filter::compile(
            "tcp port 80 or (dst port 443 and not port 80) or host localhost",
            &Book,
        );
        let filter = filter.unwrap();
        assert_eq!(filter.ports(), [80, 443]);
        assert_eq!(filter.loopback(), Some("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(parse(&"not ".repeat(10_000), &Book).is_err());
        assert!(parse(&format!("tcp{}", " or tcp".repeat(5_000)), &Book).is_err());
        assert!(parse("& é | (", &Book).is_err());
    }
}
