//! Every protocol, one file each: tables of fields and functions over bytes, with no world around them.

pub mod data;
pub mod ethernet;
pub mod frame;
mod options;
pub mod tcp;
pub mod udp;

#[cfg(test)]
pub(crate) mod testing;

use crate::protocol::Protocol;

/// Every protocol, from the link layer up. A new one is a file, its `mod` line above, and its line here.
pub static ALL: &[&Protocol] = &[
    // Links.
    &ethernet::PROTOCOL,
    // Transport.
    &tcp::PROTOCOL,
    &udp::PROTOCOL,
    // The rest.
    &frame::PROTOCOL,
    &data::PROTOCOL,
];
