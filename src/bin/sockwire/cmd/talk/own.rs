//! Which conversations of an interface are the program's own: those of the addresses that its calls name.

use std::{collections::BTreeSet, net::SocketAddr};

use sockwire::{
    call::{Address, Answer, Call, Called},
    sockets::Event,
    track::story::Header,
};

/// What is known of the program's sockets.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Where they are; of a server any address may be meant.
    here: BTreeSet<SocketAddr>,
    /// Where they have been sent to by calls that do not say from where: the next conversation that somebody begins with
    /// such an address is taken for theirs.
    awaited: BTreeSet<SocketAddr>,
    /// Where they have been sent to, and from where is known.
    met: BTreeSet<SocketAddr>,
}

impl Own {
    /// Learns from what the program tells.
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Calling(Call::Connect { address, .. }) => {
                if let Some(to) = ip(address) {
                    self.awaited.insert(to);
                }
            }
            Event::Calling(Call::SendTo { to, .. }) => {
                if let Some(to) = ip(to).filter(|to| !self.met.contains(to)) {
                    self.awaited.insert(to);
                }
            }
            Event::Called(Called {
                call: Call::Bind { address, .. },
                result: Ok(_),
                ..
            })
            | Event::Called(Called {
                call: Call::GetSockName { .. },
                result: Ok(Answer::Address(address)),
                ..
            })
            | Event::Listening(address) => {
                // Port 0 is any, and says nothing yet.
                self.here
                    .extend(ip(address).filter(|here| here.port() != 0));
            }
            _ => {}
        }
    }

    /// A conversation is the program's.
    pub(super) fn has(&mut self, flow: &Header) -> bool {
        let (Some(client), Some(server)) = (ip(&flow.client), ip(&flow.server)) else {
            return false;
        };
        if self.is_here(client) || self.is_here(server) {
            return true;
        }
        let begun = self.awaited.remove(&server);
        if begun {
            self.here.insert(client);
            self.met.insert(server);
        }
        begun
    }

    fn is_here(&self, socket: SocketAddr) -> bool {
        let any = |ip: std::net::IpAddr| SocketAddr::new(ip, socket.port());
        self.here.contains(&socket)
            || self
                .here
                .contains(&any(std::net::Ipv4Addr::UNSPECIFIED.into()))
            || self
                .here
                .contains(&any(std::net::Ipv6Addr::UNSPECIFIED.into()))
    }
}

fn ip(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Ip(address) => Some(canonical(*address)),
        _ => None,
    }
}

/// An IPv4 address as itself, also where an IPv6 socket is spoken of; without the scope, which packets do not name.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use sockwire::track::story::{Kind, Label};

    use super::*;

    fn flow(client: &str, server: &str) -> Header {
        let parsed = |text: &str| {
            let address: SocketAddr = text.parse().unwrap_or_else(|_| panic!("{text}"));
            Address::from(address)
        };
        Header {
            label: Label {
                kind: Kind::Tcp,
                number: 1,
            },
            stream: None,
            client: parsed(client),
            server: parsed(server),
            interface: 0,
            programs: [None, None],
            states: None,
        }
    }

    fn address(text: &str) -> Address {
        Address::Ip(text.parse().unwrap_or_else(|_| panic!("{text}")))
    }

    #[test]
    fn a_server_has_every_conversation_with_its_port() {
        let mut own = Own::default();
        assert!(!own.has(&flow("127.0.0.1:41000", "127.0.0.1:5000")));
        own.event(&Event::Listening(address("[::]:5000")));
        assert!(own.has(&flow("127.0.0.1:41000", "127.0.0.1:5000")));
        assert!(!own.has(&flow("127.0.0.1:41000", "127.0.0.1:5001")));
        let mut one = Own::default();
        one.event(&Event::Listening(address("10.0.0.1:5000")));
        assert!(!one.has(&flow("127.0.0.1:41000", "127.0.0.1:5000")));
        assert!(one.has(&flow("10.0.0.9:41000", "10.0.0.1:5000")));
    }

    #[test]
    fn a_client_has_the_conversation_that_it_began() {
        let connect = Event::Calling(Call::Connect {
            fd: 3,
            address: address("127.0.0.1:5000"),
        });
        let mut own = Own::default();
        own.event(&connect);
        assert!(own.has(&flow("127.0.0.1:41000", "127.0.0.1:5000")));
        // Another program's.
        assert!(!own.has(&flow("127.0.0.1:41001", "127.0.0.1:5000")));
        assert!(own.has(&flow("127.0.0.1:41000", "127.0.0.1:5000")));
        // It comes back.
        own.event(&connect);
        assert!(own.has(&flow("127.0.0.1:41002", "127.0.0.1:5000")));
        assert!(!own.has(&flow("127.0.0.1:41003", "127.0.0.1:5000")));
    }

    #[test]
    fn datagrams_of_one_socket_are_one_conversation() {
        let send = Event::Calling(Call::SendTo {
            fd: 3,
            data: sockwire::call::Data::of(b"x"),
            to: address("127.0.0.1:4000"),
        });
        let mut own = Own::default();
        own.event(&send);
        assert!(own.has(&flow("127.0.0.1:41000", "127.0.0.1:4000")));
        own.event(&send);
        assert!(!own.has(&flow("127.0.0.1:41001", "127.0.0.1:4000")));
    }
}
