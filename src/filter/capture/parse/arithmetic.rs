//! Comparisons and the arithmetic in them, as strong as in libpcap.

use super::{Is, Parsed, Parser, near};
use crate::filter::capture::{
    ast::{Arith, BinOp, Expr, Proto, Test},
    words::{self, Word},
};

impl Parser<'_> {
    pub(super) fn relation(&mut self, depth: usize) -> Parsed<Expr> {
        self.count()?;
        let start = self.next;
        let left = self.arithmetic(depth, 0)?;
        let Is::Relation(op) = *self.peek() else {
            return Err(self.expected("a comparison, such as = 5 or != 0"));
        };
        self.next += 1;
        let right = self.arithmetic(depth, 0)?;
        if let Is::Relation(_) = self.peek() {
            return Err(self.fault("two comparisons need and between them".into()));
        }
        Ok(self.test(Test::Relation { op, left, right }, start))
    }

    /// Operations at least as strong as `weakest`.
    fn arithmetic(&mut self, depth: usize, weakest: u8) -> Parsed<Arith> {
        let mut left = self.operand(depth)?;
        while let Is::Arith(op) = *self.peek() {
            let strength = strength(op);
            if strength.is_some_and(|strength| strength < weakest) {
                break;
            }
            self.count()?;
            self.next += 1;
            let right = self.arithmetic(self.deeper(depth)?, strength.map_or(0, |s| s + 1))?;
            if let Some(message) = impossible(op, &right) {
                self.next -= 1;
                return Err(self.fault(message.into()));
            }
            left = Arith::Binary {
                op,
                left: Box::new(left),
                right: Box::new(right),
            };
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Parsed<Arith> {
        let depth = self.deeper(depth)?;
        match *self.peek() {
            Is::Number(number) => {
                self.next += 1;
                Ok(Arith::Number(number))
            }
            Is::Word(Word::Length) => {
                self.next += 1;
                Ok(Arith::Length)
            }
            Is::Arith(BinOp::Sub) => {
                self.next += 1;
                Ok(Arith::Negate(Box::new(self.arithmetic(depth, STRONGEST)?)))
            }
            Is::Open => {
                self.next += 1;
                let inner = self.arithmetic(depth, 0)?;
                self.expect(&Is::Close, ") after a number")?;
                Ok(inner)
            }
            Is::Word(Word::Proto(proto)) => self.load(depth, proto),
            Is::Name => {
                let text = self.token().text;
                match words::tcp_flag(text).or_else(|| near(text, words::numbers())) {
                    Some(word) => {
                        Err(self.fault(format!("{text} is no number; did you mean {word}?")))
                    }
                    None => Err(self.expected("a number")),
                }
            }
            _ => Err(self.expected("a number, len, or bytes such as ip[8]")),
        }
    }

    fn load(&mut self, depth: usize, proto: Proto) -> Parsed<Arith> {
        use Proto::*;
        let known = matches!(
            proto,
            Link | Ip
                | Ip6
                | Arp
                | Rarp
                | Tcp
                | Udp
                | Sctp
                | Icmp
                | Icmp6
                | Igmp
                | Igrp
                | Pim
                | Vrrp
                | Carp
                | Radio
                | Atalk
                | Decnet
                | Lat
                | Sca
                | Moprc
                | Mopdl
        );
        if !known {
            let text = self.token().text;
            return Err(self.fault(format!(
                "the bytes of {text} cannot be asked for; count from ether[…] or ip[…]"
            )));
        }
        self.next += 1;
        self.expect(&Is::OpenIndex, "[ and the place of a byte")?;
        let at = Box::new(self.arithmetic(depth, 0)?);
        let mut size = 1;
        if self.accept(&Is::Colon) {
            size = match self.peek() {
                Is::Number(1) => 1,
                Is::Number(2) => 2,
                Is::Number(4) => 4,
                _ => return Err(self.expected("1, 2 or 4 bytes")),
            };
            self.next += 1;
        }
        self.expect(&Is::CloseIndex, "]")?;
        Ok(Arith::Load { proto, at, size })
    }
}

/// The strength of unary minus.
const STRONGEST: u8 = 6;

/// How strongly an operator binds. `%` and `^` have no strength in libpcap: whatever follows them is theirs.
fn strength(op: BinOp) -> Option<u8> {
    match op {
        BinOp::Or => Some(1),
        BinOp::And => Some(2),
        BinOp::ShiftLeft | BinOp::ShiftRight => Some(3),
        BinOp::Add | BinOp::Sub => Some(4),
        BinOp::Mul | BinOp::Div => Some(5),
        BinOp::Mod | BinOp::Xor => None,
    }
}

/// What cannot be reckoned, when the right side is a plain number.
fn impossible(op: BinOp, right: &Arith) -> Option<&'static str> {
    match (op, right) {
        (BinOp::Div | BinOp::Mod, Arith::Number(0)) => Some("nothing can be divided by zero"),
        (BinOp::ShiftLeft | BinOp::ShiftRight, Arith::Number(32..)) => {
            Some("32-bit numbers are shifted by at most 31")
        }
        _ => None,
    }
}
