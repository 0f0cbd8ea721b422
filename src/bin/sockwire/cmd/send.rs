//! `send`: packets from words onto the wire.

use anyhow::anyhow;

use super::{Exit, Failure, Global, Outcome};

/// Send packets made from words
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The specification, or what else the command is about
    words: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args, _global: &Global) -> Outcome {
    let _ = args.words;
    Err(Failure::new(Exit::Usage, anyhow!("not built yet")))
}
