//! User and network namespaces: a private network that a thread makes for itself and that vanishes with the process.

use std::{
    ffi::CStr,
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns, unshare},
    sys::{stat::Mode, wait::waitpid},
    unistd::{ForkResult, Gid, Uid, fork, pipe2},
};

use super::netlink;

/// What a private network is made of, in order; the name of what the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `unshare(CLONE_NEWUSER)`.
    UserNamespace,
    /// Writing `/proc/self/uid_map`, `setgroups` and `gid_map`.
    Map,
    /// `unshare(CLONE_NEWNET)`.
    NetworkNamespace,
    /// Setting the loopback interface up, the first act that needs the new right.
    LoopbackUp,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserNamespace => "make a user namespace (unshare)",
            Self::Map => "map this user into a user namespace (write uid_map)",
            Self::NetworkNamespace => "make a network namespace (unshare)",
            Self::LoopbackUp => "set an interface up in a network namespace (netlink)",
        })
    }
}

/// Where the kernel said no, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {stage}: {errno}")]
pub struct Refused {
    /// What was asked for.
    pub stage: Stage,
    /// The kernel's answer.
    pub errno: Errno,
}

impl Stage {
    fn or<T>(self, result: Result<T, Errno>) -> Result<T, Refused> {
        result.map_err(|errno| Refused { stage: self, errno })
    }
}

/// Tests in a child whether this process may make a private network; nothing of it stays.
///
/// `user` asks for a user namespace first, as [`enter_user`] makes it.
///
/// # Errors
/// The outer error is about the test itself (no process, no pipe); the inner one is the kernel's refusal.
pub fn probe(user: bool) -> io::Result<Result<(), Refused>> {
    let maps = Maps::of_this_process();
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the child allocates nothing and takes no lock: it makes system calls on prepared data and ends by `_exit`.
    match unsafe { fork()? } {
        ForkResult::Child => {
            let answer = match try_private(user, &maps) {
                Ok(()) => [0, 0],
                Err(refused) => [1 + refused.stage as u8, refused.errno as i32 as u8],
            };
            let _ = nix::unistd::write(&writer, &answer);
            // SAFETY: `_exit` ends the child at once, without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut answer = Vec::with_capacity(2);
            let read = File::from(reader).read_to_end(&mut answer);
            while waitpid(child, None) == Err(Errno::EINTR) {}
            read?;
            let stage = match answer.first() {
                Some(0) => return Ok(Ok(())),
                Some(1) => Stage::UserNamespace,
                Some(2) => Stage::Map,
                Some(3) => Stage::NetworkNamespace,
                _ => Stage::LoopbackUp,
            };
            // A child that was ended from outside (a seccomp filter that kills) gave no answer.
            let errno = answer
                .get(1)
                .map_or(Errno::EPERM, |&raw| Errno::from_raw(i32::from(raw)));
            Ok(Err(Refused { stage, errno }))
        }
    }
}

fn try_private(user: bool, maps: &Maps) -> Result<(), Refused> {
    if user {
        maps.enter()?;
    }
    Stage::NetworkNamespace.or(unshare(CloneFlags::CLONE_NEWNET))?;
    Stage::LoopbackUp.or(netlink::loopback_up())
}

/// Puts this process into a user namespace of its own, in which it is root; its user and group outside stay the same.
///
/// The process must have one thread only.
///
/// # Errors
/// When the kernel refuses; after a refusal at [`Stage::Map`] the process is in a namespace where it is nobody.
pub fn enter_user() -> Result<(), Refused> {
    Maps::of_this_process().enter()
}

/// The lines for `uid_map` and `gid_map`, made before anything is unshared.
struct Maps {
    uid: Vec<u8>,
    gid: Vec<u8>,
}

impl Maps {
    fn of_this_process() -> Self {
        Self {
            uid: format!("0 {} 1", Uid::effective()).into_bytes(),
            gid: format!("0 {} 1", Gid::effective()).into_bytes(),
        }
    }

    fn enter(&self) -> Result<(), Refused> {
        Stage::UserNamespace.or(unshare(CloneFlags::CLONE_NEWUSER))?;
        // A gid may only be mapped by an ordinary user once setgroups is denied (user_namespaces(7)).
        Stage::Map.or(write(c"/proc/self/setgroups", b"deny"))?;
        Stage::Map.or(write(c"/proc/self/uid_map", &self.uid))?;
        Stage::Map.or(write(c"/proc/self/gid_map", &self.gid))
    }
}

fn write(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    let mut file = File::from(open(
        path,
        OFlag::O_WRONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?);
    file.write_all(text)
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
}

/// Moves this thread, and no other, into a new network namespace, and returns a handle on it.
/// The namespace lives as long as a thread, a socket or a handle is in it.
///
/// # Errors
/// When the kernel refuses, or `/proc` is not there.
pub fn unshare_network() -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    Ok(open(
        c"/proc/thread-self/ns/net",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?)
}

/// Moves this thread, and no other, into the network namespace behind `handle`.
///
/// # Errors
/// When the kernel refuses.
pub fn join(handle: impl AsFd) -> io::Result<()> {
    Ok(setns(handle, CloneFlags::CLONE_NEWNET)?)
}
