//! Whole messages, of every record type, and what is wrong with some.

use super::*;
use crate::{
    layer::ProblemKind,
    proto::{
        tcp,
        testing::{Seen, chain, seen},
    },
};

const UDP: Claim = Claim::UdpPort(PORT);

/// A header with these flags and counts.
fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let numbers = [&[0x1a2b, flags][..], &counts].concat();
    numbers.into_iter().flat_map(u16::to_be_bytes).collect()
}

/// A query for the addresses of `www.example.org`.
fn query() -> Vec<u8> {
    let question = b"\x03www\x07example\x03org\0\0\x01\0\x01";
    [&header(0x0100, [1, 0, 0, 0]), &question[..]].concat()
}

/// An answer of one record that belongs to `a.b`.
fn answer(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(0x8180, [0, 1, 0, 0]);
    bytes.extend(b"\x01a\x01b\0");
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 1, 0x2c]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

/// What is shown of the record's data.
fn data_of(kind: u16, data: &[u8]) -> Seen {
    let mut seen = seen(&PROTOCOL, UDP, &answer(kind, data));
    assert_eq!(seen.problem(), None, "type {kind}");
    let length = seen
        .fields
        .iter()
        .position(|(name, _)| *name == "dns.resp.len");
    seen.fields.drain(..=length.unwrap_or(0));
    seen
}

/// A segment to port 53 with `data`.
fn segment(data: &[u8]) -> Seen {
    let mut bytes = vec![
        0x9c, 0x40, 0, 53, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0,
    ];
    bytes.extend(data);
    let links = [
        (&tcp::PROTOCOL, Claim::IpProto(6)),
        (&PROTOCOL, Claim::TcpPort(PORT)),
    ];
    chain(&links, &bytes, bytes.len())
}

/// A message with its length before it.
fn prefixed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

#[test]
fn a_query_shows_its_header_and_question() {
    let found = seen(&PROTOCOL, UDP, &query());
    let expected = [
        ("dns.id", "0x1a2b"),
        ("dns.flags", "0x0100"),
        ("dns.flags.response", "false"),
        ("dns.flags.opcode", "0"),
        ("dns.flags.truncated", "false"),
        ("dns.flags.recdesired", "true"),
        ("dns.flags.z", "false"),
        ("dns.flags.checkdisable", "false"),
        ("dns.count.queries", "1"),
        ("dns.count.answers", "0"),
        ("dns.count.auth_rr", "0"),
        ("dns.count.add_rr", "0"),
        ("dns.qry.name", "www.example.org"),
        ("dns.qry.name.len", "15"),
        ("dns.count.labels", "3"),
        ("dns.qry.type", "1"),
        ("dns.qry.class", "0x0001"),
    ];
    assert_eq!(found.pairs(), expected);
    assert_eq!(found.line, " →  query 0x1a2b A www.example.org");
}

#[test]
fn flags_are_shown_where_they_mean_something() {
    let found = seen(&PROTOCOL, UDP, &header(0x8583, [0; 4]));
    let flags = |found: &Seen| -> Vec<String> {
        let flags = found
            .fields
            .iter()
            .filter(|(n, _)| n.starts_with("dns.flags."));
        flags
            .map(|(name, value)| format!("{}={value}", &name[10..]))
            .collect()
    };
    let expected = "response=true opcode=0 authoritative=true truncated=false recdesired=true \
        recavail=true z=false authenticated=false checkdisable=false rcode=3";
    assert_eq!(flags(&found).join(" "), expected);
    assert_eq!(found.line, " →  answer 0x1a2b NXDOMAIN");
    let asks = seen(&PROTOCOL, UDP, &header(0x0120, [0; 4]));
    assert_eq!(asks.all("dns.flags.authenticated"), ["true"]);
    let local = seen(&LINK_LOCAL, Claim::UdpPort(5355), &header(0x8500, [0; 4]));
    let expected = "response=true opcode=0 conflict=true truncated=false tentative=true rcode=0";
    assert_eq!(flags(&local).join(" "), expected);
}

#[test]
fn in_multicast_the_first_bit_of_a_class_is_a_flag() {
    let mut bytes = header(0, [1, 1, 0, 0]);
    bytes.extend(b"\x01a\0\0\x01\x80\x01\xc0\x0c\0\x01\x80\x01\0\0\0\x78\0\x04\x0a\0\0\x63");
    let found = seen(&MULTICAST, Claim::UdpPort(5353), &bytes);
    for (name, value) in [
        ("dns.qry.class", "0x0001"),
        ("dns.qry.qu", "true"),
        ("dns.resp.class", "0x0001"),
        ("dns.resp.cache_flush", "true"),
    ] {
        assert_eq!(found.all(name), [value], "{name}");
    }
    let unicast = seen(&PROTOCOL, UDP, &bytes);
    assert_eq!(unicast.all("dns.qry.class"), ["0x8001"]);
    assert!(unicast.all("dns.qry.qu").is_empty());
}

#[test]
fn an_update_has_zones_prerequisites_and_updates() {
    let mut bytes = header(0x2800, [1, 0, 1, 0]);
    bytes.extend(b"\x01z\0\0\x06\0\x01\x01a\xc0\x0c\0\x01\0\xff\0\0\0\0\0\0");
    let found = seen(&PROTOCOL, UDP, &bytes);
    assert_eq!(found.problem(), None);
    assert_eq!(found.all("dns.count.zones"), ["1"]);
    assert_eq!(found.all("dns.count.updates"), ["1"]);
    assert_eq!(found.all("dns.resp.name"), ["a.z"]);
    assert!(found.all("dns.a").is_empty());
    assert_eq!(found.line, " →  update 0x1a2b SOA z 1 changes");
}

#[test]
fn every_type_shows_its_data() {
    // Type, data, and what they show: names without `dns.`.
    for (kind, data, expected) in [
        (1, &[192, 0, 2, 1][..], "a=192.0.2.1"),
        (2, b"\x01n\xc0\x0c", "ns=n.a.b"),
        (5, b"\x01c\0", "cname=c"),
        (
            6,
            b"\x01m\0\x01r\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
            "soa.mname=m soa.rname=r soa.serial_number=1 soa.refresh_interval=2 soa.retry_interval=3 \
             soa.expire_limit=4 soa.minimum_ttl=5",
        ),
        (11, b"\xc0\0\x02\x01\x06\x40\0\x81", "wks.address=192.0.2.1 wks.protocol=6 wks.bits=0x40 wks.bits=0x81"),
        (12, b"\x01p\0", "ptr.domain_name=p"),
        (13, b"\x03x86\x02os", "hinfo.cpu_length=3 hinfo.cpu=x86 hinfo.os_length=2 hinfo.os=os"),
        (15, b"\0\x0a\x01m\0", "mx.preference=10 mx.mail_exchange=m"),
        (16, b"\x02ab\0", "txt.length=2 txt=ab txt.length=0 txt="),
        (28, b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", "aaaa=2001:db8::7"),
        (
            33,
            b"\0\x01\0\x02\0\x50\x01t\0",
            "srv.priority=1 srv.weight=2 srv.port=80 srv.target=t",
        ),
        (
            35,
            b"\0\x01\0\x02\x01U\x03sip\0\x01r\0",
            "naptr.order=1 naptr.preference=2 naptr.flags_length=1 naptr.flags=U naptr.service_length=3 \
             naptr.service=sip naptr.regex_length=0 naptr.regex= naptr.replacement_length=1 naptr.replacement=r",
        ),
        (38, b"\x40\0\0\0\0\0\0\0\x01\x01p\0", "a6.prefix_len=64 a6.address_suffix=::1 a6.prefix_name=p"),
        (
            42,
            b"\0\x01\x10\x82\xc0\0",
            "apl.address_family=1 apl.coded_prefix=16 apl.negation=true apl.afdlength=2 apl.afdpart.ipv4=192.0.0.0",
        ),
        (43, b"\x12\x34\x08\x02\xab\xcd", "ds.key_id=0x1234 ds.algorithm=8 ds.digest_type=2 ds.digest=ab:cd"),
        (44, b"\x04\x02\xab", "sshfp.algorithm=4 sshfp.fingerprint.type=2 sshfp.fingerprint=ab"),
        (
            45,
            b"\x0a\x01\x02\xc0\0\x02\x01k",
            "ipseckey.gateway_precedence=10 ipseckey.gateway_type=1 ipseckey.gateway_algorithm=2 \
             ipseckey.gateway_ipv4=192.0.2.1 ipseckey.public_key=6b",
        ),
        (
            46,
            b"\0\x01\x08\x02\0\0\x01\x2c\x65\x53\xf1\0\x5f\x5e\x10\0\x12\x34\x01x\0\xab",
            "rrsig.type_covered=1 rrsig.algorithm=8 rrsig.labels=2 rrsig.original_ttl=300 \
             rrsig.signature_expiration=1700000000.000000000 rrsig.signature_inception=1600000000.000000000 \
             rrsig.key_tag=4660 rrsig.signers_name=x rrsig.signature=ab",
        ),
        (
            47,
            b"\x01n\0\0\x02\x40\x01\x01\x01\x80",
            "nsec.next_domain_name=n resp.type=1 resp.type=15 resp.type=256",
        ),
        (
            48,
            b"\x01\x01\x03\x08\x01\x02\x03\x04\x05",
            "dnskey.flags=0x0101 dnskey.flags.zone_key=true dnskey.flags.key_revoked=false \
             dnskey.flags.secure_entry_point=true dnskey.flags.reserved=0x0000 dnskey.protocol=3 \
             dnskey.algorithm=8 dnskey.key_id=3343 dnskey.public_key=01:02:03:04:05",
        ),
        (
            50,
            b"\x01\x01\0\x0a\x01\xaa\x04\x01\x02\x03\x04\0\x01\x40",
            "nsec3.algo=1 nsec3.flags=1 nsec3.flags.opt_out=true nsec3.iterations=10 nsec3.salt_length=1 \
             nsec3.salt_value=aa nsec3.hash_length=4 nsec3.hash_value=0410610 resp.type=1",
        ),
        (
            52,
            b"\x03\x01\x01\xab",
            "tlsa.certificate_usage=3 tlsa.selector=1 tlsa.matching_type=1 tlsa.certificate_association_data=ab",
        ),
        (
            55,
            b"\x02\x01\0\x01hik\x01r\0",
            "hip.hit.length=2 hip.hit.pk.algo=1 hip.pk.length=1 hip.hit=68:69 hip.pk=6b hip.rendezvous_server=r",
        ),
        (
            62,
            b"\0\0\0\x01\0\x01\0\x01\x40",
            "csync.soa=1 csync.flags=0x0001 csync.flags.immediate=true csync.flags.soaminimum=false \
             csync.type_bitmap=00:01:40 resp.type=1",
        ),
        (
            65,
            b"\0\x01\0\0\x01\0\x03\x02h2\0\x03\0\x02\x01\xbb\0\x04\0\x04\xc0\0\x02\x01\0\x07\0\x01/",
            "svcb.svcpriority=1 svcb.targetname=<Root> svcb.svcparam.key=1 svcb.svcparam.value.length=3 \
             svcb.svcparam.alpn.length=2 svcb.svcparam.alpn=h2 svcb.svcparam.key=3 svcb.svcparam.value.length=2 \
             svcb.svcparam.port=443 svcb.svcparam.key=4 svcb.svcparam.value.length=4 \
             svcb.svcparam.ipv4hint.ip=192.0.2.1 svcb.svcparam.key=7 svcb.svcparam.value.length=1 \
             svcb.svcparam.value=2f",
        ),
        (
            250,
            b"\x01h\0\0\0\x65\x53\xf1\0\x01\x2c\0\x01m\x1a\x2b\0\0\0\0",
            "tsig.algorithm_name=h tsig.time_signed=1700000000.000000000 tsig.fudge=300 tsig.mac_size=1 \
             tsig.mac=6d tsig.original_id=6699 tsig.error=0 tsig.other_len=0",
        ),
        (
            257,
            b"\x80\x05issuex",
            "caa.flags=0x80 caa.flags.issuer_critical=true caa.issue=x caa.tag_length=5 caa.tag=issue caa.value=x",
        ),
        (256, b"\0\x0a\0\x01u", "data=00:0a:00:01:75"),
        (65280, b"?", "data=3f"),
        (1, b"", ""),
    ] {
        let found = data_of(kind, data);
        let shown: Vec<String> = found
            .fields
            .iter()
            .map(|(name, value)| format!("{}={value}", &name[4..]))
            .collect();
        assert_eq!(shown.join(" "), expected, "type {kind}");
        assert_eq!(found.noticed, [], "type {kind}");
    }
}

#[test]
fn data_shorter_than_their_type_are_told_of() {
    for (kind, data) in [
        (1, &[1, 2, 3][..]),
        (6, b"\x01m\0\x01r\0\0\0\0\x01"),
        (12, b"\x05abc"),
        (15, b"\0"),
        (16, b"\x09ab"),
        (38, b"\x40\0"),
        (42, b"\0\x01\x10\x84\xc0"),
        (48, b"\x01"),
        (50, b"\x01\x01\0\x0a\0\xff\x01"),
        (55, b"\xff\x01\0\x01hi"),
        (64, b"\0\x01\0\0\x03\0\x02"),
        (257, b"\0\x09is"),
        (OPT, b"\0\x03\0\x09abc"),
    ] {
        let found = data_of(kind, data);
        let kinds: Vec<_> = found.noticed.iter().map(|p| p.kind).collect();
        assert_eq!(kinds, [ProblemKind::Malformed], "type {kind}");
    }
}

#[test]
fn edns_says_what_the_sender_can_do() {
    let options = |options: &[u8]| {
        let mut bytes = header(0x0100, [0, 0, 0, 1]);
        bytes.extend(b"\0\0\x29\x04\xd0\x01\0\x80\x01");
        bytes.extend((options.len() as u16).to_be_bytes());
        bytes.extend(options);
        seen(&PROTOCOL, UDP, &bytes)
    };
    let found = options(&[]);
    assert_eq!(
        found.pairs()[12..],
        [
            ("dns.resp.name", "<Root>"),
            ("dns.resp.type", "41"),
            ("dns.rr.udp_payload_size", "1232"),
            ("dns.resp.ext_rcode", "0x01"),
            ("dns.resp.edns0_version", "0"),
            ("dns.resp.z", "0x8001"),
            ("dns.resp.z.do", "true"),
            ("dns.resp.z.reserved", "0x0001"),
            ("dns.resp.len", "0"),
        ]
    );
    for (option, expected) in [
        (
            &b"\0\x0a\0\x0912345678s"[..],
            "cookie.client=31:32:33:34:35:36:37:38 cookie.server=73",
        ),
        (
            b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02",
            "client.family=1 client.netmask=24 client.scope=0 client.addr4=192.0.2.0",
        ),
        (
            b"\0\x08\0\x05\0\x02\x08\0\x20",
            "client.family=2 client.netmask=8 client.scope=0 client.addr6=2000::",
        ),
        (
            b"\0\x08\0\x05\0\x09\x08\0\x20",
            "client.family=9 client.netmask=8 client.scope=0 client.addr=20",
        ),
        (
            b"\0\x0f\0\x05\0\x06bad",
            "ext_error.info_code=6 ext_error.extra_text=bad",
        ),
        (b"\0\x05\0\x02\x05\x07", "dau=5 dau=7"),
        (b"\0\x0b\0\x02\0\x64", "edns_tcp_keepalive.timeout=100"),
        (b"\0\x0c\0\x02\0\0", "padding=00:00"),
        (b"\0\x0d\0\x03\x01a\0", "chain.fqdn=a"),
        (b"\0\x03\0\x02id", ""),
    ] {
        let found = options(option);
        let shown: Vec<String> = found.fields[24..]
            .iter()
            .map(|(name, value)| format!("{}={value}", &name[8..]))
            .collect();
        assert_eq!(shown.join(" "), expected);
        assert_eq!(found.all("dns.opt.code").len(), 1);
    }
}

#[test]
fn upper_bits_of_the_reply_code_stand_in_edns() {
    let mut bytes = header(0x8000, [0, 0, 0, 1]);
    bytes.extend(b"\0\0\x29\x04\xd0\x01\0\0\0\0\0");
    let line = seen(&PROTOCOL, UDP, &bytes).line;
    assert_eq!(line, " →  answer 0x1a2b BADVERS");
}

#[test]
fn the_owner_of_a_service_is_told_in_parts() {
    let mut bytes = header(0x8180, [0, 1, 0, 0]);
    bytes.extend(
        b"\x04_sip\x04_udp\x01x\x01y\0\0\x21\0\x01\0\0\0\0\0\x09\0\x01\0\x02\x13\xc4\x01t\0",
    );
    let found = seen(&PROTOCOL, UDP, &bytes);
    assert_eq!(found.all("dns.srv.service"), ["_sip"]);
    assert_eq!(found.all("dns.srv.proto"), ["_udp"]);
    assert_eq!(found.all("dns.srv.name"), ["x.y"]);
    assert_eq!(found.line, " →  answer 0x1a2b → t:5060 NOERROR");
}

#[test]
fn what_follows_the_last_record_is_shown() {
    let bytes = [query(), vec![1, 2]].concat();
    let found = seen(&PROTOCOL, UDP, &bytes);
    assert_eq!(found.problem(), None);
    assert_eq!(found.all("dns.extraneous.data"), ["01:02"]);
    assert_eq!(found.all("dns.extraneous.length"), ["2"]);
}

#[test]
fn cut_anywhere_is_no_fault_and_ending_early_is() {
    let bytes = answer(15, b"\0\x0a\x01m\0");
    for len in HEADER..bytes.len() {
        let part = &bytes[..len];
        let cut = chain(&[(&PROTOCOL, UDP)], part, bytes.len());
        assert_eq!(cut.problem(), Some(ProblemKind::Cut), "{len}");
        let ended = seen(&PROTOCOL, UDP, part);
        assert_eq!(ended.problem(), Some(ProblemKind::Malformed), "{len}");
    }
    let cut = chain(&[(&PROTOCOL, UDP)], &bytes[..5], bytes.len());
    assert_eq!(cut.problem(), Some(ProblemKind::Cut));
}

#[test]
fn a_datagram_too_short_for_a_header_is_not_dns() {
    let found = seen(&PROTOCOL, UDP, b"hello");
    assert_eq!((found.next, found.problem()), (Next::NotMine, None));
}

#[test]
fn over_tcp_each_message_has_its_length_before_it() {
    let message = query();
    let one = segment(&prefixed(&message));
    assert_eq!((one.next, one.problem()), (Next::End, None));
    assert_eq!(one.all("dns.length"), ["33"]);
    assert_eq!(one.all("dns.qry.name"), ["www.example.org"]);
    let two = segment(&[prefixed(&message), prefixed(&message)].concat());
    assert_eq!(two.next, Next::Claim(Claim::TcpPort(PORT)));
    assert_eq!(two.layer.header as usize, PREFIX + message.len());
}

#[test]
fn over_tcp_what_is_no_whole_message_stays_data() {
    let whole = prefixed(&query());
    // The first byte of a length, a message that goes on later, a length too small, the middle of a message.
    for part in [
        &whole[..1],
        &whole[..20],
        &[0, 5, 1, 2, 3, 4, 5],
        &whole[14..],
        &[0; 40],
    ] {
        let found = segment(part);
        assert_eq!(
            (found.next, found.problem()),
            (Next::NotMine, None),
            "{part:?}"
        );
    }
}

#[test]
fn a_packet_full_of_pointers_to_one_long_name_stays_cheap() {
    let label = [&[63][..], &[b'a'; 63]].concat();
    let mut bytes = header(0x8180, [1, 5000, 0, 0]);
    bytes.extend([&label.repeat(3)[..], &[61], &[b'b'; 61], b"\0\0\x01\0\x01"].concat());
    for _ in 0..5000 {
        bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\0\0\x02\xc0\x0c");
    }
    let found = seen(&PROTOCOL, UDP, &bytes[..65_000.min(bytes.len())]);
    assert!(found.all("dns.cname").len() > 4000);
    // The line stays short whatever the packet holds.
    assert!(found.line.len() < 1000, "{}", found.line.len());
}

#[test]
fn hostile_names_are_told_of_once_and_never_followed_for_ever() {
    let mut bytes = header(0x0100, [3, 0, 0, 0]);
    for _ in 0..3 {
        bytes.extend(b"\xc0\x0c\0\x01\0\x01");
    }
    let found = seen(&PROTOCOL, UDP, &bytes);
    assert_eq!(found.noticed.len(), 1);
    assert_eq!(found.all("dns.qry.name").len(), 3);
    assert!(
        found
            .line
            .contains("<Name contains a pointer that loops> and 2 more")
    );
}

#[test]
fn no_control_byte_reaches_the_line() {
    let mut bytes = header(0x0100, [1, 0, 0, 0]);
    bytes.extend(b"\x05\x1b[31m\x03\r\n\xff\0\0\x01\0\x01");
    let line = seen(&PROTOCOL, UDP, &bytes).line;
    assert!(line.ends_with("\\x1b[31m.\\r\\n\\xff"), "{line}");
}
