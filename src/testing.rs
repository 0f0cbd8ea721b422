//! For tests that cannot run everywhere: they say so where the run shows and counts it, past the capture of test output.

use std::{
    fmt,
    io::{self, Write as _},
};

/// Says why the test at hand does not run here. `.ci/run` counts these lines.
pub(crate) fn skipped(reason: impl fmt::Display) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Straight to the descriptor: what `eprintln` writes in a test that passes is never seen.
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}
