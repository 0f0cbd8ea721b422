//! The data plane of LISP: packets between sites, tunnelled by locator behind eight bytes of header.
//!
//! Spec: RFC 9300 §5.3.
//!
//! ```text
//!  0       1                4                                8
//! | flags | nonce or maps  | instance ID, locator status    | packet …
//! ```

use crate::{
    field::{Field, Kind},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};

const HEADER: usize = 8;

/// LISP data.
pub static PROTOCOL: Protocol = Protocol {
    name: "lisp-data",
    label: "LISP",
    title: "Locator/ID Separation Protocol, data",
    spec: "RFC 9300 §5.3",
    claims: &[Claim::UdpPort(4341)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: None,
};

crate::fields! {
    NONCE_PRESENT = Field::bits("lisp-data.flags.nonce", "Nonce present", Kind::Flag, (0, 0, 1), "The next three bytes hold a nonce (RFC 9300 §5.3).");
    LSB = Field::bits("lisp-data.flags.lsb", "Locator status present", Kind::Flag, (0, 1, 1), "The last bits say which locators are up (RFC 9300 §5.3).");
    ENR = Field::bits("lisp-data.flags.enr", "Echo nonce request", Kind::Flag, (0, 2, 1), "The receiver should send the nonce back (RFC 9300 §5.3).");
    MV = Field::bits("lisp-data.flags.mv", "Map versions present", Kind::Flag, (0, 3, 1), "The next three bytes hold map versions (RFC 9300 §5.3).");
    IID = Field::bits("lisp-data.flags.iid", "Instance ID present", Kind::Flag, (0, 4, 1), "An instance ID tells networks apart (RFC 9300 §5.3).");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    if bytes.len() < HEADER {
        return Dissected::short(bytes, context, HEADER);
    }
    let next = match bytes.get(HEADER).map(|byte| byte >> 4) {
        Some(4) => Next::Claim(Claim::EtherType(0x0800)),
        Some(6) => Next::Claim(Claim::EtherType(0x86dd)),
        _ => Next::Data,
    };
    Dissected::new(HEADER, next, context)
}

fn line(view: &View<'_>, line: &mut Line) {
    line.say(format_args!("len={}", view.payload_wire()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::UdpPort(4341);

    #[test]
    fn the_first_nibble_tells_what_is_inside() {
        for (byte, next) in [
            (0x45, Next::Claim(Claim::EtherType(0x0800))),
            (0x60, Next::Claim(Claim::EtherType(0x86dd))),
            (0x00, Next::Data),
        ] {
            let seen = seen(&PROTOCOL, CLAIM, &[0x80, 0, 0, 1, 0, 0, 0, 1, byte]);
            assert_eq!(seen.next, next);
            assert_eq!(seen.all("lisp-data.flags.nonce"), ["true"]);
        }
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &[0; HEADER], HEADER);
    }
}
