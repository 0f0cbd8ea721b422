//! `sockwire` alone: the first screen.

use super::{Exit, Global, Outcome};

/// Prints the first screen.
pub(crate) fn run(_global: &Global) -> Outcome {
    Ok(Exit::Done)
}
