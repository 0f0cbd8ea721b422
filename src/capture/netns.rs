//! Work in another network namespace: sockets opened there stay there.

use std::{fs::File, io, path::PathBuf, thread};

use nix::sched::{CloneFlags, setns};

use super::CaptureError;

/// Runs `work` in the network namespace `name` (a name below `/run/netns`, or a process id), in a thread of its own
/// that ends with it; without a name, here.
///
/// # Errors
/// When there is no such namespace, or entering it is not permitted.
pub fn inside<T: Send>(
    name: Option<&str>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, CaptureError> {
    let Some(name) = name else {
        return Ok(work());
    };
    let namespace = open(name)?;
    thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, || {
            setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| {
                CaptureError::kernel(
                    format!("enter the network namespace {name}"),
                    caps::Capability::CAP_SYS_ADMIN,
                    "CAP_SYS_ADMIN",
                    errno.into(),
                )
            })?;
            Ok(work())
        });
        worker
            .map_err(|source| CaptureError::Kernel {
                operation: format!("start a thread for the network namespace {name}"),
                source,
            })?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn open(name: &str) -> Result<File, CaptureError> {
    let no_such = |source| CaptureError::NoSuchNamespace {
        name: name.to_owned(),
        source,
    };
    if name.contains('/') || name.starts_with('.') || name.is_empty() {
        return Err(no_such(io::ErrorKind::InvalidInput.into()));
    }
    match File::open(PathBuf::from("/run/netns").join(name)) {
        Err(_) if name.bytes().all(|b| b.is_ascii_digit()) => {
            File::open(format!("/proc/{name}/ns/net")).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => CaptureError::NotPermitted {
                    operation: format!("open the network namespace of process {name}"),
                    capability: "CAP_SYS_PTRACE",
                    effective: super::is_effective(caps::Capability::CAP_SYS_PTRACE),
                },
                _ => no_such(error),
            })
        }
        opened => opened.map_err(no_such),
    }
}
