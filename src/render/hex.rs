//! Bytes as tcpdump shows them: offsets and eight groups of two bytes, their ASCII beside them, or ASCII alone.

use crate::layer::Packet;

/// Bytes on one line.
const ROW: usize = 16;
/// Width of a full row's groups: four digits and a space each.
const GROUPS: usize = 40;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Headers that tcpdump counts to the link header when they follow it.
const LINK_EXTRAS: &[&str] = &["vlan", "ieee8021ad", "llc"];

/// What is shown of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Hexadecimal (`-x`).
    Hex,
    /// Hexadecimal with ASCII beside it (`-X`).
    HexAscii,
    /// Text, with a dot for what cannot be shown (`-A`).
    Ascii,
}

/// Appends the frame's bytes from the network layer on, or from the link header on; in the form with both, every
/// reassembled buffer follows.
pub fn packet(packet: &Packet<'_>, form: Form, link_header: bool, out: &mut String) {
    let skip = if link_header { 0 } else { link_length(packet) };
    bytes(
        packet.frame.bytes.get(skip..).unwrap_or_default(),
        form,
        out,
    );
    let missing = (packet.frame.wire_len as usize).saturating_sub(packet.frame.bytes.len());
    if missing > 0 {
        out.push_str(&format!(
            "\t[{missing} more bytes were on the wire, not captured]\n"
        ));
    }
    if form != Form::HexAscii {
        return;
    }
    for number in 1..=packet.buffers.len() as u8 {
        let buffer = packet.buffer(number);
        out.push_str(&format!("\t[reassembled: {} bytes]\n", buffer.len()));
        bytes(buffer, form, out);
    }
}

/// Appends `bytes`, each line ended.
pub fn bytes(bytes: &[u8], form: Form, out: &mut String) {
    match form {
        Form::Ascii => ascii(bytes, out),
        Form::Hex | Form::HexAscii => {
            for (index, row) in bytes.chunks(ROW).enumerate() {
                hex_row(index * ROW, row, form == Form::HexAscii, out);
            }
        }
    }
}

/// Bytes of link header, with its tags.
fn link_length(packet: &Packet<'_>) -> usize {
    let Some(link) = packet.layers.first() else {
        return 0;
    };
    if link.protocol.addresses.is_some() {
        return 0;
    }
    let extras = packet.layers[1..]
        .iter()
        .take_while(|layer| LINK_EXTRAS.contains(&layer.protocol.name));
    (link.header + extras.map(|layer| layer.header).sum::<u32>()) as usize
}

fn hex_row(offset: usize, row: &[u8], with_ascii: bool, out: &mut String) {
    out.push_str("\t0x");
    let digits = (offset.checked_ilog2().unwrap_or(0) / 4 + 1).max(4);
    for place in (0..digits).rev() {
        push_digit(out, offset >> (4 * place));
    }
    out.push_str(": ");
    let from = out.len();
    for (index, &byte) in row.iter().enumerate() {
        if index % 2 == 0 {
            out.push(' ');
        }
        push_digit(out, usize::from(byte >> 4));
        push_digit(out, usize::from(byte));
    }
    if with_ascii {
        while out.len() < from + GROUPS {
            out.push(' ');
        }
        out.push_str("  ");
        for &byte in row {
            out.push(if byte.is_ascii_graphic() {
                byte.into()
            } else {
                '.'
            });
        }
    }
    out.push('\n');
}

fn push_digit(out: &mut String, value: usize) {
    out.push(DIGITS[value & 15].into());
}

/// Text with its own line ends; a carriage return before one is left out.
fn ascii(bytes: &[u8], out: &mut String) {
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(index + 1) == Some(&b'\n') => {}
            b'\n' | b'\t' | b' ' => out.push(byte.into()),
            byte if byte.is_ascii_graphic() => out.push(byte.into()),
            _ => out.push('.'),
        }
    }
    if !bytes.is_empty() {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &[u8], form: Form) -> String {
        let mut out = String::new();
        bytes(data, form, &mut out);
        out
    }

    #[test]
    fn rows_are_those_of_tcpdump() {
        let data: Vec<u8> = (0x30..0x43).collect();
        assert_eq!(
            shown(&data, Form::Hex),
            "\t0x0000:  3031 3233 3435 3637 3839 3a3b 3c3d 3e3f\n\t0x0010:  4041 42\n"
        );
        assert_eq!(
            shown(&data, Form::HexAscii),
            "\t0x0000:  3031 3233 3435 3637 3839 3a3b 3c3d 3e3f  0123456789:;<=>?\n\
             \t0x0010:  4041 42                                  @AB\n"
        );
        assert_eq!(
            shown(&[0, 0x20, 0x7f, 0xff], Form::HexAscii)
                .split("  ")
                .last(),
            Some("....\n")
        );
        assert_eq!(shown(&[], Form::Hex), "");
    }

    #[test]
    fn offsets_grow_past_four_digits() {
        let text = shown(&vec![0; 0x1_0010], Form::Hex);
        assert!(
            text.contains("\n\t0xfff0:  ") && text.contains("\n\t0x10000:  "),
            "{text}"
        );
    }

    #[test]
    fn ascii_never_lets_an_escape_through() {
        assert_eq!(
            shown(b"GET /\r\nA\rB\x1b[31m\xc2\x9b\t!", Form::Ascii),
            "GET /\nA.B.[31m..\t!\n"
        );
    }
}
