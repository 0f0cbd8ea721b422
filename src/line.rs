//! The one-line form under construction: each layer writes its part, the innermost that has something to say wins.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

/// How the one-line form is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineOptions {
    /// Sequence numbers as they are on the wire (`-S`).
    pub absolute: bool,
    /// tcpdump's short form (`-q`).
    pub quick: bool,
}

/// Names for addresses and ports, asked for each end of a line (`-N`). The library itself asks nobody.
pub trait EndNames: fmt::Debug + Send {
    /// Appends the name of a host; false when it has none.
    fn host(&mut self, address: IpAddr, out: &mut String) -> bool;
    /// Appends the name of a service; false when it has none.
    fn service(&mut self, port: u16, out: &mut String) -> bool;
}

/// The parts of a line, reused from packet to packet.
///
/// Layers are asked from the innermost outwards, until both ends and the words are known; what one layer has written,
/// those around it leave alone ([`Line::seal`]). So nothing is formatted to be thrown away.
#[derive(Debug, Default)]
pub struct Line {
    /// How to write.
    pub options: LineOptions,
    /// Who knows names; without it, ends are numbers.
    pub names: Option<Box<dyn EndNames>>,
    /// Source, as `address` or `address:port`.
    pub source: String,
    /// Destination, likewise.
    pub destination: String,
    /// The protocol that speaks.
    pub label: &'static str,
    /// What it says.
    pub info: String,
    pub(crate) ends_kept: bool,
    pub(crate) info_kept: bool,
}

impl Line {
    /// An empty line, to be written like this.
    pub fn new(options: LineOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Empty, keeping its memory and options.
    pub fn clear(&mut self) {
        self.source.clear();
        self.destination.clear();
        self.info.clear();
        self.label = "";
        self.ends_kept = false;
        self.info_kept = false;
    }

    /// Keeps what stands now: layers further out no longer change it. True when nothing is left to say.
    pub fn seal(&mut self) -> bool {
        self.ends_kept = !self.source.is_empty();
        self.info_kept = !self.info.is_empty();
        self.ends_kept && self.info_kept
    }

    /// Sets both ends, as the link and network layers do.
    pub fn ends(&mut self, source: impl fmt::Display, destination: impl fmt::Display) {
        if self.ends_kept {
            return;
        }
        self.source.clear();
        self.destination.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.source, "{source}");
        let _ = write!(self.destination, "{destination}");
    }

    /// Sets both ends to addresses with ports, IPv6 in brackets.
    pub fn sockets(&mut self, addresses: Option<(IpAddr, IpAddr)>, ports: (u16, u16)) {
        if self.ends_kept {
            return;
        }
        self.source.clear();
        self.destination.clear();
        let names = &mut self.names;
        push_socket(
            &mut self.source,
            addresses.map(|both| both.0),
            ports.0,
            names,
        );
        push_socket(
            &mut self.destination,
            addresses.map(|both| both.1),
            ports.1,
            names,
        );
    }

    /// Sets both ends to addresses.
    pub fn addresses(&mut self, source: IpAddr, destination: IpAddr) {
        if self.ends_kept {
            return;
        }
        self.source.clear();
        self.destination.clear();
        push_host(&mut self.source, source, &mut self.names);
        push_host(&mut self.destination, destination, &mut self.names);
    }

    /// Replaces what the line says. Text from packets goes through [`crate::text`] first.
    pub fn say(&mut self, info: fmt::Arguments<'_>) {
        if self.info_kept {
            return;
        }
        self.info.clear();
        let _ = self.info.write_fmt(info);
    }

    /// Adds to what the line says, after a space where something stands already.
    pub fn add(&mut self, info: fmt::Arguments<'_>) {
        if self.info_kept {
            return;
        }
        if !self.info.is_empty() {
            self.info.push(' ');
        }
        let _ = self.info.write_fmt(info);
    }

    /// Adds a number after its name (`"win="`): [`Line::add`] without the cost of formatting.
    pub fn add_number(&mut self, name: &str, value: u64) {
        if self.info_kept {
            return;
        }
        self.add_word(name);
        push_number(&mut self.info, value);
    }

    /// Adds a word, after a space where something stands already.
    pub fn add_word(&mut self, word: &str) {
        if self.info_kept {
            return;
        }
        if !self.info.is_empty() {
            self.info.push(' ');
        }
        self.info.push_str(word);
    }
}

/// Appends a decimal number: what `write!` does, in a fraction of its time.
pub fn push_number(out: &mut String, mut value: u64) {
    // 20 digits hold every u64.
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    // Digits are ASCII, so this never takes the default.
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends an address, as `Display` writes it.
pub fn push_address(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut text = [b'.'; 15];
            let mut at = 0;
            for octet in address.octets() {
                // From the second octet on, the dot before it stands already.
                at += usize::from(at > 0);
                for (least, digit) in [(100, octet / 100), (10, octet / 10 % 10), (0, octet % 10)] {
                    if octet >= least {
                        text[at] = b'0' + digit;
                        at += 1;
                    }
                }
            }
            out.push_str(std::str::from_utf8(&text[..at]).unwrap_or_default());
        }
        IpAddr::V6(address) => {
            let _ = write!(out, "{address}");
        }
    }
}

type Names = Option<Box<dyn EndNames>>;

/// Appends a host by its name, where it has one, or by its address.
fn push_host(out: &mut String, address: IpAddr, names: &mut Names) {
    let named = names.as_mut().is_some_and(|names| names.host(address, out));
    if !named {
        push_address(out, address);
    }
}

/// Appends `address:port`, IPv6 in brackets, or the port alone; names where they are known.
pub fn push_socket(out: &mut String, address: Option<IpAddr>, port: u16, names: &mut Names) {
    if let Some(address) = address {
        let from = out.len();
        push_host(out, address, names);
        if out[from..].contains(':') {
            out.insert(from, '[');
            out.push(']');
        }
        out.push(':');
    }
    let named = names.as_mut().is_some_and(|names| names.service(port, out));
    if !named {
        push_number(out, port.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sockets_look_as_display_writes_them() {
        for value in [0, 7, 10, 99, 100, 65_535, 1 << 32, u64::MAX] {
            let mut out = String::new();
            push_number(&mut out, value);
            assert_eq!(out, value.to_string());
        }
        for (address, port) in [
            ("10.0.200.255", 0),
            ("255.255.255.255", 9),
            ("0.9.10.99", 1),
            ("100.101.199.200", 10),
            ("::1", 65_535),
            ("2001:db8::5", 80),
        ] {
            let Ok(address) = address.parse() else {
                panic!("{address} is an address");
            };
            let mut out = String::new();
            push_socket(&mut out, Some(address), port, &mut None);
            assert_eq!(out, std::net::SocketAddr::new(address, port).to_string());
        }
    }

    #[derive(Debug)]
    struct Few;

    impl EndNames for Few {
        fn host(&mut self, address: IpAddr, out: &mut String) -> bool {
            out.push_str(if address.is_loopback() {
                "localhost"
            } else {
                ""
            });
            address.is_loopback()
        }

        fn service(&mut self, port: u16, out: &mut String) -> bool {
            out.push_str(if port == 53 { "domain" } else { "" });
            port == 53
        }
    }

    #[test]
    fn names_stand_where_they_are_known() {
        let mut line = Line {
            names: Some(Box::new(Few)),
            ..Line::default()
        };
        line.sockets(
            Some(([0, 0, 0, 0, 0, 0, 0, 1].into(), [10, 0, 0, 1].into())),
            (5000, 53),
        );
        assert_eq!(
            (line.source.as_str(), line.destination.as_str()),
            ("localhost:5000", "10.0.0.1:domain")
        );
    }

    #[test]
    fn what_an_inner_layer_wrote_stays() {
        let mut line = Line::default();
        line.say(format_args!("inner"));
        assert!(!line.seal());
        line.say(format_args!("outer"));
        line.add_number("n=", 1);
        line.ends("a", "b");
        assert!(line.seal());
        line.ends("c", "d");
        assert_eq!(
            (
                line.info.as_str(),
                line.source.as_str(),
                line.destination.as_str()
            ),
            ("inner", "a", "b")
        );
        line.clear();
        line.add_word("SYN");
        line.add_number("seq=", 0);
        assert_eq!(line.info, "SYN seq=0");
    }
}
