//! Gives up every right once nothing more has to be opened: what decodes the packets of strangers holds none.

use anyhow::Context;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::{Exit, Failure, Global, output};

/// Becomes the user who called sudo, drops all capabilities, and makes both final.
///
/// Capabilities belong to threads: this is called while the program has one.
pub(crate) fn give_up(global: &Global) -> Result<(), Failure> {
    if let Some((user, group)) = output::caller()
        && let Err(errno) = become_user(Uid::from_raw(user), Gid::from_raw(group))
    {
        // In a container or a user namespace that user may not exist; without capabilities root is not much there.
        global.talk(format_args!(
            "note: cannot become user {user} again ({errno}): going on as root without capabilities"
        ));
    }
    sockwire::sys::privilege::give_up()
        .context("cannot give up the rights that only opening needed")
        .map_err(|error| Failure::new(Exit::NotPermitted, error))
}

/// The process cannot be traced by that user afterwards, nor its sockets taken: a change of user makes it undumpable.
fn become_user(user: Uid, group: Gid) -> nix::Result<()> {
    setgroups(&[group])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}
