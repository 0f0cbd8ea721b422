//! Every capture in `captures/` through the built program, against the expected text beside it; `BLESS=1` rewrites that text.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The views that every capture has an expected text of: the words between `sockwire` and the file.
/// `NAME.pcapng` and `read -v` make `NAME.read.-v.txt`.
const VIEWS: &[&str] = &["read", "read -v", "read --json", "read -X", "watch -r"];

/// Views of some captures only: their texts are long.
const LADDERS: &[(&str, &str)] = &[
    ("lost-syn", "ladder"),
    ("lost-syn", "ladder --as svg"),
    ("lost-syn", "ladder --as mermaid"),
    ("udp", "ladder"),
    ("udp", "ladder --as svg"),
    ("udp", "ladder --as mermaid"),
    ("udp-ipv6", "ladder --as html --anonymise"),
    ("half-close", "ladder -S"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

fn captures() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "pcapng" || e == "pcap")
        })
        .collect();
    found.sort();
    assert!(found.len() >= 8, "only {} captures found", found.len());
    found
}

#[test]
fn every_view_prints_the_expected_text() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for capture in captures() {
        let name = capture.file_stem().unwrap();
        let ladders = LADDERS.iter().filter(|(of, _)| name == *of);
        for view in VIEWS.iter().chain(ladders.map(|(_, view)| view)) {
            let words: Vec<&str> = view.split(' ').collect();
            let output = Command::new(env!("CARGO_BIN_EXE_sockwire"))
                .args(&words)
                .arg(&capture)
                .env("TZ", "UTC")
                .env_remove("CLICOLOR_FORCE")
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{view} {capture:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(!text.is_empty(), "{view} {capture:?} prints nothing");
            let expected = capture.with_extension(format!("{}.txt", words.join(".")));
            if bless {
                fs::write(&expected, &text).unwrap();
            }
            let want = fs::read_to_string(&expected).unwrap_or_default();
            if want != text {
                wrong.push(format!(
                    "{}\n{}",
                    expected.display(),
                    first_difference(&want, &text)
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "differs from the expected text (BLESS=1 rewrites it):\n{}",
        wrong.join("\n")
    );
}

fn first_difference(want: &str, got: &str) -> String {
    let mut lines = want
        .lines()
        .chain(std::iter::repeat(""))
        .zip(got.lines().chain(std::iter::repeat("")));
    let count = want.lines().count().max(got.lines().count());
    let (number, (want, got)) = (1..=count)
        .zip(&mut lines)
        .find(|(_, (w, g))| w != g)
        .unwrap_or_default();
    format!("  line {number}\n  expected: {want}\n  got:      {got}")
}

#[test]
fn the_readme_names_every_capture() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for capture in captures() {
        let name = capture.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            readme.contains(&name),
            "captures/README.md does not say what {name} shows"
        );
    }
}
