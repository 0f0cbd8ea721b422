//! Capture filters: tcpdump's language, compiled to classic BPF for one link type and one place where it runs.
//!
//! ```text
//!  words → lex → parse → ast            names are resolved here, once; the tree knows no link type
//!  ast → traps                          what a reader might not expect of this filter, in words
//!  ast + target → gen → code → Program  conditions on loads, then instructions
//! ```
//!
//! Semantics are libpcap 1.10's, its traps included: pcap-filter(7).

pub(crate) mod ast;
mod lex;
mod parse;
mod words;

use std::{net::IpAddr, ops::Range};

use super::{FilterError, Names};
use crate::{bpf::Program, link::LinkType};

/// Where a program runs: what its loads count from, and what it can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the frame as a file has it, or as a source delivers it.
    Frame,
    /// In the kernel, on the frame of a packet socket: a VLAN tag may have been taken off.
    Kernel,
    /// In the kernel, on a packet without its link header (`any`): what the cooked header would hold is asked of Linux.
    KernelCooked,
}

/// For what a filter is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the first byte of a frame is.
    pub link: LinkType,
    /// Where the program runs.
    pub place: Place,
    /// Bytes to keep of a wanted packet: what the program returns.
    pub snaplen: u32,
    /// The netmask of the interface, where known, for `ip broadcast`.
    pub netmask: Option<u32>,
}

/// A program, and for each of its instructions what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The program.
    pub program: Program,
    /// One entry an instruction.
    pub notes: Vec<Note>,
}

/// What one instruction is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The part of the expression that it comes from, in characters; empty for what ends the program.
    pub span: Range<usize>,
    /// What it reads or tests, in words ("EtherType", "source port"); empty where the form says it all.
    pub what: &'static str,
}

/// A capture filter, parsed and with its names resolved; compiled for each link type that needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureFilter {
    expression: String,
    root: Option<ast::Expr>,
}

impl CaptureFilter {
    /// Parses an expression; an empty one takes every packet.
    ///
    /// # Errors
    /// Says what was expected, and where.
    pub fn parse(expression: &str, names: &dyn Names) -> Result<Self, FilterError> {
        Ok(Self {
            expression: expression.to_owned(),
            root: parse::parse(expression, names)?,
        })
    }

    /// The expression as given.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Takes every packet.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Compiles it for `target`.
    ///
    /// # Errors
    /// When something in it has no meaning for the link type or the place, or the program would be too long.
    pub fn compile(&self, _target: Target) -> Result<Compiled, FilterError> {
        Err(FilterError {
            expression: self.expression.clone(),
            at: 0,
            len: 0,
            message: "not compiled yet".into(),
        })
    }

    /// What a reader might not expect of this filter: one line for each trap in it.
    pub fn traps(&self) -> Vec<String> {
        Vec::new()
    }

    /// The single ports that the filter names, for "who listens there?".
    pub fn ports(&self) -> Vec<u16> {
        Vec::new()
    }

    /// The first loopback address that the filter names: then loopback is the interface to watch.
    pub fn loopback(&self) -> Option<IpAddr> {
        None
    }
}
