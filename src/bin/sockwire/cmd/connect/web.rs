//! `connect http` and `connect ws`: programs that speak to web servers.

use super::{Args, Failure, Global, Kind, Program, usage};

/// The program for `kind`, which is `Http` or `WebSocket`; `words` are those behind it: the URL.
pub(super) fn program(
    kind: Kind,
    words: &[String],
    _args: &Args,
    _global: &Global,
) -> Result<Program, Failure> {
    Err(usage(format!("{kind:?} is not there yet: {words:?}")))
}
