//! How a header is made: what crafting needs to know of a protocol besides the fields that reading has.

use crate::{
    field::{At, Field},
    layer::View,
};

/// Everything needed to write a header, and to print one so that writing it gives the same bytes.
pub struct Craft {
    /// What the layer is called in the notation, the word that is printed first; then other spellings (`["ip", "ipv4"]`),
    /// compared without regard to case, so that Scapy's are among them.
    pub names: &'static [&'static str],
    /// The header with nothing given: its length without options, and usual values.
    pub header: &'static [u8],
    /// Fields in the order in which they are printed and computed. Fields at a fixed place that are not listed are
    /// there as well, after these, under their own names and never computed.
    pub slots: &'static [Slot],
    /// What can stand behind the fixed header, or be put into it in another way than a number at a place.
    pub tail: Option<&'static Tail>,
    /// Whether a header answers another one, whose addresses the layers below have compared.
    pub answers: Option<Answers>,
}

/// Whether the second header is the reply to the first.
pub type Answers = fn(&View<'_>, &View<'_>) -> bool;

/// A field as crafting sees it.
#[derive(Clone, Copy)]
pub struct Slot {
    /// Words for it in the notation, the printed one first. Of several slots for one place, the first is computed. Wireshark's full name and its part after the protocol's
    /// (`tcp.dstport`, `dstport`) are always understood.
    pub words: &'static [&'static str],
    /// The field that it writes.
    pub field: &'static Field,
    /// Its place: byte from the start of the header, bit from the most significant, length in bits.
    pub place: (u16, u8, u16),
    /// What one in the header counts: 4 for a header length in words. A value must be a multiple of it.
    pub unit: u16,
    /// Single bits of the value with names of their own, which can be joined: `S`, `SA`, `DF+MF`.
    pub letters: &'static [(&'static str, u64)],
    /// Where its value comes from when none is given.
    pub fill: Fill,
    /// Headers in which the place has this meaning; all, when `None`.
    pub when: Option<fn(&[u8]) -> bool>,
    /// It stands before everything else, and only where the layer is carried by this protocol (`tcp`): the length of a
    /// message in a stream. Places of the other fields, and the tail, are as if it were not there.
    pub leads_in: Option<&'static str>,
}

/// Where a value comes from that nobody gave.
#[derive(Clone, Copy)]
pub enum Fill {
    /// It stays what it is in [`Craft::header`], or what the tail made of it.
    Usual,
    /// It follows from the packet around it. The view's layer reaches to the end of what it carries, and inner layers
    /// are complete. It counts what a value in words counts: bytes, also where the field counts in larger units.
    /// `None` leaves the usual value.
    Computed(fn(&View<'_>) -> Option<u64>),
    /// The world knows it.
    Asked(Ask),
    /// It stays what it is in [`Craft::header`], and decides what else the header has, as the type of a message does.
    Form(&'static Form),
}

/// Headers of several forms under one name.
pub struct Form {
    /// The header with nothing given, of the form that this one asks for: it may have any length, and has the deciding
    /// values, which stay.
    pub header: fn(&[u8]) -> &'static [u8],
    /// Names of layers that are this one with a value of the deciding field, as Scapy has them
    /// (`ICMPv6EchoRequest` is type 128).
    pub names: &'static [(&'static str, u64)],
}

/// What only the world knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The address from which the kernel would send to the packet's destination.
    Source,
    /// The hardware address of the interface on the way there.
    SourceMac,
    /// The hardware address of the next hop.
    NextHopMac,
    /// A port that no other socket has.
    Port,
    /// A first sequence number.
    Isn,
    /// A number that tells this program's requests from others'.
    Ident,
}

/// What can stand behind a fixed header: options, records, addresses.
pub struct Tail {
    /// Words that write it, in the order in which they are given.
    pub parts: &'static [Part],
    /// Completes it, such as with padding to whole words.
    pub finish: Option<fn(&mut Vec<u8>)>,
    /// Finds the words (and their values) that would write what `view` has; a word without a value has an empty one.
    /// Whatever it cannot say makes the layer one that is printed as bytes.
    pub read: fn(&View<'_>, &mut dyn FnMut(&'static str, String)),
}

/// One word of a [`Tail`]. With the word of a slot, it makes room for the slot's field, and the value is the field's: it can
/// be a list, and computed when there is none.
pub struct Part {
    /// Its spellings, the printed one first.
    pub words: &'static [&'static str],
    /// How a value looks (`N`, `VALUE:ECHO`); empty for a word that has none.
    pub form: &'static str,
    /// What it writes, in a few words.
    pub doc: &'static str,
    /// Writes `value` into the header so far, mostly at its end.
    ///
    /// # Errors
    /// What is wrong with the value and what would be right, in words.
    pub write: fn(value: &str, header: &mut Vec<u8>) -> Result<(), String>,
}

impl Slot {
    /// A field at its own fixed place, which has to be one.
    pub const fn new(words: &'static [&'static str], field: &'static Field) -> Self {
        let place = match field.at {
            At::Bits { byte, bit, bits } => (byte, bit, bits),
            At::Walked | At::Derived => panic!("a field without a fixed place needs Slot::at"),
        };
        Self::at(words, field, place)
    }

    /// A field that reading finds by walking, and that has this place in headers as they are crafted.
    pub const fn at(
        words: &'static [&'static str],
        field: &'static Field,
        place: (u16, u8, u16),
    ) -> Self {
        Self {
            words,
            field,
            place,
            unit: 1,
            letters: &[],
            fill: Fill::Usual,
            when: None,
            leads_in: None,
        }
    }

    /// The same, counted in `unit`s.
    pub const fn unit(mut self, unit: u16) -> Self {
        self.unit = unit;
        self
    }

    /// The same, with names for single bits.
    pub const fn letters(mut self, letters: &'static [(&'static str, u64)]) -> Self {
        self.letters = letters;
        self
    }

    /// The same, computed.
    pub const fn computed(mut self, value: fn(&View<'_>) -> Option<u64>) -> Self {
        self.fill = Fill::Computed(value);
        self
    }

    /// The same, known by the world only.
    pub const fn asked(mut self, ask: Ask) -> Self {
        self.fill = Fill::Asked(ask);
        self
    }

    /// The same, deciding the form of the header.
    pub const fn form(mut self, form: &'static Form) -> Self {
        self.fill = Fill::Form(form);
        self
    }

    /// The same, before everything else, inside `protocol` only.
    pub const fn leads_in(mut self, protocol: &'static str) -> Self {
        self.leads_in = Some(protocol);
        self
    }

    /// The same, in such headers only.
    pub const fn when(mut self, when: fn(&[u8]) -> bool) -> Self {
        self.when = Some(when);
        self
    }

    /// Whether the field has bits in `place`.
    pub const fn overlaps(&self, place: (u16, u8, u16)) -> bool {
        const fn ends((byte, bit, bits): (u16, u8, u16)) -> (u32, u32) {
            let first = byte as u32 * 8 + bit as u32;
            (first, first + bits as u32)
        }
        let ((first, end), (from, to)) = (ends(self.place), ends(place));
        first < to && from < end
    }

    /// Whether `header` has the field: it is of the right form, and long enough.
    pub fn is_in(&self, header: &[u8]) -> bool {
        let (byte, bit, bits) = self.place;
        let end = usize::from(byte) * 8 + usize::from(bit) + usize::from(bits);
        end <= header.len() * 8 && self.when.is_none_or(|when| when(header))
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names).finish()
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.field.name)
    }
}
