//! Tests: whatever frames, rules and templates say, nothing panics, and what crafting reads of two packets stays small.

use proptest::prelude::*;

use super::{
    Built, NoFiles, NoRoute, Spec,
    answers::{answer, key, key_answered},
    build, diff, list,
    rewrite::{Mend, Rewriter, Rewriting, Rule, Vlan},
    template::Template,
    tests::frames,
};
use crate::{
    decode::{Decoded, Decoder},
    layer::Packet,
    link::LinkType,
};

/// Shows `see` both frames as decoded packets.
fn with_both(frames: [&(LinkType, Vec<u8>); 2], see: impl FnOnce(&Packet<'_>, &Packet<'_>)) {
    let frames = frames.map(|(link, bytes)| build::packet(bytes, &[], *link).frame);
    let mut decoded = Decoded::default();
    for frame in &frames {
        Decoder::default().frame(frame, &mut decoded);
    }
    if let [Some(left), Some(right)] = [0, 1].map(|at| decoded.packet_of(frames[at], at)) {
        see(&left, &right);
    }
}

/// Holes of every kind: fixed, walked, repeated, bytes, sums that wrap around either way.
const TEMPLATES: [&str; 6] = [
    "ip src={ip.dst} dst={ip.src+1} ttl={ip.ttl-255} / tcp sport={tcp.dport} ack={tcp.seq+tcp.len} / hex={payload}",
    "ip6 src={ipv6.dst+1} dst={ipv6.src-1} / udp dport={udp.sport} / text={udp.data}",
    "eth dst={eth.src+1} src={eth.dst-5} / arp psrc={arp.pdst+99} hwsrc={arp.hwdst} / hex={ip.ttl}",
    "ip id={1-2+ip.id} ttl={tcp.options.mss_val} len={ip.len+ip.ihl} / hex={tcp.seq_raw}{18446744073709551615+1}",
    "ip / udp / dns id={dns.id} qd={dns.qry.name} an={dns.qry.name}:A:{dns.count.queries}:{dns.a}",
    "ip dst={icmp.redir_gw} / icmp type={icmp.type} id={icmp.id} seq={icmp.seq+65535} / hex={icmp.data}{eth.payload}",
];

fn rewriting(mend: Mend, vlan: Option<Vlan>, without_link: bool) -> Rewriting {
    let maps = [
        "addr:0.0.0.0/0=255.255.255.255/0",
        "ipv6.addr:::/0=ff00::/0",
        "mac:00:00:00:00:00:00=ff:ff:ff:ff:ff:ff",
        "port:0=65535,65535=0",
    ];
    let sets = [
        "tcp.options.mss_val=65535",
        "ttl=0",
        "vlan.id=4095",
        "dns.id=1",
    ];
    let maps = maps.iter().filter_map(|text| Rule::map(text).ok());
    let sets = sets.iter().filter_map(|text| Rule::set(text).ok());
    Rewriting {
        rules: maps.chain(sets).collect(),
        vlan,
        mend,
        fill: true,
        without_link,
    }
}

#[test]
fn the_rules_and_templates_here_are_rules_and_templates() {
    assert_eq!(rewriting(Mend::All, None, false).rules.len(), 8);
    for text in TEMPLATES {
        Template::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Values of every form, right for some words and wrong for the others.
const VALUES: [&str; 24] = [
    "",
    "0",
    "1",
    "8",
    "255",
    "65535",
    "4294967295",
    "340282366920938463463374607431768211455",
    "00",
    "ff00ff",
    "000102030405060708090a0b0c0d0e0f10",
    "10.0.0.1",
    "10.0.0.1:10.0.0.2",
    "fd00::1",
    "fd00::/129",
    "02:00:00:00:00:01",
    "a.b",
    "a.b:A:1:192.0.2.1",
    "1:2:3",
    "1,2",
    "1..3",
    "5:00ff",
    "zeros:5",
    "%00%",
];

proptest! {
    #[test]
    fn any_words_of_a_layer_are_refused_or_built(
        layer in any::<prop::sample::Index>(),
        words in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(VALUES.to_vec())), 0..6),
        outside in prop::sample::select(vec!["", "ip / tcp / ", "eth / ip6 / "]),
        inside in prop::sample::select(vec!["", " / hex=00", " / zeros=70000"]),
    ) {
        let layers: Vec<_> = list::layers().collect();
        let (protocol, names) = layers[layer.index(layers.len())];
        let known: Vec<&str> = list::entries(protocol).into_iter().flat_map(|entry| entry.words).chain(["cut"]).collect();
        let mut text = format!("{outside}{}", names[0]);
        for (word, value) in words {
            text += &match value {
                "" => format!(" {}", known[word.index(known.len())]),
                value => format!(" {}={value}", known[word.index(known.len())]),
            };
        }
        text += inside;
        if let Ok(spec) = Spec::parse(&text, &NoFiles) {
            let mut built = Built::default();
            spec.build(spec.count() - 1, &NoRoute, &mut built);
            spec.marks(&NoRoute, &built);
            spec.varied(&built);
        }
    }

    #[test]
    fn any_two_packets_are_compared((left, right) in (frames(), frames())) {
        with_both([&left, &right], |left, right| {
            key(left);
            key_answered(right);
            answer(left, right);
            diff::diff(left, right, diff::Step::Travelling);
            assert!(diff::diff(left, left, diff::Step::Sending).is_empty());
        });
    }

    #[test]
    fn any_packet_fills_a_template_or_is_unfit(frame in frames(), which in 0..TEMPLATES.len()) {
        let mut template = Template::parse(TEMPLATES[which], &NoFiles);
        let mut built = Built::default();
        with_both([&frame, &frame], |packet, _| {
            let Ok(template) = &mut template else {
                return;
            };
            match template.fill(packet) {
                Ok(()) => template.spec().build(u64::MAX, &NoRoute, &mut built),
                Err(unfit) => assert!(!unfit.to_string().is_empty()),
            }
        });
    }

    #[test]
    fn any_frame_is_rewritten_or_left_out(
        (link, bytes) in frames(),
        longer in prop::sample::select(vec![0_u32, 1, 40, 70_000, u32::MAX]),
        mend in prop::sample::select(vec![Mend::All, Mend::Changed, Mend::None]),
        vlan in prop::sample::select(vec![None, Some(Vlan::None), Some(Vlan::Id(4094))]),
        without_link in any::<bool>(),
    ) {
        let mut frame = build::packet(&bytes, &[], link).frame;
        frame.wire_len = frame.wire_len.saturating_add(longer);
        let mut out = vec![7];
        let mut rewriter = Rewriter::new(rewriting(mend, vlan, without_link));
        let rewritten = rewriter.frame(&frame, &mut out);
        prop_assert!(rewritten.is_ok() || out == [7]);
        prop_assert!(out.len() < 200_000);
    }

    #[test]
    fn any_rule_is_refused_or_holds(
        name in "(ip|ipv6|tcp|eth|dns|icmp|vlan)?\\.?(src|dst|ttl|flags|addr|port|id|len|a|options)",
        old in "[0-9a-fx:./,=-]{0,12}",
        new in "[0-9a-fx:./,=-]{0,12}",
        (link, bytes) in frames(),
    ) {
        let rules = [Rule::map(&format!("{name}:{old}={new}")), Rule::set(&format!("{name}={new}"))];
        let how = Rewriting { rules: rules.into_iter().flatten().collect(), ..Rewriting::default() };
        let frame = build::packet(&bytes, &[], link).frame;
        let _ = Rewriter::new(how).frame(&frame, &mut Vec::new());
    }

    #[test]
    fn any_template_is_refused_or_filled(
        inside in "(ip|tcp|udp|dns|payload|data|[0-9]{1,39}|0x[f]{1,32}|\\.|src|seq|ttl|len|[-+ {}é]){0,8}",
        around in "(ttl|dst|id|len)=(1,|2\\.\\.|)",
        (link, bytes) in frames(),
    ) {
        let texts = [format!("ip {around}{{{inside}}}"), format!("ip / text={{{inside}}}"), format!("hex={{{inside}}}")];
        for text in texts {
            let Ok(mut template) = Template::parse(&text, &NoFiles) else {
                continue;
            };
            with_both([&(link, bytes.clone()), &(link, bytes.clone())], |packet, _| {
                if template.fill(packet).is_ok() {
                    let count = template.spec().count();
                    template.spec().build(count - 1, &NoRoute, &mut Built::default());
                }
            });
        }
    }

    #[test]
    fn any_scapy_text_is_refused_or_built(text in "((IP|TCP|DNS|Raw|DNSQR|dst|id|flags|load|\"[^\"]{0,5}\"|1|-1|0x|None|True|b|[/=,()\\[\\]. ])){0,24}") {
        if let Ok(spec) = Spec::parse(&text, &NoFiles) {
            spec.build(spec.count() - 1, &NoRoute, &mut Built::default());
        }
    }
}
