//! The words that say whom to connect to, and with what kind of socket.

use std::{net::IpAddr, ops::RangeInclusive};

use sockwire::{call::Address, text::near};

use super::{
    Failure, Message,
    talk::{KINDS, Kind, unix_address},
    usage,
};

/// The kind, which the first word or a letter says, and the words behind it.
pub(super) fn kind(words: &[String], udp: bool, unix: bool) -> Result<(Kind, &[String]), Failure> {
    let first = words.first().map_or("", String::as_str);
    let said = Kind::named(first);
    let rest = &words[usize::from(said.is_some())..];
    let kind = match (said, udp, unix) {
        (None | Some(Kind::Tcp), false, false) => Kind::Tcp,
        (None | Some(Kind::Udp), true, false) | (Some(Kind::Udp), false, false) => Kind::Udp,
        (None | Some(Kind::Unix), false, true) | (Some(Kind::Unix), false, false) => Kind::Unix,
        (None | Some(Kind::Unix | Kind::Udp), _, true) | (Some(Kind::Unix), true, _) => {
            Kind::UnixDatagram
        }
        (Some(kind), false, false) => kind,
        (Some(_), ..) => {
            let letter = if udp { "-u" } else { "-U" };
            return Err(usage(format!(
                "{first} and {letter} are different sockets: leave one of them out"
            )));
        }
    };
    Ok((kind, rest))
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A host, this one where none is named, and its port.
    Host { node: Option<String>, ports: Ports },
    /// A Unix socket.
    Unix(Address),
}

/// A port, or several that are tried one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// A number, or a service's name.
    One(String),
    /// Only with `-z`.
    Range(RangeInclusive<u16>),
}

impl Target {
    /// Reads the words behind the kind; `ranges` of ports may be allowed.
    pub(super) fn parse(kind: Kind, words: &[String], ranges: bool) -> Result<Self, Failure> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if kind.is_unix() {
            return match words[..] {
                [path] => Ok(Self::Unix(unix(path)?)),
                _ => Err(usage(
                    "a Unix socket is one path, or @NAME: sockwire connect -U /tmp/chat",
                )),
            };
        }
        let (node, port) = match words[..] {
            [node, port] => (Some(unbracketed(node)), port),
            [word] if begins_number(word) && !word.contains([':', '.']) => (None, word),
            [word] => {
                let (node, port) = split(word)?;
                (Some(node), port)
            }
            [] => {
                return Err(usage(
                    "connect to which port? Such as: sockwire connect 5000",
                ));
            }
            [first, ..] => {
                let known = KINDS.iter().map(|(word, _)| *word);
                let meant = near(first, known).map(|word| format!(" (or KIND {word}?)"));
                let meant = meant.unwrap_or_default();
                return Err(usage(format!(
                    "too many words: a host and a port are wanted, such as {first} 5000{meant}"
                )));
            }
        };
        if node == Some("") {
            return Err(usage(
                "the host is missing; a port alone is one of this host",
            ));
        }
        let ports = ports(port, ranges)?;
        let node = node.map(str::to_owned);
        Ok(Self::Host { node, ports })
    }
}

impl Target {
    /// Moves the target to the host `ip` of a private network; what the server there listens on.
    pub(super) fn in_lab(&mut self, ip: IpAddr) -> Result<Address, Failure> {
        match self {
            Self::Unix(address) => Ok(address.clone()),
            Self::Host { node, ports } => {
                *node = Some(ip.to_string());
                let port = match ports {
                    Ports::One(port) => port.parse().ok(),
                    Ports::Range(range) => Some(*range.start()),
                };
                let port = port.ok_or_else(|| usage("with --lab a port is a number"))?;
                Ok(Address::Ip((ip, port).into()))
            }
        }
    }
}

fn begins_number(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}

/// `[::1]` without its brackets.
fn unbracketed(node: &str) -> &str {
    let inside = node
        .strip_prefix('[')
        .and_then(|node| node.strip_suffix(']'));
    inside.unwrap_or(node)
}

/// `HOST:PORT` and `[IPV6]:PORT`.
fn split(word: &str) -> Result<(&str, &str), Failure> {
    let Some((node, port)) = word.rsplit_once(':') else {
        return Err(usage(format!(
            "which port of {word}? Such as: sockwire connect {word} 5000"
        )));
    };
    if node.contains(':') && unbracketed(node) == node {
        let brackets = format!("[{word}]:5000");
        return Err(usage(format!(
            "{word} has several colons: write an IPv6 address and its port as {brackets} or {word} 5000"
        )));
    }
    Ok((unbracketed(node), port))
}

/// A port's number, its name in the table of services, or a range.
fn ports(word: &str, ranges: bool) -> Result<Ports, Failure> {
    let number = |word: &str| match word.parse() {
        Ok(0) | Err(_) => Err(usage(format!("{word} is no port: 1 to 65535"))),
        Ok(port) => Ok(port),
    };
    if !begins_number(word) {
        let is_name = !word.is_empty() && !word.starts_with('-');
        return match is_name {
            true => Ok(Ports::One(word.to_owned())),
            false => Err(usage(format!(
                "{word:?} is no port: 1 to 65535, or a service's name"
            ))),
        };
    }
    let Some((first, last)) = word.split_once('-') else {
        return number(word).map(|port| Ports::One(port.to_string()));
    };
    let range = number(first)?..=number(last)?;
    match () {
        () if !ranges => Err(usage(format!(
            "{word} are several ports: only -z takes them"
        ))),
        () if range.is_empty() => Err(usage(format!(
            "{word} is no range: the smaller port comes first"
        ))),
        () => Ok(Ports::Range(range)),
    }
}

/// A path, or `@NAME` in the abstract namespace.
fn unix(word: &str) -> Result<Address, Failure> {
    /// `sun_path` of `sockaddr_un` (unix(7)), the zero byte at its end or beginning included.
    const LONGEST: usize = 107;
    match word.len() {
        0 => Err(usage("the path of a Unix socket is not empty")),
        len if len > LONGEST => Err(usage(format!(
            "{word} is too long for a Unix socket: {len} bytes, and {LONGEST} is the most"
        ))),
        _ => Ok(unix_address(word)),
    }
}

/// The text of `--send`: `\n`, `\r`, `\t`, `\0`, `\\` and `\xNN` are bytes.
pub(super) fn text(word: &str) -> Result<Message, String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((plain, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut letters = after.chars();
        let byte = match letters.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits = after.get(1..3).and_then(|digits| hex::decode(digits).ok());
                letters = after.get(3..).unwrap_or("").chars();
                *digits
                    .and_then(|bytes| bytes.first().copied())
                    .as_ref()
                    .ok_or("after \\x come two hexadecimal digits, such as \\x0a")?
            }
            _ => return Err("after \\ comes n, r, t, 0, xNN or another \\".to_owned()),
        };
        bytes.push(byte);
        rest = letters.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(Message(bytes))
}

impl Message {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn host(line: &str) -> (String, Ports) {
        match Target::parse(Kind::Tcp, &words(line), true) {
            Ok(Target::Host { node, ports }) => (node.unwrap_or_default(), ports),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn wrong(kind: Kind, line: &str) -> String {
        let parsed = Target::parse(kind, &words(line), false);
        parsed.unwrap_err().error.to_string()
    }

    #[test]
    fn hosts_and_ports_are_written_as_netcat_and_urls_do() {
        for (line, node, port) in [
            ("5000", "", 5000),
            ("example.org 80", "example.org", 80),
            ("example.org:80", "example.org", 80),
            ("10.0.0.1:80", "10.0.0.1", 80),
            ("[::1]:5000", "::1", 5000),
            ("::1 5000", "::1", 5000),
            ("[fe80::1%eth0]:5000", "fe80::1%eth0", 5000),
        ] {
            assert_eq!(
                host(line),
                (node.to_owned(), Ports::One(port.to_string())),
                "{line}"
            );
        }
        assert_eq!(host("h http").1, Ports::One("http".to_owned()));
        assert_eq!(host("h 20-25").1, Ports::Range(20..=25));
        assert_eq!(host("20-25"), (String::new(), Ports::Range(20..=25)));
    }

    #[test]
    fn wrong_words_are_told_what_is_meant() {
        for (line, says) in [
            ("example.org", "which port of example.org?"),
            ("::1", "[::1]:5000 or ::1 5000"),
            ("h 0", "1 to 65535"),
            ("h 70000", "1 to 65535"),
            ("h 5x", "1 to 65535"),
            (":5000", "the host is missing"),
            ("h 20-25", "only -z"),
            ("tpc h 5000", "KIND tcp"),
            ("h:", "is no port"),
        ] {
            let said = wrong(Kind::Tcp, line);
            assert!(said.contains(says), "{line}: {said}");
        }
        assert!(wrong(Kind::Unix, &"x".repeat(108)).contains("107"));
        assert!(wrong(Kind::Unix, "a b").contains("one path"));
        let backwards = Target::parse(Kind::Tcp, &words("h 25-20"), true);
        assert!(backwards.unwrap_err().error.to_string().contains("smaller"));
    }

    #[test]
    fn the_kind_is_a_word_or_a_letter() {
        let told = |line: &str, udp, unix| {
            let words = words(line);
            kind(&words, udp, unix)
                .map(|(kind, rest)| (kind, rest.len()))
                .ok()
        };
        for (line, udp, unix, wanted) in [
            ("5000", false, false, Kind::Tcp),
            ("5000", true, false, Kind::Udp),
            ("/tmp/x", false, true, Kind::Unix),
            ("/tmp/x", true, true, Kind::UnixDatagram),
        ] {
            assert_eq!(told(line, udp, unix), Some((wanted, 1)));
        }
        for (line, udp, unix, wanted) in [
            ("tcp h", false, false, Kind::Tcp),
            ("udp h", false, false, Kind::Udp),
            ("udp h", true, false, Kind::Udp),
            ("unix h", false, false, Kind::Unix),
            ("unix h", true, false, Kind::UnixDatagram),
            ("unix h", true, true, Kind::UnixDatagram),
            ("udp h", false, true, Kind::UnixDatagram),
            ("http h", false, false, Kind::Http),
            ("ws h", false, false, Kind::WebSocket),
        ] {
            assert_eq!(told(line, udp, unix), Some((wanted, 1)), "{line}");
        }
        assert_eq!(told("tcp h", true, false), None);
        assert_eq!(told("ws h", false, true), None);
    }

    #[test]
    fn escapes_in_a_text_are_bytes() {
        let bytes = |word| text(word).map(|message| message.0);
        assert_eq!(
            bytes("a\\n\\x00\\\\é\\xff"),
            Ok(b"a\n\0\\\xc3\xa9\xff".to_vec())
        );
        assert_eq!(bytes(""), Ok(Vec::new()));
        for wrong in ["\\", "\\q", "\\x", "\\xé", "\\x1"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
