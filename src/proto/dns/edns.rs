//! EDNS: what the OPT record says in place of class and time to live, and its options.
//!
//! Spec: RFC 6891.

use std::ops::ControlFlow;

use super::{fields as f, reader::Reader, special};
use crate::field::{Field, Value};

/// What stands in the place of a time to live (RFC 6891 §6.1.3); `at` is where it begins.
pub(super) fn flags(r: &mut Reader<'_, '_>, at: usize) -> ControlFlow<()> {
    r.at = at;
    r.fixed(&f::RESP_EXT_RCODE, 1)?;
    r.fixed(&f::RESP_EDNS0_VERSION, 1)?;
    r.fixed(&f::RESP_Z, 2)?;
    r.bits(&f::RESP_Z_DO, at + 2, (0, 1))?;
    r.bits(&f::RESP_Z_RESERVED, at + 2, (1, 15))
}

/// The options: a code, a length, data (RFC 6891 §6.1.2).
pub(super) fn options(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let whole = r.end;
    while !r.rest().is_empty() {
        let (code, len) = (r.message.u16(r.at), r.message.u16(r.at + 2));
        r.fixed(&f::OPT_CODE, 2)?;
        r.fixed(&f::OPT_LEN, 2)?;
        r.end = r.at + usize::from(len);
        if r.end > whole {
            // The fault is told where more is taken than is left.
            r.end = whole;
            return r.fixed(&f::OPT_DATA, len.into());
        }
        let start = r.at;
        r.remainder(&f::OPT_DATA)?;
        r.at = start;
        if !r.rest().is_empty() {
            option(r, code)?;
        }
        (r.at, r.end) = (r.end, whole);
    }
    ControlFlow::Continue(())
}

/// The data of one option, of which there is at least a byte.
fn option(r: &mut Reader<'_, '_>, code: u16) -> ControlFlow<()> {
    match code {
        5 => numbers(r, &f::OPT_DAU),
        6 => numbers(r, &f::OPT_DHU),
        7 => numbers(r, &f::OPT_N3U),
        8 => client_subnet(r),
        10 => {
            r.fixed(&f::OPT_COOKIE_CLIENT, 8)?;
            r.remainder(&f::OPT_COOKIE_SERVER)
        }
        11 => r.fixed(&f::OPT_EDNS_TCP_KEEPALIVE_TIMEOUT, 2),
        12 => r.remainder(&f::OPT_PADDING),
        13 => r.name(&f::OPT_CHAIN_FQDN),
        15 => {
            r.fixed(&f::OPT_EXT_ERROR_INFO_CODE, 2)?;
            r.remainder(&f::OPT_EXT_ERROR_EXTRA_TEXT)
        }
        _ => ControlFlow::Continue(()),
    }
}

/// Numbers of one byte each (RFC 6975 §3).
fn numbers(r: &mut Reader<'_, '_>, field: &'static Field) -> ControlFlow<()> {
    let at = r.at;
    for (index, &number) in r.rest().iter().enumerate() {
        r.show(field, Value::Uint(number.into()), (at + index, 1))?;
    }
    ControlFlow::Continue(())
}

/// The network of the client, without the bits that nobody needs to know (RFC 7871 §6).
fn client_subnet(r: &mut Reader<'_, '_>) -> ControlFlow<()> {
    let family = r.message.u16(r.at);
    r.fixed(&f::OPT_CLIENT_FAMILY, 2)?;
    r.fixed(&f::OPT_CLIENT_NETMASK, 1)?;
    r.fixed(&f::OPT_CLIENT_SCOPE, 1)?;
    let fields = [
        &f::OPT_CLIENT_ADDR4,
        &f::OPT_CLIENT_ADDR6,
        &f::OPT_CLIENT_ADDR,
    ];
    special::prefix(r, family, fields, r.rest().len())
}
