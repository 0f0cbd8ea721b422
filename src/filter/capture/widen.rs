//! Filters made of a filter: one that takes the ICMP errors too, for a reader who decides himself on the packets that they
//! quote, and one that looks behind a VLAN tag.

use super::{
    CaptureFilter,
    ast::{Arith, Expr, Proto, RelOp, Test},
};

/// First and last types of ICMP messages that quote a packet (RFC 792; RFC 4443 §2.1).
const ERRORS: [(Proto, u32, u32); 3] = [
    (Proto::Icmp, 3, 5),
    (Proto::Icmp, 11, 12),
    (Proto::Icmp6, 1, 4),
];

impl CaptureFilter {
    /// The filter, widened by the ICMPv4 and ICMPv6 errors of outermost packets, whatever they quote.
    #[must_use]
    pub fn with_icmp_errors(self) -> Self {
        // They stand first, so that `vlan` and its like do not move what they look at.
        let widen = |root| {
            ERRORS
                .into_iter()
                .rev()
                .fold(root, |root, (proto, first, last)| {
                    let errors = Expr::And(
                        relation(proto, RelOp::GreaterOrEqual, first),
                        relation(proto, RelOp::LessOrEqual, last),
                    );
                    Expr::Or(Box::new(errors), Box::new(root))
                })
        };
        Self {
            root: self.root.map(widen),
            ..self
        }
    }

    /// `vlan and (…)`: what the filter would take behind a VLAN tag, where it does not look by itself.
    #[must_use]
    pub fn behind_vlan(self) -> Self {
        let vlan = || Box::new(Expr::Test(Test::Vlan(None), 0..0));
        Self {
            root: self.root.map(|root| Expr::And(vlan(), Box::new(root))),
            ..self
        }
    }
}

/// The type of the message compared with a number.
fn relation(proto: Proto, op: RelOp, number: u32) -> Box<Expr> {
    let test = Test::Relation {
        op,
        left: Arith::Load {
            proto,
            at: Box::new(Arith::Number(0)),
            size: 1,
        },
        right: Arith::Number(number),
    };
    Box::new(Expr::Test(test, 0..0))
}
