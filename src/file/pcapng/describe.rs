//! Blocks that describe: sections, interfaces, names, statistics.

use std::{net::IpAddr, sync::Arc};

use crate::{
    file::{
        HostName, InterfaceDetail, MAX_INTERFACES, Statistics, clock::Clock, error::Damage, info,
        pcap::link_type,
    },
    frame::Interface,
    time::Time,
};

use super::{
    Section, Seen, Sink,
    option::{COMMENT, options},
};

/// The most interfaces, and the most sections, of a whole file, so that no file can fill the memory.
const MAX_LISTED: usize = 65_536;

impl Section {
    /// A section begins: its interfaces are numbered from 0 again.
    pub(super) fn section(&mut self, body: &[u8], sink: &mut Sink<'_>) -> Result<(), Damage> {
        const FIXED: usize = 16;
        check_length("a section header", body, FIXED)?;
        let (major, minor) = (self.order.u16(body, 4), self.order.u16(body, 6));
        if major != 1 {
            return Err(Damage::new(
                "pcapng version 1.x",
                format!("version {major}.{minor}"),
            ));
        }
        let mut section = info::Section::default();
        for option in options(self.order, &body[FIXED..]) {
            let option = option?;
            match option.code {
                COMMENT => section.comments.extend(sink.info.text(option.value)),
                2 => section.hardware = sink.info.text(option.value),
                3 => section.os = sink.info.text(option.value),
                4 => section.application = sink.info.text(option.value),
                _ => {}
            }
        }
        check_room("sections", sink.info.sections.len(), MAX_LISTED)?;
        sink.info.sections.push(section);
        self.first = sink.interfaces.len();
        self.interfaces.clear();
        Ok(())
    }

    /// An interface is described.
    pub(super) fn interface(&mut self, body: &[u8], sink: &mut Sink<'_>) -> Result<(), Damage> {
        const FIXED: usize = 8;
        check_length("an interface description", body, FIXED)?;
        check_room(
            "interfaces in a section",
            self.interfaces.len(),
            MAX_INTERFACES,
        )?;
        check_room("interfaces", sink.interfaces.len(), MAX_LISTED)?;
        let order = self.order;
        let mut interface = Interface {
            name: None,
            description: None,
            link: link_type(order.u16(body, 0)),
            snaplen: order.u32(body, 4),
            filter: None,
        };
        let mut detail = InterfaceDetail {
            section: (sink.info.sections.len().saturating_sub(1)) as u32,
            resolution: 6,
            ..InterfaceDetail::default()
        };
        for option in options(order, &body[FIXED..]) {
            let option = option?;
            match (option.code, option.value) {
                (COMMENT, _) => detail.comments.extend(sink.info.text(option.value)),
                (2, _) => interface.name = sink.info.text(option.value),
                (3, _) => interface.description = sink.info.text(option.value),
                (9, &[resolution]) => detail.resolution = resolution,
                // The first byte says how the filter is written; 0 is libpcap's language.
                (11, [0, filter @ ..]) => {
                    interface.filter = sink.info.text(filter);
                }
                (12, _) => detail.os = sink.info.text(option.value),
                (14, &[_, _, _, _, _, _, _, _]) => {
                    detail.offset = order.u64(option.value, 0).cast_signed();
                }
                (15, _) => detail.hardware = sink.info.text(option.value),
                _ => {}
            }
        }
        self.interfaces.push(Seen {
            clock: Clock::new(detail.resolution, detail.offset),
            link: interface.link,
            snaplen: interface.snaplen,
        });
        sink.interfaces.push(Arc::new(interface));
        sink.info.interfaces.push(detail);
        Ok(())
    }

    /// Names of addresses: records of a type, a length, an address and names that end in zeros.
    pub(super) fn names(&mut self, body: &[u8], sink: &mut Sink<'_>) -> Result<(), Damage> {
        let mut rest = body;
        while rest.len() >= 4 {
            let (kind, length) = (
                self.order.u16(rest, 0),
                usize::from(self.order.u16(rest, 2)),
            );
            let Some(record) = rest.get(4..4 + length) else {
                return Err(Damage::new(
                    format!("at most {} bytes for a name record", rest.len() - 4),
                    format!("a length of {length}"),
                ));
            };
            let named: Option<(IpAddr, &[u8])> = match (kind, record) {
                (0, _) => break,
                (1, [a, b, c, d, names @ ..]) => Some(([*a, *b, *c, *d].into(), names)),
                (2, _) => record
                    .split_first_chunk::<16>()
                    .map(|(address, names)| ((*address).into(), names)),
                _ => None,
            };
            if let Some((address, names)) = named {
                let names = names.split(|&b| b == 0);
                let names = names.filter_map(|name| sink.info.text(name));
                let named: Vec<_> = names.map(|name| HostName { address, name }).collect();
                sink.info.names.extend(named);
            }
            rest = rest
                .get(4 + length.next_multiple_of(4)..)
                .unwrap_or_default();
        }
        Ok(())
    }

    /// What an interface counted; the last such block of an interface is kept.
    pub(super) fn statistics(&mut self, body: &[u8], sink: &mut Sink<'_>) -> Result<(), Damage> {
        const FIXED: usize = 12;
        check_length("interface statistics", body, FIXED)?;
        let order = self.order;
        let number = order.u32(body, 0);
        // Statistics of an interface that is not described say nothing, and harm nothing.
        let Some(seen) = self.interfaces.get(number as usize) else {
            return Ok(());
        };
        let time = |bytes: &[u8], at: usize| -> Time {
            let high = u64::from(order.u32(bytes, at));
            seen.clock
                .time(high << 32 | u64::from(order.u32(bytes, at + 4)))
        };
        let mut statistics = Statistics {
            interface: (self.first as u32).saturating_add(number),
            time: time(body, 4),
            ..Statistics::default()
        };
        for option in options(order, &body[FIXED..]) {
            let option = option?;
            if option.value.len() != 8 {
                continue;
            }
            let number = Some(order.u64(option.value, 0));
            match option.code {
                2 => statistics.start = Some(time(option.value, 0)),
                3 => statistics.end = Some(time(option.value, 0)),
                4 => statistics.received = number,
                5 => statistics.dropped = number,
                6 => statistics.accepted = number,
                7 => statistics.os_dropped = number,
                8 => statistics.delivered = number,
                _ => {}
            }
        }
        let all = &mut sink.info.statistics;
        match all.binary_search_by_key(&statistics.interface, |known| known.interface) {
            Ok(at) => all[at] = statistics,
            Err(at) => all.insert(at, statistics),
        }
        Ok(())
    }
}

fn check_length(what: &str, body: &[u8], least: usize) -> Result<(), Damage> {
    if body.len() < least {
        return Err(Damage::new(
            format!("{what} with at least {least} bytes"),
            body.len().to_string(),
        ));
    }
    Ok(())
}

fn check_room(what: &str, have: usize, most: usize) -> Result<(), Damage> {
    if have >= most {
        return Err(Damage::new(format!("at most {most} {what}"), "one more"));
    }
    Ok(())
}
