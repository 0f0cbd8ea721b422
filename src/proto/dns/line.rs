//! A message in one line: what was asked, the first answers, and how it went.

use std::fmt;

use super::{
    message::{Entry, Message, OPT, UPDATE},
    names::{self, Name},
    numbers,
};
use crate::{
    layer::{Layer, View},
    line::Line,
    text::Safe,
};

/// Answers that are written out.
const ANSWERS: usize = 4;
/// Bytes of a name or text that are written out.
const SHOWN: usize = 80;

/// Messages of one segment that are written out.
const MESSAGES: usize = 3;

pub(super) fn line(view: &View<'_>, line: &mut Line) {
    line.say(format_args!("{}", Messages(view)));
}

/// The messages of a packet up to this one: over TCP there may be several.
struct Messages<'v, 'a>(&'v View<'a>);

impl fmt::Display for Messages<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = &self.0.packet.layers[..=self.0.index];
        let same = |layer: &&Layer| std::ptr::eq(layer.protocol, self.0.layer.protocol);
        let before = layers.iter().rev().take_while(same).count().max(1) - 1;
        let first = self.0.index - before;
        for (count, index) in (first..=self.0.index).enumerate() {
            let message = self.0.packet.view(index).and_then(|v| Message::of(&v));
            match (count, message) {
                (MESSAGES, _) => return write!(f, "; and {} more", before + 1 - MESSAGES),
                (0, Some(message)) => Summary(message).fmt(f)?,
                (_, Some(message)) => write!(f, "; {}", Summary(message))?,
                (_, None) => f.write_str("message")?,
            }
        }
        Ok(())
    }
}

struct Summary<'a>(Message<'a>);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.0;
        let opcode = message.opcode();
        match (
            numbers::name(numbers::OPCODES, opcode),
            message.is_response(),
        ) {
            (Some("query"), true) => f.write_str("answer")?,
            (Some(word), response) => {
                f.write_str(word)?;
                f.write_str(if response { " answer" } else { "" })?;
            }
            (None, _) => write!(f, "opcode {opcode}")?,
        }
        // In multicast it is zero and means nothing (RFC 6762 §18.1).
        if message.id() != 0 {
            write!(f, " 0x{:04x}", message.id())?;
        }
        let counts = message.counts();
        let mut entries = message.entries();
        let questions = entries.clone().take_while(|e| e.section == 0);
        for (index, question) in questions.take(2).enumerate() {
            match index {
                0 => write!(f, " {}", Of(message, question))?,
                _ => write!(f, " and {} more", counts[0] - 1)?,
            }
        }
        let answers = entries.by_ref().filter(|e| e.section == 1);
        for (index, answer) in answers.take(ANSWERS + 1).enumerate() {
            let before = if index == 0 { " → " } else { ", " };
            match index {
                ANSWERS => write!(f, ", …")?,
                _ => write!(f, "{before}{}", Answer(message, answer))?,
            }
        }
        if opcode == UPDATE && !message.is_response() {
            write!(f, " {} changes", counts[2])?;
        }
        if message.is_response() {
            let code = message.rcode();
            match numbers::name(numbers::RCODES, code) {
                Some(word) => write!(f, " {word}")?,
                None => write!(f, " reply code {code}")?,
            }
        }
        if message.bytes[2] & 2 != 0 {
            f.write_str(" truncated")?;
        }
        Ok(())
    }
}

/// Type and name of a question or record.
struct Of<'a>(&'a Message<'a>, Entry);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = names::read(self.0.bytes, self.1.at);
        write!(f, "{} {}", Type(self.0.u16(self.1.fixed)), Shown(&name))
    }
}

/// A type's name, or `TYPE` and its number (RFC 3597 §5).
struct Type(u16);

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match numbers::name(numbers::TYPES, self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// A name as people write it: the root is a dot.
struct Shown<'a>(&'a Name);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.text() {
            b"<Root>" => f.write_str("."),
            text => Cut(text).fmt(f),
        }
    }
}

/// Text from the packet, up to a length.
struct Cut<'a>(&'a [u8]);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Safe(&self.0[..self.0.len().min(SHOWN)]).fmt(f)?;
        f.write_str(if self.0.len() > SHOWN { "…" } else { "" })
    }
}

/// What a record says, for the common types; the type and name of others.
struct Answer<'a>(&'a Message<'a>, Entry);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(message, entry) = self;
        let bytes = message.bytes.get(entry.data()..entry.end).unwrap_or(&[]);
        let kind = message.u16(entry.fixed);
        let name = |skip: usize| names::read(message.bytes, entry.data() + skip);
        match (kind, bytes) {
            (1, &[a, b, c, d]) => std::net::Ipv4Addr::new(a, b, c, d).fmt(f),
            (28, bytes) if bytes.len() == 16 => {
                let address = bytes.first_chunk::<16>().copied().unwrap_or_default();
                std::net::Ipv6Addr::from(address).fmt(f)
            }
            (2 | 5 | 39, [_, ..]) => write!(f, "{} {}", Type(kind), Shown(&name(0))),
            (12, [_, ..]) => Shown(&name(0)).fmt(f),
            (15, &[hi, lo, _, ..]) => {
                write!(f, "{} {}", u16::from_be_bytes([hi, lo]), Shown(&name(2)))
            }
            (16, &[len, ref text @ ..]) => {
                let text = text.get(..len.into()).unwrap_or(text);
                write!(f, "\"{}\"", Cut(text))
            }
            (33, &[_, _, _, _, hi, lo, _, ..]) => {
                write!(f, "{}:{}", Shown(&name(6)), u16::from_be_bytes([hi, lo]))
            }
            (OPT, _) => f.write_str("OPT"),
            _ => Of(message, *entry).fmt(f),
        }
    }
}
