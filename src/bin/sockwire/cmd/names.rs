//! Names from this machine for filters: services from its table, hosts from its resolver.

use std::{
    fs,
    net::{IpAddr, ToSocketAddrs},
};

use sockwire::filter::{Filter, Names};

use super::{Exit, Failure};

/// Asks `/etc/services` and, unless forbidden, the resolver.
pub(crate) struct System {
    /// The resolver may be asked (`-n` forbids it).
    pub(crate) resolve: bool,
}

impl Names for System {
    fn port(&self, name: &str) -> Option<u16> {
        let table = fs::read_to_string("/etc/services").unwrap_or_default();
        table.lines().find_map(|line| {
            let line = line.split('#').next()?;
            let mut words = line.split_whitespace();
            let (first, port) = (words.next()?, words.next()?);
            if first != name && !words.any(|alias| alias == name) {
                return None;
            }
            port.split('/').next()?.parse().ok()
        })
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        if !self.resolve {
            return Vec::new();
        }
        let mut found: Vec<IpAddr> = (name, 0)
            .to_socket_addrs()
            .map(|all| all.map(|a| a.ip()).collect())
            .unwrap_or_default();
        found.sort();
        found.dedup();
        found
    }
}

/// Compiles the trailing words of a command line.
pub(crate) fn filter(words: &[String], resolve: bool) -> Result<Filter, Failure> {
    Filter::compile(&words.join(" "), &System { resolve })
        .map_err(|error| Failure::new(Exit::Usage, error))
}
