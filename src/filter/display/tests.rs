//! Display filters over packets made here and recorded ones, and the faults they are refused for.
#![allow(clippy::unwrap_used)]

use super::DisplayFilter;
use crate::{
    decode::{Decoded, Decoder},
    file,
    filter::{Names, Service},
    frame::{Source as _, Step},
    proto::frame::Around,
    time::Time,
    track::Tracker,
};
use std::net::IpAddr;

/// Nobody is asked.
struct NoNames;

impl Names for NoNames {
    fn port(&self, _: &str, _: Service) -> Option<u16> {
        None
    }
    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "client.test" => vec!["10.0.0.1".parse().unwrap()],
            _ => Vec::new(),
        }
    }
    fn protocol(&self, _: &str) -> Option<u8> {
        None
    }
}
