//! The end of privileges: what reads packets from strangers shall not be able to do anything with them.

use std::io;

use caps::{CapSet, CapsHashSet};
use nix::sys::prctl;

/// Gives up every capability for good, in this thread and in those that it starts from now on; programs started later
/// gain none either (`no_new_privs`). Sockets and files that are open stay usable.
///
/// The user stays the same: root without capabilities still owns root's files.
///
/// # Errors
/// When the kernel refuses.
pub fn give_up() -> io::Result<()> {
    prctl::set_no_new_privs()?;
    // Permitted last: once it is empty, nothing comes back.
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::set(None, set, &CapsHashSet::new()).map_err(io::Error::other)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::sys::{
        machine,
        packet::{Layer, PacketSocket},
    };

    #[test]
    fn nothing_is_left_but_what_is_open() {
        if !machine::has(caps::Capability::CAP_NET_RAW) {
            crate::testing::skipped("there is no privilege to give up");
            return;
        }
        // Capabilities belong to threads: the other tests keep theirs.
        let given_up = std::thread::spawn(|| {
            let socket = PacketSocket::open(Layer::Link).unwrap();
            give_up().unwrap();
            socket.statistics().unwrap();
            let refused = PacketSocket::open(Layer::Link).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
            assert!(caps::raise(None, CapSet::Effective, caps::Capability::CAP_NET_RAW).is_err());
        });
        given_up.join().unwrap();
        assert!(machine::has(caps::Capability::CAP_NET_RAW));
    }
}
