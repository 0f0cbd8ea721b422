//! What is wrong with a specification: the place, what was found there, and what could stand there.

use std::fmt;

use crate::{caret::Caret, text::plain};

/// The most characters of a message: it can repeat words that were typed.
const LONGEST: usize = 400;

/// A fault in a specification, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SpecError {
    /// The specification as given.
    pub spec: String,
    /// Column of the fault, in characters from 0.
    pub at: usize,
    /// Characters at fault.
    pub len: usize,
    /// What was expected or found.
    pub message: String,
    /// What could stand there: the fields of the layer, the names of the layers.
    pub help: Option<String>,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut message: String = self.message.chars().map(plain).take(LONGEST).collect();
        if self.message.len() > message.len() {
            message.push('…');
        }
        writeln!(f, "bad specification: {message}")?;
        let (at, len) = (self.at, self.len);
        let text = &self.spec;
        Caret { text, at, len }.fmt(f)?;
        match &self.help {
            Some(help) => write!(f, "\n{help}"),
            None => Ok(()),
        }
    }
}
