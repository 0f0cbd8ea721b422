//! The options of TCP: what a SYN offers, selective acknowledgments, timestamps, multipath and the rest.
//!
//! Spec: RFC 9293 §3.2; each option has its own RFC, named with its fields.

use super::{
    ACK, AO_KEYID, AO_MAC, AO_RNEXTKEYID, CC_VALUE, ECHO_VALUE, EXP_DATA, EXP_EXID, MD5_DIGEST,
    MPTCP_ADDRID, MPTCP_DATA, MPTCP_FLAGS, MPTCP_RECVKEY, MPTCP_RECVTOK, MPTCP_RST_REASON,
    MPTCP_SENDHMAC, MPTCP_SENDKEY, MPTCP_SENDRAND, MPTCP_SUBTYPE, MPTCP_VERSION, MSS_VAL,
    OPTION_KIND, OPTION_LEN, QS_RATE, QS_TTL_DIFF, SACK_LE, SACK_RE, TFO_COOKIE, TFO_REQUEST,
    TSECR, TSVAL, UNKNOWN_PAYLOAD, USER_TO_GRANULARITY, USER_TO_VAL, WSCALE_SHIFT,
};
use crate::{
    field::{Field, Value, Visit},
    layer::View,
    line::Line,
    proto::options::{Opt, Options},
};
use std::ops::ControlFlow;

/// Option kinds with data of their own.
pub(super) mod kind {
    pub(in crate::proto::tcp) const MSS: u8 = 2;
    pub(in crate::proto::tcp) const WSCALE: u8 = 3;
    pub(in crate::proto::tcp) const SACK_PERMITTED: u8 = 4;
    pub(in crate::proto::tcp) const SACK: u8 = 5;
    pub(in crate::proto::tcp) const ECHO: u8 = 6;
    pub(in crate::proto::tcp) const ECHO_REPLY: u8 = 7;
    pub(in crate::proto::tcp) const TIMESTAMP: u8 = 8;
    pub(in crate::proto::tcp) const CC: u8 = 11;
    pub(in crate::proto::tcp) const CC_ECHO: u8 = 13;
    pub(in crate::proto::tcp) const MD5: u8 = 19;
    pub(in crate::proto::tcp) const QUICK_START: u8 = 27;
    pub(in crate::proto::tcp) const USER_TIMEOUT: u8 = 28;
    pub(in crate::proto::tcp) const AUTHENTICATION: u8 = 29;
    pub(in crate::proto::tcp) const MULTIPATH: u8 = 30;
    pub(in crate::proto::tcp) const FAST_OPEN: u8 = 34;
    pub(in crate::proto::tcp) const EXPERIMENT_1: u8 = 253;
    pub(in crate::proto::tcp) const EXPERIMENT_2: u8 = 254;
}

/// The experiment that became fast open (RFC 7413 appendix A).
const FAST_OPEN_EXPERIMENT: u64 = 0xf989;

pub(super) const KIND_NAMES: &[(u64, &str)] = &[
    (0, "end of options"),
    (1, "no operation"),
    (2, "maximum segment size"),
    (3, "window scale"),
    (4, "SACK permitted"),
    (5, "SACK"),
    (6, "echo"),
    (7, "echo reply"),
    (8, "timestamps"),
    (11, "connection count"),
    (12, "new connection count"),
    (13, "connection count echo"),
    (14, "alternate checksum request"),
    (15, "alternate checksum"),
    (19, "MD5 signature"),
    (20, "SCPS capabilities"),
    (21, "selective negative acknowledgment"),
    (27, "quick start"),
    (28, "user timeout"),
    (29, "authentication"),
    (30, "multipath TCP"),
    (34, "fast open"),
    (253, "experiment"),
    (254, "experiment"),
];

pub(super) const MPTCP_NAMES: &[(u64, &str)] = &[
    (0, "MP_CAPABLE"),
    (1, "MP_JOIN"),
    (2, "DSS"),
    (3, "ADD_ADDR"),
    (4, "REMOVE_ADDR"),
    (5, "MP_PRIO"),
    (6, "MP_FAIL"),
    (7, "MP_FASTCLOSE"),
    (8, "MP_TCPRST"),
];

/// What the options of a segment offer or report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Maximum segment size, in bytes.
    pub mss: Option<u16>,
    /// Window shift count, as on the wire: only up to 14 makes sense.
    pub window_scale: Option<u8>,
    /// Selective acknowledgments are welcome.
    pub sack_permitted: bool,
    /// Timestamp and its echo.
    pub timestamps: Option<(u32, u32)>,
    /// Bytes in the blocks of a selective acknowledgment.
    pub sacked: u32,
}

impl Offers {
    /// Reads the options of a segment.
    pub fn of(view: &View<'_>) -> Self {
        let mut offers = Self::default();
        for option in options(view) {
            match (option.kind, option.bytes.len()) {
                (kind::MSS, 4) => offers.mss = option.uint(2, 2).map(|n| n as u16),
                (kind::WSCALE, 3) => offers.window_scale = option.bytes.get(2).copied(),
                (kind::SACK_PERMITTED, 2) => offers.sack_permitted = true,
                (kind::SACK, len) => {
                    for at in (2..len.saturating_sub(7)).step_by(8) {
                        if let (Some(left), Some(right)) =
                            (option.uint(at, 4), option.uint(at + 4, 4))
                        {
                            let block = (right as u32).wrapping_sub(left as u32);
                            offers.sacked = offers.sacked.wrapping_add(block);
                        }
                    }
                }
                (kind::TIMESTAMP, 10) => {
                    offers.timestamps = option
                        .uint(2, 4)
                        .zip(option.uint(6, 4))
                        .map(|(value, echo)| (value as u32, echo as u32));
                }
                _ => {}
            }
        }
        offers
    }
}

pub(super) fn options<'a>(view: &View<'a>) -> Options<'a> {
    Options::of_tcp(view.header())
}

pub(super) fn walk_option(
    view: &View<'_>,
    option: &Opt<'_>,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    let len = option.bytes.len();
    let mut put = |field, at, len| option.put(view, (field, at, len), visit);
    put(&OPTION_KIND, 0, 1)?;
    put(&OPTION_LEN, 1, 1)?;
    match (option.kind, len) {
        (kind::MSS, 4) => put(&MSS_VAL, 2, 2),
        (kind::WSCALE, 3) => put(&WSCALE_SHIFT, 2, 1),
        (kind::SACK, _) => {
            let base = ack_base(view);
            for block in (2..len.saturating_sub(7)).step_by(8) {
                for (field, at) in [(&SACK_LE, block), (&SACK_RE, block + 4)] {
                    let edge = option.uint(at, 4).unwrap_or(0) as u32;
                    let value = Value::Uint(edge.wrapping_sub(base).into());
                    visit.field(field, value, view.bits(option.at + at, 4))?;
                }
            }
            ControlFlow::Continue(())
        }
        (kind::ECHO | kind::ECHO_REPLY, 6) => put(&ECHO_VALUE, 2, 4),
        (kind::TIMESTAMP, 10) => {
            put(&TSVAL, 2, 4)?;
            put(&TSECR, 6, 4)
        }
        (kind::CC..=kind::CC_ECHO, 6) => put(&CC_VALUE, 2, 4),
        (kind::MD5, 18) => put(&MD5_DIGEST, 2, 16),
        (kind::QUICK_START, 8) => {
            put(&QS_RATE, 2, 1)?;
            put(&QS_TTL_DIFF, 3, 1)
        }
        (kind::USER_TIMEOUT, 4) => {
            let Some(value) = option.uint(2, 2) else {
                return ControlFlow::Continue(());
            };
            let bits = view.bits(option.at + 2, 2);
            let second = bits.start + 1;
            visit.field(
                &USER_TO_GRANULARITY,
                Value::Bool(value >> 15 != 0),
                bits.start..second,
            )?;
            visit.field(&USER_TO_VAL, Value::Uint(value & 0x7fff), second..bits.end)
        }
        (kind::AUTHENTICATION, _) => {
            put(&AO_KEYID, 2, 1)?;
            put(&AO_RNEXTKEYID, 3, 1)?;
            put(&AO_MAC, 4, len.saturating_sub(4))
        }
        (kind::MULTIPATH, _) => walk_multipath(view, option, visit),
        (kind::FAST_OPEN, _) => walk_fast_open(view, option, 2, visit),
        (kind::EXPERIMENT_1 | kind::EXPERIMENT_2, _) => {
            put(&EXP_EXID, 2, 2)?;
            if option.uint(2, 2) == Some(FAST_OPEN_EXPERIMENT) {
                return walk_fast_open(view, option, 4, visit);
            }
            put(&EXP_DATA, 4, len.saturating_sub(4))
        }
        (kind, _)
            if KIND_NAMES
                .iter()
                .all(|(known, _)| *known != u64::from(kind)) =>
        {
            put(&UNKNOWN_PAYLOAD, 2, len.saturating_sub(2))
        }
        _ => ControlFlow::Continue(()),
    }
}

/// A request for a cookie is empty (RFC 7413 §4.1.1).
fn walk_fast_open(
    view: &View<'_>,
    option: &Opt<'_>,
    at: usize,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    match option.bytes.len().saturating_sub(at) {
        0 => visit.field(
            &TFO_REQUEST,
            Value::Mark,
            view.bits(option.at, option.bytes.len()),
        ),
        len => option.put(view, (&TFO_COOKIE, at, len), visit),
    }
}

fn walk_multipath(view: &View<'_>, option: &Opt<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let len = option.bytes.len();
    let Some(subtype) = option.uint(2, 1).map(|byte| byte >> 4) else {
        return ControlFlow::Continue(());
    };
    let upper = if subtype == 0 {
        &MPTCP_VERSION
    } else {
        &MPTCP_FLAGS
    };
    option.put_halves(view, (&MPTCP_SUBTYPE, upper, 2, 4), visit)?;
    let places: &[(&'static Field, usize, usize)] = match (subtype, len) {
        // MP_CAPABLE (RFC 8684 §3.1): flags, and the keys known so far.
        (0, _) => &[
            (&MPTCP_FLAGS, 3, 1),
            (&MPTCP_SENDKEY, 4, 8),
            (&MPTCP_RECVKEY, 12, 8),
        ],
        // MP_JOIN (RFC 8684 §3.2) as SYN, SYN,ACK and ACK.
        (1, 12) => &[
            (&MPTCP_ADDRID, 3, 1),
            (&MPTCP_RECVTOK, 4, 4),
            (&MPTCP_SENDRAND, 8, 4),
        ],
        (1, 16) => &[
            (&MPTCP_ADDRID, 3, 1),
            (&MPTCP_SENDHMAC, 4, 8),
            (&MPTCP_SENDRAND, 12, 4),
        ],
        (1, 24) => &[(&MPTCP_SENDHMAC, 4, 20)],
        // MP_FASTCLOSE and MP_TCPRST (RFC 8684 §3.5, §3.6).
        (7, 12) => &[(&MPTCP_RECVKEY, 4, 8)],
        (8, 4) => &[(&MPTCP_RST_REASON, 3, 1)],
        _ => return option.put(view, (&MPTCP_DATA, 3, len.saturating_sub(3)), visit),
    };
    for &place in places {
        option.put(view, place, visit)?;
    }
    ControlFlow::Continue(())
}

/// What relative acknowledgment numbers count from; 0 where they are not relative.
pub(super) fn ack_base(view: &View<'_>) -> u32 {
    match (view.u32(8), view.fact(&ACK)) {
        (Some(raw), Some(Value::Uint(relative))) => raw.wrapping_sub(relative as u32),
        _ => 0,
    }
}

/// SYN options as they are known, SACK blocks, timestamps; the others by their number in the tree only.
pub(super) fn line_option(option: &Opt<'_>, base: u32, line: &mut Line) {
    let number = |at, len| option.uint(at, len).unwrap_or(0);
    match (option.kind, option.bytes.len()) {
        (kind::MSS, 4) => line.add(format_args!("mss={}", number(2, 2))),
        (kind::WSCALE, 3) => line.add(format_args!("ws={}", number(2, 1))),
        (kind::SACK_PERMITTED, 2) => line.add(format_args!("sackOK")),
        (kind::TIMESTAMP, 10) => {
            line.add(format_args!("ts={}/{}", number(2, 4), number(6, 4)));
        }
        (kind::SACK, len) => {
            for at in (2..len.saturating_sub(7)).step_by(8) {
                let edge = |at| (number(at, 4) as u32).wrapping_sub(base);
                line.add(format_args!("sack={}-{}", edge(at), edge(at + 4)));
            }
        }
        (kind::MD5, _) => line.add(format_args!("md5")),
        (kind::AUTHENTICATION, _) => line.add(format_args!("tcp-ao")),
        (kind::MULTIPATH, _) => match MPTCP_SUBTYPE.value_name(number(2, 1) >> 4) {
            Some(name) => line.add(format_args!("mptcp={name}")),
            None => line.add(format_args!("mptcp")),
        },
        (kind::FAST_OPEN, 2) => line.add(format_args!("tfo=request")),
        (kind::FAST_OPEN, _) => line.add(format_args!("tfo=cookie")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        flag,
        tests::{seen, segment},
    };

    #[test]
    fn walks_every_option() {
        let options = [
            1, 5, 10, 0, 0, 0, 5, 0, 0, 0, 8, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 28, 4, 0x80, 5, 34, 2,
            254, 4, 0xab, 0xcd, 29, 5, 1, 2, 3, 99, 3, 7, 0,
        ];
        let seen = seen(&segment(flag::ACK, &options, &[]));
        assert_eq!(
            seen.all("tcp.option_kind"),
            ["1", "5", "8", "28", "34", "254", "29", "99", "0"]
        );
        let expected = [
            ("tcp.options.sack_le", "5"),
            ("tcp.options.sack_re", "8"),
            ("tcp.options.timestamp.tsval", "1"),
            ("tcp.options.timestamp.tsecr", "2"),
            ("tcp.options.user_to_granularity", "true"),
            ("tcp.options.user_to_val", "5"),
            ("tcp.options.tfo.request", ""),
            ("tcp.options.experimental.exid", "0xabcd"),
            ("tcp.options.ao.keyid", "1"),
            ("tcp.options.ao.rnextkeyid", "2"),
            ("tcp.options.ao.mac", "03"),
            ("tcp.options.unknown.payload", "07"),
        ];
        for (name, value) in expected {
            assert_eq!(seen.all(name), [value], "{name}");
        }
        assert!(seen.noticed.is_empty());
    }

    #[test]
    fn walks_multipath_options() {
        let mut capable = vec![30, 12, 0x01, 0x81];
        capable.extend([0, 0, 0, 0, 0, 0, 0, 5]);
        let seen_capable = seen(&segment(flag::SYN, &capable, &[]));
        assert_eq!(seen_capable.all("tcp.options.mptcp.subtype"), ["0"]);
        assert_eq!(seen_capable.all("tcp.options.mptcp.version"), ["1"]);
        assert_eq!(seen_capable.all("tcp.options.mptcp.flags"), ["0x81"]);
        assert_eq!(seen_capable.all("tcp.options.mptcp.sendkey"), ["5"]);
        let join = [30, 12, 0x10, 3, 0, 0, 0, 1, 0, 0, 0, 2];
        let seen_join = seen(&segment(flag::SYN, &join, &[]));
        assert_eq!(seen_join.all("tcp.options.mptcp.addrid"), ["3"]);
        assert_eq!(seen_join.all("tcp.options.mptcp.recvtok"), ["1"]);
        assert_eq!(seen_join.all("tcp.options.mptcp.sendrand"), ["2"]);
    }

    #[test]
    fn options_of_the_wrong_length_have_no_value_and_broken_ones_are_told_once() {
        let wrong = seen(&segment(flag::SYN, &[2, 3, 5, 0], &[]));
        assert_eq!(wrong.all("tcp.option_kind"), ["2", "0"]);
        assert!(wrong.all("tcp.options.mss_val").is_empty());
        let broken = seen(&segment(flag::SYN, &[1, 8, 10, 0], &[]));
        assert_eq!(broken.all("tcp.option_kind"), ["1"]);
        assert_eq!(broken.noticed.len(), 1);
    }
}
