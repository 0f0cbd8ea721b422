//! A trace as text: calls and packets on one timeline, a line each, in sums, or in sentences.
//!
//! ```text
//!  lanes    calls left and right, the wire in the middle      lines   one line an event
//!  summary  each connection in a few lines                    why     one packet's or call's ties
//!  words    what all of them say alike                     page    the page of the lanes
//!  picture  what ladders and pictures say of calls
//! ```

pub mod lanes;
pub mod lines;
mod page;
pub mod picture;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod why;
mod words;

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal; lanes need 60, and use no more than 160.
    pub width: usize,
    /// ASCII characters only.
    pub ascii: bool,
    /// With terminal colours.
    pub colour: bool,
}
