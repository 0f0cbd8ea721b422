//! A network of a test's own, and the program run in it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../src/testing.rs"]
pub(crate) mod testing;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use nix::sched::{CloneFlags, unshare};
use sockwire::{
    craft::{Built, NoFiles, NoRoute, Spec},
    file::{self, Create, Format},
    frame::{Direction, Frame, KernelChecksum},
    link::LinkType,
    time::{MILLISECOND, Time},
};

/// Runs `test` in a thread with a network namespace of its own, in which loopback is up. Who may not make one runs the
/// same test again inside a user namespace, where that is allowed.
pub(crate) fn in_own_network<F: FnOnce() + Send>(test: F) {
    if !nix::unistd::geteuid().is_root() {
        return in_user_namespace(std::any::type_name::<F>());
    }
    thread::scope(|scope| {
        scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Err(errno) => testing::skipped(format_args!("no network namespace: {errno}")),
            Ok(()) if !ip("link set lo up") => {
                testing::skipped("the ip command does not work here")
            }
            Ok(()) => test(),
        });
    });
}

/// Runs one test of this program again; `closure` is its type's name: `replay::the_test::{{closure}}`.
fn in_user_namespace(closure: &str) {
    let test = closure.split("::").nth(1).unwrap();
    let again = Command::new("unshare")
        .args(["-Urn", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .output();
    let Ok(output) = again else {
        return testing::skipped("no unshare command here");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.starts_with("unshare:") {
        return testing::skipped(said.trim());
    }
    if let Some(why) = said.lines().find_map(|line| line.strip_prefix("skipped: ")) {
        return testing::skipped(why);
    }
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}\n{said}"
    );
}

/// The ip command of iproute2.
pub(crate) fn ip(words: &str) -> bool {
    let done = Command::new("ip").args(words.split(' ')).status();
    done.is_ok_and(|status| status.success())
}

/// A pair of connected interfaces, `va` (10.9.0.1) and `vb`; frames between them are only those of the test.
pub(crate) fn pair() {
    assert!(ip(
        "link add va address 02:00:00:00:00:01 type veth peer name vb address 02:00:00:00:00:02"
    ));
    assert!(ip("link set va addrgenmode none") && ip("link set vb addrgenmode none"));
    assert!(ip("addr add 10.9.0.1/24 dev va"));
    assert!(ip("link set va up") && ip("link set vb up"));
    assert!(ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev va"));
}

/// Runs the program with words that have no blanks in them.
pub(crate) fn sockwire(words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    command.args(words.split_whitespace()).output().unwrap()
}

/// What the program said on stderr.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The bytes of a packet in words.
pub(crate) fn crafted(spec: &str) -> Vec<u8> {
    let spec = Spec::parse(spec, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    built.bytes
}

/// A file that is gone when the test ends.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("sockwire-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A file of its own in a directory of its own, taken away afterwards.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockwire-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether private networks work here; says so when they do not.
pub(crate) fn private_network() -> bool {
    allowed("private-network", "no private network here")
}

/// Whether programs can be traced here; says so when they cannot.
pub(crate) fn tracing() -> bool {
    allowed("trace", "no program can be traced here")
}

/// What `doctor` says of an ability; `without` is said when it is not there.
fn allowed(id: &str, without: &str) -> bool {
    let doctor = sockwire("doctor --json").stdout;
    let doctor: serde_json::Value = serde_json::from_slice(&doctor).unwrap();
    let abilities = doctor["abilities"].as_array().unwrap();
    let mut abilities = abilities.iter();
    let ability = abilities.find(|ability| ability["id"] == id);
    let ability = ability.unwrap();
    let allowed = ability["allowed"].as_bool().unwrap();
    if !allowed {
        let reason = &ability["reason"];
        testing::skipped(format_args!("{without}: {reason}"));
    }
    allowed
}

/// What a run in a private network printed; nothing where there are none.
pub(crate) fn printed_in_lab(output: Output) -> Option<String> {
    if output.status.code() == Some(3) {
        let said = said(&output);
        assert!(said.contains("sockwire doctor"), "{said}");
        testing::skipped(format_args!("no private network here: {said}"));
        return None;
    }
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A capture of packets, 10 ms apart, each with its length on the wire.
pub(crate) fn capture(name: &str, link: LinkType, packets: &[(Vec<u8>, u32)]) -> Temporary {
    let file = Temporary::new(name);
    let how = Create {
        format: Format::PcapNg,
        force: true,
        owner: None,
    };
    let mut writer = file::create(&file.0, how).unwrap();
    for (number, (bytes, wire_len)) in (1..).zip(packets) {
        let frame = Frame {
            number,
            time: Time::from_nanos(
                1_700_000_000 * 1_000_000_000 + number as i64 * 10 * MILLISECOND,
            ),
            link,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: *wire_len,
            bytes,
        };
        writer.write(&frame, &[], []).unwrap();
    }
    writer.finish(&[]).unwrap();
    file
}

/// Packets in words, captured whole.
pub(crate) fn captured(name: &str, link: LinkType, specs: &[&str]) -> Temporary {
    let packets = specs.iter().map(|spec| crafted(spec));
    let packets = packets.map(|bytes| (bytes.clone(), bytes.len() as u32));
    capture(name, link, &packets.collect::<Vec<_>>())
}
