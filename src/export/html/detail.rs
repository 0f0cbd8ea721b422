//! What a row opens: every field of every header, and the bytes.

use std::{
    fmt::Write as _,
    ops::{ControlFlow, Range},
};

use crate::{
    export::markup::Escaped,
    field::{Bounded, Field, Value, Visit},
    layer::{Packet, Problem},
    proto::frame::{self, Around},
    protocol::Protocol,
    render::{
        hex::{self, Form},
        tree::Shown,
    },
    track::story::Pseudonyms,
};

/// Bytes shown of a frame, and of each buffer put together from several: a whole Ethernet frame.
const BYTES: usize = 1600;
/// Repeated fields shown of a packet.
const REPEATED: usize = 300;

/// Fields and bytes of a packet as HTML. With `pseudonyms` all addresses are stand-ins, text and data only their lengths,
/// and bytes and checksums, which would tell what was replaced, are left out.
pub fn detail(
    packet: &Packet<'_>,
    around: &Around<'_>,
    pseudonyms: Option<&mut Pseudonyms>,
) -> String {
    let mut table = Table {
        pseudonyms,
        out: String::new(),
    };
    table.open(&frame::PROTOCOL);
    let _ = frame::visit(&packet.frame, around, &mut table);
    table.close();
    let mut left = REPEATED;
    for view in packet.views() {
        table.open(view.layer.protocol);
        let mut bounded = Bounded::new(&mut table, &mut left);
        let _ = view.visit(&mut bounded);
        bounded.finish();
        if let Some(problem) = view.layer.problem {
            table.problem(problem);
        }
        table.close();
    }
    let is_anonymous = table.pseudonyms.is_some();
    let mut out = table.out;
    if is_anonymous {
        let len = packet.frame.bytes.len();
        let _ = writeln!(out, "<p>{len} bytes, left out: they hold addresses</p>");
        return out;
    }
    for number in 0..=packet.buffers.len().min(usize::from(u8::MAX)) as u8 {
        let buffer = packet.buffer(number);
        if number > 0 {
            let _ = writeln!(out, "<p>reassembled: {} bytes</p>", buffer.len());
        }
        let mut text = String::new();
        hex::bytes(
            &buffer[..buffer.len().min(BYTES)],
            Form::HexAscii,
            &mut text,
        );
        let _ = writeln!(out, "<pre>{}</pre>", Escaped(text.replace('\t', "")));
        if buffer.len() > BYTES {
            let _ = writeln!(out, "<p>the first {BYTES} of {} bytes</p>", buffer.len());
        }
    }
    out
}

struct Table<'p> {
    pseudonyms: Option<&'p mut Pseudonyms>,
    out: String,
}

impl Table<'_> {
    fn open(&mut self, protocol: &Protocol) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.out,
            "<table><caption>{} ({})</caption>",
            Escaped(protocol.title),
            Escaped(protocol.name)
        );
    }

    fn close(&mut self) {
        self.out.push_str("</table>\n");
    }

    /// The value as it is shown; `None` for one that is not.
    fn shown(&mut self, field: &'static Field, value: Value<'_>) -> Option<String> {
        let value = match (&mut self.pseudonyms, value) {
            (None, value) => value,
            (Some(_), _) if field.name.ends_with("checksum") => return None,
            (Some(p), Value::Mac(address)) => Value::Mac(p.mac(address)),
            (Some(p), Value::Ipv4(address)) => Value::Ipv4(p.v4(address)),
            (Some(p), Value::Ipv6(address)) => Value::Ipv6(p.v6(address)),
            (Some(_), Value::Bytes(bytes) | Value::Text(bytes)) => {
                return Some(format!("{} bytes", bytes.len()));
            }
            (Some(_), value) => value,
        };
        Some(Shown { field, value }.to_string())
    }
}

impl Visit for Table<'_> {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        if let Some(shown) = self.shown(field, value) {
            let _ = writeln!(
                self.out,
                "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
                Escaped(field.name),
                Escaped(shown),
                Escaped(field.title)
            );
        }
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        let text = Escaped(problem.text);
        let _ = writeln!(
            self.out,
            "<tr><td class=\"problem\" colspan=\"3\">! {text}</td></tr>"
        );
    }
}
