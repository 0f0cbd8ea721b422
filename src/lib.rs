//! sockwire shows what a socket does on the wire. This page is the floor plan of the library.
//!
//! Bytes climb one stair and never come down again; a room imports only rooms below it (`tests/house.rs` checks).
//!
//! ```text
//!  tell    export  json svg html mermaid      render  line tree hex boxes ladder     packets → text or bytes
//!  join    timeline  calls and packets in one order, tied     compare  one exchange over stream, datagram and raw sockets
//!  act     probe   send and match                lab     private hosts, the wire, scenarios
//!  mean    track   flows, numbers, states, stories, streams     filter  which packets are wanted
//!  read    decode  walks a frame through the registry; never fails    craft  a written packet → bytes, and back
//!  know    proto   one file per protocol
//!  world   file    pcap, pcapng, logs    capture  an interface    sockets  the ordinary programs    trace  programs' calls
//!  cellar  sys     the kernel made safe: the only room with unsafe code
//!  words   time link frame field layer protocol line checksum text caret bpf call event
//! ```
//!
//! A packet's way up: a [`frame::Source`] (an interface, a file, a lab's wire) yields a [`frame::Batch`];
//! [`decode`] finds each frame's [`layer::Layer`]s through the tables of [`proto`]; [`track`] adds what only
//! the packets before it can tell, as facts; [`render`] and [`export`] visit fields and know no protocol by name.
//!
//! What is deliberately absent:
//! - Decoding cannot fail, and allocates nothing per packet.
//! - `proto`, `decode`, `track`, `filter`, `timeline` and `render` read no clock, socket, environment or stdout: the world is an argument.
//! - No view corrects a value, and every value shown has its bits, or is marked as derived.
//! - Nothing outside `sys` is unsafe.

pub mod bpf;
pub mod call;
pub mod caret;
pub mod checksum;
pub mod event;
pub mod field;
pub mod frame;
pub mod layer;
pub mod line;
pub mod link;
pub mod protocol;
pub mod text;
pub mod time;

pub mod capture;
pub mod compare;
pub mod craft;
pub mod decode;
pub mod export;
pub mod file;
pub mod filter;
pub mod lab;
pub mod probe;
pub mod proto;
pub mod render;
pub mod sockets;
pub mod sys;
pub mod timeline;
pub mod trace;
pub mod track;

#[cfg(test)]
mod testing;
