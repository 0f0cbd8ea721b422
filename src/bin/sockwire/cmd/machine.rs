//! What this machine allows, found by looking and by trying: for the first screen and for `doctor`.

use std::fmt;

use caps::Capability;
use nix::unistd::{Uid, User};
use sockwire::{
    lab::refusal::Way,
    sys::machine::{self, Machine as Marks},
};

use super::permission;

/// What helps where no_new_privs is set, as in many containers and services.
pub(crate) const NO_NEW_PRIVS: &str =
    "sudo and setcap have no effect; start it from a process that may gain rights";

/// What was found.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Distribution and user: "Ubuntu 24.04, user ana".
    pub(crate) place: String,
    /// This program's real path, as an administrator must type it.
    pub(crate) program: String,
    /// What bears on the answers: a container, WSL, AppArmor, Yama, a seccomp filter; one short line each.
    pub(crate) surroundings: Vec<String>,
    /// One entry an ability, in the order of the first screen.
    pub(crate) abilities: Vec<Ability>,
}

/// One thing that this machine allows or does not.
#[derive(Debug)]
pub(crate) struct Ability {
    /// A name for scripts; never changes.
    pub(crate) id: &'static str,
    /// In words, at most 17 columns.
    pub(crate) name: &'static str,
    /// It is allowed.
    pub(crate) allowed: bool,
    /// Why, in one short line without a full stop. Empty when there is nothing to say.
    pub(crate) reason: String,
    /// What to do when it is not allowed, one way a line.
    pub(crate) cures: Vec<String>,
}

/// A row of the first screen and of `doctor`: its name, yes or no, and why.
impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = if self.allowed { "yes" } else { "no" };
        let row = format!("{:<19}{allowed:<5}{}", self.name, self.reason);
        f.write_str(row.trim_end())
    }
}

/// Looks at the machine. Makes and drops a private network in a child process, traces another one, and changes nothing.
pub(crate) fn look() -> Machine {
    let marks = Marks::look();
    let program = program();
    let private = private_network();
    let simulated = simulated_network(private.allowed);
    let user = User::from_uid(Uid::effective()).ok().flatten();
    let user = user.map_or_else(|| Uid::effective().to_string(), |user| user.name);
    Machine {
        place: format!("{}, user {user}", marks.system),
        surroundings: surroundings(&marks),
        abilities: vec![capture(&marks, &program), private, simulated, trace(&marks)],
        program,
    }
}

/// The program's path with symbolic links resolved: what sudo and setcap need, since sudo's own path hides ~/.cargo/bin.
pub(crate) fn program() -> String {
    std::env::current_exe().map_or_else(
        |_| "sockwire".to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

fn capture(marks: &Marks, program: &str) -> Ability {
    let allowed = machine::has(Capability::CAP_NET_RAW) && marks.wsl != Some(1);
    let mut cures = Vec::new();
    if marks.wsl == Some(1) {
        cures.push("in Windows:  wsl --set-version DISTRIBUTION 2".to_owned());
    } else if !allowed {
        if marks.container.is_some() {
            cures.push("start the container with:  --cap-add=NET_RAW  (docker, podman)".to_owned());
        }
        if marks.no_new_privileges {
            cures.push(format!("no_new_privs is set: {NO_NEW_PRIVS}"));
        } else {
            cures.push(format!("this once:  sudo {program} watch port 5000"));
            cures.push(format!(
                "an administrator, for good:  setcap cap_net_raw+ep {program}"
            ));
        }
        cures.push("without any right:  sockwire lab".to_owned());
    }
    Ability {
        id: "capture",
        name: "capture packets",
        allowed,
        reason: match (allowed, marks.wsl) {
            (_, Some(1)) => "WSL 1 has no packet sockets".to_owned(),
            (true, _) => "CAP_NET_RAW is in effect".to_owned(),
            (false, _) => "CAP_NET_RAW is not in effect".to_owned(),
        },
        cures,
    }
}

fn private_network() -> Ability {
    let (allowed, reason, cures) = match permission::private_network() {
        Ok(Way::Administrator) => (true, "CAP_SYS_ADMIN is in effect".to_owned(), Vec::new()),
        Ok(Way::User) => (
            true,
            "user namespaces work here; no root needed".to_owned(),
            Vec::new(),
        ),
        Err(no) => (false, no.why, no.cures),
    };
    Ability {
        id: "private-network",
        name: "private network",
        allowed,
        reason,
        cures,
    }
}

fn simulated_network(private: bool) -> Ability {
    Ability {
        id: "simulated-network",
        name: "simulated network",
        allowed: true,
        reason: if private {
            "(\"lab --ground smoltcp\")".to_owned()
        } else {
            "\"lab\" will use this one".to_owned()
        },
        cures: Vec::new(),
    }
}

/// ptrace(2), "/proc/sys/kernel/yama/ptrace_scope".
fn trace(marks: &Marks) -> Ability {
    let (allowed, reason, cures) = match permission::tracing() {
        Ok(()) => {
            let which = match marks.ptrace_scope {
                _ if machine::has(Capability::CAP_SYS_PTRACE) => "(any program)",
                Some(1) => "(one that it starts; -p PID needs root)",
                _ => "(of this user)",
            };
            (true, which.to_owned(), Vec::new())
        }
        Err(no) => (false, no.why, no.cures),
    };
    Ability {
        id: "trace",
        name: "trace a program",
        allowed,
        reason,
        cures,
    }
}

fn surroundings(marks: &Marks) -> Vec<String> {
    let container = marks
        .container
        .as_ref()
        .map(|name| format!("container: {name}"));
    let wsl = marks
        .wsl
        .map(|version| format!("Windows Subsystem for Linux {version}"));
    let apparmor = marks
        .apparmor
        .then(|| match marks.apparmor_restricts_userns {
            Some(0) | None => "AppArmor is in force".to_owned(),
            Some(_) => "AppArmor is in force, and restricts user namespaces".to_owned(),
        });
    let yama = marks
        .ptrace_scope
        .map(|scope| format!("Yama: ptrace_scope={scope}"));
    let seccomp = marks
        .seccomp
        .then(|| "a seccomp filter is on this process".to_owned());
    let privileges = marks
        .no_new_privileges
        .then(|| "no_new_privs is set: sudo and setcap have no effect".to_owned());
    [container, wsl, apparmor, yama, seccomp, privileges]
        .into_iter()
        .flatten()
        .collect()
}
