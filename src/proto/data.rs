//! Plain data: bytes that no protocol claims.

use crate::{
    field::{Field, Kind, Visit},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use std::ops::ControlFlow;

/// Bytes that nobody claims.
pub static PROTOCOL: Protocol = Protocol {
    name: "data",
    label: "DATA",
    title: "Data",
    spec: "",
    claims: &[Claim::Name("data")],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: None,
};

crate::fields! {
    DATA = Field::walked("data.data", "Data", Kind::Bytes, "The bytes themselves, as far as they were captured.");
    LEN = Field::walked("data.len", "Length", Kind::Uint, "How many bytes of data were captured.");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    Dissected::new(bytes.len(), Next::End, context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let bytes = view.bytes();
    visit.field(
        &DATA,
        crate::field::Value::Bytes(bytes),
        view.bits(0, bytes.len()),
    )?;
    visit.field(&LEN, crate::field::Value::Uint(bytes.len() as u64), 0..0)
}

fn line(view: &View<'_>, line: &mut Line) {
    line.add(format_args!("len={}", view.layer.wire));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{chain, seen};

    const CLAIM: Claim = Claim::Name("data");

    #[test]
    fn shows_the_bytes_that_were_captured_and_says_how_many_there_were() {
        let whole = seen(&PROTOCOL, CLAIM, b"hi");
        assert_eq!(whole.pairs(), [("data.data", "68:69"), ("data.len", "2")]);
        let cut = chain(&[(&PROTOCOL, CLAIM)], b"hi", 7);
        assert_eq!((cut.all("data.len"), cut.problem()), (vec!["2"], None));
        assert_eq!(cut.line, " →  len=7");
    }
}
