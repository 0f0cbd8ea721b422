//! `craft`: builds packets from words and shows them, without a socket.

use anyhow::anyhow;

use super::{Exit, Failure, Global, Outcome};

/// Build a packet from words: its tree and bytes, no socket opened
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
