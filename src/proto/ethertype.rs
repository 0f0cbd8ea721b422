//! The EtherType that Ethernet, VLAN tags, cooked captures and tunnels share: names, telling it from a length, and what follows the payload.

use crate::{
    field::{Field, Value, Visit},
    layer::{Layer, Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next},
};
use std::ops::ControlFlow;

/// Up to this value the field of an IEEE 802.3 header is a length (clause 3.2.6).
pub const LONGEST: u16 = 1500;
/// From this value on it is a type; the values between mean nothing.
pub const FIRST_TYPE: u16 = 0x600;

/// The shortest Ethernet frame without its check sequence: shorter payloads are padded with zeros (clause 3.2.8).
const SHORTEST: usize = 60;

/// Tags between an Ethernet header and its payload.
const TAGS: [&str; 2] = ["vlan", "ieee8021ad"];

/// Names of EtherTypes, from the registry of IEEE 802 numbers that IANA keeps.
pub static NAMES: &[(u64, &str)] = &[
    (0x0800, "IPv4"),
    (0x0806, "ARP"),
    (0x0842, "Wake-on-LAN"),
    (0x22f3, "TRILL"),
    (0x6558, "Transparent Ethernet bridging"),
    (0x8035, "RARP"),
    (0x809b, "AppleTalk"),
    (0x80f3, "AppleTalk ARP"),
    (0x8100, "802.1Q VLAN"),
    (0x8137, "IPX"),
    (0x86dd, "IPv6"),
    (0x8808, "Ethernet flow control"),
    (0x8809, "Slow protocols (LACP)"),
    (0x880b, "PPP"),
    (0x8847, "MPLS"),
    (0x8848, "MPLS with upstream-assigned label"),
    (0x8863, "PPPoE discovery"),
    (0x8864, "PPPoE session"),
    (0x8870, "Jumbo LLC"),
    (0x888e, "EAPOL"),
    (0x8892, "PROFINET"),
    (0x88a2, "ATA over Ethernet"),
    (0x88a4, "EtherCAT"),
    (0x88a8, "802.1ad service VLAN"),
    (0x88b5, "Local experiment 1"),
    (0x88b6, "Local experiment 2"),
    (0x88be, "ERSPAN"),
    (0x88cc, "LLDP"),
    (0x88e5, "MACsec"),
    (0x88e7, "802.1ah backbone"),
    (0x88f7, "PTP"),
    (0x8902, "Connectivity fault management"),
    (0x8906, "Fibre Channel over Ethernet"),
    (0x892f, "HSR"),
    (0x9000, "Loopback test"),
    (0x9100, "Stacked VLAN"),
];

/// What a header of `header` bytes makes of the payload, by the type or length that its last two are.
pub(super) fn type_or_length(bytes: &[u8], header: usize, context: &Context<'_>) -> Dissected {
    let Some(&[hi, lo]) = bytes.get(header - 2..header) else {
        return Dissected::short(bytes, context, header);
    };
    let kind = u16::from_be_bytes([hi, lo]);
    if kind >= FIRST_TYPE {
        return Dissected::new(header, Next::Claim(Claim::EtherType(kind)), context);
    }
    if kind > LONGEST {
        return Dissected::new(header, Next::Data, context)
            .with(Problem::malformed("neither a length nor a type"));
    }
    let mut found = Dissected::new(header, Next::Claim(Claim::Name("llc")), context);
    // Before 802.2, Novell put IPX here without LLC; its first field is always ffff.
    if bytes.get(header..header + 2) == Some(&[0xff, 0xff]) {
        found.next = Next::Data;
    }
    let length = u32::from(kind) + header as u32;
    if length > context.wire {
        return found.with(Problem::malformed("length goes past the end of the frame"));
    }
    found.wire = length;
    found
}

/// Adds what is carried, by name or number, and how many bytes of it: for payloads that nothing decodes.
pub(super) fn add(kind: u16, view: &View<'_>, line: &mut Line) {
    match NAMES.iter().find(|(of, _)| *of == u64::from(kind)) {
        Some((_, name)) => line.add(format_args!("{name} (0x{kind:04x})")),
        None => line.add(format_args!("type=0x{kind:04x}")),
    }
    line.add(format_args!("len={}", view.payload_wire()));
}

/// Shows the captured bytes between the end of the payload, as the next layer counts it, and the end of what the layer
/// below holds: first the padding of a short Ethernet frame, then what is left.
pub fn trailer(
    view: &View<'_>,
    visit: &mut dyn Visit,
    padding: &'static Field,
    trailer: &'static Field,
) -> ControlFlow<()> {
    let same = |layer: &&Layer| layer.buffer == view.layer.buffer;
    let layers = view.packet.layers;
    let below = view.index.checked_sub(1).and_then(|i| layers.get(i));
    let above = layers.get(view.index + 1);
    // A tag in between shows the trailer itself.
    if above.is_some_and(|layer| TAGS.contains(&layer.protocol.name)) {
        return ControlFlow::Continue(());
    }
    let buffer = view.packet.buffer(view.layer.buffer);
    let last = below.filter(same).map_or(buffer.len(), |l| l.end as usize);
    let first = above.filter(same).map_or(view.layer.end, |l| l.end) as usize;
    let Some(bytes) = buffer.get(first..last) else {
        return ControlFlow::Continue(());
    };
    let frame = layers[..=view.index]
        .iter()
        .rfind(|l| l.protocol.name == "eth");
    // Shorter frames than that were never padded: they were captured by their sender.
    let full = frame
        .map(|l| l.start as usize + SHORTEST)
        .filter(|&end| last >= end);
    let missing = full.map_or(0, |end| end.saturating_sub(first));
    let mut at = first as u32 * 8;
    let (zeros, rest) = match bytes.split_at(missing.min(bytes.len())) {
        (zeros, rest) if zeros.iter().all(|&b| b == 0) => (zeros, rest),
        _ => (&bytes[..0], bytes),
    };
    for (field, part) in [(padding, zeros), (trailer, rest)] {
        let end = at + part.len() as u32 * 8;
        if !part.is_empty() {
            visit.field(field, Value::Bytes(part), at..end)?;
        }
        at = end;
    }
    ControlFlow::Continue(())
}
