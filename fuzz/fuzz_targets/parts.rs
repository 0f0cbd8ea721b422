//! For the targets: a world with few names, the two parts of an input, and an input as a frame.
#![allow(dead_code)]

use std::net::IpAddr;

use sockwire::{
    filter::{Names, Service},
    frame::{Batch, Direction, KernelChecksum, Record},
    link::LinkType,
    time::Time,
};

/// One host, one service and one protocol have names.
pub struct Few;

impl Names for Few {
    fn port(&self, name: &str, service: Service) -> Option<u16> {
        (name == "http" && service != Service::Sctp).then_some(80)
    }
    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "localhost" => vec![[127, 0, 0, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1u16].into()],
            _ => Vec::new(),
        }
    }
    fn protocol(&self, name: &str) -> Option<u8> {
        (name == "tcp").then_some(6)
    }
}

/// An expression, and the packet behind the first zero byte; nothing where the expression is no text.
pub fn parts(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(data.len());
    let (expression, rest) = data.split_at(end);
    Some((
        str::from_utf8(expression).ok()?,
        rest.get(1..).unwrap_or(&[]),
    ))
}

/// The first byte as a link type, the rest as the only frame of a batch; nothing where there is no byte.
pub fn frame(data: &[u8]) -> Option<(LinkType, Batch)> {
    let (&link, frame) = data.split_first()?;
    // One above 255 is known: Linux cooked, version 2.
    let link = if link == 255 {
        LinkType::LINUX_SLL2
    } else {
        LinkType(link.into())
    };
    let record = Record {
        time: Time::MAX,
        link,
        interface: 0,
        direction: Direction::Unknown,
        checksum: KernelChecksum::Unknown,
        wire_len: frame.len() as u32,
        start: 0,
        len: frame.len() as u32,
    };
    Some((link, Batch::owned(frame.to_vec(), vec![record], 1)))
}
