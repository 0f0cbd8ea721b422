//! What a log has told so far of processes, sockets, networks and interfaces.

use std::collections::BTreeMap;

use crate::event::{Entry, Event, Interface, Net, NetId, Process, Socket, SocketId};

/// Processes, sockets, networks and interfaces, by number, as they were told last.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Processes; those that ended stay.
    pub processes: BTreeMap<u32, Process>,
    /// Sockets; those that were closed stay, in a [`super::Timeline::passing`] one for a while.
    pub sockets: BTreeMap<SocketId, Socket>,
    /// Networks.
    pub nets: BTreeMap<NetId, Net>,
    /// Interfaces.
    pub interfaces: BTreeMap<u32, Interface>,
}

impl Known {
    /// Learns from an entry.
    pub fn push(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Process(process) => {
                self.processes.insert(process.process, process.clone());
            }
            Event::Exec(exec) => {
                if let Some(process) = self.processes.get_mut(&exec.process) {
                    process.name.clone_from(&exec.name);
                }
            }
            Event::Socket(socket) => {
                self.sockets.insert(socket.id, socket.clone());
            }
            Event::Net(net) => {
                self.nets.insert(net.id, net.clone());
            }
            Event::Interface(interface) => {
                self.interfaces.insert(interface.id, interface.clone());
            }
            _ => {}
        }
    }
}
