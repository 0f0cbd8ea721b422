//! The streams of a capture, one line each.

use std::io;

use sockwire::{
    export::json::{SCHEMA, put},
    track::{
        flow::Transport,
        stream::{Outline, Side},
    },
};

use super::super::output::Output;

/// Appends the list, as text in columns or as one object a stream.
pub(super) fn write(
    outlines: &[Outline],
    json: bool,
    ascii: bool,
    out: &mut Output,
) -> io::Result<()> {
    let (right, left) = if ascii { ('>', '<') } else { ('→', '←') };
    let rows = outlines.iter().map(|outline| {
        let sockets = Side::BOTH.map(|side| outline.sockets[side].to_string());
        let bytes = Side::BOTH.map(|side| outline.bytes[side].to_string());
        (outline, sockets, bytes)
    });
    let mut width = [0; 5];
    for (outline, sockets, bytes) in rows.clone().filter(|_| !json) {
        let cells = [
            outline.id.to_string().len(),
            sockets[0].len(),
            sockets[1].len(),
            bytes[0].len(),
            bytes[1].len(),
        ];
        for (width, cell) in width.iter_mut().zip(cells) {
            *width = cell.max(*width);
        }
    }
    for (outline, [client, server], [sent, received]) in rows {
        if json {
            object(outline, &mut out.bytes);
        } else {
            let [id, a, b, c, d] = width;
            out.text.push_str(&format!(
                "{:id$}  {client:>a$} {right} {server:b$}  {sent:>c$} {right} {left} {received:>d$} bytes\n",
                outline.id.to_string(),
            ));
        }
        out.flush_when_full()?;
    }
    Ok(())
}

fn object(outline: &Outline, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"schema\":");
    put(out, &SCHEMA);
    out.extend_from_slice(b",\"stream\":");
    put(out, &outline.id.to_string());
    for (side, name) in [(Side::Client, "client"), (Side::Server, "server")] {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        put(out, &outline.sockets[side].to_string());
        let (packets, bytes) = (outline.packets[side], outline.bytes[side]);
        let sums = format!(",\"{name}_packets\":{packets},\"{name}_bytes\":{bytes}");
        out.extend_from_slice(sums.as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

/// Which streams there are, in a few words.
pub(super) fn names(outlines: &[Outline]) -> String {
    let of = |transport| {
        outlines
            .iter()
            .map(|o| o.id)
            .filter(move |id| id.transport == transport)
    };
    let ranges = [Transport::Tcp, Transport::Udp].map(|transport| {
        let (first, last) = (of(transport).next()?, of(transport).next_back()?);
        Some(if first == last {
            first.to_string()
        } else {
            format!("{first} to {last}")
        })
    });
    let ranges: Vec<String> = ranges.into_iter().flatten().collect();
    let verb = if outlines.len() == 1 { "is" } else { "are" };
    format!("there {verb} {}", ranges.join(" and "))
}
