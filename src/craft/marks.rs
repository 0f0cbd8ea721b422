//! Where each value of a built packet comes from: computed, given, given and wrong, or left to the world.

use std::ops::Range;

use super::{
    Built, Piece, Route, Spec,
    build::{answer, packet},
    slots::computed,
    value::get,
};
use crate::{field::Field, link::LinkType, protocol::Fill};

/// Where a value of a built packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The usual value of the header.
    Usual,
    /// Computed from the packet, or asked of the world.
    Computed,
    /// It would be asked of the world, which did not know.
    Unknown,
    /// Given, and nothing speaks against it.
    Given,
    /// Given, and not what would have been computed: this.
    Wrong(u128),
}

/// One field of a built packet, and where its value comes from.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Index of the layer.
    pub layer: usize,
    /// The field.
    pub field: &'static Field,
    /// Its bits in the packet: first, and one past the last.
    pub bits: (u32, u32),
    /// What one of the number counts: 4 for a header length in words.
    pub unit: u16,
    /// Where its value comes from.
    pub state: State,
}

impl Mark {
    /// The one that tells where the field comes from that `bits` of the packet make. `None` where no mark reaches: somebody
    /// gave options, data and trailers.
    pub fn of<'m>(marks: &'m [Self], bits: &Range<u32>) -> Option<&'m Self> {
        let touching = marks
            .iter()
            .filter(|mark| mark.bits.0 < bits.end && bits.start < mark.bits.1);
        // Of several words for the same bits, the one that says most and reaches least.
        touching.min_by_key(|mark| {
            let elsewhere = mark.bits != (bits.start, bits.end);
            let reach = mark.bits.1 - mark.bits.0;
            (mark.state == State::Usual, elsewhere, reach)
        })
    }
}

impl Piece {
    /// Whether somebody gave bits of slot `at` a value, by whatever word.
    pub(super) fn is_given(&self, at: usize) -> bool {
        let place = self.slots[at].place;
        let mut given = self.given.iter();
        given.any(|given| self.slots[given.slot].overlaps(place))
    }

    /// Whether slot `at` is another word for a place of `header` that stands before it.
    pub(super) fn is_alias(&self, at: usize, header: &[u8]) -> bool {
        let place = self.slots[at].place;
        let mut before = self.slots[..at].iter();
        before.any(|slot| slot.place == place && slot.is_in(header))
    }
}

impl Spec {
    /// Where each value of a packet that this specification built comes from, layer by layer.
    pub fn marks(&self, route: &dyn Route, built: &Built) -> Vec<Mark> {
        let mut marks = Vec::new();
        let whole = packet(&built.bytes, &built.layers, LinkType::RAW);
        for (index, piece) in self.layers.iter().enumerate() {
            let Some(view) = whole.view(index) else {
                continue;
            };
            for (at, slot) in piece.slots.iter().enumerate() {
                let Some(value) = get(view.header(), slot.place) else {
                    continue;
                };
                if !slot.is_in(view.header()) || piece.is_alias(at, view.header()) {
                    continue;
                }
                let right = match slot.fill {
                    Fill::Usual | Fill::Form(_) => None,
                    Fill::Computed(_) => computed(slot, &view),
                    Fill::Asked(ask) => answer(ask, route, built, index),
                };
                let given = piece.is_given(at);
                let state = match (given, slot.fill, right) {
                    (true, Fill::Computed(_), Some(right)) if right != value => State::Wrong(right),
                    (true, _, _) => State::Given,
                    (false, Fill::Asked(_), None) => State::Unknown,
                    (false, _, None) => State::Usual,
                    (false, _, Some(_)) => State::Computed,
                };
                let (byte, bit, bits) = slot.place;
                let first = (view.layer.start + u32::from(byte)) * 8 + u32::from(bit);
                marks.push(Mark {
                    layer: index,
                    field: slot.field,
                    bits: (first, first + u32::from(bits)),
                    unit: slot.unit,
                    state,
                });
            }
        }
        marks
    }
}
