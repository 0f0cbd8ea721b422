//! Every protocol, one file each: tables of fields and functions over bytes, with no world around them.

pub mod data;
pub mod ethernet;
pub mod frame;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_fraghdr;
pub mod ipv6_options;
pub mod ipv6_routing;
mod options;
pub mod tcp;
pub mod udp;
mod verify;

#[cfg(test)]
pub(crate) mod testing;

use crate::protocol::Protocol;

/// Every protocol, from the link layer up. A new one is a file, its `mod` line above, and its line here.
pub static ALL: &[&Protocol] = &[
    // Links.
    &ethernet::PROTOCOL,
    // Network.
    &ipv4::PROTOCOL,
    &ipv6::PROTOCOL,
    &ipv6_options::HOP_BY_HOP,
    &ipv6_options::DESTINATION,
    &ipv6_routing::PROTOCOL,
    &ipv6_fraghdr::PROTOCOL,
    // Transport.
    &tcp::PROTOCOL,
    &udp::PROTOCOL,
    // The rest.
    &frame::PROTOCOL,
    &data::PROTOCOL,
];
