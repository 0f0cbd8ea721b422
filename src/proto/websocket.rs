//! WebSocket: messages in both directions of a stream that HTTP has opened, cut into frames.
//!
//! Spec: RFC 6455 §5.2. Only the handshake tells that a stream has such frames: tracking follows it, puts together what
//! lies in several segments, and hands over each frame by itself.
//!
//! ```text
//!  0                  1                    2              then
//! | fin, rsv, opcode | mask, 7-bit length | 16 or 64-bit length, where the first is 126 or 127
//! | masking key of 4 bytes, where mask is set | payload …
//! ```

use std::{fmt, ops::ControlFlow};

use super::several;
use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, ProblemKind, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
    text::Safe,
};

/// Bytes of payload that are unmasked to be shown.
const UNMASKED: usize = 16 << 10;
/// Bytes of text in the one-line form.
const SHOWN: usize = 60;

/// WebSocket.
pub static PROTOCOL: Protocol = Protocol {
    name: "websocket",
    label: "WebSocket",
    title: "WebSocket",
    spec: "RFC 6455",
    claims: &[Claim::Name("websocket")],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: None,
};

static OPCODES: &[(u64, &str)] = &[
    (opcode::CONTINUATION as u64, "continuation"),
    (opcode::TEXT as u64, "text"),
    (opcode::BINARY as u64, "binary"),
    (opcode::CLOSE as u64, "close"),
    (opcode::PING as u64, "ping"),
    (opcode::PONG as u64, "pong"),
];

static CLOSE_CODES: &[(u64, &str)] = &[
    (1000, "normal closure"),
    (1001, "going away"),
    (1002, "protocol error"),
    (1003, "unsupported data"),
    (1007, "invalid payload data"),
    (1008, "policy violation"),
    (1009, "message too big"),
    (1010, "extension missing"),
    (1011, "internal error"),
    (1012, "service restart"),
    (1013, "try again later"),
    (1014, "bad gateway"),
];

crate::fields! {
    FIN = Field::bits("websocket.fin", "Final", Kind::Flag, (0, 0, 1), "The last frame of its message (RFC 6455 §5.2).");
    RSV = Field::bits("websocket.rsv", "Reserved", Kind::Hex(2), (0, 1, 3), "For extensions; the first says that the message is packed (RFC 7692 §6).");
    OPCODE = Field::bits("websocket.opcode", "Opcode", Kind::Uint, (0, 4, 4), "What the frame is; those from 8 on steer the connection (RFC 6455 §5.2).").names(OPCODES);
    MASK = Field::bits("websocket.mask", "Masked", Kind::Flag, (1, 0, 1), "The payload is masked: always from the client, never from the server (RFC 6455 §5.1).");
    PAYLOAD_LENGTH = Field::bits("websocket.payload_length", "Payload length", Kind::Uint, (1, 1, 7), "Bytes of payload; 126 and 127 say that the length follows (RFC 6455 §5.2).");
    EXT_16 = Field::walked("websocket.payload_length_ext_16", "Payload length of 16 bits", Kind::Uint, "Bytes of payload, from 126 on (RFC 6455 §5.2).");
    EXT_64 = Field::walked("websocket.payload_length_ext_64", "Payload length of 64 bits", Kind::Uint, "Bytes of payload, from 65536 on (RFC 6455 §5.2).");
    MASKING_KEY = Field::walked("websocket.masking_key", "Masking key", Kind::Bytes, "Each byte of payload was combined with one of these by exclusive or (RFC 6455 §5.3).");
    MASKED_PAYLOAD = Field::walked("websocket.masked_payload", "Masked payload", Kind::Mark, "The payload as it is on the wire.");
    PAYLOAD = Field::walked("websocket.payload", "Payload", Kind::Mark, "The payload, unmasked.");
    CONTINUE = Field::walked("websocket.payload.continue", "Continued", Kind::Bytes, "More of the message that an earlier frame began, unmasked (RFC 6455 §5.4).");
    TEXT = Field::walked("websocket.payload.text", "Text", Kind::Text, "The text in UTF-8, unmasked (RFC 6455 §5.6).");
    BINARY = Field::walked("sockwire.websocket.binary", "Binary", Kind::Bytes, "Bytes that are no text, or a packed message, unmasked (RFC 6455 §5.6).");
    CLOSE = Field::walked("websocket.payload.close", "Close", Kind::Mark, "Why the connection is closed (RFC 6455 §5.5.1).");
    CLOSE_CODE = Field::walked("websocket.payload.close.status_code", "Close code", Kind::Uint, "The reason as a number (RFC 6455 §7.4).").names(CLOSE_CODES);
    CLOSE_REASON = Field::walked("websocket.payload.close.reason", "Close reason", Kind::Text, "The reason in words (RFC 6455 §5.5.1).");
    PING = Field::walked("websocket.payload.ping", "Ping", Kind::Bytes, "What a pong has to repeat, unmasked (RFC 6455 §5.5.2).");
    PONG = Field::walked("websocket.payload.pong", "Pong", Kind::Bytes, "What the ping had, unmasked (RFC 6455 §5.5.3).");
    UNKNOWN = Field::walked("websocket.payload.unknown", "Unknown", Kind::Bytes, "Payload of an opcode that is reserved, unmasked.");
    MESSAGE = Field::derived("sockwire.websocket.message", "Kind of message", Kind::Text, "What the message is that this frame goes on with: text or binary (RFC 6455 §5.4).");
    FRAGMENT_COUNT = Field::derived("websocket.fragment.count", "Frames of the message", Kind::Uint, "Frames that the message came in, where they are several (RFC 6455 §5.4).");
    REASSEMBLED_LENGTH = Field::derived("websocket.reassembled.length", "Length of the message", Kind::Uint, "Bytes of payload in all its frames.");
}

/// The opcodes (RFC 6455 §11.8).
pub mod opcode {
    /// More of the message begun.
    pub const CONTINUATION: u8 = 0;
    /// Text.
    pub const TEXT: u8 = 1;
    /// Anything else.
    pub const BINARY: u8 = 2;
    /// The end of the connection.
    pub const CLOSE: u8 = 8;
    /// Are you there?
    pub const PING: u8 = 9;
    /// I am.
    pub const PONG: u8 = 10;
}

/// The beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The last of its message.
    pub fin: bool,
    /// The three reserved bits.
    pub rsv: u8,
    /// See [`opcode`].
    pub opcode: u8,
    /// What the payload is masked with.
    pub key: Option<[u8; 4]>,
    /// Bytes before the payload.
    pub header: usize,
    /// Bytes of payload; the first bit of a 64-bit length has to be 0, and is taken for that.
    pub payload: u64,
}

impl Frame {
    /// Reads the beginning of a frame; `None` where it is not all there.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let [first, second] = *bytes.first_chunk()?;
        let (payload, at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*bytes[2..].first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let masked = second & 0x80 != 0;
        let key = bytes[at..].first_chunk().copied();
        if masked && key.is_none() {
            return None;
        }
        Some(Self {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 7,
            opcode: first & 15,
            key: key.filter(|_| masked),
            header: if masked { at + 4 } else { at },
            payload: payload & u64::MAX >> 1,
        })
    }

    /// Bytes of header and payload.
    pub fn whole(&self) -> u64 {
        self.payload.saturating_add(self.header as u64)
    }

    /// It steers the connection, and may stand between the frames of a message (RFC 6455 §5.5).
    pub fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }

    /// What is against the rules in it.
    fn fault(&self) -> Option<Problem> {
        let length = self.header - if self.key.is_some() { 4 } else { 0 };
        let longer = matches!((length, self.payload), (4, 0..126) | (10, 0..0x1_0000));
        if OPCODE.value_name(self.opcode.into()).is_none() {
            return Some(Problem::malformed("the opcode is reserved"));
        }
        if self.is_control() && (!self.fin || self.payload > 125) {
            let text = "a control frame has one frame and at most 125 bytes";
            return Some(Problem::malformed(text));
        }
        longer.then_some(Problem::odd("the length is written longer than needed"))
    }
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(frame) = Frame::of(bytes) else {
        return Dissected::short(bytes, context, 14.min(bytes.len() + 1));
    };
    let whole = frame.whole();
    let here = whole.min(bytes.len() as u64) as usize;
    let mut found = Dissected::new(here, Next::End, context);
    found.wire = u32::try_from(whole).unwrap_or(u32::MAX);
    found.problem = if (here as u64) == whole {
        frame.fault()
    } else if here < context.wire as usize {
        Some(Problem::CUT)
    } else {
        Some(Problem {
            kind: ProblemKind::Cut,
            text: "goes on in later segments, and is too long to be put together",
        })
    };
    found
}

/// The payload as the sender meant it, as much as `room` holds where it is masked.
fn unmasked<'r>(payload: &'r [u8], key: Option<[u8; 4]>, room: &'r mut [u8]) -> &'r [u8] {
    let Some(key) = key else {
        return payload;
    };
    let len = payload.len().min(room.len());
    for (place, (byte, key)) in room.iter_mut().zip(payload.iter().zip(key.iter().cycle())) {
        *place = byte ^ key;
    }
    &room[..len]
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(frame) = Frame::of(view.header()) else {
        return ControlFlow::Continue(());
    };
    match view.u8(1).unwrap_or(0) & 0x7f {
        126 => view.put((&EXT_16, 2, 2), visit)?,
        127 => view.put((&EXT_64, 2, 8), visit)?,
        _ => {}
    }
    let payload = view.header().get(frame.header..).unwrap_or(&[]);
    let bits = view.bits(frame.header, payload.len());
    if frame.key.is_some() {
        view.put((&MASKING_KEY, frame.header - 4, 4), visit)?;
    }
    if payload.is_empty() {
        return ControlFlow::Continue(());
    }
    if frame.key.is_some() {
        visit.field(&MASKED_PAYLOAD, Value::Mark, bits.clone())?;
        if payload.len() > UNMASKED {
            visit.problem(Problem::odd(
                "only the first 16384 bytes are shown unmasked",
            ));
        }
    }
    visit.field(&PAYLOAD, Value::Mark, bits.clone())?;
    let mut room = [0; UNMASKED];
    let bytes = unmasked(payload, frame.key, &mut room);
    let (field, value) = match frame.opcode {
        opcode::CONTINUATION => (&CONTINUE, Value::Bytes(bytes)),
        opcode::TEXT if frame.rsv == 0 => (&TEXT, Value::Text(bytes)),
        opcode::TEXT | opcode::BINARY => (&BINARY, Value::Bytes(bytes)),
        opcode::PING => (&PING, Value::Bytes(bytes)),
        opcode::PONG => (&PONG, Value::Bytes(bytes)),
        opcode::CLOSE => return close(bytes, bits.start, visit),
        _ => (&UNKNOWN, Value::Bytes(bytes)),
    };
    visit.field(field, value, bits)
}

/// A code and a reason (RFC 6455 §5.5.1), from bit `first` on.
fn close(bytes: &[u8], first: u32, visit: &mut dyn Visit) -> ControlFlow<()> {
    let end = first + bytes.len() as u32 * 8;
    visit.field(&CLOSE, Value::Mark, first..end)?;
    let Some((code, reason)) = bytes.split_first_chunk() else {
        visit.problem(Problem::malformed("a close code has two bytes"));
        return ControlFlow::Continue(());
    };
    let code = Value::Uint(u16::from_be_bytes(*code).into());
    visit.field(&CLOSE_CODE, code, first..first + 16)?;
    if reason.is_empty() {
        return ControlFlow::Continue(());
    }
    visit.field(&CLOSE_REASON, Value::Text(reason), first + 16..end)
}

fn line(view: &View<'_>, line: &mut Line) {
    several::line(view, summary, line);
}

fn summary(view: &View<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(frame) = Frame::of(view.header()) else {
        return f.write_str("frame");
    };
    match OPCODE.value_name(frame.opcode.into()) {
        Some(name) => f.write_str(name)?,
        None => write!(f, "opcode {}", frame.opcode)?,
    }
    let plural = if frame.payload == 1 { "" } else { "s" };
    write!(f, " {} byte{plural}", frame.payload)?;
    if frame.key.is_some() {
        f.write_str(" masked")?;
    }
    let mut room = [0; SHOWN + 2];
    let payload = view.header().get(frame.header..).unwrap_or(&[]);
    let bytes = unmasked(payload, frame.key, &mut room);
    let of_text = view.fact(&MESSAGE) == Some(Value::Text(b"text"));
    let text = match frame.opcode {
        opcode::TEXT if frame.rsv == 0 => Some(bytes),
        opcode::CONTINUATION if of_text => Some(bytes),
        opcode::CLOSE => match bytes.split_first_chunk() {
            Some((code, reason)) => {
                write!(f, " {}", u16::from_be_bytes(*code))?;
                Some(reason)
            }
            None => None,
        },
        _ => None,
    };
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let shown = &text[..text.len().min(SHOWN)];
        write!(f, " \"{}", Safe(shown))?;
        let whole = shown.len() == text.len() && frame.payload <= SHOWN as u64 + 2;
        f.write_str(if whole { "\"" } else { "…\"" })?;
    }
    if frame.rsv & 4 != 0 {
        f.write_str(" packed")?;
    }
    f.write_str(if frame.fin { "" } else { " and more" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{Seen, chain, seen as seen_as};

    const CLAIM: Claim = Claim::Name("websocket");

    fn seen(digits: &str) -> Seen {
        seen_as(
            &PROTOCOL,
            CLAIM,
            &hex::decode(digits.replace(' ', "")).unwrap_or_default(),
        )
    }

    #[test]
    fn the_examples_of_the_specification_are_read() {
        // RFC 6455 §5.7.
        let masked = seen("81 85 37fa213d 7f9f4d5158");
        let expected = [
            ("websocket.fin", "true"),
            ("websocket.rsv", "0x00"),
            ("websocket.opcode", "1"),
            ("websocket.mask", "true"),
            ("websocket.payload_length", "5"),
            ("websocket.masking_key", "37:fa:21:3d"),
            ("websocket.masked_payload", ""),
            ("websocket.payload", ""),
            ("websocket.payload.text", "Hello"),
        ];
        assert_eq!(masked.pairs(), expected);
        assert_eq!(masked.line, " →  text 5 bytes masked \"Hello\"");
        assert_eq!(
            seen("81 05 48656c6c6f").all("websocket.payload.text"),
            ["Hello"]
        );
        assert_eq!(
            seen("01 03 48656c").line,
            " →  text 3 bytes \"Hel\" and more"
        );
        let pong = seen("8a 85 37fa213d 7f9f4d5158");
        assert_eq!(pong.all("websocket.payload.pong"), ["48:65:6c:6c:6f"]);
    }

    #[test]
    fn long_payloads_have_a_longer_length() {
        for (length, field) in [
            ("7e 0100", "websocket.payload_length_ext_16"),
            ("7f 0000000000000100", "websocket.payload_length_ext_64"),
        ] {
            let seen = seen(&format!("82 {length} {}", "ab".repeat(256)));
            assert_eq!(seen.all(field), ["256"]);
            assert_eq!(seen.line, " →  binary 256 bytes");
        }
    }

    #[test]
    fn a_close_has_a_code_and_a_reason() {
        let close = seen("88 05 03e8 627965");
        assert_eq!(close.all("websocket.payload.close.status_code"), ["1000"]);
        assert_eq!(close.all("websocket.payload.close.reason"), ["bye"]);
        assert_eq!(close.line, " →  close 5 bytes 1000 \"bye\"");
        assert_eq!(seen("88 01 03").noticed.len(), 1);
        assert_eq!(seen("88 00").line, " →  close 0 bytes");
    }

    #[test]
    fn what_is_odd_or_wrong_is_told_and_what_is_cut_is_not_wrong() {
        let problem = |digits| seen(digits).problem();
        assert_eq!(problem("83 00"), Some(ProblemKind::Malformed));
        assert_eq!(problem("09 00"), Some(ProblemKind::Malformed));
        assert_eq!(problem("82 7e 0001 00"), Some(ProblemKind::Odd));
        assert_eq!(problem("82 05 00"), Some(ProblemKind::Cut));
        let whole = [0x81, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        for len in 0..whole.len() {
            let cut = chain(&[(&PROTOCOL, CLAIM)], &whole[..len], whole.len());
            assert_eq!(cut.problem(), Some(ProblemKind::Cut), "{len}");
        }
    }

    #[test]
    fn text_is_shown_escaped_and_within_bounds() {
        let long = seen(&format!("81 7e 0064 {}", "1b".repeat(100)));
        assert!(long.line.ends_with("\\x1b…\""), "{}", long.line);
        assert!(!long.line.contains('\x1b'));
        let packed = seen("c1 01 00");
        assert_eq!(packed.line, " →  text 1 byte packed");
        assert_eq!(packed.all("sockwire.websocket.binary"), ["00"]);
    }
}
