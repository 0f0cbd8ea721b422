//! Calls alone: each is shown by the program itself while it makes it, so that it stands before what the program says next.

use std::{
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use sockwire::{
    call::Call,
    render::call::Lines,
    sockets::{Event, Journal},
};

use super::{Global, Outcome, Program, Watching, speech::Speech};

/// Runs `program` in this thread.
pub(super) fn run(
    watching: &Watching,
    global: &Global,
    program: Program,
    speech: Speech,
) -> Outcome {
    let lines = Lines::new(watching.options(global, true));
    // A child of fork has a copy: it was forked by the thread that speaks, when that had nothing to say.
    let state = Mutex::new((lines, speech));
    let journal = Journal::new(watching.shows_calls(), move |told| {
        // A program that panicked while it spoke has ended.
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, speech) = &mut *state;
        let mut text = String::new();
        match &told.event {
            Event::Calling(call) => lines.began("", told.by, call, &mut text),
            Event::Called(called) => {
                if called.call == Call::Fork {
                    // Parent and child do not know of each other's lines.
                    lines.share();
                }
                lines.returned("", told.by, called, &mut text);
            }
            _ => {
                lines.interrupt(&mut text);
                say(&text);
                speech.say(&told);
                return;
            }
        }
        say(&text);
    });
    program(&journal)
}

/// Whole, with one write. That stderr is closed or full is no reason to stop.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
