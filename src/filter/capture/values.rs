//! What conditions are about: numbers read from the packet and computed from others, each of them kept once.

use std::collections::HashMap;

use crate::bpf::op;

/// A number that is known when the program runs. Equal numbers are the same value, so that a program need not load twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Value(u32);

/// How a value comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Number(u32),
    /// Bytes on the wire.
    Length,
    /// `size` bytes (1, 2, 4) at `k`, plus `x` if there is one.
    Load {
        size: u8,
        k: u32,
        x: Option<Value>,
    },
    /// The length of the IPv4 header that begins at `k`.
    HeaderLength(u32),
    /// A word of scratch memory.
    Word(u8),
    /// `code` is the operation on a constant ([`op::ADD_K`], …).
    Binary {
        code: u16,
        left: Value,
        right: Value,
    },
    Negate(Value),
}

/// All values of a program.
#[derive(Debug, Default)]
pub(super) struct Values {
    forms: Vec<Form>,
    /// For each value, the words of scratch memory that it reads.
    words: Vec<u16>,
    known: HashMap<Form, Value>,
}

impl Values {
    pub(super) fn form(&self, value: Value) -> Form {
        self.forms[value.0 as usize]
    }

    pub(super) fn number(&self, value: Value) -> Option<u32> {
        match self.form(value) {
            Form::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The words of scratch memory that it reads, a bit each: it changes when one of them is written.
    pub(super) fn words(&self, value: Value) -> u16 {
        self.words[value.0 as usize]
    }

    pub(super) fn add(&mut self, form: Form) -> Value {
        if let Some(value) = self.known.get(&form) {
            return *value;
        }
        let of = |value: Value| self.words[value.0 as usize];
        let words = match form {
            Form::Number(_) | Form::Length | Form::HeaderLength(_) => 0,
            Form::Load { x, .. } => x.map_or(0, of),
            Form::Word(word) => 1 << word,
            Form::Binary { left, right, .. } => of(left) | of(right),
            Form::Negate(value) => of(value),
        };
        #[allow(clippy::cast_possible_truncation)]
        let value = Value(self.forms.len() as u32);
        self.forms.push(form);
        self.words.push(words);
        self.known.insert(form, value);
        value
    }

    /// `left code right`, computed at once where both are constants; a division by a constant zero is left as it is.
    pub(super) fn binary(&mut self, code: u16, left: Value, right: Value) -> Value {
        let folded = match (self.number(left), self.number(right)) {
            (Some(a), Some(b)) => fold(code, a, b),
            _ => None,
        };
        self.add(folded.map_or(Form::Binary { code, left, right }, Form::Number))
    }

    pub(super) fn negate(&mut self, value: Value) -> Value {
        match self.number(value) {
            Some(number) => self.add(Form::Number(number.wrapping_neg())),
            None => self.add(Form::Negate(value)),
        }
    }

    /// The sum; a zero adds nothing.
    pub(super) fn sum(&mut self, left: Value, right: Value) -> Value {
        match (self.number(left), self.number(right)) {
            (Some(0), _) => right,
            (_, Some(0)) => left,
            _ => self.binary(op::ADD_K, left, right),
        }
    }
}

fn fold(code: u16, a: u32, b: u32) -> Option<u32> {
    match code {
        op::ADD_K => Some(a.wrapping_add(b)),
        op::SUB_K => Some(a.wrapping_sub(b)),
        op::MUL_K => Some(a.wrapping_mul(b)),
        op::DIV_K => a.checked_div(b),
        op::MOD_K => a.checked_rem(b),
        op::AND_K => Some(a & b),
        op::OR_K => Some(a | b),
        op::XOR_K => Some(a ^ b),
        op::LSH_K => a.checked_shl(b),
        op::RSH_K => a.checked_shr(b),
        _ => None,
    }
}
