//! Capture filters: tcpdump's language, compiled to classic BPF for one link type and one place where it runs.
//!
//! ```text
//!  words → lex → parse → ast            names are resolved here, once; the tree knows no link type
//!  ast → traps                          what a reader might not expect of this filter, in words
//!  ast + target → compile → Cond        conditions on values, from left to right, with headers that move
//!  Cond → graph → paths → tidy → Graph   what is decided already is passed by, what is needless goes
//!  Graph → emit → Program               loads and jumps
//! ```
//!
//! Semantics are libpcap 1.10's, its traps included: pcap-filter(7).

pub(crate) mod ast;
mod compile;
mod emit;
mod graph;
mod headers;
mod lex;
mod parse;
mod paths;
mod protocols;
mod say;
#[cfg(test)]
mod tests;
mod tidy;
mod traps;
mod tunnels;
mod values;
mod widen;
mod words;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::{FilterError, Names, advice};
use crate::{
    bpf::{MAX_LEN, Program},
    link::LinkType,
};
use ast::{Expr, Net, Test};

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

/// How many states are told apart at one place of the graph.
const BREADTH: usize = 16;

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
    root: Option<Expr>,
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
    pub fn compile(&self, target: Target) -> Result<Compiled, FilterError> {
        let fault = |span: Range<usize>, message: String| FilterError {
            expression: self.expression.clone(),
            at: span.start,
            len: span.len(),
            message,
        };
        let whole = 0..self.expression.chars().count();
        let mut compiler =
            compile::Compiler::new(target).map_err(|message| fault(whole.clone(), message))?;
        let cond = match &self.root {
            Some(root) => compiler
                .expr(root)
                .map_err(|(span, message)| fault(span, message))?,
            None => graph::Cond::Const(true),
        };
        let values = &compiler.at.values;
        let graph = graph::Graph::new(&cond);
        let words = usize::from(compiler.words);
        let emit = |breadth| {
            let mut graph = graph
                .with_paths_decided(values, breadth)
                .without_the_needless(values);
            graph.gather(values);
            emit::emit(&graph, values, words, target.snaplen).map_err(|full| {
                let message = "this needs more than the 16 words of memory that a program has";
                fault(full.span, message.into())
            })
        };
        let (split, shared) = (emit(BREADTH)?, emit(1)?);
        let (instructions, notes) = if split.0.len() <= shared.0.len() {
            split
        } else {
            shared
        };
        let length = instructions.len();
        let program = Program::new(instructions).map_err(|error| {
            fault(
                whole,
                if length > MAX_LEN {
                    format!("this makes {length} instructions, and a program has at most {MAX_LEN}")
                } else {
                    error.to_string()
                },
            )
        })?;
        Ok(Compiled { program, notes })
    }

    /// What a reader might not expect of this filter: one line for each trap in it.
    ///
    /// Only what this filter can run into: `port 80` alone says nothing of extension headers and fragments, but a filter
    /// that also asks for IPv6 or for fragments does, since its writer has such packets in mind.
    pub fn traps(&self) -> Vec<String> {
        self.root
            .as_ref()
            .map(|root| traps::traps(root, &self.expression))
            .unwrap_or_default()
    }

    /// The single ports that the filter names, for "who listens there?".
    pub fn ports(&self) -> Vec<u16> {
        let mut ports = Vec::new();
        self.each(&mut |test| {
            let port = match *test {
                Test::Port { port, .. } => port,
                Test::PortRange { first, last, .. } if first == last => first,
                _ => return,
            };
            if !ports.contains(&port) {
                ports.push(port);
            }
        });
        ports
    }

    /// The first loopback address that the filter names: then loopback is the interface to watch.
    pub fn loopback(&self) -> Option<IpAddr> {
        let mut found = None;
        self.each(&mut |test| {
            if let Test::Net { nets, .. } = test {
                let mut addresses = nets.iter().map(|net| match *net {
                    Net::V4 { address, .. } => IpAddr::from(Ipv4Addr::from_bits(address)),
                    Net::V6 { address, .. } => Ipv6Addr::from_bits(address).into(),
                });
                found = found.or_else(|| addresses.find(IpAddr::is_loopback));
            }
        });
        found
    }

    fn each(&self, visit: &mut dyn FnMut(&Test)) {
        if let Some(root) = &self.root {
            traps::each(root, &mut |test, _| visit(test));
        }
    }
}

/// True when `words` (one of them, or a whole filter in quotes) can begin a filter, so that a command line without a
/// command means `capture`. So can a display filter, whose error says what to write instead.
pub fn begins_filter(words: &str) -> bool {
    use lex::Kind as Is;
    use words::Word;
    match lex::first(words) {
        Is::Open => true,
        Is::Word(Word::And | Word::Or | Word::Mask | Word::Foreign(_)) => false,
        Is::Word(_) => true,
        _ => advice::begins(words),
    }
}
