//! Reads a specification: words into layers and fields, every fault with its place.

use super::{
    Built, Choices, Given, NoRoute, Piece, Spec, SpecError,
    hints::{all_layers, no_layer},
    payload,
    slots::{self, carrier, computed, is_called, layer_name, protocol, slots},
    value::{get, largest, put},
};
use crate::{
    layer::MAX_LAYERS,
    link::LinkType,
    proto::data,
    protocol::{Fill, Part, Protocol, Slot},
    text::number,
};

/// Where `file=NAME` gets its bytes.
pub trait Files {
    /// The contents of a file.
    ///
    /// # Errors
    /// What failed, in words.
    fn read(&self, name: &str) -> Result<Vec<u8>, String>;
}

/// For callers without files.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _name: &str) -> Result<Vec<u8>, String> {
        Err("files are not read here".to_owned())
    }
}

/// A layer as it was written, before anything is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) name: String,
    /// Column, in characters from 0.
    pub(super) at: usize,
    pub(super) words: Vec<Word>,
}

/// `name=value` or `name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) name: String,
    pub(super) at: usize,
    pub(super) value: Option<String>,
    pub(super) value_at: usize,
    /// Characters of the value as it was typed.
    pub(super) value_len: usize,
}

/// A fault before it is tied to the text: column, length, message, help.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn new(at: usize, len: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            len,
            message: message.into(),
            help: None,
        }
    }
}

impl Word {
    /// A fault of the value, or of the word where it has none.
    fn fault(&self, message: String) -> Fault {
        match &self.value {
            Some(_) => Fault::new(self.value_at, self.value_len, message),
            None => Fault::new(self.at, self.name.chars().count(), message),
        }
    }
}

impl Spec {
    /// Reads `text`.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(text: &str, files: &dyn Files) -> Result<Self, SpecError> {
        written(text)
            .and_then(|layers| spec(&layers, files))
            .map_err(|fault| SpecError {
                spec: text.to_owned(),
                at: fault.at,
                len: fault.len,
                message: fault.message,
                help: fault.help,
            })
    }
}

/// Cuts the text into layers and words.
pub(super) fn written(text: &str) -> Result<Vec<Written>, Fault> {
    let chars: Vec<char> = text.chars().collect();
    let mut scan = Scan {
        chars: &chars,
        at: 0,
    };
    let mut layers = Vec::new();
    loop {
        scan.spaces();
        let layer = scan.layer()?;
        if layers.len() > MAX_LAYERS {
            let message = format!("more than {MAX_LAYERS} layers");
            return Err(Fault::new(layer.at, layer.name.chars().count(), message));
        }
        layers.push(layer);
        scan.spaces();
        match scan.peek() {
            None => return Ok(layers),
            Some('/') => scan.at += 1,
            Some('=') => {
                let message = "expected = right behind its word, and its value right behind it";
                return Err(Fault::new(scan.at, 1, message));
            }
            Some(_) => return Err(Fault::new(scan.at, 1, "expected / before the next layer")),
        }
    }
}

pub(super) struct Scan<'a> {
    pub(super) chars: &'a [char],
    pub(super) at: usize,
}

impl Scan<'_> {
    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    pub(super) fn name(&mut self) -> String {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
        {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn layer(&mut self) -> Result<Written, Fault> {
        if let Some(layer) = self.quoted_layer()? {
            return Ok(layer);
        }
        let at = self.at;
        let name = self.name();
        if self.peek() == Some('(') && !name.is_empty() {
            return self.called_layer(name, at);
        }
        if name.is_empty() {
            let message = match self.peek() {
                Some('(') => "layers stand in no brackets; many bytes: random=60000:1, zeros=60000",
                _ => "expected the name of a layer",
            };
            let mut fault = Fault::new(at, 1, message);
            fault.help = Some(all_layers());
            return Err(fault);
        }
        let mut layer = Written {
            name,
            at,
            words: Vec::new(),
        };
        // A layer of bytes is its own word; text goes on to the next layer.
        if self.peek() == Some('=') {
            self.at += 1;
            let value_at = self.at;
            let is_text = layer.name == "text";
            let value = match layer.name.as_str() {
                "text" => self.layer_end(),
                "file" => self.path(),
                _ => self.value(),
            };
            layer.words.push(Word {
                name: layer.name.clone(),
                at,
                value: Some(value),
                value_at,
                value_len: self.at - value_at,
            });
            if is_text {
                return Ok(layer);
            }
        }
        loop {
            self.spaces();
            let at = self.at;
            let name = self.name();
            if name.is_empty() {
                return Ok(layer);
            }
            let mut word = Word {
                name,
                at,
                value: None,
                value_at: at,
                value_len: 0,
            };
            if self.peek() == Some('=') {
                self.at += 1;
                word.value_at = self.at;
                word.value = Some(self.value());
                word.value_len = self.at - word.value_at;
            }
            layer.words.push(word);
        }
    }

    /// Up to the next space or layer; a `/` between an address and digits is the prefix length.
    fn value(&mut self) -> String {
        let start = self.at;
        while let Some(c) = self.peek() {
            if c.is_whitespace() || c == '/' && !self.is_prefix(start) {
                break;
            }
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// Up to the next space: names of files have `/` in them.
    fn path(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|c| !c.is_whitespace()) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn is_prefix(&self, start: usize) -> bool {
        // No address has more characters.
        let start = start.max(self.at.saturating_sub(46));
        let before: String = self.chars[start..self.at].iter().collect();
        let last = before.rsplit(',').next().unwrap_or(&before);
        let digit = self
            .chars
            .get(self.at + 1)
            .is_some_and(char::is_ascii_digit);
        digit && last.parse::<std::net::IpAddr>().is_ok()
    }

    /// Up to a `/` that stands alone, or the end.
    fn layer_end(&mut self) -> String {
        let start = self.at;
        let alone = |at: usize| {
            let blank = |c: Option<&char>| c.is_none_or(|c| c.is_whitespace());
            self.chars[at] == '/'
                && at > start
                && blank(self.chars.get(at - 1))
                && blank(self.chars.get(at + 1))
        };
        let end = (start..self.chars.len())
            .find(|&at| alone(at))
            .unwrap_or(self.chars.len());
        self.at = end;
        let text: String = self.chars[start..end].iter().collect();
        if end < self.chars.len() {
            return text.trim_end().to_owned();
        }
        text
    }
}

/// Looks everything up.
pub(super) fn spec(layers: &[Written], files: &dyn Files) -> Result<Spec, Fault> {
    let mut spec = Spec {
        layers: Vec::with_capacity(layers.len()),
        link: None,
    };
    let mut ends = layers;
    if let Some((first, rest)) = layers.split_first()
        && first.name == "link"
    {
        spec.link = Some(link(first)?);
        ends = rest;
    }
    for layer in ends {
        let piece = piece(layer, &spec.layers, files)?;
        spec.layers.push(piece);
    }
    spec.settle();
    spec.fits(ends)?;
    Ok(spec)
}

impl Spec {
    /// Prepares for building.
    fn settle(&mut self) {
        let mut stride: u64 = 1;
        for given in self
            .layers
            .iter_mut()
            .rev()
            .flat_map(|piece| piece.given.iter_mut().rev())
        {
            given.stride = stride;
            stride = stride.saturating_mul(given.choices.len());
        }
        for piece in &mut self.layers {
            piece.settle();
        }
    }

    /// Whether a packet has room for all of it, and each computed number in its field.
    fn fits(&self, layers: &[Written]) -> Result<(), Fault> {
        let len = |piece: &Piece| piece.header.len() + piece.trailer.len();
        let total: usize = self.layers.iter().map(len).sum();
        if total > payload::MAX_BYTES {
            let message = format!(
                "{total} bytes, and a packet has at most {}",
                payload::MAX_BYTES
            );
            return Err(Fault::new(0, 1, message));
        }
        let mut built = Built::default();
        self.build(0, &NoRoute, &mut built);
        let whole = built.packet(LinkType::RAW);
        for ((piece, layer), view) in self.layers.iter().zip(layers).zip(whole.views()) {
            for slot in piece.computed.iter().map(|at| &piece.slots[*at]) {
                let value = computed(slot, &view).unwrap_or(0);
                if value > largest(slot.place.2) {
                    let message = format!(
                        "too long: {} would be {}; give it a value, or carry less",
                        slots::word(piece.protocol, slot),
                        value.saturating_mul(slot.unit.into())
                    );
                    return Err(Fault::new(layer.at, layer.name.chars().count(), message));
                }
            }
        }
        Ok(())
    }
}

/// `link=NAME` or a number: for packets that begin with bytes.
fn link(layer: &Written) -> Result<LinkType, Fault> {
    let word = layer.words.first();
    let value = word.and_then(|w| w.value.as_deref()).unwrap_or("");
    let named = LinkType::named(value).or_else(|| value.parse().ok().map(LinkType));
    named.ok_or_else(|| {
        let at = word.map_or(layer.at, |w| w.value_at);
        Fault::new(
            at,
            value.chars().count(),
            "expected a link type such as EN10MB, RAW or 101",
        )
    })
}

fn piece(layer: &Written, outer: &[Piece], files: &dyn Files) -> Result<Piece, Fault> {
    if let Some(bytes) = plain(layer, files) {
        let mut piece = Piece::new(&data::PROTOCOL);
        piece.header = bytes?;
        piece.fill(&layer.words[1..], files)?;
        return Ok(piece);
    }
    let (protocol, form) = protocol(&layer.name).ok_or_else(|| no_layer(layer))?;
    let carrier = carrier(protocol, outer.iter().map(|piece| piece.protocol));
    let mut piece = Piece::new(protocol);
    piece.carried_by(carrier);
    if let Some((slot, value)) = form {
        piece.give(slot, Choices::one(value.into()));
    }
    piece.fill(&layer.words, files)?;
    Ok(piece)
}

/// The bytes of a layer of plain bytes, also empty ones; `None` for any other layer.
fn plain(layer: &Written, files: &dyn Files) -> Option<Result<Vec<u8>, Fault>> {
    let word = layer.words.first().filter(|w| w.at == layer.at)?;
    let value = word.value.as_deref()?;
    let bytes = payload::bytes(&word.name, value, files)?;
    Some(bytes.map_err(|message| Fault::new(word.value_at, value.chars().count(), message)))
}

impl Piece {
    /// A header with nothing given.
    pub(super) fn new(protocol: &'static Protocol) -> Self {
        Self {
            protocol,
            header: protocol.craft.map_or_else(Vec::new, |c| c.header.to_vec()),
            given: Vec::new(),
            ready: 0,
            computed: Vec::new(),
            asked: Vec::new(),
            slots: slots(protocol),
            trailer: Vec::new(),
            cut: false,
        }
    }

    /// Leaves out what only stands before messages that another protocol carries.
    pub(super) fn carried_by(&mut self, carrier: Option<&'static Protocol>) {
        let carries = |by| carrier.is_some_and(|carrier| carrier.name == by);
        self.slots.retain(|slot| slot.leads_in.is_none_or(carries));
    }

    /// Whether the field called `word` decides the form of the header.
    fn forms(&self, word: &str) -> bool {
        let forms = |slot: &&Slot| matches!(slot.fill, Fill::Form(_));
        let mut forming = self.slots.iter().filter(forms);
        forming.any(|slot| is_called(self.protocol, slot, word))
    }

    /// Gives the header the form that the values of the deciding fields ask for, by index and slot, and these values; what
    /// has none stays as usual.
    pub(super) fn take_form(&mut self, value: impl Fn(usize, &Slot) -> Option<u128>) {
        let mut found = None;
        for (at, slot) in self.slots.iter().enumerate() {
            if let Fill::Form(form) = slot.fill {
                found = Some(form);
                if let Some(value) = value(at, slot) {
                    put(&mut self.header, slot.place, value);
                }
            }
        }
        let Some(form) = found else {
            return;
        };
        let decided = std::mem::take(&mut self.header);
        self.header = (form.header)(&decided).to_vec();
        for slot in &self.slots {
            if let (Fill::Form(_), Some(value)) = (slot.fill, get(&decided, slot.place)) {
                put(&mut self.header, slot.place, value);
            }
        }
    }

    /// Makes the header, and then gives its fields their values: whether and where it has a field can depend on words that
    /// stand behind it.
    fn fill(&mut self, words: &[Word], files: &dyn Files) -> Result<(), Fault> {
        // What decides the form of the header comes first, wherever it stands.
        let (forming, rest): (Vec<&Word>, _) = words.iter().partition(|w| self.forms(&w.name));
        forming.into_iter().try_for_each(|word| self.field(word))?;
        let given = self.given.clone();
        self.take_form(|at, _| {
            let given = given.iter().find(|given| given.slot == at)?;
            Some(given.choices.nth(0))
        });
        let mut fields = Vec::new();
        for word in &rest {
            if self.make(word, files)? {
                fields.push(*word);
            }
        }
        self.finish();
        fields
            .sort_by_cached_key(|word| self.named(&word.name).any(|(_, slot)| slot.when.is_some()));
        fields.into_iter().try_for_each(|word| self.field(word))?;
        let cut = rest.iter().rev().find(|word| word.name == "cut");
        cut.map_or(Ok(()), |word| self.cut(word))
    }

    /// Writes what is no field; says whether a field is left to be given a value.
    fn make(&mut self, word: &Word, files: &dyn Files) -> Result<bool, Fault> {
        let value = word.value.as_deref();
        if word.name == "trailer" {
            let trailer = payload::trailer(value.unwrap_or(""), files);
            self.trailer = trailer.map_err(|message| word.fault(message))?;
            return Ok(false);
        }
        if word.name == "cut" {
            return Ok(false);
        }
        let has_field = |piece: &Self| {
            let mut named = piece.named(&word.name);
            named.any(|(_, slot)| slot.is_in(&piece.header))
        };
        let Some(part) = self.part(&word.name).filter(|_| !has_field(self)) else {
            return Ok(true);
        };
        (part.write)(value.unwrap_or(""), &mut self.header).map_err(|m| word.fault(m))?;
        Ok(value.is_some() && has_field(self))
    }

    /// `cut=N`: leaves so many bytes of the header.
    fn cut(&mut self, word: &Word) -> Result<(), Fault> {
        let value = word.value.as_deref().unwrap_or("");
        let len = number(value).and_then(|len| usize::try_from(len).ok());
        let Some(len) = len.filter(|len| *len <= self.header.len()) else {
            let message = format!("expected a number of bytes up to {}", self.header.len());
            return Err(Fault::new(word.value_at, value.chars().count(), message));
        };
        self.header.truncate(len);
        self.cut = true;
        Ok(())
    }

    /// Gives a field its value.
    fn field(&mut self, word: &Word) -> Result<(), Fault> {
        let named: Vec<(usize, &Slot)> = self.named(&word.name).collect();
        if named.is_empty() {
            return Err(self.unknown(word));
        }
        let mut named = named.into_iter();
        let Some((at, slot)) = named.find(|(_, slot)| slot.is_in(&self.header)) else {
            let layer = layer_name(self.protocol).unwrap_or(self.protocol.name);
            let message = format!("this form of {layer} has no {}", word.name);
            return Err(Fault::new(word.at, word.name.chars().count(), message));
        };
        let choices = match &word.value {
            Some(value) => Choices::read(slot, value).map_err(|message| {
                word.fault(match value.strip_prefix('=') {
                    Some(_) => "one = is enough: a value is given, not compared".to_owned(),
                    None => message,
                })
            })?,
            None if slot.place.2 == 1 => Choices::one(1),
            None => return Err(word.fault(format!("{}= needs a value", word.name))),
        };
        self.give(at, choices);
        Ok(())
    }

    /// The slots that are called `word`: several where forms of the header have a field in different places.
    fn named(&self, word: &str) -> impl Iterator<Item = (usize, &Slot)> {
        let slots = self.slots.iter().enumerate();
        slots.filter(move |(_, slot)| is_called(self.protocol, slot, word))
    }

    /// Gives a field a value, in place of the one before.
    pub(super) fn give(&mut self, slot: usize, choices: Choices) {
        self.given.retain(|given| given.slot != slot);
        put(&mut self.header, self.slots[slot].place, choices.nth(0));
        self.given.push(Given {
            slot,
            choices,
            stride: 1,
        });
    }

    /// The part of the tail that is called `word`.
    pub(super) fn part(&self, word: &str) -> Option<&'static Part> {
        let tail = self.protocol.craft?.tail?;
        let called = |part: &&Part| part.words.iter().any(|w| w.eq_ignore_ascii_case(word));
        tail.parts.iter().find(called)
    }

    /// All words of the tail are written.
    pub(super) fn finish(&mut self) {
        let tail = self.protocol.craft.and_then(|craft| craft.tail);
        if let Some(finish) = tail.and_then(|tail| tail.finish) {
            finish(&mut self.header);
        }
        let leading = self.slots.iter().find(|slot| slot.leads_in.is_some());
        if let Some(bytes) = leading.map(|slot| slot.place.2 / 8) {
            self.header.splice(0..0, (0..bytes).map(|_| 0));
            for slot in self.slots.iter_mut().filter(|s| s.leads_in.is_none()) {
                slot.place.0 += bytes;
            }
        }
    }
}
