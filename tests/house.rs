//! The house rules of the floor plan in `src/lib.rs`: who imports whom, where unsafe may stand, how files begin and how long they get.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Plain values that every room may use, and that use no room.
const WORDS: &[&str] = &[
    "bpf", "call", "caret", "checksum", "event", "field", "frame", "layer", "line", "link",
    "protocol", "testing", "text", "time",
];

/// Which rooms a room may import, besides the words and itself. `proto` is known to `decode` through its list;
/// rooms further up read protocols' own accessors.
const MAY: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("file", &["sys"]),
    ("capture", &["sys"]),
    ("sockets", &["sys"]),
    ("trace", &["sys"]),
    ("proto", &[]),
    ("decode", &["proto"]),
    ("craft", &["proto", "decode"]),
    ("track", &["proto", "decode"]),
    ("filter", &["proto", "decode"]),
    ("timeline", &["proto", "decode", "track"]),
    (
        "lab",
        &[
            "sys", "file", "capture", "sockets", "proto", "decode", "track",
        ],
    ),
    (
        "probe",
        &[
            "sys", "file", "capture", "proto", "decode", "track", "craft",
        ],
    ),
    (
        "compare",
        &[
            "sys", "sockets", "lab", "probe", "proto", "decode", "track", "craft",
        ],
    ),
    ("render", &["proto", "decode", "craft", "track", "timeline"]),
    (
        "export",
        &["proto", "decode", "craft", "track", "timeline", "render"],
    ),
];

/// Rooms that get the world as arguments.
const PURE: &[&str] = &[
    "proto", "decode", "craft", "track", "filter", "timeline", "render",
];

/// What the world is called in source text.
const WORLD: &[&str] = &[
    "SystemTime",
    "Instant::",
    "std::env",
    "env::var",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::fs",
    "stdout()",
    "println!",
    "eprintln!",
    "thread::",
];

/// Files that may be longer than the limit, and why.
const LONG: &[(&str, &str)] = &[];

const LONGEST: usize = 600;

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text above the unit tests; none of a file that holds nothing else.
    fn code(&self) -> &str {
        let in_tests = self.path.parent().is_some_and(|p| p.ends_with("tests"));
        if self.path.ends_with("tests.rs") || in_tests {
            return "";
        }
        self.text
            .split("\n#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or(&self.text)
    }

    /// Path below `src`, with forward slashes.
    fn name(&self) -> String {
        self.path
            .strip_prefix(root().join("src"))
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    /// The room, or word, that the file belongs to: its first folder or its name.
    fn room(&self) -> String {
        self.name()
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 30, "only {} source files found", found.len());
    found
}

/// Fails with every finding, one a line.
fn none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

/// First path segments after `crate::` (or the library's name), also inside `use crate::{a::b, c}`.
fn imports(code: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let line_start = code[..at].rfind('\n').map_or(0, |n| n + 1);
        if code[line_start..at].trim_start().starts_with("//") {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        if !rest.starts_with('{') {
            found.push(first_segment(rest));
            continue;
        }
        let mut depth = 0;
        let mut start = 1;
        for (i, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if (depth == 1 && c == ',') || depth == 0 {
                found.push(first_segment(rest[start..i].trim_start()));
                start = i + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.retain(|segment| !segment.is_empty());
    found
}

fn first_segment(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn imports_go_down_only() {
    let mut findings = Vec::new();
    for source in sources() {
        let room = source.room();
        if room == "bin" || room == "lib" {
            continue;
        }
        let allowed: &[&str] = MAY
            .iter()
            .find(|(name, _)| *name == room)
            .map_or(&[], |(_, rooms)| rooms);
        // Unit tests of craft tables write packets in words and print them back.
        let text = match &*room {
            "proto" => source.code(),
            _ => &source.text,
        };
        for import in imports(text, "crate::") {
            let fine = import == room
                || import == "fields"
                || WORDS.contains(&import.as_str())
                || allowed.contains(&import.as_str());
            if !fine {
                findings.push(format!("{} imports {import}", source.name()));
            }
        }
    }
    none("rooms import only what lies below them", &findings);
}

#[test]
fn every_room_is_in_the_plan() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: Vec<&str> = lib
        .lines()
        .filter_map(|l| l.strip_prefix("pub mod "))
        .map(|l| l.trim_end_matches(';'))
        .collect();
    let mut findings = Vec::new();
    for module in modules {
        let known = WORDS.contains(&module) || MAY.iter().any(|(room, _)| *room == module);
        let planned = lib
            .lines()
            .any(|l| l.starts_with("//!") && l.split_whitespace().any(|w| w == module));
        if !known || !planned {
            findings.push(format!(
                "{module}: known to this test: {known}, in the plan of lib.rs: {planned}"
            ));
        }
    }
    none(
        "every room stands in the floor plan and in this test",
        &findings,
    );
}

#[test]
fn unsafe_stands_only_in_the_cellar() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| s.room() != "sys") {
        for (number, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.clone().any(|w| w == "unsafe") || code.contains("allow(unsafe_code)") {
                findings.push(format!("{}:{}", source.name(), number + 1));
            }
        }
    }
    none("unsafe outside src/sys", &findings);
}

#[test]
fn pure_rooms_get_the_world_as_arguments() {
    let mut findings = Vec::new();
    for source in sources()
        .iter()
        .filter(|s| PURE.contains(&s.room().as_str()))
    {
        for (number, line) in source.code().lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            findings.extend(
                WORLD
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{}:{}: {word}", source.name(), number + 1)),
            );
        }
    }
    none(
        "clock, sockets, environment and stdout in a pure room",
        &findings,
    );
}

#[test]
fn every_file_says_first_why_it_exists() {
    let findings: Vec<String> = sources()
        .iter()
        .filter(|s| !s.text.starts_with("//! "))
        .map(Source::name)
        .collect();
    none("files that do not begin with //!", &findings);
}

#[test]
fn files_stay_short() {
    let mut findings = Vec::new();
    for source in sources() {
        let lines = source.code().lines().count();
        if lines > LONGEST && !LONG.iter().any(|(name, _)| *name == source.name()) {
            findings.push(format!("{}: {lines} lines before its tests", source.name()));
        }
    }
    none("files over 600 lines need a reason", &findings);
}

#[test]
fn nothing_is_left_open() {
    let mut findings = Vec::new();
    for source in sources() {
        for mark in ["todo!(", "unimplemented!(", "#[ignore", "dbg!("] {
            if source.text.contains(mark) {
                findings.push(format!("{}: {mark}", source.name()));
            }
        }
    }
    none("left open", &findings);
}

#[test]
fn the_checks_can_fail() {
    let code = "use crate::{\n    frame::{Batch, Frame},\n    render,\n};\nlet x = crate::lab::run();\n// crate::sys\n";
    assert_eq!(imports(code, "crate::"), ["frame", "render", "lab"]);
}
