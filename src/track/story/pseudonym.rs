//! Stand-ins for addresses, so that a diagram can be shown to strangers: documentation addresses, the same one each time.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Host numbers in a documentation network of 24 bits.
const HOSTS: u32 = 254;

/// Stand-ins for the addresses met so far, in the order of first use.
#[derive(Debug, Default)]
pub struct Pseudonyms {
    v4: HashMap<Ipv4Addr, u32>,
    v6: HashMap<Ipv6Addr, u32>,
    mac: HashMap<[u8; 6], u32>,
}

impl Pseudonyms {
    /// The stand-in for an address.
    pub fn ip(&mut self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(address) => self.v4(address).into(),
            IpAddr::V6(address) => self.v6(address).into(),
        }
    }

    /// 192.0.2.1 and on (RFC 5737 §3); past its 254 hosts 240.0.0.1 and on, which is reserved (RFC 1112 §4). Addresses that
    /// name no one stay: loopback, 0.0.0.0 and broadcast.
    pub fn v4(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        if address.is_loopback() || address.is_unspecified() || address.is_broadcast() {
            return address;
        }
        let number = number(&mut self.v4, address);
        let (network, host) = match number.checked_sub(HOSTS) {
            None | Some(0) => (Ipv4Addr::new(192, 0, 2, 0), number),
            Some(past) => (Ipv4Addr::new(240, 0, 0, 0), past),
        };
        Ipv4Addr::from_bits(network.to_bits() | host)
    }

    /// 2001:db8::1 and on (RFC 3849 §2); `::` and `::1` stay.
    pub fn v6(&mut self, address: Ipv6Addr) -> Ipv6Addr {
        if address.is_loopback() || address.is_unspecified() {
            return address;
        }
        let number = number(&mut self.v6, address);
        let network = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
        Ipv6Addr::from_bits(network.to_bits() | u128::from(number))
    }

    /// 02:00:5e:00:00:01 and on: locally administered. All zeros and broadcast stay.
    pub fn mac(&mut self, address: [u8; 6]) -> [u8; 6] {
        if address == [0; 6] || address == [0xff; 6] {
            return address;
        }
        let [_, a, b, c] = number(&mut self.mac, address).to_be_bytes();
        [0x02, 0x00, 0x5e, a, b, c]
    }
}

/// Counted from 1 in the order of first use.
fn number<A: Eq + Hash>(known: &mut HashMap<A, u32>, address: A) -> u32 {
    let next = u32::try_from(known.len() + 1).unwrap_or(u32::MAX);
    *known.entry(address).or_insert(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_stable_and_different() {
        let mut pseudonyms = Pseudonyms::default();
        let real = |n: u32| Ipv4Addr::from_bits(0x0a00_0000 | n);
        let first: Vec<_> = (0..300).map(|n| pseudonyms.v4(real(n))).collect();
        let again: Vec<_> = (0..300).map(|n| pseudonyms.v4(real(n))).collect();
        assert_eq!(first, again);
        let shown = |n: usize| first[n].to_string();
        assert_eq!(shown(0), "192.0.2.1");
        assert_eq!(shown(253), "192.0.2.254");
        assert_eq!(shown(254), "240.0.0.1");
        let different: std::collections::HashSet<_> = first.iter().collect();
        assert_eq!(different.len(), 300);
        let six = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 2, 3, 4);
        assert_eq!(pseudonyms.v6(six).to_string(), "2001:db8::1");
        assert_eq!(pseudonyms.mac([0xaa; 6]), [2, 0, 0x5e, 0, 0, 1]);
        for address in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "::"] {
            let address: Result<IpAddr, _> = address.parse();
            assert_eq!(
                address.clone().map(|a| pseudonyms.ip(a)),
                address,
                "it names no one"
            );
        }
    }
}
