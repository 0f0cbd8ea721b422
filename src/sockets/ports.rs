//! Port numbers: IANA's ranges, this kernel's own, and what the well-known ones are for.

use std::ops::RangeInclusive;

use crate::sys::machine::ipv4_setting;

/// One of IANA's ranges (RFC 6335 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// First and last port.
    pub ports: RangeInclusive<u16>,
    /// The RFC's name for them.
    pub name: &'static str,
    /// How a service comes to such a port.
    pub meaning: &'static str,
}

/// The three ranges; together they are all ports.
pub const RANGES: [Range; 3] = [
    range(
        0..=1023,
        "system",
        "well-known services; assigned after review by the IETF",
    ),
    range(
        1024..=49151,
        "user",
        "registered services; assigned on request",
    ),
    range(
        49152..=65535,
        "dynamic",
        "for anybody, for a while; never assigned",
    ),
];

const fn range(ports: RangeInclusive<u16>, name: &'static str, meaning: &'static str) -> Range {
    Range {
        ports,
        name,
        meaning,
    }
}

/// The range that a port is in.
pub fn range_of(port: u16) -> &'static Range {
    let [system, user, dynamic] = const { &RANGES };
    match port {
        0..=1023 => system,
        1024..=49151 => user,
        _ => dynamic,
    }
}

/// What the kernel of this network namespace does with ports (ip(7)); nothing where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Those of which it takes one when a program names none: `ip_local_port_range`.
    pub local: Option<RangeInclusive<u16>>,
    /// The first that any program may take; those below want `CAP_NET_BIND_SERVICE`: `ip_unprivileged_port_start`. May be
    /// 65536, which no port reaches.
    pub unprivileged: Option<u32>,
    /// Those of the first that it leaves out: `ip_local_reserved_ports`.
    pub reserved: Vec<RangeInclusive<u16>>,
}

impl Kernel {
    /// Asks the kernel.
    pub fn look() -> Self {
        Self {
            local: ipv4_setting("ip_local_port_range").and_then(|text| pair(&text)),
            unprivileged: ipv4_setting("ip_unprivileged_port_start")
                .and_then(|text| text.parse().ok()),
            reserved: ipv4_setting("ip_local_reserved_ports")
                .map_or_else(Vec::new, |text| list(&text)),
        }
    }

    /// It may give this port to a program that names none.
    pub fn gives(&self, port: u16) -> bool {
        let is_local = self
            .local
            .as_ref()
            .is_some_and(|local| local.contains(&port));
        is_local && !self.reserved.iter().any(|range| range.contains(&port))
    }
}

/// Two numbers with a tab between them.
fn pair(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace();
    Some(words.next()?.parse().ok()?..=words.next()?.parse().ok()?)
}

/// `8080,9148-9150`
fn list(text: &str) -> Vec<RangeInclusive<u16>> {
    let one = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(one).collect()
}

/// A service that many know.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its port.
    pub port: u16,
    /// Over what: `tcp`, `udp`, or `tcp, udp`.
    pub over: &'static str,
    /// Its name in IANA's registry; empty where it is not registered.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
}

const fn service(port: u16, over: &'static str, name: &'static str, what: &'static str) -> Service {
    Service {
        port,
        over,
        name,
        what,
    }
}

const BOTH: &str = "tcp, udp";

/// The famous ones, by port. What they are is at most 47 columns.
pub const FAMOUS: &[Service] = &[
    service(7, BOTH, "echo", "sends everything back (RFC 862)"),
    service(9, BOTH, "discard", "throws everything away (RFC 863)"),
    service(13, BOTH, "daytime", "date and time as text (RFC 867)"),
    service(17, BOTH, "qotd", "a quotation (RFC 865)"),
    service(19, BOTH, "chargen", "characters without end (RFC 864)"),
    service(20, "tcp", "ftp-data", "file transfer, data (RFC 959)"),
    service(21, "tcp", "ftp", "file transfer, commands (RFC 959)"),
    service(22, "tcp", "ssh", "secure shell (RFC 4253)"),
    service(23, "tcp", "telnet", "a terminal in clear text (RFC 854)"),
    service(25, "tcp", "smtp", "mail between servers (RFC 5321)"),
    service(37, BOTH, "time", "seconds since 1900 (RFC 868)"),
    service(43, "tcp", "nicname", "whois: who owns a name (RFC 3912)"),
    service(53, BOTH, "domain", "DNS: names to addresses (RFC 1035)"),
    service(67, "udp", "bootps", "DHCP, the server's end (RFC 2131)"),
    service(68, "udp", "bootpc", "DHCP, the client's end (RFC 2131)"),
    service(69, "udp", "tftp", "simple file transfer (RFC 1350)"),
    service(70, "tcp", "gopher", "menus before the web (RFC 1436)"),
    service(79, "tcp", "finger", "who is logged in (RFC 1288)"),
    service(80, "tcp", "http", "the web (RFC 9110)"),
    service(
        88,
        BOTH,
        "kerberos",
        "tickets that prove who one is (RFC 4120)",
    ),
    service(110, "tcp", "pop3", "fetches mail (RFC 1939)"),
    service(
        111,
        BOTH,
        "sunrpc",
        "tells the ports of RPC programs (RFC 1833)",
    ),
    service(113, "tcp", "auth", "ident: whose connection (RFC 1413)"),
    service(119, "tcp", "nntp", "Usenet news (RFC 3977)"),
    service(123, "udp", "ntp", "sets clocks (RFC 5905)"),
    service(137, "udp", "netbios-ns", "Windows names of old (RFC 1002)"),
    service(
        138,
        "udp",
        "netbios-dgm",
        "Windows datagrams of old (RFC 1002)",
    ),
    service(139, "tcp", "netbios-ssn", "Windows files of old (RFC 1002)"),
    service(143, "tcp", "imap", "reads mail on the server (RFC 9051)"),
    service(161, "udp", "snmp", "asks network devices (RFC 3417)"),
    service(
        162,
        "udp",
        "snmptrap",
        "network devices that speak up (RFC 3417)",
    ),
    service(179, "tcp", "bgp", "routes between providers (RFC 4271)"),
    service(389, "tcp", "ldap", "directories of people (RFC 4511)"),
    service(
        443,
        BOTH,
        "https",
        "the web with TLS; over udp HTTP/3 (RFC 9114)",
    ),
    service(
        445,
        "tcp",
        "microsoft-ds",
        "Windows files and printers (SMB)",
    ),
    service(465, "tcp", "submissions", "sends mail with TLS (RFC 8314)"),
    service(500, "udp", "isakmp", "keys for IPsec (RFC 7296)"),
    service(514, "udp", "syslog", "messages for a log (RFC 5426)"),
    service(514, "tcp", "shell", "rsh, before ssh; no secrets"),
    service(515, "tcp", "printer", "lpd: printing (RFC 1179)"),
    service(520, "udp", "router", "RIP: routes by distance (RFC 2453)"),
    service(
        546,
        "udp",
        "dhcpv6-client",
        "DHCPv6, the client's end (RFC 8415)",
    ),
    service(
        547,
        "udp",
        "dhcpv6-server",
        "DHCPv6, the server's end (RFC 8415)",
    ),
    service(554, BOTH, "rtsp", "steers audio and video (RFC 7826)"),
    service(587, "tcp", "submission", "sends mail (RFC 6409)"),
    service(631, BOTH, "ipp", "printing (RFC 8010)"),
    service(636, "tcp", "ldaps", "directories, with TLS"),
    service(
        853,
        BOTH,
        "domain-s",
        "DNS with TLS (RFC 7858), over QUIC (RFC 9250)",
    ),
    service(873, "tcp", "rsync", "copies what has changed"),
    service(993, "tcp", "imaps", "reads mail, with TLS (RFC 8314)"),
    service(995, "tcp", "pop3s", "fetches mail, with TLS (RFC 8314)"),
    service(
        1080,
        "tcp",
        "socks",
        "a proxy for any connection (RFC 1928)",
    ),
    service(1194, BOTH, "openvpn", "OpenVPN"),
    service(1433, "tcp", "ms-sql-s", "Microsoft SQL Server"),
    service(1883, "tcp", "mqtt", "messages of small devices"),
    service(2049, BOTH, "nfs", "files over the network (RFC 8881)"),
    service(3306, "tcp", "mysql", "MySQL, MariaDB"),
    service(3389, BOTH, "ms-wbt-server", "Windows remote desktop (RDP)"),
    service(
        3478,
        BOTH,
        "stun",
        "finds one's address outside a NAT (RFC 8489)",
    ),
    service(
        4000,
        BOTH,
        "terabase",
        "in practice free for one's own programs",
    ),
    service(4500, "udp", "ipsec-nat-t", "IPsec through a NAT (RFC 3948)"),
    service(4789, "udp", "vxlan", "Ethernet inside UDP (RFC 7348)"),
    service(
        5000,
        BOTH,
        "commplex-main",
        "in practice Flask, AirPlay, own programs",
    ),
    service(5001, BOTH, "commplex-link", "in practice iperf 2"),
    service(
        5004,
        BOTH,
        "avt-profile-1",
        "RTP: audio and video (RFC 3551)",
    ),
    service(
        5005,
        BOTH,
        "avt-profile-2",
        "RTCP: how the RTP of 5004 arrives (RFC 3551)",
    ),
    service(5060, BOTH, "sip", "telephone calls (RFC 3261)"),
    service(5201, BOTH, "targus-getdata1", "in practice iperf 3"),
    service(5222, "tcp", "xmpp-client", "chat (RFC 6120)"),
    service(
        5353,
        "udp",
        "mdns",
        "names without a server: .local (RFC 6762)",
    ),
    service(5432, "tcp", "postgresql", "PostgreSQL"),
    service(5672, "tcp", "amqp", "queues of messages: RabbitMQ"),
    service(5900, "tcp", "rfb", "VNC: another screen (RFC 6143)"),
    service(6000, "tcp", "x11", "X Window System, screen 0"),
    service(6379, "tcp", "redis", "Redis"),
    service(8000, "tcp", "irdmi", "in practice web servers under trial"),
    service(
        8080,
        "tcp",
        "http-alt",
        "the web, without root: proxies, trials",
    ),
    service(
        8443,
        "tcp",
        "pcsync-https",
        "in practice the web with TLS, without root",
    ),
    service(
        9100,
        "tcp",
        "pdl-datastream",
        "printers, bytes as they are; Prometheus",
    ),
    service(9418, "tcp", "git", "git://"),
    service(11211, "tcp", "memcache", "memcached"),
    service(25565, "tcp", "minecraft", "Minecraft"),
    service(27017, "tcp", "mongodb", "MongoDB"),
    service(
        51820,
        "udp",
        "",
        "WireGuard, by habit; not assigned by IANA",
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_ranges_adjoin_and_are_all_ports() {
        assert_eq!(*RANGES[0].ports.start(), 0);
        assert_eq!(*RANGES[2].ports.end(), u16::MAX);
        for pair in RANGES.windows(2) {
            assert_eq!(pair[0].ports.end() + 1, *pair[1].ports.start());
        }
        for port in 0..=u16::MAX {
            assert!(range_of(port).ports.contains(&port), "{port}");
        }
    }

    #[test]
    fn famous_services_are_in_order_once_and_short() {
        for pair in FAMOUS.windows(2) {
            let key = |one: &Service| (one.port, one.over != "udp");
            assert!(key(&pair[0]) < key(&pair[1]), "{:?}", pair[1]);
        }
        for one in FAMOUS {
            assert!(one.what.len() <= 47 && one.name.len() <= 15, "{one:?}");
        }
    }

    #[test]
    fn the_kernel_s_own_words_are_understood() {
        assert_eq!(pair("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(pair("x 1"), None);
        assert_eq!(list("8080,9148-9150\n"), [8080..=8080, 9148..=9150]);
        assert_eq!(list("\n"), []);
        let kernel = Kernel {
            local: Some(32768..=60999),
            unprivileged: Some(1024),
            reserved: vec![40000..=40009],
        };
        assert!(kernel.gives(32768) && kernel.gives(40010));
        assert!(!kernel.gives(40009) && !kernel.gives(5000));
        assert!(Kernel::look().unprivileged.is_some());
    }
}
