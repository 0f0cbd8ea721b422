//! The EtherType that Ethernet, VLAN tags, cooked captures and tunnels share: names, telling it from a length, and what follows the payload.

use crate::layer::{Layer, View};

/// Up to this value the field of an IEEE 802.3 header is a length (clause 3.2.6).
pub const LONGEST: u16 = 1500;
/// From this value on it is a type; the values between mean nothing.
pub const FIRST_TYPE: u16 = 0x600;

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

/// Captured bytes between the end of the payload, as the next layer counts it, and the end of what the layer below
/// holds: padding or a trailer. With their offset in the layer.
pub fn trailer<'a>(view: &View<'a>) -> (usize, &'a [u8]) {
    let same = |layer: &&Layer| layer.buffer == view.layer.buffer;
    let layers = view.packet.layers;
    let below = view.index.checked_sub(1).and_then(|i| layers.get(i));
    let above = layers.get(view.index + 1);
    // A tag in between shows the trailer itself.
    if above.is_some_and(|layer| layer.protocol.name == "vlan") {
        return (0, &[]);
    }
    let buffer = view.packet.buffer(view.layer.buffer);
    let last = below.filter(same).map_or(buffer.len(), |l| l.end as usize);
    let first = above.filter(same).map_or(view.layer.end, |l| l.end) as usize;
    let offset = first.saturating_sub(view.layer.start as usize);
    (offset, buffer.get(first..last).unwrap_or(&[]))
}
