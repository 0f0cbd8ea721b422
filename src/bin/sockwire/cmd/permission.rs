//! Without the right to capture or send: one message with what is missing and the ways out.

use std::io;

use anyhow::anyhow;
use caps::Capability;
use nix::errno::Errno;
use sockwire::{
    capture::CaptureError,
    lab::refusal::{self, Way},
    probe::ProbeError,
    sys::machine::{self as marks, Machine as Marks},
    trace::{self, TraceError},
};

use super::{Exit, Failure, machine};

/// The failure that `error` asks for.
pub(crate) fn failure(error: CaptureError) -> Failure {
    failure_without_root(error, "sockwire lab")
}

/// The same, where `lab` does without the right.
pub(crate) fn failure_without_root(error: CaptureError, lab: &str) -> Failure {
    let exit = match &error {
        CaptureError::NotPermitted {
            capability,
            effective,
            ..
        } => {
            let final_rights = Marks::look().no_new_privileges;
            let message = ways_out(&error, capability, *effective, final_rights, lab);
            return Failure::new(Exit::NotPermitted, anyhow!(message));
        }
        CaptureError::NoSuchInterface { .. } | CaptureError::NoSuchNamespace { .. } => Exit::NoSuch,
        CaptureError::Filter { .. } => Exit::Usage,
        CaptureError::Kernel { .. } => Exit::NoMatch,
    };
    Failure::new(exit, error)
}

/// The failure that `error`, from sending or hearing, asks for.
pub(crate) fn of_probe(error: ProbeError) -> Failure {
    let exit = match error {
        ProbeError::Io { doing, source } if source.raw_os_error() == Some(libc::EPERM) => {
            return failure(CaptureError::NotPermitted {
                operation: format!("cannot {doing}"),
                capability: "CAP_NET_RAW",
                effective: marks::has(Capability::CAP_NET_RAW),
            });
        }
        ProbeError::NoRoute(_) | ProbeError::NoNeighbour(_) => Exit::NoSuch,
        ProbeError::Io { ref source, .. } => match source.raw_os_error() {
            Some(libc::ENODEV | libc::ENXIO | libc::EADDRNOTAVAIL) => Exit::NoSuch,
            _ => Exit::WriteFailed,
        },
        ProbeError::Unsendable(_) | ProbeError::Refused(_) => Exit::Usage,
    };
    // Its text has its cause already.
    Failure::new(exit, anyhow!("{error}"))
}

/// That packets are not seen beside a program's calls, and how they would be, in one line. `starts` the program.
pub(crate) fn without_packets(starts: bool) -> String {
    let mut ways = Vec::new();
    if !Marks::look().no_new_privileges {
        ways.push(format!("sudo {} trace …", machine::program()));
        ways.push(format!(
            "or for good: sudo setcap cap_net_raw+ep {}",
            machine::program()
        ));
    }
    if starts {
        ways.push("or without root: --private, or sockwire lab run".to_owned());
    }
    let ways = ways.join("; ");
    format!("note: calls only, for CAP_NET_RAW is missing; with packets: {ways}")
}

/// Why `process`, which runs already, cannot be traced, and the ways out. Lines for the end of a message.
pub(crate) fn to_trace(process: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    if process == std::process::id() {
        return "\n  cause:  that is sockwire itself".to_owned();
    }
    // Only programs have memory of their own; one that has ended has none left (proc_pid_status(5)).
    if !status.is_empty() && line("VmSize:").is_none() {
        return "\n  cause:  it is a thread of the kernel, or has ended already: there is nothing to trace"
            .to_owned();
    }
    let tracer = line("TracerPid:").map(str::trim);
    if let Some(tracer) = tracer.filter(|tracer| *tracer != "0") {
        return format!(
            "\n  cause:  process {tracer} traces it already (a debugger, strace): end that first"
        );
    }
    let sudo = match nix::unistd::geteuid().is_root() {
        true => String::new(),
        false => format!("\n  once:   sudo {}", again()),
    };
    not_attached(Marks::look().ptrace_scope, &sudo)
}

/// Why the kernel lets nobody of this user attach to a program, by Yama's `ptrace_scope`.
fn not_attached(scope: Option<u64>, sudo: &str) -> String {
    match scope {
        Some(1) => format!(
            "\n  cause:  kernel.yama.ptrace_scope is 1: only who has started a program may trace it{sudo}\
             \n  or start it so:  sockwire trace COMMAND\
             \n  until the next start of the machine:  sudo sysctl kernel.yama.ptrace_scope=0"
        ),
        Some(2) => format!("\n  cause:  kernel.yama.ptrace_scope is 2: only administrators may trace{sudo}"),
        Some(3) => "\n  cause:  kernel.yama.ptrace_scope is 3: nobody may trace until the machine is started with another value"
            .to_owned(),
        _ => format!(
            "\n  cause:  it is another user's, or has more rights than this one; in a container the right may be \
             missing (--cap-add SYS_PTRACE){sudo}"
        ),
    }
}

/// Whether programs can be started and traced here, found by trying.
pub(crate) fn tracing() -> Result<(), NotHere> {
    trace::test().map_err(|error| match error {
        TraceError::Untraceable(error) => untraceable(&error),
        error => NotHere {
            what: TRACE,
            why: error.to_string(),
            cures: Vec::new(),
        },
    })
}

/// Why the kernel refused to let this process trace what it had started itself, which it said with `error`.
pub(crate) fn untraceable(error: &io::Error) -> NotHere {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let any = marks::has(Capability::CAP_SYS_PTRACE);
    let (why, cures) = no_tracing(&Marks::look(), any, errno);
    NotHere {
        what: TRACE,
        why,
        cures: cures
            .iter()
            .map(|cure| cure.replace("PROGRAM", &machine::program()))
            .collect(),
    }
}

/// The cause of `errno`, by the marks of the machine, in one short line, and the cures. `any`: CAP_SYS_PTRACE is in effect.
fn no_tracing(marks: &Marks, any: bool, errno: Errno) -> (String, &'static [&'static str]) {
    let denied = matches!(errno, Errno::EPERM | Errno::EACCES);
    // The order is from the most telling mark to the least.
    match (marks.tracer, marks.ptrace_scope) {
        (Some(tracer), _) if denied => (
            format!("process {tracer} traces this one (strace, a debugger)"),
            &["start it without that"],
        ),
        (_, Some(3)) if denied => (
            "Yama forbids all tracing (ptrace_scope=3)".to_owned(),
            &["an administrator: set kernel.yama.ptrace_scope below 3 and start the machine again"],
        ),
        (_, Some(2)) if denied && !any => (
            "Yama wants CAP_SYS_PTRACE (ptrace_scope=2)".to_owned(),
            &[
                "this once:  the same command with  sudo PROGRAM",
                "until the next start of the machine:  sudo sysctl kernel.yama.ptrace_scope=0",
            ],
        ),
        _ if marks.seccomp => (
            format!("a seccomp filter on this process forbids it: {errno:?}"),
            &[
                "start the container with:  --cap-add=SYS_PTRACE  (docker, podman)",
                "or run it outside the container or sandbox",
            ],
        ),
        _ => (
            format!("the kernel refuses it: {errno:?}"),
            &["run it outside the container or sandbox, if it is in one"],
        ),
    }
}

/// What [`NotHere`] says of a trace.
const TRACE: &str = "trace a program";

/// Something that this machine does not allow: why, and what to do about it.
#[derive(Debug)]
pub(crate) struct NotHere {
    /// What cannot be done.
    what: &'static str,
    /// In one short line.
    pub(crate) why: String,
    /// One way a line.
    pub(crate) cures: Vec<String>,
}

/// What [`NotHere`] says of a private network.
const NETWORK: &str = "make a private network";

/// How private networks can be made here, found by trying.
pub(crate) fn private_network() -> Result<Way, NotHere> {
    let untested = |error| NotHere {
        what: NETWORK,
        why: format!("cannot be tested: {error}"),
        cures: Vec::new(),
    };
    let tested = refusal::test(&Marks::look()).map_err(untested)?;
    tested.map_err(|refusal| NotHere {
        what: NETWORK,
        why: refusal.to_string(),
        cures: refusal.cures(&machine::program()),
    })
}

impl NotHere {
    /// There is something else that one can do.
    pub(crate) fn or(mut self, cure: &str) -> Self {
        self.cures.push(cure.to_owned());
        self
    }
}

impl From<NotHere> for Failure {
    fn from(no: NotHere) -> Self {
        let cures: String = no.cures.iter().map(|cure| format!("\n  {cure}")).collect();
        let NotHere { what, why, .. } = no;
        let error = anyhow!("cannot {what}: {why}; see: sockwire doctor{cures}");
        Self::new(Exit::NotPermitted, error)
    }
}

/// The message: what is missing, then sudo, setcap and the lab, with the program's real path (sudo's own path hides
/// `~/.cargo/bin`). With `final_rights` (no_new_privs), sudo and setcap have no effect.
fn ways_out(
    error: &CaptureError,
    capability: &str,
    effective: bool,
    final_rights: bool,
    lab: &str,
) -> String {
    let lab = format!("\n  without root:  {lab}");
    if final_rights {
        return format!("{error}\n  no_new_privs:  {}{lab}", machine::NO_NEW_PRIVS);
    }
    let program = machine::program();
    let mut message = format!("{error}\n  once:          sudo {}", again());
    if capability == "CAP_NET_RAW" && !effective {
        message.push_str(&format!(
            "\n  for good:      sudo setcap cap_net_raw+ep {program}\
             \n                 (again after each rebuild; no effect on a nosuid mount)"
        ));
    }
    message + &lab
}

/// This command line as a shell must be given it to run it again, with the program's real path.
pub(crate) fn again() -> String {
    let words = std::env::args().skip(1).map(|word| quoted(&word));
    let all: Vec<String> = [machine::program()].into_iter().chain(words).collect();
    all.join(" ")
}

/// A word as a shell must be given it.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(capability: &'static str, effective: bool) -> CaptureError {
        CaptureError::NotPermitted {
            operation: "open a packet socket on lo".to_owned(),
            capability,
            effective,
        }
    }

    fn message(capability: &'static str, effective: bool) -> String {
        ways_out(
            &refused(capability, effective),
            capability,
            effective,
            false,
            "sockwire lab",
        )
    }

    #[test]
    fn a_missing_right_has_a_code_of_its_own() {
        let failure = failure(refused("CAP_NET_RAW", false));
        assert_eq!(failure.exit, Exit::NotPermitted);
        assert!(failure.error.to_string().contains("sockwire lab"));
    }

    #[test]
    fn no_way_is_offered_that_no_new_privs_closes() {
        let error = refused("CAP_NET_RAW", false);
        let text = ways_out(&error, "CAP_NET_RAW", false, true, "sockwire lab");
        assert!(text.contains("missing capability CAP_NET_RAW (effective)"));
        assert!(text.contains("no_new_privs") && text.contains("sockwire lab"));
        assert!(
            !text.contains("sudo /") && !text.contains("setcap cap"),
            "{text}"
        );
    }

    #[test]
    fn names_the_capability_and_three_ways_with_the_real_path() {
        let text = message("CAP_NET_RAW", false);
        let path = std::env::current_exe().unwrap();
        let path = path.to_str().unwrap();
        assert!(text.contains("missing capability CAP_NET_RAW (effective)"));
        assert!(text.contains(&format!("once:          sudo {path}")));
        assert!(text.contains(&format!("sudo setcap cap_net_raw+ep {path}")));
        assert!(text.contains("sockwire lab"));
    }

    #[test]
    fn setcap_is_not_offered_where_it_would_not_help() {
        assert!(!message("CAP_NET_RAW", true).contains("setcap"));
        assert!(!message("CAP_SYS_ADMIN", false).contains("setcap"));
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("port"), "port");
        assert_eq!(quoted("it's (a) b"), "'it'\\''s (a) b'");
    }

    #[test]
    fn the_cause_of_a_refused_trace_is_named_by_what_is_known() {
        let marks = |tracer, ptrace_scope, seccomp| Marks {
            tracer,
            ptrace_scope,
            seccomp,
            ..Marks::default()
        };
        let why = |marks: &Marks, any, errno| no_tracing(marks, any, errno).0;
        use Errno::{ENOSYS, EPERM};
        for (marks, any, errno, part) in [
            (marks(None, None, true), true, EPERM, "seccomp filter"),
            (marks(None, None, true), true, ENOSYS, "ENOSYS"),
            (marks(None, Some(1), true), false, EPERM, "seccomp filter"),
            (marks(None, Some(2), true), false, EPERM, "ptrace_scope=2"),
            // Yama lets those with the right pass, and answers with nothing but EPERM.
            (marks(None, Some(2), true), true, EPERM, "seccomp filter"),
            (marks(None, Some(3), true), false, ENOSYS, "seccomp filter"),
            (marks(None, Some(3), true), true, EPERM, "ptrace_scope=3"),
            (marks(Some(77), Some(1), false), true, EPERM, "process 77"),
            (marks(None, Some(1), false), false, EPERM, "EPERM"),
            (marks(None, None, false), false, ENOSYS, "ENOSYS"),
        ] {
            let why = why(&marks, any, errno);
            assert!(why.contains(part), "no {part} in {why}");
            // Behind its label in `doctor`.
            assert!(why.len() <= 54, "{why}");
        }
    }

    #[test]
    fn who_may_not_attach_is_told_what_yama_says() {
        let said = |scope| not_attached(scope, "\n  once:   sudo it");
        let one = said(Some(1));
        for part in [
            "only who has started",
            "sudo it",
            "trace COMMAND",
            "sudo sysctl kernel.yama.ptrace_scope=0",
        ] {
            assert!(one.contains(part), "{one}");
        }
        assert!(said(Some(2)).contains("only administrators may trace\n  once:   sudo it"));
        assert!(said(Some(3)).contains("nobody may trace") && !said(Some(3)).contains("sudo"));
        for scope in [None, Some(0)] {
            assert!(said(scope).contains("another user's"));
        }
    }
}
