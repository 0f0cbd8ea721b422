//! Which interfaces to capture on when none is named, and why: the reason is shown to the user.

use std::{fs, net::IpAddr};

use super::{ANY, list::Available};

/// What the capture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Packets one by one (`capture`).
    Packets,
    /// Conversations of this host (`watch`).
    Conversations,
}

/// Interfaces, and the reason for taking them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Their names.
    pub interfaces: Vec<String>,
    /// In words, to be shown.
    pub reason: String,
}

/// Chooses for the network namespace of the calling thread. `loopback` is a loopback address that the filter names.
pub fn choose(purpose: Purpose, loopback: Option<IpAddr>) -> Choice {
    decide(
        purpose,
        loopback,
        &super::available(),
        default_route().as_deref(),
    )
}

fn decide(
    purpose: Purpose,
    named: Option<IpAddr>,
    all: &[Available],
    default_route: Option<&str>,
) -> Choice {
    let choice = |names: &[&str], reason: String| Choice {
        interfaces: names.iter().map(|&name| name.to_owned()).collect(),
        reason,
    };
    let loopback = all.iter().find(|i| i.loopback).map(|i| i.name.as_str());
    if let (Purpose::Packets, Some(lo), Some(named)) = (purpose, loopback, named) {
        return choice(&[lo], format!("{lo} (the filter names {named})"));
    }
    match (default_route, loopback) {
        (Some(route), Some(lo)) if purpose == Purpose::Conversations && route != lo => {
            choice(&[lo, route], format!("{lo} and {route} (default route)"))
        }
        (Some(route), _) => choice(&[route], format!("{route} (default route)")),
        (None, Some(lo)) if all.iter().all(|i| i.loopback || !i.up) => choice(
            &[lo],
            format!("{lo} (there is no default route, and nothing else is up)"),
        ),
        (None, _) => choice(
            &[ANY],
            "any: all interfaces (there is no default route)".to_owned(),
        ),
    }
}

/// The interface of the default route with the lowest metric, IPv4 first.
fn default_route() -> Option<String> {
    let read = |file: &str| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    read("route")
        .ok()
        .and_then(|table| ipv4_default(&table))
        .or_else(|| ipv6_default(&read("ipv6_route").ok()?))
}

/// `/proc/net/route`: interface, destination, gateway, flags, reference count, use, metric, mask, …
fn ipv4_default(table: &str) -> Option<String> {
    let rows = table.lines().filter_map(|row| {
        let row: Vec<&str> = row.split_whitespace().collect();
        let up = u16::from_str_radix(row.get(3)?, 16).ok()? & libc::RTF_UP != 0;
        let default = row.get(1) == Some(&"00000000") && row.get(7) == Some(&"00000000");
        (up && default).then_some((row.get(6)?.parse::<u32>().ok()?, row[0].to_owned()))
    });
    rows.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

/// `/proc/net/ipv6_route`: destination, its prefix length, source, its prefix length, next hop, metric, reference count,
/// use, flags, interface; all in hexadecimal.
fn ipv6_default(table: &str) -> Option<String> {
    let rows = table.lines().filter_map(|row| {
        let row: Vec<&str> = row.split_whitespace().collect();
        let zero = row.first()?.bytes().all(|digit| digit == b'0');
        let name = *row.get(9)?;
        let metric = u32::from_str_radix(row.get(5)?, 16).ok()?;
        // The kernel's own entry that rejects everything stands on lo.
        (zero && row.get(1) == Some(&"00") && name != "lo").then_some((metric, name.to_owned()))
    });
    rows.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn interfaces() -> Vec<Available> {
        [("lo", true, true), ("eth0", true, false)]
            .map(|(name, up, loopback)| Available {
                index: 1,
                name: name.to_owned(),
                up,
                running: up,
                loopback,
                mtu: None,
                link: None,
                mac: None,
                addresses: Vec::new(),
            })
            .to_vec()
    }

    fn names(purpose: Purpose, named: Option<&str>, route: Option<&str>) -> String {
        let named = named.map(|address| address.parse().unwrap());
        decide(purpose, named, &interfaces(), route)
            .interfaces
            .join(" ")
    }

    #[test]
    fn the_default_route_unless_loopback_is_meant() {
        let packets = |named, route| names(Purpose::Packets, named, route);
        assert_eq!(packets(None, Some("eth0")), "eth0");
        assert_eq!(packets(Some("127.0.0.1"), Some("eth0")), "lo");
        assert_eq!(packets(Some("::1"), Some("eth0")), "lo");
        assert_eq!(packets(None, None), "any");
    }

    #[test]
    fn conversations_are_watched_on_loopback_too() {
        let watched = |route| names(Purpose::Conversations, None, route);
        assert_eq!(watched(Some("eth0")), "lo eth0");
        assert_eq!(watched(None), "any");
        let mut all = interfaces();
        all[1].up = false;
        assert_eq!(
            decide(Purpose::Conversations, None, &all, None).interfaces,
            ["lo"]
        );
    }

    #[test]
    fn the_lowest_metric_wins() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(ipv4_default(table).as_deref(), Some("eth0"));
        let zero = "00000000000000000000000000000000";
        let table = format!(
            "{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0\n"
        );
        assert_eq!(ipv6_default(&table).as_deref(), Some("eth0"));
    }
}
