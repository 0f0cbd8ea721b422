//! What a reader might not expect of a filter: the traps of the language that it runs into, each told once.

use std::{net::Ipv4Addr, ops::Range};

use super::{
    ast::{Arith, Expr, Net, Proto, Test},
    lex::{self, Kind as Is, Token},
    words::{self, Kind, Word},
};
use crate::filter::error::plain;

/// The most characters of an expression that are quoted back.
const QUOTED: usize = 60;

/// One line for each trap in `root`, which was parsed from `expression`.
pub(super) fn traps(root: &Expr, expression: &str) -> Vec<String> {
    let mut traps = Traps {
        chars: expression.chars().collect(),
        junctions: junctions(&lex::lex(expression)),
        found: Vec::new(),
    };
    traps.junction(root);
    let mut seen = Seen::default();
    let mut kind = Kind::Host;
    each(root, &mut |test, span| {
        kind = kind_of(&traps.text(span), kind);
        traps.short_host(test, span, kind);
        traps.inclusive(test);
        seen.test(test);
    });
    let mut told: Vec<String> = traps.found.into_iter().map(|(_, line)| line).collect();
    told.extend(seen.told());
    told
}

struct Traps {
    chars: Vec<char>,
    /// Columns of every `and` and `or`, and how deep in parentheses each stands.
    junctions: Vec<(usize, usize)>,
    /// Each trap by its name, with the line that tells it.
    found: Vec<(&'static str, String)>,
}

fn junctions(tokens: &[Token<'_>]) -> Vec<(usize, usize)> {
    let (mut depth, mut found) = (0usize, Vec::new());
    for token in tokens {
        match token.kind {
            Is::Open => depth += 1,
            Is::Close => depth = depth.saturating_sub(1),
            Is::Word(Word::And | Word::Or) => found.push((token.at, depth)),
            _ => {}
        }
    }
    found
}

impl Traps {
    fn text(&self, span: &Range<usize>) -> String {
        let chars = self.chars.get(span.clone()).unwrap_or(&[]);
        chars.iter().map(|c| plain(*c)).collect()
    }

    /// Tells a trap, if it is the first of its name.
    fn tell(&mut self, name: &'static str, line: String) {
        if !self.found.iter().any(|(known, _)| *known == name) {
            self.found.push((name, line));
        }
    }

    /// Traps of a node with two sides, and of those below it.
    fn junction(&mut self, expr: &Expr) {
        let (left, right) = match expr {
            Expr::And(left, right) | Expr::Or(left, right) => (left, right),
            Expr::Not(inner) => return self.junction(inner),
            Expr::Test(..) => return,
        };
        self.junction(left);
        self.junction(right);
        self.mixed(expr, left, right);
        self.list_behind_not(left, right);
        self.shifted(expr, left, right);
    }

    /// How deep in parentheses the word between a node's two sides stands.
    fn depth(&self, left: &Expr) -> Option<usize> {
        let place = self.junctions.partition_point(|(at, _)| *at < end(left));
        self.junctions.get(place).map(|(_, depth)| *depth)
    }

    /// `a or b and c` is `(a or b) and c`.
    fn mixed(&mut self, expr: &Expr, left: &Expr, right: &Expr) {
        let (Expr::And(..), Expr::Or(first, _)) = (expr, left) else {
            return;
        };
        if self.depth(left) != self.depth(first) {
            return;
        }
        let (a, b) = (self.text(&span(left)), self.text(&span(right)));
        let balanced = |text: &str| text.matches('(').count() == text.matches(')').count();
        let short = a.chars().count() + b.chars().count() <= QUOTED;
        let means = match short && balanced(&a) && balanced(&b) {
            true => format!("({a}) and {b}"),
            false => "(… or …) and …".into(),
        };
        self.tell("mixed", format!(
            "and is not stronger than or here, they bind from the left: this means {means}; parentheses say what you mean"
        ));
    }

    /// `not port 80 or 443` is `(not port 80) or port 443`.
    fn list_behind_not(&mut self, left: &Expr, right: &Expr) {
        let (Expr::Not(inner), Expr::Test(test, at)) = (left, right) else {
            return;
        };
        let listed = matches!(
            test,
            Test::Net { .. } | Test::Mac { .. } | Test::Port { .. } | Test::PortRange { .. }
        );
        let (Expr::Test(_, first), true) = (&**inner, listed) else {
            return;
        };
        let (one, other) = (self.text(first), self.text(at));
        if matches!(lex::first(&other), Is::Word(_)) || one.len() + other.len() > QUOTED {
            return;
        }
        let start = one.rsplit_once(' ').map_or("", |(head, _)| head);
        self.tell("list", format!(
            "not binds to {one} alone, {other} is wanted: for neither of them write not {start} ({} or {other})",
            one[start.len()..].trim_start()
        ));
    }

    /// `vlan` and its like move what everything behind them counts from, wherever it stands.
    fn shifted(&mut self, expr: &Expr, left: &Expr, right: &Expr) {
        let alternative = matches!(expr, Expr::Or(..)) || matches!(left, Expr::Not(_));
        let (in_left, in_right) = (shift(left), shift(right));
        match (in_left, in_right) {
            (Some(word), None) if alternative && counts(right) => self.tell(word, format!(
                "{word} moves what all tests behind it count from, also right of or and behind not {word}: write the tests \
                 for packets without it first, such as: tcp or ({word} and tcp)"
            )),
            (None, Some(word)) if matches!(expr, Expr::And(..)) && counts(left) && hides(word) => {
                self.tell("before", format!(
                    "what stands before {word} looks at packets without it, so both hardly ever hold: write {word} and … first"
                ));
            }
            _ => {}
        }
    }

    /// `host 192.168.10` is a network.
    fn short_host(&mut self, test: &Test, span: &Range<usize>, kind: Kind) {
        let Test::Net { proto, nets, .. } = test else {
            return;
        };
        let [Net::V4 { address, mask }] = nets[..] else {
            return;
        };
        if kind == Kind::Host && mask != u32::MAX && *proto != Some(Proto::Decnet) {
            let network = format!("{}/{}", Ipv4Addr::from_bits(address), mask.count_ones());
            self.tell("short", format!(
                "{} is the whole network {network}: write net {network}, or all four numbers of a host",
                self.text(span)
            ));
        }
    }

    fn inclusive(&mut self, test: &Test) {
        let (word, bytes) = match test {
            Test::Less(bytes) => ("less", bytes),
            Test::Greater(bytes) => ("greater", bytes),
            _ => return,
        };
        let sign = if word == "less" { "<" } else { ">" };
        self.tell(word, format!(
            "{word} {bytes} takes packets of {bytes} bytes too: without them, write len {sign} {bytes}"
        ));
    }
}

/// What an address in `text` is: said by its own words, else as before.
fn kind_of(text: &str, before: Kind) -> Kind {
    let mut words = text.split_whitespace().filter_map(words::word);
    words
        .find_map(|word| match word {
            Word::Kind(kind) => Some(kind),
            _ => None,
        })
        .unwrap_or_else(|| match lex::first(text) {
            Is::Word(_) => Kind::Host,
            _ => before,
        })
}

/// What a filter is about, for the traps that only some writers meet.
#[derive(Default)]
struct Seen {
    ip6: bool,
    fragments: bool,
    /// The first word that looks for a transport header: `port`, `portrange`, or a protocol.
    transport: Option<&'static str>,
    /// Protocols whose bytes are read over IPv4 only, and the first place read.
    loads: Vec<(Proto, Option<u32>)>,
    ip6_loads: bool,
    icmp6_loads: bool,
}

impl Seen {
    fn test(&mut self, test: &Test) {
        match test {
            Test::Net { proto, nets, .. } => {
                self.ip6 |= *proto == Some(Proto::Ip6)
                    || nets.iter().all(|net| matches!(net, Net::V6 { .. }));
            }
            Test::Port { .. } => _ = self.transport.get_or_insert("port"),
            Test::PortRange { .. } => _ = self.transport.get_or_insert("portrange"),
            Test::Proto(Proto::Ip6 | Proto::Icmp6) | Test::Multicast(Some(Proto::Ip6)) => {
                self.ip6 = true;
            }
            Test::Proto(proto @ (Proto::Tcp | Proto::Udp | Proto::Sctp)) => {
                self.transport.get_or_insert_with(|| words::name_of(*proto));
            }
            Test::ProtoNumber {
                of: Some(Proto::Ip6),
                ..
            } => self.ip6 = true,
            Test::Relation { left, right, .. } => {
                self.load(left);
                self.load(right);
            }
            _ => {}
        }
    }

    fn load(&mut self, arith: &Arith) {
        match arith {
            Arith::Number(_) | Arith::Length => {}
            Arith::Negate(inner) => self.load(inner),
            Arith::Binary { left, right, .. } => {
                self.load(left);
                self.load(right);
            }
            Arith::Load { proto, at, .. } => {
                let place = match **at {
                    Arith::Number(place) => Some(place),
                    _ => None,
                };
                match proto {
                    Proto::Ip => self.fragments |= matches!(place, Some(6 | 7)),
                    Proto::Ip6 => (self.ip6, self.ip6_loads) = (true, true),
                    Proto::Icmp6 => (self.ip6, self.icmp6_loads) = (true, true),
                    Proto::Tcp | Proto::Udp | Proto::Sctp | Proto::Icmp
                        if !self.loads.iter().any(|(known, _)| known == proto) =>
                    {
                        self.loads.push((*proto, place));
                    }
                    _ => {}
                }
                self.load(at);
            }
        }
    }

    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if let Some(word) = self.transport {
            if self.ip6 {
                told.push(format!(
                    "{word} sees no IPv6 packet that has an extension header: ip6 protochain finds its protocol"
                ));
            }
            if self.fragments && word.starts_with("port") {
                told.push(format!(
                    "{word} sees only the first fragment of a datagram: ip[6:2] & 0x1fff != 0 takes the others"
                ));
            }
        }
        for &(proto, place) in &self.loads {
            let name = words::name_of(proto);
            let number = match proto {
                Proto::Tcp => 6,
                Proto::Udp => 17,
                Proto::Sctp => 132,
                _ if self.icmp6_loads => continue,
                _ => {
                    told.push("icmp[…] reads ICMP over IPv4 only: icmp6[…] reads that over IPv6, whose types differ".into());
                    continue;
                }
            };
            if self.ip6_loads {
                continue;
            }
            let place = match place {
                Some(place) => place.saturating_add(40).to_string(),
                None => "40 + …".into(),
            };
            told.push(format!(
                "{name}[…] reads IPv4 only: over IPv6 write ip6[6] = {number} and ip6[{place}] …"
            ));
        }
        told
    }
}

/// Shows every primitive, from the left.
pub(super) fn each(expr: &Expr, visit: &mut dyn FnMut(&Test, &Range<usize>)) {
    match expr {
        Expr::And(left, right) | Expr::Or(left, right) => {
            each(left, visit);
            each(right, visit);
        }
        Expr::Not(inner) => each(inner, visit),
        Expr::Test(test, span) => visit(test, span),
    }
}

/// From the first primitive of `expr` to its last.
fn span(expr: &Expr) -> Range<usize> {
    let mut first = expr;
    loop {
        match first {
            Expr::And(left, _) | Expr::Or(left, _) => first = left,
            Expr::Not(inner) => first = inner,
            Expr::Test(_, span) => return span.start..end(expr),
        }
    }
}

/// The end of the last primitive of `expr`.
fn end(expr: &Expr) -> usize {
    match expr {
        Expr::And(_, right) | Expr::Or(_, right) => end(right),
        Expr::Not(inner) => end(inner),
        Expr::Test(_, span) => span.end,
    }
}

/// The first word in `expr` that moves what follows.
fn shift(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::And(left, right) | Expr::Or(left, right) => shift(left).or_else(|| shift(right)),
        Expr::Not(inner) => shift(inner),
        Expr::Test(test, _) => match test {
            Test::Vlan(_) => Some("vlan"),
            Test::Mpls(_) => Some("mpls"),
            Test::Pppoes(_) => Some("pppoes"),
            Test::Geneve(_) => Some("geneve"),
            Test::Vxlan(_) => Some("vxlan"),
            _ => None,
        },
    }
}

/// The word wraps a packet at the link layer, where nothing else is seen of what it wraps.
fn hides(word: &str) -> bool {
    matches!(word, "vlan" | "mpls" | "pppoes")
}

/// Something in `expr` counts from the network layer.
fn counts(expr: &Expr) -> bool {
    match expr {
        Expr::And(left, right) | Expr::Or(left, right) => counts(left) || counts(right),
        Expr::Not(inner) => counts(inner),
        Expr::Test(test, _) => {
            matches!(
                test,
                Test::Net { .. }
                    | Test::Port { .. }
                    | Test::PortRange { .. }
                    | Test::Proto(_)
                    | Test::ProtoNumber { .. }
                    | Test::ProtoChain { .. }
            ) || matches!(test, Test::Relation { left, right, .. } if reads(left) || reads(right))
        }
    }
}

/// Bytes of a packet behind its link header are read.
fn reads(arith: &Arith) -> bool {
    match arith {
        Arith::Number(_) | Arith::Length => false,
        Arith::Negate(inner) => reads(inner),
        Arith::Binary { left, right, .. } => reads(left) || reads(right),
        Arith::Load { proto, at, .. } => *proto != Proto::Link || reads(at),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::filter::{CaptureFilter, capture::parse::tests::Book};

    fn traps(expression: &str) -> Vec<String> {
        CaptureFilter::parse(expression, &Book).unwrap().traps()
    }

    #[test]
    fn a_plain_filter_has_no_trap() {
        for expression in [
            "",
            "port 80",
            "tcp port 80 and host 10.0.0.1",
            "net 192.168.10",
            "net 10.0 or 192.168",
            "(port 80 or port 443) and host 10.0.0.1",
            "port 80 or (port 443 and host 10.0.0.1)",
            "port (80 or 443) and udp",
            "not (port 80 or 443)",
            "not port 80 and not 443",
            "vlan and tcp",
            "vlan 5 and vlan 6 and ip",
            "tcp or (vlan and tcp)",
            "vlan or ether host 00:11:22:33:44:55",
            "host 10.0.0.1 and geneve and tcp",
            "tcp[0:2] = 80 or (ip6[6] = 6 and ip6[40:2] = 80)",
            "ip and tcp",
        ] {
            assert_eq!(traps(expression), [""; 0], "{expression}");
        }
    }

    #[test]
    fn each_trap_is_told_once_with_what_to_write() {
        for (expression, told) in [
            ("host 192.168.10", "write net 192.168.10.0/24"),
            ("src 10.1 or dst 10.1", "10.1.0.0/16"),
            (
                "tcp[13] & 2 != 0 and tcp[13] & 1 = 0",
                "ip6[6] = 6 and ip6[53]",
            ),
            ("udp[len - 1] = 0", "ip6[6] = 17 and ip6[40 + …]"),
            ("icmp[icmptype] = icmp-echo", "icmp6[…]"),
            (
                "port 80 or 443 and udp",
                "this means (port 80 or 443) and udp",
            ),
            ("port 80 or (port 443) and udp", "(… or …) and …"),
            ("not port 80 or 443", "write not port (80 or 443)"),
            ("vlan or tcp", "tcp or (vlan and tcp)"),
            ("(mpls and ip) or ip", "tcp or (mpls and tcp)"),
            ("not vlan and tcp", "behind not vlan"),
            ("tcp and vlan", "write vlan and"),
            ("ip6 and port 80", "ip6 protochain"),
            ("port 80 and ip[6:2] & 0x1fff = 0", "first fragment"),
            ("less 100", "len < 100"),
        ] {
            let all = traps(expression);
            let count = all.iter().filter(|line| line.contains(told)).count();
            assert_eq!(count, 1, "{expression}: {all:?}");
        }
        assert_eq!(traps("less 100 or less 100").len(), 1);
    }
}
