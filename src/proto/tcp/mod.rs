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

mod craft;
mod option;

pub use option::Offers;

use super::verify::{self, status};
use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use std::{fmt::Write as _, ops::ControlFlow};

const HEADER: usize = 20;
/// The two ports.
const PORTS: u32 = 4;
/// Ports, numbers, flags and window: all that tells of the connection.
const NUMBERS: usize = 16;
const IP_PROTO: u8 = 6;

/// TCP.
pub static PROTOCOL: Protocol = Protocol {
    name: "tcp",
    label: "TCP",
    title: "Transmission Control Protocol",
    spec: "RFC 9293",
    claims: &[Claim::IpProto(IP_PROTO)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&craft::CRAFT),
};

crate::fields! {
    SRCPORT = Field::at("tcp.srcport", "Source port", Kind::Uint, 0, 16, "The port of the sending socket (RFC 9293 §3.1).");
    DSTPORT = Field::at("tcp.dstport", "Destination port", Kind::Uint, 2, 16, "The port of the receiving socket (RFC 9293 §3.1).");
    STREAM = Field::derived("tcp.stream", "Stream", Kind::Uint, "Number of the connection, counted from 0 in the order of first packets.");
    SEQ = Field::derived("tcp.seq", "Sequence number", Kind::Uint, "Number of the first byte, counted from 0 at the connection's first sequence number (RFC 9293 §3.4).");
    SEQ_RAW = Field::at("tcp.seq_raw", "Sequence number (raw)", Kind::Uint, 4, 32, "Number of the first byte of payload, or of the SYN (RFC 9293 §3.4).").unquoted();
    NXTSEQ = Field::derived("tcp.nxtseq", "Next sequence number", Kind::Uint, "The sequence number that the sender uses next; SYN and FIN count as one byte (RFC 9293 §3.4).");
    ACK = Field::derived("tcp.ack", "Acknowledgment number", Kind::Uint, "The next byte that the sender expects, counted from the other side's first sequence number (RFC 9293 §3.4).");
    ACK_RAW = Field::at("tcp.ack_raw", "Acknowledgment number (raw)", Kind::Uint, 8, 32, "The next byte that the sender expects; without the ACK flag it means nothing (RFC 9293 §3.1).");
    FLAGS_RES = Field::bits("tcp.flags.res", "Reserved", Kind::Flag, (12, 4, 3), "Bits kept for later use, zero today (RFC 9293 §3.1).");
    FLAGS_AE = Field::bits("tcp.flags.ae", "Accurate ECN", Kind::Flag, (12, 7, 1), "Accurate ECN feedback; once the nonce sum (RFC 9768 §3.1).");
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
    WINDOW_SIZE_SCALEFACTOR = Field::derived("tcp.window_size_scalefactor", "Window size scaling factor", Kind::Int, "What the window is multiplied by; -1 when the handshake was not seen, -2 when scaling is not used (RFC 7323 §2.2).");
    CHECKSUM = Field::at("tcp.checksum", "Checksum", Kind::Hex(4), 16, 16, "Over pseudo-header, header and payload (RFC 9293 §3.1).");
    URGENT_POINTER = Field::at("tcp.urgent_pointer", "Urgent pointer", Kind::Uint, 18, 16, "Where urgent data ends, from the sequence number; counts with URG only (RFC 9293 §3.8.5).");
    HDR_LEN = Field::walked("tcp.hdr_len", "Header length", Kind::Uint, "Bytes of header with options: four times the data offset field (RFC 9293 §3.1).");
    LEN = Field::walked("tcp.len", "Segment length", Kind::Uint, "Bytes of payload on the wire (RFC 9293 §3.3.1).");
    CHECKSUM_STATUS = Field::walked("tcp.checksum.status", "Checksum status", Kind::Uint, "Wireshark's number for the outcome of the check.").names(status::NAMES);
    VERDICT = Field::walked("sockwire.checksum", "Checksum verdict", Kind::Text, "Whether the checksum is right, wrong, left to the device, or cannot be told.");
    OPTION_KIND = Field::walked("tcp.option_kind", "Option", Kind::Uint, "Which option (IANA TCP Option Kind Numbers).").many().names(option::KIND_NAMES);
    OPTION_LEN = Field::walked("tcp.option_len", "Option length", Kind::Uint, "Bytes of option with kind and length (RFC 9293 §3.2).").many();
    MSS_VAL = Field::walked("tcp.options.mss_val", "Maximum segment size", Kind::Uint, "The largest payload that the sender takes in one segment (RFC 9293 §3.7.1).").many();
    WSCALE_SHIFT = Field::walked("tcp.options.wscale.shift", "Window shift count", Kind::Uint, "The sender's windows count in units of two to this power (RFC 7323 §2).").many();
    SACK_LE = Field::walked("tcp.options.sack_le", "SACK left edge", Kind::Uint, "First byte of a block received out of order, counted as tcp.ack is (RFC 2018 §3).").many();
    SACK_RE = Field::walked("tcp.options.sack_re", "SACK right edge", Kind::Uint, "First byte after that block (RFC 2018 §3).").many();
    TSVAL = Field::walked("tcp.options.timestamp.tsval", "Timestamp", Kind::Uint, "The sender's clock (RFC 7323 §3).").many();
    TSECR = Field::walked("tcp.options.timestamp.tsecr", "Timestamp echo", Kind::Uint, "The last timestamp received, sent back (RFC 7323 §3).").many();
    ECHO_VALUE = Field::walked("tcp.options.echo_value", "Echo", Kind::Uint, "Data to echo, or echoed; made obsolete by timestamps (RFC 1072 §3).").many();
    CC_VALUE = Field::walked("tcp.options.cc_value", "Connection count", Kind::Uint, "Of T/TCP, long out of use (RFC 1644 §3.1).").many();
    MD5_DIGEST = Field::walked("tcp.options.md5.digest", "MD5 digest", Kind::Bytes, "Signs the segment with a shared secret (RFC 2385 §2).").many();
    AO_KEYID = Field::walked("tcp.options.ao.keyid", "Key ID", Kind::Uint, "Which key signs the segment (RFC 5925 §2.2).").many();
    AO_RNEXTKEYID = Field::walked("tcp.options.ao.rnextkeyid", "Next key ID", Kind::Uint, "Which key the sender wants to receive with next (RFC 5925 §2.2).").many();
    AO_MAC = Field::walked("tcp.options.ao.mac", "Authentication code", Kind::Bytes, "Signs segment and connection (RFC 5925 §2.2).").many();
    USER_TO_GRANULARITY = Field::walked("tcp.options.user_to_granularity", "User timeout in minutes", Kind::Flag, "The time-out counts minutes, not seconds (RFC 5482 §3).").many();
    USER_TO_VAL = Field::walked("tcp.options.user_to_val", "User timeout", Kind::Uint, "How long unacknowledged data may stay out (RFC 5482 §3).").many();
    QS_RATE = Field::walked("tcp.options.qs.rate", "Quick start rate", Kind::Uint, "The rate granted: 40 kbit/s times two to this power (RFC 4782 §3.2).").many();
    QS_TTL_DIFF = Field::walked("tcp.options.qs.ttl_diff", "Quick start TTL difference", Kind::Uint, "The same on the whole way when every router agreed (RFC 4782 §3.2).").many();
    TFO_REQUEST = Field::walked("tcp.options.tfo.request", "Fast open cookie request", Kind::Mark, "The client asks for a cookie (RFC 7413 §2).").many();
    TFO_COOKIE = Field::walked("tcp.options.tfo.cookie", "Fast open cookie", Kind::Bytes, "Proves that the client's address is its own (RFC 7413 §2).").many();
    EXP_EXID = Field::walked("tcp.options.experimental.exid", "Experiment", Kind::Hex(4), "Which experiment shares the option kind (RFC 6994 §3).").many();
    EXP_DATA = Field::walked("tcp.options.experimental.data", "Experiment data", Kind::Bytes, "Data of the experiment (RFC 6994 §3).").many();
    UNKNOWN_PAYLOAD = Field::walked("tcp.options.unknown.payload", "Option data", Kind::Bytes, "Data of an option that is not decoded (RFC 9293 §3.2).").many();
    MPTCP_SUBTYPE = Field::walked("tcp.options.mptcp.subtype", "Multipath subtype", Kind::Uint, "What the multipath option does (RFC 8684 §8.1).").many().names(option::MPTCP_NAMES);
    MPTCP_VERSION = Field::walked("tcp.options.mptcp.version", "Multipath version", Kind::Uint, "0 (RFC 6824) or 1 (RFC 8684 §3.1).").many();
    MPTCP_FLAGS = Field::walked("tcp.options.mptcp.flags", "Multipath flags", Kind::Hex(2), "Flags of the subtype (RFC 8684 §3).").many();
    MPTCP_SENDKEY = Field::walked("tcp.options.mptcp.sendkey", "Sender's key", Kind::Uint, "Proves later that further paths belong to this connection (RFC 8684 §3.1).").many();
    MPTCP_RECVKEY = Field::walked("tcp.options.mptcp.recvkey", "Receiver's key", Kind::Uint, "The other side's key, sent back (RFC 8684 §3.1).").many();
    MPTCP_ADDRID = Field::walked("tcp.options.mptcp.addrid", "Address ID", Kind::Uint, "Names an address without writing it (RFC 8684 §3.2).").many();
    MPTCP_RECVTOK = Field::walked("tcp.options.mptcp.recvtok", "Receiver's token", Kind::Uint, "Names the connection to join (RFC 8684 §3.2).").many();
    MPTCP_SENDRAND = Field::walked("tcp.options.mptcp.sendrand", "Sender's random number", Kind::Uint, "Makes the proof fresh (RFC 8684 §3.2).").many();
    MPTCP_SENDHMAC = Field::walked("tcp.options.mptcp.sendhmac", "Sender's HMAC", Kind::Bytes, "The proof that the sender knows the keys (RFC 8684 §3.2).").many();
    MPTCP_RST_REASON = Field::walked("tcp.options.mptcp.rst_reason", "Reset reason", Kind::Hex(2), "Why the path was closed (RFC 8684 §3.6).").many();
    MPTCP_DATA = Field::walked("sockwire.tcp.mptcp.data", "Multipath data", Kind::Bytes, "What follows the subtype (RFC 8684 §3).").many();
    SEGMENT_COUNT = Field::derived("tcp.segment.count", "Segments put together", Kind::Uint, "Segments that the message ending here came in, this one included.");
    REASSEMBLED_LENGTH = Field::derived("tcp.reassembled.length", "Length put together", Kind::Uint, "Bytes of those segments that were put together.");
    COMPLETENESS = Field::derived("tcp.completeness", "Completeness", Kind::Uint, "What the stream has shown so far: 1 SYN, 2 SYN,ACK, 4 ACK, 8 data, 16 FIN, 32 RST, summed up; 31 is a whole connection.");
    CLIENT_STATE = Field::derived("sockwire.tcp.client_state", "State of the client", Kind::Text, "Where the end that opened stands after this segment (RFC 9293 §3.3.2).");
    SERVER_STATE = Field::derived("sockwire.tcp.server_state", "State of the server", Kind::Text, "Where the other end stands after this segment (RFC 9293 §3.3.2).");
    UNEXPECTED = Field::derived("sockwire.tcp.unexpected", "Unexpected in this state", Kind::Text, "Why the receiver does not expect this segment in its state (RFC 9293 §3.10.7).");
    CONNECTION_SYN = Field::derived("tcp.connection.syn", "Connection request", Kind::Mark, "A SYN asks to open (RFC 9293 §3.5).");
    CONNECTION_SYNACK = Field::derived("tcp.connection.synack", "Connection acknowledged", Kind::Mark, "A SYN,ACK agrees to open (RFC 9293 §3.5).");
    CONNECTION_FIN = Field::derived("tcp.connection.fin", "Connection finish", Kind::Mark, "A FIN: its sender has no more data (RFC 9293 §3.6).");
    CONNECTION_FIN_ACTIVE = Field::derived("tcp.connection.fin_active", "Active close", Kind::Mark, "The first FIN of the connection: its sender closes first (RFC 9293 §3.6).");
    CONNECTION_FIN_PASSIVE = Field::derived("tcp.connection.fin_passive", "Passive close", Kind::Mark, "The FIN of the side that closes second (RFC 9293 §3.6).");
    CONNECTION_RST = Field::derived("tcp.connection.rst", "Connection reset", Kind::Mark, "A RST refuses or ends the connection at once (RFC 9293 §3.5.2).");
    TIME_RELATIVE = Field::derived("tcp.time_relative", "Time since the first segment", Kind::Duration, "Since the first segment of this stream.");
    TIME_DELTA = Field::derived("tcp.time_delta", "Time since the last segment", Kind::Duration, "Since the segment before it in this stream.");
    A_INITIAL_RTT = Field::derived("tcp.analysis.initial_rtt", "Initial round trip", Kind::Duration, "From the last SYN to the ACK that ended the handshake.");
    A_ACKS_FRAME = Field::derived("tcp.analysis.acks_frame", "Acknowledges packet", Kind::Uint, "The packet that ends where this ACK says.");
    A_ACK_RTT = Field::derived("tcp.analysis.ack_rtt", "Round trip of the ACK", Kind::Duration, "From that packet to this ACK.");
    A_BYTES_IN_FLIGHT = Field::derived("tcp.analysis.bytes_in_flight", "Bytes in flight", Kind::Uint, "Bytes sent and not acknowledged, this segment's included.");
    A_PUSH_BYTES_SENT = Field::derived("tcp.analysis.push_bytes_sent", "Bytes since the last PSH", Kind::Uint, "Bytes sent since the last segment with PSH, this segment's included.");
    A_FLAGS = Field::derived("tcp.analysis.flags", "Analysis", Kind::Mark, "The analysis has something to say of this segment.");
    A_RETRANSMISSION = Field::derived("tcp.analysis.retransmission", "retransmission", Kind::Mark, "What it carries was sent before (RFC 9293 §3.8.1).");
    A_FAST_RETRANSMISSION = Field::derived("tcp.analysis.fast_retransmission", "fast retransmission", Kind::Mark, "Sent again because duplicate ACKs asked for it (RFC 5681 §3.2).");
    A_SPURIOUS_RETRANSMISSION = Field::derived("tcp.analysis.spurious_retransmission", "spurious retransmission", Kind::Mark, "Sent again although it was acknowledged before.");
    A_OUT_OF_ORDER = Field::derived("tcp.analysis.out_of_order", "out of order", Kind::Mark, "It was overtaken on the way.");
    A_LOST_SEGMENT = Field::derived("tcp.analysis.lost_segment", "previous segment not captured", Kind::Mark, "Bytes before it are missing from the capture so far.");
    A_ACK_LOST_SEGMENT = Field::derived("tcp.analysis.ack_lost_segment", "acknowledges an unseen segment", Kind::Mark, "It acknowledges bytes that are not in the capture.");
    A_DUPLICATE_ACK = Field::derived("tcp.analysis.duplicate_ack", "duplicate ACK", Kind::Mark, "The same acknowledgment again: something arrived out of order (RFC 5681 §2).");
    A_DUPLICATE_ACK_NUM = Field::derived("tcp.analysis.duplicate_ack_num", "Number of the duplicate", Kind::Uint, "Which duplicate it is, counted from 1.");
    A_DUPLICATE_ACK_FRAME = Field::derived("tcp.analysis.duplicate_ack_frame", "Duplicate of packet", Kind::Uint, "The packet whose acknowledgment it repeats.");
    A_KEEP_ALIVE = Field::derived("tcp.analysis.keep_alive", "keep-alive", Kind::Mark, "Asks whether the other side is still there (RFC 9293 §3.8.4).");
    A_KEEP_ALIVE_ACK = Field::derived("tcp.analysis.keep_alive_ack", "answer to a keep-alive", Kind::Mark, "The other side is still there (RFC 9293 §3.8.4).");
    A_ZERO_WINDOW = Field::derived("tcp.analysis.zero_window", "zero window", Kind::Mark, "Its sender has no room for data (RFC 9293 §3.8.6.1).");
    A_ZERO_WINDOW_PROBE = Field::derived("tcp.analysis.zero_window_probe", "zero window probe", Kind::Mark, "One byte that asks whether there is room again (RFC 9293 §3.8.6.1).");
    A_ZERO_WINDOW_PROBE_ACK = Field::derived("tcp.analysis.zero_window_probe_ack", "answer to a zero window probe", Kind::Mark, "There is still no room (RFC 9293 §3.8.6.1).");
    A_WINDOW_FULL = Field::derived("tcp.analysis.window_full", "window full", Kind::Mark, "It fills the window of the other side.");
    A_WINDOW_UPDATE = Field::derived("tcp.analysis.window_update", "window update", Kind::Mark, "It only announces another window.");
    A_REUSED_PORTS = Field::derived("tcp.analysis.reused_ports", "port numbers reused", Kind::Mark, "The same sockets connect anew, with another first sequence number.");
    A_RTO = Field::derived("tcp.analysis.rto", "Time until sent again", Kind::Duration, "Since the segment that is sent again.");
    A_RTO_FRAME = Field::derived("tcp.analysis.rto_frame", "Sends again packet", Kind::Uint, "The packet whose bytes are sent again.");
    SRTT = Field::derived("sockwire.tcp.srtt", "EstimatedRTT", Kind::Duration, "The smoothed round trip of the side that gets this ACK (SRTT, RFC 6298 §2).");
    RTTVAR = Field::derived("sockwire.tcp.rttvar", "DevRTT", Kind::Duration, "How much its round trips vary (RTTVAR, RFC 6298 §2).");
    RTO = Field::derived("sockwire.tcp.rto", "RTO", Kind::Duration, "Its retransmission time-out, at least one second (RFC 6298 §2.4).");
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
    /// How long it is cannot be told: it is quoted, lies in a fragment, or says so wrongly.
    pub partial: bool,
}

impl Segment {
    /// Reads the fixed part of the header; `None` where it was cut before the end of the window.
    pub fn of(view: &View<'_>) -> Option<Self> {
        let header = view.header().first_chunk::<NUMBERS>()?;
        let u16_at = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
        let hdr_len = u32::from(header[12] >> 4) * 4;
        Some(Self {
            ports: (u16_at(0), u16_at(2)),
            seq: u32_at(4),
            ack: u32_at(8),
            flags: u16_at(12) & 0xfff,
            window: u16_at(14),
            len: view.layer.wire.saturating_sub(hdr_len),
            partial: view.layer.quoted
                || !(HEADER as u32..=view.layer.wire).contains(&hdr_len)
                || verify::is_fragment(view),
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

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    use etherparse::{TcpHeaderSlice, err::tcp::HeaderSliceError};
    match TcpHeaderSlice::from_slice(bytes) {
        Ok(header) => {
            let (a, b) = (header.source_port(), header.destination_port());
            let next = Next::Either(Claim::TcpPort(a.min(b)), Claim::TcpPort(a.max(b)));
            Dissected::new(header.slice().len(), next, context)
        }
        Err(HeaderSliceError::Len(missing)) => {
            let mut found = Dissected::short(bytes, context, missing.required_len);
            if bytes.len() < NUMBERS {
                // Wireshark shows no more of such a header than its ports.
                found.header = found.header.min(PORTS);
            }
            found
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
    if !segment.partial {
        visit.field(&LEN, Value::Uint(segment.len.into()), 0..0)?;
    }
    let verdict = verify::with_pseudo_header(view, IP_PROTO, 16);
    // Wireshark sums up as much of a segment as was quoted, and finds it bad.
    let number = if verify::is_quoted_in_part(view) {
        status::BAD
    } else {
        verify::number(verdict)
    };
    verify::show((&CHECKSUM_STATUS, &VERDICT), number, verdict, visit)?;
    let mut options = option::options(view);
    for found in options.by_ref() {
        option::walk_option(view, &found, visit)?;
    }
    if options.is_broken() && view.layer.problem.is_none() {
        visit.problem(Problem::malformed("an option does not fit the header"));
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let Some(segment) = Segment::of(view) else {
        return;
    };
    line.sockets(view.addresses(), segment.ports);
    if line.info_kept {
        return;
    }
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
    let base = if line.options.absolute {
        0
    } else {
        option::ack_base(view)
    };
    for found in option::options(view) {
        option::line_option(&found, base, line);
    }
    line_verdicts(view, line);
}

/// What the analysis says, in brackets. Of a repetition only the kind is named.
fn line_verdicts(view: &View<'_>, line: &mut Line) {
    let is_kind =
        |field: &Field| field.is(&A_FAST_RETRANSMISSION) || field.is(&A_SPURIOUS_RETRANSMISSION);
    let facts = || {
        view.packet
            .facts
            .iter()
            .filter(|fact| usize::from(fact.layer) == view.index)
    };
    let has_kind = facts().any(|fact| is_kind(fact.field));
    for fact in facts() {
        let field = fact.field;
        let said = field.name.starts_with("tcp.analysis.") && fact.value == Value::Mark;
        if said && !field.is(&A_FLAGS) && !(has_kind && field.is(&A_RETRANSMISSION)) {
            let _ = write!(line.info, " [{}]", field.title);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{Seen, chain, cut_everywhere, seen as seen_as},
    };

    const CLAIM: Claim = Claim::IpProto(IP_PROTO);

    pub(super) fn segment(flags: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x9c, 0x40, 0x13, 0x88, 0, 0, 0, 7, 0, 0, 0, 9];
        let offset = (HEADER + options.len()) as u16 / 4;
        bytes.extend((offset << 12 | flags).to_be_bytes());
        bytes.extend([0xff, 0xd7, 0xbe, 0xef, 0, 3]);
        bytes.extend(options);
        bytes.extend(payload);
        bytes
    }

    pub(super) fn seen(bytes: &[u8]) -> Seen {
        seen_as(&PROTOCOL, CLAIM, bytes)
    }

    #[test]
    fn shows_the_fixed_fields() {
        let seen = seen(&segment(flag::PSH | flag::ACK | flag::ECE, &[], b"hello"));
        let expected = [
            ("tcp.srcport", "40000"),
            ("tcp.dstport", "5000"),
            ("tcp.seq_raw", "7"),
            ("tcp.ack_raw", "9"),
            ("tcp.flags.res", "false"),
            ("tcp.flags.ece", "true"),
            ("tcp.flags.ack", "true"),
            ("tcp.flags.push", "true"),
            ("tcp.flags.syn", "false"),
            ("tcp.window_size_value", "65495"),
            ("tcp.checksum", "0xbeef"),
            ("tcp.urgent_pointer", "3"),
            ("tcp.hdr_len", "20"),
            ("tcp.len", "5"),
            ("tcp.checksum.status", "2"),
            ("sockwire.checksum", "unknown"),
        ];
        for (name, value) in expected {
            assert_eq!(seen.all(name), [value], "{name}");
        }
    }

    #[test]
    fn the_line_names_flags_and_what_a_syn_offers() {
        let options = [2, 4, 0xff, 0xd7, 4, 2, 3, 3, 7, 0, 0, 0];
        let syn = seen(&segment(flag::SYN, &options, &[]));
        assert_eq!(
            syn.line,
            "40000 → 5000 SYN  seq=7 win=65495 mss=65495 sackOK ws=7"
        );
        let data = seen(&segment(flag::PSH | flag::ACK, &[], b"hello"));
        assert_eq!(
            data.line,
            "40000 → 5000 PSH,ACK  seq=7 ack=9 win=65495 len=5"
        );
        for (flags, names) in [
            (flag::SYN | flag::ACK, "SYN,ACK"),
            (flag::FIN | flag::ACK, "FIN,ACK"),
            (flag::RST | flag::ACK, "RST,ACK"),
            (flag::ACK, "ACK"),
        ] {
            let line = seen(&segment(flags, &[], &[])).line;
            assert!(line.contains(&format!("5000 {names}  seq=7")), "{line}");
        }
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        let options = [2, 4, 5, 0xb4, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1];
        let bytes = segment(flag::SYN, &options, b"hello");
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, HEADER + options.len());
    }

    #[test]
    fn a_header_cut_after_the_window_still_tells_of_the_connection() {
        let bytes = segment(flag::SYN, &[], &[]);
        let cut = |len| chain(&[(&PROTOCOL, CLAIM)], &bytes[..len], bytes.len());
        assert_eq!(cut(16).all("tcp.hdr_len"), ["20"]);
        assert_eq!(cut(16).all("tcp.len"), ["0"]);
        assert!(cut(16).all("tcp.checksum").is_empty());
        assert!(cut(15).all("tcp.hdr_len").is_empty());
        assert_eq!(cut(15).all("tcp.dstport"), ["5000"]);
        assert!(cut(15).all("tcp.seq_raw").is_empty());
    }

    #[test]
    fn a_data_offset_below_five_is_malformed() {
        let mut bytes = segment(flag::SYN, &[], &[]);
        bytes[12] = 0x40;
        assert_eq!(seen(&bytes).problem(), Some(ProblemKind::Malformed));
        assert!(seen(&bytes).all("tcp.len").is_empty());
    }
}
