//! For tests of traces: expected texts in files.
#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

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
