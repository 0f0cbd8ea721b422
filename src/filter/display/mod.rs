//! Display filters: Wireshark's language over every field that sockwire has, run on decoded and tracked packets.
//!
//! The language is that of Wireshark 4.0. What differs:
//! - Patterns (`matches`) run in linear time: no look-around and no references back; `$` is the very end of the text.
//! - Numbers do not wrap: `ip.ttl - 65 > 1000` is false, and `ip.ttl > -1` true.
//! - Dates without an offset are UTC, since a filter reads no clock and no environment.
//! - Bytes, hardware addresses and protocols compare with each other, and `true` may be written small.
//! - `max` and `min` take numbers, times and addresses, not text and bytes.
//! - References to a selected packet (`${field}`) and macros are refused.
//! - One packet yields at most 100,000 values to one filter: option lists are as long as their sender likes.

mod check;
mod fields;
mod function;
mod hint;
mod lex;
mod parse;
mod pattern;
mod run;
mod value;
mod why;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use why::Reason;

use super::{FilterError, Names};
use crate::{layer::Packet, proto::frame::Around};

/// The longest expression, in bytes.
const LONGEST: usize = 64 * 1024;

/// A display filter, compiled: names are resolved to fields and values to their kinds.
#[derive(Clone, Debug)]
pub struct DisplayFilter {
    root: Option<check::Node>,
    expression: String,
}

/// What is wrong, and with which bytes of the expression.
#[derive(Clone, Debug)]
struct Fault {
    at: Range<usize>,
    message: String,
}

impl Fault {
    fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

impl DisplayFilter {
    /// Compiles an expression; an empty one takes every packet.
    ///
    /// # Errors
    /// Says what was expected, and where; an unknown name gets the nearest known ones.
    pub fn compile(expression: &str, names: &dyn Names) -> Result<Self, FilterError> {
        let root = Self::root(expression, names).map_err(|fault| {
            let fault = match hint::advice(expression) {
                Some(advice) => Fault::new(0..expression.len(), advice),
                None => fault,
            };
            let characters =
                |bytes: Range<usize>| expression.get(bytes).map_or(0, |s| s.chars().count());
            FilterError {
                expression: expression.to_owned(),
                at: characters(0..fault.at.start),
                len: characters(fault.at),
                message: fault.message,
            }
        })?;
        Ok(Self {
            root,
            expression: expression.to_owned(),
        })
    }

    fn root(expression: &str, names: &dyn Names) -> Result<Option<check::Node>, Fault> {
        if expression.len() > LONGEST {
            let message = format!("longer than {LONGEST} bytes");
            return Err(Fault::new(0..0, message));
        }
        let tokens = lex::lex(expression)?;
        let Some(question) = parse::parse(&tokens)? else {
            return Ok(None);
        };
        let checker = check::Checker { hosts: names };
        checker.question(&question).map(Some)
    }

    /// The packet is wanted. Allocates nothing.
    pub fn matches(&self, packet: &Packet<'_>, around: &Around<'_>) -> bool {
        self.root
            .as_ref()
            .is_none_or(|root| run::Run::new(packet, around).holds(root))
    }
}
