//! Every protocol, one file each: tables of fields and functions over bytes, with no world around them.

// Links.
pub mod arp;
pub mod ethernet;
pub mod ethertype;
pub mod llc;
pub mod null;
pub mod raw;
pub mod service_vlan;
pub mod sll;
pub mod vlan;

pub mod data;
pub mod udp;

#[cfg(test)]
pub(crate) mod testing;

use crate::protocol::Protocol;

/// Every protocol, from the link layer up. A new one is a file, its `mod` line above, and its line here.
pub static ALL: &[&Protocol] = &[
    // Links.
    &ethernet::PROTOCOL,
    &llc::PROTOCOL,
    &sll::PROTOCOL,
    &null::PROTOCOL,
    &raw::PROTOCOL,
    &vlan::PROTOCOL,
    &service_vlan::PROTOCOL,
    &arp::PROTOCOL,
    // Transport.
    &udp::PROTOCOL,
    // The rest.
    &data::PROTOCOL,
];
