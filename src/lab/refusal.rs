//! Why the system refuses a private network, in plain words, and what to do about it.

use std::{fmt, io};

use caps::Capability;
use nix::errno::Errno;

use crate::sys::{
    machine::{self, Machine},
    netns::{self, Refused, Stage},
};

/// How this process may make network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It has CAP_SYS_ADMIN in effect: network namespaces alone.
    Administrator,
    /// Inside a user namespace of its own.
    User,
}

/// What stands behind a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `user.max_user_namespaces` is 0.
    SwitchedOff,
    /// A limit on the number of namespaces is reached.
    Limit,
    /// Debian's `kernel.unprivileged_userns_clone` is 0.
    DebianSetting,
    /// Ubuntu's AppArmor lets only programs with a profile do it.
    AppArmor,
    /// A seccomp filter, as containers have one.
    Container,
    /// This root has neither CAP_SYS_ADMIN nor the right to map itself (CAP_SETFCAP).
    PowerlessRoot,
    /// WSL 1 has no namespaces.
    Wsl1,
    /// Anything else.
    Unknown,
}

/// A private network is not to be had here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the kernel said.
    pub refused: Refused,
    /// What stands behind it.
    pub cause: Cause,
}

impl std::error::Error for Refusal {}

/// Finds out by trying, in a child of which nothing stays, how this process may make a private network.
///
/// # Errors
/// The outer error is about the test itself; the inner one says why there is no private network here.
pub fn test(machine: &Machine) -> io::Result<Result<Way, Refusal>> {
    if machine::has(Capability::CAP_SYS_ADMIN) && netns::probe(false)?.is_ok() {
        return Ok(Ok(Way::Administrator));
    }
    let user = netns::probe(true)?.map(|()| Way::User);
    Ok(user.map_err(|refused| Refusal::new(refused, machine)))
}

impl Refusal {
    /// Words the kernel's refusal by what is known of the machine.
    pub fn new(refused: Refused, machine: &Machine) -> Self {
        let denied = matches!(refused.errno, Errno::EPERM | Errno::EACCES);
        // The order is from the most telling mark to the least.
        let cause = if machine.wsl == Some(1) {
            Cause::Wsl1
        } else if machine.max_user_namespaces == Some(0) {
            Cause::SwitchedOff
        } else if refused.errno == Errno::ENOSPC {
            Cause::Limit
        } else if denied && machine.unprivileged_userns_clone == Some(0) {
            Cause::DebianSetting
        } else if denied && machine.apparmor_restricts_userns.is_some_and(|v| v != 0) {
            Cause::AppArmor
        } else if denied && machine.root && refused.stage == Stage::Map {
            Cause::PowerlessRoot
        } else if denied && machine.seccomp {
            Cause::Container
        } else {
            Cause::Unknown
        };
        Self { refused, cause }
    }

    /// What to do about it, one way a line. `program` is the program's real path.
    pub fn cures(&self, program: &str) -> Vec<String> {
        let lines: &[&str] = match self.cause {
            Cause::SwitchedOff => &[
                "an administrator, until the next start:  sysctl -w user.max_user_namespaces=10000",
                "and from then on:  echo user.max_user_namespaces=10000 > /etc/sysctl.d/60-sockwire.conf",
                "this once:  the same command with  sudo PROGRAM",
            ],
            Cause::Limit => {
                &["an administrator: raise user.max_user_namespaces and user.max_net_namespaces"]
            }
            Cause::DebianSetting => &[
                "an administrator, until the next start:  sysctl -w kernel.unprivileged_userns_clone=1",
                "and from then on:  echo kernel.unprivileged_userns_clone=1 > /etc/sysctl.d/60-sockwire.conf",
                "this once:  the same command with  sudo PROGRAM",
            ],
            Cause::AppArmor => &[
                "an administrator, for good, in a root shell:",
                "  printf 'abi <abi/4.0>,\\nprofile sockwire PROGRAM flags=(unconfined) { userns, }\\n' > /etc/apparmor.d/sockwire",
                "  apparmor_parser -r /etc/apparmor.d/sockwire",
                "until the next start:  sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
                "this once:  the same command with  sudo PROGRAM",
            ],
            Cause::Container => &[
                "start the container with:  --security-opt seccomp=unconfined  (docker, podman)",
                "or run it outside the container",
            ],
            Cause::PowerlessRoot => {
                &["run it as an ordinary user, or as a root that has CAP_SYS_ADMIN"]
            }
            Cause::Wsl1 => &["in Windows:  wsl --set-version DISTRIBUTION 2"],
            Cause::Unknown => &["this once:  the same command with  sudo PROGRAM"],
        };
        lines
            .iter()
            .map(|line| line.replace("PROGRAM", program))
            .collect()
    }
}

/// One line of at most 51 columns, to follow "why: ".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cause {
            Cause::SwitchedOff => "user namespaces are off (max_user_namespaces=0)",
            Cause::Limit => "no more namespaces allowed (user.max_*_namespaces)",
            Cause::DebianSetting => "kernel.unprivileged_userns_clone=0 forbids them",
            Cause::AppArmor => "Ubuntu's AppArmor blocks private networks here",
            Cause::Container => "this container forbids new user namespaces",
            Cause::PowerlessRoot => "this root has no CAP_SYS_ADMIN",
            Cause::Wsl1 => "WSL 1 has no network namespaces",
            Cause::Unknown => match self.refused.stage {
                Stage::UserNamespace => "the kernel refuses a user namespace",
                Stage::Map => "the kernel refuses to map this user",
                Stage::NetworkNamespace => "the kernel refuses a network namespace",
                Stage::LoopbackUp => "the kernel refuses rights in a new network",
            },
        })?;
        match self.cause {
            Cause::Unknown => write!(f, ": {}", errno_name(self.refused.errno)),
            _ => Ok(()),
        }
    }
}

/// `EPERM` rather than the sentence behind it.
fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(stage: Stage, errno: Errno, machine: &Machine) -> Cause {
        Refusal::new(Refused { stage, errno }, machine).cause
    }

    #[test]
    fn each_known_refusal_is_told_from_the_others() {
        let plain = Machine::default();
        let off = Machine {
            max_user_namespaces: Some(0),
            ..plain.clone()
        };
        let debian = Machine {
            unprivileged_userns_clone: Some(0),
            ..plain.clone()
        };
        let ubuntu = Machine {
            apparmor_restricts_userns: Some(1),
            ..plain.clone()
        };
        let docker = Machine {
            seccomp: true,
            ..plain.clone()
        };
        let user = Stage::UserNamespace;
        assert_eq!(cause(user, Errno::ENOSPC, &off), Cause::SwitchedOff);
        assert_eq!(cause(user, Errno::ENOSPC, &plain), Cause::Limit);
        assert_eq!(cause(user, Errno::EPERM, &debian), Cause::DebianSetting);
        assert_eq!(cause(Stage::Map, Errno::EPERM, &ubuntu), Cause::AppArmor);
        assert_eq!(
            cause(Stage::LoopbackUp, Errno::EACCES, &ubuntu),
            Cause::AppArmor
        );
        assert_eq!(cause(user, Errno::EPERM, &docker), Cause::Container);
        assert_eq!(cause(Stage::Map, Errno::EPERM, &plain), Cause::Unknown);
        let root = Machine {
            root: true,
            ..plain.clone()
        };
        assert_eq!(cause(Stage::Map, Errno::EPERM, &root), Cause::PowerlessRoot);
    }

    #[test]
    fn the_reason_fits_behind_its_label_on_80_columns() {
        let refused = Refused {
            stage: Stage::Map,
            errno: Errno::EPERM,
        };
        use Cause::*;
        for cause in [
            SwitchedOff,
            Limit,
            DebianSetting,
            AppArmor,
            Container,
            PowerlessRoot,
            Wsl1,
            Unknown,
        ] {
            let line = format!(
                "  why: {}; see: sockwire doctor",
                Refusal { refused, cause }
            );
            assert!(line.len() <= 80, "{line}");
        }
    }

    #[test]
    fn a_setting_that_the_next_start_forgets_is_not_called_lasting() {
        for cause in [Cause::SwitchedOff, Cause::DebianSetting] {
            let refused = Refused {
                stage: Stage::Map,
                errno: Errno::EPERM,
            };
            let cures = Refusal { refused, cause }.cures("sockwire");
            assert!(
                cures[0].contains("until the next start:  sysctl -w"),
                "{cures:?}"
            );
            assert!(cures[1].contains("/etc/sysctl.d/"), "{cures:?}");
        }
    }

    #[test]
    fn cures_name_the_real_program() {
        let refused = Refused {
            stage: Stage::Map,
            errno: Errno::EPERM,
        };
        let refusal = Refusal {
            refused,
            cause: Cause::AppArmor,
        };
        let cures = refusal.cures("/home/ana/.cargo/bin/sockwire");
        assert!(
            cures[1].contains("profile sockwire /home/ana/.cargo/bin/sockwire "),
            "{cures:?}"
        );
    }
}
