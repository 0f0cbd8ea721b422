//! What kind of machine this is: the marks by which a container, WSL, AppArmor, Yama or a seccomp filter are known.

use std::{fs, path::Path};

use caps::{CapSet, Capability};

/// What was found. A setting that the kernel does not have is `None`.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The distribution's name, as in "Ubuntu 24.04".
    pub system: String,
    /// The effective user is 0.
    pub root: bool,
    /// Docker, Podman, Kubernetes, LXC or another container, by its name.
    pub container: Option<String>,
    /// 1 or 2 on the Windows Subsystem for Linux.
    pub wsl: Option<u8>,
    /// `user.max_user_namespaces`.
    pub max_user_namespaces: Option<u64>,
    /// Debian's `kernel.unprivileged_userns_clone`.
    pub unprivileged_userns_clone: Option<u64>,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns`.
    pub apparmor_restricts_userns: Option<u64>,
    /// AppArmor is in force.
    pub apparmor: bool,
    /// Yama's `kernel.yama.ptrace_scope`.
    pub ptrace_scope: Option<u64>,
    /// The process that traces this one.
    pub tracer: Option<u32>,
    /// This process runs under a seccomp filter.
    pub seccomp: bool,
    /// This process can gain no rights by exec (`no_new_privs`): sudo and setcap have no effect.
    pub no_new_privileges: bool,
}

impl Machine {
    /// Looks at `/proc`, `/sys` and `/etc`; what cannot be read counts as absent.
    pub fn look() -> Self {
        let status = read("/proc/self/status");
        Self {
            system: system_name(&read("/etc/os-release")),
            root: nix::unistd::Uid::effective().is_root(),
            container: container(),
            wsl: wsl(&read("/proc/sys/kernel/osrelease")),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restricts_userns: number(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            ),
            apparmor: read("/sys/module/apparmor/parameters/enabled").starts_with('Y'),
            ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
            tracer: status_field(&status, "TracerPid")
                .and_then(|tracer| tracer.parse().ok())
                .filter(|tracer| *tracer != 0),
            seccomp: status_field(&status, "Seccomp") == Some("2"),
            no_new_privileges: status_field(&status, "NoNewPrivs") == Some("1"),
        }
    }
}

/// This process has `capability` in effect.
pub fn has(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// A setting of this network namespace under `/proc/sys/net/ipv4` (ip-sysctl), without the line's end; nothing where the
/// kernel has none of that name.
pub fn ipv4_setting(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
    Some(text.trim_end().to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &str) -> Option<u64> {
    read(path).trim().parse().ok()
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// `NAME` and `VERSION_ID` of os-release(5).
fn system_name(os_release: &str) -> String {
    let field = |name: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    let name = field("NAME").unwrap_or("Linux");
    match field("VERSION_ID") {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}

fn container() -> Option<String> {
    const MARKS: &[(&str, &str)] = &[
        ("/.dockerenv", "Docker"),
        ("/run/.containerenv", "Podman"),
        ("/var/run/secrets/kubernetes.io", "Kubernetes"),
        ("/dev/lxd/sock", "LXD"),
    ];
    if let Some((_, name)) = MARKS.iter().find(|(path, _)| Path::new(path).exists()) {
        return Some((*name).to_owned());
    }
    // systemd's convention, which LXC, nspawn and others keep.
    let named = std::env::var("container").ok().filter(|v| !v.is_empty());
    named.or_else(|| {
        let manager = read("/run/systemd/container");
        Some(manager.trim().to_owned()).filter(|v| !v.is_empty())
    })
}

/// WSL 1 imitates the kernel ("4.4.0-19041-Microsoft"), WSL 2 runs one ("5.15.153.1-microsoft-standard-WSL2").
fn wsl(release: &str) -> Option<u8> {
    if release.contains("microsoft") {
        Some(2)
    } else if release.contains("Microsoft") {
        Some(1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_are_read_as_their_makers_write_them() {
        assert_eq!(wsl("5.15.153.1-microsoft-standard-WSL2"), Some(2));
        assert_eq!(wsl("4.4.0-19041-Microsoft"), Some(1));
        assert_eq!(wsl("6.8.0-45-generic"), None);
        assert_eq!(
            system_name(
                "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\n"
            ),
            "Ubuntu 24.04"
        );
        assert_eq!(system_name(""), "Linux");
        let status = "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(status_field(status, "Seccomp"), Some("2"));
        assert_eq!(status_field(status, "NoNewPrivs"), Some("1"));
    }
}
