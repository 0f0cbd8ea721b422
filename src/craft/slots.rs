//! Which fields of a protocol can be written, and by which words: what the craft table lists, then every other fixed field.

use crate::{
    field::At,
    proto,
    protocol::{Protocol, Slot},
};

/// The protocol whose layer is called `name` in the notation, or by Wireshark.
pub(super) fn protocol(name: &str) -> Option<&'static Protocol> {
    let spelled = |protocol: &&&Protocol| {
        let craft = protocol.craft;
        let mut names = craft.iter().flat_map(|craft| craft.names);
        names.any(|known| known.eq_ignore_ascii_case(name))
            || craft.is_some() && protocol.name.eq_ignore_ascii_case(name)
    };
    proto::ALL.iter().find(spelled).copied()
}

/// What the layer of `protocol` is called, for those that can be written.
pub(super) fn layer_name(protocol: &Protocol) -> Option<&'static str> {
    protocol.craft?.names.first().copied()
}

/// Every layer's name.
pub(super) fn layer_names() -> impl Iterator<Item = &'static str> {
    proto::ALL
        .iter()
        .filter_map(|protocol| layer_name(protocol))
}

/// The protocol that carries messages of `protocol` behind the `outer` ones: the nearest that is another.
pub(super) fn carrier(
    protocol: &'static Protocol,
    outer: impl DoubleEndedIterator<Item = &'static Protocol>,
) -> Option<&'static Protocol> {
    outer.rev().find(|outer| !std::ptr::eq(*outer, protocol))
}

/// Every field of `protocol` that can be written.
pub(super) fn slots(protocol: &'static Protocol) -> Vec<Slot> {
    let mut slots: Vec<Slot> = protocol.craft.map_or_else(Vec::new, |c| c.slots.to_vec());
    let listed = slots.len();
    for field in protocol.fields {
        if !matches!(field.at, At::Bits { .. }) {
            continue;
        }
        let slot = Slot::new(&[], field);
        if slots[..listed].iter().all(|s| !s.field.is(field)) {
            slots.push(slot);
        }
    }
    slots
}

/// The word by which `slot` is printed.
pub(super) fn word(protocol: &Protocol, slot: &Slot) -> &'static str {
    slot.words
        .first()
        .copied()
        .unwrap_or_else(|| own_part(protocol, slot))
}

/// Wireshark's name of the field without the protocol's.
fn own_part(protocol: &Protocol, slot: &Slot) -> &'static str {
    let name = slot.field.name;
    name.strip_prefix(protocol.name)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(name)
}

/// Whether `slot` is called `word`.
pub(super) fn is_called(protocol: &Protocol, slot: &Slot, word: &str) -> bool {
    slot.words
        .iter()
        .any(|known| known.eq_ignore_ascii_case(word))
        || own_part(protocol, slot).eq_ignore_ascii_case(word)
        || slot.field.name.eq_ignore_ascii_case(word)
}
