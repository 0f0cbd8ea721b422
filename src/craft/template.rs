//! Specifications with holes, `dst={ip.src}`, that values of a captured packet fill: what an answer is made from.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, Ipv6Addr},
    ops::{ControlFlow, Range},
};

use super::{
    Files, NoFiles, Spec, SpecError,
    parse::{Fault, Word, Written, piece, spec, written},
    rewrite::{Place, places, unknown},
    value::{get, largest},
};
use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Packet, View},
    link::LinkType,
    proto,
    protocol::Protocol,
    text::{Mac, number, to_percent},
};

/// A specification whose values can come from a packet: `{FIELD}`, `{FIELD+1}`, `{tcp.seq+tcp.len}`, `{payload}`.
///
/// Fields are found by the words of the notation (`tcp.seq` is the number on the wire) or by Wireshark's names, in the
/// outermost layer that has them. Layers without a hole are compiled once.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its layers with a hole are made anew for each packet.
    spec: Spec,
    holed: Vec<Holed>,
}

/// A layer with a hole.
#[derive(Clone, Debug)]
struct Holed {
    /// Index into [`Spec::layers`].
    piece: usize,
    layer: Written,
    /// Index of the word, and what its value is put together from.
    values: Vec<(usize, Vec<Segment>)>,
}

#[derive(Clone, Debug)]
enum Segment {
    Text(String),
    Hole(Hole),
}

/// What stands in braces: terms that are added up, or one that is bytes.
#[derive(Clone, Debug)]
struct Hole {
    /// As written, for messages.
    text: String,
    /// The first one says what kind of value it is; negative ones are taken off.
    terms: Vec<(bool, Term)>,
}

#[derive(Clone, Debug)]
enum Term {
    Number(u128),
    Field(Vec<Place>),
    /// What the layer of this protocol carries; of the innermost header without one.
    Payload(Option<&'static Protocol>),
}

/// How a value is written into its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As a field's value.
    Field,
    /// For `text=`.
    Text,
    /// For `hex=`.
    Hex,
}

/// Why a packet gets no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It has no such field.
    Lacks(String),
    /// The value has no place where it should go: the word, and what is wrong.
    Word(String, String),
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lacks(what) => write!(f, "without {{{what}}}"),
            Self::Word(word, message) => write!(f, "whose value does not fit {word}=: {message}"),
        }
    }
}

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(text: &str, files: &dyn Files) -> Result<Self, SpecError> {
        written(text)
            .and_then(|layers| template(layers, files))
            .map_err(|fault| SpecError {
                spec: text.to_owned(),
                at: fault.at,
                len: fault.len,
                message: fault.message,
                help: fault.help,
            })
    }

    /// The link type of its packets, as [`Spec::link`] has it.
    pub fn link(&self) -> Option<LinkType> {
        self.spec.link()
    }

    /// The specification as the last [`Template::fill`] left it.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Fills the holes from `packet`.
    ///
    /// # Errors
    /// What the packet lacks, or what does not fit.
    pub fn fill(&mut self, packet: &Packet<'_>) -> Result<(), Unfit> {
        for holed in &mut self.holed {
            for (index, segments) in &holed.values {
                let word = &mut holed.layer.words[*index];
                let form = Form::of(&word.name);
                let value = word.value.get_or_insert_default();
                value.clear();
                for segment in segments {
                    match segment {
                        Segment::Text(text) => value.push_str(text),
                        Segment::Hole(hole) => hole
                            .write(packet, form, value)
                            .ok_or_else(|| Unfit::Lacks(hole.text.clone()))?,
                    }
                }
            }
            let (outer, own) = self.spec.layers.split_at_mut(holed.piece);
            let made = piece(&holed.layer, outer, &NoFiles).map_err(|fault| holed.unfit(fault))?;
            if let Some(place) = own.first_mut() {
                *place = made;
            }
        }
        self.spec.settle();
        Ok(())
    }
}

impl Holed {
    /// Which word is at fault.
    fn unfit(&self, fault: Fault) -> Unfit {
        let mut words = self.layer.words.iter();
        let word = words.find(|word| word.value_at == fault.at || word.at == fault.at);
        let name = word.map_or(&self.layer.name, |word| &word.name);
        Unfit::Word(name.clone(), fault.message)
    }
}

/// Looks everything up, with made-up values in the holes.
fn template(layers: Vec<Written>, files: &dyn Files) -> Result<Template, Fault> {
    let mut samples = layers.clone();
    let mut holed = Vec::new();
    let links = usize::from(layers.first().is_some_and(|layer| layer.name == "link"));
    for (index, layer) in layers.into_iter().enumerate() {
        let mut values = Vec::new();
        for (at, word) in layer.words.iter().enumerate() {
            let Some(segments) = segments(word)? else {
                continue;
            };
            if matches!(word.name.as_str(), "file" | "link") {
                let message = format!("{}= takes nothing from a packet", word.name);
                return Err(Fault::new(word.value_at, length(word), message));
            }
            samples[index].words[at].value = Some(sample(&segments, Form::of(&word.name)));
            values.push((at, segments));
        }
        if !values.is_empty() {
            let piece = index.saturating_sub(links);
            holed.push(Holed {
                piece,
                layer,
                values,
            });
        }
    }
    let spec = spec(&samples, files).map_err(|mut fault| {
        let mut words = holed.iter().flat_map(|holed| &holed.layer.words);
        if let Some(word) = words.find(|word| word.value_at == fault.at && word.value.is_some()) {
            fault.len = length(word);
        }
        fault
    })?;
    Ok(Template { spec, holed })
}

fn length(word: &Word) -> usize {
    word.value.as_ref().map_or(0, |value| value.chars().count())
}

/// The parts of a word's value; `None` when it has no hole.
fn segments(word: &Word) -> Result<Option<Vec<Segment>>, Fault> {
    let Some(value) = word.value.as_deref().filter(|value| value.contains('{')) else {
        return Ok(None);
    };
    let mut segments = Vec::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('{') {
        let at = word.value_at + value.chars().count() - after.chars().count() - 1;
        let (inside, behind) = after
            .split_once('}')
            .ok_or_else(|| Fault::new(at, 1, "this { has no }"))?;
        if !before.is_empty() {
            segments.push(Segment::Text(before.to_owned()));
        }
        let hole = Hole::parse(inside)
            .map_err(|message| Fault::new(at, inside.chars().count() + 2, message))?;
        let is_layer = matches!(word.name.as_str(), "text" | "hex");
        if hole.is_bytes() && hole.terms.len() > 1 {
            let message = "bytes cannot be added up";
            return Err(Fault::new(at, inside.chars().count() + 2, message));
        }
        if !is_layer && matches!(hole.terms.first(), Some((_, Term::Payload(_)))) {
            let message = "a payload goes into text= or hex=";
            return Err(Fault::new(at, inside.chars().count() + 2, message));
        }
        segments.push(Segment::Hole(hole));
        rest = behind;
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest.to_owned()));
    }
    Ok(Some(segments))
}

/// A value of the same kind, to compile with.
fn sample(segments: &[Segment], form: Form) -> String {
    let mut value = String::new();
    for segment in segments {
        match segment {
            Segment::Text(text) => value.push_str(text),
            Segment::Hole(hole) if hole.is_bytes() => value.push_str("00"),
            Segment::Hole(hole) => {
                let zero = Found::Number(0, hole.kind(), 64, 1);
                let _ = zero.write(form, &mut value);
            }
        }
    }
    value
}

impl Form {
    fn of(word: &str) -> Self {
        match word {
            "text" => Self::Text,
            "hex" => Self::Hex,
            _ => Self::Field,
        }
    }
}

impl Hole {
    fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        let (mut rest, mut taken_off) = (text, false);
        loop {
            let end = rest.find(['+', '-']).unwrap_or(rest.len());
            terms.push((taken_off, Term::parse(rest[..end].trim())?));
            match rest.get(end..end + 1) {
                Some(sign) => {
                    taken_off = sign == "-";
                    rest = &rest[end + 1..];
                }
                None => break,
            }
        }
        Ok(Self {
            text: text.to_owned(),
            terms,
        })
    }

    /// The kind of its value.
    fn kind(&self) -> Kind {
        match self.terms.first() {
            Some((_, Term::Field(places))) => places
                .first()
                .map_or(Kind::Uint, |place| place.slot.field.kind),
            Some((_, Term::Payload(_))) => Kind::Bytes,
            _ => Kind::Uint,
        }
    }

    fn is_bytes(&self) -> bool {
        matches!(self.kind(), Kind::Bytes | Kind::Text)
    }

    /// Appends its value for `packet`; `None` when the packet lacks a field.
    fn write(&self, packet: &Packet<'_>, form: Form, out: &mut String) -> Option<()> {
        let mut terms = self.terms.iter();
        let mut found = terms.next()?.1.read(packet)?;
        if let Found::Number(sum, _, bits, unit) = &mut found {
            // Numbers wrap around, as sequence numbers do.
            let unit = u128::from(*unit);
            let mask = largest(*bits);
            for (taken_off, term) in terms {
                let Found::Number(value, _, _, times) = term.read(packet)? else {
                    return None;
                };
                let value = value.wrapping_mul(times.into()) / unit;
                *sum = match taken_off {
                    true => sum.wrapping_sub(value),
                    false => sum.wrapping_add(value),
                } & mask;
            }
        }
        found.write(form, out)
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(value) = number(text) {
            return Ok(Self::Number(value));
        }
        if text == "payload" {
            return Ok(Self::Payload(None));
        }
        let places = places(text);
        if !places.is_empty() {
            return Ok(Self::Field(places));
        }
        let layer = text
            .strip_suffix(".payload")
            .or_else(|| text.strip_suffix(".data"));
        let named = |protocol: &&&'static Protocol| {
            let names = protocol.craft.map_or(&[][..], |craft| craft.names);
            layer.is_some_and(|layer| protocol.name == layer || names.contains(&layer))
        };
        let protocol = proto::ALL.iter().find(named).copied();
        match protocol {
            Some(protocol) => Ok(Self::Payload(Some(protocol))),
            None if text.is_empty() => Err("expected a field, such as {ip.src}".to_owned()),
            None => Err(unknown(text)),
        }
    }

    fn read<'a>(&self, packet: &Packet<'a>) -> Option<Found<'a>> {
        let is_data = |view: &View<'_>| std::ptr::eq(view.layer.protocol, &proto::data::PROTOCOL);
        let mut views = packet.views().filter(|view| !view.layer.quoted);
        match self {
            Self::Number(value) => Some(Found::Number(*value, Kind::Uint, 64, 1)),
            Self::Payload(None) => {
                let innermost = views.rev().find(|view| !is_data(view))?;
                Some(Found::Bytes(innermost.payload().into()))
            }
            Self::Payload(Some(protocol)) => {
                let view = views.find(|view| std::ptr::eq(view.layer.protocol, *protocol))?;
                Some(Found::Bytes(view.payload().into()))
            }
            Self::Field(places) => {
                views.find_map(|view| places.iter().find_map(|place| found(place, &view)))
            }
        }
    }
}

/// A value of the packet.
#[derive(Clone, Debug)]
enum Found<'a> {
    /// As it stands in the header, its kind, its bits, and what one of it counts.
    Number(u128, Kind, u16, u16),
    Bytes(Cow<'a, [u8]>),
}

/// What `view` has at `place`.
fn found<'a>(place: &Place, view: &View<'a>) -> Option<Found<'a>> {
    if !std::ptr::eq(place.protocol, view.layer.protocol) {
        return None;
    }
    let (slot, field) = (&place.slot, place.slot.field);
    if place.fixed {
        let header = view.header();
        let value =
            get(header, slot.place).filter(|_| slot.when.is_none_or(|when| when(header)))?;
        return Some(Found::Number(value, field.kind, slot.place.2, slot.unit));
    }
    let mut walked = Walked { field, found: None };
    let _ = view.visit(&mut walked);
    match walked.found? {
        Walking::Number(value, bits) => Some(Found::Number(value, field.kind, bits, 1)),
        Walking::Bytes(bytes) => Some(Found::Bytes(bytes.into())),
    }
}

/// Finds the first value of a field.
struct Walked {
    field: &'static Field,
    found: Option<Walking>,
}

enum Walking {
    Number(u128, u16),
    /// As the protocol gives it: a name is not what its bytes are.
    Bytes(Vec<u8>),
}

impl Visit for Walked {
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        bits: Range<u32>,
    ) -> ControlFlow<()> {
        if !field.is(self.field) {
            return ControlFlow::Continue(());
        }
        let wide = match bits.end.saturating_sub(bits.start) {
            bits @ 1..=128 => bits as u16,
            _ => 64,
        };
        let big = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b));
        self.found = match value {
            Value::Bool(flag) => Some(Walking::Number(flag.into(), wide)),
            Value::Uint(number) => Some(Walking::Number(number.into(), wide)),
            Value::Mac(mac) => Some(Walking::Number(big(&mac), 48)),
            Value::Ipv4(address) => Some(Walking::Number(u32::from(address).into(), 32)),
            Value::Ipv6(address) => Some(Walking::Number(address.into(), 128)),
            Value::Bytes(bytes) | Value::Text(bytes) => Some(Walking::Bytes(bytes.to_vec())),
            _ => None,
        };
        ControlFlow::Break(())
    }
}

impl Found<'_> {
    /// Appends it in the form that its word needs; `None` for bytes that are no text where text is needed.
    fn write(&self, form: Form, out: &mut String) -> Option<()> {
        let text = match (self, form) {
            (Self::Bytes(bytes), Form::Hex) => hex::encode(bytes),
            (Self::Bytes(bytes), Form::Text) => to_percent(bytes, b""),
            (Self::Bytes(bytes), Form::Field) => {
                let text = std::str::from_utf8(bytes).ok()?;
                text.chars()
                    .all(|c| !c.is_control())
                    .then(|| text.to_owned())?
            }
            (Self::Number(value, _, bits, _), Form::Hex) => {
                format!(
                    "{value:0width$x}",
                    width = usize::from(*bits).div_ceil(8) * 2
                )
            }
            (Self::Number(value, kind, _, unit), _) => in_words(*value, *kind, *unit),
        };
        out.push_str(&text);
        Some(())
    }
}

fn in_words(value: u128, kind: Kind, unit: u16) -> String {
    match kind {
        Kind::Mac => {
            let [.., a, b, c, d, e, f] = value.to_be_bytes();
            Mac([a, b, c, d, e, f]).to_string()
        }
        Kind::Ipv4 => Ipv4Addr::from(value as u32).to_string(),
        Kind::Ipv6 => Ipv6Addr::from(value).to_string(),
        _ => value.saturating_mul(unit.into()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        craft::{Built, NoRoute, build, testing::built as crafted},
        decode::{Decoded, Decoder},
    };

    /// The answer that `template` gives to the packet `seen`.
    fn answer(template: &str, seen: &str) -> Result<Vec<u8>, Unfit> {
        let bytes = crafted(seen);
        let mut template = Template::parse(template, &NoFiles).unwrap();
        let link = match seen.starts_with("eth") {
            true => LinkType::ETHERNET,
            false => LinkType::RAW,
        };
        let frame = build::packet(&bytes, &[], link).frame;
        let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
        decoder.frame(&frame, &mut decoded);
        let packet = decoded.packet_of(frame, 0).unwrap();
        let mut built = Built::default();
        template.fill(&packet)?;
        template.spec().build(0, &NoRoute, &mut built);
        Ok(built.bytes)
    }

    const SYN: &str =
        "ip src=10.0.0.1 dst=10.0.0.2 / tcp sport=40000 dport=80 seq=4294967295 flags=S";
    const ASK: &str = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=40000 dport=7 / text=hi%00%7b";

    #[test]
    fn fields_of_the_packet_fill_the_answer() {
        let reset = answer(
            "ip src={ip.dst} dst={ip.src} / tcp sport={tcp.dstport} dport={tcp.sport} seq=0 ack={tcp.seq+1} flags=RA",
            SYN,
        );
        // Sequence numbers wrap around.
        let expected =
            "ip src=10.0.0.2 dst=10.0.0.1 / tcp sport=80 dport=40000 seq=0 ack=0 flags=RA";
        assert_eq!(reset, Ok(crafted(expected)));
        let three = answer("ip dst={ip.dst+1} ttl={ip.ttl-1} / hex={tcp.seq_raw}", SYN);
        assert_eq!(three, Ok(crafted("ip dst=10.0.0.3 ttl=63 / hex=ffffffff")));
    }

    #[test]
    fn payloads_are_carried_as_they_are() {
        for template in [
            "hex={payload}",
            "text={payload}",
            "hex={udp.data}",
            "text={udp.payload}",
        ] {
            let template = format!("ip dst={{ip.src}} / udp dport={{udp.sport}} / {template}");
            let expected = "ip dst=10.0.0.1 / udp dport=40000 / hex=6869007b";
            assert_eq!(answer(&template, ASK), Ok(crafted(expected)), "{template}");
        }
        let both = answer("ip / udp / text=from {ip.src}: {payload}!", ASK);
        assert_eq!(
            both,
            Ok(crafted("ip / udp / text=from 10.0.0.1: hi%00%7b!"))
        );
    }

    #[test]
    fn a_message_in_a_stream_keeps_its_length_in_front_and_lists_stay_lists() {
        let template = "ip / tcp dport={tcp.sport} / dns id={tcp.srcport} qd=a";
        let expected = "ip / tcp dport=40000 / dns id=40000 qd=a";
        assert_eq!(answer(template, SYN), Ok(crafted(expected)));

        let words = "ip ttl=1,2 / udp sport=7,8 dport=";
        let mut template = Template::parse(&format!("{words}{{tcp.dport}}"), &NoFiles).unwrap();
        let (bytes, mut decoded) = (crafted(SYN), Decoded::default());
        let frame = build::packet(&bytes, &[], LinkType::RAW).frame;
        Decoder::default().frame(&frame, &mut decoded);
        let whole = Spec::parse(&format!("{words}80"), &NoFiles).unwrap();
        let (mut filled, mut expected) = (Built::default(), Built::default());
        for _ in 0..2 {
            template
                .fill(&decoded.packet_of(frame, 0).unwrap())
                .unwrap();
            assert_eq!(template.spec().count(), 4);
            for n in 0..4 {
                template.spec().build(n, &NoRoute, &mut filled);
                whole.build(n, &NoRoute, &mut expected);
                assert_eq!(filled.bytes, expected.bytes, "{n}");
            }
        }
    }

    #[test]
    fn what_the_packet_lacks_or_what_does_not_fit_is_no_answer() {
        let lacks = answer("ip / udp dport={udp.srcport}", SYN).unwrap_err();
        assert_eq!(lacks, Unfit::Lacks("udp.srcport".to_owned()));
        let unfit = answer("ip / udp dport={tcp.seq}", SYN).unwrap_err();
        assert!(
            unfit.to_string().contains("does not fit dport=: "),
            "{unfit}"
        );
        assert!(answer("ip / udp dport={tcp.dport}", SYN).is_ok());
    }

    #[test]
    fn one_template_answers_many_packets() {
        let mut template =
            Template::parse("ip dst={ip.src} / udp dport={udp.srcport}", &NoFiles).unwrap();
        let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
        for port in [1, 2, 3] {
            let bytes = crafted(&format!("ip src=10.0.0.{port} / udp sport={port}"));
            let frame = build::packet(&bytes, &[], LinkType::RAW).frame;
            decoded.clear();
            decoder.frame(&frame, &mut decoded);
            let mut built = Built::default();
            let packet = decoded.packet_of(frame, 0).unwrap();
            template.fill(&packet).unwrap();
            template.spec().build(0, &NoRoute, &mut built);
            assert_eq!(
                built.bytes,
                crafted(&format!("ip dst=10.0.0.{port} / udp dport={port}"))
            );
        }
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (text, at, told) in [
            ("ip dst={ip.src", 7, "has no }"),
            ("ip dst={ip.scr}", 7, "did you mean ip.src?"),
            ("ip dst={}", 7, "expected a field"),
            ("ip dst={eth.src}", 7, "expected an IPv4 address"),
            ("ip / udp dport={ip.src}", 15, "expected a number"),
            ("ip / hex={payload+1}", 9, "cannot be added up"),
            ("ip id={payload}", 6, "goes into text= or hex="),
            ("ip / file={ip.src}", 10, "takes nothing from a packet"),
            ("ip src={ip.src} / udp dprot=1", 22, "did you mean dport?"),
        ] {
            let error = Template::parse(text, &NoFiles).unwrap_err();
            assert_eq!(error.at, at, "{error}");
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
