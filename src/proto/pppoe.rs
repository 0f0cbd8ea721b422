//! PPP over Ethernet: discovery of an access concentrator with its tags, and the session that carries PPP.
//!
//! Spec: RFC 2516.
//!
//! ```text
//!  0                 1      2            4        6
//! | version:4 type:4 | code | session id | length | tags, or PPP …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    proto::making,
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
    text::{from_percent, number, to_percent},
};
use std::ops::ControlFlow;

const HEADER: usize = 6;
/// A tag's type and length (§4).
const TAG_HEADER: usize = 4;
/// The End-Of-List tag.
const END: u16 = 0;
/// The Host-Uniq tag.
const HOST_MARK: u16 = 0x0103;

/// The session stage.
pub static SESSION: Protocol = Protocol {
    name: "pppoes",
    label: "PPPoE",
    title: "PPP-over-Ethernet session",
    spec: "RFC 2516",
    claims: &[Claim::EtherType(0x8864)],
    fields: FIELDS,
    dissect: dissect_session,
    walk: None,
    line,
    addresses: None,
    craft: Some(&SESSION_CRAFT),
};

/// The discovery stage.
pub static DISCOVERY: Protocol = Protocol {
    name: "pppoed",
    label: "PPPoE",
    title: "PPP-over-Ethernet discovery",
    spec: "RFC 2516",
    claims: &[Claim::EtherType(0x8863)],
    fields: FIELDS,
    dissect: dissect_discovery,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&DISCOVERY_CRAFT),
};

static SESSION_CRAFT: Craft = Craft {
    names: &["pppoe"],
    header: &[0x11, 0, 0, 1, 0, 0],
    slots: SLOTS,
    tail: None,
    answers: None,
};

/// The first packet of all: who gives a service?
static DISCOVERY_CRAFT: Craft = Craft {
    names: &["pppoed"],
    header: &[0x11, 0x09, 0, 0, 0, 0],
    slots: SLOTS,
    tail: Some(&Tail {
        parts: &[
            text_part::<0x0101>(&["service"], "service name"),
            text_part::<0x0102>(&["ac"], "name of the access concentrator"),
            bytes_part::<0x0103>(&["uniq"], "Host-Uniq"),
            bytes_part::<0x0104>(&["cookie"], "cookie"),
            bytes_part::<0x0110>(&["relay"], "relay session"),
            bytes_part::<0x0120>(&["max_payload"], "largest payload"),
            text_part::<0x0201>(&["service_error"], "why the service cannot be given"),
            text_part::<0x0202>(&["ac_error"], "why the concentrator cannot serve"),
            text_part::<0x0203>(&["error"], "any other error"),
            Part {
                words: &["tag"],
                form: "TYPE:HEX",
                doc: "any tag",
                write: |value, header| {
                    let (kind, data) = value.split_once(':').unwrap_or((value, ""));
                    let kind = number(kind).and_then(|n| u16::try_from(n).ok());
                    let kind = kind.ok_or("expected TYPE:HEX, such as 0x0105:0011")?;
                    push_tag(kind, &making::hexadecimal(data)?, header)
                },
            },
            making::RAW,
        ],
        finish: None,
        read: read_tags,
    }),
    answers: Some(answers),
};

const SLOTS: &[Slot] = &[
    Slot::new(&["version"], &VERSION),
    Slot::new(&["type"], &TYPE),
    Slot::new(&["code"], &CODE),
    Slot::new(&["session", "sessionid"], &SESSION_ID),
    Slot::new(&["len"], &LENGTH)
        .computed(|view| Some(view.bytes().len().saturating_sub(HEADER) as u64)),
];

const fn text_part<const KIND: u16>(words: &'static [&'static str], doc: &'static str) -> Part {
    Part {
        words,
        form: "TEXT",
        doc,
        write: |value, header| push_tag(KIND, &from_percent(value)?, header),
    }
}

const fn bytes_part<const KIND: u16>(words: &'static [&'static str], doc: &'static str) -> Part {
    Part {
        words,
        form: "HEX",
        doc,
        write: |value, header| push_tag(KIND, &making::hexadecimal(value)?, header),
    }
}

fn push_tag(kind: u16, data: &[u8], header: &mut Vec<u8>) -> Result<(), String> {
    let len = u16::try_from(data.len()).map_err(|_| "a tag has room for 65535 bytes")?;
    header.extend(kind.to_be_bytes());
    header.extend(len.to_be_bytes());
    header.extend_from_slice(data);
    Ok(())
}

/// Each tag in words, and what is no whole tag, or stands behind the last one, as bytes.
fn read_tags(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let bytes = view.header().get(HEADER..).unwrap_or(&[]);
    let mut rest = bytes;
    for tag in Tags::new(bytes).take_while(|tag| tag.whole) {
        let known = TAGS.iter().find(|(kind, _, _)| *kind == tag.kind);
        match known {
            Some((_, field, name)) if field.kind == Kind::Text => {
                word(name, to_percent(tag.value, b"-_."));
            }
            Some((_, _, name)) => word(name, hex::encode(tag.value)),
            None => {
                let colon = if tag.value.is_empty() { "" } else { ":" };
                let data = hex::encode(tag.value);
                word("tag", format!("{:#06x}{colon}{data}", tag.kind));
            }
        }
        rest = &bytes[tag.at + TAG_HEADER + tag.value.len()..];
        if tag.kind == END {
            break;
        }
    }
    making::say_raw(rest, 0, word);
}

/// An offer answers an initiation, a confirmation a request; with the host's mark, if it had one (§5).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    fn mark<'a>(view: &View<'a>) -> Option<&'a [u8]> {
        let tags = view.header().get(HEADER..)?;
        let mut tags = Tags::new(tags).take_while(|tag| tag.kind != END);
        tags.find(|tag| tag.kind == HOST_MARK).map(|tag| tag.value)
    }
    let codes = (request.u8(1), reply.u8(1));
    matches!(codes, (Some(0x09), Some(0x07)) | (Some(0x19), Some(0x65)))
        && mark(request) == mark(reply)
}

const CODES: &[(u64, &str)] = &[
    (0x00, "Session data"),
    (0x07, "Offer (PADO)"),
    (0x09, "Initiation (PADI)"),
    (0x19, "Request (PADR)"),
    (0x65, "Session confirmation (PADS)"),
    (0xa7, "Terminate (PADT)"),
];

crate::fields! {
    VERSION = Field::bits("pppoe.version", "Version", Kind::Uint, (0, 0, 4), "Always 1 (RFC 2516 §4).");
    TYPE = Field::bits("pppoe.type", "Type", Kind::Uint, (0, 4, 4), "Always 1 (RFC 2516 §4).");
    CODE = Field::at("pppoe.code", "Code", Kind::Hex(2), 1, 8, "Which step of discovery, or 0 in a session (RFC 2516 §4).").names(CODES);
    SESSION_ID = Field::at("pppoe.session_id", "Session", Kind::Hex(4), 2, 16, "With both Ethernet addresses it names the session; 0 before there is one (RFC 2516 §4).");
    LENGTH = Field::at("pppoe.payload_length", "Payload length", Kind::Uint, 4, 16, "Bytes after this header (RFC 2516 §4).");
    SERVICE_NAME = Field::walked("pppoed.tags.service_name", "Service name", Kind::Text, "The service that is asked for or offered (RFC 2516 appendix A).").many();
    AC_NAME = Field::walked("pppoed.tags.ac_name", "Concentrator", Kind::Text, "The name of the access concentrator (RFC 2516 appendix A).").many();
    HOST_UNIQ = Field::walked("pppoed.tags.host_uniq", "Host-Uniq", Kind::Bytes, "By what the host knows the answers to its own requests (RFC 2516 appendix A).").many();
    AC_COOKIE = Field::walked("pppoed.tags.ac_cookie", "Cookie", Kind::Bytes, "Sent back by the host, against floods of requests (RFC 2516 appendix A).").many();
    RELAY = Field::walked("pppoed.tags.relay_session_id", "Relay session", Kind::Bytes, "Added and removed by a relay in between (RFC 2516 appendix A).").many();
    MAX_PAYLOAD = Field::walked("pppoed.tags.max_payload", "Largest payload", Kind::Bytes, "PPP packets above 1492 bytes are possible, up to this size (RFC 4638).").many();
    SERVICE_ERROR = Field::walked("pppoed.tags.service_name_error", "Service error", Kind::Text, "Why the service cannot be given (RFC 2516 appendix A).").many();
    SYSTEM_ERROR = Field::walked("pppoed.tags.ac_system_error", "Concentrator error", Kind::Text, "Why the concentrator cannot serve (RFC 2516 appendix A).").many();
    GENERIC_ERROR = Field::walked("pppoed.tags.generic_error", "Error", Kind::Text, "Any other error (RFC 2516 appendix A).").many();
    TAG = Field::walked("pppoed.tag", "Tag", Kind::Hex(4), "A tag that is not known here (RFC 2516 appendix A).").many();
    TAG_LENGTH = Field::walked("pppoed.tag_length", "Tag length", Kind::Uint, "Bytes of that tag (RFC 2516 §4).").many();
    TAG_DATA = Field::walked("pppoed.tag.unknown_data", "Tag data", Kind::Bytes, "Its bytes.").many();
}

/// Which field shows a tag, and which word writes it.
const TAGS: &[(u16, &Field, &str)] = &[
    (0x0101, &SERVICE_NAME, "service"),
    (0x0102, &AC_NAME, "ac"),
    (HOST_MARK, &HOST_UNIQ, "uniq"),
    (0x0104, &AC_COOKIE, "cookie"),
    (0x0110, &RELAY, "relay"),
    (0x0120, &MAX_PAYLOAD, "max_payload"),
    (0x0201, &SERVICE_ERROR, "service_error"),
    (0x0202, &SYSTEM_ERROR, "ac_error"),
    (0x0203, &GENERIC_ERROR, "error"),
];

fn dissect_session(bytes: &[u8], context: &Context<'_>) -> Dissected {
    dissect(bytes, context, Next::Claim(Claim::Name("ppp")))
}

fn dissect_discovery(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let mut found = dissect(bytes, context, Next::End);
    if found.problem.is_some() {
        return found;
    }
    let payload = found.wire as usize - HEADER;
    let captured = &bytes[HEADER..bytes.len().min(HEADER + payload)];
    found.header = (HEADER + captured.len()) as u32;
    if captured.len() < payload {
        return found.with(Problem::CUT);
    }
    let mut tags = Tags::new(captured);
    let last = tags.by_ref().take_while(|tag| tag.kind != END).last();
    let whole = last.is_none_or(|tag| tag.whole) && (tags.ended || tags.rest().is_empty());
    if !whole {
        return found.with(Problem::malformed("tag is longer than the packet"));
    }
    found
}

/// The header that both stages share.
fn dissect(bytes: &[u8], context: &Context<'_>, next: Next) -> Dissected {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let mut found = Dissected::new(HEADER, next, context);
    let length = HEADER as u32 + u32::from(u16::from_be_bytes([header[4], header[5]]));
    if length > context.wire {
        return found.with(Problem::malformed(
            "payload length goes past the end of the packet",
        ));
    }
    found.wire = length;
    found
}

/// The tags of a discovery packet, one after the other.
struct Tags<'a> {
    bytes: &'a [u8],
    at: usize,
    /// An End-Of-List tag was seen: what follows is padding.
    ended: bool,
}

struct Tag<'a> {
    at: usize,
    kind: u16,
    length: u16,
    value: &'a [u8],
    whole: bool,
}

impl<'a> Tags<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            ended: false,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (at, rest) = (self.at, self.rest());
        let &[kind_hi, kind_lo, hi, lo] = rest.first_chunk::<TAG_HEADER>()?;
        let (kind, length) = (
            u16::from_be_bytes([kind_hi, kind_lo]),
            u16::from_be_bytes([hi, lo]),
        );
        let value = &rest[TAG_HEADER..];
        let len = value.len().min(length.into());
        self.at += TAG_HEADER + len;
        self.ended |= kind == END;
        Some(Tag {
            at,
            kind,
            length,
            value: &value[..len],
            whole: len == usize::from(length),
        })
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(bytes) = view.header().get(HEADER..) else {
        return ControlFlow::Continue(());
    };
    for tag in Tags::new(bytes) {
        if tag.kind == END {
            break;
        }
        let at = HEADER + tag.at;
        let value = view.bits(at + TAG_HEADER, tag.value.len());
        match TAGS.iter().find(|(kind, _, _)| *kind == tag.kind) {
            _ if tag.length == 0 || !tag.whole => {}
            Some((_, field, _)) if field.kind == Kind::Text => {
                visit.field(field, Value::Text(tag.value), value)?;
            }
            Some((_, field, _)) => visit.field(field, Value::Bytes(tag.value), value)?,
            None => {
                visit.field(&TAG, Value::Uint(tag.kind.into()), view.bits(at, 2))?;
                visit.field(
                    &TAG_LENGTH,
                    Value::Uint(tag.length.into()),
                    view.bits(at + 2, 2),
                )?;
                visit.field(&TAG_DATA, Value::Bytes(tag.value), value)?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let (Some(code), Some(session)) = (view.u8(1), view.u16(2)) else {
        return;
    };
    match CODE.value_name(code.into()) {
        Some(name) => line.say(format_args!("{name} session=0x{session:04x}")),
        None => line.say(format_args!("code=0x{code:02x} session=0x{session:04x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{chain, cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::EtherType(0x8863);

    fn discovery(tags: &[u8]) -> Vec<u8> {
        [&[0x11, 0x07, 0, 0, 0, tags.len() as u8], tags].concat()
    }

    #[test]
    fn shows_every_field_of_an_offer() {
        let tags = [
            &[1, 2, 0, 2, b'a', b'c', 1, 3, 0, 1, 9, 0xff, 0x11, 0, 1, 7][..],
            &[1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, b'x'],
        ]
        .concat();
        let found = seen(&DISCOVERY, CLAIM, &discovery(&tags));
        assert_eq!(
            found.pairs(),
            [
                ("pppoe.version", "1"),
                ("pppoe.type", "1"),
                ("pppoe.code", "0x07"),
                ("pppoe.session_id", "0x0000"),
                ("pppoe.payload_length", "29"),
                ("pppoed.tags.ac_name", "ac"),
                ("pppoed.tags.host_uniq", "09"),
                ("pppoed.tag", "0xff11"),
                ("pppoed.tag_length", "1"),
                ("pppoed.tag.unknown_data", "07"),
            ],
            "tags after the end of the list are padding"
        );
        assert_eq!((found.problem(), found.next), (None, Next::End));
        assert_eq!(found.line, " →  Offer (PADO) session=0x0000");
        cut_everywhere(&DISCOVERY, CLAIM, &discovery(&tags), 6);
    }

    #[test]
    fn a_tag_longer_than_the_packet_is_malformed_and_cut_where_the_capture_was() {
        let bytes = discovery(&[1, 2, 0, 9, b'a']);
        assert_eq!(
            seen(&DISCOVERY, CLAIM, &bytes).problem(),
            Some(ProblemKind::Malformed)
        );
        let whole = discovery(&[1, 2, 0, 2, b'a', b'c']);
        let cut = chain(&[(&DISCOVERY, CLAIM)], &whole[..11], whole.len());
        assert_eq!(cut.problem(), Some(ProblemKind::Cut));
    }

    #[test]
    fn a_session_carries_ppp_up_to_its_length() {
        let claim = Claim::EtherType(0x8864);
        let found = seen(&SESSION, claim, &[0x11, 0, 0, 7, 0, 2, 0, 0x21, 0, 0]);
        assert_eq!(
            (found.layer.end, found.next),
            (8, Next::Claim(Claim::Name("ppp")))
        );
        assert_eq!(found.all("pppoe.session_id"), ["0x0007"]);
        let found = seen(&SESSION, claim, &[0x11, 0, 0, 7, 0, 9, 0, 0x21]);
        assert_eq!(found.problem(), Some(ProblemKind::Malformed));
    }

    #[test]
    fn both_stages_are_written_and_come_back() {
        use crate::{
            craft::testing::{answers, built, fault, rebuilt_on},
            link::LinkType,
        };
        let eth = "eth dst=ff:ff:ff:ff:ff:ff src=02:00:00:00:00:01";
        let text = format!("{eth} / pppoed service ac=a%20b%1b uniq=0011 tag=0x0105:ff tag=0x0000");
        let bytes = built(&text);
        let expected =
            "8863 1109 0000 001b 01010000 0102000461 20621b 010300020011 01050001ff 00000000";
        assert_eq!(hex::encode(&bytes[12..]), expected.replace(' ', ""));
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        for len in 14..bytes.len() {
            rebuilt_on(LinkType::ETHERNET, &bytes[..len]);
        }
        let broken = built(&format!("{eth} / pppoed tag=0:00ff raw=010100"));
        rebuilt_on(LinkType::ETHERNET, &broken);
        let session =
            format!("{eth} / pppoe session=0x0007 / ppp / ip proto=253 src=10.0.0.1 dst=10.0.0.2");
        let bytes = built(&session);
        assert_eq!(hex::encode(&bytes[12..22]), "88641100000700160021");
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), session);
        assert!(fault("pppoed tag=x").contains("TYPE:HEX"));
        assert!(answers("pppoed uniq=05", "pppoed code=7 ac=x uniq=05", 0));
        assert!(!answers("pppoed uniq=05", "pppoed code=7 ac=x uniq=06", 0));
    }
}
