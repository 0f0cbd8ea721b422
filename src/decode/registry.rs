//! Who decodes what: the claims of every protocol, made quick to look up.

use crate::{
    proto,
    protocol::{Claim, Protocol},
};

/// The claims of all protocols.
pub struct Registry {
    ip: [Option<&'static Protocol>; 256],
    others: Vec<(Claim, &'static Protocol)>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(
                self.others
                    .iter()
                    .map(|(claim, protocol)| (claim, protocol.name)),
            )
            .finish()
    }
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self {
            ip: [None; 256],
            others: Vec::new(),
        };
        for protocol in proto::ALL {
            for &claim in protocol.claims {
                match claim {
                    Claim::IpProto(number) => registry.ip[usize::from(number)] = Some(protocol),
                    claim => registry.others.push((claim, protocol)),
                }
            }
        }
        registry.others.sort_by_key(|(claim, _)| key(*claim));
        registry
    }
}

impl Registry {
    /// Who makes `claim`.
    pub fn find(&self, claim: Claim) -> Option<&'static Protocol> {
        if let Claim::IpProto(number) = claim {
            return self.ip[usize::from(number)];
        }
        let at = self
            .others
            .binary_search_by_key(&key(claim), |(c, _)| key(*c))
            .ok()?;
        Some(self.others[at].1)
    }
}

/// An order for claims.
fn key(claim: Claim) -> (u8, u16, &'static str) {
    match claim {
        Claim::Link(link) => (0, link.0, ""),
        Claim::EtherType(n) => (1, n, ""),
        Claim::Llc(n) => (2, n.into(), ""),
        Claim::IpProto(n) => (3, n.into(), ""),
        Claim::UdpPort(n) => (4, n, ""),
        Claim::TcpPort(n) => (5, n, ""),
        Claim::Ppp(n) => (6, n, ""),
        Claim::Name(name) => (7, 0, name),
    }
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
