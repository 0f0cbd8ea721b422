//! Domain Name System: names asked for and answered, and its two relatives on the local link.
//!
//! Spec: RFC 1035; EDNS RFC 6891, DNSSEC RFC 4034; multicast DNS RFC 6762, LLMNR RFC 4795. `message.rs` draws the message.
//! Over TCP each message has its length before it, and only messages that lie in one segment are decoded.

mod craft;
mod edns;
mod fields;
mod line;
mod message;
mod names;
mod numbers;
mod reader;
mod records;
mod say;
mod special;
#[cfg(test)]
mod tests;
mod write;

use std::ops::ControlFlow;

pub use fields::*;
pub(crate) use message::Message;

use crate::{
    field::{Field, Value, Visit},
    layer::{Problem, View},
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use message::{Entry, HEADER, OPT, PREFIX, UPDATE, over_tcp};
use reader::Reader;

const PORT: u16 = 53;

/// DNS.
pub static PROTOCOL: Protocol = Protocol {
    name: "dns",
    label: "DNS",
    title: "Domain Name System",
    spec: "RFC 1035",
    claims: &[Claim::UdpPort(PORT), Claim::TcpPort(PORT)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line: line::line,
    addresses: None,
    craft: Some(&craft::CRAFT),
};

/// Multicast DNS, whose fields are those of DNS.
pub static MULTICAST: Protocol = Protocol {
    name: "mdns",
    label: "MDNS",
    title: "Multicast Domain Name System",
    spec: "RFC 6762",
    claims: &[Claim::UdpPort(5353)],
    craft: Some(&craft::OF_MULTICAST),
    ..PROTOCOL
};

/// Link-local multicast name resolution, whose fields are those of DNS, with two flags of its own.
pub static LINK_LOCAL: Protocol = Protocol {
    name: "llmnr",
    label: "LLMNR",
    title: "Link-Local Multicast Name Resolution",
    spec: "RFC 4795",
    claims: &[Claim::UdpPort(5355)],
    craft: Some(&craft::OF_LINK),
    ..PROTOCOL
};

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    if over_tcp(context.layers) {
        return dissect_stream(bytes, context);
    }
    if (context.wire as usize) < HEADER && !context.quoted {
        return Dissected::new(0, Next::NotMine, context);
    }
    let Some(message) = Message::new(bytes, 0) else {
        return Dissected::short(bytes, context, HEADER);
    };
    let mut found = Dissected::new(bytes.len(), Next::End, context);
    found.problem = fault(&message, context.wire, context);
    found
}

/// A message with its length before it. One that goes on in a later segment is no fault, and left as plain data;
/// so is what looks like no message at all, since segments can begin in the middle of one.
fn dissect_stream(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let other = Dissected::new(0, Next::NotMine, context);
    let Some(&prefix) = bytes.first_chunk::<PREFIX>() else {
        return other;
    };
    let length = usize::from(u16::from_be_bytes(prefix));
    let whole = PREFIX + length;
    if length < HEADER || whole > context.wire as usize {
        return other;
    }
    let captured = &bytes[PREFIX..bytes.len().min(whole)];
    let Some(message) = Message::new(captured, PREFIX) else {
        return Dissected::short(bytes, context, PREFIX + HEADER);
    };
    let [questions, records @ ..] = message.counts().map(usize::from);
    // A name has at least one byte, its root.
    let least = HEADER
        + questions * (1 + Entry::QUESTION)
        + records.iter().sum::<usize>() * (1 + Entry::RECORD);
    if numbers::name(numbers::OPCODES, message.opcode()).is_none() || least > length {
        return other;
    }
    let more = whole < context.wire as usize;
    let next = if more {
        Next::Claim(Claim::TcpPort(PORT))
    } else {
        Next::End
    };
    let mut found = Dissected::new(PREFIX + captured.len(), next, context);
    found.problem = fault(&message, length as u32, context);
    found
}

/// What is wrong with the structure of a message of `wire` bytes.
fn fault(message: &Message<'_>, wire: u32, context: &Context<'_>) -> Option<Problem> {
    let mut entries = message.entries();
    for _ in entries.by_ref() {}
    let text = "a question or record goes past the end of the message";
    match (entries.is_complete(), message.bytes.len() < wire as usize) {
        (true, _) => None,
        (false, cut) if cut || context.quoted => Some(Problem::CUT),
        _ => Some(Problem::malformed(text)),
    }
}

/// Which messages a flag is shown in, as Wireshark does.
enum In {
    All,
    Dns,
    Responses,
    /// And where it is set.
    ResponsesOrSet,
    LinkLocal,
    /// Of DNS, and all of LLMNR.
    ResponsesOfAny,
}

/// The flags: field, first bit from the most significant, how many, and where shown (RFC 1035 §4.1.1).
static FLAG_BITS: &[(&Field, u32, u32, In)] = &[
    (&FLAGS_RESPONSE, 0, 1, In::All),
    (&FLAGS_OPCODE, 1, 4, In::All),
    (&FLAGS_AUTHORITATIVE, 5, 1, In::Responses),
    (&FLAGS_CONFLICT, 5, 1, In::LinkLocal),
    (&FLAGS_TRUNCATED, 6, 1, In::All),
    (&FLAGS_RECDESIRED, 7, 1, In::Dns),
    (&FLAGS_TENTATIVE, 7, 1, In::LinkLocal),
    (&FLAGS_RECAVAIL, 8, 1, In::Responses),
    (&FLAGS_Z, 9, 1, In::Dns),
    (&FLAGS_AUTHENTICATED, 10, 1, In::ResponsesOrSet),
    (&FLAGS_CHECKDISABLE, 11, 1, In::Dns),
    (&FLAGS_RCODE, 12, 4, In::ResponsesOfAny),
];

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(message) = Message::of(view) else {
        return ControlFlow::Continue(());
    };
    if message.base == PREFIX {
        view.put((&LENGTH, 0, PREFIX), visit)?;
    }
    let mut reader = Reader::new(view, message, visit);
    header(&mut reader, std::ptr::eq(view.layer.protocol, &LINK_LOCAL))?;
    let multicast = std::ptr::eq(view.layer.protocol, &MULTICAST);
    let mut entries = message.entries();
    for entry in entries.by_ref() {
        (reader.at, reader.end) = (entry.at, entry.end);
        match entry.section {
            0 => question(&mut reader, &entry, multicast)?,
            _ => record(&mut reader, &entry, multicast)?,
        }
    }
    (reader.at, reader.end) = (entries.at(), message.bytes.len());
    let (at, left) = (reader.at, reader.rest().len());
    if entries.is_complete() && left > 0 {
        reader.remainder(&EXTRANEOUS_DATA)?;
        reader.show(&EXTRANEOUS_LENGTH, Value::Uint(left as u64), (at, left))?;
    }
    reader.finish();
    ControlFlow::Continue(())
}

fn header(r: &mut Reader<'_, '_>, link_local: bool) -> ControlFlow<()> {
    r.fixed(&ID, 2)?;
    r.fixed(&FLAGS, 2)?;
    let response = r.message.is_response();
    let flags = r.message.u16(2);
    for (field, first, len, which) in FLAG_BITS {
        let shown = match which {
            In::All => true,
            In::Dns => !link_local,
            In::Responses => response && !link_local,
            In::ResponsesOrSet => !link_local && (response || flags & 0x8000 >> first != 0),
            In::LinkLocal => link_local,
            In::ResponsesOfAny => response,
        };
        if shown {
            r.bits(field, 2, (*first, *len))?;
        }
    }
    let counts = match r.message.opcode() {
        UPDATE => [&COUNT_ZONES, &COUNT_PREREQUISITES, &COUNT_UPDATES],
        _ => [&COUNT_QUERIES, &COUNT_ANSWERS, &COUNT_AUTH_RR],
    };
    for field in counts {
        r.fixed(field, 2)?;
    }
    r.fixed(&COUNT_ADD_RR, 2)
}

fn question(r: &mut Reader<'_, '_>, entry: &Entry, multicast: bool) -> ControlFlow<()> {
    if let Some((name, place)) = r.take_name() {
        let text = name.text();
        r.show(&QRY_NAME, Value::Text(text), place)?;
        r.show(&QRY_NAME_LEN, Value::Uint(text.len() as u64), place)?;
        let labels = 1 + text.iter().filter(|&&byte| byte == b'.').count();
        r.show(&COUNT_LABELS, Value::Uint(labels as u64), place)?;
    }
    r.fixed(&QRY_TYPE, 2)?;
    class(r, (&QRY_CLASS, &QRY_QU), multicast, entry.fixed + 2)
}

/// The class at `at`; in multicast its first bit is a flag (RFC 6762 §5.4, §10.2).
fn class(
    r: &mut Reader<'_, '_>,
    (field, flag): (&'static Field, &'static Field),
    multicast: bool,
    at: usize,
) -> ControlFlow<()> {
    r.at = at + 2;
    match multicast {
        true => {
            r.bits(field, at, (1, 15))?;
            r.bits(flag, at, (0, 1))
        }
        false => r.bits(field, at, (0, 16)),
    }
}

fn record(r: &mut Reader<'_, '_>, entry: &Entry, multicast: bool) -> ControlFlow<()> {
    const SRV: u16 = 33;
    let kind = r.message.u16(entry.fixed);
    if let Some((name, place)) = r.take_name() {
        match kind {
            SRV => owner_of_service(r, name.text(), place)?,
            _ => r.show(&RESP_NAME, Value::Text(name.text()), place)?,
        }
    }
    r.fixed(&RESP_TYPE, 2)?;
    let (at, ttl) = (entry.fixed + 2, entry.fixed + 4);
    if kind == OPT {
        let size = (&RR_UDP_PAYLOAD_SIZE, &RESP_CACHE_FLUSH);
        class(r, size, multicast, at)?;
        edns::flags(r, ttl)?;
    } else {
        class(r, (&RESP_CLASS, &RESP_CACHE_FLUSH), multicast, at)?;
        r.fixed(&RESP_TTL, 4)?;
    }
    r.fixed(&RESP_LEN, 2)?;
    records::data(r, kind)
}

/// The name that a service record belongs to: service, protocol and domain (RFC 2782).
fn owner_of_service(r: &mut Reader<'_, '_>, name: &[u8], place: (usize, usize)) -> ControlFlow<()> {
    let parts = name.splitn(3, |&byte| byte == b'.');
    for (field, part) in [&SRV_SERVICE, &SRV_PROTO, &SRV_NAME].into_iter().zip(parts) {
        r.show(field, Value::Text(part), place)?;
    }
    ControlFlow::Continue(())
}
