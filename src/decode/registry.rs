//! Who decodes what: the claims of every protocol, made quick to look up.

use crate::{
    proto,
    protocol::{Claim, Protocol},
};

/// The claims of all protocols.
pub struct Registry {
    ip: [Option<&'static Protocol>; 256],
    /// By [`key`], in order.
    numbers: Vec<(u32, &'static Protocol)>,
    names: Vec<(&'static str, &'static Protocol)>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(proto::ALL.iter().map(|protocol| protocol.name))
            .finish()
    }
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self {
            ip: [None; 256],
            numbers: Vec::new(),
            names: Vec::new(),
        };
        for protocol in proto::ALL {
            for &claim in protocol.claims {
                match claim {
                    Claim::IpProto(number) => registry.ip[usize::from(number)] = Some(protocol),
                    Claim::Name(name) => registry.names.push((name, protocol)),
                    claim => registry.numbers.push((key(claim), protocol)),
                }
            }
        }
        registry.numbers.sort_by_key(|&(key, _)| key);
        registry
    }
}

impl Registry {
    /// Who makes `claim`.
    pub fn find(&self, claim: Claim) -> Option<&'static Protocol> {
        match claim {
            Claim::IpProto(number) => self.ip[usize::from(number)],
            Claim::Name(name) => {
                let found = self.names.iter().find(|(known, _)| *known == name);
                found.map(|&(_, protocol)| protocol)
            }
            claim => {
                let key = key(claim);
                let at = self.numbers.binary_search_by_key(&key, |&(k, _)| k).ok()?;
                Some(self.numbers[at].1)
            }
        }
    }
}

/// One number for each claim that is a number: its kind above the number itself.
fn key(claim: Claim) -> u32 {
    let (kind, number) = match claim {
        Claim::Link(link) => (0, link.0),
        Claim::EtherType(number) => (1, number),
        Claim::Llc(number) => (2, number.into()),
        Claim::IpProto(number) => (3, number.into()),
        Claim::UdpPort(number) => (4, number),
        Claim::TcpPort(number) => (5, number),
        Claim::Ppp(number) => (6, number),
        Claim::StreamPort(number) => (7, number),
        Claim::Name(_) => (8, 0),
    };
    kind << 16 | u32::from(number)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn no_two_protocols_stake_the_same_claim() {
        let mut owners: HashMap<Claim, &str> = HashMap::new();
        for protocol in proto::ALL {
            for &claim in protocol.claims {
                if let Some(other) = owners.insert(claim, protocol.name) {
                    panic!("{claim:?} is claimed by {other} and {}", protocol.name);
                }
            }
        }
    }

    #[test]
    fn every_claim_finds_its_owner() {
        let registry = Registry::default();
        for protocol in proto::ALL {
            for &claim in protocol.claims {
                assert!(
                    registry
                        .find(claim)
                        .is_some_and(|found| std::ptr::eq(found, *protocol)),
                    "{claim:?}"
                );
            }
        }
    }
}
