//! Prints a packet in the notation, so that crafting the words gives the same bytes again.

use super::{
    Piece, build, payload,
    slots::{computed, layer_name, word},
    value::{get, put, write},
};
use crate::{
    layer::{Layer, Packet, Problem, View},
    link::LinkType,
    proto::data,
    protocol::{Claim, Fill, Protocol, Slot},
};
use std::fmt::Write as _;

/// How much of one layer could be said in fields.
#[derive(Clone, Copy, Debug)]
pub struct Printed {
    /// The layer's protocol.
    pub protocol: &'static Protocol,
    /// Bytes of its header.
    pub bytes: usize,
    /// Whether they stand as `hex=`.
    pub as_hex: bool,
}

/// Appends `packet` in the notation, and says of each header whether its fields could say it.
pub fn print(packet: &Packet<'_>, out: &mut String) -> Vec<Printed> {
    let whole = packet.frame.bytes;
    let decoded = whole_headers(packet.layers);
    let packet = Packet {
        layers: &decoded,
        ..*packet
    };
    let own: Vec<View<'_>> = packet.views().collect();
    let pieces: Vec<Option<Piece>> = own.iter().map(expressed).collect();
    let layers = planned(&own, &pieces);
    let plan = build::packet(whole, &layers, packet.frame.link);
    let mut first = true;
    if needs_link(packet.frame.link, &layers) {
        let _ = write!(out, "link={}", packet.frame.link.0);
        first = false;
    }
    let mut printed = Vec::new();
    for (index, view) in own.iter().enumerate() {
        let next = own.get(index + 1).map(|next| next.layer);
        let header = view.header();
        let end = view.layer.end as usize;
        // What is carried and not decoded, and what stands behind the next layer.
        let (rest, trailer) = match next {
            Some(next) => (&[][..], whole.get(next.end as usize..end).unwrap_or(&[])),
            None => (view.payload(), &[][..]),
        };
        let outermost = index == 0 && end < whole.len();
        let behind = [trailer, if outermost { &whole[end..] } else { &[] }].concat();
        let mut separate = |out: &mut String| {
            if !first {
                out.push_str(" / ");
            }
            first = false;
        };
        printed.push(Printed {
            protocol: view.layer.protocol,
            bytes: header.len(),
            as_hex: pieces[index].is_none() && !is_data(view.layer.protocol),
        });
        match (&pieces[index], plan.view(index)) {
            (Some(piece), Some(view)) => {
                separate(out);
                fields(piece, &view, out);
            }
            _ if header.is_empty() && behind.is_empty() => {}
            _ => {
                separate(out);
                payload::write(header, !behind.is_empty(), out);
            }
        }
        if !behind.is_empty() {
            out.push_str(" trailer=");
            let zeros = behind.iter().all(|b| *b == 0);
            let _ = if zeros {
                write!(out, "zeros:{}", behind.len())
            } else {
                write!(out, "{}", hex::encode(behind))
            };
        }
        if !rest.is_empty() {
            separate(out);
            payload::write(rest, false, out);
        }
    }
    printed
}

fn is_data(protocol: &Protocol) -> bool {
    std::ptr::eq(protocol, &data::PROTOCOL)
}

/// The layers of the frame itself. Of a header that was cut, decoding may show less than there is.
fn whole_headers(layers: &[Layer]) -> Vec<Layer> {
    let own = layers.iter().filter(|layer| layer.buffer == 0);
    let mut own: Vec<Layer> = own.copied().collect();
    if let Some(last) = own
        .last_mut()
        .filter(|last| last.problem == Some(Problem::CUT))
    {
        last.header = last.end - last.start;
    }
    own
}

/// The layers as building would place them: what is printed as bytes is plain data.
fn planned(own: &[View<'_>], pieces: &[Option<Piece>]) -> Vec<Layer> {
    let place = |(index, piece): (usize, &Option<Piece>)| {
        let layer = own[index].layer;
        // A layer ends before its own trailer, and so where the next one ends, which has its trailer in it.
        let end = own.get(index + 1).map_or(layer.end, |next| next.layer.end);
        Layer {
            protocol: match piece {
                Some(piece) => piece.protocol,
                None => &data::PROTOCOL,
            },
            quoted: false,
            end,
            wire: end - layer.start,
            problem: None,
            ..*layer
        }
    };
    let mut layers: Vec<Layer> = pieces.iter().enumerate().map(place).collect();
    // What the last header carries and nobody decodes is a layer of bytes.
    if let Some(last) = own.last().filter(|last| !last.payload().is_empty()) {
        let start = last.layer.start + last.layer.header;
        layers.push(Layer {
            protocol: &data::PROTOCOL,
            start,
            header: last.layer.end - start,
            wire: last.layer.end - start,
            problem: None,
            quoted: false,
            ..*last.layer
        });
    }
    layers
}

/// A piece that gives the bytes of `view`'s header when all its fields are given; `None` when there is none.
fn expressed(view: &View<'_>) -> Option<Piece> {
    let craft = view.layer.protocol.craft?;
    let header = view.header();
    let mut piece = Piece::new(view.layer.protocol);
    piece.take_form(|_, slot| get(header, slot.place));
    let mut sound = true;
    let mut words = Vec::new();
    if let Some(tail) = craft.tail {
        (tail.read)(view, &mut |word, value| words.push((word, value)));
    }
    for (word, value) in &words {
        let part = piece.part(word)?;
        sound &= (part.write)(value, &mut piece.header).is_ok();
    }
    piece.finish();
    // Of a header at the end of what was captured, or quoted, there may be a part only.
    if header.len() < piece.header.len() && !header.is_empty() && view.payload().is_empty() {
        piece.header.truncate(header.len());
        piece.cut = true;
    }
    if !sound || piece.header.len() != header.len() {
        return None;
    }
    let mut candidate = piece.header.clone();
    for slot in &piece.slots {
        if let Some(value) = get(header, slot.place).filter(|_| slot.is_in(header)) {
            put(&mut candidate, slot.place, value);
        }
    }
    (candidate == header).then_some(piece)
}

/// Appends the layer: its name, the fields that would not come by themselves, the words of its tail.
fn fields(piece: &Piece, view: &View<'_>, out: &mut String) {
    let header = view.header();
    out.push_str(layer_name(piece.protocol).unwrap_or(piece.protocol.name));
    let mut said = piece.header.clone();
    for (at, slot) in piece.slots.iter().enumerate() {
        let Some(value) = get(header, slot.place) else {
            continue;
        };
        if !slot.is_in(header) || piece.is_alias(at, header) {
            continue;
        }
        let itself = match slot.fill {
            Fill::Asked(_) => None,
            // The header has it already, of whatever form it is.
            Fill::Form(_) => usual(piece.protocol, slot),
            _ => computed(slot, view).or_else(|| get(&said, slot.place)),
        };
        put(&mut said, slot.place, value);
        if itself == Some(value) {
            continue;
        }
        let name = word(piece.protocol, slot);
        let _ = write!(out, " {name}");
        if slot.place.2 != 1 || value != 1 {
            out.push('=');
            write(slot, value, out);
        }
    }
    if let Some(tail) = piece.protocol.craft.and_then(|craft| craft.tail) {
        (tail.read)(view, &mut |word, value| {
            let _ = write!(out, " {word}");
            if !value.is_empty() {
                let _ = write!(out, "={value}");
            }
        });
    }
    if piece.cut {
        let _ = write!(out, " cut={}", header.len());
    }
}

/// What the field is in a header with nothing given.
fn usual(protocol: &Protocol, slot: &Slot) -> Option<u128> {
    get(protocol.craft?.header, slot.place)
}

/// Whether the first layer does not tell the link type.
fn needs_link(link: LinkType, layers: &[Layer]) -> bool {
    let claims = layers
        .first()
        .map_or(&[][..], |layer| layer.protocol.claims);
    let ip = matches!(link, LinkType::RAW)
        && claims
            .iter()
            .any(|claim| matches!(claim, Claim::EtherType(0x0800 | 0x86dd)));
    let first = claims.iter().find_map(|claim| match claim {
        Claim::Link(first) => Some(*first),
        _ => None,
    });
    !ip && first != Some(link)
}
