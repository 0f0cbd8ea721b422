//! For tests of traces: expected texts in files, and the rows of a log.
#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

use super::{Folding, Timeline, row::Row, testing::Log};
use crate::time::MILLISECOND;

/// Compares a text with a file of the project; `BLESS=1` rewrites it.
#[track_caller]
pub(crate) fn assert_golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os("BLESS").is_some() {
        return fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        text == expected,
        "{file} differs (BLESS=1 rewrites it):\n{text}"
    );
}

/// All rows of a log, told every few milliseconds that nothing more is to come.
pub(crate) fn rows(log: &Log) -> Vec<Row> {
    let folding = Folding {
        idle: true,
        runs: true,
    };
    let (mut timeline, mut rows) = (Timeline::new(folding), Vec::new());
    let mut now = log.entries[0].at;
    for entry in &log.entries {
        while now.plus(5 * MILLISECOND) < entry.at {
            now = now.plus(5 * MILLISECOND);
            timeline.quiet(now, &mut rows);
        }
        timeline.push(entry, &mut rows);
    }
    timeline.finish(&mut rows);
    rows
}
