//! Reads a specification: words into layers and fields, every fault with its place.

use super::{
    Choices, Given, Piece, Spec, SpecError, payload,
    slots::{self, is_called, layer_name, layer_names, protocol, slots},
    value::{get, put},
};
use crate::{
    layer::MAX_LAYERS,
    link::LinkType,
    proto::data,
    protocol::{Fill, Part, Protocol, Slot},
    text::{near, number},
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
            Some(value) => Fault::new(self.value_at, value.chars().count(), message),
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
        layers.push(scan.layer()?);
        scan.spaces();
        match scan.peek() {
            None => return Ok(layers),
            Some('/') => scan.at += 1,
            Some(_) => return Err(Fault::new(scan.at, 1, "expected / before the next layer")),
        }
    }
}

struct Scan<'a> {
    chars: &'a [char],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn name(&mut self) -> String {
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
        let at = self.at;
        let name = self.name();
        if name.is_empty() {
            let mut fault = Fault::new(at, 1, "expected the name of a layer");
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
            let value = if is_text {
                self.to_layer_end()
            } else {
                self.value()
            };
            layer.words.push(Word {
                name: layer.name.clone(),
                at,
                value: Some(value),
                value_at,
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
            };
            if self.peek() == Some('=') {
                self.at += 1;
                word.value_at = self.at;
                word.value = Some(self.value());
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

    fn is_prefix(&self, start: usize) -> bool {
        let before: String = self.chars[start..self.at].iter().collect();
        let last = before.rsplit(',').next().unwrap_or(&before);
        let digit = self
            .chars
            .get(self.at + 1)
            .is_some_and(char::is_ascii_digit);
        digit && last.parse::<std::net::IpAddr>().is_ok()
    }

    /// Up to a `/` that stands alone, or the end.
    fn to_layer_end(&mut self) -> String {
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

fn all_layers() -> String {
    let mut names: Vec<&str> = layer_names().collect();
    names.extend(payload::WORDS.iter().map(|(word, _)| *word));
    format!("layers: {}", names.join(" "))
}

/// Looks everything up.
pub(super) fn spec(layers: &[Written], files: &dyn Files) -> Result<Spec, Fault> {
    let mut spec = Spec {
        layers: Vec::with_capacity(layers.len()),
        link: None,
    };
    for (index, layer) in layers.iter().enumerate() {
        if index == MAX_LAYERS {
            let message = format!("more than {MAX_LAYERS} layers");
            return Err(Fault::new(layer.at, layer.name.len(), message));
        }
        if index == 0 && layer.name == "link" {
            spec.link = Some(link(layer)?);
            continue;
        }
        spec.layers.push(piece(layer, files)?);
    }
    Ok(spec)
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

fn piece(layer: &Written, files: &dyn Files) -> Result<Piece, Fault> {
    if let Some(bytes) = plain(layer, files) {
        let mut piece = Piece::new(&data::PROTOCOL);
        piece.header = bytes?;
        for word in &layer.words[1..] {
            piece.add(word, files)?;
        }
        return Ok(piece);
    }
    let unknown = || {
        let known: Vec<&str> = layer_names().collect();
        let meant = near(&layer.name, known).map(|near| format!(", did you mean {near}?"));
        let message = format!("no layer {}{}", layer.name, meant.unwrap_or_default());
        Fault {
            help: Some(all_layers()),
            ..Fault::new(layer.at, layer.name.chars().count(), message)
        }
    };
    let (protocol, form) = protocol(&layer.name).ok_or_else(unknown)?;
    let mut piece = Piece::new(protocol);
    if let Some((slot, value)) = form {
        piece.give(slot, Choices::one(value.into()));
    }
    // What decides the form of the header comes first, wherever it stands; then what makes it longer.
    let (forming, rest): (Vec<&Word>, _) = layer.words.iter().partition(|w| piece.forms(&w.name));
    for word in forming {
        piece.add(word, files)?;
    }
    let given = piece.given.clone();
    piece.take_form(|at, _| {
        let given = given.iter().find(|given| given.slot == at)?;
        Some(given.choices.nth(0))
    });
    let mut fields = Vec::new();
    for word in rest {
        if !piece.lengthen(word)? {
            fields.push(word);
        }
    }
    piece.finish();
    for word in &fields {
        piece.add(word, files)?;
    }
    let cut = fields.iter().rev().find(|word| word.name == "cut");
    cut.map_or(Ok(()), |word| piece.cut(word))?;
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
            slots: slots(protocol),
            trailer: Vec::new(),
            cut: false,
        }
    }

    /// Whether the field called `word` decides the form of the header.
    fn forms(&self, word: &str) -> bool {
        let called = |slot: &&Slot| is_called(self.protocol, slot, word);
        let slot = self.slots.iter().find(called);
        slot.is_some_and(|slot| matches!(slot.fill, Fill::Form(_)))
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

    /// Writes a word of the tail; `false` for any other word. Fields of this form of the header come before the tail.
    fn lengthen(&mut self, word: &Word) -> Result<bool, Fault> {
        let is_field = |slot: &Slot| {
            let has = slot.when.is_none_or(|when| when(&self.header));
            has && is_called(self.protocol, slot, &word.name)
        };
        let Some(part) = self.part(&word.name) else {
            return Ok(false);
        };
        if self.slots.iter().any(is_field) {
            return Ok(false);
        }
        let value = word.value.as_deref().unwrap_or("");
        let wrong = |message| word.fault(message);
        (part.write)(value, &mut self.header).map_err(wrong)?;
        Ok(true)
    }

    fn add(&mut self, word: &Word, files: &dyn Files) -> Result<(), Fault> {
        let value = word.value.as_deref();
        let faulty = |message: String| word.fault(message);
        if word.name == "trailer" {
            self.trailer = payload::trailer(value.unwrap_or(""), files).map_err(faulty)?;
            return Ok(());
        }
        if word.name == "cut" {
            return Ok(());
        }
        let so_far = self.so_far();
        let called =
            |slot: &Slot| is_called(self.protocol, slot, &word.name) && slot.is_in(&so_far);
        let Some(slot) = self.slots.iter().position(called) else {
            return Err(self.unknown(word));
        };
        let choices = match value {
            Some(value) => Choices::read(&self.slots[slot], value).map_err(faulty)?,
            None if self.slots[slot].place.2 == 1 => Choices::one(1),
            None => return Err(faulty(format!("{}= needs a value", word.name))),
        };
        self.give(slot, choices);
        Ok(())
    }

    /// The header with what was given so far; the first of several values.
    fn so_far(&self) -> Vec<u8> {
        let mut header = self.header.clone();
        for given in &self.given {
            put(
                &mut header,
                self.slots[given.slot].place,
                given.choices.nth(0),
            );
        }
        header
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

    /// Gives a field a value, in place of the one before.
    pub(super) fn give(&mut self, slot: usize, choices: Choices) {
        self.given.retain(|given| given.slot != slot);
        self.given.push(Given { slot, choices });
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
    }

    fn unknown(&self, word: &Word) -> Fault {
        let protocol = self.protocol;
        let so_far = self.so_far();
        let mut known: Vec<&str> = self
            .slots
            .iter()
            .filter(|slot| slot.is_in(&so_far))
            .map(|slot| slots::word(protocol, slot))
            .collect();
        let tail = protocol.craft.and_then(|craft| craft.tail);
        known.extend(
            tail.into_iter()
                .flat_map(|t| t.parts)
                .filter_map(|p| p.words.first()),
        );
        known.extend(["trailer", "cut"]);
        let meant = near(&word.name, known.iter().copied());
        let meant = meant.map(|near| format!(", did you mean {near}?"));
        let (name, layer) = (&word.name, layer_name(protocol).unwrap_or(protocol.name));
        let message = format!("{layer} has no field {name}{}", meant.unwrap_or_default());
        Fault {
            help: Some(format!("fields of {layer}: {}", known.join(" "))),
            ..Fault::new(word.at, word.name.chars().count(), message)
        }
    }
}
