//! `sockwire interfaces`: to be written.

use super::{Exit, Global, Outcome};

/// To be written
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: Args, _global: &Global) -> Outcome {
    Ok(Exit::Done)
}
