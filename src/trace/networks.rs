//! Which network namespace a thread or a socket is in: the kernel's numbers, and those of the log.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::MetadataExt,
};

use super::tracer::Moment;
use crate::event::{Event, Net, NetId};

/// All network namespaces in sight.
#[derive(Debug, Default)]
pub(super) struct Networks {
    all: Vec<Network>,
    by_inode: HashMap<u64, NetId>,
    by_cookie: HashMap<u64, NetId>,
    /// The lab's hosts, by the inodes of their networks.
    hosts: HashMap<u64, String>,
}

/// A network namespace.
#[derive(Debug, Default)]
struct Network {
    host: Option<String>,
    /// `SO_NETNS_COOKIE` of its sockets, since the first one.
    cookie: Option<u64>,
    /// It was told.
    told: bool,
    /// Keeps it alive, so that its inode is not given to another one.
    _handle: Option<File>,
}

impl Networks {
    /// The network behind `handle` is this host's.
    pub(super) fn name(&mut self, handle: &File, host: String) {
        if let Ok(data) = handle.metadata() {
            self.hosts.insert(data.ino(), host);
        }
    }

    /// The network that a thread is in now: each may be in another one. Of one that is gone, or that does not let itself be looked at, the first.
    pub(super) fn of_thread(&mut self, thread: u32) -> NetId {
        let path = format!("/proc/{thread}/ns/net");
        let inode = fs::metadata(&path).map_or(0, |data| data.ino());
        if let Some(&id) = self.by_inode.get(&inode) {
            return id;
        }
        let network = Network {
            host: self.hosts.get(&inode).cloned(),
            _handle: File::open(path).ok(),
            ..Network::default()
        };
        let id = self.add(network);
        self.by_inode.insert(inode, id);
        id
    }

    /// The network of a socket that `thread` uses, by its cookie. A new one is told.
    pub(super) fn of_socket(
        &mut self,
        cookie: Option<u64>,
        thread: u32,
        now: &mut Moment<'_>,
    ) -> NetId {
        if let Some(&id) = cookie.and_then(|cookie| self.by_cookie.get(&cookie)) {
            return id;
        }
        let mut id = self.of_thread(thread);
        let mut unseen = None;
        let is_other = |network: &mut Network| network.cookie.is_some() && network.cookie != cookie;
        if self.get(id).is_some_and(is_other) {
            // It came from elsewhere, over a Unix socket or before the thread moved.
            id = self.add(Network::default());
            unseen =
                Some("the socket is of another network than the thread that uses it".to_owned());
        }
        let Some(network) = self.get(id) else {
            return id;
        };
        network.cookie = cookie;
        let (host, told) = (network.host.clone(), network.told);
        network.told = true;
        if let Some(cookie) = cookie {
            self.by_cookie.insert(cookie, id);
        }
        if !told {
            let unseen = unseen.or_else(|| now.listener.network(id, host.as_deref(), thread).err());
            now.tell(Event::Net(Net { id, host, unseen }));
        }
        id
    }

    fn add(&mut self, network: Network) -> NetId {
        self.all.push(network);
        self.all.len() as NetId
    }

    fn get(&mut self, id: NetId) -> Option<&mut Network> {
        self.all.get_mut(id as usize - 1)
    }
}
