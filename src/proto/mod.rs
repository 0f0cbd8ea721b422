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

// Tunnels.
pub mod ah;
pub mod erspan;
pub mod geneve;
pub mod gre;
pub mod mpls;
pub mod ppp;
pub mod pppoe;
pub mod pseudowire;
pub mod vxlan;

// Network.
pub mod icmp;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_fraghdr;
pub mod ipv6_options;
pub mod ipv6_routing;

// Transport.
pub mod tcp;
pub mod udp;

// The rest.
pub mod data;
pub mod frame;

// No protocols, but what several of them share.
mod options;
mod quote;
mod verify;

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
    // Tunnels.
    &mpls::PROTOCOL,
    &pseudowire::PROTOCOL,
    &pppoe::DISCOVERY,
    &pppoe::SESSION,
    &ppp::PROTOCOL,
    &gre::PROTOCOL,
    &erspan::PROTOCOL,
    &vxlan::PROTOCOL,
    &geneve::PROTOCOL,
    &ah::PROTOCOL,
    // Network.
    &ipv4::PROTOCOL,
    &icmp::PROTOCOL,
    &igmp::PROTOCOL,
    &ipv6::PROTOCOL,
    &ipv6_options::HOP_BY_HOP,
    &ipv6_options::DESTINATION,
    &ipv6_routing::PROTOCOL,
    &ipv6_fraghdr::PROTOCOL,
    &icmpv6::PROTOCOL,
    // Transport.
    &tcp::PROTOCOL,
    &udp::PROTOCOL,
    // The rest.
    &frame::PROTOCOL,
    &data::PROTOCOL,
];
