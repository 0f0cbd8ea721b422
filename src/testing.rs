//! For tests: expected texts in files, and tests that cannot run everywhere, which say so where the run shows and counts it.
// Tests of the built program take this file in, each what it needs of it.
#![allow(dead_code)]

use std::{
    env, fmt, fs,
    io::{self, Write as _},
    path::Path,
};

/// Compares a text with a file of the project; `BLESS=1` rewrites it.
#[track_caller]
pub(crate) fn assert_golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os("BLESS").is_some() {
        let written = fs::write(&path, text);
        return assert!(written.is_ok(), "{file} cannot be written: {written:?}");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{file} differs (BLESS=1 rewrites it):\n{text}"
    );
}

/// Says why the test at hand does not run here, past the capture of test output. `.ci/run` counts these lines.
pub(crate) fn skipped(reason: impl fmt::Display) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Straight to the descriptor: what `eprintln` writes in a test that passes is never seen.
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}
