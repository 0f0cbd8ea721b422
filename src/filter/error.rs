//! The fault that both languages report: what was expected, with a caret under the place.

/// A fault in an expression, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad filter: {message}\n  {expression}\n  {}{}", " ".repeat(*.at), "^".repeat((*.len).max(1)))]
pub struct FilterError {
    /// The expression as given.
    pub expression: String,
    /// Column of the fault, in characters from 0.
    pub at: usize,
    /// Characters at fault.
    pub len: usize,
    /// What was expected or found.
    pub message: String,
}
