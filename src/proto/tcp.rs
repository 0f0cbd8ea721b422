//! Transmission Control Protocol: a byte stream cut into numbered segments, acknowledged and paced.
//!
//! Spec: RFC 9293; the options are listed by IANA ("TCP Option Kind Numbers").
//!
//! ```text
//!  0         2         4                   8                   12        14
//! | src port | dst port | sequence number   | acknowledgment    | off,flags| window   |
//!  16        18        20
//! | checksum | urgent  | options (off * 4 - 20 bytes) | payload …
//! ```

use super::options::{Opt, Options};
use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use std::{fmt::Write as _, ops::ControlFlow};

const HEADER: usize = 20;

/// TCP.
pub static PROTOCOL: Protocol = Protocol {
    name: "tcp",
    label: "TCP",
    title: "Transmission Control Protocol",
    spec: "RFC 9293",
    claims: &[Claim::IpProto(6)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
};

crate::fields! {
    SRCPORT = Field::at("tcp.srcport", "Source port", Kind::Uint, 0, 16, "The port of the sending socket (RFC 9293 §3.1).");
    DSTPORT = Field::at("tcp.dstport", "Destination port", Kind::Uint, 2, 16, "The port of the receiving socket (RFC 9293 §3.1).");
    STREAM = Field::derived("tcp.stream", "Stream", Kind::Uint, "Number of the connection, in order of first packets.");
    SEQ = Field::derived("tcp.seq", "Sequence number", Kind::Uint, "Number of the first byte, counted from 0 at the connection's first sequence number.");
    SEQ_RAW = Field::at("tcp.seq_raw", "Sequence number (raw)", Kind::Uint, 4, 32, "Number of the first byte of payload, or of the SYN (RFC 9293 §3.4).");
    NXTSEQ = Field::derived("tcp.nxtseq", "Next sequence number", Kind::Uint, "The sequence number that the sender uses next.");
    ACK = Field::derived("tcp.ack", "Acknowledgment number", Kind::Uint, "The next byte that the sender expects, counted from the other side's first sequence number.");
    ACK_RAW = Field::at("tcp.ack_raw", "Acknowledgment number (raw)", Kind::Uint, 8, 32, "The next byte that the sender expects; without the ACK flag it means nothing (RFC 9293 §3.1).");
    FLAGS_RES = Field::bits("tcp.flags.res", "Reserved", Kind::Flag, (12, 4, 3), "Bits kept for later use, zero today (RFC 9293 §3.1).");
    FLAGS_AE = Field::bits("tcp.flags.ae", "Accurate ECN", Kind::Flag, (12, 7, 1), "Accurate ECN feedback; once the nonce sum (RFC 7560).");
    FLAGS_CWR = Field::bits("tcp.flags.cwr", "Congestion window reduced", Kind::Flag, (13, 0, 1), "The sender has slowed down, as the echo asked (RFC 3168 §6.1).");
    FLAGS_ECE = Field::bits("tcp.flags.ece", "ECN echo", Kind::Flag, (13, 1, 1), "A router marked congestion; on a SYN: ECN is offered (RFC 3168 §6.1).");
    FLAGS_URG = Field::bits("tcp.flags.urg", "Urgent", Kind::Flag, (13, 2, 1), "The urgent pointer counts (RFC 9293 §3.8.5).");
    FLAGS_ACK = Field::bits("tcp.flags.ack", "Acknowledgment", Kind::Flag, (13, 3, 1), "The acknowledgment number counts: set on all but the first segment (RFC 9293 §3.1).");
    FLAGS_PUSH = Field::bits("tcp.flags.push", "Push", Kind::Flag, (13, 4, 1), "Hand the data to the program now (RFC 9293 §3.9.1.2).");
    FLAGS_RESET = Field::bits("tcp.flags.reset", "Reset", Kind::Flag, (13, 5, 1), "The connection is refused or over, at once (RFC 9293 §3.5.2).");
    FLAGS_SYN = Field::bits("tcp.flags.syn", "Syn", Kind::Flag, (13, 6, 1), "Opens: the sequence number is the sender's first (RFC 9293 §3.5).");
    FLAGS_FIN = Field::bits("tcp.flags.fin", "Fin", Kind::Flag, (13, 7, 1), "Closes: the sender has no more data (RFC 9293 §3.6).");
    WINDOW_SIZE_VALUE = Field::at("tcp.window_size_value", "Window", Kind::Uint, 14, 16, "Bytes that the sender has room for, before scaling (RFC 9293 §3.8.6).");
    WINDOW_SIZE = Field::derived("tcp.window_size", "Calculated window size", Kind::Uint, "Bytes that the sender has room for, scaled where the handshake agreed on it (RFC 7323 §2).");
    WINDOW_SIZE_SCALEFACTOR = Field::derived("tcp.window_size_scalefactor", "Window size scaling factor", Kind::Int, "What the window is multiplied by; -1 when the handshake was not seen, -2 when scaling is not used.");
    CHECKSUM = Field::at("tcp.checksum", "Checksum", Kind::Hex(4), 16, 16, "Over pseudo-header, header and payload (RFC 9293 §3.1).");
    URGENT_POINTER = Field::at("tcp.urgent_pointer", "Urgent pointer", Kind::Uint, 18, 16, "Where urgent data ends, from the sequence number; counts with URG only (RFC 9293 §3.8.5).");
    HDR_LEN = Field::walked("tcp.hdr_len", "Header length", Kind::Uint, "Bytes of header with options: four times the data offset field (RFC 9293 §3.1).");
    LEN = Field::walked("tcp.len", "Segment length", Kind::Uint, "Bytes of payload on the wire.");
    OPTION_KIND = Field::walked("tcp.option_kind", "Option", Kind::Uint, "Which option (IANA TCP Option Kind Numbers).").many();
    MSS_VAL = Field::walked("tcp.options.mss_val", "Maximum segment size", Kind::Uint, "The largest payload that the sender takes in one segment (RFC 9293 §3.7.1).").many();
    WSCALE_SHIFT = Field::walked("tcp.options.wscale.shift", "Window shift count", Kind::Uint, "The sender's windows count in units of two to this power (RFC 7323 §2).").many();
    SACK_LE = Field::walked("tcp.options.sack_le", "SACK left edge", Kind::Uint, "First byte of a block received out of order, counted as tcp.ack is (RFC 2018 §3).").many();
    SACK_RE = Field::walked("tcp.options.sack_re", "SACK right edge", Kind::Uint, "First byte after that block (RFC 2018 §3).").many();
    TSVAL = Field::walked("tcp.options.timestamp.tsval", "Timestamp", Kind::Uint, "The sender's clock (RFC 7323 §3).").many();
    TSECR = Field::walked("tcp.options.timestamp.tsecr", "Timestamp echo", Kind::Uint, "The last timestamp received, sent back (RFC 7323 §3).").many();
}

/// The flag bits of bytes 12 and 13, as [`Segment::flags`] holds them.
pub mod flag {
    /// The sender has no more data.
    pub const FIN: u16 = 0x01;
    /// Opens a connection.
    pub const SYN: u16 = 0x02;
    /// Refuses or ends at once.
    pub const RST: u16 = 0x04;
    /// Hand the data to the program.
    pub const PSH: u16 = 0x08;
    /// The acknowledgment number counts.
    pub const ACK: u16 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u16 = 0x20;
    /// ECN echo.
    pub const ECE: u16 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u16 = 0x80;
    /// Accurate ECN.
    pub const AE: u16 = 0x100;
}

/// The order in which a line names flags.
const FLAG_NAMES: &[(u16, &str)] = &[
    (flag::SYN, "SYN"),
    (flag::FIN, "FIN"),
    (flag::RST, "RST"),
    (flag::PSH, "PSH"),
    (flag::ACK, "ACK"),
    (flag::URG, "URG"),
    (flag::ECE, "ECE"),
    (flag::CWR, "CWR"),
    (flag::AE, "AE"),
];

/// Option kinds.
mod kind {
    pub(super) const MSS: u8 = 2;
    pub(super) const WSCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMP: u8 = 8;
}

/// What the state of a connection depends on, read from one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Source and destination port.
    pub ports: (u16, u16),
    /// Sequence number as on the wire.
    pub seq: u32,
    /// Acknowledgment number as on the wire; means nothing without [`flag::ACK`].
    pub ack: u32,
    /// The twelve bits after the data offset: see [`flag`].
    pub flags: u16,
    /// Window as on the wire, not scaled.
    pub window: u16,
    /// Bytes of payload on the wire, also where the capture cut them.
    pub len: u32,
}

impl Segment {
    /// Reads the fixed part of the header; `None` where it was cut.
    pub fn of(view: &View<'_>) -> Option<Self> {
        let header = view.header().first_chunk::<HEADER>()?;
        let u16_at = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
        Some(Self {
            ports: (u16_at(0), u16_at(2)),
            seq: u32_at(4),
            ack: u32_at(8),
            flags: u16_at(12) & 0xfff,
            window: u16_at(14),
            len: view.payload_wire(),
        })
    }

    /// All of these flags are set.
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// The sequence number after this segment: SYN and FIN count as one byte each (RFC 9293 §3.4).
    pub const fn next_seq(&self) -> u32 {
        let phantom = (self.flags & (flag::SYN | flag::FIN) != 0) as u32;
        self.seq.wrapping_add(self.len).wrapping_add(phantom)
    }
}

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

fn options<'a>(view: &View<'a>) -> Options<'a> {
    Options::new(view.header(), HEADER)
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    use etherparse::{TcpHeaderSlice, err::tcp::HeaderSliceError};
    match TcpHeaderSlice::from_slice(bytes) {
        Ok(header) => {
            let (a, b) = (header.source_port(), header.destination_port());
            let next = Next::Either(Claim::TcpPort(a.min(b)), Claim::TcpPort(a.max(b)));
            Dissected::new(header.slice().len(), next, context)
        }
        Err(HeaderSliceError::Len(missing)) => {
            Dissected::short(bytes, context, missing.required_len)
        }
        Err(HeaderSliceError::Content(_)) => Dissected::new(HEADER, Next::End, context)
            .with(Problem::malformed("data offset is below 5")),
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(segment) = Segment::of(view) else {
        return ControlFlow::Continue(());
    };
    let hdr_len = u64::from(view.u8(12).unwrap_or(0) >> 4) * 4;
    let offset = view.bits(12, 1);
    visit.field(
        &HDR_LEN,
        Value::Uint(hdr_len),
        offset.start..offset.start + 4,
    )?;
    visit.field(&LEN, Value::Uint(segment.len.into()), 0..0)?;
    for option in options(view) {
        walk_option(view, &option, visit)?;
    }
    ControlFlow::Continue(())
}

fn walk_option(view: &View<'_>, option: &Opt<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let mut number = |field: &'static Field, at: usize, len: usize| match option.uint(at, len) {
        Some(n) => visit.field(field, Value::Uint(n), view.bits(option.at + at, len)),
        None => ControlFlow::Continue(()),
    };
    number(&OPTION_KIND, 0, 1)?;
    match option.kind {
        kind::MSS => number(&MSS_VAL, 2, 2)?,
        kind::WSCALE => number(&WSCALE_SHIFT, 2, 1)?,
        kind::TIMESTAMP => {
            number(&TSVAL, 2, 4)?;
            number(&TSECR, 6, 4)?;
        }
        _ => {}
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let Some(segment) = Segment::of(view) else {
        return;
    };
    line.sockets(view.addresses(), segment.ports);
    line.info.clear();
    if line.options.quick {
        line.add(format_args!("len={}", segment.len));
        return;
    }
    let flags = FLAG_NAMES.iter().filter(|(bit, _)| segment.has(*bit));
    for (n, (_, name)) in flags.enumerate() {
        line.info.push_str(if n == 0 { "" } else { "," });
        line.info.push_str(name);
    }
    let relative = |field, raw: u32| match view.fact(field) {
        Some(Value::Uint(n)) if !line.options.absolute => n,
        _ => raw.into(),
    };
    let (seq, ack) = (relative(&SEQ, segment.seq), relative(&ACK, segment.ack));
    let window = match view.fact(&WINDOW_SIZE) {
        Some(Value::Uint(n)) => n,
        _ => segment.window.into(),
    };
    // Writing to a String cannot fail.
    let _ = write!(line.info, "  seq={seq}");
    if segment.has(flag::ACK) {
        let _ = write!(line.info, " ack={ack}");
    }
    let _ = write!(line.info, " win={window}");
    if segment.len > 0 {
        let _ = write!(line.info, " len={}", segment.len);
    }
    for option in options(view) {
        line_option(&option, (segment.ack as u64).wrapping_sub(ack) as u32, line);
    }
}

fn line_option(option: &Opt<'_>, base: u32, line: &mut Line) {
    let _ = base;
    let number = |at, len| option.uint(at, len).unwrap_or(0);
    match (option.kind, option.bytes.len()) {
        (kind::MSS, 4) => line.add(format_args!("mss={}", number(2, 2))),
        (kind::WSCALE, 3) => line.add(format_args!("ws={}", number(2, 1))),
        (kind::SACK_PERMITTED, 2) => line.add(format_args!("sackOK")),
        (kind::TIMESTAMP, 10) => {
            line.add(format_args!("ts={}/{}", number(2, 4), number(6, 4)));
        }
        (kind::SACK, _) => {
            for block in option.data().chunks_exact(8) {
                let edge = |at: usize| {
                    u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
                        .wrapping_sub(base)
                };
                line.add(format_args!("sack={}-{}", edge(0), edge(4)));
            }
        }
        _ => {}
    }
}
