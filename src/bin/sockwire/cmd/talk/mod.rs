//! How the ordinary programs show what they do: what they have to say, and on request each socket call.

use std::sync::Mutex;

use sockwire::sockets::{Event, Journal, Told};

use super::{Global, Outcome, output};

/// A server or client as a command runs it. It opens its sockets with the journal.
pub(crate) type Program = Box<dyn FnOnce(&Journal) -> Outcome + Send>;

/// Puts what a program tells, calls aside, into lines for standard output.
pub(crate) type Words = Box<dyn FnMut(&Told) -> String + Send>;

/// What to show beside a program.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Calls and packets")]
pub(crate) struct Watching {
    /// Shows each socket call with its arguments, its result and how long it took
    #[arg(long)]
    calls: bool,
}

impl Watching {
    /// Runs `program`. `other` makes the program at the other end, for a network of their own.
    pub(crate) fn run(
        &self,
        _global: &Global,
        program: Program,
        _other: impl FnOnce() -> Program,
        words: Words,
    ) -> Outcome {
        let words = Mutex::new(words);
        let journal = Journal::new(self.calls, move |told| {
            if let Event::Calling(_) | Event::Called(_) = told.event {
                output::talk(format_args!("{:?}", told.event));
                return;
            }
            // A program that panicked while it spoke has ended.
            let text = words.lock().map(|mut words| words(&told));
            let _ = output::print(&text.unwrap_or_default());
        });
        program(&journal)
    }
}
