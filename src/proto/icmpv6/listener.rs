//! Multicast listeners: which groups a router asks about, and which ones hosts report.
//!
//! Spec: version 1 RFC 2710, version 2 RFC 3810.

use super::{
    HEADER, MAR_AUX_DATA_LEN, MAR_MULTICAST_ADDRESS, MAR_NB_SOURCES, MAR_RECORD_TYPE,
    MAR_SOURCE_ADDRESS, MLD_FLAG_QRV, MLD_FLAG_S, MLD_NB_SOURCES, MLD_QQI, MLD_SOURCE_ADDRESS,
    MLDR_NB_RECORDS,
};
use crate::{
    field::{Field, Value, Visit},
    layer::View,
};
use std::ops::ControlFlow;

pub(super) fn walk_query(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    if let Some(byte) = view.u8(24) {
        let bits = view.bits(24, 1);
        let (s, qrv) = (bits.start + 4, bits.start + 5);
        visit.field(&MLD_FLAG_S, Value::Bool(byte & 8 != 0), s..qrv)?;
        visit.field(&MLD_FLAG_QRV, Value::Uint((byte & 7).into()), qrv..bits.end)?;
    }
    view.put((&MLD_QQI, 25, 1), visit)?;
    view.put((&MLD_NB_SOURCES, 26, 2), visit)?;
    walk_addresses(
        view,
        &MLD_SOURCE_ADDRESS,
        28,
        view.u16(26).unwrap_or(0),
        visit,
    )?;
    ControlFlow::Continue(())
}

pub(super) fn walk_report(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    view.put((&MLDR_NB_RECORDS, 6, 2), visit)?;
    let mut at = HEADER;
    for _ in 0..view.u16(6).unwrap_or(0) {
        let (Some(aux), Some(sources)) = (view.u8(at + 1), view.u16(at + 2)) else {
            break;
        };
        view.put((&MAR_RECORD_TYPE, at, 1), visit)?;
        view.put((&MAR_AUX_DATA_LEN, at + 1, 1), visit)?;
        view.put((&MAR_NB_SOURCES, at + 2, 2), visit)?;
        view.put((&MAR_MULTICAST_ADDRESS, at + 4, 16), visit)?;
        walk_addresses(view, &MAR_SOURCE_ADDRESS, at + 20, sources, visit)?;
        at += 20 + usize::from(sources) * 16 + usize::from(aux) * 4;
    }
    ControlFlow::Continue(())
}

fn walk_addresses(
    view: &View<'_>,
    field: &'static Field,
    first: usize,
    count: u16,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    let room = view.bytes().len().saturating_sub(first) / 16;
    for index in 0..usize::from(count).min(room) {
        view.put((field, first + index * 16, 16), visit)?;
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TARGET, seen};

    #[test]
    fn multicast_listeners() {
        let mut report = vec![143, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 0];
        report.extend(TARGET);
        report.extend([3, 0, 0, 1]);
        report.extend(TARGET);
        report.extend(TARGET);
        let seen_report = seen(&report);
        assert_eq!(seen_report.all("icmpv6.mldr.mar.record_type"), ["4", "3"]);
        assert_eq!(
            seen_report.all("icmpv6.mldr.mar.source_address"),
            ["fe80::1"]
        );
        let query = [&[130, 0, 0, 0, 0x27, 0x10, 0, 0], &TARGET[..]].concat();
        assert_eq!(
            seen(&query).all("icmpv6.mld.maximum_response_delay"),
            ["10000"]
        );
        let query = [&query[..], &[0x0a, 125, 0, 0]].concat();
        assert_eq!(
            seen(&query).all("icmpv6.mld.maximum_response_code"),
            ["10000"]
        );
        assert_eq!(seen(&query).all("icmpv6.mld.flag.s"), ["true"]);
        assert_eq!(seen(&query).all("icmpv6.mld.flag.qrv"), ["2"]);
    }
}
