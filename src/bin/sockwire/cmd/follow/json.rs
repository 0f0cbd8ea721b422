//! A stream as JSON lines, one object a piece.

use sockwire::{
    export::json::{SCHEMA, put},
    text::Colons,
    track::stream::{Piece, Side, Stream, What, Why},
};

/// Appends the object of a piece and a line end: `kind` is `data`, `gap`, `fin` or `rst`; `offset` counts the bytes of
/// its side; `packet` and `time` are those of the packet that made it available. `text` has U+FFFD in the place of what is
/// not UTF-8; `bytes` has all.
pub(super) fn piece(stream: &Stream, piece: &Piece<'_>, out: &mut Vec<u8>) {
    let side = match piece.side {
        Side::Client => "client",
        Side::Server => "server",
    };
    out.extend_from_slice(b"{\"schema\":");
    put(out, &SCHEMA);
    text(out, "stream", &stream.id.to_string());
    text(out, "side", side);
    text(out, "from", &stream.sockets[piece.side].to_string());
    count(out, "packet", piece.mark.packet);
    text(out, "time", &piece.mark.time.to_string());
    count(out, "offset", piece.offset);
    match piece.what {
        What::Data(bytes) => {
            text(out, "kind", "data");
            count(out, "length", bytes.len() as u64);
            text(out, "bytes", &Colons(bytes).to_string());
            text(out, "text", &String::from_utf8_lossy(bytes));
        }
        What::Gap { bytes, why } => {
            text(out, "kind", "gap");
            count(out, "length", bytes);
            let why = match why {
                Why::Missing => "missing",
                Why::NotCaptured => "not captured",
                Why::NotKept => "not kept",
            };
            text(out, "why", why);
        }
        What::Fin => text(out, "kind", "fin"),
        What::Rst => text(out, "kind", "rst"),
    }
    out.extend_from_slice(b"}\n");
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(format!(",\"{key}\":").as_bytes());
    put(out, value);
}

fn count(out: &mut Vec<u8>, key: &str, value: u64) {
    out.extend_from_slice(format!(",\"{key}\":{value}").as_bytes());
}
