//! `sockwire ladder` as a user meets it: forms, files, one flow of many, and what it refuses.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use sockwire::{
    file::{self, Create, Format},
    frame::{Source as _, Step},
    time::Time,
};

/// A directory of its own, taken away afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("sockwire-ladder-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn path_of(capture: &str) -> String {
    format!("{}/captures/{capture}.pcapng", env!("CARGO_MANIFEST_DIR"))
}

/// `ladder CAPTURE WORDS…`
fn ladder(capture: &str, words: &[&str]) -> Output {
    ladder_of(&path_of(capture), words)
}

fn ladder_of(capture: &str, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockwire"))
        .args(["ladder", capture])
        .args(words)
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> (i32, String) {
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code().unwrap(), said)
}

#[test]
fn the_suffix_gives_the_form_and_files_are_not_lost() {
    let scratch = Scratch::new("forms");
    for (name, begin, form) in [
        ("a.svg", "<svg xmlns=", "svg"),
        ("a.html", "<!DOCTYPE html>", "html"),
        ("a.mmd", "sequenceDiagram", "mermaid"),
        ("a.mermaid", "sequenceDiagram", "mermaid"),
        ("a.txt", "-- udp:0 ", "text"),
    ] {
        let path = scratch.file(name);
        assert_eq!(text(&ladder("udp", &["-o", &path])), "");
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.starts_with(begin), "{name}: {written}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        // The same bytes on standard output, and the second time.
        assert_eq!(text(&ladder("udp", &["--as", form])), written);
    }
    let path = scratch.file("a.svg");
    let before = fs::read(&path).unwrap();
    let (code, said) = refusal(&ladder("handshake", &["-o", &path]));
    assert_eq!(code, 6);
    assert!(
        said.contains("exists") && said.contains("--force"),
        "{said}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    text(&ladder("handshake", &["-o", &path, "--force"]));
    assert_ne!(fs::read(&path).unwrap(), before);

    let path = scratch.file("a.png");
    let (code, said) = refusal(&ladder("udp", &["-o", &path]));
    assert_eq!(code, 2);
    assert!(said.contains(".svg") && said.contains("--as"), "{said}");
    text(&ladder("udp", &["-o", &path, "--as", "svg"]));
    assert!(fs::read_to_string(&path).unwrap().starts_with("<svg"));
}

#[test]
fn one_flow_is_picked_by_its_number_or_a_filter() {
    let all = text(&ladder("udp", &[]));
    let second = text(&ladder("udp", &["udp:1"]));
    assert!(
        all.contains("-- udp:0 ") && all.contains("-- udp:1 "),
        "{all}"
    );
    assert!(
        !second.contains("udp:0 ") && second.contains("ICMP port unreachable"),
        "{second}"
    );
    // Numbers of the second flow's rows count time from its own first row.
    assert!(second.contains("0.000000"), "{second}");
    let filtered = text(&ladder("udp", &["port", "5001"]));
    assert!(filtered.contains("ICMP port unreachable"), "{filtered}");
    let shown = text(&ladder("udp", &["-Y", "udp.port == 5000"]));
    assert_eq!(shown.matches("-- udp").count(), 1, "{shown}");
}

#[test]
fn what_is_not_there_is_told_and_nothing_is_written() {
    let scratch = Scratch::new("nothing");
    let path = scratch.file("a.svg");
    let (code, said) = refusal(&ladder("udp", &["udp:7", "-o", &path]));
    assert_eq!(code, 4);
    assert!(
        said.contains("no udp:7") && said.contains("udp:0 to udp:1"),
        "{said}"
    );
    let (code, said) = refusal(&ladder("udp", &["tcp", "-o", &path]));
    assert_eq!(code, 1);
    assert!(said.contains("none of 4 packets matched"), "{said}");
    assert!(!PathBuf::from(path).exists());
    assert_eq!(refusal(&ladder("missing", &[])).0, 4);
}

#[test]
fn a_packet_that_the_wire_dropped_is_crossed() {
    let told = text(&ladder("lost-syn", &[]));
    let first = told.lines().nth(1).unwrap();
    assert!(first.contains('✗') && first.contains("LISTEN"), "{told}");
    assert!(
        told.contains("the wire dropped packet 1: first SYN"),
        "{told}"
    );
    let plain = text(&ladder("lost-syn", &["--ascii"]));
    assert!(
        plain.is_ascii() && plain.lines().nth(1).unwrap().contains(" X "),
        "{plain}"
    );
}

#[test]
fn numbers_and_addresses_are_as_asked() {
    let absolute = text(&ladder("handshake", &["-S"]));
    assert!(!absolute.contains("seq=0"), "{absolute}");
    for form in ["text", "svg", "html", "mermaid"] {
        for capture in ["dns", "handshake-ipv6", "vlan", "lost-syn"] {
            let told = text(&ladder(capture, &["--as", form, "--anonymise"]));
            for word in [
                "10.0.0",
                "fd00",
                "hello",
                "02:00:00:00",
                "example",
                "first SYN",
            ] {
                assert!(!told.contains(word), "{capture} {form}: {word} in {told}");
            }
        }
    }
}

#[test]
fn a_datagram_without_one_of_its_fragments_is_crossed() {
    let scratch = Scratch::new("fragments");
    let path = scratch.file("f.pcapng");
    let how = Create {
        format: Format::PcapNg,
        force: false,
        owner: None,
    };
    let mut writer = file::create(path.as_ref(), how).unwrap();
    let mut reader = file::open(path_of("fragments").as_ref()).unwrap();
    while let Step::Batch(batch) = reader.next(Time::MAX).unwrap() {
        for frame in batch.frames() {
            let comment = "the wire dropped this packet: first fragment";
            let comment = Some(comment).filter(|_| frame.number == 1);
            writer.write(&frame, reader.interfaces(), comment).unwrap();
        }
    }
    writer.finish(&[]).unwrap();
    let told = text(&ladder_of(&path, &[]));
    let crossed = told.lines().filter(|line| line.contains('✗')).count();
    assert!(crossed == 1 && told.contains("4000 bytes"), "{told}");
    assert!(!text(&ladder("fragments", &[])).contains('✗'));
}
