//! Which fields of a protocol can be written, and by which words: what the craft table lists, then every other fixed field.

use crate::{
    field::At,
    layer::View,
    proto,
    protocol::{Fill, Protocol, Slot},
};

/// The protocol whose layer is called `name` in the notation, by Wireshark or by Scapy; where the name is one of its
/// forms, with the slot and the value that give it.
pub(super) fn protocol(name: &str) -> Option<(&'static Protocol, Option<(usize, u64)>)> {
    let form = |protocol: &&'static Protocol| {
        let slots = protocol.craft?.slots.iter().enumerate();
        slots
            .filter_map(|(at, slot)| form_named(slot, name).map(|value| (at, value)))
            .next()
    };
    named(name).map(|protocol| (protocol, None)).or_else(|| {
        let mut all = proto::ALL.iter();
        all.find_map(|protocol| form(protocol).map(|given| (*protocol, Some(given))))
    })
}

/// The value of `slot` in a layer called `name`.
fn form_named(slot: &Slot, name: &str) -> Option<u64> {
    let Fill::Form(form) = slot.fill else {
        return None;
    };
    let mut names = form.names.iter();
    let found = names.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| *value)
}

fn named(name: &str) -> Option<&'static Protocol> {
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
        // Longer ones are no numbers.
        if !matches!(field.at, At::Bits { bit, bits, .. } if u16::from(bit) + bits <= 128) {
            continue;
        }
        let slot = Slot::new(&[], field);
        if slots[..listed].iter().all(|s| !s.field.is(field)) {
            slots.push(slot);
        }
    }
    slots
}

/// The number for `slot` that follows from the packet around it, even one that the field has no room for; `None` where none
/// does, and in headers without the field.
pub(super) fn computed(slot: &Slot, view: &View<'_>) -> Option<u128> {
    let Fill::Computed(compute) = slot.fill else {
        return None;
    };
    if !slot.is_in(view.header()) {
        return None;
    }
    let value = compute(view)?;
    let counted = match u64::from(slot.unit) {
        // Most fields: without a division.
        0 | 1 => value,
        unit if value.is_multiple_of(unit) => value / unit,
        _ => return None,
    };
    Some(counted.into())
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
    let name = slot.field.name;
    let has_length_of_part = name.len() == protocol.name.len() + 1 + word.len();
    slot.words
        .iter()
        .any(|known| known.eq_ignore_ascii_case(word))
        || has_length_of_part && own_part(protocol, slot).eq_ignore_ascii_case(word)
        || name.eq_ignore_ascii_case(word)
}
