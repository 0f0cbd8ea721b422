//! Prints a packet in the notation, so that crafting the words gives the same bytes again.

use super::{
    Built, NoFiles, NoRoute, Piece, Spec, build, payload,
    slots::{carrier, computed, layer_name, word},
    value::{get, put, write},
};
use crate::{
    layer::{Layer, Packet, Problem, View},
    link::LinkType,
    proto::{data, http, tcp, websocket},
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

/// Appends `packet` in the notation, and says of each header whether its fields could say it. The words are tried: a
/// layer that they would not give back stands as bytes.
pub fn print(packet: &Packet<'_>, out: &mut String) -> Vec<Printed> {
    let decoded = whole_headers(packet.layers);
    let packet = &Packet {
        layers: &decoded,
        ..*packet
    };
    let own: Vec<View<'_>> = packet.views().collect();
    let mut pieces: Vec<Option<Piece>> = Vec::with_capacity(own.len());
    for view in &own {
        // What is printed as bytes is read again as plain data, and carries what comes after it as such.
        let outer = pieces.iter().map(|piece| match piece {
            Some(piece) => piece.protocol,
            None => &data::PROTOCOL,
        });
        let piece = expressed(view, carrier(view.layer.protocol, outer));
        pieces.push(piece);
    }
    let from = out.len();
    let mut at_once = 1;
    loop {
        let printed = attempt(packet, &own, &pieces, out);
        let Some(fault) = fault(packet, &out[from..]) else {
            return printed;
        };
        out.truncate(from);
        let begins_before = |index: &usize| own[*index].layer.start as usize <= fault;
        let expressed = |index: &usize| pieces[*index].is_some();
        let candidates = || (0..own.len()).rev().filter(expressed);
        let outwards = candidates().filter(begins_before).chain(candidates());
        let blamed: Vec<usize> = outwards.take(at_once).collect();
        if blamed.is_empty() {
            return as_bytes(packet, &own, out);
        }
        for index in blamed {
            pieces[index] = None;
        }
        // Twice as many each time: a packet of many layers at fault is soon done.
        at_once *= 2;
    }
}

/// Where the packet that `text` gives begins to differ; `None` when it does not.
fn fault(packet: &Packet<'_>, text: &str) -> Option<usize> {
    let bytes = packet.frame.bytes;
    let mut built = Built::default();
    match Spec::parse(text, &NoFiles) {
        Ok(spec) if spec.link() == Some(packet.frame.link) => {
            spec.build(0, &NoRoute, &mut built);
        }
        _ => return Some(bytes.len()),
    }
    if built.bytes == bytes {
        return None;
    }
    let mut pairs = bytes.iter().zip(&built.bytes);
    let differs = pairs.position(|(a, b)| a != b);
    Some(differs.unwrap_or_else(|| bytes.len().min(built.bytes.len())))
}

/// Appends the packet as nothing but bytes.
fn as_bytes(packet: &Packet<'_>, own: &[View<'_>], out: &mut String) -> Vec<Printed> {
    let link = packet.frame.link.0;
    let _ = write!(out, "link={link} / hex={}", hex::encode(packet.frame.bytes));
    let printed = own.iter().map(|view| printed(view, true));
    printed.collect()
}

fn printed(view: &View<'_>, as_hex: bool) -> Printed {
    Printed {
        protocol: view.layer.protocol,
        bytes: view.header().len(),
        as_hex: as_hex && !view.header().is_empty() && !is_data(view.layer.protocol),
    }
}

/// Appends the layers of `packet`, those without a piece as bytes.
fn attempt(
    packet: &Packet<'_>,
    own: &[View<'_>],
    pieces: &[Option<Piece>],
    out: &mut String,
) -> Vec<Printed> {
    let whole = packet.frame.bytes;
    let layers = planned(own, pieces);
    let plan = build::packet(whole, &layers, packet.frame.link);
    let mut first = true;
    if needs_link(packet.frame.link, &layers) {
        let _ = write!(out, "link={}", packet.frame.link.0);
        first = false;
    }
    let mut said = Vec::new();
    for (index, view) in own.iter().enumerate() {
        let header = view.header();
        // What is carried and not decoded, and what stands behind the layer in the one that carries it.
        let last = index + 1 == own.len();
        let rest = if last { view.payload() } else { &[] };
        let around = index
            .checked_sub(1)
            .map(|below| own[below].layer.end as usize);
        let behind = view.layer.end as usize..around.unwrap_or(whole.len());
        let behind = whole.get(behind).unwrap_or(&[]);
        let mut separate = |out: &mut String| {
            if !first {
                out.push_str(" / ");
            }
            first = false;
        };
        said.push(printed(view, pieces[index].is_none()));
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
    said
}

fn is_data(protocol: &Protocol) -> bool {
    std::ptr::eq(protocol, &data::PROTOCOL)
}

/// The layers of the frame itself. Of a header that was cut, decoding may show less than there is; the messages that a
/// segment of a stream brings, wherever they begin and end, are its data.
fn whole_headers(layers: &[Layer]) -> Vec<Layer> {
    let own = layers.iter().filter(|layer| layer.buffer == 0);
    let mut own: Vec<Layer> = own.copied().collect();
    let is = |layer: &Layer, protocol| std::ptr::eq(layer.protocol, protocol);
    let message = own
        .iter()
        .position(|layer| is(layer, &http::PROTOCOL) || is(layer, &websocket::PROTOCOL));
    let before = &own[..message.unwrap_or(0)];
    if let Some(at) = before.iter().rposition(|layer| is(layer, &tcp::PROTOCOL)) {
        let segment = own[at];
        own.truncate(at + 1);
        let start = segment.start + segment.header;
        own.push(Layer {
            protocol: &data::PROTOCOL,
            start,
            header: segment.end - start,
            wire: segment.wire.saturating_sub(segment.header),
            problem: None,
            ..segment
        });
    }
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
    let place = |(view, piece): (&View<'_>, &Option<Piece>)| Layer {
        protocol: match piece {
            Some(piece) => piece.protocol,
            None => &data::PROTOCOL,
        },
        quoted: false,
        wire: view.layer.end - view.layer.start,
        problem: None,
        ..*view.layer
    };
    let mut layers: Vec<Layer> = own.iter().zip(pieces).map(place).collect();
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
fn expressed(view: &View<'_>, carrier: Option<&'static Protocol>) -> Option<Piece> {
    let craft = view.layer.protocol.craft?;
    let header = view.header();
    let mut piece = Piece::new(view.layer.protocol);
    piece.carried_by(carrier);
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
    let mut given: Vec<&Slot> = Vec::new();
    for (at, slot) in piece.slots.iter().enumerate() {
        let Some(value) = get(header, slot.place) else {
            continue;
        };
        if !slot.is_in(header) || piece.is_alias(at, header) {
            continue;
        }
        let itself = match slot.fill {
            _ if given.iter().any(|given| given.overlaps(slot.place)) => get(&said, slot.place),
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
        given.push(slot);
        let _ = write!(out, " {name}");
        if slot.place.2 != 1 || value != 1 {
            out.push('=');
            write(slot, value, out);
        }
    }
    if let Some(tail) = piece.protocol.craft.and_then(|craft| craft.tail) {
        let part_words = |word| piece.part(word).map_or(&[][..], |part| part.words);
        (tail.read)(view, &mut |word, value| {
            // A field that was given has its room already.
            let makes_room = |slot: &&Slot| {
                let mut names = slot.words.iter();
                names.any(|name| part_words(word).contains(name))
            };
            if given.iter().any(makes_room) {
                return;
            }
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
    // Raw IP has a layer without bytes, which is not printed.
    let claims = layers
        .iter()
        .find(|layer| layer.header > 0)
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
